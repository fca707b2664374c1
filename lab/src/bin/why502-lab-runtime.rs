//! A container runtime's log driver: `why502-lab-runtime FORM STREAM LOG` writes each line of its standard input to the end
//! of a file, as Docker's `json-file` (`docker`) or as Kubernetes' runtimes do (`cri`).
//!
//! It must know nothing of nginx or `why502`.

use std::env;
use std::fs::File;
use std::io::{self, BufRead as _, Write as _};

use jiff::{Timestamp, Zoned};

/// Runtimes cut longer lines, at 16 KiB; here it is so little that nginx's lines are cut too.
const LONGEST: usize = 100;

fn main() -> io::Result<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    let [form, stream, path] = args.as_slice() else {
        return Err(io::Error::other(
            "usage: why502-lab-runtime FORM STREAM LOG",
        ));
    };
    let mut log = File::options().create(true).append(true).open(path)?;
    let mut input = io::stdin().lock();
    let mut line = Vec::new();
    while input.read_until(b'\n', &mut line)? > 0 {
        let entry = match form.as_str() {
            "docker" => docker(&line, stream),
            "cri" => cri(&line, stream),
            _ => return Err(io::Error::other("FORM is docker or cri")),
        };
        // One write, as the other stream's lines go into the same file.
        log.write_all(entry.as_bytes())?;
        line.clear();
    }
    Ok(())
}

fn docker(line: &[u8], stream: &str) -> String {
    let text = serde_json::Value::from(String::from_utf8_lossy(line));
    format!(
        "{{\"log\":{text},\"stream\":\"{stream}\",\"time\":\"{}\"}}\n",
        Timestamp::now()
    )
}

fn cri(line: &[u8], stream: &str) -> String {
    let time = Zoned::now()
        .strftime("%Y-%m-%dT%H:%M:%S.%9f%:z")
        .to_string();
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let parts: Vec<&[u8]> = line.chunks(LONGEST).collect();
    let tagged = |(at, part): (usize, &&[u8])| {
        let tag = if at + 1 < parts.len() { "P" } else { "F" };
        let text = String::from_utf8_lossy(part);
        [&time, " ", stream, " ", tag, " ", &text, "\n"].concat()
    };
    parts.iter().enumerate().map(tagged).collect()
}
