//! Every message that nginx can write gets the class the catalogue gives it.
//!
//! `data/nginx-messages.tsv` was collected from the source of nginx 1.31.5-dev (3f6f7824d) and checked against
//! the strings of Debian's 1.22.1 binary; its last rows are from Angie, OpenResty, freenginx and Tengine.
#![expect(clippy::indexing_slicing, reason = "a test fails by panicking")]

use log::error::{Class, Seen, parse};

const TABLE: &str = include_str!("data/nginx-messages.tsv");

struct Row {
    id: &'static str,
    source: &'static str,
    level: &'static str,
    format: &'static str,
    errno: &'static str,
    actions: Vec<&'static str>,
    status: &'static str,
    class: &'static str,
}

fn rows() -> impl Iterator<Item = Row> {
    TABLE.lines().skip(1).map(|line| {
        let columns: Vec<_> = line.split('\t').collect();
        Row {
            id: columns[0],
            source: columns[1],
            // Where the level tells the socket's side, the one that the source means.
            level: if columns[2].contains("(client socket)") && columns[1].contains("_request.c") {
                "info"
            } else {
                [
                    "emerg", "alert", "crit", "error", "warn", "notice", "info", "debug",
                ]
                .into_iter()
                .filter_map(|level| Some((columns[2].find(level)?, level)))
                .min()
                .map_or("error", |(_, level)| level)
            },
            format: columns[3],
            errno: columns[4],
            actions: columns[5]
                .split(" | ")
                .filter(|action| !action.is_empty())
                .collect(),
            status: columns[6],
            class: columns[7],
        }
    })
}

/// The class of the code for a class of the catalogue: kebab-case, but for those that are grouped or renamed.
fn expected(row: &Row) -> String {
    let class = row.class;
    let name = match class {
        // Nobody tells these apart.
        "config_upstream_addr" | "config_memcached_key" if row.level != "emerg" => {
            "config-pass-var"
        }
        _ if class.starts_with("config_") && class.ends_with("_pass_var") => "config-pass-var",
        "config_dns_at_startup" => "config-dns-at-startup",
        "config_named_location" | "redirect_loop" => "redirect",
        "config_cache_zone" | "config_threads" => "cache",
        _ if class.starts_with("config_") => "config",
        _ if class.starts_with("cache_") => "cache",
        "temp_file" => "temp-path",
        "event_setup" if row.level == "emerg" => "config",
        "event_setup" => "lifecycle",
        "client_side_stream" if row.format.starts_with("client SSL") => "client-tls",
        "client_side_stream" if row.format.starts_with("client sent") => "client-bad-request",
        "client_side_stream" => "client-stream",
        // nginx's words only.
        "h2_backend_rejected" => "h2-rejected",
        "auth_request_backend" => "auth-request-failed",
        // Resolved by errno and action, here by those that `line` gives.
        "connect_by_errno" => "connect-refused",
        "timeout_by_action" => "connect-timeout",
        _ if class.contains("io_by_errno") => "connection-reset",
        _ if class.contains("accept_by_errno") => "fd-exhaustion",
        _ => return class.replace('_', "-"),
    };
    name.to_owned()
}

/// Rows whose line cannot have the class of the row: the id, what it has instead, and why.
const LEFT_OUT: &[(&str, &str, &str)] = &[
    (
        "main.001",
        "lifecycle",
        "a notice of a binary upgrade, not of a configuration",
    ),
    (
        "ngxcycle.014",
        "lifecycle",
        "a notice of `nginx -s`, not of a configuration",
    ),
    (
        "event.009",
        "other",
        "a warning without a place, about a directive nobody uses here",
    ),
    (
        "conf.007",
        "other",
        "an alert that names no more than a file",
    ),
    (
        "ngxcycle.012",
        "cache",
        "the same words as for a cache file",
    ),
    ("ssl.023", "cache", "the same words as for a cache file"),
    (
        "ngxcycle.013",
        "temp-path",
        "the same words as for a temporary file",
    ),
    (
        "ngxcycle.015",
        "not-upstream",
        "the same words as for a static file",
    ),
    (
        "ngxcycle.007",
        "listen-setup",
        "the same words as for a listening socket",
    ),
    (
        "listen.003",
        "config",
        "the same words as for a socket of the configuration's",
    ),
    (
        "listen.009",
        "config",
        "the same words as for a file of the configuration's",
    ),
    (
        "tempfile.004",
        "config",
        "at emerg it is about the configuration",
    ),
    (
        "tempfile.005",
        "config",
        "at emerg it is about the configuration",
    ),
    (
        "tempfile.006",
        "config",
        "at emerg it is about the configuration",
    ),
    (
        "uwsgi.015",
        "config",
        "at emerg it is about the configuration",
    ),
    (
        "stream_pass.008",
        "config",
        "at emerg it is about the configuration",
    ),
    ("chain.005", "cache", "the same words as for a cache file"),
    (
        "cache.010",
        "aio-slow",
        "the same words as while reading upstream",
    ),
    (
        "cache.012",
        "aio-slow",
        "the same words as while reading upstream",
    ),
    (
        "cache.013",
        "shm-full",
        "the zone's name, not the words, tells a cache",
    ),
    (
        "limit.006",
        "shm-full",
        "the zone's name, not the words, tells a limit",
    ),
    (
        "upmod.012",
        "shm-full",
        "the zone's name, not the words, tells sticky",
    ),
    (
        "upmod.013",
        "shm-full",
        "the zone's name, not the words, tells sticky",
    ),
    (
        "vars.004",
        "nginx-internal",
        "at run time it is no longer about the configuration",
    ),
    (
        "vars.005",
        "nginx-internal",
        "at run time it is no longer about the configuration",
    ),
    (
        "vars.006",
        "nginx-internal",
        "at run time it is no longer about the configuration",
    ),
    (
        "vars.007",
        "nginx-internal",
        "at run time it is no longer about the configuration",
    ),
    (
        "proxy2.002",
        "config-pass-var",
        "the same words as of proxy_pass over HTTP/1",
    ),
    (
        "upmod.021",
        "dns-resolve-param",
        "without a client no request waits for the name",
    ),
    (
        "io.006",
        "io-error",
        "the same words as while reading a response header over TLS",
    ),
    (
        "io.009",
        "io-error",
        "the same words as while reading a response header over TLS",
    ),
    (
        "io.017",
        "nginx-internal",
        "kqueue only; the same words as elsewhere",
    ),
    ("io.019", "nginx-internal", "the same words as for TCP"),
    (
        "stream_proxy.002",
        "dns-no-resolver",
        "told apart from a name that does not resolve, as in http",
    ),
    ("stream_proxy.005", "proxy-bind", "told as in http"),
    (
        "stream_proxy.013",
        "tls-verify-name",
        "told apart from other verify errors, as in http",
    ),
    ("stream_up.034", "upstream-zone-full", "told as in http"),
    (
        "var.007",
        "dns-resolve-param",
        "no request waits for the name",
    ),
    (
        "var.008",
        "dns-resolve-param",
        "no request waits for the name",
    ),
    (
        "var.029",
        "dns-resolve-param",
        "no request waits for the name",
    ),
    (
        "var.016",
        "other",
        "no message, but a note about OpenResty's limit",
    ),
];

fn message(row: &Row) -> String {
    let format = match row.id {
        "static.001" => "stat() \"%s\" failed",
        _ => row.format,
    };
    let mut text = format.to_owned();
    for (placeholder, sample) in samples(row) {
        text = text.replace(placeholder, sample);
    }
    assert!(!text.contains('%'), "{}: {text}", row.id);
    text
}

fn samples(row: &Row) -> Vec<(&'static str, &'static str)> {
    let name = match row.class {
        _ if row.format.starts_with("%V could not be resolved") => "app.example.com",
        _ if row.format.starts_with("%V_buffer_size") => "proxy",
        _ if row.format.contains("to %V failed") || row.format.contains("bind(%V)") => {
            "127.0.0.1:8000"
        }
        "temp_path" | "temp_file_io" => "/var/lib/nginx/proxy/1/00/0000000001",
        _ if row.class.starts_with("cache_") => "/var/cache/nginx/0123456789abcdef0123456789abcdef",
        _ => "sample",
    };
    let words = match row.format {
        _ if row.format.contains("could not be resolved (%i: %s)") => "Host not found",
        _ if row.format.starts_with("%s in upstream") => "invalid port",
        _ if row.format.starts_with("%s in pass") => "no port",
        _ if row.format.starts_with("%s %P") => "cache manager process",
        _ if row.format.starts_with("%sproxy") => "",
        _ if row.format.starts_with("%s disconnected") => "upstream",
        "invalid %s DNS response %ui fl:%04Xi" => "UDP",
        "*%uA %sclient %*s connected to %V" => "",
        _ => name,
    };
    vec![
        ("\\x%02xd", "\\x00"),
        ("%.3fM", "1.000M"),
        ("%04Xi", "8183"),
        ("%03ui", "500"),
        ("%*s", "text"),
        ("%*uA", "7"),
        ("%uA", "7"),
        ("%ui", "7"),
        ("%uz", "7"),
        ("%V", name),
        ("%s", words),
        ("%p", "7"),
        ("%P", "7"),
        ("%d", "7"),
        ("%i", "3"),
        ("%l", "18"),
        ("%z", "7"),
        ("%O", "7"),
        ("%c", "'"),
    ]
}

fn errno(row: &Row) -> String {
    let number = match row.class {
        "connect_refused" | "connect_by_errno" => 111,
        "socket_missing" => 2,
        "permission_denied" | "temp_path" => 13,
        "unix_backlog_full" => 11,
        "ephemeral_ports" => 99,
        "network_unreachable" => 101,
        "host_unreachable" => 113,
        "wrong_socket_type" => 91,
        "connect_invalid" => 22,
        "operation_not_permitted" => 1,
        "connect_timeout_kernel" => 110,
        _ if row.format.ends_with("timed out") => 110,
        _ if row.class.contains("connection_reset") => 104,
        _ if row.class.contains("fd_exhaustion") => 24,
        _ => 5,
    };
    match row.errno {
        text if text.starts_with("yes") => format!(" ({number}: Text of the system)"),
        text if text.contains("SSL") => {
            " (SSL: error:0A00010B:SSL routines::wrong version number)".to_owned()
        }
        _ => String::new(),
    }
}

fn line(row: &Row) -> String {
    let head = format!("2026/11/21 01:43:17 [{}] 7#7: ", row.level);
    let text = message(row);
    let errno = errno(row);
    // The catalogue's asterisk is the connection's number.
    if let Some(text) = text.strip_prefix('*') {
        return format!("{head}*{text}{errno}");
    }
    if row.class.starts_with("config_")
        && row.level != "error"
        && row.level != "alert"
        && row.level != "info"
    {
        return format!("{head}{text}{errno} in /etc/nginx/nginx.conf:12");
    }
    let action = row
        .actions
        .first()
        .map(|action| format!(" {action}"))
        .unwrap_or_default();
    if row.source.ends_with("ngx_resolver.c") {
        return format!("{head}{text}{errno}{action}, resolver: 127.0.0.53:53");
    }
    let source = row.source.rsplit('/').next().unwrap_or_default();
    let background = row.id.starts_with("upmod.") || row.id.starts_with("stream_up.03");
    let alone = matches!(
        row.class,
        "lifecycle"
            | "worker_crash"
            | "worker_fatal"
            | "event_setup"
            | "accept"
            | "dns_bad_response"
    ) || row.class.contains("accept_by_errno")
        || matches!(row.level, "emerg" | "notice");
    if background || (alone && row.actions.is_empty()) {
        return format!("{head}{text}{errno}");
    }
    let head = format!("{head}*9 ");
    let client = if row.class == "io_error_udp" {
        "udp client"
    } else {
        "client"
    };
    if row.source.contains("/stream/") || client == "udp client" {
        return format!(
            "{head}{text}{errno}{action}, {client}: 192.0.2.7, server: 0.0.0.0:5432, upstream: \"127.0.0.1:8000\", bytes from/to client:0/0, bytes from/to upstream:0/0"
        );
    }
    let upstream = match source {
        "ngx_http_fastcgi_module.c" => "fastcgi://127.0.0.1:8000",
        "ngx_http_grpc_module.c" => "grpc://127.0.0.1:8000",
        "ngx_http_memcached_module.c" => "memcached://127.0.0.1:8000",
        "ngx_http_scgi_module.c" => "scgi://127.0.0.1:8000",
        "ngx_http_uwsgi_module.c" => "uwsgi://127.0.0.1:8000",
        "ngx_http_proxy_v2_module.c" => "http://127.0.0.1:8000",
        _ => "http://127.0.0.1:8000/a",
    };
    let upstream = if action.is_empty() {
        String::new()
    } else {
        format!(", upstream: \"{upstream}\"")
    };
    format!(
        "{head}{text}{errno}{action}, client: 192.0.2.7, server: example.com, request: \"GET /a HTTP/1.1\"{upstream}, host: \"example.com\""
    )
}

#[test]
fn every_message_has_the_class_of_its_row() {
    let mut others = Vec::new();
    for row in rows() {
        let line = line(&row);
        let event = parse(line.as_bytes()).unwrap_or_else(|| panic!("no event: {line}"));
        if event.class.as_str() != expected(&row) {
            others.push((row.id, event.class.as_str()));
        }
    }
    let mut left_out: Vec<_> = LEFT_OUT
        .iter()
        .map(|(id, class, _)| (*id, *class))
        .collect();
    others.sort_unstable();
    left_out.sort_unstable();
    assert_eq!(others, left_out);
}

#[test]
fn every_class_of_the_catalogue_is_a_class() {
    for row in rows().filter(|row| row.class != "variant") {
        let name = expected(&row);
        assert!(Class::from_name(&name).is_some(), "{}: {name}", row.id);
    }
}

#[test]
fn the_client_sees_what_the_row_says() {
    let mut others = Vec::new();
    for row in rows() {
        let line = line(&row);
        let event = parse(line.as_bytes()).unwrap();
        let expected = match row.status {
            "502"
            | "502 (header phase) / none (body phase)"
            | "502 if sending request; none if sending to client"
            | "502 if reading response header; none (truncated) if reading upstream" => {
                Seen::Status(502)
            }
            "504" => Seen::Status(504),
            "499" => Seen::Status(499),
            "500" if !row.actions.is_empty() => Seen::Status(500),
            text if text.starts_with("none (header already sent") => Seen::Truncated,
            _ => continue,
        };
        // The same words may stand elsewhere: then it says so.
        if event.outcome() != expected && event.outcome() != Seen::Unknown {
            others.push(format!(
                "{} {expected:?} {:?} {line}",
                row.id,
                event.outcome()
            ));
        }
    }
    assert!(others.is_empty(), "{}\n{}", others.len(), others.join("\n"));
}
