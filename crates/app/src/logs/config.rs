//! A configuration for logs: the formats of its access logs, and whose a peer is.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use bstr::ByteSlice as _;
use conf::{Configuration, Lookup, Model, PeerAddress, Source, Tree};
use log::access::{Escape, Format};

use super::sort::Formats;

/// The configuration that a file begins: a main file with all it includes, a part of one, or what `nginx -T` printed.
pub(crate) fn read(path: &Path) -> anyhow::Result<Model> {
    let reading = || format!("reading the configuration {}", path.display());
    let text = fs::read(path).with_context(reading)?;
    let is_dump = text
        .lines()
        .any(|line| line.starts_with(b"# configuration file "));
    let configuration = if is_dump {
        Configuration::from_dump(&text)
    } else {
        let main = std::path::absolute(path).with_context(reading)?;
        let prefix = main.parent().unwrap_or(Path::new("/"));
        Configuration::assemble(&main, prefix, b"", &Disk)
    };
    for trouble in configuration.troubles() {
        tracing::debug!("{trouble}");
    }
    Ok(Model::of(&configuration))
}

/// The files as they stand here.
struct Disk;

impl Source for Disk {
    fn file(&self, path: &Path) -> Lookup<Arc<Tree>> {
        let read = path.metadata().and_then(|meta| {
            if meta.is_file() {
                fs::read(path)
            } else {
                Err(io::ErrorKind::InvalidInput.into())
            }
        });
        match read {
            Ok(text) => Lookup::Found(Arc::new(Tree::parse(text))),
            Err(error) => failed(&error),
        }
    }

    fn directory(&self, path: &Path) -> Lookup<Vec<Vec<u8>>> {
        use std::os::unix::ffi::OsStringExt as _;
        let names = fs::read_dir(path).and_then(|entries| {
            let names = entries.map(|entry| entry.map(|entry| entry.file_name().into_vec()));
            names.collect::<io::Result<_>>()
        });
        match names {
            Ok(names) => Lookup::Found(names),
            Err(error) => failed(&error),
        }
    }
}

fn failed<T>(error: &io::Error) -> Lookup<T> {
    let invalid = rustix::io::Errno::INVAL.raw_os_error();
    Lookup::Failed(error.raw_os_error().unwrap_or(invalid))
}

/// The formats that access logs are read in: those of a configuration, one of them, or one as it is written out.
pub(crate) fn formats(wanted: Option<&str>, config: Option<&Model>) -> anyhow::Result<Formats> {
    let all = |model: &Model| -> Vec<(String, Format)> {
        let formats = model.log_formats().iter();
        let compiled = formats.map(|format| {
            let escape = match format.escape {
                conf::Escape::Default => Escape::Default,
                conf::Escape::Json => Escape::Json,
                conf::Escape::None => Escape::None,
            };
            (
                format.name.to_string(),
                Format::compile(&format.template, escape),
            )
        });
        compiled.collect()
    };
    match (wanted, config) {
        (None, None) => Ok(Formats::built_in()),
        (None, Some(model)) => {
            let known = all(model).into_iter().map(|(_, format)| format);
            Ok(Formats::of(
                "a format of the configuration".to_owned(),
                known.collect(),
            ))
        }
        (Some(text), _) if text.contains('$') => {
            let (escape, template) = escape_of(text);
            Ok(Formats::of(
                "the format of --log-format".to_owned(),
                vec![Format::compile(template.as_bytes(), escape)],
            ))
        }
        (Some(name), model) => {
            let known =
                model.map_or_else(|| vec![("combined".to_owned(), Format::combined())], all);
            let names: Vec<&str> = known.iter().map(|(name, _)| name.as_str()).collect();
            let names = names.join(", ");
            let hint = match model {
                None => "name a configuration with --config, or write the format out",
                Some(_) => "the configuration has no other",
            };
            let mut named = known.into_iter().filter(|(known, _)| known == name);
            let (_, format) = named
                .next()
                .with_context(|| format!("--log-format {name}: known is {names}; {hint}"))?;
            Ok(Formats::of(format!("format {name}"), vec![format]))
        }
    }
}

/// `escape=` as it stands before a format in a configuration.
fn escape_of(text: &str) -> (Escape, &str) {
    let escapes = [
        ("escape=default ", Escape::Default),
        ("escape=json ", Escape::Json),
        ("escape=none ", Escape::None),
    ];
    escapes
        .into_iter()
        .find_map(|(word, escape)| Some((escape, text.strip_prefix(word)?.trim_start())))
        .unwrap_or((Escape::Default, text))
}

/// The upstream that holds a peer, or bears its name, if it is the only one.
pub(crate) fn upstream_of(model: &Model, peer: &str) -> Option<String> {
    let address = PeerAddress::parse(peer.as_bytes());
    let mut names: Vec<String> = if let Some(address) = address {
        let lines = model.server_lines_at(&address).into_iter();
        let names = lines.map(|(upstream, _)| upstream.name.to_string());
        names.collect()
    } else {
        let upstreams = model.upstreams().iter();
        let named = upstreams.filter(|upstream| upstream.name == peer);
        named.map(|upstream| upstream.name.to_string()).collect()
    };
    names.sort_unstable();
    names.dedup();
    match names.as_slice() {
        [_] => names.pop(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONF: &str = "events {}\nhttp {\n  include conf.d/*.conf;\n  log_format short '$remote_addr $status';\n}\n";
    const APP: &str = "upstream app { server 127.0.0.1:8000; server unix:/run/a.sock; }\nupstream both { server 127.0.0.1:8001; }\nupstream too { server 127.0.0.1:8001; }\n";

    fn model() -> Model {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("conf.d")).unwrap();
        fs::write(dir.path().join("nginx.conf"), CONF).unwrap();
        fs::write(dir.path().join("conf.d/app.conf"), APP).unwrap();
        read(&dir.path().join("nginx.conf")).unwrap()
    }

    #[test]
    fn an_upstream_is_told_where_only_one_holds_the_peer() {
        let model = model();
        for (peer, upstream) in [
            ("127.0.0.1:8000", Some("app")),
            ("unix:/run/a.sock", Some("app")),
            ("127.0.0.1:8001", None),
            ("127.0.0.1:9", None),
            ("both", Some("both")),
            ("-", None),
        ] {
            assert_eq!(upstream_of(&model, peer).as_deref(), upstream, "{peer}");
        }
    }

    #[test]
    fn a_format_is_named_or_written_out() {
        let model = model();
        let fits = |formats: &Formats, line: &str| {
            super::super::sort::sort(line.as_bytes(), formats).is_some()
        };
        let named = formats(Some("short"), Some(&model)).unwrap();
        assert!(fits(&named, "192.0.2.1 502\n"));
        let all = formats(None, Some(&model)).unwrap();
        assert!(fits(&all, "192.0.2.1 502\n"));
        let written = formats(Some("escape=json {\"s\":\"$status\"}"), None).unwrap();
        assert!(fits(&written, "{\"s\":\"502\"}\n"));
        assert!(!fits(&written, "192.0.2.1 502\n"));
        let error = formats(Some("long"), Some(&model)).unwrap_err();
        assert!(error.to_string().contains("short, combined"), "{error}");
        assert!(formats(Some("short"), None).is_err());
    }
}
