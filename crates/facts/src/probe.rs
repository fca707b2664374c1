//! Questions put to a host and their raw answers.
//!
//! A new *kind* of question is a variant here and its asker in `host`. A request says nothing of how it is answered:
//! by the live host, from a snapshot, or not at all.

use std::fmt::{self, Write as _};
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use crate::PeerAddress;
use crate::conversation::{Conversation, Speech};
use crate::url::without_query;

/// Whose file system a path is looked up in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum View {
    /// The root that why502 itself sees.
    Host,
    /// The root and mount namespace of a process (`/proc/PID/root`).
    Process(u32),
}

/// Which sockets of a network namespace a dump holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SocketKind {
    /// Listening TCP sockets, IPv4 and IPv6.
    TcpListening,
    /// Established TCP sockets, IPv4 and IPv6.
    TcpEstablished,
    /// Every TCP socket that has another end, IPv4 and IPv6: opening, established, closing and TIME-WAIT.
    TcpConnected,
    /// Listening unix sockets, with their file's device and inode.
    UnixListening,
}

/// What is asked of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RecordKind {
    /// Its IPv4 addresses.
    A,
    /// Its IPv6 addresses.
    Aaaa,
}

/// What is said first on a connection, of a protocol and no more of it: nothing that an application would act on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Hello {
    /// A TLS handshake, to its end. No certificate of our own, no check of the peer's.
    Tls {
        /// The name that is sent (SNI); none is sent without it.
        name: Option<String>,
        /// Whether TLS 1.3 is offered, besides 1.2.
        tls13: bool,
    },
    /// HTTP/1.1's question for what the server itself can do (`OPTIONS *`, which RFC 9110, 9.3.7 likens to a ping), without the
    /// `Host` that it has to have: a server refuses it (RFC 9112, 3.2) before an application sees it.
    Http1,
    /// HTTP/2's connection preface with empty settings; an HTTP/1 server answers it with an error of its own (RFC 9113, 3.4).
    Http2,
    /// FastCGI's question for the values that a server supports (`FCGI_GET_VALUES`).
    FastCgi,
    /// uwsgi's ping (modifier 100).
    Uwsgi,
}

/// One GET, and nothing else: there is no way to say another method or a body.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Get {
    /// The TLS handshake before it, a [`Hello::Tls`]; none for plain HTTP.
    pub tls: Option<Hello>,
    /// Path and query.
    pub target: String,
    /// HTTP/1.1, or else HTTP/1.0.
    pub is_http11: bool,
    /// Names and values in the order in which they are sent, `Host` among them.
    pub headers: Vec<(String, String)>,
}

/// One question put to a host.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ProbeRequest {
    /// The first `limit` bytes of a file, with its `stat`. Answer: [`Answer::File`].
    File {
        /// Whose file system.
        view: View,
        /// Absolute path in that view.
        path: PathBuf,
        /// Bytes at most.
        limit: u64,
    },
    /// The end of a file whose lines begin with a sortable stamp: from the first line whose stamp is not below `from`
    /// (a stamp is a line start of the same shape: digits where `from` has digits, the same bytes elsewhere).
    /// When more than `limit` bytes follow, only the last `limit` of them, cut at a line. Where no line has such a stamp
    /// at all, the last `limit` bytes; where every stamp is below, nothing. Answer: [`Answer::File`]; `cut` says that
    /// lines of the window are missing.
    LinesSince {
        /// Whose file system.
        view: View,
        /// Absolute path in that view.
        path: PathBuf,
        /// The stamp, such as `2026/06/23 14:02:11`.
        from: String,
        /// Bytes at most.
        limit: u64,
    },
    /// [`Self::LinesSince`] of a file whose lines have their stamp behind a mark: the last such mark of a line counts, as
    /// in Docker's `{"log":"...","stream":"stderr","time":"2026-06-23T14:02:11.5Z"}` the mark `"time":"`.
    /// Answer: [`Answer::File`].
    MarkedLinesSince {
        /// Whose file system.
        view: View,
        /// Absolute path in that view.
        path: PathBuf,
        /// What stands before the stamp.
        mark: String,
        /// The stamp, such as `2026-06-23T14:02:11`.
        from: String,
        /// Bytes at most.
        limit: u64,
    },
    /// The names in a directory, `.` and `..` left out, each followed by NUL, sorted. Answer: [`Answer::Bytes`].
    Directory {
        /// Whose file system.
        view: View,
        /// Absolute path in that view.
        path: PathBuf,
    },
    /// The target of a symbolic link, as `readlink` gives it (`/proc/1/ns/net` answers `net:[4026531840]`).
    Link {
        /// Absolute path as why502 sees it.
        path: PathBuf,
    },
    /// Every component of a path, from `/` on, symbolic links followed as nginx would. Answer: [`Answer::Bytes`], one
    /// line a component; [`Answer::Errno`] when the view itself could not be entered (no such process, no rights).
    ///
    /// ```text
    /// / type=dir mode=755 uid=0 gid=0 dev=65025 ino=2 size=4096 mtime=1782223331000000000 ctime=1782223331000000000
    /// /var type=dir mode=755 ...
    /// /var/run type=link mode=777 uid=0 gid=0 dev=65025 ino=12 size=4 mtime=... ctime=... target=/run
    /// /run type=dir mode=755 ... selinux=system_u:object_r:var_run_t:s0
    /// /run/app type=dir mode=2750 ... acl=0200000001000700ffffffff02000500210000000400...
    /// /run/app/app.sock errno=2
    /// ```
    ///
    /// Fields stand in this order, one space between, and each line ends with `\n`. A reader skips keys it does not know.
    /// - The first field is the component's path in that view with the links before it followed, so it contains neither
    ///   links nor `.` nor `..`; encoded as in a request's text (`%XX` for bytes outside printable ASCII, `%`, space, `|`).
    ///   `..` has no line: it leads back to a directory that has one. A directory met again, after an absolute link,
    ///   stands again; only `/` stands once.
    /// - `type`: `dir`, `file`, `link`, `socket`, `fifo`, `char` or `block`.
    /// - `mode`: the permission bits with set-id and sticky, octal, no file type. `uid`, `gid`, `dev` (as `st_dev` holds
    ///   it), `ino`, `size`: decimal. `mtime`, `ctime`: nanoseconds since 1970, may be negative.
    /// - `target`: of a link, what `readlink` gives, encoded like the path. The lines after it follow the target.
    /// - `acl`: hex of the extended attribute `system.posix_acl_access`; left out where there is none (a link has none);
    ///   `acl=errno:N` where it could not be read.
    /// - `selinux`: the extended attribute `security.selinux`, its NUL left out, encoded like the path; left out where
    ///   there is none or it could not be read.
    /// - `immutable=1`: nobody may change it, nor make or remove names in it (`chattr +i`); left out where that is not so, or
    ///   the file system does not tell.
    /// - A component that could not be looked at has `errno=N` and nothing else, and is the last line: 2 when it does not
    ///   exist, 20 when something that is no directory stands before it, 40 after 40 links, 13 when why502 itself may not.
    Walk {
        /// Whose file system.
        view: View,
        /// Absolute path in that view.
        path: PathBuf,
    },
    /// The room on the file system that holds a path. Answer: [`Answer::Bytes`], one line:
    /// `block=4096 blocks=N free=N available=N files=N free-files=N read-only=0`, as statvfs(3) gives them: `available` is
    /// what others than root may use, `files` 0 where the file system has no fixed number.
    FileSystem {
        /// Whose file system.
        view: View,
        /// Absolute path in that view, of something that exists.
        path: PathBuf,
    },
    /// The NUL-terminated strings of a binary that begin with one of these prefixes, each followed by NUL.
    Strings {
        /// Absolute path as why502 sees it, such as `/proc/1/exe`.
        path: PathBuf,
        /// What a wanted string begins with.
        prefixes: Vec<String>,
    },
    /// These environment variables of a process, as `NAME=value` followed by NUL; unnamed ones never leave the host.
    Environment {
        /// The process.
        pid: u32,
        /// The variables.
        names: Vec<String>,
    },
    /// The sockets of a kind in a process's network namespace: the raw `sock_diag` messages, one after another.
    Sockets {
        /// A process in the namespace; `None` for why502's own.
        netns: Option<u32>,
        /// Which sockets.
        kind: SocketKind,
    },
    /// Which process holds which socket: a line `INODE PID` for every socket descriptor of every readable process.
    SocketOwners,
    /// The netfilter base chains of a network namespace: raw `NFT_MSG_NEWCHAIN` messages, one after another.
    NetfilterChains {
        /// A process in the namespace; `None` for why502's own.
        netns: Option<u32>,
    },
    /// A connection made as a process would make it (its uid, gid, groups, network and mount namespace, root) and closed
    /// at once, nothing sent. `EPERM` says that why502 could not become the process, `ESRCH` that it is gone: neither
    /// speaks of the peer. Not reproduced: the process's SELinux or AppArmor domain, its seccomp filter, its Landlock
    /// rules, the BPF hooks of its cgroup. Answer: [`Answer::Bytes`] (`connected in N us`), [`Answer::Errno`] or [`Answer::TimedOut`].
    Connect {
        /// The process, an nginx worker; `None` for why502 itself.
        from: Option<u32>,
        /// Where to.
        to: PeerAddress,
    },
    /// What the SELinux policy in force decides, asked through `/sys/fs/selinux/access`, which takes a question and gives
    /// its answer and keeps nothing of either. Answer: [`Answer::Bytes`], the kernel's line (`ALLOWED DECIDED AUDITALLOW
    /// AUDITDENY SEQUENCE FLAGS`, hexadecimal but the fifth); `EINVAL` for a context that the policy does not know.
    SelinuxAccess {
        /// The context of who acts, such as `system_u:system_r:httpd_t:s0`.
        source: String,
        /// The context of what is acted on.
        target: String,
        /// Its class, such as `tcp_socket`.
        class: String,
    },
    /// A question put to a name server over UDP from a process's network namespace, as nginx's own `resolver` puts it.
    /// Answer: [`Answer::Bytes`], the server's message; [`Answer::Errno`] or [`Answer::TimedOut`] where none came.
    Dns {
        /// A process in the namespace; `None` for why502's own.
        netns: Option<u32>,
        /// The name server.
        server: SocketAddr,
        /// The name.
        name: String,
        /// What is asked of it.
        kind: RecordKind,
    },
    /// A connection as [`Self::Connect`] makes it, with the hello of a protocol sent on it. Answer: [`Answer::Bytes`] as
    /// [`handshake`](crate::handshake) reads it, [`Answer::Errno`] or [`Answer::TimedOut`] where there was no connection.
    Handshake {
        /// The process, an nginx worker; `None` for why502 itself.
        from: Option<u32>,
        /// Where to.
        to: PeerAddress,
        /// What is said.
        hello: Hello,
    },
    /// A connection as [`Self::Connect`] makes it, with a GET sent on it and its answer awaited. Only where the user asked
    /// for it, and only to listeners of the nginx in question and to the peers that its configuration names. Answer:
    /// [`Answer::Bytes`] as [`exchange`](crate::exchange) reads it, [`Answer::Errno`] or [`Answer::TimedOut`] where there
    /// was no connection. In the request's text neither the query nor the headers stand: a capture asks for one URL.
    Request {
        /// The process, an nginx worker; `None` for why502 itself.
        from: Option<u32>,
        /// Where to.
        to: PeerAddress,
        /// What is asked for.
        get: Get,
    },
    /// A short conversation with a peer in its protocol, held as somebody would hold it. Only by a gate, and only with peers
    /// that a configuration names. `EPERM` and `ESRCH` as of [`Self::Connect`]. Answer: [`Answer::Bytes`] as
    /// [`exchange`](crate::exchange) reads it, [`Answer::Errno`] or [`Answer::TimedOut`] where there was no connection.
    Conversation(Conversation),
    /// A program of the host, run read-only without a shell. Answer: [`Answer::Exit`], or [`Answer::Errno`] when it
    /// could not be run.
    Command {
        /// Program and arguments.
        argv: Vec<String>,
    },
    /// The same in another process's network namespace, for programs that show what belongs to one.
    CommandIn {
        /// A process in the namespace.
        netns: u32,
        /// Program and arguments.
        argv: Vec<String>,
    },
}

impl ProbeRequest {
    /// A whole file as why502 sees it; 16 MiB at most.
    pub fn host_file(path: impl Into<PathBuf>) -> Self {
        Self::whole_file(View::Host, path)
    }

    /// A whole file in a view; 16 MiB at most. One bound for all, so that no file is read twice.
    pub fn whole_file(view: View, path: impl Into<PathBuf>) -> Self {
        Self::File {
            view,
            path: path.into(),
            limit: 16 << 20,
        }
    }

    /// A program of the host with its arguments.
    pub fn command<const N: usize>(argv: [&str; N]) -> Self {
        Self::Command {
            argv: argv.iter().map(|&arg| arg.to_owned()).collect(),
        }
    }

    /// A program with its arguments, in the network namespace of a process; of why502 itself with `None`.
    pub fn command_in<const N: usize>(netns: Option<u32>, argv: [&str; N]) -> Self {
        match netns {
            Some(netns) => Self::CommandIn {
                netns,
                argv: argv.iter().map(|&arg| arg.to_owned()).collect(),
            },
            None => Self::command(argv),
        }
    }

    /// The name of the kind of question, as JSON reports and proofs show it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::File { .. } => "file",
            Self::LinesSince { .. } => "lines-since",
            Self::MarkedLinesSince { .. } => "marked-lines-since",
            Self::Directory { .. } => "directory",
            Self::Link { .. } => "link",
            Self::Walk { .. } => "walk",
            Self::FileSystem { .. } => "file-system",
            Self::Strings { .. } => "strings",
            Self::Environment { .. } => "environment",
            Self::Sockets { .. } => "sockets",
            Self::SocketOwners => "socket-owners",
            Self::NetfilterChains { .. } => "netfilter-chains",
            Self::Connect { .. } => "connect",
            Self::SelinuxAccess { .. } => "selinux-access",
            Self::Dns { .. } => "dns",
            Self::Handshake { .. } => "handshake",
            Self::Request { .. } => "request",
            Self::Conversation(_) => "conversation",
            Self::Command { .. } => "command",
            Self::CommandIn { .. } => "command-in",
        }
    }

    /// How long an answer may take before the asker gives up.
    pub fn budget(&self) -> Duration {
        match self {
            Self::Connect { .. } | Self::Dns { .. } | Self::Handshake { .. } => {
                Duration::from_secs(2)
            }
            // A connection, and then a response that may take its time.
            Self::Request { .. } => Duration::from_secs(12),
            Self::Conversation(conversation) => Duration::from_millis(conversation.within),
            _ => Duration::from_secs(5),
        }
    }
}

/// The canonical text of a request: its key in a snapshot's manifest, so its form is part of the snapshot format.
///
/// Bytes outside printable ASCII, and `%`, space and `|` inside a field, are written `%XX`.
impl fmt::Display for ProbeRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())?;
        match self {
            Self::File { view, path, limit } => {
                view.write(f)?;
                field(f, path.as_os_str().as_bytes())?;
                write!(f, " {limit}")
            }
            Self::LinesSince {
                view,
                path,
                from,
                limit,
            } => {
                view.write(f)?;
                field(f, path.as_os_str().as_bytes())?;
                field(f, from.as_bytes())?;
                write!(f, " {limit}")
            }
            Self::MarkedLinesSince {
                view,
                path,
                mark,
                from,
                limit,
            } => {
                view.write(f)?;
                field(f, path.as_os_str().as_bytes())?;
                field(f, mark.as_bytes())?;
                field(f, from.as_bytes())?;
                write!(f, " {limit}")
            }
            Self::Directory { view, path }
            | Self::Walk { view, path }
            | Self::FileSystem { view, path } => {
                view.write(f)?;
                field(f, path.as_os_str().as_bytes())
            }
            Self::Link { path } => field(f, path.as_os_str().as_bytes()),
            Self::Strings { path, prefixes } => {
                field(f, path.as_os_str().as_bytes())?;
                prefixes
                    .iter()
                    .try_for_each(|prefix| field(f, prefix.as_bytes()))
            }
            Self::Environment { pid, names } => {
                write!(f, " {pid}")?;
                names.iter().try_for_each(|name| field(f, name.as_bytes()))
            }
            Self::Sockets { netns, kind } => {
                process(f, *netns)?;
                f.write_str(match kind {
                    SocketKind::TcpListening => " tcp-listening",
                    SocketKind::TcpEstablished => " tcp-established",
                    SocketKind::TcpConnected => " tcp-connected",
                    SocketKind::UnixListening => " unix-listening",
                })
            }
            Self::SocketOwners => Ok(()),
            Self::NetfilterChains { netns } => process(f, *netns),
            Self::Connect { from, to } => {
                process(f, *from)?;
                field(f, to.to_string().as_bytes())
            }
            Self::SelinuxAccess {
                source,
                target,
                class,
            } => [source, target, class]
                .iter()
                .try_for_each(|name| field(f, name.as_bytes())),
            Self::Dns {
                netns,
                server,
                name,
                kind,
            } => {
                process(f, *netns)?;
                field(f, server.to_string().as_bytes())?;
                field(f, name.as_bytes())?;
                f.write_str(match kind {
                    RecordKind::A => " A",
                    RecordKind::Aaaa => " AAAA",
                })
            }
            Self::Handshake { from, to, hello } => {
                process(f, *from)?;
                field(f, to.to_string().as_bytes())?;
                match hello {
                    Hello::Tls { name, tls13 } => {
                        f.write_str(if *tls13 { " tls1.3" } else { " tls1.2" })?;
                        name.iter().try_for_each(|name| field(f, name.as_bytes()))
                    }
                    Hello::Http1 => f.write_str(" http1"),
                    Hello::Http2 => f.write_str(" http2"),
                    Hello::FastCgi => f.write_str(" fastcgi"),
                    Hello::Uwsgi => f.write_str(" uwsgi"),
                }
            }
            Self::Request { from, to, get } => {
                process(f, *from)?;
                field(f, to.to_string().as_bytes())?;
                f.write_str(if get.tls.is_some() { " https" } else { " http" })?;
                field(f, without_query(&get.target).as_bytes())
            }
            Self::Conversation(held) => {
                write!(f, " {}", held.from)?;
                if let Some(bind) = held.bind {
                    write!(f, " bind={bind}")?;
                }
                field(f, held.to.to_string().as_bytes())?;
                let hello = match &held.speech {
                    Speech::Hello(hello) => Some(hello),
                    _ => held.tls.as_ref(),
                };
                f.write_str(match &held.tls {
                    Some(tls) => match tls.name() {
                        "tls1.2" => " over-tls1.2",
                        _ => " over-tls1.3",
                    },
                    None => " plain",
                })?;
                write!(f, " {}", held.speech.name())?;
                if let Some(Hello::Tls {
                    name: Some(name), ..
                }) = hello
                {
                    field(f, name.as_bytes())?;
                }
                if let Some(path) = held.speech.path() {
                    field(f, without_query(path).as_bytes())?;
                }
                write!(f, " {}", held.within)
            }
            Self::Command { argv } => argv.iter().try_for_each(|arg| field(f, arg.as_bytes())),
            Self::CommandIn { netns, argv } => {
                write!(f, " {netns}")?;
                argv.iter().try_for_each(|arg| field(f, arg.as_bytes()))
            }
        }
    }
}

impl View {
    fn write(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host => f.write_str(" host"),
            Self::Process(pid) => write!(f, " {pid}"),
        }
    }

    /// The path as why502 itself would open it.
    pub fn resolve(self, path: &Path) -> PathBuf {
        match self {
            Self::Host => path.to_owned(),
            Self::Process(pid) => {
                let mut resolved = PathBuf::from(format!("/proc/{pid}/root"));
                resolved.push(path.strip_prefix("/").unwrap_or(path));
                resolved
            }
        }
    }
}

fn process(f: &mut fmt::Formatter<'_>, pid: Option<u32>) -> fmt::Result {
    match pid {
        Some(pid) => write!(f, " {pid}"),
        None => f.write_str(" host"),
    }
}

fn field(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    f.write_char(' ')?;
    for &byte in bytes {
        if byte.is_ascii_graphic() && byte != b'%' && byte != b'|' {
            f.write_char(char::from(byte))?;
        } else {
            write!(f, "%{byte:02X}")?;
        }
    }
    Ok(())
}

/// What `fstat` said of a file when it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Type and permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Device.
    pub device: u64,
    /// Inode.
    pub inode: u64,
    /// Bytes.
    pub size: u64,
    /// Last change of the contents.
    pub modified: Timestamp,
    /// Last change of contents, owner or mode: no program can set it.
    pub changed: Timestamp,
}

/// A raw answer.
#[derive(Clone, PartialEq, Eq)]
pub enum Answer {
    /// Of a file, or of the part of it that was asked for.
    File {
        /// The bytes.
        bytes: Vec<u8>,
        /// More was there than the limit allowed.
        cut: bool,
        /// The whole file's `stat`.
        stat: Stat,
    },
    /// Of any other question that answers with bytes.
    Bytes(Vec<u8>),
    /// Of a program that ran.
    Exit {
        /// Its exit status; `None` when a signal ended it.
        code: Option<i32>,
        /// Standard output, 64 MiB at most.
        stdout: Vec<u8>,
        /// Standard error, 64 KiB at most.
        stderr: Vec<u8>,
    },
    /// The host refused, with this errno.
    Errno(i32),
    /// No answer within the budget.
    TimedOut,
    /// The question was never put: the snapshot does not hold it.
    NotRecorded,
}

/// Shows sizes, never contents: a record may hold what no log should.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { bytes, cut, stat } => {
                write!(
                    f,
                    "File({} bytes of {}, cut: {cut})",
                    bytes.len(),
                    stat.size
                )
            }
            Self::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            Self::Exit {
                code,
                stdout,
                stderr,
            } => {
                write!(
                    f,
                    "Exit({code:?}, {} + {} bytes)",
                    stdout.len(),
                    stderr.len()
                )
            }
            Self::Errno(errno) => write!(f, "Errno({errno})"),
            Self::TimedOut => f.write_str("TimedOut"),
            Self::NotRecorded => f.write_str("NotRecorded"),
        }
    }
}

/// A question with its answer and the time it was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// When the answer was complete.
    pub at: Timestamp,
    /// The answer.
    pub answer: Answer,
}

/// Something that answers questions about one host: the live host, or a snapshot of it.
///
/// There is deliberately no way to ask which of the two it is: what a snapshot lacks comes back as
/// [`Answer::NotRecorded`] and ends as a gap.
pub trait Probe: Sync {
    /// Answers one question; never fails, never panics, never takes longer than the request's budget.
    fn ask(&self, request: &ProbeRequest) -> Record;

    /// Answers several questions, in their order, each as [`ask`](Probe::ask) does: for those that cost less together.
    fn ask_all(&self, requests: &[ProbeRequest]) -> Vec<Record> {
        requests.iter().map(|request| self.ask(request)).collect()
    }
}
