//! What stands beside nginx's lines when people paste: audit records, `systemctl status`, other logs.
//!
//! Known by words that their writers use and that nothing else does; nobody's proof, only a voice for a cause.

use bstr::ByteSlice as _;

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
    }
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
    }
}

const NOT_RUNNING: &[&str] = &["peer-not-listening", "socket-missing", "socket-stale"];

const VOICES: &[Voice] = &[
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
    voice(
        &["Out of memory: Killed process"],
        "the kernel killed a process for want of memory",
        &["application-killed-oom"],
    ),
    voice(
        &["Memory cgroup out of memory"],
        "the kernel killed a process for want of memory",
        &["application-killed-oom"],
    ),
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
    voice(
        &["execution timed out", "terminating"],
        "php-fpm killed a child that took too long",
        &["application-worker-timeout"],
    ),
    voice(
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

pub(super) fn remarks(text: &[u8]) -> Vec<Remark> {
    text.lines()
        .filter_map(|line| {
            let voice = VOICES
                .iter()
                .find(|voice| voice.words.iter().all(|word| line.contains_str(word)))?;
            Some(Remark {
                text: line.trim().to_str_lossy().into_owned(),
                says: voice.says,
                causes: voice.causes,
                denied: voice.denied,
            })
        })
        .take(MOST)
        .collect()
}
