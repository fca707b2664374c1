//! `[lint]` of `why502.toml`: severities, paths that are not looked at, and where the paths of a configuration stand here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use diagnose::Severity;
use diagnose::lints;
use serde::Deserialize;
use toml::Spanned;

use super::File;

/// What is set; nothing where there is no file.
#[derive(Default)]
pub(crate) struct LintSettings {
    /// The severity of a lint's findings; `None` where it is not wanted.
    pub(crate) severities: BTreeMap<&'static str, Option<Severity>>,
    /// Files of which no finding is told, absolute.
    pub(crate) ignored: Vec<glob::Pattern>,
    /// Paths as the configuration has them, and where they stand here.
    pub(crate) path_map: Vec<(PathBuf, PathBuf)>,
    /// The version of nginx to judge by.
    pub(crate) version: Option<(u32, u32, u32)>,
}

#[derive(Deserialize)]
struct Tables {
    #[serde(default)]
    lint: Table,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
struct Table {
    disable: Vec<Spanned<String>>,
    severity: BTreeMap<Spanned<String>, Spanned<String>>,
    ignore_paths: Vec<Spanned<String>>,
    path_map: BTreeMap<Spanned<String>, String>,
    nginx_version: Option<Spanned<String>>,
}

impl LintSettings {
    /// Reads the table.
    pub(crate) fn of(file: &File) -> anyhow::Result<Self> {
        let Tables { lint: table } = file.tables()?;
        let mut settings = Self::default();
        for id in &table.disable {
            settings.severities.insert(known(file, id)?, None);
        }
        for (id, severity) in &table.severity {
            let wanted = match severity.as_ref().as_str() {
                "off" => None,
                name => Some(Severity::from_name(name).ok_or_else(|| {
                    let message =
                        format!("'{name}' is no severity: write error, warning, note or off");
                    file.wrong(severity.span().start, &message)
                })?),
            };
            settings.severities.insert(known(file, id)?, wanted);
        }
        for pattern in &table.ignore_paths {
            let whole = file.directory().join(pattern.as_ref());
            let parsed = glob::Pattern::new(&whole.to_string_lossy())
                .map_err(|error| file.wrong(pattern.span().start, &error.to_string()))?;
            settings.ignored.push(parsed);
        }
        for (from, to) in &table.path_map {
            let configured = PathBuf::from(from.as_ref());
            if !configured.is_absolute() {
                let message = "a path as nginx has it begins with '/'";
                return Err(file.wrong(from.span().start, message));
            }
            let here = file.directory().join(to);
            settings.path_map.push((configured, here));
        }
        // The longest first: it says more.
        settings
            .path_map
            .sort_by_key(|(from, _)| std::cmp::Reverse(from.as_os_str().len()));
        if let Some(version) = &table.nginx_version {
            let parsed = parse_version(version.as_ref());
            let parsed = parsed.map_err(|error| file.wrong(version.span().start, &error))?;
            settings.version = Some(parsed);
        }
        Ok(settings)
    }

    /// Where a path of the configuration stands here.
    pub(crate) fn here(&self, path: &Path) -> PathBuf {
        let mapped = self.path_map.iter().find_map(|(from, to)| {
            let rest = path.strip_prefix(from).ok()?;
            Some(if rest.as_os_str().is_empty() {
                to.clone()
            } else {
                to.join(rest)
            })
        });
        mapped.unwrap_or_else(|| path.to_owned())
    }
}

fn known(file: &File, id: &Spanned<String>) -> anyhow::Result<&'static str> {
    lints::by_id(id.as_ref())
        .map(|lint| lint.id)
        .ok_or_else(|| {
            let message = format!(
                "there is no lint '{}': why502 explain lists them",
                id.as_ref()
            );
            file.wrong(id.span().start, &message)
        })
}

/// Reads `1.22.1`; what is left out is 0.
pub(crate) fn parse_version(text: &str) -> Result<(u32, u32, u32), String> {
    let wrong = || format!("'{text}' is no version of nginx: write it as 1.22.1");
    let numbers: Vec<u32> = text
        .split('.')
        .map(|part| part.parse().map_err(|_| wrong()))
        .collect::<Result<_, _>>()?;
    match numbers.as_slice() {
        [major, minor] => Ok((*major, *minor, 0)),
        [major, minor, patch] => Ok((*major, *minor, *patch)),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        match LintSettings::of(&File::of(text)) {
            Ok(_) => "taken".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_table_is_read_and_those_of_others_are_let_be() {
        let file = File::of(
            r#"
            [defaults]
            whatever = { a = 1 }
            [lint]
            disable = ["name-resolved-once"]
            ignore-paths = ["vendor/**"]
            nginx-version = "1.28"
            [lint.severity]
            localhost-in-proxy-pass = "error"
            header-buffer-small = "off"
            [lint.path-map]
            "/etc/nginx" = "nginx"
            "/etc/nginx/snippets" = "/srv/shared"
            [applications.shop]
            listen = 8000
            "#,
        );
        let settings = LintSettings::of(&file).unwrap();
        let severities: Vec<_> = settings.severities.iter().collect();
        assert_eq!(
            severities,
            [
                (&"header-buffer-small", &None),
                (&"localhost-in-proxy-pass", &Some(Severity::Error)),
                (&"name-resolved-once", &None),
            ]
        );
        assert_eq!(settings.version, Some((1, 28, 0)));
        for (path, here) in [
            ("/etc/nginx/conf.d/a.conf", "/srv/nginx/conf.d/a.conf"),
            ("/etc/nginx/snippets/a", "/srv/shared/a"),
            ("/etc/nginx-other/a", "/etc/nginx-other/a"),
            ("/etc/nginx", "/srv/nginx"),
        ] {
            assert_eq!(settings.here(Path::new(path)), Path::new(here));
        }
        let ignores = |path: &str| settings.ignored.iter().any(|pattern| pattern.matches(path));
        assert!(ignores("/srv/vendor/x/a.conf"));
        assert!(!ignores("/srv/own/a.conf"));
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        for (text, expected) in [
            (
                "[lint]\ndisable = [\"no-such\"]",
                "/srv/why502.toml:2:12: there is no lint 'no-such': why502 explain lists them",
            ),
            (
                "[lint.severity]\nname-resolved-once = \"bad\"",
                "/srv/why502.toml:2:22: 'bad' is no severity: write error, warning, note or off",
            ),
            (
                "[lint]\nnginx-version = \"new\"",
                "/srv/why502.toml:2:17: 'new' is no version of nginx: write it as 1.22.1",
            ),
            (
                "[lint.path-map]\n\"etc\" = \"x\"",
                "/srv/why502.toml:2:1: a path as nginx has it begins with '/'",
            ),
        ] {
            assert_eq!(error(text), expected);
        }
        assert!(error("[lint]\nfoo = 1").starts_with("/srv/why502.toml:2:1: unknown field `foo`"));
        assert!(error("[lint\n").starts_with("/srv/why502.toml:1:6:"));
    }
}
