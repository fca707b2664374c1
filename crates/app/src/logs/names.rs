//! From the arguments to the names of logs: patterns, directories, standard input.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use diagnose::logs::Skipped;

/// A log that is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    /// Standard input.
    Standard,
    /// A file that was named.
    Named(PathBuf),
    /// A file that a pattern or a directory holds: nobody said that it is fit to be read.
    Found(PathBuf),
}

impl Input {
    /// As it is shown.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Standard => "-".to_owned(),
            Self::Named(path) | Self::Found(path) => path.to_string_lossy().into_owned(),
        }
    }
}

/// What the arguments name, in their order; a directory's files and a pattern's by their names.
pub(crate) fn inputs(args: &[PathBuf]) -> (Vec<Input>, Vec<Skipped>) {
    let mut inputs = Vec::new();
    let mut skipped = Vec::new();
    for arg in args {
        if arg.as_os_str() == "-" {
            if !inputs.contains(&Input::Standard) {
                inputs.push(Input::Standard);
            }
        } else if arg.is_dir() {
            of_directory(arg, &mut inputs, &mut skipped);
        } else if let Some(pattern) = pattern(arg) {
            of_pattern(pattern, &mut inputs, &mut skipped);
        } else {
            inputs.push(Input::Named(arg.clone()));
        }
    }
    (inputs, skipped)
}

/// That nothing of a file was read, and why.
pub(super) fn unread(file: String, why: String) -> Skipped {
    Skipped {
        file,
        why,
        lines: 0,
        whole: true,
    }
}

/// An argument that is a pattern, for it is no name.
fn pattern(arg: &Path) -> Option<&str> {
    let text = arg.to_str()?;
    (text.contains(['*', '?', '[']) && fs::symlink_metadata(arg).is_err()).then_some(text)
}

fn of_pattern(pattern: &str, inputs: &mut Vec<Input>, skipped: &mut Vec<Skipped>) {
    let options = glob::MatchOptions {
        // As the shell does.
        require_literal_leading_dot: true,
        require_literal_separator: true,
        case_sensitive: true,
    };
    let paths = match glob::glob_with(pattern, options) {
        Ok(paths) => paths,
        Err(error) => {
            let why = format!("it is no pattern: {}", error.msg);
            skipped.push(unread(pattern.to_owned(), why));
            return;
        }
    };
    let before = (inputs.len(), skipped.len());
    for path in paths {
        match path {
            Ok(path) if path.is_dir() => of_directory(&path, inputs, skipped),
            Ok(path) => inputs.push(Input::Found(path)),
            Err(error) => {
                let file = error.path().to_string_lossy().into_owned();
                skipped.push(unread(file, said(error.error())));
            }
        }
    }
    if before == (inputs.len(), skipped.len()) {
        skipped.push(unread(pattern.to_owned(), "no file matches".to_owned()));
    }
}

fn of_directory(path: &Path, inputs: &mut Vec<Input>, skipped: &mut Vec<Skipped>) {
    let shown = || path.to_string_lossy().into_owned();
    let listed = fs::read_dir(path).and_then(|entries| {
        let named = entries.map(|entry| entry.map(|entry| entry.path()));
        named.collect::<io::Result<Vec<PathBuf>>>()
    });
    let mut paths = match listed {
        Ok(paths) => paths,
        Err(error) => {
            skipped.push(unread(shown(), said(&error)));
            return;
        }
    };
    paths.retain(|path| {
        let name = path.file_name().map(|name| name.to_string_lossy());
        name.is_some_and(|name| is_logs_name(&name)) && !path.is_dir()
    });
    if paths.is_empty() {
        let why = "no file in the directory has a log's name, such as error.log or access.log.2.gz";
        skipped.push(unread(shown(), why.to_owned()));
    }
    paths.sort_unstable();
    inputs.extend(paths.into_iter().map(Input::Found));
}

/// An error of the system's, without its number.
pub(super) fn said(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "there is no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "no permission to read it".to_owned(),
        _ => {
            let text = error.to_string();
            let short = text.split(" (os error").next().unwrap_or_default();
            short.to_lowercase()
        }
    }
}

/// Whether a file in a directory is read: `x.log`, what logrotate makes of it, and what is packed.
fn is_logs_name(name: &str) -> bool {
    const PACKED: [&str; 4] = [".gz", ".zst", ".xz", ".bz2"];
    if name.starts_with('.') {
        return false;
    }
    if let Some(inner) = PACKED.iter().find_map(|end| name.strip_suffix(end)) {
        return inner.strip_suffix(".tar").is_none();
    }
    // Numbers and dates: `.1`, `-20260623`, `.2026-06-23_04`.
    let is_turn = |turn: &str| {
        turn.starts_with(['.', '-'])
            && turn.contains(|letter: char| letter.is_ascii_digit())
            && turn
                .chars()
                .all(|letter| letter.is_ascii_digit() || ".-_".contains(letter))
    };
    [".log", "error_log", "access_log"].iter().any(|stem| {
        name.rfind(stem)
            .and_then(|at| name.get(at + stem.len()..))
            .is_some_and(|turn| turn.is_empty() || is_turn(turn))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_logs() {
        for name in [
            "error.log",
            "access.log.1",
            "error.log.14.gz",
            "error.log-20260623",
            "shop.error.log.2026-06-23.zst",
            "error_log",
            "access_log-20260623.xz",
            "old.gz",
        ] {
            assert!(is_logs_name(name), "{name}");
        }
        for name in [
            "nginx.conf",
            ".error.log.swp",
            "error.log.conf",
            "site.tar.gz",
            "catalog",
            "error.log.old-",
            "x.log.Z",
        ] {
            assert!(!is_logs_name(name), "{name}");
        }
    }

    #[test]
    fn directories_and_patterns_become_files_in_the_order_of_their_names() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.log", "a.log", "notes.txt", "a.log.1"] {
            fs::write(dir.path().join(name), "").unwrap();
        }
        fs::create_dir(dir.path().join("deeper.log")).unwrap();
        let found = |name: &str| Input::Found(dir.path().join(name));
        let (inputs_of, skipped) = inputs(&[dir.path().to_owned()]);
        assert_eq!(
            inputs_of,
            [found("a.log"), found("a.log.1"), found("b.log")]
        );
        assert_eq!(skipped, []);
        let (inputs_of, skipped) = inputs(&[dir.path().join("*.log.?"), dir.path().join("c*")]);
        assert_eq!(inputs_of, [found("a.log.1")]);
        assert_eq!(skipped[0].why, "no file matches");
        let (inputs_of, _) = inputs(&["-".into(), "x".into(), "-".into()]);
        assert_eq!(inputs_of, [Input::Standard, Input::Named("x".into())]);
    }

    #[test]
    fn a_name_that_looks_like_a_pattern_is_a_name_where_there_is_such_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a[1].log");
        fs::write(&path, "").unwrap();
        assert_eq!(inputs(std::slice::from_ref(&path)).0, [Input::Named(path)]);
    }
}
