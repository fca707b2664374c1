//! See the doc comment of [`NON_IDEMPOTENT_RETRY`].

use conf::{Address, Edit, Pass, PassKind, Span, Target};

use super::keepalive_without_http11::keeps;
use super::subject::module_of;
use super::{Edits, Found, Severity, Subject};

declare_lint! {
    /// A request that changes something, such as POST, is sent to the next server when the first one failed on it.
    ///
    /// ## Found when
    /// `*_next_upstream` with `non_idempotent` is in force where requests are passed on to more than one server. When a server takes a
    /// POST and fails before it answers, the next one gets it too: an order is placed twice.
    ///
    /// ## Silent when
    /// There is one server, tries are limited to one (`*_next_upstream_tries 1`), or only `GET` and `HEAD` are let in.
    ///
    /// ## Fix
    /// Take `non_idempotent` away. Unsafe: it is shown, for an application may well take a request twice. gRPC sends POST alone,
    /// and there the retry may be wanted: it is a note.
    ///
    /// ## See also
    /// <https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_next_upstream>
    pub(crate) static NON_IDEMPOTENT_RETRY = {
        id: "non-idempotent-retry", since: "0.1.0", severity: Warning, judge: Text(judge),
    }
}

const WORD: &str = "non_idempotent";

fn judge(subject: &Subject<'_>) -> Vec<Found> {
    let passes = subject.model.passes().iter();
    passes.filter_map(|pass| retried(subject, pass)).collect()
}

fn retried(subject: &Subject<'_>, pass: &Pass) -> Option<Found> {
    if pass.kind == PassKind::Stream {
        return None;
    }
    let module = module_of(pass.kind);
    let model = subject.model;
    let at = *model
        .in_force(pass.context, &format!("{module}_next_upstream"))
        .last()?;
    let argument = model.args(at).iter().position(|arg| *arg == WORD)?;
    let tries = subject.value(pass.context, &format!("{module}_next_upstream_tries"));
    let is_tried_once = tries.is_some_and(|(tries, _)| tries == "1");
    if is_tried_once || only_reads(subject, pass) || !has_next(subject, pass) {
        return None;
    }
    let reason = "a POST that a server took and did not answer is sent to the next one too: what it does is done twice";
    let found = Found::at(subject.span(at, Some(argument))?, "POST is sent again", reason).and(
        subject.span(pass.directive, None),
        "requests from here",
    );
    let found = found.could("retry only what changes nothing", without(subject, at, argument));
    Some(if pass.kind == PassKind::Grpc {
        found.severity(Severity::Note)
    } else {
        found
    })
}

/// Whether there is a server to send a request to next.
fn has_next(subject: &Subject<'_>, pass: &Pass) -> bool {
    let is_name = |address: &Address| matches!(address, Address::Tcp { host: conf::Host::Name(_), .. });
    let targets = pass.target.certain_and_possible().into_iter();
    let own = targets.filter_map(|target| match target {
        Target::Address(address) => Some(address),
        _ => None,
    });
    own.into_iter().any(is_name)
        || subject.upstreams_of(pass).iter().any(|upstream| {
            let used = upstream.servers.iter().filter(|line| !line.down);
            // A connection that was kept and is stale gives one more try.
            used.clone().count() > 1
                || keeps(upstream)
                || used.filter_map(|line| line.address.as_ref()).any(is_name)
        })
}

/// Whether nothing but `GET` and `HEAD` gets there.
fn only_reads(subject: &Subject<'_>, pass: &Pass) -> bool {
    let method = subject.value(pass.context, &format!("{}_method", module_of(pass.kind)));
    if method.is_some_and(|(method, _)| matches!(method.as_str(), "GET" | "HEAD")) {
        return true;
    }
    let model = subject.model;
    model.chain(pass.context).any(|level| {
        let limits = model.own(level.id, "limit_except").iter();
        let mut limits = limits.filter(|&&at| {
            let reads = model.args(at).iter().all(|method| *method == "GET" || *method == "HEAD");
            let denied = model.context_opened_by(at).is_some_and(|block| {
                model
                    .own(block.id, "deny")
                    .iter()
                    .any(|&deny| model.arg(deny, 0).is_some_and(|from| from == "all"))
            });
            reads && denied
        });
        limits.next().is_some()
    })
}

/// The directive without one of its arguments.
fn without(subject: &Subject<'_>, at: conf::DirectiveRef, argument: usize) -> Option<Edits> {
    let directive = subject.model.directive(at)?;
    if directive.args().len() < 2 {
        return None;
    }
    let start = match argument.checked_sub(1) {
        Some(before) => directive.arg(before)?.span().end,
        None => directive.name_span().end,
    };
    let span = Span::new(start, directive.arg(argument)?.span().end);
    let edit = Edit {
        span,
        replacement: Vec::new(),
    };
    Some(vec![(at.file, edit)])
}

#[cfg(test)]
mod tests {
    use crate::lints::tests::{found, silent};

    const ID: &str = "non-idempotent-retry";

    #[test]
    fn found_where_there_is_a_next_server() {
        insta::assert_snapshot!(found(ID, ["
            http {
                upstream two { server 127.0.0.1:8000; server 127.0.0.1:8001 backup; }
                proxy_next_upstream error timeout non_idempotent;
                server { location / { proxy_pass http://two; } }
            }
        "]), @"
        3:35: warning: a POST that a server took and did not answer is sent to the next one too: what it does is done twice
          `non_idempotent` POST is sent again
          - line 4: `proxy_pass http://two;` requests from here
          unsafe: retry only what changes nothing
            + proxy_next_upstream error timeout;
        ");
    }

    #[test]
    fn silent_where_nothing_is_sent_again() {
        silent(ID, ["
            http {
                upstream one { server 127.0.0.1:8000; server 127.0.0.1:8001 down; }
                upstream two { server 127.0.0.1:8000; server 127.0.0.1:8001; }
                server {
                    location / { proxy_next_upstream error timeout http_502; proxy_pass http://two; }
                    location /one { proxy_next_upstream error non_idempotent; proxy_pass http://one; }
                    location /tries {
                        proxy_next_upstream error non_idempotent;
                        proxy_next_upstream_tries 1;
                        proxy_pass http://two;
                    }
                    location /reads {
                        proxy_next_upstream error non_idempotent;
                        limit_except GET { deny all; }
                        proxy_pass http://two;
                    }
                    location /alone { proxy_next_upstream non_idempotent; proxy_pass http://10.0.0.1:80; }
                }
            }
        "]);
    }
}
