//! Which causes can stand behind a line, why, and the one command that tells each from the others.
//!
//! A row is a *signature*: what the line alone says. How likely each cause of a row is, is no matter of this table but
//! of `survey.tsv`. Commands hold no text of the line but a port or an address that was parsed as one.

use facts::PeerAddress;
use log::error::{Class, Event};

/// Where nginx dialled, as far as a line tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// 127.0.0.0/8.
    Loopback,
    /// `[::1]`.
    LoopbackV6,
    /// Any other address.
    Tcp,
    /// A socket file.
    Unix,
}

/// A kind of line.
pub(super) struct Signature {
    /// Its name in `survey.tsv`.
    pub(super) name: &'static str,
    /// The classes it is of.
    classes: &'static [Class],
    /// The ways it is about; all, and lines that do not tell, when there are none.
    ways: &'static [Way],
    /// What can stand behind it, in the order of the design.
    pub(super) causes: &'static [Possible],
}

/// One cause that can stand behind a line.
pub(super) struct Possible {
    pub(super) cause: &'static str,
    pub(super) why: &'static str,
    /// `PORT` and `ADDRESS` are filled in where the line tells them.
    pub(super) tell: &'static str,
}

const fn can(cause: &'static str, why: &'static str, tell: &'static str) -> Possible {
    Possible { cause, why, tell }
}

impl Way {
    pub(super) fn of(address: Option<&PeerAddress>) -> Option<Self> {
        Some(match address? {
            PeerAddress::Unix(_) => Self::Unix,
            PeerAddress::Tcp(address) if !address.ip().is_loopback() => Self::Tcp,
            PeerAddress::Tcp(address) if address.is_ipv4() => Self::Loopback,
            PeerAddress::Tcp(_) => Self::LoopbackV6,
        })
    }
}

/// What a `connect()` met that has no class of its own, by its errno.
static BY_ERRNO: &[(u16, Signature)] = &[
    (
        36,
        Signature {
            name: "path-too-long",
            classes: &[],
            ways: &[],
            causes: &[can(
                "socket-path-mismatch",
                "a name in the socket's path is longer than a file system allows (ENAMETOOLONG)",
                "sudo nginx -T | grep -n 'unix:'",
            )],
        },
    ),
    (
        40,
        Signature {
            name: "path-in-a-circle",
            classes: &[],
            ways: &[],
            causes: &[can(
                "socket-path-mismatch",
                "the symbolic links on the socket's path lead in a circle (ELOOP)",
                "sudo namei -l SOCKET",
            )],
        },
    ),
];

/// The signature of an event.
pub(super) fn signature(event: &Event<'_>, way: Option<Way>) -> Option<&'static Signature> {
    if event.class == Class::ConnectError {
        let of_errno = BY_ERRNO
            .iter()
            .find(|(errno, _)| event.errno == Some(*errno));
        return of_errno.map(|(_, signature)| signature);
    }
    let of_class = || {
        SIGNATURES
            .iter()
            .filter(|signature| signature.classes.contains(&event.class))
    };
    let fits = |signature: &&Signature| match way {
        Some(way) => signature.ways.is_empty() || signature.ways.contains(&way),
        None => true,
    };
    of_class().find(fits).or_else(|| of_class().next())
}

/// The signatures of lines of a class, of every way and errno.
pub(super) fn signatures_of(class: Class) -> impl Iterator<Item = &'static Signature> {
    let by_errno = BY_ERRNO
        .iter()
        .filter(move |_| class == Class::ConnectError)
        .map(|(_, signature)| signature);
    SIGNATURES
        .iter()
        .filter(move |signature| signature.classes.contains(&class))
        .chain(by_errno)
}

/// The signature of a connection that was denied this way.
pub(super) fn denied(way: Way) -> Option<&'static Signature> {
    SIGNATURES
        .iter()
        .filter(|signature| signature.classes.contains(&Class::PermissionDenied))
        .find(|signature| signature.ways.contains(&way))
}

const LISTENS: &str = "sudo ss -ltnp 'sport = :PORT'";
const ALL_LISTEN: &str = "sudo ss -ltnp";
const UNIX_LISTEN: &str = "sudo ss -xlp";
const RULES: &str = "sudo nft list ruleset; sudo iptables-save";
const AVC: &str = "sudo ausearch -m avc -ts recent -c nginx";
const MODES: &str = "sudo namei -l SOCKET";
const OWN_LOG: &str = "sudo journalctl -u UNIT --since -10min";
const KERNEL: &str = "sudo journalctl -k --since -10min | grep -i 'killed process'";
const NAMESPACES: &str = "docker ps; sudo lsns -t net";
const ROUTE: &str = "ip route get ADDRESS";

const NOBODY: Possible = can(
    "peer-not-listening",
    "nothing accepts connections at this address: the application is down or never started",
    LISTENS,
);
const PORT: Possible = can(
    "peer-port-mismatch",
    "the application listens on another port",
    ALL_LISTEN,
);
const ADDRESS: Possible = can(
    "peer-address-mismatch",
    "the application listens on that port at another address",
    LISTENS,
);
const TRANSPORT: Possible = can(
    "peer-transport-mismatch",
    "the application listens on a unix socket, or nginx should dial one",
    UNIX_LISTEN,
);
const NETNS: Possible = can(
    "peer-in-other-netns",
    "this address is nginx's own container or host, and the application runs in another",
    NAMESPACES,
);
const REJECTS: Possible = can(
    "firewall-rejects-connect",
    "a REJECT rule answers like a closed port",
    RULES,
);
const RESTARTED: Possible = can(
    "application-restarted",
    "the application was being restarted, and is back",
    OWN_LOG,
);
const OUTDATED: Possible = can(
    "upstream-address-outdated",
    "nginx still dials the address that a name had when nginx started: containers change theirs",
    "getent hosts NAME",
);
const DROPS: Possible = can(
    "firewall-drops-connect",
    "a firewall drops the packets without an answer",
    RULES,
);
const QUEUE: Possible = can(
    "accept-queue-full",
    "the application does not take connections from its queue",
    LISTENS,
);
const SLOW: Possible = can(
    "application-slow",
    "the application takes longer than nginx's read time-out",
    "time curl -o /dev/null URL-OF-THE-APPLICATION",
);
const CHILDREN: Possible = can(
    "fpm-children-exhausted",
    "all children of the php-fpm pool are busy",
    "sudo grep max_children /var/log/php*-fpm.log",
);
const CRASHED: Possible = can(
    "application-crashed",
    "the application's process died while it answered",
    OWN_LOG,
);
const KILLED: Possible = can(
    "application-killed-oom",
    "the kernel killed the process for want of memory",
    KERNEL,
);
const TIMEOUT: Possible = can(
    "application-worker-timeout",
    "the application's own master killed a worker that took too long",
    OWN_LOG,
);
const FATAL: Possible = can(
    "application-fatal-error",
    "a fatal error of the program ended the answer",
    "sudo tail -50 /var/log/php*-fpm.log",
);
const KEPT: Possible = can(
    "keepalive-connection-stale",
    "nginx reused a kept connection that the application was closing",
    "sudo nginx -T | grep -n keepalive",
);
const PROTOCOL: Possible = can(
    "peer-speaks-other-protocol",
    "the two sides speak different protocols: HTTP to HTTPS, FastCGI or uwsgi",
    "curl -vk https://ADDRESS:PORT/",
);
const REFUSES: Possible = can(
    "application-rejects-request",
    "the application refuses the request for its size or form, and closes",
    OWN_LOG,
);
const SELINUX: Possible = can(
    "selinux-denies-connect",
    "SELinux forbids nginx's domain to connect to this port",
    AVC,
);
const SANDBOX: Possible = can(
    "nginx-sandboxed",
    "nginx's own unit forbids it",
    "systemctl cat nginx",
);
const UNREACHABLE: Possible = can(
    "peer-unreachable",
    "no route leads to the address, or its host is down",
    ROUTE,
);
const DENIED: Possible = can(
    "socket-permission-denied",
    "the worker's user may not write to the socket, or may not pass a directory above it",
    MODES,
);
const TRUNCATED: Possible = can(
    "response-truncated",
    "the connection to the application ended before its answer did",
    OWN_LOG,
);

const AFTER_CONNECT: &[Possible] = &[
    CRASHED, KILLED, TIMEOUT, FATAL, RESTARTED, KEPT, REFUSES, PROTOCOL,
];

/// The rows; of a class, the first that fits.
pub(super) static SIGNATURES: &[Signature] = &[
    Signature {
        name: "refused-loopback",
        classes: &[Class::ConnectRefused],
        ways: &[Way::Loopback],
        causes: &[NOBODY, PORT, ADDRESS, TRANSPORT, NETNS, RESTARTED, REJECTS],
    },
    Signature {
        name: "refused-loopback-v6",
        classes: &[Class::ConnectRefused],
        ways: &[Way::LoopbackV6],
        causes: &[
            can(
                "peer-family-mismatch",
                "`localhost` was resolved to ::1, and the application listens on 127.0.0.1 only",
                LISTENS,
            ),
            NOBODY,
            PORT,
            TRANSPORT,
            NETNS,
            RESTARTED,
        ],
    },
    Signature {
        name: "refused-tcp",
        classes: &[Class::ConnectRefused],
        ways: &[Way::Tcp],
        causes: &[NOBODY, ADDRESS, PORT, OUTDATED, NETNS, RESTARTED, REJECTS],
    },
    Signature {
        name: "refused-unix",
        classes: &[Class::ConnectRefused],
        ways: &[Way::Unix],
        causes: &[
            can(
                "socket-stale",
                "the file is left over: nobody listens on it",
                UNIX_LISTEN,
            ),
            RESTARTED,
        ],
    },
    Signature {
        name: "socket-of-another-type",
        classes: &[Class::WrongSocketType],
        ways: &[],
        causes: &[can(
            "socket-path-mismatch",
            "a socket of datagrams or packets stands at this path, and nginx dials a stream: it is another program's, such as a log's",
            "sudo ss -xlp | grep SOCKET",
        )],
    },
    Signature {
        name: "socket-missing",
        classes: &[Class::SocketMissing, Class::NotADirectory],
        ways: &[],
        causes: &[
            can(
                "socket-missing",
                "the application that makes the socket is not running",
                UNIX_LISTEN,
            ),
            can(
                "socket-path-mismatch",
                "the application's socket has another path, such as another PHP version's",
                "sudo ss -xlp | grep -E 'php|gunicorn|uwsgi|puma'",
            ),
            can(
                "socket-hidden-by-namespace",
                "the socket is there, but not in the file system that nginx sees (PrivateTmp, chroot, container)",
                "sudo nsenter -t NGINX-PID -m ls -l SOCKET",
            ),
            TRANSPORT,
            RESTARTED,
        ],
    },
    Signature {
        name: "denied-unix",
        classes: &[Class::PermissionDenied],
        ways: &[Way::Unix],
        causes: &[
            DENIED,
            can(
                "selinux-denies-socket",
                "SELinux forbids it: the socket or its directory has the wrong type",
                AVC,
            ),
            can(
                "socket-acl-denied",
                "an ACL on the way denies it",
                "getfacl SOCKET",
            ),
            can(
                "apparmor-denies-connect",
                "nginx's AppArmor profile forbids it",
                "sudo dmesg | grep 'apparmor=\"DENIED\"'",
            ),
            SANDBOX,
        ],
    },
    Signature {
        name: "denied-tcp",
        classes: &[Class::PermissionDenied],
        ways: &[Way::Loopback, Way::LoopbackV6, Way::Tcp],
        causes: &[
            SELINUX,
            can(
                "peer-unreachable",
                "a `prohibit` route forbids the address",
                ROUTE,
            ),
            can(
                "apparmor-denies-connect",
                "nginx's AppArmor profile forbids it",
                "sudo dmesg | grep 'apparmor=\"DENIED\"'",
            ),
            SANDBOX,
        ],
    },
    Signature {
        name: "not-permitted",
        classes: &[Class::OperationNotPermitted, Class::AddressFamily],
        ways: &[],
        causes: &[
            SANDBOX,
            can("firewall-drops-connect", "an OUTPUT rule drops it", RULES),
        ],
    },
    Signature {
        name: "queue-full-unix",
        classes: &[Class::UnixBacklogFull],
        ways: &[],
        causes: &[
            can(
                "accept-queue-full",
                "the socket's queue is full: more connections wait than its backlog allows",
                UNIX_LISTEN,
            ),
            CHILDREN,
        ],
    },
    Signature {
        name: "connect-timeout",
        classes: &[Class::ConnectTimeout, Class::ConnectTimeoutKernel],
        ways: &[],
        causes: &[DROPS, UNREACHABLE, OUTDATED, QUEUE, CHILDREN],
    },
    Signature {
        name: "unreachable",
        classes: &[
            Class::HostUnreachable,
            Class::NetworkUnreachable,
            Class::NetworkDown,
            Class::HostDown,
            Class::ConnectInvalid,
        ],
        ways: &[],
        causes: &[UNREACHABLE, REJECTS, OUTDATED],
    },
    Signature {
        name: "no-live-upstreams",
        classes: &[Class::NoLiveUpstreams],
        ways: &[],
        causes: &[can(
            "no-live-peers",
            "every server of the group failed a moment ago, or is `down`: the lines before it say how",
            "sudo grep -B50 'no live upstreams' /var/log/nginx/error.log | grep 'failed\\|timed out'",
        )],
    },
    Signature {
        name: "bind-failed",
        classes: &[Class::ProxyBind],
        ways: &[],
        causes: &[
            can(
                "peer-unreachable",
                "this host does not have the address that proxy_bind has nginx come from",
                "ip -brief address",
            ),
            can(
                "nginx-out-of-local-ports",
                "no local port is left for this peer",
                "ss -tan 'dport = :PORT' | wc -l; cat /proc/sys/net/ipv4/ip_local_port_range",
            ),
        ],
    },
    Signature {
        name: "out-of-ports",
        classes: &[Class::EphemeralPorts, Class::AddressInUse],
        ways: &[],
        causes: &[can(
            "nginx-out-of-local-ports",
            "no local port is left for this peer",
            "ss -tan 'dport = :PORT' | wc -l; cat /proc/sys/net/ipv4/ip_local_port_range",
        )],
    },
    Signature {
        name: "out-of-descriptors",
        classes: &[Class::FdExhaustion],
        ways: &[],
        causes: &[can(
            "nginx-out-of-file-descriptors",
            "the worker has as many files open as it may",
            "grep 'open files' /proc/NGINX-PID/limits",
        )],
    },
    Signature {
        name: "out-of-connections",
        classes: &[Class::WorkerConnections],
        ways: &[],
        causes: &[can(
            "nginx-out-of-worker-connections",
            "all of the worker's connections are in use",
            "sudo nginx -T | grep -n worker_connections",
        )],
    },
    Signature {
        name: "temp-path",
        classes: &[Class::TempPath, Class::TempFileIo],
        ways: &[],
        causes: &[can(
            "nginx-temp-path-unwritable",
            "the worker may not write to its directory for temporary files, or the disk is full",
            "sudo namei -l /var/lib/nginx; df /var/lib/nginx",
        )],
    },
    Signature {
        name: "tls-handshake",
        classes: &[
            Class::TlsHandshake,
            Class::TlsHandshakeClosed,
            Class::TlsHandshakeTimeout,
            Class::TlsPlaintextBeforeHandshake,
        ],
        ways: &[],
        causes: &[
            can(
                "upstream-tls-handshake-fails",
                "the two sides agree on no protocol version or cipher",
                "openssl s_client -connect ADDRESS:PORT",
            ),
            can(
                "upstream-sni-missing",
                "the peer wants a server name, and nginx sends none unless told to",
                "openssl s_client -connect ADDRESS:PORT -servername NAME",
            ),
            can(
                "peer-speaks-other-protocol",
                "the peer speaks plain HTTP on this port",
                "curl -v http://ADDRESS:PORT/",
            ),
        ],
    },
    Signature {
        name: "tls-verify",
        classes: &[Class::TlsVerify, Class::TlsVerifyName],
        ways: &[],
        causes: &[
            can(
                "upstream-certificate-rejected",
                "the peer's certificate is expired, unknown to nginx, or for another name",
                "openssl s_client -connect ADDRESS:PORT -servername NAME </dev/null | openssl x509 -noout -dates -subject -issuer",
            ),
            can(
                "upstream-sni-missing",
                "without a server name the peer shows another certificate",
                "sudo nginx -T | grep -n proxy_ssl_server_name",
            ),
        ],
    },
    Signature {
        name: "read-timeout",
        classes: &[
            Class::ReadTimeout,
            Class::UpstreamTimeout,
            Class::SendTimeout,
            Class::IoTimeoutKernel,
            Class::UdpNoReply,
        ],
        ways: &[],
        causes: &[SLOW, CHILDREN, QUEUE],
    },
    Signature {
        name: "premature-close",
        classes: &[Class::PrematureClose],
        ways: &[],
        causes: AFTER_CONNECT,
    },
    Signature {
        name: "reset",
        classes: &[
            Class::ConnectionReset,
            Class::IoError,
            Class::TlsRead,
            Class::TlsWrite,
        ],
        ways: &[],
        causes: AFTER_CONNECT,
    },
    Signature {
        name: "header-too-big",
        classes: &[Class::HeaderTooBig],
        ways: &[],
        causes: &[can(
            "response-header-too-big",
            "the response's header does not fit into nginx's buffer",
            "curl -sD - -o /dev/null URL-OF-THE-APPLICATION | wc -c",
        )],
    },
    Signature {
        name: "header-invalid",
        classes: &[Class::InvalidHeader],
        ways: &[],
        causes: &[
            can(
                "response-header-invalid",
                "the application sent a header line that nginx does not accept",
                "curl -sv URL-OF-THE-APPLICATION",
            ),
            PROTOCOL,
        ],
    },
    Signature {
        name: "other-protocol",
        classes: &[
            Class::NotHttp,
            Class::NotFastcgi,
            Class::NotHttp2,
            Class::H2ProtocolError,
            Class::H2Rejected,
        ],
        ways: &[],
        causes: &[PROTOCOL],
    },
    Signature {
        name: "body",
        classes: &[
            Class::PrematureCloseBody,
            Class::ReadTimeoutBody,
            Class::BadChunked,
            Class::BadTrailer,
            Class::InvalidTrailer,
            Class::ExtraBody,
        ],
        ways: &[],
        causes: &[TRUNCATED, CRASHED, KILLED, TIMEOUT, SLOW],
    },
    Signature {
        name: "name",
        classes: &[Class::Dns],
        ways: &[],
        causes: &[can(
            "upstream-name-unresolvable",
            "the name does not resolve where nginx asks",
            "dig @RESOLVER NAME",
        )],
    },
    Signature {
        name: "no-resolver",
        classes: &[Class::DnsNoResolver],
        ways: &[],
        causes: &[can(
            "resolver-missing",
            "a variable in the directive makes nginx resolve at run time, and no `resolver` is set",
            "sudo nginx -T | grep -n resolver",
        )],
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::causes;

    #[test]
    fn every_cause_of_the_table_exists() {
        let missing: BTreeSet<&str> = SIGNATURES
            .iter()
            .chain(BY_ERRNO.iter().map(|(_, signature)| signature))
            .flat_map(|signature| signature.causes)
            .map(|possible| possible.cause)
            .filter(|id| causes::by_id(id).is_none())
            .collect();
        assert_eq!(missing, BTreeSet::new());
    }

    /// What nginx sets up for itself, third parties' modules, and rules of HTTP between the two: no cause speaks of them.
    const WITHOUT: &[Class] = &[
        Class::NoBuffers,
        Class::ConnectError,
        Class::ProxyBindTransparent,
        Class::ProxyProtocolSend,
        Class::LocalSocketSetup,
        Class::OutOfMemory,
        Class::TlsLocalCertificate,
        Class::TlsLocalSetup,
        Class::IoErrorUdp,
        Class::SliceResponse,
        Class::UpgradeInSubrequest,
        Class::LuaBalancer,
    ];

    #[test]
    fn every_failure_of_an_upstream_has_a_row_or_stands_in_the_list_of_those_without() {
        for &class in Class::ALL {
            let has_row = SIGNATURES
                .iter()
                .any(|signature| signature.classes.contains(&class));
            let wanted = class.may_be_upstream_failure() && !WITHOUT.contains(&class);
            assert_eq!(has_row, wanted, "{class}");
        }
    }

    #[test]
    fn a_cause_stands_once_in_a_row() {
        for signature in SIGNATURES {
            let causes: BTreeSet<&str> = signature
                .causes
                .iter()
                .map(|possible| possible.cause)
                .collect();
            assert_eq!(causes.len(), signature.causes.len(), "{}", signature.name);
        }
    }
}
