//! SELinux: contexts, what the kernel's policy decides, and the policy itself. Audit's records are read elsewhere.

mod form;
mod policy;
mod reader;

use std::path::{Path, PathBuf};

use bstr::ByteSlice as _;

pub use policy::{Policy, Switch};

use crate::ProbeRequest;
use crate::text::owned;

/// The kernel's interface (`selinuxfs`).
const ROOT: &str = "/sys/fs/selinux";
/// A policy of a desktop with everything has some 10 MiB.
const POLICY_LIMIT: u64 = 64 << 20;

/// Asks whether the kernel enforces: `1`, or `0` where it only logs.
pub fn enforce() -> ProbeRequest {
    ProbeRequest::host_file(format!("{ROOT}/enforce"))
}

/// Asks for the policy that is loaded; root alone may read it.
pub fn policy() -> ProbeRequest {
    ProbeRequest::File {
        view: crate::View::Host,
        path: format!("{ROOT}/policy").into(),
        limit: POLICY_LIMIT,
    }
}

/// Asks for the place of a permission in a class's set, from 1 on.
pub fn permission(class: &str, permission: &str) -> ProbeRequest {
    ProbeRequest::host_file(format!("{ROOT}/class/{class}/perms/{permission}"))
}

/// Whether the kernel runs SELinux, by `/proc/filesystems`: a container sees it there too, where `/sys/fs/selinux` is
/// not shown to it.
pub fn is_registered(filesystems: &[u8]) -> bool {
    filesystems
        .lines()
        .any(|line| line.fields().last() == Some(b"selinuxfs"))
}

/// The type in a context such as `system_u:system_r:httpd_t:s0`; `None` where it is no context.
pub fn kind(context: &str) -> Option<&str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-.:,".contains(c);
    let kind = context.split(':').nth(2)?;
    (context.chars().all(is_plain) && !kind.is_empty()).then_some(kind)
}

/// Which store of policy is in use (`SELINUXTYPE` in `/etc/selinux/config`), such as `targeted`.
pub fn store(config: &[u8]) -> Option<String> {
    let named = config
        .lines()
        .rev()
        .find_map(|line| line.trim_ascii().strip_prefix(b"SELINUXTYPE="))?;
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
    let is_name = !named.is_empty() && named.iter().all(is_name);
    is_name.then(|| owned(named))
}

/// The path that the rules of files name in place of another, by `file_contexts.subs` or `.subs_dist`: lines of an alias
/// and what is meant by it. `None` where no alias fits.
pub fn substituted(path: &Path, rules: &[u8]) -> Option<PathBuf> {
    rules.lines().find_map(|line| {
        let mut words = line.fields();
        let (alias, meant) = (words.next()?, words.next()?);
        let rest = path.strip_prefix(owned(alias)).ok()?;
        alias
            .starts_with(b"/")
            .then(|| Path::new(&owned(meant)).join(rest))
    })
}

/// What the kernel answers to `ProbeRequest::SelinuxAccess` (`sel_write_access`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    allowed: u32,
    audited: u32,
    /// The domain is permissive: what is denied is logged and let pass.
    pub is_permissive: bool,
}

impl Decision {
    /// Reads `ALLOWED DECIDED AUDITALLOW AUDITDENY SEQUENCE FLAGS`.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?.trim_end_matches('\0');
        let mut words = text.split_ascii_whitespace();
        let allowed = words.next()?;
        let audited = words.nth(2)?;
        let flags = words.nth(1)?;
        let hex = |word| u32::from_str_radix(word, 16).ok();
        Some(Self {
            allowed: hex(allowed)?,
            audited: hex(audited)?,
            is_permissive: hex(flags)? & 1 == 1,
        })
    }

    /// Whether a permission, by its place from 1 on, is allowed.
    pub fn allows(&self, permission: u32) -> bool {
        has(self.allowed, permission)
    }

    /// Whether its denial is logged; a `dontaudit` rule keeps it silent.
    pub fn logs_denial(&self, permission: u32) -> bool {
        has(self.audited, permission)
    }
}

fn has(set: u32, permission: u32) -> bool {
    let bit = permission.checked_sub(1);
    bit.is_some_and(|bit| set.checked_shr(bit).is_some_and(|set| set & 1 == 1))
}

#[cfg(test)]
mod tests;
