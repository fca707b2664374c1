//! What SELinux and AppArmor denied, from audit's records: `/var/log/audit/audit.log`, or the kernel's own log where no
//! auditd runs.
//!
//! Only the kernel's records of access (type 1400) are read: those that programs send (`USER_AVC`) are their own word.
//! A process chooses its name and a stranger the names of files, so nothing is searched for within a line: it is read
//! from its beginning, field by field, as `audit_log_format` wrote it. Decides nothing.

use std::path::PathBuf;

use bstr::ByteSlice as _;
use jiff::Timestamp;

use crate::text::{hex, number, owned};
use crate::{ProbeRequest, View};

/// Where auditd writes.
const LOG: &str = "/var/log/audit/audit.log";
/// auditd begins a new file at 8 MiB unless told otherwise (`max_log_file` in auditd.conf).
const LOG_LIMIT: u64 = 32 << 20;

/// Asks for auditd's log since a time. Lines of other types belong to the access record before them.
pub fn log_since(since: Timestamp) -> ProbeRequest {
    ProbeRequest::LinesSince {
        view: View::Host,
        path: PathBuf::from(LOG),
        from: format!("type=AVC msg=audit({}.000", since.as_second()),
        limit: LOG_LIMIT,
    }
}

/// A record of access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessRecord {
    /// When it happened, by the kernel's clock.
    pub at: Timestamp,
    /// The process.
    pub pid: Option<u32>,
    /// What the process calls itself: its own word.
    pub comm: String,
    /// What a path or name it concerns is.
    pub path: Option<PathBuf>,
    /// Inode of what it concerns.
    pub inode: Option<u64>,
    /// Which security module wrote it, and what it says.
    pub module: SecurityModule,
    /// The record as it stands, without type and time.
    pub text: String,
}

/// What a security module says of an access.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecurityModule {
    /// `avc:  denied  { name_connect } for ...`.
    SeLinux(Avc),
    /// `apparmor="DENIED" operation="connect" ...`.
    AppArmor(Confinement),
}

/// SELinux's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Avc {
    /// What was asked for and denied.
    pub permissions: Vec<String>,
    /// The context of who asked.
    pub source: String,
    /// The context of what it was asked of.
    pub target: String,
    /// The class of what it was asked of.
    pub class: String,
    /// The port that a connection was for.
    pub port: Option<u16>,
    /// Whether it was denied in fact; a permissive domain or host logs and lets pass. `None` in records of Linux before 3.17.
    pub enforced: Option<bool>,
}

/// AppArmor's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Confinement {
    /// `DENIED`, or `ALLOWED` of a profile in complain mode.
    pub is_denied: bool,
    /// The profile.
    pub profile: String,
    /// Such as `create` or `connect`.
    pub operation: String,
    /// The address family of a socket.
    pub family: Option<String>,
    /// The socket's type, such as `stream`.
    pub socket: Option<String>,
    /// What was asked for and denied, such as `wr`.
    pub mask: Option<String>,
}

/// The records in auditd's log.
pub fn of_log(bytes: &[u8]) -> Vec<AccessRecord> {
    bytes.lines().filter_map(of_log_line).collect()
}

/// The record in a line of the kernel's log, such as `audit: type=1400 audit(1795224463.740:18): avc:  denied ...`.
pub fn of_kernel_line(text: &str) -> Option<AccessRecord> {
    let text = text.as_bytes();
    let rest = text.strip_prefix(b"audit: ").unwrap_or(text);
    record(rest.strip_prefix(b"type=1400 audit(")?)
}

fn of_log_line(line: &[u8]) -> Option<AccessRecord> {
    // `name_format` of auditd.conf puts the host's name first.
    let line = match line.strip_prefix(b"node=") {
        Some(named) => named.split_once_str(" ")?.1,
        None => line,
    };
    record(line.strip_prefix(b"type=AVC msg=audit(")?)
}

/// From the time on: `1795224463.740:18): ...`.
fn record(stamped: &[u8]) -> Option<AccessRecord> {
    let (stamp, text) = stamped.split_once_str("): ")?;
    let (time, _serial) = stamp.split_once_str(":")?;
    let (seconds, millis) = time.split_once_str(".")?;
    let nanos = number::<i32>(millis).filter(|_| millis.len() == 3)? * 1_000_000;
    let at = Timestamp::new(number(seconds)?, nanos).ok()?;
    // What auditd adds in the enriched format stands after a separator.
    let text = text.split(|&byte| byte == 0x1d).next().unwrap_or(text);
    let (module, fields) = if text.starts_with(b"apparmor=") {
        let fields = Fields::of(text);
        (SecurityModule::AppArmor(confinement(&fields)?), fields)
    } else {
        avc(text)?
    };
    let path = fields.string("path").or_else(|| fields.string("name"));
    Some(AccessRecord {
        at,
        pid: fields.number("pid"),
        comm: owned(&fields.string("comm").unwrap_or_default()),
        path: path.map(|path| PathBuf::from(owned(&path))),
        inode: fields.number("ino"),
        module,
        text: owned(text.trim_ascii()),
    })
}

/// `avc:  denied  { write } for  pid=439 comm="nginx" ...` (security/selinux/avc.c).
fn avc(text: &[u8]) -> Option<(SecurityModule, Fields<'_>)> {
    let rest = text.strip_prefix(b"avc:")?.trim_ascii_start();
    let rest = rest.strip_prefix(b"denied")?.trim_ascii_start();
    let (permissions, rest) = rest.strip_prefix(b"{")?.split_once_str("}")?;
    let fields = Fields::of(rest.trim_ascii_start().strip_prefix(b"for")?);
    let avc = Avc {
        permissions: permissions.fields().map(owned).collect(),
        source: fields.word("scontext")?,
        target: fields.word("tcontext")?,
        class: fields.word("tclass")?,
        port: fields.number("dest"),
        enforced: fields.number::<u8>("permissive").map(|value| value == 0),
    };
    Some((SecurityModule::SeLinux(avc), fields))
}

/// `aa_audit_msg` (security/apparmor/audit.c).
fn confinement(fields: &Fields<'_>) -> Option<Confinement> {
    let text = |name| fields.string(name).map(|value| owned(&value));
    Some(Confinement {
        is_denied: match &*fields.string("apparmor")? {
            b"DENIED" => true,
            b"ALLOWED" => false,
            _ => return None,
        },
        profile: text("profile")?,
        operation: text("operation")?,
        family: text("family"),
        socket: text("sock_type"),
        mask: text("denied_mask"),
    })
}

/// `key=value` pairs, the first of a key counts: what the kernel writes first a stranger cannot.
struct Fields<'a>(Vec<(&'a [u8], Value<'a>)>);

#[derive(Clone, Copy)]
enum Value<'a> {
    /// Between quotes; it holds none itself (`audit_log_untrustedstring`).
    Quoted(&'a [u8]),
    Bare(&'a [u8]),
}

impl<'a> Fields<'a> {
    fn of(text: &'a [u8]) -> Self {
        let mut fields = Vec::new();
        let mut rest = text.trim_ascii_start();
        while let Some((key, after)) = rest.split_once_str("=") {
            let (value, after) = if let Some(quoted) = after.strip_prefix(b"\"") {
                let Some((value, after)) = quoted.split_once_str("\"") else {
                    break;
                };
                (Value::Quoted(value), after)
            } else {
                let end = after.find_byte(b' ').unwrap_or(after.len());
                let (value, after) = after.split_at(end);
                (Value::Bare(value), after)
            };
            // Words before a key that are no field of their own.
            let key = key.rsplit(|&byte| byte == b' ').next().unwrap_or(key);
            fields.push((key, value));
            rest = after.trim_ascii_start();
        }
        Self(fields)
    }

    fn get(&self, key: &str) -> Option<Value<'a>> {
        let mut fields = self.0.iter();
        fields
            .find(|(name, _)| *name == key.as_bytes())
            .map(|&(_, value)| value)
    }

    /// The kernel's own word, which needs no quotes.
    fn word(&self, key: &str) -> Option<String> {
        match self.get(key)? {
            Value::Bare(word) => Some(owned(word)),
            Value::Quoted(_) => None,
        }
    }

    fn number<T: std::str::FromStr>(&self, key: &str) -> Option<T> {
        match self.get(key)? {
            Value::Bare(digits) => number(digits),
            Value::Quoted(_) => None,
        }
    }

    /// A stranger's word: quoted, or in hex where it holds what quotes could not.
    fn string(&self, key: &str) -> Option<Vec<u8>> {
        match self.get(key)? {
            Value::Quoted(text) => Some(text.to_vec()),
            Value::Bare(b"(null)") => None,
            Value::Bare(digits) => Some(hex(digits).unwrap_or_else(|| digits.to_vec())),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// auditd 3.0.9 of Debian 12: nginx in httpd_t, a socket of initrc_t, booleans and ports changed in between, at
    /// last a permissive domain.
    const SELINUX: &[u8] = include_bytes!("../testdata/audit/selinux.log");
    /// The same with AppArmor: nginx's profile without a rule for inet.
    const APPARMOR: &[u8] = include_bytes!("../testdata/audit/apparmor.log");

    fn told(record: &AccessRecord) -> String {
        let path = record.path.as_deref().unwrap_or("-".as_ref()).display();
        let what = match &record.module {
            SecurityModule::SeLinux(avc) => format!(
                "{} {} -> {} {} port {:?} enforced {:?}",
                avc.permissions.join(","),
                avc.source,
                avc.target,
                avc.class,
                avc.port,
                avc.enforced
            ),
            SecurityModule::AppArmor(confinement) => format!("{confinement:?}"),
        };
        let pid = record.pid.unwrap_or_default();
        format!("{} {pid} {} {path}: {what}", record.at, record.comm)
    }

    #[test]
    fn what_selinux_denied_is_read_and_nothing_else() {
        let told: Vec<String> = of_log(SELINUX).iter().map(told).collect();
        let httpd = "system_u:system_r:httpd_t:s0 -> system_u";
        assert_eq!(
            told,
            [
                format!(
                    "2026-11-21T01:28:11.728Z 439 nginx -: name_connect {httpd}:object_r:ntop_port_t:s0 tcp_socket port Some(3000) enforced Some(true)"
                ),
                format!(
                    "2026-11-21T01:28:39.184Z 439 nginx -: name_connect {httpd}:object_r:unreserved_port_t:s0 tcp_socket port Some(8888) enforced Some(true)"
                ),
                format!(
                    "2026-11-21T01:28:47.444Z 439 nginx -: name_connect {httpd}:object_r:amanda_port_t:s0 tcp_socket port Some(10080) enforced Some(true)"
                ),
                format!(
                    "2026-11-21T01:28:47.572Z 439 nginx webapp.sock: write {httpd}:object_r:initrc_runtime_t:s0 sock_file port None enforced Some(true)"
                ),
                format!(
                    "2026-11-21T01:28:47.86Z 439 nginx -: name_connect {httpd}:object_r:unreserved_port_t:s0 tcp_socket port Some(5999) enforced Some(true)"
                ),
                format!(
                    "2026-11-21T01:30:24.9Z 440 nginx -: name_connect {httpd}:object_r:http_port_t:s0 tcp_socket port Some(7777) enforced Some(true)"
                ),
                format!(
                    "2026-11-21T01:31:12.932Z 439 nginx /run/webapp.sock: connectto {httpd}:system_r:initrc_t:s0 unix_stream_socket port None enforced Some(true)"
                ),
                format!(
                    "2026-11-21T01:32:42.184Z 811 nginx -: name_connect {httpd}:object_r:ntop_port_t:s0 tcp_socket port Some(3000) enforced Some(false)"
                ),
                format!(
                    "2026-11-21T01:33:06.58Z 812 nginx -: name_connect {httpd}:object_r:ntop_port_t:s0 tcp_socket port Some(3000) enforced Some(false)"
                ),
            ]
        );
    }

    #[test]
    fn what_apparmor_denied_is_read_and_its_other_words_are_not() {
        let records = of_log(APPARMOR);
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].pid, Some(472));
        assert_eq!(
            records[0].module,
            SecurityModule::AppArmor(Confinement {
                is_denied: true,
                profile: "nginx".to_owned(),
                operation: "create".to_owned(),
                family: Some("inet".to_owned()),
                socket: Some("stream".to_owned()),
                mask: Some("create".to_owned()),
            })
        );
    }

    #[test]
    fn the_kernels_own_log_holds_the_same_records() {
        let line = r#"audit: type=1400 audit(1795224463.740:18): avc:  denied  { name_connect } for  pid=206 comm="nginx" dest=8000 scontext=system_u:system_r:httpd_t:s0 tcontext=system_u:object_r:soundd_port_t:s0 tclass=tcp_socket permissive=0"#;
        let record = of_kernel_line(line).unwrap();
        assert_eq!(record.at, "2026-11-21T01:27:43.740Z".parse().unwrap());
        assert!(matches!(record.module, SecurityModule::SeLinux(avc) if avc.port == Some(8000)));
        assert_eq!(
            of_kernel_line("audit: type=1130 audit(1795224463.740:18): x"),
            None
        );
    }

    #[test]
    fn names_are_their_owners_words_and_forge_no_field() {
        let line = |comm: &str| {
            format!(
                "type=AVC msg=audit(1795224463.740:18): avc:  denied  {{ write }} for  pid=206 comm={comm} scontext=a:b:c:s0 tcontext=d:e:f:s0 tclass=sock_file permissive=0\n"
            )
        };
        // The kernel writes in hex what holds a quote or a blank.
        let comm = "6E67696E782064657374";
        let records = of_log(line(comm).as_bytes());
        assert_eq!(records[0].comm, "nginx dest");
        let records = of_log(line("\"x=pid=1\"").as_bytes());
        assert_eq!(
            (records[0].comm.as_str(), records[0].pid),
            ("x=pid=1", Some(206))
        );
    }

    #[test]
    fn programs_words_about_access_are_left_out() {
        for line in [
            "type=USER_AVC msg=audit(1795224463.740:18): pid=1 msg='avc:  denied  { start } for scontext=a:b:c tcontext=d:e:f tclass=x'",
            "type=USER_LOGIN msg=audit(1795224463.740:18): type=AVC msg=audit(1795224463.740:18): avc:  denied  { x } for  scontext=a tcontext=b tclass=c",
            "type=AVC msg=audit(1795224463.740:18): avc:  granted  { x } for  scontext=a tcontext=b tclass=c",
            "type=AVC msg=audit(1795224463.74:18): avc:  denied  { x } for  scontext=a tcontext=b tclass=c",
            "type=AVC msg=audit(99999999999999999999.740:18): avc:  denied  { x } for  scontext=a tcontext=b tclass=c",
        ] {
            assert_eq!(of_log(line.as_bytes()), [], "{line}");
        }
    }

    #[test]
    fn the_hosts_name_may_stand_first() {
        let line = b"node=web1 type=AVC msg=audit(1795224463.740:18): avc:  denied  { x } for  scontext=a tcontext=b tclass=c\n";
        assert_eq!(of_log(line).len(), 1);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, text in ".{0,80}") {
            of_log(&bytes);
            for fields in [&bytes[..], text.as_bytes()] {
                for start in [&b"avc:  denied  { x } for "[..], b"apparmor=\"DENIED\" "] {
                    of_log(&[b"type=AVC msg=audit(1795224463.740:18): ", start, fields].concat());
                }
            }
            of_kernel_line(&text);
        }
    }
}
