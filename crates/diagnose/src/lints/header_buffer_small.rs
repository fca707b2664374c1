//! See the doc comment of [`HEADER_BUFFER_SMALL`].

use conf::units::parse_size;
use conf::{Pass, PassKind};

use super::subject::module_of;
use super::{Found, Subject};

declare_lint! {
    /// The buffer for a response's header is smaller than nginx's default.
    ///
    /// ## Found when
    /// `proxy_buffer_size` (`fastcgi_`, `uwsgi_`, `scgi_`, `grpc_`, `memcached_`) is below 4k where requests are passed on.
    /// A response whose header does not fit is answered with 502: `upstream sent too big header`. A few cookies or a
    /// `Content-Security-Policy` suffice.
    ///
    /// ## Silent when
    /// It is not set (one page of memory, 4k or more), or 4k or larger.
    ///
    /// ## Fix
    /// Set it to `8k`. Safe where no other size depends on it; else Unsafe: nginx checks `*_buffers` and `*_busy_buffers_size`
    /// against it, and refuses what does not fit together.
    ///
    /// ## See also
    /// `why502 explain response-header-too-big`
    pub(crate) static HEADER_BUFFER_SMALL = {
        id: "header-buffer-small", since: "0.1.0", severity: Warning, judge: Text(judge),
    }
}

/// One page of memory on most machines.
const USUAL: u64 = 4096;
/// What suffices for most headers.
const ROOMY: &str = "8k";

fn judge(subject: &Subject<'_>) -> Vec<Found> {
    let passes = subject.model.passes().iter();
    passes.filter_map(|pass| small(subject, pass)).collect()
}

fn small(subject: &Subject<'_>, pass: &Pass) -> Option<Found> {
    if pass.kind == PassKind::Stream {
        return None;
    }
    let module = module_of(pass.kind);
    let name = format!("{module}_buffer_size");
    let (text, at) = subject.value(pass.context, &name)?;
    let size = parse_size(text.as_bytes())?;
    if size >= USUAL {
        return None;
    }
    let reason = format!("a response whose header is larger than {text} is answered with 502, and {text} is less than nginx's default of a page (4k): a few cookies do not fit");
    let mut found = Found::at(subject.span(at, Some(0))?, "too small for many headers", reason);
    if subject.level_of(at) != subject.model.location_label(pass.context) {
        let level = subject.level_of(at);
        let label = format!("passed on from here, with the size of {level}");
        found = found.and(subject.span(pass.directive, None), label);
    }
    let depends = ["buffers", "busy_buffers_size", "temp_file_write_size", "max_temp_file_size"];
    let is_alone = depends.iter().all(|setting| {
        let name = format!("{module}_{setting}");
        subject.model.in_force(pass.context, &name).is_empty()
    });
    let edits = subject.set_argument(at, 0, ROOMY);
    let summary = format!("make room for {ROOMY}");
    Some(if is_alone {
        found.mend(summary, edits)
    } else {
        found.could(summary, edits)
    })
}

#[cfg(test)]
mod tests {
    use crate::lints::tests::{found, silent};

    const ID: &str = "header-buffer-small";

    #[test]
    fn found_below_a_page() {
        insta::assert_snapshot!(found(ID, ["
            http { server {
                proxy_buffer_size 2k;
                location / { proxy_pass http://127.0.0.1:8000; }
                location /php {
                    fastcgi_buffer_size 1024;
                    fastcgi_buffers 4 1k;
                    fastcgi_pass 127.0.0.1:9000;
                }
            } }
        "]), @"
        2:19: warning: a response whose header is larger than 2k is answered with 502, and 2k is less than nginx's default of a page (4k): a few cookies do not fit
          `2k` too small for many headers
          - line 3: `proxy_pass http://127.0.0.1:8000;` passed on from here, with the size of server
          safe: make room for 8k
            + proxy_buffer_size 8k;
        5:21: warning: a response whose header is larger than 1024 is answered with 502, and 1024 is less than nginx's default of a page (4k): a few cookies do not fit
          `1024` too small for many headers
          unsafe: make room for 8k
            + fastcgi_buffer_size 8k;
        ");
    }

    #[test]
    fn silent_where_it_is_not_set_large_enough_or_not_used() {
        silent(ID, ["
            http {
                proxy_buffer_size 1k;
                server {
                    location / { proxy_buffer_size 4k; proxy_pass http://127.0.0.1:8000; }
                    location /big { proxy_buffer_size 128k; proxy_buffers 4 256k; proxy_pass http://127.0.0.1:8000; }
                    location /php { fastcgi_pass 127.0.0.1:9000; }
                    location /static { root /srv; }
                }
            }
        "]);
    }
}
