//! See the doc comment of [`TIMEOUT_MISSING_OR_EXTREME`].

use std::time::Duration;

use conf::units::parse_time;
use conf::{Address, Pass, PassKind, ServerLine};

use super::subject::{module_of, named};
use super::{Found, Severity, Subject};

declare_lint! {
    /// A time-out gives up too soon, or so late that a dead application holds requests and connections for it.
    ///
    /// ## Found when
    /// - a connect or read time-out is `0`: nginx gives up at once, and answers 504;
    /// - a read time-out is below two seconds (from one second on a note), or a connect time-out below 10 milliseconds: what takes
    ///   longer is answered with 504;
    /// - a connect time-out is above 75 seconds, where the client has long gone;
    /// - a read time-out is above an hour, where nothing is streamed; `60000` is sixteen hours, not a minute;
    /// - no connect time-out is set and requests go to several other hosts: one that drops packets holds each request for 60 seconds
    ///   before the next one is tried (a note).
    ///
    /// ## Silent when
    /// The values are between, or a long read time-out serves WebSockets (`Upgrade`), `proxy_buffering off`, gRPC or `stream`.
    ///
    /// ## Fix
    /// Shown where one value is as good as certain (`0`, a connect time-out). Unsafe: what an application may take, its owner knows.
    ///
    /// ## See also
    /// <https://nginx.org/en/docs/http/ngx_http_proxy_module.html#proxy_read_timeout>
    pub(crate) static TIMEOUT_MISSING_OR_EXTREME = {
        id: "timeout-missing-or-extreme", since: "0.1.0", severity: Warning, judge: Text(judge),
    }
}

/// nginx's documentation says that a connect time-out usually cannot exceed this.
const CONNECT_AT_MOST: Duration = Duration::from_secs(75);
const CONNECT_AT_LEAST: Duration = Duration::from_millis(10);
const READ_AT_LEAST: Duration = Duration::from_secs(2);
/// From here on it may be meant.
const READ_BRIEFLY: Duration = Duration::from_secs(1);
const READ_AT_MOST: Duration = Duration::from_hours(1);

fn judge(subject: &Subject<'_>) -> Vec<Found> {
    let passes = subject.model.passes().iter();
    let found = passes.flat_map(|pass| {
        [
            connect(subject, pass),
            read(subject, pass),
            missing(subject, pass),
        ]
    });
    found.flatten().collect()
}

fn connect(subject: &Subject<'_>, pass: &Pass) -> Option<Found> {
    let name = format!("{}_connect_timeout", module_of(pass.kind));
    let (text, at) = subject.value(pass.context, &name)?;
    let time = parse_time(text.as_bytes())?;
    let (label, reason) = if time.is_zero() {
        (
            "gives up at once",
            "nginx gives up as soon as it begins to connect, and answers 504".to_owned(),
        )
    } else if time < CONNECT_AT_LEAST {
        let reason = format!(
            "nginx waits {} for a connection: what is a little busy, or on another host, is answered with 504",
            in_words(time)
        );
        ("hardly waits", reason)
    } else if time > CONNECT_AT_MOST {
        let reason = format!(
            "a server that does not answer holds each request for {} before nginx gives up on it; a connection that comes about at all does so within seconds",
            in_words(time)
        );
        ("nobody waits so long", reason)
    } else {
        return None;
    };
    let found = Found::at(subject.span(at, Some(0))?, label, reason);
    let found = found.could("give up after seconds", subject.set_argument(at, 0, "5s"));
    Some(if time.is_zero() {
        found.severity(Severity::Error)
    } else {
        found
    })
}

fn read(subject: &Subject<'_>, pass: &Pass) -> Option<Found> {
    let name = match pass.kind {
        // Of both directions; a long one is what a tunnel needs.
        PassKind::Stream => "proxy_timeout".to_owned(),
        kind => format!("{}_read_timeout", module_of(kind)),
    };
    let (text, at) = subject.value(pass.context, &name)?;
    let time = parse_time(text.as_bytes())?;
    let span = subject.span(at, Some(0))?;
    if time.is_zero() {
        let reason = "nginx gives up as soon as it waits for a response, and answers 504";
        let edits = subject.set_argument(at, 0, "60s");
        let found = Found::at(span, "gives up at once", reason).severity(Severity::Error);
        return Some(found.could("wait for a minute", edits));
    }
    if time < READ_AT_LEAST {
        let reason = format!("nginx waits {} between two reads of a response: what takes longer to answer is answered with 504", in_words(time));
        let found = Found::at(span, "hardly waits", reason);
        return Some(if time < READ_BRIEFLY {
            found
        } else {
            found.severity(Severity::Note)
        });
    }
    if time > READ_AT_MOST && !is_streamed(subject, pass) {
        let is_bare = text.bytes().all(|byte| byte.is_ascii_digit());
        let unit = if is_bare && time.as_secs().is_multiple_of(1000) {
            format!(": a bare number is seconds, and {text}ms may be meant")
        } else {
            String::new()
        };
        let reason = format!("an application that hangs holds a connection of nginx and the client for {}{unit}", in_words(time));
        return Some(Found::at(span, "waits all but for ever", reason));
    }
    None
}

/// Whether a response may be silent for long and well.
fn is_streamed(subject: &Subject<'_>, pass: &Pass) -> bool {
    if matches!(pass.kind, PassKind::Stream | PassKind::Grpc) {
        return true;
    }
    let module = module_of(pass.kind);
    let buffering = subject.value(pass.context, &format!("{module}_buffering"));
    let headers = subject.model.in_force(pass.context, "proxy_set_header");
    buffering.is_some_and(|(value, _)| value == "off")
        || named(subject.model, &headers, "upgrade").is_some()
}

/// No connect time-out, where another server waits to be tried.
fn missing(subject: &Subject<'_>, pass: &Pass) -> Option<Found> {
    let module = module_of(pass.kind);
    let is_set = |setting: &str| {
        subject
            .value(pass.context, &format!("{module}_{setting}"))
            .is_some()
    };
    // What stands around a part may set it.
    if subject.is_partial() || is_set("connect_timeout") || is_set("next_upstream_timeout") {
        return None;
    }
    let upstreams = subject.upstreams_of(pass);
    let upstream = upstreams.into_iter().find(|upstream| {
        let elsewhere = upstream.servers.iter().filter(|line| is_elsewhere(line));
        elsewhere.count() > 1
    })?;
    let reason = format!("{module}_connect_timeout is not set, so a server of upstream {} that drops packets holds each request for 60 s before the next one is tried", upstream.name);
    let found = Found::at(subject.span(pass.directive, Some(0))?, "waits 60 s to connect", reason);
    let directive = format!("{module}_connect_timeout 5s;");
    let edits = subject.insert_at_pass(pass, &[&directive]);
    let found = found.and(
        upstream.directive.and_then(|at| subject.span(at, None)),
        "several servers, on other hosts",
    );
    Some(found.severity(Severity::Note).could("give up after seconds", edits))
}

/// Whether a server is in use and surely on another host: only there packets get lost.
fn is_elsewhere(line: &ServerLine) -> bool {
    let is_other = match &line.address {
        Some(Address::Tcp { host, .. }) => match host.ip() {
            Some(ip) => !ip.is_loopback(),
            None => host.name() != Some("localhost"),
        },
        Some(Address::Unix(_)) | None => false,
    };
    is_other && !line.down
}

fn in_words(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0 => format!("{} ms", time.as_millis()),
        s if s > 7200 => format!("{} hours", s / 3600),
        s if s > 120 => format!("{} minutes", s / 60),
        s => format!("{s} s"),
    }
}

#[cfg(test)]
mod tests {
    use crate::lints::tests::{found, silent};

    const ID: &str = "timeout-missing-or-extreme";

    #[test]
    fn found_where_it_gives_up_too_soon_or_too_late() {
        insta::assert_snapshot!(found(ID, ["
            http { server {
                proxy_connect_timeout 300;
                location / { proxy_read_timeout 60000; proxy_pass http://127.0.0.1:8000; }
                location /0 { proxy_read_timeout 0; proxy_pass http://127.0.0.1:8000; }
                location /s { proxy_connect_timeout 1ms; proxy_read_timeout 1; proxy_pass http://127.0.0.1:8000; }
                location /ms { proxy_connect_timeout 0s; proxy_read_timeout 200ms; proxy_pass http://127.0.0.1:8000; }
                location /php { fastcgi_read_timeout 1d; fastcgi_pass 127.0.0.1:9000; }
            } }
        "]), @"
        2:23: warning: a server that does not answer holds each request for 5 minutes before nginx gives up on it; a connection that comes about at all does so within seconds
          `300` nobody waits so long
          unsafe: give up after seconds
            + proxy_connect_timeout 5s;
        3:33: warning: an application that hangs holds a connection of nginx and the client for 16 hours: a bare number is seconds, and 60000ms may be meant
          `60000` waits all but for ever
        4:34: error: nginx gives up as soon as it waits for a response, and answers 504
          `0` gives up at once
          unsafe: wait for a minute
            + location /0 { proxy_read_timeout 60s; proxy_pass http://127.0.0.1:8000; }
        5:37: warning: nginx waits 1 ms for a connection: what is a little busy, or on another host, is answered with 504
          `1ms` hardly waits
          unsafe: give up after seconds
            + location /s { proxy_connect_timeout 5s; proxy_read_timeout 1; proxy_pass http://127.0.0.1:8000; }
        5:61: note: nginx waits 1 s between two reads of a response: what takes longer to answer is answered with 504
          `1` hardly waits
        6:38: error: nginx gives up as soon as it begins to connect, and answers 504
          `0s` gives up at once
          unsafe: give up after seconds
            + location /ms { proxy_connect_timeout 5s; proxy_read_timeout 200ms; proxy_pass http://127.0.0.1:8000; }
        6:61: warning: nginx waits 200 ms between two reads of a response: what takes longer to answer is answered with 504
          `200ms` hardly waits
        7:38: warning: an application that hangs holds a connection of nginx and the client for 24 hours
          `1d` waits all but for ever
        ");
    }

    #[test]
    fn found_where_another_host_may_drop_packets() {
        insta::assert_snapshot!(found(ID, ["
            http {
                upstream shop { server 10.0.0.1:8000; server 10.0.0.2:8000; }
                server { location / { proxy_pass http://shop; } }
            }
        "]), @"
        3:34: note: proxy_connect_timeout is not set, so a server of upstream shop that drops packets holds each request for 60 s before the next one is tried
          `http://shop` waits 60 s to connect
          - line 2: `upstream shop {` several servers, on other hosts
          unsafe: give up after seconds
            + server { location / { proxy_pass http://shop; proxy_connect_timeout 5s; } }
        ");
    }

    #[test]
    fn silent_where_it_is_moderate_or_something_is_streamed() {
        silent(ID, ["
            http {
                upstream far { server 10.0.0.1:8000; server 10.0.0.2:8000; }
                upstream near { server 127.0.0.1:8000; server unix:/run/app.sock; server 10.0.0.3:80 down; }
                proxy_read_timeout 3600;
                server {
                    location / { proxy_connect_timeout 2s; proxy_pass http://far; }
                    location /near { proxy_pass http://near; }
                    location /ws { proxy_set_header Upgrade $http_upgrade; proxy_read_timeout 7d; proxy_pass http://near; }
                    location /sse { proxy_buffering off; proxy_read_timeout 24h; proxy_pass http://near; }
                    location /rpc { grpc_read_timeout 10d; grpc_pass grpc://127.0.0.1:9000; }
                    location /static { proxy_read_timeout 0; root /srv; }
                }
            }
            stream { server { listen 5432; proxy_timeout 12h; proxy_pass 127.0.0.1:5433; } }
        "]);
    }
}
