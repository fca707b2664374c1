//! The kernel's log as dated lines: from the journal, or from `dmesg` and the time of boot.
//!
//! What a line means is its reader's business. A process may choose its own name, and the kernel prints it: what stands
//! in parentheses or between quotes in a line is never to be taken for the kernel's word.

use bstr::ByteSlice as _;
use jiff::{SignedDuration, Timestamp};

use crate::ProbeRequest;
use crate::journal::Entry;

/// A line of the kernel's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelLine {
    /// When it was logged; of `dmesg` within seconds only, more the longer the host runs.
    pub at: Timestamp,
    /// The text, without its time.
    pub text: String,
}

/// Asks for the kernel's buffer as it is.
pub fn dmesg() -> ProbeRequest {
    ProbeRequest::command(["dmesg"])
}

/// The kernel's own lines of a journal.
pub fn of_journal(entries: &[Entry]) -> Vec<KernelLine> {
    let of_kernel = entries.iter().filter(|entry| entry.is_kernel);
    of_kernel
        .map(|entry| KernelLine {
            at: entry.at,
            text: crate::text::owned(&entry.message),
        })
        .collect()
}

/// The lines of `dmesg`, such as `[10717.638696] Out of memory: Killed process ...`; its clock begins at boot and stands
/// still while the host sleeps.
pub fn of_dmesg(output: &[u8], boot: Timestamp) -> Vec<KernelLine> {
    output
        .lines()
        .filter_map(|line| of_line(line, boot))
        .collect()
}

fn of_line(line: &[u8], boot: Timestamp) -> Option<KernelLine> {
    let (stamp, text) = line.strip_prefix(b"[")?.split_once_str("]")?;
    let (seconds, fraction) = stamp.trim_ascii_start().split_once_str(".")?;
    let fraction = fraction
        .first_chunk::<6>()
        .filter(|_| fraction.len() == 6)?;
    let since_boot = SignedDuration::new(
        crate::text::number(seconds)?,
        crate::text::number::<i32>(fraction)?.checked_mul(1000)?,
    );
    Some(KernelLine {
        at: boot.checked_add(since_boot).ok()?,
        text: crate::text::owned(text.strip_prefix(b" ").unwrap_or(text)),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BOOT: &str = "2026-11-21T02:00:00Z";
    /// util-linux 2.38 (Debian 12).
    const DMESG: &[u8] = b"[    0.000000] Linux version 6.1.0-41-cloud-amd64\n\
        [ 3600.500000] Memory cgroup out of memory: Killed process 390 (python3) total-vm:93884kB\n\
        [3601.000001]  continued\n\
        no time\n\
        [x] y\n\
        [1.5] short\n";

    #[test]
    fn lines_of_dmesg_are_dated_by_the_boot() {
        let lines = of_dmesg(DMESG, BOOT.parse().unwrap());
        let told: Vec<(String, &str)> = lines
            .iter()
            .map(|line| (line.at.to_string(), line.text.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                (BOOT.to_owned(), "Linux version 6.1.0-41-cloud-amd64"),
                (
                    "2026-11-21T03:00:00.5Z".to_owned(),
                    "Memory cgroup out of memory: Killed process 390 (python3) total-vm:93884kB"
                ),
                ("2026-11-21T03:00:01.000001Z".to_owned(), " continued"),
            ]
        );
    }

    #[test]
    fn only_the_kernels_entries_of_a_journal_are_its_lines() {
        let entries = crate::journal::entries(
            br#"{"__REALTIME_TIMESTAMP":"1795224484166312","_TRANSPORT":"kernel","MESSAGE":"audit: x"}
{"__REALTIME_TIMESTAMP":"1795224484166313","_TRANSPORT":"stdout","MESSAGE":"Out of memory: Killed process 1"}
"#,
        );
        let lines = of_journal(&entries);
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].text, "audit: x");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, stamp in "[0-9]{0,20}", fraction in "[0-9]{0,12}") {
            let boot = BOOT.parse().unwrap();
            of_dmesg(&bytes, boot);
            of_dmesg(format!("[{stamp}.{fraction}] x\n").as_bytes(), boot);
        }
    }
}
