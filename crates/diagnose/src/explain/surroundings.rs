//! What stands beside nginx's lines when people paste: audit records, `systemctl status`, other logs.
//!
//! Known by words that their writers use and that nothing else does; nobody's proof, only a voice for a cause.

use bstr::ByteSlice as _;
use log::error::Protocol;

use super::table::Way;

/// A line that speaks for a cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    /// The line.
    pub text: String,
    /// What it says.
    pub says: &'static str,
    /// The causes it speaks for.
    pub causes: &'static [&'static str],
    /// The kernel denied nginx a connection this way: that is a failure of its own.
    pub(super) denied: Option<Way>,
}

/// A line that holds all of these words says this.
struct Voice {
    words: &'static [&'static str],
    says: &'static str,
    causes: &'static [&'static str],
    denied: Option<Way>,
    /// What takes its weight, if anything does: what it says then.
    unless: fn(&[u8], &Told) -> Option<&'static str>,
}

/// What nginx's own lines of the same text tell.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// How nginx spoke to its peers.
    pub(super) protocols: Vec<Protocol>,
    /// When they failed, in seconds of nginx's clock.
    pub(super) times: Vec<i64>,
}

impl Told {
    /// Whether a peer may be a php-fpm.
    fn may_be_fpm(&self) -> bool {
        self.protocols.is_empty() || self.protocols.contains(&Protocol::Fastcgi)
    }
}

fn never(_: &[u8], _: &Told) -> Option<&'static str> {
    None
}

const fn voice(
    words: &'static [&'static str],
    says: &'static str,
    causes: &'static [&'static str],
) -> Voice {
    Voice {
        words,
        says,
        causes,
        denied: None,
        unless: never,
    }
}

/// A voice about a php-fpm.
const fn of_fpm(
    words: &'static [&'static str],
    says: &'static str,
    causes: &'static [&'static str],
) -> Voice {
    Voice {
        unless: is_no_fpm,
        ..voice(words, says, causes)
    }
}

/// A voice about a process that the kernel killed.
const fn of_memory(words: &'static [&'static str]) -> Voice {
    Voice {
        unless: is_anothers,
        ..voice(
            words,
            "the kernel killed a process for want of memory",
            &["application-killed-oom"],
        )
    }
}

fn is_no_fpm(_: &[u8], told: &Told) -> Option<&'static str> {
    (!told.may_be_fpm()).then_some("php-fpm says something, and nginx speaks to none here")
}

/// Programs that memory runs out for and that no proxy passes requests to.
const OTHERS: [&str; 22] = [
    "mysqld",
    "mariadbd",
    "postgres",
    "mongod",
    "redis-server",
    "valkey-server",
    "memcached",
    "clamd",
    "clamscan",
    "dockerd",
    "containerd",
    "systemd",
    "sshd",
    "cron",
    "mongodb",
    "rabbitmq",
    "beam.smp",
    "slapd",
    "named",
    "rsyslogd",
    "fail2ban",
    "nginx",
];

fn is_anothers(line: &[u8], told: &Told) -> Option<&'static str> {
    if let Some(killed) = killed(line) {
        let is_php = killed.starts_with(b"php");
        let is_other = OTHERS
            .iter()
            .any(|other| killed.starts_with(other.as_bytes()));
        let only_fpm = !told.protocols.is_empty()
            && told
                .protocols
                .iter()
                .all(|&protocol| protocol == Protocol::Fastcgi);
        if is_other || (only_fpm && !is_php) || (is_php && !told.may_be_fpm()) {
            return Some("the kernel killed another program for want of memory");
        }
    }
    // Clocks and zones may differ by hours, and nginx's year stands nowhere else.
    let far = |at: i64| told.times.iter().all(|time| time.abs_diff(at) > 16 * 3600);
    let then = stamped(line, told.times.first().copied().unwrap_or_default());
    (!told.times.is_empty() && then.is_some_and(far))
        .then_some("the kernel killed a process for want of memory, at another time")
}

/// The program of `Killed process 77 (mysqld)`, or of `task=mysqld,`.
fn killed(line: &[u8]) -> Option<&[u8]> {
    if let Some((_, rest)) = line.split_once_str("Killed process ") {
        let (_, rest) = rest.split_once_str("(")?;
        return Some(rest.split_once_str(")")?.0);
    }
    let (_, rest) = line.split_once_str("task=")?;
    rest.split(|&byte| byte == b',').next()
}

/// The time of a line that begins with syslog's stamp or one in ISO 8601, in the year of another time.
fn stamped(line: &[u8], about: i64) -> Option<i64> {
    let text = line.trim_start().to_str_lossy();
    let date = |text: &str| text.parse::<jiff::civil::DateTime>().ok();
    let iso = text
        .get(..19)
        .and_then(|text| date(&text.replace(' ', "T")));
    let read = iso.or_else(|| {
        let year = jiff::Timestamp::from_second(about)
            .ok()?
            .to_zoned(jiff::tz::TimeZone::UTC)
            .year();
        let stamp = format!("{year} {}", text.get(..15)?);
        jiff::civil::DateTime::strptime("%Y %b %e %H:%M:%S", stamp).ok()
    })?;
    Some(
        read.to_zoned(jiff::tz::TimeZone::UTC)
            .ok()?
            .timestamp()
            .as_second(),
    )
}

const fn denial(
    words: &'static [&'static str],
    says: &'static str,
    causes: &'static [&'static str],
    way: Way,
) -> Voice {
    Voice {
        words,
        says,
        causes,
        denied: Some(way),
        unless: never,
    }
}

const NOT_RUNNING: &[&str] = &["peer-not-listening", "socket-missing", "socket-stale"];

const VOICES: &[Voice] = &[
    voice(
        &["avc:", "denied", "permissive=1"],
        "SELinux was permissive here: it noted this, and let it pass",
        &[],
    ),
    denial(
        &["avc:", "denied", "name_connect", "nginx"],
        "SELinux denied nginx a connection to a port",
        &["selinux-denies-connect"],
        Way::Tcp,
    ),
    denial(
        &["avc:", "denied", "sock_file", "nginx"],
        "SELinux denied nginx a socket's file",
        &["selinux-denies-socket"],
        Way::Unix,
    ),
    denial(
        &["avc:", "denied", "connectto", "nginx"],
        "SELinux denied nginx a connection to a unix socket",
        &["selinux-denies-socket"],
        Way::Unix,
    ),
    denial(
        &["apparmor=\"DENIED\"", "nginx"],
        "AppArmor denied nginx something",
        &["apparmor-denies-connect"],
        Way::Unix,
    ),
    voice(
        &["httpd_can_network_connect ", "off"],
        "the boolean that lets nginx connect anywhere is off",
        &["selinux-denies-connect"],
    ),
    of_memory(&["Out of memory: Killed process"]),
    of_memory(&["Memory cgroup out of memory"]),
    of_memory(&["oom-kill:", "task="]),
    voice(
        &["oom-kill"],
        "a unit or process was ended for want of memory",
        &["application-killed-oom"],
    ),
    voice(
        &["Active: inactive (dead)"],
        "a unit is not running",
        NOT_RUNNING,
    ),
    voice(&["Active: failed"], "a unit failed", NOT_RUNNING),
    voice(
        &["status=203/EXEC"],
        "a unit's program could not be run",
        NOT_RUNNING,
    ),
    voice(
        &["ddress already in use"],
        "a program found its port taken",
        NOT_RUNNING,
    ),
    voice(
        &["code=dumped"],
        "a process died of a signal",
        &["application-crashed"],
    ),
    voice(
        &["exited on signal"],
        "a process died of a signal",
        &["application-crashed"],
    ),
    voice(
        &["WORKER TIMEOUT"],
        "gunicorn's master killed a worker that took too long",
        &["application-worker-timeout"],
    ),
    voice(
        &["HARAKIRI"],
        "uWSGI killed a worker that took too long",
        &["application-worker-timeout"],
    ),
    of_fpm(
        &["execution timed out", "terminating"],
        "php-fpm killed a child that took too long",
        &["application-worker-timeout"],
    ),
    of_fpm(
        &["max_children"],
        "a php-fpm pool ran out of children",
        &["fpm-children-exhausted"],
    ),
    voice(
        &["Allowed memory size of", "exhausted"],
        "a PHP script used up its memory",
        &["application-fatal-error"],
    ),
    voice(
        &["PHP Fatal error"],
        "a PHP script ended in a fatal error",
        &["application-fatal-error"],
    ),
    voice(
        &["DAMN ! worker", "died"],
        "uWSGI's worker died",
        &["application-crashed"],
    ),
    voice(
        &["got Segmentation Fault"],
        "uWSGI's worker died of a signal",
        &["application-crashed"],
    ),
    voice(
        &["Worker (pid:", "was sent SIG"],
        "gunicorn's worker died of a signal",
        &["application-crashed"],
    ),
    voice(
        &["Worker (pid:", "exited with code"],
        "gunicorn's worker ended with an error",
        &["application-crashed"],
    ),
    voice(
        &["invalid request block size"],
        "uWSGI refused a request for its size",
        &["application-rejects-request"],
    ),
    voice(
        &["reject-with"],
        "a firewall rule rejects",
        &["firewall-rejects-connect"],
    ),
];

/// A text may be long; what speaks for a cause need not be told a hundred times.
const MOST: usize = 100;

pub(super) fn remarks(text: &[u8], told: &Told) -> Vec<Remark> {
    text.lines()
        .filter_map(|line| {
            let voice = VOICES
                .iter()
                .find(|voice| voice.words.iter().all(|word| line.contains_str(word)))?;
            let unless = (voice.unless)(line, told);
            Some(Remark {
                text: line.trim().to_str_lossy().into_owned(),
                says: unless.unwrap_or(voice.says),
                causes: if unless.is_some() { &[] } else { voice.causes },
                denied: voice.denied,
            })
        })
        .take(MOST)
        .collect()
}
