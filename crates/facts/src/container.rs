//! Where container runtimes keep what containers write to their standard streams.
//!
//! Docker keeps it beneath its data root, unless its log driver is another; conmon (Podman, CRI-O) where its command line
//! says; the kubelet leads to whatever its runtime keeps by a link that bears the container's id.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// What `dockerd` is told, besides its command line.
pub const DOCKER_SETTINGS: &str = "/etc/docker/daemon.json";
/// Where the kubelet keeps its links (kubernetes, `pkg/kubelet/kuberuntime/legacy.go`).
pub const KUBELET_LINKS: &str = "/var/log/containers";

/// Where a runtime keeps a container's output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// In a file, in the form of Kubernetes' runtimes.
    File(PathBuf),
    /// In the journal.
    Journal,
    /// Nowhere.
    Nowhere,
}

/// What a conmon that serves this container was told of its log; `None` of any other program. Any user's process may call
/// itself so: only the parent of the container's first process is one.
///
/// `-l`, `--log-path`: `k8s-file:PATH`, `journald`, `none` and the like, or a bare path (conmon(8)). It may be told
/// several: a file comes before the journal.
pub fn conmon(args: &[Vec<u8>], id: &str) -> Option<Kept> {
    let args = texts(args)?;
    if !is_program(&args, "conmon") || option(&args, &["-c", "--cid"]).next() != Some(id) {
        return None;
    }
    let mut kept = Kept::Nowhere;
    for log in option(&args, &["-l", "--log-path"]) {
        let (driver, path) = match log.split_once(':') {
            Some((driver, path)) => (driver, path),
            None if log.starts_with('/') => ("k8s-file", log),
            None => (log, ""),
        };
        match driver {
            "k8s-file" if path.starts_with('/') => return Some(Kept::File(PathBuf::from(path))),
            "journald" => kept = Kept::Journal,
            _ => {}
        }
    }
    Some(kept)
}

/// The file of Docker's `json-file` driver.
pub fn docker_file(root: &Path, id: &str) -> PathBuf {
    root.join("containers")
        .join(id)
        .join(format!("{id}-json.log"))
}

/// Docker's data root, by its settings file or as it is built. A command line says nothing here: any user's process may
/// call itself `dockerd`.
pub fn docker_root(settings: Option<&[u8]>) -> PathBuf {
    let set = || {
        let settings: Value = serde_json::from_slice(settings?).ok()?;
        let root = settings
            .get("data-root")
            .or_else(|| settings.get("graph"))?;
        Some(root.as_str()?.to_owned())
    };
    set()
        .filter(|root| root.starts_with('/'))
        .map_or_else(|| PathBuf::from("/var/lib/docker"), PathBuf::from)
}

/// The kubelet's link for a container: `POD_NAMESPACE_CONTAINER-ID.log`.
pub fn kubelet_link<'a>(mut names: impl Iterator<Item = &'a str>, id: &str) -> Option<PathBuf> {
    let end = format!("-{id}.log");
    let name = names.find(|name| name.ends_with(&end) && !name.contains('/'))?;
    Some(Path::new(KUBELET_LINKS).join(name))
}

/// The names in a log's folder that are what was rotated away from it: `NAME.1`, `NAME.2.gz`, `NAME.20260623-140211`.
pub fn rotated<'a>(names: impl Iterator<Item = &'a str>, log: &str) -> Vec<&'a str> {
    let is_older = |name: &&str| {
        let rest = name
            .strip_prefix(log)
            .and_then(|rest| rest.strip_prefix('.'));
        rest.is_some_and(|rest| rest.starts_with(|char: char| char.is_ascii_digit()))
    };
    names.filter(is_older).collect()
}

fn texts(args: &[Vec<u8>]) -> Option<Vec<&str>> {
    args.iter()
        .map(|arg| std::str::from_utf8(arg).ok())
        .collect()
}

fn is_program(args: &[&str], name: &str) -> bool {
    let program = args.first().and_then(|program| program.rsplit('/').next());
    program == Some(name)
}

/// The values of an option, whatever it is called: `-c ID`, `--cid ID`, `--cid=ID`.
fn option<'a>(args: &'a [&'a str], names: &'a [&'a str]) -> impl Iterator<Item = &'a str> {
    args.iter().enumerate().filter_map(move |(at, arg)| {
        if names.contains(arg) {
            return args.get(at + 1).copied();
        }
        let (name, value) = arg.split_once('=')?;
        names.contains(&name).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Vec<Vec<u8>> {
        line.split(' ').map(|arg| arg.as_bytes().to_vec()).collect()
    }

    #[test]
    fn conmon_says_where_it_writes() {
        let podman = "/usr/bin/conmon --api-version 1 -c 3f29 -u 3f29 -r /usr/bin/crun -b /var/lib/containers/storage/overlay-containers/3f29/userdata \
            -p /run/p/pidfile -n web --exit-dir /run/libpod/exits --full-attach -s -l ";
        let file = "/var/lib/containers/storage/overlay-containers/3f29/userdata/ctr.log";
        for (log, kept) in [
            (format!("k8s-file:{file}"), Kept::File(file.into())),
            (
                format!("journald -l k8s-file:{file}"),
                Kept::File(file.into()),
            ),
            (
                "/var/log/pods/a_b_c/web/0.log".to_owned(),
                Kept::File("/var/log/pods/a_b_c/web/0.log".into()),
            ),
            ("journald".to_owned(), Kept::Journal),
            ("journald:".to_owned(), Kept::Journal),
            ("none".to_owned(), Kept::Nowhere),
            ("k8s-file:relative".to_owned(), Kept::Nowhere),
        ] {
            assert_eq!(
                conmon(&args(&format!("{podman}{log}")), "3f29"),
                Some(kept),
                "{log}"
            );
        }
        assert_eq!(conmon(&args(&format!("{podman}journald")), "3f2"), None);
        assert_eq!(
            conmon(&args("/usr/bin/other -c 3f29 -l journald"), "3f29"),
            None
        );
    }

    #[test]
    fn dockers_data_root_is_found() {
        let settings: &[u8] = br#"{"log-driver": "json-file", "data-root": "/data/docker"}"#;
        for (settings, root) in [
            (Some(settings), "/data/docker"),
            (Some(&br#"{"data-root": "docker"}"#[..]), "/var/lib/docker"),
            (Some(b"junk"), "/var/lib/docker"),
            (None, "/var/lib/docker"),
        ] {
            assert_eq!(docker_root(settings), Path::new(root));
        }
        assert_eq!(
            docker_file(Path::new("/var/lib/docker"), "3f29"),
            Path::new("/var/lib/docker/containers/3f29/3f29-json.log")
        );
    }

    #[test]
    fn the_kubelets_link_bears_the_id() {
        let names = [
            "web-1_shop_nginx-aa3f29.log",
            "web-1_shop_nginx-3f29.log",
            "x",
        ];
        assert_eq!(
            kubelet_link(names.into_iter(), "3f29"),
            Some(PathBuf::from(
                "/var/log/containers/web-1_shop_nginx-3f29.log"
            ))
        );
        assert_eq!(kubelet_link(names.into_iter(), "29"), None);
    }

    #[test]
    fn what_was_rotated_away_is_told_from_its_neighbours() {
        let names = [
            "0.log",
            "0.log.20260623-140211",
            "0.log.20260622-140211.gz",
            "1.log",
            "0.log.tmp",
        ];
        assert_eq!(
            rotated(names.into_iter(), "0.log"),
            ["0.log.20260623-140211", "0.log.20260622-140211.gz"]
        );
    }
}
