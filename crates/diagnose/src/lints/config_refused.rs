//! See the doc comment of [`CONFIG_REFUSED`].


use super::{Found, Subject};

declare_lint! {
    /// nginx refuses this configuration: it does not start with it, and a reload keeps the old one.
    ///
    /// ## Found when
    /// The text breaks nginx's own rules of files: a missing `;` or `}`, an unknown way to end a directive, an `include` of
    /// a file that is not there. The words are those of `nginx -t`.
    ///
    /// ## Silent when
    /// Only a directive's meaning is wrong: which directives there are hangs on how nginx was built. `nginx -t` tells.
    /// Where only text is given, a file that it includes may well be there where nginx runs.
    ///
    /// ## Fix
    /// Correct the file. None is made: what was meant, nobody else knows.
    ///
    /// ## Example
    /// ```text
    /// location / { proxy_pass http://127.0.0.1:8000 }
    /// ```
    pub(crate) static CONFIG_REFUSED = {
        id: "config-refused", since: "0.1.0", severity: Error, judge: Text(judge),
    }
}

fn judge(subject: &Subject<'_>) -> Vec<Found> {
    let has_host = subject.host().is_ok();
    let troubles = subject.configuration.troubles().iter();
    let of_this_nginx = troubles.filter(|trouble| {
        let is_of_a_file = trouble.message.starts_with("open() ");
        // Another machine has other files, and another user may read others.
        !is_of_a_file || (has_host && !trouble.message.contains("(13:"))
    });
    let found = of_this_nginx.filter_map(|trouble| {
        let span = subject.place(trouble.file?, trouble.span?)?;
        let said = format!("nginx refuses this: {trouble}");
        Some(Found::at(span, trouble.message.clone(), said))
    });
    // nginx stops at the first.
    found.take(1).collect()
}

#[cfg(test)]
mod tests {
    use crate::lints::tests::{found, silent};

    const ID: &str = "config-refused";

    #[test]
    fn what_nginx_cannot_read_is_told_in_its_words() {
        insta::assert_snapshot!(found(ID, ["
            http { server { location / { proxy_pass http://127.0.0.1:8000 } } }
        "]), @"
        1:63: error: nginx refuses this: unexpected \"}\" in /etc/nginx/nginx.conf:1
          `}` unexpected \"}\"
        ");
        insta::assert_snapshot!(found(ID, ["
            http { include gone.conf; }
        "]), @"
        1:16: error: nginx refuses this: open() \"/etc/nginx/gone.conf\" failed (2: No such file or directory) in /etc/nginx/nginx.conf:1
          `gone.conf` open() \"/etc/nginx/gone.conf\" failed (2: No such file or directory)
        ");
    }

    #[test]
    fn what_nginx_can_read_is_not_told() {
        silent(ID, ["
            http { include conf.d/*.conf; server { location / { proxy_pass http://127.0.0.1:8000; } } }
        "]);
        silent(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { include secret.conf; }
            //- denied file host /etc/nginx/secret.conf
        "]);
    }
}
