//! Whether the requests that failed came on connections that had been idle just as long as the application keeps them,
//! from the access logs.
//!
//! Settings alone prove nothing: an application may close for a request's own sake.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bstr::ByteSlice as _;
use facts::{Exhibit, Gap};
use log::access::Access;

use super::Case;
use crate::incident::Incident;

/// A line's second and the application's own clock are this coarse.
const EARLY: i64 = 1;
const LATE: i64 = 2;

/// When which request was answered well.
#[derive(Default)]
struct Answers {
    seconds: BTreeSet<i64>,
    /// Methods by path.
    requests: BTreeMap<String, BTreeSet<String>>,
}

impl Case {
    /// The proof that each failure followed an answer by the application's idle time, and that the same requests are
    /// answered well at other times.
    pub(crate) fn met_the_close(
        &self,
        incident: &Incident,
        idle: Duration,
    ) -> Result<Exhibit, Gap> {
        let mut answers = Answers::default();
        self.each_answer(incident, |access| answers.take(access))?;
        let gap = |why: &'static str| {
            Gap::undecided("whether the failing connections had been idle", why)
                .leaning("the application may close kept connections before nginx does")
        };
        if answers.seconds.is_empty() {
            return Err(gap("no access log tells when the peer answered before"));
        }
        if !answers.hold_the_requests_of(incident) {
            return Err(gap(
                "the same request is not seen to be answered at other times",
            ));
        }
        let idle = i64::try_from(idle.as_secs()).unwrap_or(i64::MAX);
        let was_idle = |failed: i64| {
            let from = failed.saturating_sub(idle).saturating_sub(LATE);
            let to = failed.saturating_sub(idle).saturating_add(EARLY);
            answers.seconds.range(from..=to).next().is_some()
        };
        if !incident.seconds.keys().all(|&failed| was_idle(failed)) {
            return Err(gap("some request failed that long after no answer"));
        }
        // nginx reuses the connection that was freed last (`ngx_http_upstream_get_keepalive_peer`).
        let was_quiet = |failed: i64| {
            let from = failed.saturating_sub(idle).saturating_add(EARLY + 1);
            from >= failed || answers.seconds.range(from..failed).next().is_none()
        };
        if !incident.seconds.keys().all(|&failed| was_quiet(failed)) {
            return Err(gap(
                "others were answered in the meantime, on connections freed later",
            ));
        }
        Ok(Exhibit::Record {
            probe: "lines-since",
            at: None,
            text: format!(
                "the access log shows that each failure came {idle} s after an answer, with none in between, and that such requests are answered at other times"
            ),
        })
    }
}

impl Answers {
    fn take(&mut self, access: &Access<'_>) {
        self.seconds.extend(access.time());
        if let Some(request) = access.request()
            && let Some(path) = super::logs::path_of(request)
            && let Some(method) = request.fields().next()
        {
            let method = method.to_str_lossy().into_owned();
            let path = path.to_str_lossy().into_owned();
            self.requests.entry(path).or_default().insert(method);
        }
    }

    fn hold_the_requests_of(&self, incident: &Incident) -> bool {
        let method = incident.said(|event| {
            let method = event.request?.fields().next()?;
            Some(method.to_str_lossy().into_owned())
        });
        !incident.paths.is_empty()
            && incident.paths.iter().all(|path| {
                self.requests.get(path).is_some_and(|methods| {
                    method
                        .as_ref()
                        .is_none_or(|method| methods.contains(method))
                })
            })
    }
}
