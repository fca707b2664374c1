//! What the kernel's security modules denied nginx in the window, by audit's records.

use std::rc::Rc;

use facts::audit::AccessRecord;
use facts::{Answer, Exhibit, Gap};
use jiff::Timestamp;

use super::{Case, known};
use crate::incident::Incident;

/// nginx's clock and the kernel's are read one after the other: what happened in one second may be logged in the next.
const SECONDS_APART: i64 = 1;

/// Shows them where auditd writes; elsewhere they are in the kernel's log.
pub(crate) const LEARN_DENIALS: &str =
    "sudo ausearch -m AVC -c nginx -ts recent   (or: sudo dmesg -T | grep -i denied)";

/// Records of access since the window began.
#[derive(Clone, Debug)]
pub(crate) struct Denials {
    /// The oldest first.
    records: Vec<AccessRecord>,
    /// The command or file that shows them.
    place: &'static str,
    /// Since when none is missing, as far as they were logged at all.
    whole_since: Timestamp,
}

/// The records that are of one incident; never empty.
#[derive(Clone, Debug)]
pub(crate) struct Denied {
    /// The last of them.
    pub(crate) last: AccessRecord,
    /// The first of them, with their number.
    pub(crate) exhibit: Exhibit,
}

impl Denials {
    /// Whether a record of this incident would be here, had one been written.
    pub(crate) fn cover(&self, incident: &Incident) -> bool {
        self.whole_since <= incident.last_seen
    }

    fn of(
        &self,
        incident: &Incident,
        workers: &[u32],
        fits: impl Fn(&AccessRecord) -> bool,
    ) -> Option<Denied> {
        let is_of = |record: &&AccessRecord| {
            let second = record.at.as_second();
            let mut then = incident
                .seconds
                .range(second - SECONDS_APART..=second + SECONDS_APART);
            let is_nginx =
                record.comm == "nginx" || record.pid.is_some_and(|pid| workers.contains(&pid));
            is_nginx && then.next().is_some() && fits(record)
        };
        let records: Vec<&AccessRecord> = self.records.iter().filter(is_of).collect();
        let first = records.first()?;
        let more = match records.len() {
            1 => String::new(),
            n => format!("   ×{n}"),
        };
        Some(Denied {
            last: (*records.last()?).clone(),
            exhibit: Exhibit::Record {
                probe: "audit",
                at: Some(first.at),
                text: format!("{}{more}   ({})", first.text, self.place),
            },
        })
    }
}

impl Case {
    /// What was denied since the window began: auditd's log, or the kernel's own where auditd does not write.
    pub(crate) fn denials(&self) -> Result<Rc<Denials>, Gap> {
        self.evidence.once("denials", || {
            let request = facts::audit::log_since(self.window_start());
            let log = known(self.evidence.fact(&request, |record, bytes| {
                let is_cut = matches!(record.answer, Answer::File { cut: true, .. });
                (facts::audit::of_log(bytes), is_cut)
            }))?;
            if let Some((records, is_cut)) = log.as_deref()
                && let Some(first) = records.first()
            {
                return Ok(Denials {
                    records: records.clone(),
                    place: "/var/log/audit/audit.log",
                    whole_since: if *is_cut {
                        first.at
                    } else {
                        self.window_start()
                    },
                });
            }
            let log = self.kernel_log().map_err(|gap| {
                if gap.kind == facts::GapKind::Pending {
                    return gap;
                }
                Gap::new(
                    gap.kind,
                    "what the kernel's security modules denied",
                    gap.why,
                )
                .learn(LEARN_DENIALS)
            })?;
            let lines = log.lines.iter();
            Ok(Denials {
                records: lines
                    .filter_map(|line| facts::audit::of_kernel_line(&line.text))
                    .collect(),
                place: log.place,
                whole_since: log.since,
            })
        })
    }

    /// The records that are of nginx, of a second in which the incident's failures were logged, and fit; `None` where
    /// there are none.
    pub(crate) fn denied(
        &self,
        incident: &Incident,
        fits: impl Fn(&AccessRecord) -> bool,
    ) -> Result<Option<Denied>, Gap> {
        let denials = self.denials()?;
        let instance = self.instance(incident)?;
        let workers: Vec<u32> = instance.workers.iter().map(|worker| worker.pid).collect();
        Ok(denials.of(incident, &workers, fits))
    }
}
