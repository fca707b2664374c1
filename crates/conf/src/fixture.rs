//! Configurations for tests: one text, its files parted by lines `//- PATH`, the first being the main file.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::{Configuration, Lookup, Model, Source, Tree};

/// Files in memory. A file named `PATH!ERRNO` cannot be read; one named `PATH?` is not known yet.
#[derive(Default)]
pub(crate) struct Files {
    main: PathBuf,
    files: BTreeMap<PathBuf, Lookup<Arc<Tree>>>,
}

impl Files {
    pub(crate) fn of(fixture: &str) -> Self {
        let mut files = Self::default();
        for section in fixture.split("//- ").skip(1) {
            let (name, text) = section.split_once('\n').unwrap_or((section, ""));
            let (path, lookup) = if let Some((path, errno)) = name.split_once('!') {
                (path, Lookup::Failed(errno.parse().expect("an errno")))
            } else if let Some(path) = name.strip_suffix('?') {
                (path, Lookup::Wanted)
            } else {
                (
                    name,
                    Lookup::Found(Arc::new(Tree::parse(text.as_bytes().to_vec()))),
                )
            };
            if files.main.as_os_str().is_empty() {
                files.main = path.into();
            }
            files.files.insert(path.into(), lookup);
        }
        files
    }
}

impl Source for Files {
    fn file(&self, path: &Path) -> Lookup<Arc<Tree>> {
        self.files.get(path).cloned().unwrap_or(Lookup::Failed(2))
    }

    fn directory(&self, dir: &Path) -> Lookup<Vec<Vec<u8>>> {
        let inside = self
            .files
            .keys()
            .filter_map(|path| path.strip_prefix(dir).ok());
        let names = inside.filter_map(|rest| rest.components().next());
        let names: Vec<Vec<u8>> = names
            .map(|name| name.as_os_str().as_bytes().to_vec())
            .collect();
        if names.is_empty() {
            Lookup::Failed(2)
        } else {
            Lookup::Found(names)
        }
    }
}

pub(crate) fn configuration(fixture: &str) -> Configuration {
    let files = Files::of(fixture);
    let prefix = files.main.parent().expect("an absolute path");
    Configuration::assemble(&files.main, prefix, b"", &files)
}

/// The model of a fixture, or of the text alone as `/etc/nginx/nginx.conf`.
pub(crate) fn model(fixture: &str) -> Model {
    let alone = format!("//- /etc/nginx/nginx.conf\n{fixture}");
    let configuration = configuration(if fixture.starts_with("//- ") {
        fixture
    } else {
        &alone
    });
    assert_eq!(configuration.troubles(), [], "{fixture}");
    Model::of(&configuration)
}
