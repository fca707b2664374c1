//! See the doc comment of [`LOCALHOST_IN_PROXY_PASS`].

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use bstr::ByteSlice as _;
use conf::{Address, Host, PassKind};

use super::subject::{Dialled, named};
use super::{Found, Severity, Subject};
use crate::case::{Listener, listener_on};

declare_lint! {
    /// nginx dials `localhost`, which is two addresses: `::1` and `127.0.0.1`.
    ///
    /// ## Found when
    /// A pass, or a `server` of an upstream, names `localhost`. nginx takes every address that the name has, as peers of their
    /// own: an application that listens on one of them makes every other connection fail first. The log fills with
    /// `connect() failed (111: Connection refused)`, and a request that may not be retried is answered with 502.
    ///
    /// ## Silent when
    /// The application listens on both addresses, which a host or a snapshot shows.
    ///
    /// ## Fix
    /// Write the address that the application listens on. Safe where a listener shows which that is and no header changes
    /// with the name (`Host` is the name that `proxy_pass` dials unless `proxy_set_header Host` says otherwise); else Unsafe: shown.
    ///
    /// ## See also
    /// `why502 explain peer-family-mismatch`
    pub(crate) static LOCALHOST_IN_PROXY_PASS = {
        id: "localhost-in-proxy-pass", since: "0.1.0", severity: Warning, judge: Text(judge),
    }
}

/// What answers at the two addresses.
#[derive(Clone, Copy)]
enum Listens {
    Unknown,
    Nowhere,
    On(IpAddr),
    OnBoth,
}

fn judge(subject: &Subject<'_>) -> Vec<Found> {
    let found = subject.dialled().into_iter().filter_map(|dialled| {
        let Address::Tcp { host: Host::Name(name), port } = dialled.address else {
            return None;
        };
        let is_resolved_again = dialled.line.is_some_and(|(_, line)| line.resolve);
        if name != "localhost" || is_resolved_again {
            return None;
        }
        found(subject, &dialled, listens(subject, &dialled, *port))
    });
    found.collect()
}

/// Where the host listens on a port of loopback.
fn listens(subject: &Subject<'_>, dialled: &Dialled<'_>, port: u16) -> Listens {
    let (v4, v6) = (IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST));
    let (Ok(host), Some(pass)) = (subject.host(), dialled.pass) else {
        return Listens::Unknown;
    };
    if host.is_seen_from_inside().is_err() {
        return Listens::Unknown;
    }
    let peer = host.peer(&facts::PeerAddress::Tcp((v4, port).into()), pass.protocol);
    let Ok(listeners) = host.case.listeners(&peer) else {
        return Listens::Unknown;
    };
    let is_on = |ip: IpAddr| -> Option<bool> {
        let listener: Option<&Listener> = listener_on(&listeners, (ip, port).into()).ok()?;
        Some(listener.is_some())
    };
    match (is_on(v4), is_on(v6)) {
        (Some(true), Some(true)) => Listens::OnBoth,
        (Some(true), Some(false)) => Listens::On(v4),
        (Some(false), Some(true)) => Listens::On(v6),
        (Some(false), Some(false)) => Listens::Nowhere,
        _ => Listens::Unknown,
    }
}

fn found(subject: &Subject<'_>, dialled: &Dialled<'_>, listens: Listens) -> Option<Found> {
    let address = match listens {
        Listens::OnBoth => return None,
        Listens::On(ip) => ip,
        Listens::Unknown | Listens::Nowhere => Ipv4Addr::LOCALHOST.into(),
    };
    let written = match address {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    };
    let so = match listens {
        Listens::On(_) => format!("; the application listens on {written} only"),
        _ => String::new(),
    };
    let reason = format!("localhost is ::1 and 127.0.0.1, and nginx dials both in turn: where the application listens on one of them, the other refuses{so}");
    let argument = subject.model.arg(dialled.at, 0)?.to_str_lossy();
    let new = with_host(&argument, &written)?;
    let edits = subject.set_argument(dialled.at, 0, &new);
    let summary = format!("dial {written}");
    let found = Found::at(subject.span(dialled.at, Some(0))?, "two addresses", reason);
    let is_sure = matches!(listens, Listens::On(_)) && !tells_its_name(subject, dialled);
    let found = if is_sure {
        found.mend(summary, edits)
    } else {
        found.could(summary, edits)
    };
    let is_used = dialled.pass.is_some();
    Some(if is_used { found } else { found.severity(Severity::Note) })
}

/// Whether the application is told the name that is dialled, so that it would be told another one.
fn tells_its_name(subject: &Subject<'_>, dialled: &Dialled<'_>) -> bool {
    let (None, Some(pass)) = (dialled.line, dialled.pass) else {
        return false;
    };
    let setter = match pass.kind {
        PassKind::Proxy => "proxy_set_header",
        PassKind::Grpc => "grpc_set_header",
        _ => return false,
    };
    let all = subject.model.in_force(pass.context, setter);
    let host = named(subject.model, &all, "host").and_then(|at| subject.model.arg(at, 1));
    pass.protocol.is_tls() || host.is_none_or(|host| host.contains_str("$proxy_host"))
}

/// The argument with another host in the place of `localhost`.
fn with_host(argument: &str, host: &str) -> Option<String> {
    let start = argument.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = argument.split_at_checked(start)?;
    let (name, rest) = rest.split_at_checked("localhost".len())?;
    name.eq_ignore_ascii_case("localhost")
        .then(|| format!("{scheme}{host}{rest}"))
}

#[cfg(test)]
mod tests {
    use crate::lints::tests::{found, silent};

    const ID: &str = "localhost-in-proxy-pass";

    #[test]
    fn found_in_a_pass_and_in_a_server_line() {
        insta::assert_snapshot!(found(ID, ["
            http {
                upstream shop { server LocalHost:8000; server 10.0.0.1:8000; }
                server {
                    location / { proxy_pass http://shop; }
                    location /api { proxy_pass http://localhost:8001/v1; }
                    location /php { fastcgi_pass localhost:9000; }
                }
            }
        "]), @"
        2:24: warning: localhost is ::1 and 127.0.0.1, and nginx dials both in turn: where the application listens on one of them, the other refuses
          `LocalHost:8000` two addresses
          unsafe: dial 127.0.0.1
            + upstream shop { server 127.0.0.1:8000; server 10.0.0.1:8000; }
        5:28: warning: localhost is ::1 and 127.0.0.1, and nginx dials both in turn: where the application listens on one of them, the other refuses
          `http://localhost:8001/v1` two addresses
          unsafe: dial 127.0.0.1
            + location /api { proxy_pass http://127.0.0.1:8001/v1; }
        6:30: warning: localhost is ::1 and 127.0.0.1, and nginx dials both in turn: where the application listens on one of them, the other refuses
          `localhost:9000` two addresses
          unsafe: dial 127.0.0.1
            + location /php { fastcgi_pass 127.0.0.1:9000; }
        ");
    }

    #[test]
    fn the_edit_is_safe_where_a_listener_shows_the_address_and_no_header_changes() {
        insta::assert_snapshot!(found(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server {
                proxy_set_header Host $host;
                location / { proxy_pass http://localhost:8000; }
                location /six { proxy_pass http://localhost:8006; }
            } }
            //- process 50
            gunicorn
            //- listen tcp 127.0.0.1:8000 pid=50
            //- listen tcp [::1]:8006 pid=50
        "]), @"
        3:25: warning: localhost is ::1 and 127.0.0.1, and nginx dials both in turn: where the application listens on one of them, the other refuses; the application listens on 127.0.0.1 only
          `http://localhost:8000` two addresses
          safe: dial 127.0.0.1
            + location / { proxy_pass http://127.0.0.1:8000; }
        4:28: warning: localhost is ::1 and 127.0.0.1, and nginx dials both in turn: where the application listens on one of them, the other refuses; the application listens on [::1] only
          `http://localhost:8006` two addresses
          safe: dial [::1]
            + location /six { proxy_pass http://[::1]:8006; }
        ");
    }

    #[test]
    fn silent_where_the_application_listens_on_both_or_another_name_is_dialled() {
        silent(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { server_name localhost;
                location / { proxy_pass http://localhost:8000; }
                location /dual { proxy_pass http://localhost:8001; }
                location /b { proxy_pass http://127.0.0.1:8002/localhost; }
                location /c { proxy_pass http://localhost.example.com:8002; }
            } }
            //- process 50
            gunicorn
            //- listen tcp 127.0.0.1:8000 pid=50
            //- listen tcp [::1]:8000 pid=50
            //- listen tcp [::]:8001 pid=50
        "]);
    }
}
