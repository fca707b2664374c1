//! What the kernel logged: killed processes, and what a security module denied.

use std::rc::Rc;

use facts::kernel_log::KernelLine;
use facts::{Answer, Gap, GapKind};
use jiff::Timestamp;

use super::{Case, known};

/// Entries of the kernel's journal that are read: the last ones.
const KERNEL_LINES: u32 = 5000;

/// The kernel's log since the window began.
#[derive(Clone, Debug)]
pub(crate) struct KernelLog {
    /// Its lines, the oldest first.
    pub(crate) lines: Vec<KernelLine>,
    /// The command that shows it.
    pub(crate) place: &'static str,
    /// Since when it is whole: a line that would be older may be gone.
    pub(crate) since: Timestamp,
}

impl Case {
    /// The kernel's log since the window began. That a line is not in it proves that it was not logged after
    /// [`KernelLog::since`].
    pub(crate) fn kernel_log(&self) -> Result<Rc<KernelLog>, Gap> {
        self.evidence.once("kernel log", || {
            if let Some(log) = self.kernel_journal()? {
                return Ok(log);
            }
            match known(self.kernel_buffer())? {
                Some(log) => Ok(log),
                None => Err(Gap::new(
                    GapKind::Denied,
                    "the kernel's log",
                    "neither the journal nor dmesg shows it",
                )
                .learn("sudo dmesg -T")),
            }
        })
    }

    /// The journal's part of it; `None` where the journal shows none, which may be for want of rights, or because it
    /// keeps none.
    fn kernel_journal(&self) -> Result<Option<KernelLog>, Gap> {
        if !self.has_systemd()? {
            return Ok(None);
        }
        let request = facts::journal::of_kernel(self.window_start(), KERNEL_LINES);
        let Some(record) = known(self.evidence.record(&request))? else {
            return Ok(None);
        };
        if matches!(&record.answer, Answer::Exit { stderr, .. } if facts::journal::is_partial(stderr))
        {
            return Ok(None);
        }
        let lines = known(self.evidence.fact(&request, |_, output| {
            facts::kernel_log::of_journal(&facts::journal::entries(output))
        }))?;
        let Some(lines) = lines.filter(|lines| !lines.is_empty()) else {
            return Ok(None);
        };
        let is_cut = lines.len() >= KERNEL_LINES as usize;
        Ok(Some(KernelLog {
            since: lines
                .first()
                .filter(|_| is_cut)
                .map_or(self.window_start(), |first| first.at),
            lines: (*lines).clone(),
            place: "journalctl -k",
        }))
    }

    /// The buffer in the kernel's memory.
    fn kernel_buffer(&self) -> Result<KernelLog, Gap> {
        let boot = self.boot()?;
        let all = self
            .evidence
            .fact(&facts::kernel_log::dmesg(), |_, output| {
                facts::kernel_log::of_dmesg(output, boot)
            })?;
        let from = self.window_start();
        let first = all
            .first()
            .ok_or_else(|| Gap::undecided("the kernel's log", "its buffer is empty"))?;
        Ok(KernelLog {
            since: from.max(first.at),
            lines: all.iter().filter(|line| line.at >= from).cloned().collect(),
            place: "dmesg -T",
        })
    }
}

#[cfg(test)]
mod tests {
    use facts::Probe as _;

    use super::*;
    use crate::fixture::Fixture;

    /// What the kernel's log is on a host: where it was read and its lines, or why there is none.
    fn told(text: &str) -> String {
        let fixture = Fixture::parse(text);
        let mut case = Case::new(fixture.options.clone());
        loop {
            let log = case.kernel_log();
            let wanted = case.evidence.wanted();
            if wanted.is_empty() {
                return match log {
                    Ok(log) => {
                        let lines = log.lines.iter().map(|line| {
                            format!(", {} {}", line.at.strftime("%H:%M:%S"), line.text)
                        });
                        let since = log.since.strftime("%H:%M:%S");
                        format!("{} since {since}{}", log.place, lines.collect::<String>())
                    }
                    Err(gap) => format!("{}: {}", gap.missing, gap.why),
                };
            }
            for request in wanted {
                let record = fixture.host.ask(&request);
                case.add(request, record);
            }
        }
    }

    #[test]
    fn the_journal_tells_it_where_there_is_one_else_dmesg() {
        for (host, expected) in [
            (
                "//- unit x.service ActiveState=active
                //- kernel
                14:02:11 Out of memory: Killed process 7 (x)",
                "journalctl -k since 13:05:00, 14:02:11 Out of memory: Killed process 7 (x)",
            ),
            (
                "//- kernel
                12:00:00 before the window
                14:02:11 Out of memory: Killed process 7 (x)",
                "dmesg -T since 13:05:00, 14:02:11 Out of memory: Killed process 7 (x)",
            ),
            // It has nothing to say.
            (
                "//- unit x.service ActiveState=active
                //- kernel",
                "dmesg -T since 13:05:00",
            ),
            (
                "//- unit x.service ActiveState=active",
                "the kernel's log: neither the journal nor dmesg shows it",
            ),
            (
                "//- kernel
                14:02:11 x
                //- denied command dmesg",
                "the kernel's log: neither the journal nor dmesg shows it",
            ),
        ] {
            assert_eq!(told(host), expected, "{host}");
        }
    }
}
