//! What nginx is told not to log: a failure of which no log can tell is not known not to be.

use std::collections::BTreeSet;
use std::rc::Rc;

use conf::{ContextId, ContextKind, ErrorLog, LogSink, Model};
use facts::{Gap, GapKind};

use super::access::named_logs;
use super::config::span;
use super::{Case, Instance, known};

/// Levels at which nginx leaves out most of what it says of an upstream's failure.
const HIDING: [&str; 3] = ["crit", "alert", "emerg"];

/// Servers that are named.
const NAMED: usize = 8;

/// The passes of an instance whose failures no log tells of.
pub(super) struct Mute {
    /// What is not logged, and what would have it logged.
    pub(super) gap: Gap,
    /// All of its passes are such.
    pub(super) is_all: bool,
}

/// Whether an error log holds nothing of an upstream's failure, or the gravest at most.
pub(super) fn hides(log: &ErrorLog) -> bool {
    HIDING.iter().any(|level| log.level == *level)
        || matches!(&log.sink, LogSink::File(path) if path == "/dev/null")
}

impl Case {
    /// The passes of a running nginx whose failures are logged nowhere: neither as errors nor as a client's status.
    pub(super) fn mute(&self, idx: usize, instance: &Instance) -> Result<Rc<Option<Mute>>, Gap> {
        self.evidence
            .once(format!("mute {idx}"), || self.mute_of(idx, instance))
    }

    fn mute_of(&self, idx: usize, instance: &Instance) -> Result<Option<Mute>, Gap> {
        if instance.master.is_none() || self.options.error_log.is_some() {
            return Ok(None);
        }
        let Some(configured) = known(self.configured(idx))? else {
            return Ok(None);
        };
        let model = &configured.model;
        let (mute, heard): (Vec<ContextId>, Vec<ContextId>) = model
            .passes()
            .iter()
            .map(|pass| pass.context)
            .partition(|&context| is_mute(model, instance, context));
        let Some(&first) = mute.first() else {
            return Ok(None);
        };
        let servers: BTreeSet<String> = mute
            .iter()
            .filter_map(|&context| model.server_of(context))
            .map(|server| model.logged_name(server.id).to_string())
            .filter(|name| !name.is_empty())
            .take(NAMED)
            .collect();
        let whose = match (heard.is_empty(), servers.len()) {
            (true, _) | (_, 0) => String::new(),
            _ => format!(" of {}", servers.into_iter().collect::<Vec<_>>().join(", ")),
        };
        let hiding = model.error_logs(first).into_iter().next();
        let hiding = hiding.and_then(|log| span(model, log.directive, None));
        let hiding = hiding.map_or_else(
            || "error_log hides it".to_owned(),
            |span| {
                format!(
                    "{} ({}:{}) hides it",
                    span.text.trim_end_matches(';'),
                    span.file.display(),
                    span.line
                )
            },
        );
        let gap = Gap::new(
            GapKind::Absent,
            format!("whether requests{whose} fail"),
            format!("nginx logs nothing that would tell: {hiding}, and no access log is written there; set it as below and reload nginx"),
        )
        .learn(format!(
            "error_log {} error;",
            shown(&instance.default_error_log)
        ));
        Ok(Some(Mute {
            gap,
            is_all: heard.is_empty(),
        }))
    }
}

/// A file that the errors may go to.
fn shown(built: &std::path::Path) -> String {
    if built.is_absolute() && built.file_name().is_some_and(|name| name != "stderr") {
        built.display().to_string()
    } else {
        "/var/log/nginx/error.log".to_owned()
    }
}

fn is_mute(model: &Model, instance: &Instance, context: ContextId) -> bool {
    let logs = model.error_logs(context);
    let is_hidden = !logs.is_empty() && logs.iter().all(hides);
    let is_http = model.protocol_of(context) == Some(ContextKind::Http);
    let tells_clients = is_http
        && named_logs(model, instance, context)
            .iter()
            .any(|(path, _)| path != std::path::Path::new("/dev/null"));
    is_hidden && !tells_clients
}

#[cfg(test)]
mod tests {
    use crate::fixture::Fixture;

    /// What is said of an nginx that is told so, and whether nothing of it is heard.
    fn said(main: &str, http: &str, server: &str) -> (Vec<String>, bool) {
        let host = format!(
            "
            //- nginx
            //- file /etc/nginx/nginx.conf
            {main}
            http {{ {http}
            server {{ server_name shop.example; {server} location / {{ proxy_pass http://127.0.0.1:8000; }} }}
            server {{ server_name other.example; location / {{ proxy_pass http://127.0.0.1:8001; }} }}
            }}
            //- file /var/log/nginx/error.log
        "
        );
        let diagnosis = Fixture::parse(&host).diagnose();
        assert_eq!(diagnosis.incidents.len(), 0);
        let gaps = diagnosis.gaps.iter();
        let told = gaps.filter(|gap| gap.missing.starts_with("whether requests"));
        let told = told.map(|gap| format!("{}: {}", gap.missing, gap.why));
        (told.collect(), diagnosis.is_unheard)
    }

    #[test]
    fn what_no_log_tells_is_not_known_not_to_be() {
        for level in ["/dev/null", "/var/log/nginx/error.log emerg"] {
            let (told, is_unheard) = said(&format!("error_log {level};"), "access_log off;", "");
            assert_eq!(
                told,
                [format!(
                    "whether requests fail: nginx logs nothing that would tell: error_log {level} (/etc/nginx/nginx.conf:1) hides it, and no access log is written there; set it as below and reload nginx"
                )]
            );
            assert!(is_unheard);
        }
    }

    #[test]
    fn one_site_that_is_not_logged_is_named() {
        let (told, is_unheard) = said("", "", "error_log /dev/null; access_log off;");
        assert_eq!(told.len(), 1);
        assert!(told[0].starts_with("whether requests of shop.example fail"));
        assert!(!is_unheard);
    }

    #[test]
    fn one_log_suffices() {
        for (main, http) in [
            ("error_log /dev/null;", ""),
            ("", "access_log off;"),
            (
                "error_log /dev/null; error_log /var/log/nginx/error.log;",
                "access_log off;",
            ),
        ] {
            assert_eq!(said(main, http, ""), (Vec::new(), false), "{main} {http}");
        }
    }
}
