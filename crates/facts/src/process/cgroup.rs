//! Which unit or container a process belongs to, from `/proc/PID/cgroup`.

use bstr::ByteSlice as _;

use crate::text::{hex, number, owned};

/// Where a process stands in the tree of control groups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cgroup {
    /// The path that tells most, as the kernel prints it.
    pub path: String,
    /// The path that counts its memory.
    pub memory: String,
    /// The host's systemd service, such as `postgresql@15-main.service`. What a systemd inside a container runs is not
    /// meant.
    pub unit: Option<String>,
    /// Whose user manager runs the unit; `None` for the system's.
    pub user: Option<u32>,
    /// The container it runs in.
    pub container: Option<Container>,
}

/// A container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// What runs it.
    pub runtime: Runtime,
    /// Its id or name, as the runtime's own commands take it.
    pub id: String,
}

/// What runs a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// Docker.
    Docker,
    /// Podman.
    Podman,
    /// containerd, mostly for Kubernetes.
    Containerd,
    /// CRI-O.
    CriO,
    /// Kubernetes, by a runtime that the path does not tell.
    Kubernetes,
    /// systemd-nspawn, or what else machined knows.
    Machine,
    /// LXC, LXD or Incus.
    Lxc,
    /// The path tells only that it is one.
    Other,
}

impl Cgroup {
    /// Reads lines `ID:CONTROLLERS:PATH`. With cgroup v1 or both, systemd's own hierarchy tells most.
    pub fn parse(bytes: &[u8]) -> Self {
        let mut lines: Vec<(u8, &[u8])> = bytes.lines().filter_map(line).collect();
        lines.sort_by_key(|&(rank, _)| rank);
        let mut best = Self {
            memory: memory_path(bytes),
            ..Self::default()
        };
        for (_, path) in lines {
            let found = Self::of_path(path);
            if best.path.is_empty() {
                best.path = found.path;
            }
            // A container made by hand under cgroup v1 shows in the resource controllers alone.
            if best.container.is_none() && found.container.is_some() {
                best.container = found.container;
            }
            if best.unit.is_none() && found.unit.is_some() {
                (best.unit, best.user) = (found.unit, found.user);
            }
        }
        best
    }

    fn of_path(path: &[u8]) -> Self {
        let path = path.strip_suffix(b" (deleted)").unwrap_or(path);
        let mut found = Self {
            path: owned(path),
            ..Self::default()
        };
        let mut in_kubernetes = false;
        for component in path
            .split_str("/")
            .filter(|component| !component.is_empty())
        {
            // systemd puts `_` before a name that the kernel would take for its own (`cg_escape`).
            let component = component.strip_prefix(b"_").unwrap_or(component);
            in_kubernetes |= component.starts_with(b"kubepods");
            if let Some(container) = container(component, in_kubernetes, &found.path) {
                found.container = Some(container);
                // What stands below belongs to the systemd inside.
                break;
            }
            let Some(name) = component.strip_suffix(b".service") else {
                continue;
            };
            match name.strip_prefix(b"user@").and_then(number) {
                Some(uid) => found.user = Some(uid),
                None => found.unit = Some(owned(component)),
            }
        }
        found
    }
}

/// The memory controller's own hierarchy, else the unified one.
fn memory_path(bytes: &[u8]) -> String {
    let path_of = |is_wanted: fn(&[u8]) -> bool| {
        let mut fields = bytes.lines().map(|line| line.splitn_str(3, ":"));
        fields.find_map(|mut fields| {
            let (_, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
            is_wanted(controllers).then(|| owned(path))
        })
    };
    let controls_memory: fn(&[u8]) -> bool =
        |controllers| controllers.split_str(",").any(|name| name == b"memory");
    path_of(controls_memory)
        .or_else(|| path_of(<[u8]>::is_empty))
        .unwrap_or_default()
}

/// How much a hierarchy tells, lowest first, and its path.
fn line(line: &[u8]) -> Option<(u8, &[u8])> {
    let mut fields = line.splitn_str(3, ":");
    let (id, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
    let rank = match (id, controllers) {
        (_, b"name=systemd") => 0,
        (b"0", b"") => 1,
        _ => 2,
    };
    path.starts_with(b"/").then_some((rank, path))
}

fn container(component: &[u8], in_kubernetes: bool, path: &str) -> Option<Container> {
    const PREFIXES: [(&[u8], Runtime); 7] = [
        (b"docker-", Runtime::Docker),
        (b"libpod-payload-", Runtime::Podman),
        (b"libpod-", Runtime::Podman),
        (b"cri-containerd-", Runtime::Containerd),
        (b"crio-", Runtime::CriO),
        (b"nerdctl-", Runtime::Containerd),
        (b"docker-ce-", Runtime::Docker),
    ];
    let scope = component.strip_suffix(b".scope").unwrap_or(component);
    for (prefix, runtime) in PREFIXES {
        if let Some(id) = scope.strip_prefix(prefix).filter(|id| is_id(id)) {
            return Some(Container {
                runtime,
                id: owned(id),
            });
        }
    }
    let named = |runtime, id: &[u8]| {
        Some(Container {
            runtime,
            id: owned(id),
        })
    };
    if let Some(name) = scope.strip_prefix(b"lxc.payload.") {
        return named(Runtime::Lxc, name);
    }
    if let Some(name) = scope
        .strip_prefix(b"machine-")
        .filter(|_| scope != component)
    {
        return named(Runtime::Machine, &unescaped(name));
    }
    if let Some(name) = component
        .strip_prefix(b"systemd-nspawn@")
        .and_then(|name| name.strip_suffix(b".service"))
    {
        return named(Runtime::Machine, &unescaped(name));
    }
    // containerd under a cgroup driver of its own: `SLICE:cri-containerd:ID`.
    if let Some((rest, id)) = component.rsplit_once_str(":").filter(|(_, id)| is_id(id)) {
        let runtime = if rest.contains_str("crio") {
            Runtime::CriO
        } else {
            Runtime::Containerd
        };
        return named(runtime, id);
    }
    if !is_id(component) {
        return None;
    }
    let runtime = if in_kubernetes {
        Runtime::Kubernetes
    } else if path.contains("/docker/") {
        Runtime::Docker
    } else {
        Runtime::Other
    };
    named(runtime, component)
}

/// Every OCI runtime names containers by 64 hex digits.
fn is_id(text: &[u8]) -> bool {
    text.len() == 64 && text.iter().all(u8::is_ascii_hexdigit)
}

/// Undoes `\xNN` (systemd.unit(5), "String escaping for inclusion in unit names").
fn unescaped(name: &[u8]) -> Vec<u8> {
    let mut parts = name.split_str("\\x");
    let mut plain = parts.next().unwrap_or_default().to_vec();
    for part in parts {
        let escape = part
            .split_at_checked(2)
            .and_then(|(digits, rest)| Some((hex(digits)?, rest)));
        if let Some((byte, rest)) = escape {
            plain.extend(byte);
            plain.extend_from_slice(rest);
        } else {
            plain.extend_from_slice(b"\\x");
            plain.extend_from_slice(part);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ID: &str = "3f29c8a7d54e1b06f29c8a7d54e1b063f29c8a7d54e1b063f29c8a7d54e1b064";

    fn told(text: &str) -> (Option<String>, Option<u32>, Option<(Runtime, String)>) {
        let cgroup = Cgroup::parse(text.replace("ID", ID).as_bytes());
        let container = cgroup
            .container
            .map(|container| (container.runtime, container.id.replace(ID, "ID")));
        (cgroup.unit, cgroup.user, container)
    }

    #[test]
    fn a_unit_is_the_innermost_service_of_the_host() {
        for (text, unit, user) in [
            ("0::/system.slice/nginx.service\n", "nginx.service", None),
            (
                "0::/system.slice/system-postgresql.slice/postgresql@15-main.service",
                "postgresql@15-main.service",
                None,
            ),
            (
                "0::/user.slice/user-1000.slice/user@1000.service/app.slice/shop.service",
                "shop.service",
                Some(1000),
            ),
            (
                "0::/system.slice/app-gunicorn.service/worker",
                "app-gunicorn.service",
                None,
            ),
            ("0::/system.slice/_cgroup.service", "cgroup.service", None),
            (
                "12:memory:/\n1:name=systemd:/system.slice/php8.2-fpm.service\n0::/system.slice/php8.2-fpm.service\n",
                "php8.2-fpm.service",
                None,
            ),
        ] {
            assert_eq!(told(text), (Some(unit.to_owned()), user, None), "{text}");
        }
    }

    #[test]
    fn a_container_is_told_by_its_runtimes_way_of_naming() {
        for (text, runtime, id) in [
            ("0::/system.slice/docker-ID.scope", Runtime::Docker, "ID"),
            (
                "11:memory:/docker/ID\n1:name=systemd:/docker/ID\n",
                Runtime::Docker,
                "ID",
            ),
            (
                "0::/machine.slice/libpod-ID.scope/container",
                Runtime::Podman,
                "ID",
            ),
            (
                "0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod1_2.slice/cri-containerd-ID.scope",
                Runtime::Containerd,
                "ID",
            ),
            (
                "0::/kubepods.slice/kubepods-pod1_2.slice/crio-ID.scope",
                Runtime::CriO,
                "ID",
            ),
            (
                "4:memory:/kubepods/burstable/pod0-1/ID",
                Runtime::Kubernetes,
                "ID",
            ),
            (
                "0::/system.slice/containerd.service/kubepods-besteffort-pod1.slice:cri-containerd:ID",
                Runtime::Containerd,
                "ID",
            ),
            (
                "0::/machine.slice/machine-web\\x2d1.scope/payload/system.slice/nginx.service",
                Runtime::Machine,
                "web-1",
            ),
            (
                "0::/machine.slice/systemd-nspawn@web.service/payload/init.scope",
                Runtime::Machine,
                "web",
            ),
            (
                "0::/lxc.payload.web/system.slice/nginx.service",
                Runtime::Lxc,
                "web",
            ),
            ("0::/ecs/task/ID", Runtime::Other, "ID"),
            (
                "2:memory:/docker/ID\n1:name=systemd:/\n",
                Runtime::Docker,
                "ID",
            ),
        ] {
            assert_eq!(told(text).2, Some((runtime, id.to_owned())), "{text}");
        }
    }

    #[test]
    fn a_unit_inside_a_container_is_not_the_hosts() {
        assert_eq!(
            told("0::/machine.slice/machine-web.scope/payload/system.slice/nginx.service").0,
            None
        );
        let (unit, _, container) = told("0::/system.slice/shop.service/libpod-payload-ID");
        assert_eq!(unit.as_deref(), Some("shop.service"));
        assert_eq!(container, Some((Runtime::Podman, "ID".to_owned())));
    }

    #[test]
    fn a_login_session_is_neither() {
        assert_eq!(
            told("0::/user.slice/user-0.slice/session-4.scope"),
            (None, None, None)
        );
        assert_eq!(told("0::/\n"), (None, None, None));
        assert_eq!(told("junk\n0:x\n"), (None, None, None));
    }

    #[test]
    fn memory_is_counted_in_its_own_hierarchy_or_the_unified_one() {
        for (text, path) in [
            (
                "12:cpu:/a\n4:hugetlb,memory:/b\n1:name=systemd:/c\n0::/d\n",
                "/b",
            ),
            (
                "0::/system.slice/shop.service\n",
                "/system.slice/shop.service",
            ),
            ("1:name=systemd:/c\n", ""),
        ] {
            assert_eq!(Cgroup::parse(text.as_bytes()).memory, path, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, path in "[a-z/.@:\\\\x0-9_-]{0,80}") {
            Cgroup::parse(&bytes);
            Cgroup::parse(format!("0::/{path}").as_bytes());
        }
    }
}
