//! What kind of thing a line reports, and whether that is a failure to get an answer from a peer.
//!
//! One class may have several phrases; `phrases.rs` says which. No class says why: that is not in the log.

use super::action::{Side, While};
use crate::Level;
use std::fmt;

/// Whether a class is a failure of an attempt to get an answer from a peer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// Always.
    Yes,
    /// Only while nginx deals with an upstream: the same words are used elsewhere.
    WhileUpstream,
    /// As above, and only from level `error` up: lower, nginx went on.
    IfError,
    /// Never: an echo of another line, the client's side, nginx's own life.
    No,
}

macro_rules! classes {
    ($($(#[$doc:meta])+ $name:ident = $text:literal, $failure:ident;)+) => {
        /// The kind of thing that a line reports; a closed list.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Class { $($(#[$doc])+ $name,)+ }

        impl Class {
            /// Every class, in the order of declaration.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The stable name, in kebab-case.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// What a failed `connect()` means.
            pub fn of_connect(errno: Option<u16>) -> Self {
                super::errno::connect(errno)
            }

            /// What a failed read or write on an upstream connection means.
            pub fn of_io(errno: Option<u16>) -> Self {
                super::errno::io(errno)
            }

            /// The class of that name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$name),)+ _ => None }
            }

            fn failure(self) -> Failure {
                match self { $(Self::$name => Failure::$failure,)+ }
            }
        }
    };
}

classes! {
    // Connecting.
    /// Nobody listens, or a firewall rejects (111).
    ConnectRefused = "connect-refused", Yes;
    /// No such socket file in nginx's own mount namespace (2).
    SocketMissing = "socket-missing", Yes;
    /// Denied by file modes, an ACL, SELinux or a `prohibit` route (13).
    PermissionDenied = "permission-denied", Yes;
    /// Denied by a sandbox or a filter (1).
    OperationNotPermitted = "operation-not-permitted", Yes;
    /// The listen queue of a unix socket is full (11).
    UnixBacklogFull = "unix-backlog-full", Yes;
    /// No local port or no source address for that destination (99).
    EphemeralPorts = "ephemeral-ports", Yes;
    /// No route to the network (101).
    NetworkUnreachable = "network-unreachable", Yes;
    /// No route to the host, or a firewall says so (113).
    HostUnreachable = "host-unreachable", Yes;
    /// The interface is down (100).
    NetworkDown = "network-down", Yes;
    /// The host is down (112).
    HostDown = "host-down", Yes;
    /// The socket file is no stream socket (91).
    WrongSocketType = "wrong-socket-type", Yes;
    /// A part of the socket's path is a file (20).
    NotADirectory = "not-a-directory", Yes;
    /// An address that cannot be dialled so, or a `blackhole` route (22).
    ConnectInvalid = "connect-invalid", Yes;
    /// The kernel has no such address family, usually IPv6 (97).
    AddressFamily = "address-family", Yes;
    /// The kernel has no memory for sockets (105, 12).
    NoBuffers = "no-buffers", Yes;
    /// The local address and port are taken (98).
    AddressInUse = "address-in-use", Yes;
    /// `connect()` failed in another way.
    ConnectError = "connect-error", Yes;
    /// nginx's own timer ran out while connecting.
    ConnectTimeout = "connect-timeout", Yes;
    /// The kernel gave up connecting (110 from `connect()`).
    ConnectTimeoutKernel = "connect-timeout-kernel", Yes;
    /// No peer of the group may be tried now.
    NoLiveUpstreams = "no-live-upstreams", Yes;
    /// `proxy_bind`'s address cannot be used.
    ProxyBind = "proxy-bind", WhileUpstream;
    /// `proxy_bind ... transparent` cannot be used.
    ProxyBindTransparent = "proxy-bind-transparent", Yes;
    /// The PROXY protocol header could not be sent at once.
    ProxyProtocolSend = "proxy-protocol-send", Yes;

    // nginx's own limits.
    /// No file descriptor is left (24, 23).
    FdExhaustion = "fd-exhaustion", WhileUpstream;
    /// `worker_connections` are used up.
    WorkerConnections = "worker-connections", WhileUpstream;
    /// nginx could not set its own socket up.
    LocalSocketSetup = "local-socket-setup", WhileUpstream;
    /// A file under a temp path could not be made.
    TempPath = "temp-path", WhileUpstream;
    /// A temporary file could not be written or read.
    TempFileIo = "temp-file-io", WhileUpstream;
    /// Memory ran out.
    OutOfMemory = "out-of-memory", WhileUpstream;

    // TLS to the peer.
    /// The handshake failed.
    TlsHandshake = "tls-handshake", Yes;
    /// The peer closed during the handshake.
    TlsHandshakeClosed = "tls-handshake-closed", Yes;
    /// The handshake took longer than `proxy_connect_timeout`.
    TlsHandshakeTimeout = "tls-handshake-timeout", Yes;
    /// The peer's certificate was rejected.
    TlsVerify = "tls-verify", Yes;
    /// The peer's certificate is for another name.
    TlsVerifyName = "tls-verify-name", Yes;
    /// Plaintext came before the handshake.
    TlsPlaintextBeforeHandshake = "tls-plaintext-before-handshake", Yes;
    /// Reading from the TLS connection failed.
    TlsRead = "tls-read", WhileUpstream;
    /// Writing to the TLS connection failed.
    TlsWrite = "tls-write", WhileUpstream;
    /// The TLS connection ended uncleanly, after the fact.
    TlsShutdown = "tls-shutdown", No;
    /// nginx could not load its own certificate for the peer.
    TlsLocalCertificate = "tls-local-certificate", WhileUpstream;
    /// nginx could not set its own side of TLS up.
    TlsLocalSetup = "tls-local-setup", WhileUpstream;

    // After it connected.
    /// The peer took no bytes for `proxy_send_timeout`.
    SendTimeout = "send-timeout", Yes;
    /// No response header came within `proxy_read_timeout`.
    ReadTimeout = "read-timeout", Yes;
    /// The body stalled for `proxy_read_timeout`; the header was sent.
    ReadTimeoutBody = "read-timeout-body", Yes;
    /// `upstream timed out`, and the line does not say doing what.
    UpstreamTimeout = "upstream-timeout", Yes;
    /// A UDP application did not answer.
    UdpNoReply = "udp-no-reply", Yes;
    /// The peer closed before its response header was complete.
    PrematureClose = "premature-close", Yes;
    /// The peer closed before its response body was complete.
    PrematureCloseBody = "premature-close-body", Yes;
    /// The peer reset the connection, or it was gone (104, 32).
    ConnectionReset = "connection-reset", Yes;
    /// The kernel gave the established connection up (110).
    IoTimeoutKernel = "io-timeout-kernel", Yes;
    /// Reading or writing failed in another way.
    IoError = "io-error", WhileUpstream;
    /// A datagram could not be read or written.
    IoErrorUdp = "io-error-udp", WhileUpstream;
    /// The response header is larger than the buffer.
    HeaderTooBig = "header-too-big", Yes;
    /// A response header that nginx does not accept.
    InvalidHeader = "invalid-header", Yes;
    /// A doubtful response header that nginx passed over.
    InvalidHeaderTolerated = "invalid-header-tolerated", No;
    /// A trailer that nginx does not accept.
    InvalidTrailer = "invalid-trailer", Yes;
    /// memcached's closing line is wrong.
    BadTrailer = "bad-trailer", Yes;
    /// Chunked encoding that nginx does not accept.
    BadChunked = "bad-chunked", Yes;
    /// More bytes than announced.
    ExtraBody = "extra-body", IfError;
    /// The application does not speak HTTP; its bytes went to the client as they were.
    NotHttp = "not-http", Yes;
    /// The application does not speak FastCGI.
    NotFastcgi = "not-fastcgi", Yes;
    /// The application does not speak HTTP/2.
    NotHttp2 = "not-http2", Yes;
    /// The application breaks the rules of HTTP/2.
    H2ProtocolError = "h2-protocol-error", Yes;
    /// The application refused the HTTP/2 request.
    H2Rejected = "h2-rejected", Yes;
    /// A slice does not fit the others.
    SliceResponse = "slice-response", Yes;
    /// A subrequest's response wants to upgrade the connection.
    UpgradeInSubrequest = "upgrade-in-subrequest", Yes;
    /// Lua chose no peer.
    LuaBalancer = "lua-balancer", Yes;

    // Names.
    /// The upstream's name could not be resolved for a request.
    Dns = "dns", Yes;
    /// The upstream's name needs a resolver and none is defined.
    DnsNoResolver = "dns-no-resolver", Yes;
    /// A group's name could not be resolved anew, in the background.
    DnsResolveParam = "dns-resolve-param", No;
    /// The name server could not be asked.
    DnsServerUnreachable = "dns-server-unreachable", No;
    /// The name server answered nonsense.
    DnsBadResponse = "dns-bad-response", No;

    // Echoes and notes about upstreams.
    /// The peer is left out for `fail_timeout`; another line says why.
    PeerMarkedDown = "peer-marked-down", No;
    /// The application wrote to FastCGI's stderr.
    FastcgiStderr = "fastcgi-stderr", No;
    /// A subrequest for authorisation failed; its own line says how.
    AuthRequestFailed = "auth-request-failed", No;
    /// A tunnel was idle for too long.
    UpgradedIdleTimeout = "upgraded-idle-timeout", No;
    /// A stream session was idle for too long.
    StreamIdleTimeout = "stream-idle-timeout", No;
    /// Early hints were dropped.
    EarlyHints = "early-hints", No;
    /// memcached has no such key.
    MemcachedMiss = "memcached-miss", No;
    /// A response went through a temporary file.
    UpstreamBufferedToDisk = "upstream-buffered-to-disk", No;
    /// The group's shared memory is full.
    UpstreamZoneFull = "upstream-zone-full", No;
    /// A third party's health check found a peer up or down.
    HealthCheck = "health-check", No;
    /// Lua's own socket, not `*_pass`.
    LuaCosocket = "lua-cosocket", No;
    /// Sticky sessions.
    Sticky = "sticky", No;
    /// Peers discovered by Angie.
    Discovery = "discovery", No;
    /// The request cannot be written in the peer's protocol.
    RequestNotEncodable = "request-not-encodable", No;
    /// The value of a variable in a `*_pass` names no peer.
    ConfigPassVar = "config-pass-var", No;
    /// A socket option was not set; nginx went on.
    SetsockoptIgnored = "setsockopt-ignored", No;
    /// A file operation took long.
    AioSlow = "aio-slow", No;
    /// A cache file or zone.
    Cache = "cache", No;

    // The client's side.
    /// The client went away (499, or nothing to answer).
    ClientAbort = "client-abort", No;
    /// The client was too slow.
    ClientTimeout = "client-timeout", No;
    /// The client's request is malformed.
    ClientBadRequest = "client-bad-request", No;
    /// The client's body is larger than `client_max_body_size`.
    ClientBodyTooLarge = "client-body-too-large", No;
    /// The client's body went through a temporary file.
    ClientBodyBufferedToDisk = "client-body-buffered-to-disk", No;
    /// Reading from or writing to the client failed.
    ClientIo = "client-io", No;
    /// TLS with the client.
    ClientTls = "client-tls", No;
    /// A stream client.
    ClientStream = "client-stream", No;
    /// `limit_req` or `limit_conn`.
    RateLimited = "rate-limited", No;

    // nginx without an upstream.
    /// Static files, access rules, and other answers of nginx's own.
    NotUpstream = "not-upstream", No;
    /// An internal redirect that never ends, or a named location that is missing.
    Redirect = "redirect", No;
    /// A failure within nginx.
    NginxInternal = "nginx-internal", No;
    /// `worker_connections` run low.
    WorkerConnectionsLow = "worker-connections-low", No;
    /// Accepting a client failed.
    Accept = "accept", No;
    /// The client was gone before it was accepted.
    AcceptAborted = "accept-aborted", No;
    /// A listening socket could not be bound.
    ListenBind = "listen-bind", No;
    /// A listening socket could not be set up.
    ListenSetup = "listen-setup", No;
    /// The configuration names an upstream that does not resolve: nginx refuses to start.
    ConfigDnsAtStartup = "config-dns-at-startup", No;
    /// Anything else about the configuration.
    Config = "config", No;
    /// The limit of open files is too low for `worker_connections`, or could not be raised.
    FdLimitConfig = "fd-limit-config", No;
    /// Workers that come, go and reload.
    Lifecycle = "lifecycle", No;
    /// A worker died of a signal.
    WorkerCrash = "worker-crash", No;
    /// A worker cannot run at all.
    WorkerFatal = "worker-fatal", No;
    /// A shared memory zone is full.
    ShmFull = "shm-full", No;
    /// Handing a connection to another listening socket.
    StreamPass = "stream-pass", No;
    /// The syslog server, not an upstream.
    Syslog = "syslog", No;
    /// The OCSP responder, not an upstream.
    Ocsp = "ocsp", No;
    /// Lines were dropped from here on.
    LogRateLimited = "log-rate-limited", No;
    /// A phrase that is not in the table.
    Other = "other", No;
}

impl Class {
    /// Whether a line of this class, action and level is a failed attempt to get an answer from a peer.
    pub fn is_upstream_failure(self, action: Option<While>, level: Option<Level>) -> bool {
        let upstream = action.is_some_and(|action| action.side() == Side::Upstream);
        match self.failure() {
            Failure::Yes => true,
            Failure::No => false,
            Failure::WhileUpstream => upstream,
            Failure::IfError => upstream && level.is_none_or(|level| level >= Level::Error),
        }
    }

    /// Whether some line of this class can be such a failure: enough to reject most lines without parsing their fields.
    pub fn may_be_upstream_failure(self) -> bool {
        self.failure() != Failure::No
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
