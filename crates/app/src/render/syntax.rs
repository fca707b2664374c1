//! The syntaxes of the files that are made, and which values may stand in them.
//!
//! A value is written as it is, and only if no character of it means anything in the syntax, inside quotes or outside;
//! else the template is refused. What may hold anything goes through `| quoted`, which writes a whole literal of the
//! syntax, or refuses too.

/// How the text of a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Syntax {
    Nginx,
    Systemd,
    /// php-fpm's pools.
    Php,
    /// uWSGI's own ini files.
    Uwsgi,
    Python,
    Ruby,
    Shell,
    Apparmor,
    Json,
    /// Any other, of which nothing is known but that `#` begins a comment.
    Plain,
}

impl Syntax {
    pub(crate) const ALL: [Self; 10] = [
        Self::Nginx,
        Self::Systemd,
        Self::Php,
        Self::Uwsgi,
        Self::Python,
        Self::Ruby,
        Self::Shell,
        Self::Apparmor,
        Self::Json,
        Self::Plain,
    ];

    /// As it is written in the settings.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Systemd => "systemd",
            Self::Php => "php-fpm",
            Self::Uwsgi => "uwsgi",
            Self::Python => "python",
            Self::Ruby => "ruby",
            Self::Shell => "shell",
            Self::Apparmor => "apparmor",
            Self::Json => "json",
            Self::Plain => "plain",
        }
    }

    /// The syntax of this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|syntax| syntax.name() == name)
    }

    /// What the path of a file tells of it.
    pub(crate) fn of_path(path: &str) -> Self {
        let ending = path
            .rsplit('/')
            .next()
            .and_then(|name| name.rsplit_once('.'));
        match ending.map(|(_, ending)| ending) {
            Some("service" | "socket" | "timer" | "target" | "mount") => Self::Systemd,
            Some("py") => Self::Python,
            Some("rb") => Self::Ruby,
            Some("sh") => Self::Shell,
            Some("json") => Self::Json,
            _ if path.starts_with("/etc/nginx/") => Self::Nginx,
            _ if path.starts_with("/etc/systemd/") => Self::Systemd,
            _ if path.starts_with("/etc/php/") => Self::Php,
            _ => Self::Plain,
        }
    }

    /// The first line of every file that is made; none where the syntax has no comments.
    pub(crate) fn header(self) -> Option<String> {
        let begins = match self {
            Self::Json => return None,
            Self::Php => ';',
            _ => '#',
        };
        Some(format!("{begins} {MADE}\n"))
    }

    /// The first character of a value that means something in this syntax.
    pub(crate) fn meaning(self, value: &str) -> Option<char> {
        value.chars().find(|&c| !self.is_inert(c))
    }

    /// Whether a character means nothing, wherever it stands.
    fn is_inert(self, c: char) -> bool {
        let more = match self {
            // Brackets: of an IPv6 address.
            Self::Nginx => ",~%*?&![]",
            Self::Systemd => ",~[]",
            Self::Python | Self::Ruby => ",~",
            Self::Json => ",~%*?&! ",
            Self::Php | Self::Uwsgi => ",[]",
            Self::Shell | Self::Apparmor | Self::Plain => "",
        };
        c.is_alphanumeric() || "-_./:+@=".contains(c) || more.contains(c)
    }

    /// The value as a literal of this syntax; the character that has no place in one otherwise.
    pub(crate) fn quoted(self, value: &str) -> Result<String, char> {
        let refused: &[char] = match self {
            // A variable cannot be kept from being one.
            Self::Nginx => &['$'],
            Self::Php => &['"', '\\', '$', '{', '}'],
            // No quotes there: what stands behind the `=` is the value.
            Self::Uwsgi => return self.bare(value),
            // Globs and variables mean something in quotes too.
            Self::Apparmor => &['"', '\\', '*', '?', '[', ']', '{', '}', '^', '@'],
            Self::Plain => return self.bare(value),
            Self::Systemd | Self::Python | Self::Ruby | Self::Shell | Self::Json => &[],
        };
        if let Some(c) = value
            .chars()
            .find(|c| c.is_control() || ends_lines(*c) || refused.contains(c))
        {
            return Err(c);
        }
        Ok(match self {
            Self::Ruby => format!("'{}'", value.replace('\\', "\\\\").replace('\'', "\\'")),
            Self::Shell => format!("'{}'", value.replace('\'', "'\\''")),
            Self::Systemd => in_double_quotes(value).replace('%', "%%"),
            _ => in_double_quotes(value),
        })
    }

    fn bare(self, value: &str) -> Result<String, char> {
        match self.meaning(value) {
            Some(c) => Err(c),
            None => Ok(value.to_owned()),
        }
    }
}

/// What the header says.
pub(crate) const MADE: &str = "made by why502 render from why502.toml; edits are lost";

/// Line ends that are no control characters.
fn ends_lines(c: char) -> bool {
    matches!(c, '\u{2028}' | '\u{2029}')
}

fn in_double_quotes(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A word of a command line of systemd's: no variable, no specifier, no separator.
pub(crate) fn exec_word(value: &str) -> Result<String, char> {
    if Syntax::Systemd.meaning(value).is_none() && !value.is_empty() {
        return Ok(value.to_owned());
    }
    Ok(Syntax::Systemd.quoted(value)?.replace('$', "$$"))
}
