//! How long each layer waits for a response: nginx and the application behind it, side by side.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use facts::application::{Kind, Limit as Set, Origin, Settings, php_fpm};
use facts::{Exhibit, Gap, ProbeRequest};

use super::application::Application;
use super::config::Limit;
use super::deaths::answers_one_at_once;
use super::{Case, known};
use crate::incident::Incident;

/// What two layers wait for the same response.
pub(crate) struct Patience {
    /// The directive, with its value and where it stands.
    nginx: Layer,
    /// The application's limit for a request, by its name.
    own: Layer,
    own_name: &'static str,
    program: &'static str,
    /// PHP's own limit, which does not count what a script waits for.
    script: Option<String>,
}

/// A limit in words, and after how long it ends a request; `None` for never.
struct Layer {
    text: String,
    after: Option<Duration>,
}

/// An application's own limit for a single request.
#[derive(Clone, Debug)]
pub(crate) struct OwnLimit {
    /// Its program.
    pub(crate) program: &'static str,
    /// The limit in words, with where it is set.
    pub(crate) text: String,
    /// After how long; `None` for never.
    pub(crate) after: Option<Duration>,
}

/// Who gives up first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Nginx,
    Application,
    Both,
    /// The application never does.
    NginxAlone,
}

impl Patience {
    fn order(&self) -> Order {
        match (self.nginx.after, self.own.after) {
            (_, None) => Order::NginxAlone,
            (None, Some(_)) => Order::Application,
            (Some(nginx), Some(own)) if nginx < own => Order::Nginx,
            (Some(nginx), Some(own)) if nginx > own => Order::Application,
            (Some(_), Some(_)) => Order::Both,
        }
    }

    /// Both limits, and who gives up first.
    pub(crate) fn exhibit(&self) -> Exhibit {
        let order = match self.order() {
            Order::Nginx => "as set, nginx gives up first",
            Order::Application => "as set, the application gives up first",
            Order::Both => "as set, both give up at once",
            Order::NginxAlone => "as set, nginx alone gives up",
        };
        let script = self.script.as_ref().map(|text| format!(", {text}"));
        Exhibit::Record {
            probe: "process",
            at: None,
            text: format!(
                "{}, {}{}: {order}",
                self.nginx.text,
                self.own.text,
                script.unwrap_or_default()
            ),
        }
    }

    /// What to set where nginx gives up and the application goes on with a request that nobody waits for any more.
    pub(crate) fn advice_where_nginx_is_first(&self) -> Option<String> {
        let (program, name) = (self.program, self.own_name);
        match self.order() {
            Order::Nginx => Some(format!(
                "nginx gives up first, and {program} goes on with a request that nobody waits for: set {name} below nginx's, or nginx's above it"
            )),
            Order::NginxAlone => {
                // PHP's own limit ends what computes, not what waits.
                let ends = if self.script.is_some() {
                    "nothing but PHP's own limit ends"
                } else {
                    "nothing ends"
                };
                Some(format!(
                    "{ends} such a request in {program} once nginx has given up: set {name} below nginx's read time-out"
                ))
            }
            Order::Application | Order::Both => None,
        }
    }

    /// nginx's limit, where it is not above the application's.
    pub(crate) fn nginx_is_not_above(&self) -> Option<&str> {
        matches!(self.order(), Order::Nginx | Order::Both).then_some(self.nginx.text.as_str())
    }
}

impl Case {
    /// How long nginx and the application wait for a response, of each time-out of nginx's that is in force for the failing
    /// requests. Empty where the application has no such limit, or either cannot be told: no file may have changed since it
    /// was read.
    pub(crate) fn patience(
        &self,
        incident: &Incident,
        application: &Application,
    ) -> Result<Vec<Patience>, Gap> {
        let Some(limits) = known(self.read_timeouts(incident))? else {
            return Ok(Vec::new());
        };
        if limits.is_empty() || !self.is_in_force(incident, &limits, application)? {
            return Ok(Vec::new());
        }
        let script = self.script_limit(incident, application)?;
        let side_by_side = |limit: &Limit| {
            let after = limit.duration()?;
            let (program, own_name, own) = application.limit_of_a_request()?;
            Some(Patience {
                nginx: Layer {
                    text: in_words(limit),
                    after: Some(after).filter(|after| !after.is_zero()),
                },
                own,
                own_name,
                program,
                script: script.clone(),
            })
        };
        let all = limits.iter().map(side_by_side);
        Ok(all.collect::<Option<Vec<_>>>().unwrap_or_default())
    }

    /// Whether nginx and the application run what stands in their files now.
    fn is_in_force(
        &self,
        incident: &Incident,
        limits: &[Limit],
        application: &Application,
    ) -> Result<bool, Gap> {
        let dialled = known(self.dialled_by(incident))?;
        let exhibits = limits.iter().filter_map(|limit| limit.exhibit.as_ref());
        let files: BTreeSet<PathBuf> = exhibits
            .chain(&dialled)
            .filter_map(|exhibit| match exhibit {
                Exhibit::Config(span) => Some(span.file.clone()),
                Exhibit::Log { .. } | Exhibit::Record { .. } => None,
            })
            .collect();
        Ok(known(self.was_loaded(incident, &files))?.is_some()
            && self.has_read_its_files(application)?)
    }

    /// Whether the application answered another request while the first one waited in vain: then it was not stopped. It
    /// waited for the shortest of these limits at least.
    pub(crate) fn answered_while_waiting(
        &self,
        incident: &Incident,
        limits: &[Limit],
    ) -> Result<bool, Gap> {
        let after = limits
            .iter()
            .map(Limit::duration)
            .collect::<Option<Vec<_>>>();
        let shortest = after.and_then(|all| all.into_iter().min());
        let Some(seconds) = shortest.and_then(|after| i64::try_from(after.as_secs()).ok()) else {
            return Ok(false);
        };
        let failed = incident.first_seen.as_second();
        // The seconds of both ends may hold what was before and after.
        let waited = failed.saturating_sub(seconds) + 1..=failed - 1;
        if waited.is_empty() {
            return Ok(false);
        }
        Ok(known(self.answered(incident, &waited))?.flatten().is_some())
    }

    /// PHP's `max_execution_time`, of the pool or of the `php.ini` beside php-fpm's own file.
    fn script_limit(
        &self,
        incident: &Incident,
        application: &Application,
    ) -> Result<Option<String>, Gap> {
        if application.kind() != Some(Kind::PhpFpm) {
            return Ok(None);
        }
        let Some(pool) = self.pool_of(incident)? else {
            return Ok(None);
        };
        let words = |value: &str, origin: &Origin| {
            format!("PHP's max_execution_time is {value} s by {origin} and does not count waiting")
        };
        if let Some(set) = pool.max_execution_time() {
            return Ok(Some(words(&set.value, &set.origin)));
        }
        let ini = pool
            .main()
            .parent()
            .unwrap_or(Path::new("/"))
            .join("php.ini");
        let text = known(self.evidence.bytes(&ProbeRequest::host_file(&ini)))?;
        let set = text.and_then(|(_, text)| php_fpm::ini_value(text, "max_execution_time"));
        Ok(set.map(|(value, line)| words(&value, &Origin::File(ini, line))))
    }
}

/// `proxy_read_timeout is 5s by /etc/nginx/nginx.conf:3`.
fn in_words(limit: &Limit) -> String {
    let place = match &limit.exhibit {
        Some(Exhibit::Config(span)) => format!("{}:{}", span.file.display(), span.line),
        _ => "its default".to_owned(),
    };
    format!("{} is {} by {place}", limit.name, limit.text)
}

impl Limit {
    /// The time; `None` where it is not written as one.
    fn duration(&self) -> Option<Duration> {
        conf::units::parse_time(self.text.as_bytes())
    }
}

impl Application {
    /// What ends a single request that takes too long there; `None` where nothing is known to.
    pub(crate) fn own_limit(&self) -> Option<OwnLimit> {
        own_limit(self.kind()?, self.settings())
    }

    /// Its program, the name of what ends a single request that takes too long there, and that limit.
    fn limit_of_a_request(&self) -> Option<(&'static str, &'static str, Layer)> {
        limit_of_a_request(self.kind()?, self.settings())
    }
}

/// The same of the settings of one that need not run.
pub(super) fn own_limit(kind: Kind, settings: &Settings) -> Option<OwnLimit> {
    let (program, _, layer) = limit_of_a_request(kind, settings)?;
    Some(OwnLimit {
        program,
        text: layer.text,
        after: layer.after,
    })
}

fn limit_of_a_request(
    kind: Kind,
    settings: &Settings,
) -> Option<(&'static str, &'static str, Layer)> {
    let name = match kind {
        // Other workers than sync ones only have to show that they live.
        Kind::Gunicorn if answers_one_at_once(settings) => "--timeout",
        Kind::Uwsgi => "harakiri",
        Kind::PhpFpm => "request_terminate_timeout",
        Kind::Unicorn => "timeout",
        _ => return None,
    };
    let set = settings.timeout.as_ref()?;
    let (program, origin) = (kind.name(), &set.origin);
    let text = match set.value {
        Set::After(after) => {
            format!("{program}'s {name} is {} s by {origin}", after.as_secs())
        }
        Set::Never => format!("{program}'s {name} is off by {origin}"),
    };
    let after = set.value.duration();
    Some((program, name, Layer { text, after }))
}
