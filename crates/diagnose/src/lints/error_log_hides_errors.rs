//! See the doc comment of [`ERROR_LOG_HIDES_ERRORS`].

use conf::{ContextId, ErrorLog, LogSink};

use super::{Edits, Found, Subject};

declare_lint! {
    /// The error log leaves out the very lines that say why a request failed.
    ///
    /// ## Found when
    /// Where requests are passed on, every `error_log` in force has a level above `error` (`crit`, `alert`, `emerg`), or goes to
    /// `/dev/null`. nginx logs a refused or timed out connection at `error`.
    /// `error_log off` switches nothing off: it writes a file called `off`, and is told too.
    ///
    /// ## Silent when
    /// Another `error_log` in force takes these lines, or nothing is passed on where the directive rules, as in
    /// `location = /favicon.ico { error_log /dev/null; }`.
    ///
    /// ## Fix
    /// Write the level `error`. Safe: it only adds lines to a log.
    ///
    /// ## See also
    /// <https://nginx.org/en/docs/ngx_core_module.html#error_log>
    pub(crate) static ERROR_LOG_HIDES_ERRORS = {
        id: "error-log-hides-errors", since: "0.1.0", severity: Warning, judge: Text(judge),
    }
}

/// What stands above `error`.
const ABOVE: [&str; 3] = ["crit", "alert", "emerg"];

fn judge(subject: &Subject<'_>) -> Vec<Found> {
    let passes = subject.model.passes().iter();
    let contexts: Vec<ContextId> = passes.map(|pass| pass.context).collect();
    let mut found: Vec<Found> = Vec::new();
    let mut seen = std::collections::BTreeSet::new();
    for context in contexts {
        let logs = subject.model.error_logs(context);
        if logs.iter().any(takes_errors) {
            continue;
        }
        for log in logs {
            if seen.insert(log.directive) {
                found.extend(told(subject, context, &log));
            }
        }
    }
    found
}

fn is_nowhere(log: &ErrorLog) -> bool {
    matches!(&log.sink, LogSink::File(name) if name == "/dev/null")
}

fn is_off(log: &ErrorLog) -> bool {
    matches!(&log.sink, LogSink::File(name) if name == "off")
}

fn takes_errors(log: &ErrorLog) -> bool {
    !is_nowhere(log) && !is_off(log) && !ABOVE.iter().any(|level| log.level == *level)
}

fn told(subject: &Subject<'_>, context: ContextId, log: &ErrorLog) -> Option<Found> {
    let level = subject.level_of(log.directive);
    let at = log.directive;
    let ruled = subject.model.location_label(context);
    let ruled = if ruled == level {
        String::new()
    } else {
        format!("; it is set at {level} and rules {ruled}, which passes requests on")
    };
    if is_off(log) {
        let span = subject.span(at, Some(0))?;
        let reason = format!("this does not switch the log off: nginx writes a file called off in its prefix, where nobody looks for it{ruled}");
        return Some(Found::at(span, "a file called off", reason));
    }
    if is_nowhere(log) {
        let span = subject.span(at, Some(0))?;
        let reason =
            format!("no line says why a request fails: what nginx logs here goes nowhere{ruled}");
        return Some(Found::at(span, "goes nowhere", reason));
    }
    let span = subject.span(at, Some(1))?;
    let reason = format!(
        "no line says why a request fails: nginx logs a refused or timed out connection at error, and {} leaves that out{ruled}",
        log.level
    );
    let edits: Option<Edits> = subject.set_argument(at, 1, "error");
    let found = Found::at(span, "leaves out error", reason);
    Some(found.mend("log from error on", edits))
}

#[cfg(test)]
mod tests {
    use crate::lints::tests::{found, silent};

    const ID: &str = "error-log-hides-errors";

    #[test]
    fn a_level_above_error_is_told_where_requests_are_passed_on() {
        insta::assert_snapshot!(found(ID, ["
            error_log /var/log/nginx/error.log crit;
            http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
        "]), @"
        1:36: warning: no line says why a request fails: nginx logs a refused or timed out connection at error, and crit leaves that out; it is set at the main level and rules location /, which passes requests on
          `crit` leaves out error
          safe: log from error on
            + error_log /var/log/nginx/error.log error;
        ");
    }

    #[test]
    fn a_log_that_goes_nowhere_and_one_called_off_are_told() {
        insta::assert_snapshot!(found(ID, ["
            http {
                server { error_log /dev/null; location / { proxy_pass http://127.0.0.1:8000; } }
                server { error_log off; location / { uwsgi_pass 127.0.0.1:8000; } }
            }
        "]), @"
        2:20: warning: no line says why a request fails: what nginx logs here goes nowhere; it is set at server and rules location /, which passes requests on
          `/dev/null` goes nowhere
        3:20: warning: this does not switch the log off: nginx writes a file called off in its prefix, where nobody looks for it; it is set at server and rules location /, which passes requests on
          `off` a file called off
        ");
    }

    #[test]
    fn levels_that_show_errors_and_places_that_pass_nothing_on_are_not() {
        silent(ID, ["
            error_log /var/log/nginx/error.log warn;
            http {
                server {
                    location = /favicon.ico { log_not_found off; error_log /dev/null; }
                    location /static { error_log /var/log/static.log crit; root /srv; }
                    location / { proxy_pass http://127.0.0.1:8000; }
                }
                server {
                    error_log /var/log/nginx/crit.log crit;
                    error_log syslog:server=127.0.0.1;
                    location / { proxy_pass http://127.0.0.1:8000; }
                }
            }
        "]);
        silent(ID, ["http { server { location / { proxy_pass http://127.0.0.1:8000; } } }"]);
    }
}
