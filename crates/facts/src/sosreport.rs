//! What a sosreport tells of a host's processes and clock, from the output of the programs that sos ran.

use bstr::ByteSlice as _;
use jiff::civil::DateTime;
use jiff::tz::Offset;
use jiff::{SignedDuration, Timestamp};

use crate::text::number;

/// A line of `ps axo flags,state,uid,pid,ppid,...,lstart,tty,time,cmd`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The process.
    pub pid: u32,
    /// Its parent.
    pub ppid: u32,
    /// `S`, `R`, `Z`...
    pub state: u8,
    /// When it started, by the host's local clock, to a second.
    pub start: DateTime,
    /// Its command line, arguments joined by spaces; empty of a process without one, such as a kernel thread.
    pub command: Vec<u8>,
}

/// The processes, by pid; `None` where a line is not understood: a process that is missing would prove that none runs.
pub fn processes(ps: &[u8]) -> Option<Vec<Row>> {
    let mut lines = ps.lines();
    lines
        .next()?
        .trim_start()
        .starts_with(b"F S ")
        .then_some(())?;
    lines.map(row).collect()
}

fn row(line: &[u8]) -> Option<Row> {
    let mut fields = line.fields();
    let (_, state, _, pid, ppid) = (
        fields.next()?,
        fields.next()?,
        fields.next()?,
        fields.next()?,
        fields.next()?,
    );
    // What stands between differs from version to version: the start is found by its form.
    let (start, behind) = started(line)?;
    // The terminal and the time used.
    let command = line.get(behind..)?.trim_start();
    let command = command.get(command.find_byte(b' ')?..)?.trim_start();
    let command = command.get(command.find_byte(b' ')?..)?.trim_start();
    let is_bracketed = command.starts_with(b"[") && command.ends_with(b"]");
    let is_bracketed = is_bracketed || command.ends_with(b" <defunct>");
    Some(Row {
        pid: number(pid)?,
        ppid: number(ppid)?,
        state: *state.first()?,
        start,
        command: if is_bracketed {
            Vec::new()
        } else {
            command.to_vec()
        },
    })
}

/// The first `Thu Nov 26 18:18:46 2026` of a line, and where it ends.
fn started(line: &[u8]) -> Option<(DateTime, usize)> {
    const LENGTH: usize = 24;
    let starts = words(line).filter(|&at| line.get(at).is_some_and(u8::is_ascii_uppercase));
    starts.into_iter().find_map(|at| {
        let text = line.get(at..at + LENGTH)?.to_str().ok()?;
        let time = DateTime::strptime("%a %b %e %H:%M:%S %Y", text).ok()?;
        Some((time, at + LENGTH))
    })
}

/// Where the words of a line begin.
fn words(line: &[u8]) -> impl Iterator<Item = usize> {
    line.windows(2)
        .enumerate()
        .filter(|(_, pair)| pair.first() == Some(&b' ') && pair.get(1) != Some(&b' '))
        .map(|(at, _)| at + 1)
}

/// The host's clock and zone, from `date` and `date --utc`; without the latter only where `date` itself says UTC.
pub fn clock(date: &[u8], utc: Option<&[u8]>) -> Option<(Timestamp, Offset)> {
    const QUARTER: i64 = 15 * 60;
    let (local, zone) = told(date)?;
    let is_utc = matches!(zone, "UTC" | "GMT");
    let seconds = match utc.and_then(told) {
        // The two were asked one after the other.
        Some((utc, _)) => {
            let apart = local.duration_since(utc).as_secs();
            let rounded = (apart + QUARTER / 2).div_euclid(QUARTER) * QUARTER;
            ((apart - rounded).abs() <= 60).then_some(rounded)?
        }
        None => is_utc.then_some(0)?,
    };
    let offset = Offset::from_seconds(i32::try_from(seconds).ok()?).ok()?;
    Some((offset.to_timestamp(local).ok()?, offset))
}

/// `Thu Nov 26 19:05:54 UTC 2026`, as `date` prints it in the C locale, which sos sets.
fn told(date: &[u8]) -> Option<(DateTime, &str)> {
    let words: Vec<&str> = date.to_str().ok()?.split_whitespace().collect();
    let [_, month, day, time, zone, year] = words.as_slice() else {
        return None;
    };
    let text = format!("{month} {day} {time} {year}");
    Some((DateTime::strptime("%b %d %H:%M:%S %Y", text).ok()?, zone))
}

/// `/proc/PID/stat` as far as it is read: name, state, parent and start, in ticks since `boot`.
pub fn stat(row: &Row, boot: DateTime) -> String {
    let since: SignedDuration = row.start.duration_since(boot);
    let name = row.command.split(|byte| matches!(byte, b' ' | b':')).next();
    let name = name.unwrap_or_default();
    let name = name.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let name: String = name.to_str_lossy().chars().take(15).collect();
    format!(
        "{} ({name}) {} {} {}{} 0\n",
        row.pid,
        char::from(row.state),
        row.ppid,
        "0 ".repeat(17),
        since.as_secs() * 100
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::process::Process;

    /// Made by sos 4.0 on Debian 12.
    const PS: &str = "\
F S   UID   PID  PPID  PGID   SID CLS PRI ADDR    SZ WCHAN                                 STARTED TT           TIME CMD
4 S     0     1     0     0     0  TS  29    - 11155 -                    Thu Nov 26 18:18:46 2026 ?        00:00:02 /sbin/init splash
1 S     0     2     0     0     0  TS  19    -     0 kthreadd             Thu Nov 26 18:18:46 2026 ?        00:00:00 [kthreadd]
1 S     0  4217  3319  4217  4217  TS   9    -  2616 sigsuspend.isra.0    Fri Nov  6 19:05:41 2026 pts/0    00:00:00 nginx: master process nginx  -c /etc/nginx/nginx.conf
4 Z    33  4433  4217  4217  4217  TS   9    -     0 do_exit              Thu Nov 26 19:05:45 2026 ?        00:00:00 [nginx] <defunct>
";

    #[test]
    fn processes_are_read_as_sos_lists_them() {
        let rows = processes(PS.as_bytes()).unwrap();
        assert_eq!(
            rows.iter().map(|row| row.pid).collect::<Vec<_>>(),
            [1, 2, 4217, 4433]
        );
        let master = &rows[2];
        assert_eq!(master.ppid, 3319);
        assert_eq!(
            master.start,
            jiff::civil::date(2026, 11, 6).at(19, 5, 41, 0)
        );
        assert_eq!(
            master.command.as_bstr(),
            "nginx: master process nginx  -c /etc/nginx/nginx.conf"
        );
        assert!(rows[1].command.is_empty() && rows[3].command.is_empty());
        // A later version has a column more.
        let later = PS
            .replace(" PRI ADDR ", " PRI PSR ADDR ")
            .replace("  29    - ", "  29   0    - ");
        assert_eq!(processes(later.as_bytes()).unwrap(), rows);
    }

    #[test]
    fn a_line_that_is_not_understood_leaves_nothing() {
        assert_eq!(processes(&PS.as_bytes()[..PS.len() - 40]), None);
        assert_eq!(processes(b"PID CMD\n1 init\n"), None);
    }

    #[test]
    fn a_process_is_what_its_stat_would_tell() {
        let rows = processes(PS.as_bytes()).unwrap();
        let boot = rows.iter().map(|row| row.start).min().unwrap();
        let at: Timestamp = "2026-11-06T19:05:41Z".parse().unwrap();
        let process = Process::parse(stat(&rows[0], boot).as_bytes(), b"", at).unwrap();
        assert_eq!(process.start, "2026-11-26T18:18:46Z".parse().unwrap());
        assert_eq!(
            (process.pid, process.ppid, process.comm.as_slice()),
            (1, 0, &b"init"[..])
        );
    }

    #[test]
    fn the_clock_needs_a_zone() {
        let date = b"Thu Nov 26 21:05:54 CEST 2026\n";
        let (at, offset) = clock(date, Some(b"Thu Nov 26 19:05:55 UTC 2026\n")).unwrap();
        assert_eq!(
            (at.to_string().as_str(), offset.seconds()),
            ("2026-11-26T19:05:54Z", 7200)
        );
        assert_eq!(clock(date, None), None);
        assert_eq!(
            clock(b"Thu Nov 26 19:05:54 UTC 2026", None).unwrap().1,
            Offset::UTC
        );
        assert_eq!(clock(date, Some(b"Thu Nov 26 19:11:55 UTC 2026\n")), None);
        assert_eq!(clock(b"Do 26. Nov 21:05:54 CEST 2026", None), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, text in "(F S \n|Thu Nov 26 18:18:46 2026| |[0-9a-z:?-]|\n){0,60}") {
            for bytes in [bytes.as_slice(), text.as_bytes()] {
                processes(bytes);
                clock(bytes, Some(bytes));
            }
        }
    }
}
