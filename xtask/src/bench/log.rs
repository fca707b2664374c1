//! An error log as a busy host has it: written in order up to now, one line in three about an upstream.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::site::{FILES, Ports, SERVERS, name};

/// What a log tells of.
pub(crate) struct Log {
    /// Its size, to a line.
    pub(crate) bytes: u64,
    /// The time it covers, which ends now.
    pub(crate) covers: SignedDuration,
    /// How long ago the dead peer began to fail.
    pub(crate) failing: SignedDuration,
}

/// What is in a log.
#[derive(Default)]
pub(crate) struct Written {
    pub(crate) bytes: u64,
    pub(crate) lines: u64,
}

impl Log {
    /// Writes the log.
    pub(crate) fn write(&self, path: &Path, ports: Ports) -> Result<Written> {
        let file = File::create(path).with_context(|| format!("make {}", path.display()))?;
        let mut file = BufWriter::with_capacity(1 << 20, file);
        let seconds = self.covers.as_secs().max(1);
        let per_second = self.bytes / seconds.unsigned_abs();
        let (healthy, failing) = (lines(ports, false), lines(ports, true));
        let zone = TimeZone::system();
        let now = Timestamp::now();
        let mut written = Written::default();
        for second in 1..=seconds {
            let ago = SignedDuration::from_secs(seconds - second);
            let at = now.checked_sub(ago).context("a time in range")?;
            let stamp = at
                .to_zoned(zone.clone())
                .strftime("%Y/%m/%d %H:%M:%S")
                .to_string();
            let texts = if ago <= self.failing {
                &failing
            } else {
                &healthy
            };
            let until = per_second * second.unsigned_abs();
            while written.bytes < until {
                let text = texts
                    .get(usize::try_from(written.lines).unwrap_or(0) % texts.len())
                    .map_or("", String::as_str);
                let (level, text) = text.split_once('\t').unwrap_or(("error", text));
                let connection = 1_000_000 + written.lines;
                let line = format!("{stamp} [{level}] 2841#2841: *{connection} {text}\n");
                file.write_all(line.as_bytes()).context("write the log")?;
                written.bytes += line.len() as u64;
                written.lines += 1;
            }
        }
        file.flush().context("write the log")?;
        Ok(written)
    }
}

/// The messages, over and over: level, tab, text.
fn lines(ports: Ports, dead_fails: bool) -> Vec<String> {
    (0..FILES * 6)
        .map(|number| {
            let (file, server) = (number % FILES, number % SERVERS);
            let site = name(file, server);
            let client = format!("client: 198.51.{}.{}", number % 100, 1 + number % 250);
            let host = format!("{site}.example.com");
            let of = |request: &str| {
                format!("{client}, server: {host}, request: \"GET {request} HTTP/1.1\"")
            };
            let tail = format!("host: \"{host}\", referrer: \"https://{host}/products?page={number}\"");
            match number % 6 {
                // One in three is about an upstream.
                0 if dead_fails => {
                    let dead = name(0, 0);
                    format!(
                        "error\tconnect() failed (111: Connection refused) while connecting to upstream, {client}, \
                         server: {dead}.example.com, request: \"GET /cart/{number} HTTP/1.1\", \
                         upstream: \"http://{}/cart/{number}\", host: \"{dead}.example.com\"",
                        ports.dead()
                    )
                }
                // Twenty peers are slow now and then.
                0 | 3 => {
                    let file = 1 + file % 5;
                    let site = name(file, server);
                    format!(
                        "error\tupstream timed out (110: Connection timed out) while reading response header from \
                         upstream, {client}, server: {site}.example.com, request: \"GET /search?q={number} HTTP/1.1\", \
                         upstream: \"http://{}/search?q={number}\", host: \"{site}.example.com\"",
                        ports.application(file, server)
                    )
                }
                1 => format!(
                    "error\topen() \"/srv/www/{site}/favicon-{number}.ico\" failed (2: No such file or directory), {}, {tail}",
                    of("/favicon.ico")
                ),
                2 => format!(
                    "error\taccess forbidden by rule, {}, {tail}",
                    of(&format!("/.git/config?{number}"))
                ),
                4 => format!(
                    "warn\ta client request body is buffered to a temporary file /var/lib/nginx/body/{number:010}, {}, {tail}",
                    of("/upload")
                ),
                _ => format!(
                    "crit\tSSL_do_handshake() failed (SSL: error:0A00006C:SSL routines::bad key share) while SSL \
                     handshaking, {client}, server: 0.0.0.0:443"
                ),
            }
        })
        .collect()
}
