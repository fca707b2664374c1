//! AppArmor: what a process is confined by, and where a profile stands in its file. Audit's records are read elsewhere.

use bstr::ByteSlice as _;

use crate::ProbeRequest;
use crate::text::owned;

/// Asks whether the kernel runs AppArmor: `Y`; there is no such file where it has none.
pub fn enabled() -> ProbeRequest {
    ProbeRequest::host_file("/sys/module/apparmor/parameters/enabled")
}

/// What confines a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// The profile.
    pub profile: String,
    /// Whether what it does not allow is denied; in complain mode it is logged alone.
    pub enforces: bool,
}

/// Reads `/proc/PID/attr/current`, such as `nginx (enforce)`; `None` where nothing confines the process.
pub fn label(text: &str) -> Option<Label> {
    let (profile, mode) = text.trim_end().strip_suffix(')')?.rsplit_once(" (")?;
    Some(Label {
        profile: profile.to_owned(),
        enforces: !matches!(mode, "complain" | "unconfined"),
    })
}

/// The line that a profile begins with in a file of `/etc/apparmor.d`, with its number from 1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its number.
    pub line: usize,
    /// The line as it stands.
    pub text: String,
}

/// Where a profile begins: `profile NAME ... {`, or `/PATH {` for one that is named by its program. One whose brace
/// stands on a later line is not found.
pub fn head(file: &[u8], profile: &str) -> Option<Head> {
    (1..).zip(file.lines()).find_map(|(line, bytes)| {
        let text = bytes.trim_ascii();
        let named = match text.strip_prefix(b"profile ") {
            Some(rest) => rest.trim_ascii_start(),
            None if text.starts_with(b"/") || text.starts_with(b"\"/") => text,
            None => return None,
        };
        let name = match named.strip_prefix(b"\"") {
            Some(quoted) => quoted.split_once_str("\"")?.0,
            None => named.fields().next()?,
        };
        (name == profile.as_bytes() && text.ends_with(b"{")).then(|| Head {
            line,
            text: owned(bytes.trim_end()),
        })
    })
}

/// Whether a rule stands in a profile's file, on a line of its own.
pub fn has_rule(file: &[u8], rule: &str) -> bool {
    file.lines()
        .any(|line| line.trim_ascii() == rule.as_bytes())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_label_names_profile_and_mode() {
        for (text, expected) in [
            ("nginx (enforce)\n", Some(("nginx", true))),
            (
                "/usr/sbin/nginx (complain)\n",
                Some(("/usr/sbin/nginx", false)),
            ),
            ("a (b) (kill)", Some(("a (b)", true))),
            ("unconfined\n", None),
            ("system_u:system_r:httpd_t:s0", None),
        ] {
            let found = label(text);
            let found = found
                .as_ref()
                .map(|label| (label.profile.as_str(), label.enforces));
            assert_eq!(found, expected, "{text}");
        }
    }

    #[test]
    fn a_profile_is_found_where_it_begins() {
        let file = b"#include <tunables/global>\n\
            # profile nginx {\n\
            profile other /usr/bin/nginx {\n}\n\
            profile nginx /usr/sbin/nginx flags=(attach_disconnected) {\n  network unix,\n}\n\
            /usr/sbin/php-fpm flags=(complain) {\n}\n\
            profile \"a name\" {\n}\n";
        for (profile, line) in [
            ("nginx", Some(5)),
            ("/usr/sbin/php-fpm", Some(8)),
            ("a name", Some(10)),
            ("/usr/sbin/nginx", None),
            ("no", None),
        ] {
            assert_eq!(head(file, profile).map(|head| head.line), line, "{profile}");
        }
        assert!(has_rule(file, "network unix,") && !has_rule(file, "network"));
        let text = "profile nginx /usr/sbin/nginx flags=(attach_disconnected) {";
        assert_eq!(head(file, "nginx").unwrap().text, text);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, text in ".{0,40}") {
            label(&text);
            head(&bytes, &text);
            head(text.as_bytes(), "nginx");
        }
    }
}
