//! Control groups that can be frozen: which files say so of a process, and what they say.

use bstr::ByteSlice as _;

use crate::text::owned;

/// A control group of a process in a hierarchy that can freeze it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Freezer {
    /// Where the hierarchy is mounted, by convention.
    root: &'static str,
    is_unified: bool,
    /// Below that; begins with `/`.
    path: String,
}

impl Freezer {
    /// Those of a process, from its `/proc/PID/cgroup`. A root group cannot be frozen; nor can that of the reader's own
    /// namespace without freezing the reader.
    pub fn all(cgroup: &[u8]) -> Vec<Self> {
        let lines: Vec<[&[u8]; 3]> = cgroup
            .lines()
            .filter_map(|line| {
                let mut fields = line.splitn_str(3, ":");
                Some([fields.next()?, fields.next()?, fields.next()?])
            })
            .collect();
        let is_mixed = lines
            .iter()
            .any(|[_, controllers, _]| !controllers.is_empty());
        let unified = if is_mixed {
            "/sys/fs/cgroup/unified"
        } else {
            "/sys/fs/cgroup"
        };
        lines
            .into_iter()
            .filter_map(|[_, controllers, path]| {
                let is_unified = controllers.is_empty();
                let is_such =
                    is_unified || controllers.split_str(",").any(|name| name == b"freezer");
                (is_such && path != b"/").then(|| Self {
                    root: if is_unified {
                        unified
                    } else {
                        "/sys/fs/cgroup/freezer"
                    },
                    is_unified,
                    path: owned(path),
                })
            })
            .collect()
    }

    /// The file that says whether its processes stand still, be it for a group above.
    pub fn state(&self) -> String {
        let name = if self.is_unified {
            "cgroup.events"
        } else {
            "freezer.state"
        };
        format!("{}{}/{name}", self.root, self.path)
    }

    /// Whether they do, by that file; `None` where it is none such.
    pub fn is_frozen(&self, state: &[u8]) -> Option<bool> {
        if self.is_unified {
            let of = |name: &[u8]| state.lines().find_map(|line| line.strip_prefix(name));
            // Linux before 5.2 cannot freeze it, and says nothing of that.
            let said = of(b"frozen ").or_else(|| of(b"populated ").map(|_| b"0".as_slice()))?;
            return Some(said.trim() == b"1");
        }
        match state.trim() {
            b"FROZEN" => Some(true),
            b"FREEZING" | b"THAWED" => Some(false),
            _ => None,
        }
    }

    /// The files that freeze it and the groups above, the innermost first, each with what thaws it.
    pub fn switches(&self) -> Vec<Switch> {
        let name = if self.is_unified {
            "cgroup.freeze"
        } else {
            "freezer.self_freezing"
        };
        let mut path = self.path.as_str();
        let mut switches = Vec::new();
        while !path.is_empty() && path != "/" {
            let group = format!("{}{path}", self.root);
            switches.push(Switch {
                state: format!("{group}/{name}"),
                thaw: if self.is_unified {
                    ("0", format!("{group}/cgroup.freeze"))
                } else {
                    ("THAWED", format!("{group}/freezer.state"))
                },
            });
            path = path.rsplit_once('/').map_or("", |(above, _)| above);
        }
        switches
    }
}

/// What freezes one group by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Switch {
    /// The file that holds `1` where it does.
    pub state: String,
    /// What to write, and into which file, to end it.
    pub thaw: (&'static str, String),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states(cgroup: &[u8]) -> Vec<String> {
        Freezer::all(cgroup).iter().map(Freezer::state).collect()
    }

    #[test]
    fn the_files_of_each_layout_are_named() {
        assert_eq!(
            states(b"0::/system.slice/shop.service\n"),
            ["/sys/fs/cgroup/system.slice/shop.service/cgroup.events"]
        );
        // Linux 6.1 with the older hierarchies and the unified one.
        assert_eq!(
            states(b"6:freezer:/shop\n4:memory:/x\n0::/shop\n"),
            [
                "/sys/fs/cgroup/freezer/shop/freezer.state",
                "/sys/fs/cgroup/unified/shop/cgroup.events"
            ]
        );
        assert_eq!(states(b"6:freezer:/\n1:name=systemd:/x\n0::/\n"), [""; 0]);
    }

    #[test]
    fn what_they_say_is_read() {
        let unified = &Freezer::all(b"0::/a/b\n")[0];
        assert_eq!(unified.is_frozen(b"populated 1\nfrozen 1\n"), Some(true));
        assert_eq!(unified.is_frozen(b"populated 1\nfrozen 0\n"), Some(false));
        assert_eq!(unified.is_frozen(b"populated 1\n"), Some(false));
        assert_eq!(unified.is_frozen(b""), None);
        let older = &Freezer::all(b"6:freezer:/a/b\n")[0];
        assert_eq!(older.is_frozen(b"FROZEN\n"), Some(true));
        assert_eq!(older.is_frozen(b"THAWED\n"), Some(false));
    }

    #[test]
    fn the_groups_above_may_be_what_is_frozen() {
        let switches = Freezer::all(b"0::/a/b\n")[0].switches();
        let states: Vec<&str> = switches
            .iter()
            .map(|switch| switch.state.as_str())
            .collect();
        assert_eq!(
            states,
            [
                "/sys/fs/cgroup/a/b/cgroup.freeze",
                "/sys/fs/cgroup/a/cgroup.freeze"
            ]
        );
    }
}
