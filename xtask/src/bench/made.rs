//! Logs made up for measuring: by kind, of a size to a line, the same in each run.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use jiff::Timestamp;

/// What a log holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An error log as servers write it: a third of it about upstreams, the rest missing files, limits and handshakes.
    Usual,
    /// An error log in which every line is a failure to connect to a peer, each of another client and for another URL.
    Failures,
    /// An access log (`combined`) of a million clients and as many URLs; seven of a hundred requests get 502 or 504.
    Access,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Made {
    pub(crate) bytes: u64,
    pub(crate) lines: u64,
}

/// When the first line is written.
const START: i64 = 1_750_000_000;
/// The bodies of lines, over and over: as many as keep a reader from learning them.
const POOL: usize = 200_000;
/// Distinct clients and URLs of an access log.
const MANY: u64 = 1_000_000;
const WORKERS: [u16; 8] = [812, 813, 814, 815, 2841, 2842, 12_044, 29_981];

const HOSTS: &[&str] = &[
    "shop.example.com",
    "api.example.com",
    "www.example.org",
    "admin.example.net",
];
const PEERS: &[&str] = &[
    "http://10.0.3.11:8080",
    "http://10.0.3.12:8080",
    "http://10.0.3.13:8080",
    "http://10.0.3.14:8080",
    "http://10.0.3.15:8080",
    "http://10.0.3.16:8080",
    "http://10.0.3.17:8080",
    "http://10.0.3.18:8080",
    "http://127.0.0.1:3000",
    "http://127.0.0.1:8000",
    "fastcgi://unix:/run/php/php8.2-fpm.sock:",
    "uwsgi://127.0.0.1:3031",
    "http://unix:/run/gunicorn.sock:",
    "https://10.0.4.7:8443",
];
const AGENTS: &[&str] = &[
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36",
    "curl/8.5.0",
    "Googlebot/2.1 (+http://www.google.com/bot.html)",
    "python-requests/2.31",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X)",
];
const METHODS: &[&str] = &[
    "GET", "GET", "GET", "GET", "GET", "GET", "GET", "GET", "POST", "POST", "POST", "PUT", "HEAD",
];

/// Writes a log of so many bytes, to a line.
pub(crate) fn write(kind: Kind, bytes: u64, path: &Path) -> Result<Made> {
    let file = File::create(path).with_context(|| format!("make {}", path.display()))?;
    let mut file = BufWriter::with_capacity(1 << 20, file);
    let mut dice = Dice(1);
    let pool: Vec<(&str, String)> = match kind {
        Kind::Usual => (0..POOL).map(|_| usual(&mut dice)).collect(),
        Kind::Failures => (0..POOL).map(|_| ("error", failure(&mut dice))).collect(),
        Kind::Access => Vec::new(),
    };
    let mut made = Made::default();
    let mut line = String::new();
    let mut stamp = (0, String::new());
    // A line each 25 ms on average.
    let mut milliseconds = 0;
    while made.bytes < bytes {
        milliseconds += dice.below(50);
        let second = START + i64::try_from(milliseconds / 1000).unwrap_or(0);
        if stamp.0 != second {
            let format = match kind {
                Kind::Access => "%d/%b/%Y:%H:%M:%S +0000",
                Kind::Usual | Kind::Failures => "%Y/%m/%d %H:%M:%S",
            };
            let at = Timestamp::from_second(second).context("a time in range")?;
            stamp = (second, at.strftime(format).to_string());
        }
        line.clear();
        if kind == Kind::Access {
            request(&mut line, &stamp.1, &mut dice)?;
        } else {
            let (level, text) = dice.one_of(&pool);
            let worker = WORKERS
                .get(usize::try_from(made.lines % 8).unwrap_or(0))
                .unwrap_or(&1);
            write!(line, "{} [{level}] {worker}#{worker}: ", stamp.1)?;
            if *level != "notice" {
                write!(line, "*{} ", made.lines + 2)?;
            }
            line.push_str(text);
            line.push('\n');
        }
        file.write_all(line.as_bytes()).context("write the log")?;
        made.bytes += line.len() as u64;
        made.lines += line.bytes().filter(|byte| *byte == b'\n').count() as u64;
    }
    file.flush().context("write the log")?;
    Ok(made)
}

/// A line of an access log.
fn request(line: &mut String, stamp: &str, dice: &mut Dice) -> Result<()> {
    let (client, url) = (dice.below(MANY), dice.below(MANY));
    let status = match dice.below(100) {
        0..80 => 200,
        80..88 => 404,
        88..92 => 502,
        92..95 => 504,
        95..98 => 301,
        _ => 500,
    };
    writeln!(
        line,
        "10.{}.{}.{} - - [{stamp}] \"{} /api/v1/users/{url}?page={} HTTP/1.1\" {status} {} \"-\" \"{}\"",
        client >> 16,
        client >> 8 & 255,
        client & 255,
        dice.one_of(METHODS),
        client % 97,
        50 + dice.below(50_000),
        dice.one_of(AGENTS),
    )?;
    Ok(())
}

/// A failure to connect, without the head of its line.
fn failure(dice: &mut Dice) -> String {
    let method = dice.one_of(METHODS);
    let path = format!(
        "/api/v1/users/{}?page={}",
        dice.below(MANY),
        dice.below(1000)
    );
    let text = match dice.below(10) {
        0 => "upstream timed out (110: Connection timed out)",
        _ => "connect() failed (111: Connection refused)",
    };
    let peer = format!("http://10.0.3.{}:8080", 11 + dice.below(8));
    format!(
        "{text} while connecting to upstream{}",
        dice.told(method, &path, Some(&peer))
    )
}

/// Level and text of a line as servers write it.
fn usual(dice: &mut Dice) -> (&'static str, String) {
    let method = *dice.one_of(METHODS);
    let path = dice.path();
    let peer = *dice.one_of(PEERS);
    let is_socket = peer.starts_with("fastcgi") || peer.starts_with("http://unix");
    let of_peer = |dice: &mut Dice, peer: &str, text: &str| {
        format!("{text}{}", dice.told(method, &path, Some(peer)))
    };
    let of_request =
        |dice: &mut Dice, text: &str| format!("{text}{}", dice.told(method, &path, None));
    match dice.below(1000) {
        0..330 => {
            let file = path.split('?').next().unwrap_or_default();
            let text = format!(
                "open() \"/var/www/{}{file}\" failed (2: No such file or directory)",
                dice.one_of(HOSTS)
            );
            ("error", of_request(dice, &text))
        }
        330..400 => ("error", of_request(dice, "access forbidden by rule")),
        400..470 => {
            let text = format!(
                "limiting requests, excess: {}.{:03} by zone \"perip\"",
                5 + dice.below(35),
                dice.below(1000)
            );
            ("error", of_request(dice, &text))
        }
        470..500 => {
            let text = format!(
                "delaying request, excess: {}.{:03}, by zone \"perip\"",
                dice.below(5),
                dice.below(1000)
            );
            ("warn", of_request(dice, &text))
        }
        500..560 => (
            *dice.one_of(&["crit", "info"]),
            format!(
                "SSL_do_handshake() failed (SSL: error:0A00006C:SSL routines::bad key share) while SSL handshaking, client: {}, server: 0.0.0.0:443",
                dice.address()
            ),
        ),
        560..600 => (
            "info",
            format!("client {} closed keepalive connection", dice.address()),
        ),
        600..620 => {
            let text = format!(
                "a client request body is buffered to a temporary file /var/lib/nginx/body/{:010}",
                dice.below(10_000_000_000)
            );
            ("warn", of_request(dice, &text))
        }
        620..650 => {
            let text = format!(
                "an upstream response is buffered to a temporary file /var/lib/nginx/proxy/{}/{:02}/{:010} while reading upstream",
                dice.below(10),
                dice.below(100),
                dice.below(10_000_000_000)
            );
            ("warn", of_peer(dice, peer, &text))
        }
        650..770 => (
            "error",
            of_peer(
                dice,
                peer,
                "upstream timed out (110: Connection timed out) while reading response header from upstream",
            ),
        ),
        770..790 => (
            "error",
            of_peer(
                dice,
                peer,
                "upstream timed out (110: Connection timed out) while connecting to upstream",
            ),
        ),
        790..850 if is_socket => (
            "error",
            of_peer(
                dice,
                peer,
                "connect() to unix:/run/gunicorn.sock failed (111: Connection refused) while connecting to upstream",
            ),
        ),
        790..850 => (
            "error",
            of_peer(
                dice,
                peer,
                "connect() failed (111: Connection refused) while connecting to upstream",
            ),
        ),
        850..880 => (
            "error",
            of_peer(
                dice,
                peer,
                "upstream prematurely closed connection while reading response header from upstream",
            ),
        ),
        880..905 => (
            "error",
            of_peer(
                dice,
                peer,
                "recv() failed (104: Connection reset by peer) while reading response header from upstream",
            ),
        ),
        905..925 => (
            "error",
            of_peer(
                dice,
                "http://backend_pool",
                "no live upstreams while connecting to upstream",
            ),
        ),
        925..935 => (
            "error",
            of_peer(
                dice,
                peer,
                "upstream sent too big header while reading response header from upstream",
            ),
        ),
        935..945 => (
            "crit",
            of_peer(
                dice,
                "fastcgi://unix:/run/php/php8.1-fpm.sock:",
                "connect() to unix:/run/php/php8.1-fpm.sock failed (2: No such file or directory) while connecting to upstream",
            ),
        ),
        945..953 => (
            "crit",
            of_peer(
                dice,
                "http://127.0.0.1:3000",
                "connect() to 127.0.0.1:3000 failed (13: Permission denied) while connecting to upstream",
            ),
        ),
        953..960 => (
            "error",
            of_peer(
                dice,
                "fastcgi://unix:/run/php/php8.2-fpm.sock:",
                "connect() to unix:/run/php/php8.2-fpm.sock failed (11: Resource temporarily unavailable) while connecting to upstream",
            ),
        ),
        960..965 => {
            let text = format!(
                "{} worker_connections are not enough while connecting to upstream",
                (1 + dice.below(3)) * 512
            );
            ("alert", of_peer(dice, peer, &text))
        }
        965..970 => (
            "alert",
            of_peer(
                dice,
                peer,
                "socket() failed (24: Too many open files) while connecting to upstream",
            ),
        ),
        970..980 => {
            let text = format!(
                "app-{}.internal could not be resolved (3: Host not found)",
                dice.below(9)
            );
            ("error", of_request(dice, &text))
        }
        980..995 => {
            let (line, place) = (dice.below(99), "/var/www/app/src/Db.php");
            let text = format!(
                "FastCGI sent in stderr: \"PHP message: PHP Fatal error:  Uncaught PDOException: SQLSTATE[HY000] [2002] Connection refused in {place}:{line}\nStack trace:\n#0 {place}({line}): PDO->__construct()\n#1 {{main}}\n  thrown in {place} on line {line}\" while reading response header from upstream"
            );
            (
                "error",
                of_peer(dice, "fastcgi://unix:/run/php/php8.2-fpm.sock:", &text),
            )
        }
        _ => (
            "notice",
            "signal 1 (SIGHUP) received from 1, reconfiguring".to_owned(),
        ),
    }
}

/// Numbers that look like chance (splitmix64) and are the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (number ^ number >> 31) % end.max(1)
    }

    #[expect(
        clippy::indexing_slicing,
        reason = "the lists here have something in them"
    )]
    fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[usize::try_from(self.below(all.len() as u64)).unwrap_or(0)]
    }

    fn address(&mut self) -> String {
        format!(
            "{}.{}.{}.{}",
            1 + self.below(223),
            self.below(256),
            self.below(256),
            1 + self.below(254)
        )
    }

    fn path(&mut self) -> String {
        let number = self.below(100_000);
        match self.below(14) {
            0 => "/api/v1/orders".to_owned(),
            1 => format!("/api/v1/users/{number}"),
            2 => "/checkout".to_owned(),
            3 => "/login".to_owned(),
            4 => format!("/static/js/app.{number:x}.js"),
            5 => format!("/search?q=red+shoes&page={number}"),
            6 => format!("/img/p/{number}.webp"),
            7 => "/graphql".to_owned(),
            8 => "/health".to_owned(),
            9 => "/wp-login.php".to_owned(),
            10 => "/.env".to_owned(),
            11 => format!("/index.php?route={number}"),
            12 => "/ws".to_owned(),
            _ => format!("/report/export?id={number}"),
        }
    }

    /// What nginx says of a request behind the text.
    fn told(&mut self, method: &str, path: &str, peer: Option<&str>) -> String {
        let host = self.one_of(HOSTS);
        let mut told = format!(
            ", client: {}, server: {host}, request: \"{method} {path} HTTP/1.1\"",
            self.address()
        );
        if let Some(peer) = peer {
            let has_path = peer.starts_with("http://1") || peer.starts_with("https");
            let path = if has_path { path } else { "" };
            told.extend([", upstream: \"", peer, path, "\""]);
        }
        told.extend([", host: \"", host, "\""]);
        if self.below(3) == 0 {
            told.extend([", referrer: \"https://", host, "/\""]);
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn logs_are_of_their_size_and_kind() {
        let dir = tempfile::tempdir().unwrap();
        for (kind, least) in [
            (Kind::Usual, 0.3),
            (Kind::Failures, 1.0),
            (Kind::Access, 0.0),
        ] {
            let path = dir.path().join("log");
            let made = write(kind, 1_000_000, &path).unwrap();
            let text = fs::read_to_string(&path).unwrap();
            assert_eq!(
                (made.bytes, made.lines),
                (text.len() as u64, text.lines().count() as u64)
            );
            assert!((1_000_000..1_002_000).contains(&made.bytes));
            let about_upstreams = text
                .lines()
                .filter(|line| line.contains(" upstream,"))
                .count();
            let [part, all] = [about_upstreams as u64, made.lines]
                .map(|count| f64::from(u32::try_from(count).unwrap()));
            assert!(
                part / all >= least && (least > 0.0 || about_upstreams == 0),
                "{kind:?}: {part} of {all}"
            );
        }
    }
}
