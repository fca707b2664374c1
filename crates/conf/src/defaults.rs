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
        "error_log_level" => "error",
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
        "buffer_size" => "4k|8k",
        "socket_keepalive" => "off",
        "buffers" if is_cgi_like => "8 4k|8k",
        "buffering" | "request_buffering" if is_cgi_like => "on",
        "intercept_errors" if module != "memcached" => "off",
        _ => return None,
    })
}
