//! Units of systemd, from the text of `systemctl show` and from unit files.

mod unit_file;

use std::net::IpAddr;
use std::path::PathBuf;

use bstr::ByteSlice as _;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::ProbeRequest;
use crate::text::{number, owned};
use crate::zone::Instants;

pub use unit_file::{ExecLine, Setting, UnitFile};

/// The properties that [`Unit`] is made of.
const PROPERTIES: &str = "Id,Names,LoadState,ActiveState,SubState,UnitFileState,Result,MainPID,ExecMainPID,ExecMainCode,\
    ExecMainStatus,NRestarts,Restart,ActiveEnterTimestamp,InactiveEnterTimestamp,StateChangeTimestamp,\
    ExecMainStartTimestamp,ExecMainExitTimestamp,FragmentPath,DropInPaths,NeedDaemonReload,ExecStart,Triggers,TriggeredBy,\
    Listen,User,Group,WorkingDirectory,ControlGroup,PrivateTmp,PrivateNetwork,PrivateMounts,ProtectHome,ProtectSystem,\
    RestrictAddressFamilies,IPAddressAllow,IPAddressDeny,InaccessiblePaths,TemporaryFileSystem,RootDirectory,\
    NetworkNamespacePath";

/// Asks for what [`units`] reads. Names may be patterns such as `*.service`: they match the units that are loaded.
///
/// `--timestamp` is not used: systemd knows it only since 247, and the text it prints without names its zone.
pub fn show(units: &[&str]) -> ProbeRequest {
    let head = ["systemctl", "show", "--no-pager", "-p", PROPERTIES, "--"];
    let argv = head
        .iter()
        .chain(units)
        .map(|&arg| arg.to_owned())
        .collect();
    ProbeRequest::Command { argv }
}

/// Asks for what [`Sandbox::joins_namespace_of`] is read from. [`show`] does not: its text is a key in snapshots.
pub fn show_joined(unit: &str) -> ProbeRequest {
    let properties = "Id,JoinsNamespaceOf";
    ProbeRequest::command([
        "systemctl",
        "show",
        "--no-pager",
        "-p",
        properties,
        "--",
        unit,
    ])
}

/// A unit as the service manager knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unit {
    /// Its name, such as `shop.service`.
    pub id: String,
    /// All its names.
    pub names: Vec<String>,
    /// `loaded`, `not-found`, `masked`, `error`...
    pub load_state: String,
    /// `active`, `inactive`, `failed`, `activating`...
    pub active_state: String,
    /// `running`, `dead`, `auto-restart`...
    pub sub_state: String,
    /// `enabled`, `disabled`, `static`...
    pub unit_file_state: String,
    /// How it last ended: `success`, `exit-code`, `signal`, `oom-kill`, `start-limit-hit`...
    pub result: String,
    /// Its main process now.
    pub main_pid: Option<u32>,
    /// Its last main process.
    pub exec_main_pid: Option<u32>,
    /// How that one ended.
    pub exec_main_exit: Option<Ended>,
    /// How often it was restarted by itself.
    pub n_restarts: u32,
    /// When it is restarted: `no`, `on-failure`, `always`...
    pub restart: String,
    /// When it became active; a whole second, as all times here.
    pub active_enter: Option<Timestamp>,
    /// When it became inactive.
    pub inactive_enter: Option<Timestamp>,
    /// When its state last changed.
    pub state_change: Option<Timestamp>,
    /// When its last main process started.
    pub exec_main_start: Option<Timestamp>,
    /// When its last main process ended.
    pub exec_main_exit_at: Option<Timestamp>,
    /// Its unit file.
    pub fragment_path: Option<PathBuf>,
    /// Its drop-ins.
    pub drop_in_paths: Vec<PathBuf>,
    /// Whether a file of it has changed since it was loaded.
    pub need_daemon_reload: bool,
    /// What it starts.
    pub exec_start: Vec<Exec>,
    /// What a socket, path or timer unit starts.
    pub triggers: Vec<String>,
    /// The socket, path or timer units that start it.
    pub triggered_by: Vec<String>,
    /// The addresses of a socket unit with their kinds: `/run/shop.sock (Stream)`.
    pub listen: Vec<String>,
    /// `User=`.
    pub user: Option<String>,
    /// `Group=`.
    pub group: Option<String>,
    /// `WorkingDirectory=`.
    pub working_directory: Option<PathBuf>,
    /// Its control group.
    pub control_group: Option<String>,
    /// What it is kept from.
    pub sandbox: Sandbox,
}

/// What a unit is kept from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sandbox {
    /// It has a `/tmp` of its own.
    pub private_tmp: bool,
    /// It has a loopback of its own, and nothing else.
    pub private_network: bool,
    /// It has a mount namespace of its own.
    pub private_mounts: bool,
    /// `no`, `yes`, `read-only`, `tmpfs`.
    pub protect_home: String,
    /// `no`, `yes`, `full`, `strict`.
    pub protect_system: String,
    /// The address families, behind a `~` those that are forbidden; empty when all are allowed.
    pub restrict_address_families: String,
    /// The networks that are allowed.
    pub ip_address_allow: Vec<String>,
    /// The networks that are forbidden.
    pub ip_address_deny: Vec<String>,
    /// The paths that are hidden.
    pub inaccessible_paths: Vec<String>,
    /// The paths that have an empty file system over them.
    pub temporary_file_system: Vec<String>,
    /// Another root.
    pub root_directory: Option<PathBuf>,
    /// Another network namespace.
    pub network_namespace_path: Option<PathBuf>,
    /// The units whose own network and `/tmp` it shares, where [`show_joined`] asked.
    pub joins_namespace_of: Vec<String>,
}

impl Sandbox {
    /// Whether sockets of this family, such as `AF_INET`, may be made.
    pub fn allows_family(&self, family: &str) -> bool {
        let list = self.restrict_address_families.as_str();
        let (list, is_forbidden) = match list.strip_prefix('~') {
            Some(forbidden) => (forbidden, true),
            None if list.is_empty() => return true,
            None => (list, false),
        };
        list.split_whitespace().any(|named| named == family) != is_forbidden
    }

    /// The network of `IPAddressDeny=` that an address belongs to, unless `IPAddressAllow=` lets it pass: that goes first.
    pub fn denies_address(&self, address: IpAddr) -> Option<&str> {
        let covering =
            |networks: &'_ [String]| networks.iter().position(|network| covers(network, address));
        if covering(&self.ip_address_allow).is_some() {
            return None;
        }
        let denying = covering(&self.ip_address_deny)?;
        self.ip_address_deny.get(denying).map(String::as_str)
    }
}

/// Whether `10.0.0.0/8` holds the address; what cannot be read holds none.
fn covers(network: &str, address: IpAddr) -> bool {
    let (start, length) = network.split_once('/').unwrap_or((network, "128"));
    let (Ok(start), Ok(length)) = (start.parse::<IpAddr>(), length.parse::<u32>()) else {
        return false;
    };
    let differing = match (start, address) {
        (IpAddr::V4(start), IpAddr::V4(address)) => {
            (start.to_bits() ^ address.to_bits()).leading_zeros()
        }
        (IpAddr::V6(start), IpAddr::V6(address)) => {
            (start.to_bits() ^ address.to_bits()).leading_zeros()
        }
        _ => return false,
    };
    differing >= length.min(if start.is_ipv4() { 32 } else { 128 })
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// With an exit status.
    Exited(i32),
    /// By a signal.
    Killed(i32),
    /// By a signal, and left a core dump.
    Dumped(i32),
}

/// A command of a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exec {
    /// The program.
    pub path: PathBuf,
    /// Its arguments, the program's name first. systemctl drops their quotes: one that holds spaces is split here.
    pub argv: Vec<String>,
}

impl Unit {
    /// Whether it runs.
    pub fn is_active(&self) -> bool {
        matches!(self.active_state.as_str(), "active" | "reloading")
    }

    /// Whether systemd has a file of it.
    pub fn exists(&self) -> bool {
        !matches!(self.load_state.as_str(), "not-found" | "")
    }
}

impl Ended {
    /// From `si_code` (`CLD_EXITED`...) and `si_status`.
    fn new(code: i32, status: i32) -> Option<Self> {
        match code {
            1 => Some(Self::Exited(status)),
            2 => Some(Self::Killed(status)),
            3 => Some(Self::Dumped(status)),
            _ => None,
        }
    }

    /// From the words of the journal.
    pub(crate) fn of_words(code: &str, status: i32) -> Option<Self> {
        match code {
            "exited" => Some(Self::Exited(status)),
            "killed" => Some(Self::Killed(status)),
            "dumped" => Some(Self::Dumped(status)),
            _ => None,
        }
    }
}

/// Reads the units in the output of [`show`]. `zone` is the host's: times are printed in it.
pub fn units(output: &[u8], zone: &TimeZone) -> Vec<Unit> {
    let mut units = Vec::new();
    let mut lines: Vec<(&[u8], &[u8])> = Vec::new();
    for line in output.lines().chain([&b""[..]]) {
        match line.split_once_str("=") {
            Some(property) => lines.push(property),
            // A value of several lines goes on.
            None if !line.is_empty() => {}
            None => {
                let unit = unit(&lines, zone);
                if !unit.id.is_empty() {
                    units.push(unit);
                }
                lines.clear();
            }
        }
    }
    units
}

fn unit(properties: &[(&[u8], &[u8])], zone: &TimeZone) -> Unit {
    let all = |name: &'static str| {
        let named = move |(key, _): &&(&[u8], &[u8])| *key == name.as_bytes();
        properties.iter().filter(named).map(|&(_, value)| value)
    };
    let value = |name| all(name).next().unwrap_or_default();
    let text = |name| owned(value(name));
    let words = |name| -> Vec<String> { value(name).fields().map(owned).collect() };
    let path = |name| Some(PathBuf::from(text(name))).filter(|path| !path.as_os_str().is_empty());
    let flag = |name| value(name) == b"yes";
    let pid = |name| number(value(name)).filter(|&pid: &u32| pid != 0);
    let time = |name| timestamp(value(name), zone);
    let ended = || {
        Ended::new(
            number(value("ExecMainCode"))?,
            number(value("ExecMainStatus"))?,
        )
    };
    Unit {
        id: text("Id"),
        names: words("Names"),
        load_state: text("LoadState"),
        active_state: text("ActiveState"),
        sub_state: text("SubState"),
        unit_file_state: text("UnitFileState"),
        result: text("Result"),
        main_pid: pid("MainPID"),
        exec_main_pid: pid("ExecMainPID"),
        exec_main_exit: ended(),
        n_restarts: number(value("NRestarts")).unwrap_or(0),
        restart: text("Restart"),
        active_enter: time("ActiveEnterTimestamp"),
        inactive_enter: time("InactiveEnterTimestamp"),
        state_change: time("StateChangeTimestamp"),
        exec_main_start: time("ExecMainStartTimestamp"),
        exec_main_exit_at: time("ExecMainExitTimestamp"),
        fragment_path: path("FragmentPath"),
        drop_in_paths: words("DropInPaths")
            .into_iter()
            .map(PathBuf::from)
            .collect(),
        need_daemon_reload: flag("NeedDaemonReload"),
        exec_start: all("ExecStart").filter_map(exec).collect(),
        triggers: words("Triggers"),
        triggered_by: words("TriggeredBy"),
        listen: all("Listen")
            .filter(|value| !value.is_empty())
            .map(owned)
            .collect(),
        user: Some(text("User")).filter(|user| !user.is_empty()),
        group: Some(text("Group")).filter(|group| !group.is_empty()),
        working_directory: path("WorkingDirectory"),
        control_group: Some(text("ControlGroup")).filter(|group| !group.is_empty()),
        sandbox: Sandbox {
            private_tmp: !matches!(value("PrivateTmp"), b"no" | b""),
            private_network: flag("PrivateNetwork"),
            private_mounts: flag("PrivateMounts"),
            protect_home: text("ProtectHome"),
            protect_system: text("ProtectSystem"),
            restrict_address_families: text("RestrictAddressFamilies"),
            ip_address_allow: words("IPAddressAllow"),
            ip_address_deny: words("IPAddressDeny"),
            inaccessible_paths: words("InaccessiblePaths"),
            temporary_file_system: words("TemporaryFileSystem"),
            root_directory: path("RootDirectory"),
            network_namespace_path: path("NetworkNamespacePath"),
            joins_namespace_of: words("JoinsNamespaceOf"),
        },
    }
}

/// `{ path=/usr/sbin/nginx ; argv[]=/usr/sbin/nginx -g daemon on; ; ignore_errors=no ; start_time=[...] ; ... }`.
fn exec(value: &[u8]) -> Option<Exec> {
    let (path, rest) = value
        .strip_prefix(b"{ path=")?
        .split_once_str(" ; argv[]=")?;
    let (argv, _) = rest.rsplit_once_str(" ; ignore_errors=")?;
    Some(Exec {
        path: PathBuf::from(owned(path)),
        argv: argv
            .split_str(" ")
            .filter(|arg| !arg.is_empty())
            .map(owned)
            .collect(),
    })
}

/// `Sat 2026-11-21 02:55:28 UTC`, with another zone's abbreviation or offset, with a fraction, or `@1795226790`.
fn timestamp(text: &[u8], zone: &TimeZone) -> Option<Timestamp> {
    let text = text.to_str().ok()?;
    if let Some(seconds) = text.strip_prefix('@') {
        return Timestamp::strptime("%s%.f", seconds).ok();
    }
    let (_, text) = text.split_once(' ')?;
    let (reading, abbreviation) = text.rsplit_once(' ')?;
    let reading = DateTime::strptime("%Y-%m-%d %H:%M:%S%.f", reading).ok()?;
    if abbreviation == "UTC" {
        return TimeZone::UTC.to_timestamp(reading).ok();
    }
    // The abbreviation tells the two readings of a clock set back apart; another zone's is not guessed.
    let instants = Instants::of(zone, reading)?;
    let candidates = [instants.earlier, instants.later];
    candidates
        .into_iter()
        .find(|&instant| zone.to_offset_info(instant).abbreviation() == abbreviation)
}

/// A line of `systemctl list-unit-files --no-legend --plain`: every unit there is a file of, loaded or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitFileState {
    /// The unit's name; a template's has nothing behind its `@`.
    pub name: String,
    /// `enabled`, `disabled`, `static`, `masked`...
    pub state: String,
}

/// Asks for what [`unit_files`] reads.
pub fn list_unit_files() -> ProbeRequest {
    ProbeRequest::command([
        "systemctl",
        "list-unit-files",
        "--no-pager",
        "--no-legend",
        "--plain",
        "--type=service,socket",
    ])
}

/// Reads the output of [`list_unit_files`].
pub fn unit_files(output: &[u8]) -> Vec<UnitFileState> {
    let line = |line: &[u8]| {
        let mut fields = line.fields();
        let (name, state) = (fields.next()?, fields.next()?);
        name.contains(&b'.').then(|| UnitFileState {
            name: owned(name),
            state: owned(state),
        })
    };
    output.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;

    // From systemd 252 (Debian 12), with a second unit in its manner.
    const SHOW: &str = "Restart=no\nMainPID=438\nResult=success\nNRestarts=0\nExecMainStartTimestamp=Sat 2026-11-21 01:28:04 UTC\n\
        ExecMainExitTimestamp=\nExecMainPID=438\nExecMainCode=0\nExecMainStatus=0\n\
        ExecStart={ path=/usr/sbin/nginx ; argv[]=/usr/sbin/nginx -g daemon on; master_process on; ; ignore_errors=no ; start_time=[Sat 2026-11-21 01:28:04 UTC] ; stop_time=[Sat 2026-11-21 01:28:04 UTC] ; pid=437 ; code=exited ; status=0 }\n\
        ControlGroup=/system.slice/nginx.service\nPrivateTmp=no\nProtectHome=no\nId=nginx.service\nNames=nginx.service\nLoadState=loaded\n\
        ActiveState=active\nSubState=running\nFragmentPath=/lib/systemd/system/nginx.service\nUnitFileState=disabled\n\
        ActiveEnterTimestamp=Sat 2026-11-21 01:28:04 UTC\nInactiveEnterTimestamp=\nNeedDaemonReload=no\n\
        \n\
        Restart=always\nMainPID=0\nResult=exit-code\nNRestarts=5\nExecMainPID=733\nExecMainCode=1\nExecMainStatus=203\n\
        ExecStart={ path=/srv/shop/run ; argv[]=/srv/shop/run --port 1 ; ignore_errors=no ; start_time=[n/a] ; stop_time=[n/a] ; pid=0 ; code=(null) ; status=0/0 }\n\
        PrivateTmp=yes\nPrivateNetwork=yes\nRestrictAddressFamilies=AF_UNIX\nInaccessiblePaths=/run/a /run/b\nUser=shop\n\
        Id=shop.service\nNames=shop.service shop-alias.service\nLoadState=loaded\nActiveState=failed\nSubState=failed\n\
        DropInPaths=/etc/systemd/system/shop.service.d/a.conf /etc/systemd/system/shop.service.d/b.conf\nTriggeredBy=shop.socket\nNeedDaemonReload=yes\n\
        \n\
        Id=ghost.service\nLoadState=not-found\nActiveState=inactive\n";

    #[test]
    fn several_units_are_read() {
        let units = units(SHOW.as_bytes(), &TimeZone::UTC);
        assert_eq!(units.len(), 3);
        let [nginx, shop, ghost] = &units[..] else {
            panic!()
        };
        assert!(nginx.is_active());
        assert_eq!(nginx.main_pid, Some(438));
        assert_eq!(nginx.exec_main_exit, None);
        assert_eq!(
            nginx.active_enter,
            Some("2026-11-21T01:28:04Z".parse().unwrap())
        );
        assert_eq!(nginx.inactive_enter, None);
        assert_eq!(
            nginx.exec_start[0].argv,
            [
                "/usr/sbin/nginx",
                "-g",
                "daemon",
                "on;",
                "master_process",
                "on;"
            ]
        );
        assert_eq!(
            nginx.fragment_path.as_deref(),
            Some("/lib/systemd/system/nginx.service".as_ref())
        );
        assert!(!nginx.sandbox.private_tmp);

        assert!(!shop.is_active());
        assert_eq!(shop.main_pid, None);
        assert_eq!(shop.exec_main_exit, Some(Ended::Exited(203)));
        assert_eq!(shop.names.len(), 2);
        assert_eq!(shop.drop_in_paths.len(), 2);
        assert_eq!(shop.triggered_by, ["shop.socket"]);
        assert_eq!(shop.user.as_deref(), Some("shop"));
        assert!(
            shop.need_daemon_reload && shop.sandbox.private_tmp && shop.sandbox.private_network
        );
        assert_eq!(shop.sandbox.inaccessible_paths, ["/run/a", "/run/b"]);

        assert!(!ghost.exists());
    }

    #[test]
    fn a_list_of_families_allows_or_forbids() {
        for (list, inet, unix) in [
            ("", true, true),
            ("~", true, true),
            ("AF_UNIX", false, true),
            ("AF_UNIX AF_INET AF_INET6", true, true),
            ("~AF_INET AF_INET6", false, true),
        ] {
            let sandbox = Sandbox {
                restrict_address_families: list.to_owned(),
                ..Sandbox::default()
            };
            assert_eq!(sandbox.allows_family("AF_INET"), inet, "{list}");
            assert_eq!(sandbox.allows_family("AF_UNIX"), unix, "{list}");
        }
    }

    #[test]
    fn an_allowed_network_goes_before_a_forbidden_one() {
        let networks = |list: &[&str]| list.iter().map(|&network| network.to_owned()).collect();
        let sandbox = Sandbox {
            ip_address_allow: networks(&["127.0.0.0/8", "2001:db8::/32"]),
            ip_address_deny: networks(&["10.0.0.0/8", "::/0", "192.0.2.1", "x/y"]),
            ..Sandbox::default()
        };
        for (address, denied) in [
            ("127.0.0.1", None),
            ("10.1.2.3", Some("10.0.0.0/8")),
            ("11.1.2.3", None),
            ("192.0.2.1", Some("192.0.2.1")),
            ("192.0.2.2", None),
            ("2001:db8::1", None),
            ("2001:db9::1", Some("::/0")),
        ] {
            let address = address.parse().unwrap();
            assert_eq!(sandbox.denies_address(address), denied, "{address}");
        }
    }

    #[test]
    fn a_socket_unit_shows_each_address() {
        let output = b"Id=shop.socket\nListen=/run/shop.sock (Stream)\nListen=127.0.0.1:8000 (Stream)\nTriggers=shop.service\n";
        let units = units(output, &TimeZone::UTC);
        assert_eq!(
            units[0].listen,
            ["/run/shop.sock (Stream)", "127.0.0.1:8000 (Stream)"]
        );
        assert_eq!(units[0].triggers, ["shop.service"]);
    }

    #[test]
    fn a_time_is_read_in_each_form() {
        let berlin = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        for (text, expected) in [
            ("@1795226790", Some("2026-11-21T02:06:30Z")),
            ("Sat 2026-11-21 02:55:28 UTC", Some("2026-11-21T02:55:28Z")),
            (
                "Sat 2026-11-21 02:55:28.250000 UTC",
                Some("2026-11-21T02:55:28.25Z"),
            ),
            ("Sat 2026-11-21 02:55:28 CET", Some("2026-11-21T01:55:28Z")),
            ("Sun 2026-10-25 02:30:00 CEST", Some("2026-10-25T00:30:00Z")),
            ("Sun 2026-10-25 02:30:00 CET", Some("2026-10-25T01:30:00Z")),
            ("Sat 2026-11-21 02:55:28 EST", None),
            ("n/a", None),
            ("", None),
        ] {
            let expected = expected.map(|text| text.parse().unwrap());
            assert_eq!(timestamp(text.as_bytes(), &berlin), expected, "{text}");
        }
    }

    #[test]
    fn the_files_there_are_are_listed() {
        let output = b"nginx.service      disabled enabled\nshop@.service  static -\n\n3 unit files listed.\n";
        let names: Vec<_> = unit_files(output)
            .into_iter()
            .map(|file| (file.name, file.state))
            .collect();
        assert_eq!(
            names,
            [
                ("nginx.service".to_owned(), "disabled".to_owned()),
                ("shop@.service".to_owned(), "static".to_owned())
            ]
        );
    }

    #[test]
    fn every_property_is_asked_for_by_one_name() {
        assert!(
            PROPERTIES
                .split(',')
                .all(|name| name.chars().all(|c| c.is_ascii_alphanumeric()))
        );
        let ProbeRequest::Command { argv } = show(&["a.service"]) else {
            panic!()
        };
        assert_eq!(argv.last().unwrap(), "a.service");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, value in "[ -~]{0,60}") {
            units(&bytes, &TimeZone::UTC);
            unit_files(&bytes);
            timestamp(value.as_bytes(), &TimeZone::UTC);
            covers(&value, IpAddr::V4(Ipv4Addr::LOCALHOST));
            units(format!("Id=x\nExecStart={{ path={value}\nActiveEnterTimestamp={value}\n").as_bytes(), &TimeZone::UTC);
        }
    }
}
