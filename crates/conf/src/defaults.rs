//! What nginx does where a directive is absent, by version, for the directives that decide how upstreams are
//! used. From nginx's documentation and source up to 1.31.5-dev; Angie keeps keepalive off and is not covered.

/// The default of a directive in this version of nginx, written as it would be in the file. `None` for directives
/// that are not listed. `keepalive` and `server` parameters (`max_fails`) are those of `upstream`; directives
/// named `stream:...` are those of `stream` where they differ from `http`.
pub fn default_of(directive: &str, version: (u32, u32, u32)) -> Option<&'static str> {
    // HTTP/1.1 and kept connections to upstreams became the default in 1.29.7.
    let keeps_connections = version >= (1, 29, 7);
    Some(match directive {
        "proxy_http_version" => {
            if keeps_connections {
                "1.1"
            } else {
                "1.0"
            }
        }
        // Per worker, and only in an explicit `upstream`; 0 means that none is kept.
        "keepalive" => {
            if keeps_connections {
                "32"
            } else {
                "0"
            }
        }
        "keepalive_timeout" => "60s",
        "keepalive_time" => "1h",
        // 100 before 1.19.10.
        "keepalive_requests" => {
            if version >= (1, 19, 10) {
                "1000"
            } else {
                "100"
            }
        }
        "max_fails" | "weight" => "1",
        "fail_timeout" => "10s",
        "max_conns" => "0",
        "stream:proxy_connect_timeout" => "60s",
        "stream:proxy_timeout" | "proxy_timeout" => "10m",
        "stream:proxy_next_upstream" => "on",
        "resolver_timeout" => "30s",
        "worker_connections" => "512",
        "worker_processes" => "1",
        "client_max_body_size" => "1m",
        "proxy_ssl_server_name" | "proxy_ssl_verify" => "off",
        "proxy_ssl_verify_depth" => "1",
        "proxy_ssl_session_reuse" => "on",
        "proxy_ssl_name" => "$proxy_host",
        "proxy_ssl_protocols" => match version {
            v if v >= (1, 27, 3) => "TLSv1.2 TLSv1.3",
            v if v > (1, 23, 3) => "TLSv1 TLSv1.1 TLSv1.2 TLSv1.3",
            _ => "TLSv1 TLSv1.1 TLSv1.2",
        },
        _ => return protocol_default(directive),
    })
}

/// Defaults that are the same for every protocol module of `http`.
fn protocol_default(directive: &str) -> Option<&'static str> {
    let (module, setting) = directive.split_once('_')?;
    let is_cgi_like = matches!(module, "proxy" | "fastcgi" | "uwsgi" | "scgi");
    if !is_cgi_like && !matches!(module, "grpc" | "memcached") {
        return None;
    }
    Some(match setting {
        "connect_timeout" | "send_timeout" | "read_timeout" => "60s",
        "next_upstream" => "error timeout",
        "next_upstream_tries" | "next_upstream_timeout" => "0",
        // One page of memory: 4k on most machines, 16k or 64k on some of arm64.
        "buffer_size" => "4k",
        "socket_keepalive" => "off",
        "buffers" if is_cgi_like => "8 4k",
        "buffering" | "request_buffering" if is_cgi_like => "on",
        "intercept_errors" if module != "memcached" => "off",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_follow_the_version() {
        for (directive, version, expected) in [
            ("proxy_http_version", (1, 22, 1), Some("1.0")),
            ("proxy_http_version", (1, 29, 6), Some("1.0")),
            ("proxy_http_version", (1, 29, 7), Some("1.1")),
            ("proxy_http_version", (1, 30, 0), Some("1.1")),
            ("keepalive", (1, 28, 2), Some("0")),
            ("keepalive", (1, 31, 0), Some("32")),
            ("keepalive_requests", (1, 18, 0), Some("100")),
            (
                "proxy_ssl_protocols",
                (1, 22, 1),
                Some("TLSv1 TLSv1.1 TLSv1.2"),
            ),
            ("proxy_read_timeout", (1, 22, 1), Some("60s")),
            ("fastcgi_connect_timeout", (1, 22, 1), Some("60s")),
            ("grpc_next_upstream", (1, 22, 1), Some("error timeout")),
            ("uwsgi_next_upstream_tries", (1, 22, 1), Some("0")),
            ("memcached_intercept_errors", (1, 22, 1), None),
            ("grpc_buffering", (1, 22, 1), None),
            ("root", (1, 22, 1), None),
        ] {
            assert_eq!(
                default_of(directive, version),
                expected,
                "{directive} {version:?}"
            );
        }
    }

    #[test]
    fn default_times_are_times() {
        for module in ["proxy", "fastcgi", "uwsgi", "scgi", "grpc", "memcached"] {
            for setting in ["connect_timeout", "send_timeout", "read_timeout"] {
                let value = default_of(&format!("{module}_{setting}"), (1, 22, 1)).expect("listed");
                assert!(crate::units::parse_time(value.as_bytes()).is_some());
            }
        }
    }
}
