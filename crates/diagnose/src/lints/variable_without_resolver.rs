//! See the doc comment of [`VARIABLE_WITHOUT_RESOLVER`].

use bstr::ByteSlice as _;
use conf::{Address, Host, Pass, PassKind, Target};

use super::{Found, Severity, Subject};

declare_lint! {
    /// A variable gives nginx a name to dial, and no `resolver` is there to look it up.
    ///
    /// ## Found when
    /// A pass has its address from a variable that holds a name which is no upstream, by the values of `set` and `map`, or by
    /// what the request says (`$host`, `$arg_...`, a part of a domain), and no `resolver` is in force there. nginx's resolver reads
    /// neither `/etc/hosts` nor `/etc/resolv.conf`: each such request is answered with 502, `no resolver defined to resolve`.
    ///
    /// ## Silent when
    /// A `resolver` is in force, the values are addresses or upstreams, another pass dials the same name and port literally (nginx takes
    /// its addresses), or nothing tells what the variable holds.
    ///
    /// ## Fix
    /// None is made: which server answers names, the configuration does not know. `resolver 127.0.0.53;` is right with systemd-resolved,
    /// `resolver 127.0.0.11;` in a container of Docker's.
    ///
    /// ## See also
    /// `why502 explain resolver-missing`
    pub(crate) static VARIABLE_WITHOUT_RESOLVER = {
        id: "variable-without-resolver", since: "0.1.0", severity: Error, judge: Text(judge),
    }
}

/// What a request says, or a server's name: names, and no addresses.
const NAMES: [&str; 6] = [
    "host",
    "http_host",
    "server_name",
    "ssl_server_name",
    "ssl_preread_server_name",
    "hostname",
];

fn judge(subject: &Subject<'_>) -> Vec<Found> {
    let passes = subject.model.passes().iter();
    let found = passes.filter_map(|pass| {
        let Target::Variable { text, candidates, .. } = &pass.target else {
            return None;
        };
        if !subject.model.in_force(pass.context, "resolver").is_empty() {
            return None;
        }
        let names: Vec<&str> = candidates
            .iter()
            .filter_map(|target| name_of(subject, pass, target))
            .collect();
        let text = text.to_str_lossy();
        let (what, severity) = if let Some(name) = names.first() {
            (format!("this leads to the name {name}"), Severity::Error)
        } else if is_of_the_request(subject, pass, &text) {
            ("this leads to a name that the request gives".to_owned(), Severity::Warning)
        } else {
            return None;
        };
        let severity = if subject.is_partial() { Severity::Note } else { severity };
        let reason = format!("{what}, which nginx looks up while it runs, and no resolver is in force here: it answers 502 (no resolver defined)");
        let span = subject.span(pass.directive, Some(0))?;
        Some(Found::at(span, "no resolver", reason).severity(severity))
    });
    found.collect()
}

/// The name that a value of the variable is, unless nginx knows its addresses already.
fn name_of<'t>(subject: &Subject<'_>, pass: &Pass, target: &'t Target) -> Option<&'t str> {
    let Target::Address(address @ Address::Tcp { host: Host::Name(name), .. }) = target else {
        return None;
    };
    let is_stream = pass.kind == PassKind::Stream;
    let is_known = subject.model.passes().iter().any(|other| {
        (other.kind == PassKind::Stream) == is_stream
            && matches!(&other.target, Target::Address(literal) if literal == address)
    });
    (!is_known).then_some(name.as_str())
}

/// Whether the text before port and URI is a name that comes of the request.
fn is_of_the_request(subject: &Subject<'_>, pass: &Pass, text: &str) -> bool {
    let host = host_of(text);
    let Some((before, rest)) = host.split_once('$') else {
        return false;
    };
    let rest = rest.trim_start_matches('{');
    let end = rest
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(rest.len());
    let (variable, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
    let after = after.trim_start_matches('}');
    // What may be the name of an upstream needs no resolver.
    let is_http = pass.kind != PassKind::Stream;
    let may_be_upstream = subject.model.upstreams().iter().any(|upstream| {
        (upstream.protocol == conf::ContextKind::Http) == is_http
            && (before.is_empty() && after.is_empty()
                || upstream.name.starts_with(before.as_bytes())
                    && (after.contains('$') || upstream.name.ends_with(after.as_bytes())))
    });
    let variable = variable.to_ascii_lowercase();
    let is_named = NAMES.contains(&variable.as_str());
    let has_domain = after.contains('.') && after.contains(|c: char| c.is_ascii_alphabetic());
    (is_named && after.is_empty() && before.is_empty() || has_domain) && !may_be_upstream
}

/// The host of `host:port/uri`; nothing of a unix socket.
fn host_of(text: &str) -> &str {
    if text.starts_with("unix:") {
        return "";
    }
    text.split([':', '/', '?']).next().unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use crate::lints::tests::{found, silent};

    const ID: &str = "variable-without-resolver";

    #[test]
    fn found_where_a_value_is_a_name_or_the_request_gives_one() {
        insta::assert_snapshot!(found(ID, ["
            http { server {
                set $app app.internal;
                location / { proxy_pass http://$app:8000; }
                location /h { proxy_pass http://$host; }
                location ~ ^/(\\w+)/ { proxy_pass https://$1.example.com; }
            } }
        "]), @"
        3:25: error: this leads to the name app.internal, which nginx looks up while it runs, and no resolver is in force here: it answers 502 (no resolver defined)
          `http://$app:8000` no resolver
        4:26: warning: this leads to a name that the request gives, which nginx looks up while it runs, and no resolver is in force here: it answers 502 (no resolver defined)
          `http://$host` no resolver
        5:34: warning: this leads to a name that the request gives, which nginx looks up while it runs, and no resolver is in force here: it answers 502 (no resolver defined)
          `https://$1.example.com` no resolver
        ");
    }

    #[test]
    fn silent_where_no_name_has_to_be_looked_up() {
        silent(ID, ["
            http {
                map $http_x $peer { default 127.0.0.1:8000; a 127.0.0.1:8001; }
                map $http_y $group { default shop_blue; b shop_green; }
                upstream shop_blue { server 127.0.0.1:8000; }
                upstream shop_green { server 127.0.0.1:8001; }
                server {
                    set $port 8000;
                    set $known app.internal;
                    location / { proxy_pass http://$peer; }
                    location /g { proxy_pass http://$group; }
                    location /h { proxy_pass http://shop_$cookie_color; }
                    location /p { proxy_pass http://127.0.0.1:$port; }
                    location /u { proxy_pass http://127.0.0.1:8000$request_uri; }
                    location /s { proxy_pass http://unix:/run/$host.sock; }
                    location /o { set_by_lua_block $x { return '' } proxy_pass http://$x; }
                    location /k { proxy_pass http://$known:8000; }
                    location /l { proxy_pass http://app.internal:8000; }
                }
                server {
                    resolver 127.0.0.53;
                    location / { proxy_pass http://$host; }
                }
            }
        "]);
    }
}
