//! Unit files and their drop-ins, read as systemd.syntax(7) and systemd.unit(5) say.

use std::path::{Path, PathBuf};

use bstr::ByteSlice as _;

use crate::text::{owned, words};

/// A unit's file with its drop-ins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnitFile {
    settings: Vec<Setting>,
}

/// A line `KEY=VALUE`, continuation lines joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Its section, such as `Service`.
    pub section: String,
    /// Its key, such as `ExecStart`.
    pub key: String,
    /// Its value.
    pub value: String,
    /// The file it stands in.
    pub file: PathBuf,
    /// The line it begins on, from 1.
    pub line: usize,
}

/// A command line of a unit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecLine {
    /// The characters before the program: `-` ignores its failure, `@` names it otherwise, `+` `!` and `!!` keep its rights,
    /// `:` keeps `$` as it is.
    pub prefix: String,
    /// Program and arguments, quotes undone; `$VARIABLE` stays.
    pub argv: Vec<String>,
}

impl UnitFile {
    /// Reads files in the order in which they apply: the unit's own first, then its drop-ins by name.
    pub fn parse<'a>(files: impl IntoIterator<Item = (&'a Path, &'a [u8])>) -> Self {
        let mut settings = Vec::new();
        for (file, text) in files {
            parse(file, text, &mut settings);
        }
        Self { settings }
    }

    /// The settings of a key, those dropped by a later empty one left out: what a list such as `ExecStart` consists of.
    pub fn list(&self, section: &str, key: &str) -> Vec<&Setting> {
        let mut list = Vec::new();
        for setting in self.all(section, key) {
            if setting.value.is_empty() {
                list.clear();
            } else {
                list.push(setting);
            }
        }
        list
    }

    /// The setting of a key that holds one value: the last.
    pub fn value(&self, section: &str, key: &str) -> Option<&Setting> {
        self.all(section, key)
            .pop()
            .filter(|setting| !setting.value.is_empty())
    }

    fn all(&self, section: &str, key: &str) -> Vec<&Setting> {
        let settings = self.settings.iter();
        settings
            .filter(|setting| setting.section == section && setting.key == key)
            .collect()
    }

    /// What the service starts; `name` is the unit's, for the specifiers in its file.
    pub fn exec_start(&self, name: &str) -> Vec<ExecLine> {
        let lines = self.list("Service", "ExecStart");
        lines
            .into_iter()
            .map(|setting| ExecLine::parse(&expand(&setting.value, name)))
            .collect()
    }

    /// The addresses of a socket unit for streams.
    pub fn listen_streams(&self, name: &str) -> Vec<String> {
        let lines = self.list("Socket", "ListenStream");
        lines
            .into_iter()
            .map(|setting| expand(&setting.value, name))
            .collect()
    }

    /// The variables that it sets, the last value of each.
    pub fn environment(&self, name: &str) -> Vec<(String, String)> {
        let mut variables: Vec<(String, String)> = Vec::new();
        for setting in self.list("Service", "Environment") {
            for word in words(&expand(&setting.value, name)) {
                if let Some((key, value)) = word.split_once('=') {
                    variables.retain(|(known, _)| known != key);
                    variables.push((key.to_owned(), value.to_owned()));
                }
            }
        }
        variables
    }
}

impl ExecLine {
    /// Reads a command line.
    pub fn parse(text: &str) -> Self {
        let command = text.trim_start_matches(['-', '@', '+', '!', ':', '|']);
        let prefix = text.get(..text.len() - command.len()).unwrap_or_default();
        let mut argv = words(command);
        // With `@` the second word is the name that the program is given.
        if prefix.contains('@') && argv.len() > 1 {
            argv.remove(1);
        }
        Self {
            prefix: prefix.to_owned(),
            argv,
        }
    }
}

fn parse(file: &Path, text: &[u8], settings: &mut Vec<Setting>) {
    let mut section = String::new();
    let mut open: Option<(usize, Vec<u8>)> = None;
    for (idx, line) in text.lines().enumerate() {
        // A comment inside a continued line is skipped and does not end it.
        if matches!(line.trim_start().first(), Some(b'#' | b';')) {
            continue;
        }
        let (start, mut joined) = open.take().unwrap_or((idx + 1, Vec::new()));
        if let Some(continued) = line.strip_suffix(b"\\") {
            joined.extend_from_slice(continued);
            joined.push(b' ');
            open = Some((start, joined));
            continue;
        }
        joined.extend_from_slice(line);
        take(file, start, &joined, &mut section, settings);
    }
    if let Some((start, joined)) = open {
        take(file, start, &joined, &mut section, settings);
    }
}

fn take(file: &Path, line: usize, text: &[u8], section: &mut String, settings: &mut Vec<Setting>) {
    let text = text.trim();
    if let Some(name) = text
        .strip_prefix(b"[")
        .and_then(|name| name.strip_suffix(b"]"))
    {
        *section = owned(name);
    } else if let Some((key, value)) = text.split_once_str("=") {
        settings.push(Setting {
            section: section.clone(),
            key: owned(key.trim()),
            value: owned(value.trim()),
            file: file.to_owned(),
            line,
        });
    }
}

/// Replaces the specifiers that the unit's name answers (systemd.unit(5)); others stay.
fn expand(text: &str, name: &str) -> String {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let (prefix, instance) = stem.split_once('@').unwrap_or((stem, ""));
    let mut expanded = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '%' {
            expanded.push(c);
            continue;
        }
        match chars.next() {
            Some('i') => expanded.push_str(instance),
            // Unescaped: `-` stands for `/`.
            Some('I') => expanded.push_str(&instance.replace('-', "/")),
            Some('n') => expanded.push_str(name),
            Some('N') => expanded.push_str(stem),
            Some('p') => expanded.push_str(prefix),
            Some('t') => expanded.push_str("/run"),
            Some('%') => expanded.push('%'),
            other => {
                expanded.push('%');
                expanded.extend(other);
            }
        }
    }
    expanded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const UNIT: &[u8] = b"# a comment\n[Unit]\nDescription=Shop\n\n[Service]\nUser=shop\n\
        Environment=PORT=8000 \"NAME=my shop\"\n\
        ExecStart=/srv/venv/bin/gunicorn --workers 2 \\\n  # in between\n  --bind unix:%t/%p/%i.sock \\\n  shop:app\n\
        WorkingDirectory=/srv/shop\n; another\n[Install]\nWantedBy=multi-user.target\n";

    fn merged(drop_in: &[u8]) -> UnitFile {
        UnitFile::parse([
            (Path::new("/etc/systemd/system/shop@.service"), UNIT),
            (
                Path::new("/etc/systemd/system/shop@.service.d/bind.conf"),
                drop_in,
            ),
        ])
    }

    fn argv(unit: &UnitFile) -> Vec<String> {
        unit.exec_start("shop@eu.service")
            .into_iter()
            .flat_map(|line| line.argv)
            .collect()
    }

    #[test]
    fn continued_lines_and_specifiers_are_read() {
        let unit = merged(b"");
        assert_eq!(
            argv(&unit),
            [
                "/srv/venv/bin/gunicorn",
                "--workers",
                "2",
                "--bind",
                "unix:/run/shop/eu.sock",
                "shop:app"
            ]
        );
        let start = unit.value("Service", "ExecStart").unwrap();
        assert_eq!(
            (start.line, start.file.file_name().unwrap().to_str()),
            (8, Some("shop@.service"))
        );
        assert_eq!(unit.value("Service", "User").unwrap().value, "shop");
        assert_eq!(unit.value("Service", "WantedBy"), None);
    }

    #[test]
    fn a_drop_in_adds_to_lists_and_an_empty_value_empties_them() {
        let added = merged(b"[Service]\nExecStart=-/bin/true\nUser=www-data\n");
        assert_eq!(added.exec_start("shop@eu.service").len(), 2);
        assert_eq!(added.value("Service", "User").unwrap().value, "www-data");
        let replaced = merged(
            b"[Service]\nExecStart=\nExecStart=/usr/bin/gunicorn --bind 127.0.0.1:8001 shop:app\n",
        );
        assert_eq!(
            argv(&replaced),
            ["/usr/bin/gunicorn", "--bind", "127.0.0.1:8001", "shop:app"]
        );
        assert_eq!(merged(b"[Service]\nUser=\n").value("Service", "User"), None);
    }

    #[test]
    fn prefixes_are_set_apart() {
        for (text, prefix, argv) in [
            ("-/bin/a b", "-", vec!["/bin/a", "b"]),
            ("@/bin/a name b", "@", vec!["/bin/a", "b"]),
            ("+!:/bin/a", "+!:", vec!["/bin/a"]),
            (
                "/bin/a 'b c' \"d\\\"e\" f\\ g ''",
                "",
                vec!["/bin/a", "b c", "d\"e", "f g", ""],
            ),
        ] {
            let line = ExecLine::parse(text);
            assert_eq!(
                (line.prefix.as_str(), line.argv),
                (prefix, argv.into_iter().map(str::to_owned).collect()),
                "{text}"
            );
        }
    }

    #[test]
    fn the_environment_keeps_the_last_value() {
        let unit = merged(b"[Service]\nEnvironment=PORT=9000\n");
        assert_eq!(
            unit.environment("shop@eu.service"),
            [
                ("NAME".to_owned(), "my shop".to_owned()),
                ("PORT".to_owned(), "9000".to_owned())
            ]
        );
    }

    #[test]
    fn a_socket_unit_names_its_streams() {
        let unit = UnitFile::parse([(
            Path::new("/etc/systemd/system/shop.socket"),
            &b"[Socket]\nListenStream=%t/shop.sock\nListenStream=127.0.0.1:8000\nListenDatagram=/run/log\n"[..],
        )]);
        assert_eq!(
            unit.listen_streams("shop.socket"),
            ["/run/shop.sock", "127.0.0.1:8000"]
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, text in "[ -~\n]{0,80}", name in "[a-z@.-]{0,12}") {
            for text in [&bytes[..], text.as_bytes()] {
                let unit = UnitFile::parse([(Path::new("/x"), text)]);
                unit.exec_start(&name);
                unit.environment(&name);
            }
            ExecLine::parse(&text);
            expand(&text, &name);
        }
    }
}
