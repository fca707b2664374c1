//! See the doc comment of [`RESPONSE_HEADER_TOO_BIG`].

use std::path::PathBuf;

use facts::{Exhibit, Gap};
use log::error::Class;

use crate::case::Case;
use crate::incident::Incident;
use crate::verdict::{AGAIN, Confirmation, Fix, Proof, Safety, Step, Verdict};

declare_cause! {
    /// The response header does not fit into the buffer that nginx reads it into.
    ///
    /// ## Confirmed when
    /// nginx says so, of a peer that the configuration dials.
    ///
    /// ## Ruled out when
    /// The failure is another one.
    ///
    /// ## Fix
    /// Raise `proxy_buffer_size` (`fastcgi_buffer_size`, `uwsgi_buffer_size`, ...) where the peer is dialled, and with it what
    /// nginx checks against it: raised alone, `nginx -t` may refuse it.
    /// Unsafe: every connection to the peer takes so much more memory. Or have the application send less.
    ///
    /// ## Looks like
    /// `upstream sent too big header while reading response header from upstream`
    ///
    /// ## See also
    /// `proxy_buffer_size` and `proxy_busy_buffers_size` in nginx's documentation of `ngx_http_proxy_module`.
    pub(crate) static RESPONSE_HEADER_TOO_BIG = {
        id: "response-header-too-big", since: "0.1.0", stage: Request, refines: [],
        judge: Alone(judge),
    }
}

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    if !incident.is(Class::HeaderTooBig) {
        return Ok(Verdict::RuledOut(proof));
    }
    let directive = case.dialled_by(incident)?;
    let buffers = case.header_buffers(incident)?;
    let smaller = Fix {
        summary: "have the application send less".to_owned(),
        safety: Safety::DisplayOnly,
        steps: vec![Step::Advice {
            text: "look for many or long Set-Cookie, Content-Security-Policy or Link headers in what it answers".to_owned(),
        }],
        verify: Some(AGAIN.to_owned()),
    };
    let Some(first) = buffers.first() else {
        // What is on disk is not what read the header.
        let mut steps = vec![Step::Advice { text: "the files changed since the workers started: reload first".to_owned() }];
        steps.extend(case.reload_steps(incident)?);
        let reload = Fix { summary: "reload nginx".to_owned(), safety: Safety::Unsafe, steps, verify: Some(AGAIN.to_owned()) };
        return Ok(Verdict::Confirmed(Confirmation {
            summary: "a response header does not fit into the buffer that nginx has for it".to_owned(),
            proof,
            fixes: vec![reload, smaller],
        }));
    };
    let mut exhibits: Vec<Exhibit> = Vec::new();
    let mut steps: Vec<Step> = Vec::new();
    let mut sizes: Vec<&str> = Vec::new();
    for buffer in &buffers {
        if !sizes.contains(&buffer.text.as_str()) {
            sizes.push(&buffer.text);
        }
        if !exhibits.contains(&buffer.exhibit) {
            exhibits.push(buffer.exhibit.clone());
        }
        for edit in &buffer.edits {
            if !steps.contains(edit) {
                steps.push(edit.clone());
            }
        }
    }
    // From the end of a file to its start: a line that is added moves those after it.
    steps.sort_by(|one, other| place(other).cmp(&place(one)));
    steps.extend(case.reload_steps(incident)?);
    let larger = Fix {
        summary: match sizes.as_slice() {
            [_] => format!("set {} to {}", first.name, first.larger),
            _ => format!("raise {} in each place", first.name),
        },
        safety: Safety::Unsafe,
        steps,
        verify: Some(AGAIN.to_owned()),
    };
    Ok(Verdict::Confirmed(Confirmation {
        summary: format!("a response header is larger than {}, which is {}", first.name, sizes.join(" or ")),
        proof: proof.and(directive).with(exhibits),
        fixes: vec![larger, smaller],
    }))
}

fn place(step: &Step) -> Option<(&PathBuf, usize)> {
    match step {
        Step::Edit { file, line, .. } => Some((file, *line)),
        Step::Command { .. } | Step::Advice { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::fixture::check;

    const ID: &str = "response-header-too-big";
    const NGINX: &str = "
        //- nginx
    ";
    const FAILED: &str = "
        //- failed 14:04:30 http://127.0.0.1:8000/
        upstream sent too big header while reading response header from upstream
    ";

    #[test]
    fn confirmed_with_the_default_size() {
        assert_snapshot!(check(ID, [NGINX, "
            //- file /etc/nginx/nginx.conf
            http { server {
                location / {
                    proxy_pass http://127.0.0.1:8000;
                }
            } }
        ", FAILED]), @"
        answer: response-header-too-big, ongoing
        confirmed: a response header is larger than proxy_buffer_size, which is 4k
        - log 14:04:30 x1: upstream sent too big header while reading response header from upstream
        - config /etc/nginx/nginx.conf:3: proxy_pass http://127.0.0.1:8000;
        - config: proxy_buffer_size is not set there: it is one page of memory, 4k
        fix, unsafe: set proxy_buffer_size to 16k
          /etc/nginx/nginx.conf:3: proxy_pass http://127.0.0.1:8000; => proxy_pass http://127.0.0.1:8000;
        proxy_buffer_size 16k;
        proxy_busy_buffers_size 16k;
          $ nginx -t
          $ nginx -s reload
        fix, shown: have the application send less
          look for many or long Set-Cookie, Content-Security-Policy or Link headers in what it answers
        ");
    }

    #[test]
    fn confirmed_with_pages_of_another_size() {
        // As many arm64 kernels have them.
        assert_snapshot!(check(ID, [NGINX, "
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
            //- file /proc/self/auxv
            \u{6}\0\0\0\0\0\0\0\0@\0\0\0\0\0\0
        ", FAILED]), @"
        answer: response-header-too-big, ongoing
        confirmed: a response header is larger than proxy_buffer_size, which is 16k
        - log 14:04:30 x1: upstream sent too big header while reading response header from upstream
        - config /etc/nginx/nginx.conf:1: proxy_pass http://127.0.0.1:8000;
        - config: proxy_buffer_size is not set there: it is one page of memory, 16k
        fix, unsafe: set proxy_buffer_size to 32k
          /etc/nginx/nginx.conf:1: proxy_pass http://127.0.0.1:8000; => proxy_pass http://127.0.0.1:8000;
        proxy_buffer_size 32k;
          $ nginx -t
          $ nginx -s reload
        fix, shown: have the application send less
          look for many or long Set-Cookie, Content-Security-Policy or Link headers in what it answers
        ");
    }

    #[test]
    fn confirmed_with_sizes_that_have_to_agree() {
        assert_snapshot!(check(ID, [NGINX, "
            //- file /etc/nginx/nginx.conf
            http {
                proxy_buffers 4 16k;
                server {
                    location / {
                        proxy_pass http://127.0.0.1:8000;
                        proxy_buffer_size 16k;
                        proxy_busy_buffers_size 24k;
                        proxy_max_temp_file_size 0;
                    }
                }
            }
        ", FAILED]), @"
        answer: response-header-too-big, ongoing
        confirmed: a response header is larger than proxy_buffer_size, which is 16k
        - log 14:04:30 x1: upstream sent too big header while reading response header from upstream
        - config /etc/nginx/nginx.conf:5: proxy_pass http://127.0.0.1:8000;
        - config /etc/nginx/nginx.conf:6: proxy_buffer_size 16k;
        fix, unsafe: set proxy_buffer_size to 32k
          /etc/nginx/nginx.conf:7: proxy_busy_buffers_size 24k; => proxy_busy_buffers_size 32k;
          /etc/nginx/nginx.conf:6: proxy_buffer_size 16k; => proxy_buffer_size 32k;
          $ nginx -t
          $ nginx -s reload
        fix, shown: have the application send less
          look for many or long Set-Cookie, Content-Security-Policy or Link headers in what it answers
        ");
    }

    #[test]
    fn confirmed_within_an_if() {
        assert_snapshot!(check(ID, [NGINX, "
            //- file /etc/nginx/nginx.conf
            http { server {
                location / {
                    if ($http_x) {
                        proxy_pass http://127.0.0.1:8000;
                    }
                }
            } }
        ", FAILED]), @"
        answer: response-header-too-big, ongoing
        confirmed: a response header is larger than proxy_buffer_size, which is 4k
        - log 14:04:30 x1: upstream sent too big header while reading response header from upstream
        - config /etc/nginx/nginx.conf:4: proxy_pass http://127.0.0.1:8000;
        - config: proxy_buffer_size is not set there: it is one page of memory, 4k
        fix, unsafe: set proxy_buffer_size to 16k
          /etc/nginx/nginx.conf:2: location / { => location / {
            proxy_buffer_size 16k;
            proxy_busy_buffers_size 16k;
          $ nginx -t
          $ nginx -s reload
        fix, shown: have the application send less
          look for many or long Set-Cookie, Content-Security-Policy or Link headers in what it answers
        ");
    }

    #[test]
    fn confirmed_of_php_through_an_upstream() {
        assert_snapshot!(check(ID, [NGINX, "
            //- file /etc/nginx/nginx.conf
            http { upstream php { server unix:/run/php.sock; }
            server { server_name shop.example;
            location ~ \\.php$ { fastcgi_pass php; }
            }
            server { server_name other.example;
            location ~ \\.php$ { fastcgi_buffer_size 32k; fastcgi_buffers 8 32k; fastcgi_pass php; }
            } }
            //- failed 14:04:30 fastcgi://unix:/run/php.sock
            upstream sent too big header while reading response header from upstream
        "]), @"
        answer: response-header-too-big, ongoing
        confirmed: a response header is larger than fastcgi_buffer_size, which is 4k
        - log 14:04:30 x1: upstream sent too big header while reading response header from upstream
        - config /etc/nginx/nginx.conf:1: server unix:/run/php.sock;
        - config: fastcgi_buffer_size is not set there: it is one page of memory, 4k
        fix, unsafe: set fastcgi_buffer_size to 16k
          /etc/nginx/nginx.conf:3: fastcgi_pass php; => fastcgi_pass php;
        fastcgi_buffer_size 16k;
        fastcgi_busy_buffers_size 16k;
          $ nginx -t
          $ nginx -s reload
        fix, shown: have the application send less
          look for many or long Set-Cookie, Content-Security-Policy or Link headers in what it answers
        ");
    }

    #[test]
    fn confirmed_without_a_size_where_the_file_changed_since() {
        assert_snapshot!(check(ID, [NGINX, "
            //- file /etc/nginx/nginx.conf ctime=14:00:00
            http { server { location / { proxy_buffer_size 16k; proxy_pass http://127.0.0.1:8000; } } }
        ", FAILED]), @"
        answer: response-header-too-big, ongoing
        confirmed: a response header does not fit into the buffer that nginx has for it
        - log 14:04:30 x1: upstream sent too big header while reading response header from upstream
        fix, unsafe: reload nginx
          the files changed since the workers started: reload first
          $ nginx -t
          $ nginx -s reload
        fix, shown: have the application send less
          look for many or long Set-Cookie, Content-Security-Policy or Link headers in what it answers
        ");
    }

    #[test]
    fn ruled_out_by_another_failure() {
        assert_snapshot!(check(ID, [NGINX, "
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
            //- failed 14:04:30 http://127.0.0.1:8000/
            upstream sent invalid header: \"X-Bad\\x20...\" while reading response header from upstream
        "]), @r#"
        answer: response-header-invalid, ongoing
        ruled out
        - log 14:04:30 x1: upstream sent invalid header: "X-Bad\x20..." while reading response header from upstream
        "#);
    }

    #[test]
    fn unknown_of_a_peer_that_nothing_dials() {
        assert_snapshot!(check(ID, [NGINX, "
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://127.0.0.1:9000; } } }
        ", FAILED]), @"
        answer: none, ongoing
        unknown: which directive dials this peer: none on disk does
        ");
    }

    #[test]
    fn tells_the_size_of_the_location_that_took_the_request() {
        assert_snapshot!(check(ID, [NGINX, "
            //- file /etc/nginx/nginx.conf
            http { server {
                server_name shop.example;
                location / {
                    proxy_buffer_size 32k;
                    proxy_pass http://127.0.0.1:8000;
                }
                location /api {
                    proxy_buffer_size 8k;
                    proxy_pass http://127.0.0.1:8000;
                }
            } }
            //- failed 14:04:30 http://127.0.0.1:8000/ uri=/api/login
            upstream sent too big header while reading response header from upstream
        "]), @"
        answer: response-header-too-big, ongoing
        confirmed: a response header is larger than proxy_buffer_size, which is 8k
        - log 14:04:30 x1: upstream sent too big header while reading response header from upstream
        - config /etc/nginx/nginx.conf:9: proxy_pass http://127.0.0.1:8000;
        - config /etc/nginx/nginx.conf:8: proxy_buffer_size 8k;
        fix, unsafe: set proxy_buffer_size to 16k
          /etc/nginx/nginx.conf:9: proxy_pass http://127.0.0.1:8000; => proxy_pass http://127.0.0.1:8000;
        proxy_busy_buffers_size 16k;
          /etc/nginx/nginx.conf:8: proxy_buffer_size 8k; => proxy_buffer_size 16k;
          $ nginx -t
          $ nginx -s reload
        fix, shown: have the application send less
          look for many or long Set-Cookie, Content-Security-Policy or Link headers in what it answers
        ");
    }
}
