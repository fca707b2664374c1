//! See the doc comment of [`NAME_RESOLVED_ONCE`].

use conf::{Address, Host};

use super::subject::is_reserved;
use super::{Found, Subject};

declare_lint! {
    /// nginx looks a name up when it starts, and never again: what moves to another address is dialled where it was.
    ///
    /// ## Found when
    /// A pass, or a `server` of an upstream that is used, names a host. Load balancers, containers and clouds give a name new
    /// addresses; nginx goes on to dial the old ones until it is reloaded, and answers 502 or 504.
    ///
    /// ## Silent when
    /// The `server` has `resolve`, the pass has a variable (looked up by the `resolver`), the name is `localhost`, or, where a
    /// host or a snapshot shows it, the hosts file has it.
    ///
    /// ## Fix
    /// None is made: it takes a `resolver`, and who answers names is not for nginx's files to say. Since nginx 1.27.3:
    /// ```text
    /// resolver 127.0.0.53;
    /// upstream shop { zone shop 64k; server shop.internal:8000 resolve; }
    /// ```
    /// Before, a variable does it: `set $shop shop.internal; proxy_pass http://$shop:8000;`. Or reload nginx when the name moves.
    ///
    /// ## See also
    /// `why502 explain upstream-address-outdated`
    pub(crate) static NAME_RESOLVED_ONCE = {
        id: "name-resolved-once", since: "0.1.0", severity: Note, judge: Text(judge),
    }
}

fn judge(subject: &Subject<'_>) -> Vec<Found> {
    let found = subject.dialled().into_iter().filter_map(|dialled| {
        let Address::Tcp { host: Host::Name(name), .. } = dialled.address else {
            return None;
        };
        dialled.pass?;
        let is_resolved_again = dialled.line.is_some_and(|(_, line)| line.resolve);
        if is_resolved_again || name == "localhost" || stands_still(subject, name) {
            return None;
        }
        let how = if subject.is_since((1, 27, 3)) {
            "the parameter resolve of an upstream's server looks it up again"
        } else {
            "a variable in its place looks it up again"
        };
        let reason = format!("nginx looks {name} up once, when it starts or reloads, and dials those addresses for as long as it runs; {how}");
        Some(Found::at(subject.span(dialled.at, Some(0))?, "looked up once", reason))
    });
    found.collect()
}

/// Whether the host shows that the name does not move, or that there is none: `unresolvable-name` tells that.
fn stands_still(subject: &Subject<'_>, name: &str) -> bool {
    let Ok(host) = subject.host() else {
        return is_reserved(name);
    };
    let in_hosts = host.case.in_hosts(host.idx(), name).unwrap_or_default();
    let is_none = || host.case.look_up(host.idx(), name).is_ok_and(|found| found.is_empty());
    !in_hosts.is_empty() || is_none()
}

#[cfg(test)]
mod tests {
    use crate::lints::tests::{found, silent};

    const ID: &str = "name-resolved-once";

    #[test]
    fn found_for_a_name_in_a_pass_or_a_server_line() {
        insta::assert_snapshot!(found(ID, ["
            //- nginx version=1.28.0
            //- file /etc/nginx/nginx.conf
            http {
                upstream shop { server shop.internal:8000; }
                upstream unused { server other.internal:8000; }
                server {
                    location / { proxy_pass http://shop; }
                    location /php { fastcgi_pass php.internal:9000; }
                }
            }
            //- command getent ahosts shop.internal
            10.0.0.9        STREAM shop.internal
            //- command getent ahosts php.internal
            10.0.0.8        STREAM php.internal
        "]), @"
        2:24: note: nginx looks shop.internal up once, when it starts or reloads, and dials those addresses for as long as it runs; the parameter resolve of an upstream's server looks it up again
          `shop.internal:8000` looked up once
        6:30: note: nginx looks php.internal up once, when it starts or reloads, and dials those addresses for as long as it runs; the parameter resolve of an upstream's server looks it up again
          `php.internal:9000` looked up once
        ");
    }

    #[test]
    fn silent_where_it_is_looked_up_again_or_does_not_move() {
        silent(ID, ["
            //- nginx version=1.28.0
            //- file /etc/hosts
            10.0.0.7 fixed.internal
            //- command getent ahosts gone.internal -> exit 2
            //- file /etc/nginx/nginx.conf
            http {
                resolver 127.0.0.53;
                upstream shop { zone shop 64k; server shop.internal:8000 resolve; }
                upstream old { server old.internal:8000; }
                server {
                    set $app app.internal;
                    location / { proxy_pass http://shop; }
                    location /a { proxy_pass http://$app:8000; }
                    location /b { proxy_pass http://localhost:8000; }
                    location /c { proxy_pass http://fixed.internal:8000; }
                    location /d { proxy_pass http://10.0.0.1:8000; }
                    location /e { proxy_pass http://gone.internal:8000; }
                }
            }
        "]);
    }
}
