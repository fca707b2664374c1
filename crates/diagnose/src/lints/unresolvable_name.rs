//! See the doc comment of [`UNRESOLVABLE_NAME`].

use conf::{Address, Host};
use facts::{Gap, GapKind};

use super::subject::is_reserved;
use super::{Found, Subject};

declare_lint! {
    /// A name that nginx looks up when it starts does not resolve: nginx will not start, and a reload is refused.
    ///
    /// ## Found when
    /// A pass, or a `server` of an upstream (used or not, `down` or not), names a host that neither the hosts file nor the resolver of
    /// nginx's host knows, asked now: `host not found in upstream`.
    ///
    /// ## Silent when
    /// The name resolves, stands in a variable, or the `server` has `resolve`. Where there is no host or snapshot, nobody can be
    /// asked, and that is said (but of names in `.invalid`, which nobody has).
    ///
    /// ## Fix
    /// None is made: correct the name, or have it resolve (`/etc/hosts`, the name server, an `After=network-online.target` of nginx's
    /// unit where it resolves only later).
    ///
    /// ## See also
    /// `why502 explain upstream-name-unresolvable`
    pub(crate) static UNRESOLVABLE_NAME = {
        id: "unresolvable-name", since: "0.1.0", severity: Error, judge: Host(judge),
    }
}

fn judge(subject: &Subject<'_>) -> Result<Vec<Found>, Gap> {
    let names: Vec<_> = subject
        .dialled()
        .into_iter()
        .filter_map(|dialled| match dialled.address {
            Address::Tcp { host: Host::Name(name), .. } if name != "localhost" => {
                let is_resolved_again = dialled.line.is_some_and(|(_, line)| line.resolve);
                (!is_resolved_again).then_some((dialled.at, name))
            }
            _ => None,
        })
        .collect();
    if names.is_empty() {
        return Ok(Vec::new());
    }
    if subject.host().is_err() && names.iter().all(|(_, name)| is_reserved(name)) {
        let found = names.into_iter();
        return Ok(found.filter_map(|(at, name)| found_at(subject, at, name)).collect());
    }
    let host = subject.host()?;
    host.is_seen_from_inside()?;
    let found = names.into_iter().filter_map(|(at, name)| {
        match host.case.look_up(host.idx(), name) {
            Ok(addresses) if addresses.is_empty() => {}
            // Without a way to ask, nothing is known; a program that is not there is no answer either.
            Err(gap) if gap.kind != GapKind::Pending => {
                subject.settle::<()>(Err(gap));
                return None;
            }
            _ => return None,
        }
        found_at(subject, at, name)
    });
    Ok(found.collect())
}

fn found_at(subject: &Subject<'_>, at: conf::DirectiveRef, name: &str) -> Option<Found> {
    let reason = format!("{name} does not resolve here: nginx refuses to start or to reload with it (host not found in upstream)");
    let span = subject.span(at, Some(0))?;
    Some(Found::at(span, "does not resolve", reason))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use jiff::Timestamp;

    use crate::lints::tests::{found, silent};
    use crate::{LintOptions, LintReport};

    const ID: &str = "unresolvable-name";
    const CONF: &str = "
        //- nginx
        //- file /etc/nginx/nginx.conf
        http {
            upstream shop { server shop.internal:8000; server 10.0.0.1:8000; }
            server { location / { proxy_pass http://shop; } }
        }
    ";

    #[test]
    fn found_where_nobody_knows_the_name() {
        insta::assert_snapshot!(found(ID, [CONF, "
            //- command getent ahosts shop.internal -> exit 2
        "]), @"
        2:24: error: shop.internal does not resolve here: nginx refuses to start or to reload with it (host not found in upstream)
          `shop.internal:8000` does not resolve
        ");
    }

    #[test]
    fn found_without_a_host_where_nobody_has_such_a_name() {
        let text = b"events {}\nhttp { server { location / { proxy_pass http://shop.invalid; } } }".to_vec();
        let report = LintReport::of_text(Path::new("/n"), text, Timestamp::UNIX_EPOCH, &LintOptions::default());
        let ids: Vec<&str> = report.findings.iter().map(|found| found.lint.id).collect();
        assert_eq!(ids, [ID]);
    }

    #[test]
    fn said_where_nobody_can_be_asked() {
        insta::assert_snapshot!(found(ID, [CONF, "
            //- options no-connect
        "]), @"
        not looked at: the address of shop.internal: --no-connect sends nothing
        ");
    }

    #[test]
    fn silent_where_it_resolves_or_is_looked_up_later() {
        silent(ID, [CONF, "
            //- command getent ahosts shop.internal
            10.0.0.9        STREAM shop.internal
        "]);
        silent(ID, [CONF, "
            //- file /etc/hosts
            10.0.0.9 shop.internal
        "]);
        silent(ID, ["
            http {
                upstream later { zone z 64k; server later.internal:8000 resolve; }
                server { location / { set $a app.internal; proxy_pass http://$a; } location /l { proxy_pass http://later; } }
            }
        "]);
    }
}
