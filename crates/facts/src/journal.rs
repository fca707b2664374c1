//! Entries of the journal, from the lines of `journalctl -o json`.
//!
//! Fields that begin with `_` are the journal's own; the others are the writer's word.

use bstr::ByteSlice as _;
use jiff::Timestamp;
use serde_json::Value;

use crate::ProbeRequest;
use crate::systemd::Ended;

/// The fields that [`Entry`] is made of; those with two `_` come by themselves.
const FIELDS: &str = "MESSAGE,MESSAGE_ID,PRIORITY,SYSLOG_IDENTIFIER,_PID,_UID,_COMM,_TRANSPORT,_SYSTEMD_UNIT,\
    _SYSTEMD_USER_UNIT,UNIT,USER_UNIT,COREDUMP_UNIT,COREDUMP_USER_UNIT,COREDUMP_PID,COREDUMP_SIGNAL,JOB_TYPE,JOB_RESULT,\
    UNIT_RESULT,COMMAND,EXIT_CODE,EXIT_STATUS";

/// Asks for the entries of units since a time, `lines` at most, the last ones.
pub fn of_units(units: &[&str], since: Timestamp, lines: u32) -> ProbeRequest {
    let mut argv = command(since, lines);
    argv.extend(units.iter().map(|unit| format!("--unit={unit}")));
    ProbeRequest::Command { argv }
}

/// Asks for the kernel's entries since a time, `lines` at most, the last ones.
pub fn of_kernel(since: Timestamp, lines: u32) -> ProbeRequest {
    let mut argv = command(since, lines);
    argv.push("--dmesg".to_owned());
    ProbeRequest::Command { argv }
}

/// Asks for what a container wrote to its standard error since a time, `lines` at most, the last ones: Docker's journald
/// driver and conmon give it the priority of an error, and what they write is root's.
pub fn of_container(id: &str, since: Timestamp, lines: u32) -> ProbeRequest {
    let mut argv = command(since, lines);
    argv.extend([
        format!("CONTAINER_ID_FULL={id}"),
        "PRIORITY=3".to_owned(),
        "_UID=0".to_owned(),
    ]);
    for argument in &mut argv {
        if argument.starts_with("--output-fields=") {
            argument.push_str(",CONTAINER_PARTIAL_MESSAGE");
        }
    }
    ProbeRequest::Command { argv }
}

fn command(since: Timestamp, lines: u32) -> Vec<String> {
    vec![
        "journalctl".to_owned(),
        "--no-pager".to_owned(),
        "--output=json".to_owned(),
        format!("--output-fields={FIELDS}"),
        format!("--since=@{}", since.as_second()),
        format!("--lines={lines}"),
    ]
}

/// Whether journalctl said that there is more than it could read: it exits with 0 all the same, and the entries of other
/// users and of the system are left out silently otherwise.
pub fn is_partial(stderr: &[u8]) -> bool {
    stderr.contains_str("not seeing messages from ")
        || stderr.contains_str("insufficient permissions")
}

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When the journal took it.
    pub at: Timestamp,
    /// The unit of the process that wrote it.
    pub unit: Option<String>,
    /// The process that wrote it.
    pub pid: Option<u32>,
    /// What the writer calls itself.
    pub identifier: Option<String>,
    /// The text; empty when it was too long for the journal's JSON.
    pub message: Vec<u8>,
    /// Whether it is only a part of what the writer wrote, and the next one goes on.
    pub is_partial: bool,
    /// 0 (emerg) to 7 (debug).
    pub priority: Option<u8>,
    /// Whether the kernel wrote it.
    pub is_kernel: bool,
    /// What it says of a unit, when the service manager wrote it.
    pub event: Option<UnitEvent>,
}

/// What the service manager says of a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitEvent {
    /// The unit.
    pub unit: String,
    /// Whether it is a unit of a user's manager.
    pub is_user: bool,
    /// Whether it was done to start the unit again at once (`systemctl restart`).
    pub is_restart: bool,
    /// What happened.
    pub what: UnitChange,
}

/// What happened to a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnitChange {
    /// It is being started.
    Starting,
    /// It runs.
    Started,
    /// It could not be started; with systemd's word for it, such as `failed` or `dependency`.
    StartFailed(Option<String>),
    /// It is being stopped.
    Stopping,
    /// It was stopped.
    Stopped,
    /// It is reading its configuration anew.
    Reloading,
    /// It has done so (or has failed to).
    Reloaded,
    /// One of its processes ended.
    ProcessExited {
        /// Which command, such as `ExecStart`.
        command: Option<String>,
        /// How.
        how: Option<Ended>,
    },
    /// It ended with a failure: `exit-code`, `signal`, `oom-kill`, `start-limit-hit`...
    Failed(Option<String>),
    /// It ended by itself, without a failure.
    Deactivated,
    /// It will be started again by itself.
    RestartScheduled,
    /// The kernel killed one of its processes for lack of memory.
    OutOfMemory,
    /// systemd-oomd killed its processes because memory was short.
    KilledForPressure,
    /// Its program could not be run.
    SpawnFailed,
    /// One of its processes left a core dump.
    CoreDumped {
        /// The process.
        pid: Option<u32>,
        /// The signal.
        signal: Option<i32>,
    },
}

/// Reads a record: a line an entry; lines that are none are left out.
pub fn entries(output: &[u8]) -> Vec<Entry> {
    output.lines().filter_map(entry).collect()
}

fn entry(line: &[u8]) -> Option<Entry> {
    let Value::Object(fields) = serde_json::from_slice(line).ok()? else {
        return None;
    };
    let bytes = |name: &str| fields.get(name).and_then(bytes_of);
    let text = |name: &str| bytes(name).map(|bytes| crate::text::owned(&bytes));
    let number = |name: &str| bytes(name).and_then(|bytes| crate::text::number::<i64>(&bytes));
    let pid = |name: &str| number(name).and_then(|pid| u32::try_from(pid).ok());
    let written_by = Writer {
        is_manager: text("_COMM").as_deref() == Some("systemd"),
        is_init: pid("_PID") == Some(1),
        is_root: number("_UID") == Some(0),
    };
    Some(Entry {
        at: Timestamp::from_microsecond(number("__REALTIME_TIMESTAMP")?).ok()?,
        unit: text("_SYSTEMD_USER_UNIT").or_else(|| text("_SYSTEMD_UNIT")),
        pid: pid("_PID"),
        identifier: text("SYSLOG_IDENTIFIER"),
        message: bytes("MESSAGE").unwrap_or_default(),
        is_partial: text("CONTAINER_PARTIAL_MESSAGE").as_deref() == Some("true"),
        priority: number("PRIORITY").and_then(|priority| u8::try_from(priority).ok()),
        is_kernel: text("_TRANSPORT").as_deref() == Some("kernel"),
        event: event(&text, &written_by),
    })
}

/// Who wrote an entry, by the journal's own fields.
struct Writer {
    is_manager: bool,
    is_init: bool,
    is_root: bool,
}

/// A field: text, or bytes as numbers where it is not UTF-8, or the first of several values.
fn bytes_of(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.clone().into_bytes()),
        Value::Array(items) => match items.first()? {
            first @ (Value::String(_) | Value::Array(_)) => bytes_of_item(first),
            Value::Number(_) => bytes_of_numbers(items),
            _ => None,
        },
        _ => None,
    }
}

fn bytes_of_item(item: &Value) -> Option<Vec<u8>> {
    match item {
        Value::String(text) => Some(text.clone().into_bytes()),
        Value::Array(items) => bytes_of_numbers(items),
        _ => None,
    }
}

fn bytes_of_numbers(items: &[Value]) -> Option<Vec<u8>> {
    items
        .iter()
        .map(|item| u8::try_from(item.as_u64()?).ok())
        .collect()
}

/// The ids are those of systemd/sd-messages.h.
fn event(text: &dyn Fn(&str) -> Option<String>, writer: &Writer) -> Option<UnitEvent> {
    let id = text("MESSAGE_ID")?;
    let is_core_dump = id == "fc2e22bc6ee647b6b90729ab34a250b1";
    let (system, user) = if is_core_dump {
        ("COREDUMP_UNIT", "COREDUMP_USER_UNIT")
    } else {
        ("UNIT", "USER_UNIT")
    };
    let user_unit = text(user);
    let is_user = user_unit.is_some();
    let unit = user_unit.or_else(|| text(system))?;
    // Anybody may write an entry with these ids: only the manager itself is believed.
    let is_believed = match (is_core_dump, is_user) {
        (true, _) => writer.is_root,
        (false, true) => writer.is_manager,
        (false, false) => writer.is_init,
    };
    if !is_believed {
        return None;
    }
    let number = |name: &str| text(name)?.parse::<i32>().ok();
    let what = match id.as_str() {
        "7d4958e842da4a758f6c1cdc7b36dcc5" => UnitChange::Starting,
        "39f53479d3a045ac8e11786248231fbf" => UnitChange::Started,
        "be02cf6855d2428ba40df7e9d022f03d" => UnitChange::StartFailed(text("JOB_RESULT")),
        "de5b426a63be47a7b6ac3eaac82e2f6f" => UnitChange::Stopping,
        "9d1aaa27d60140bd96365438aad20286" => UnitChange::Stopped,
        "d34d037fff1847e6ae669a370e694725" => UnitChange::Reloading,
        "7b05ebc668384222baa8881179cfda54" => UnitChange::Reloaded,
        "98e322203f7a4ed290d09fe03c09fe15" => UnitChange::ProcessExited {
            command: text("COMMAND"),
            how: text("EXIT_CODE").and_then(|code| Ended::of_words(&code, number("EXIT_STATUS")?)),
        },
        "d9b373ed55a64feb8242e02dbe79a49c" => UnitChange::Failed(text("UNIT_RESULT")),
        "7ad2d189f7e94e70a38c781354912448" => UnitChange::Deactivated,
        "5eb03494b6584870a536b337290809b3" => UnitChange::RestartScheduled,
        "fe6faa94e7774663a0da52717891d8ef" => UnitChange::OutOfMemory,
        "d989611b15e44c9dbf31e3c81256e4ed" => UnitChange::KilledForPressure,
        "641257651c1b4ec9a8624d7a40a9e1e7" => UnitChange::SpawnFailed,
        _ if is_core_dump => UnitChange::CoreDumped {
            pid: number("COREDUMP_PID").and_then(|pid| u32::try_from(pid).ok()),
            signal: number("COREDUMP_SIGNAL"),
        },
        _ => return None,
    };
    Some(UnitEvent {
        unit,
        is_user,
        is_restart: text("JOB_TYPE").as_deref() == Some("restart"),
        what,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// From systemd 252 (Debian 12): nginx started and reloaded; the fields that nothing reads left out.
    const STARTED: &[u8] = br#"{"UNIT":"nginx.service","_COMM":"systemd","_PID":"1","_UID":"0","_SYSTEMD_UNIT":"init.scope","__REALTIME_TIMESTAMP":"1795224484166312","SYSLOG_IDENTIFIER":"systemd","JOB_TYPE":"start","MESSAGE":"Starting nginx.service - A high performance web server and a reverse proxy server...","MESSAGE_ID":"7d4958e842da4a758f6c1cdc7b36dcc5","PRIORITY":"6"}
{"UNIT":"nginx.service","_COMM":"systemd","_PID":"1","_UID":"0","_SYSTEMD_UNIT":"init.scope","__REALTIME_TIMESTAMP":"1795224484501937","SYSLOG_IDENTIFIER":"systemd","JOB_TYPE":"start","JOB_RESULT":"done","MESSAGE":"Started nginx.service - A high performance web server and a reverse proxy server.","MESSAGE_ID":"39f53479d3a045ac8e11786248231fbf","PRIORITY":"6"}
-- No entries --
"#;

    fn one(json: &str) -> Entry {
        let mut entries = entries(json.as_bytes());
        assert_eq!(entries.len(), 1, "{json}");
        entries.remove(0)
    }

    fn change(fields: &str) -> Option<UnitChange> {
        let json = format!(
            r#"{{"__REALTIME_TIMESTAMP":"1","_PID":"1","_UID":"0","_COMM":"systemd","UNIT":"shop.service",{fields}}}"#
        );
        one(&json).event.map(|event| event.what)
    }

    #[test]
    fn entries_are_read_with_their_time() {
        let entries = entries(STARTED);
        assert_eq!(entries.len(), 2);
        assert_eq!(
            entries[0].at,
            "2026-11-21T01:28:04.166312Z".parse().unwrap()
        );
        assert_eq!(entries[0].priority, Some(6));
        assert_eq!(entries[0].identifier.as_deref(), Some("systemd"));
        assert_eq!(
            entries[1].event,
            Some(UnitEvent {
                unit: "nginx.service".to_owned(),
                is_user: false,
                is_restart: false,
                what: UnitChange::Started
            })
        );
    }

    #[test]
    fn a_message_may_be_bytes_many_or_missing() {
        for (message, expected) in [
            (r#""text""#, &b"text"[..]),
            ("[104,255,105]", b"h\xffi"),
            (r#"["first","second"]"#, b"first"),
            ("[[104,105],\"x\"]", b"hi"),
            ("null", b""),
            ("[300]", b""),
            ("{}", b""),
        ] {
            let entry = one(&format!(
                r#"{{"__REALTIME_TIMESTAMP":"1","MESSAGE":{message}}}"#
            ));
            assert_eq!(entry.message, expected, "{message}");
        }
    }

    #[test]
    fn the_managers_words_become_changes() {
        for (fields, expected) in [
            (
                r#""MESSAGE_ID":"98e322203f7a4ed290d09fe03c09fe15","COMMAND":"ExecStart","EXIT_CODE":"killed","EXIT_STATUS":"9""#,
                UnitChange::ProcessExited {
                    command: Some("ExecStart".to_owned()),
                    how: Some(Ended::Killed(9)),
                },
            ),
            (
                r#""MESSAGE_ID":"98e322203f7a4ed290d09fe03c09fe15","EXIT_CODE":"exited","EXIT_STATUS":"203""#,
                UnitChange::ProcessExited {
                    command: None,
                    how: Some(Ended::Exited(203)),
                },
            ),
            (
                r#""MESSAGE_ID":"d9b373ed55a64feb8242e02dbe79a49c","UNIT_RESULT":"exit-code""#,
                UnitChange::Failed(Some("exit-code".to_owned())),
            ),
            (
                r#""MESSAGE_ID":"be02cf6855d2428ba40df7e9d022f03d","JOB_RESULT":"failed""#,
                UnitChange::StartFailed(Some("failed".to_owned())),
            ),
            (
                r#""MESSAGE_ID":"fe6faa94e7774663a0da52717891d8ef""#,
                UnitChange::OutOfMemory,
            ),
            (
                r#""MESSAGE_ID":"d989611b15e44c9dbf31e3c81256e4ed""#,
                UnitChange::KilledForPressure,
            ),
            (
                r#""MESSAGE_ID":"5eb03494b6584870a536b337290809b3""#,
                UnitChange::RestartScheduled,
            ),
            (
                r#""MESSAGE_ID":"fc2e22bc6ee647b6b90729ab34a250b1","COREDUMP_UNIT":"shop.service","COREDUMP_PID":"77","COREDUMP_SIGNAL":"11""#,
                UnitChange::CoreDumped {
                    pid: Some(77),
                    signal: Some(11),
                },
            ),
        ] {
            assert_eq!(change(fields), Some(expected), "{fields}");
        }
        assert_eq!(
            change(r#""MESSAGE_ID":"ffffffffffffffffffffffffffffffff""#),
            None
        );
    }

    #[test]
    fn an_entry_that_only_claims_to_be_the_managers_is_not_believed() {
        let forged = r#"{"__REALTIME_TIMESTAMP":"1","_PID":"4120","_UID":"1000","_COMM":"logger","UNIT":"shop.service","MESSAGE_ID":"9d1aaa27d60140bd96365438aad20286"}"#;
        assert_eq!(one(forged).event, None);
    }

    #[test]
    fn a_users_unit_is_told_by_its_own_manager() {
        let entry = one(
            r#"{"__REALTIME_TIMESTAMP":"1","_PID":"900","_UID":"1000","_COMM":"systemd","USER_UNIT":"shop.service","MESSAGE_ID":"39f53479d3a045ac8e11786248231fbf"}"#,
        );
        assert_eq!(
            entry.event,
            Some(UnitEvent {
                unit: "shop.service".to_owned(),
                is_user: true,
                is_restart: false,
                what: UnitChange::Started
            })
        );
    }

    #[test]
    fn rights_that_are_lacking_show_in_a_hint_alone() {
        assert!(is_partial(
            b"Hint: You are currently not seeing messages from other users and the system.\n"
        ));
        assert!(is_partial(
            b"No journal files were opened due to insufficient permissions.\n"
        ));
        assert!(!is_partial(b""));
    }

    #[test]
    fn a_request_names_units_and_time() {
        let ProbeRequest::Command { argv } = of_units(
            &["shop.service"],
            "2026-11-21T01:28:04.9Z".parse().unwrap(),
            100,
        ) else {
            panic!();
        };
        assert!(argv.contains(&"--unit=shop.service".to_owned()));
        assert!(argv.contains(&"--since=@1795224484".to_owned()));
    }

    #[test]
    fn a_containers_errors_are_asked_for_by_its_full_id() {
        let ProbeRequest::Command { argv } = of_container("3f29", Timestamp::UNIX_EPOCH, 9) else {
            panic!();
        };
        assert!(
            argv.ends_with(&["CONTAINER_ID_FULL=3f29", "PRIORITY=3", "_UID=0"].map(str::to_owned))
        );
        assert!(
            argv.iter()
                .any(|argument| argument.ends_with(",CONTAINER_PARTIAL_MESSAGE"))
        );
        let part =
            r#"{"__REALTIME_TIMESTAMP":"1","MESSAGE":"a","CONTAINER_PARTIAL_MESSAGE":"true"}"#;
        assert!(one(part).is_partial);
        assert!(!one(r#"{"__REALTIME_TIMESTAMP":"1","MESSAGE":"a"}"#).is_partial);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, value in "[ -~]{0,30}") {
            entries(&bytes);
            entries(format!(r#"{{"__REALTIME_TIMESTAMP":"{value}","MESSAGE":{value}}}"#).as_bytes());
        }
    }
}
