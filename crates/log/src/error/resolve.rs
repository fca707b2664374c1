//! From a row and the rest of its line to a class: the same words mean different things by errno, action and level.

use super::action::{Side, While};
use super::class::Class;
use super::errno;
use super::fields::{Context, Tail};
use super::phrases::{FILES_READ, Rule};
use super::upstream::{Protocol, Upstream};
use crate::Level;
use memchr::memmem;

/// What a rule looks at.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen<'a> {
    pub(super) level: Option<Level>,
    /// The line names a connection.
    pub(super) has_connection: bool,
    pub(super) message: &'a [u8],
    pub(super) tail: Option<Tail<'a>>,
    pub(super) upstream: Option<Upstream<'a>>,
}

impl Seen<'_> {
    fn errno(&self) -> Option<u16> {
        self.tail
            .and_then(|tail| tail.errno)
            .map(errno::Errno::linux)
    }

    fn action(&self) -> Option<While> {
        self.tail.and_then(|tail| tail.action)
    }

    fn side(&self) -> Option<Side> {
        self.action().map(While::side)
    }

    fn context(&self) -> Context {
        self.tail.map_or(Context::None, |tail| tail.fields.context)
    }

    /// The class of anything done with the sockets of nginx's own helpers.
    fn other_party(&self) -> Option<Class> {
        match (self.context(), self.side()) {
            (Context::Resolver, _) | (_, Some(Side::Dns)) => Some(Class::DnsServerUnreachable),
            (Context::Syslog, _) | (_, Some(Side::Syslog)) => Some(Class::Syslog),
            (Context::Ocsp, _) | (_, Some(Side::Ocsp)) => Some(Class::Ocsp),
            _ if self.is_syslogs() => Some(Class::Syslog),
            _ => None,
        }
    }

    /// Whether nothing but a log's own socket can have failed so: before 1.23 nginx does not say that it was logging to
    /// syslog. A peer's socket belongs to a client's connection.
    fn is_syslogs(&self) -> bool {
        background(self)
            && !self.has_connection
            && self.level != Some(Level::Emerg)
            && (self.message.starts_with(b"connect() ") || self.message == b"send() failed")
    }

    /// Whether the socket is the client's. `sending to client` is kept while nginx goes back to read from
    /// the peer, so there the level decides: a client's socket errors are `info` (`ngx_connection_error`).
    fn clients(&self) -> bool {
        match self.side() {
            Some(Side::Client) => {
                self.action() != Some(While::SendingToClient)
                    || self.level.is_none_or(|level| level < Level::Warn)
            }
            Some(_) => false,
            None => self.level.is_some_and(|level| level <= Level::Info),
        }
    }
}

pub(super) fn class(rule: Rule, seen: &Seen<'_>) -> Class {
    let class = by_rule(rule, seen);
    if seen.level == Some(Level::Emerg) {
        at_start(class)
    } else {
        class
    }
}

/// At `emerg` nginx refuses a configuration, whatever the words; but for these.
fn at_start(class: Class) -> Class {
    match class {
        Class::ListenBind
        | Class::ListenSetup
        | Class::ConfigDnsAtStartup
        | Class::OutOfMemory
        | Class::TempPath
        | Class::WorkerFatal
        | Class::Lifecycle => class,
        _ => Class::Config,
    }
}

fn by_rule(rule: Rule, seen: &Seen<'_>) -> Class {
    match rule {
        Rule::Is(class) => is(class, seen),
        Rule::Connect => seen.other_party().unwrap_or_else(|| connect(seen)),
        Rule::Socket => seen
            .other_party()
            .unwrap_or_else(|| errno::socket(seen.errno())),
        Rule::Setup => seen.other_party().unwrap_or_else(|| setup(seen)),
        Rule::Io => seen.other_party().unwrap_or_else(|| io(seen)),
        Rule::Tls(_) if seen.other_party().is_some() => Class::Ocsp,
        Rule::Tls(_) if seen.clients() => Class::ClientTls,
        Rule::Tls(class) => class,
        Rule::Accept => errno::accept(seen.errno()),
        Rule::Timeout => timeout(seen),
        Rule::Premature => premature(seen),
        Rule::Header => header(seen),
        Rule::DuplicateHeader if seen.level == Some(Level::Warn) => Class::InvalidHeaderTolerated,
        Rule::DuplicateHeader => Class::InvalidHeader,
        Rule::File => file(seen),
        Rule::Connections if memmem::find(seen.message, b", reusing").is_some() => {
            Class::WorkerConnectionsLow
        }
        Rule::Connections if memmem::find(seen.message, b" for ").is_some() => Class::Config,
        Rule::Connections => Class::WorkerConnections,
        Rule::Dns if memmem::find(seen.message, b") while resolving service ").is_some() => {
            Class::DnsResolveParam
        }
        Rule::Dns | Rule::DnsNoResolver if seen.other_party() == Some(Class::Ocsp) => Class::Ocsp,
        Rule::Dns | Rule::DnsNoResolver if names_a_client(seen) => Class::NotUpstream,
        Rule::Dns | Rule::DnsNoResolver if background(seen) => Class::DnsResolveParam,
        Rule::Dns => Class::Dns,
        Rule::DnsNoResolver => Class::DnsNoResolver,
        Rule::PassVar if seen.level != Some(Level::Emerg) => Class::ConfigPassVar,
        Rule::PassVar if seen.message.starts_with(b"host not found") => Class::ConfigDnsAtStartup,
        Rule::PassVar => Class::Config,
        Rule::Process => process(seen.message),
        Rule::Quoted if matches!(seen.level, Some(Level::Emerg | Level::Warn)) => Class::Config,
        Rule::Quoted => Class::NotUpstream,
    }
}

fn is(class: Class, seen: &Seen<'_>) -> Class {
    match class {
        Class::ClientAbort | Class::ClientTimeout if seen.context() == Context::Stream => {
            Class::ClientStream
        }
        Class::ClientAbort if memmem::find(seen.message, b" connected to ").is_some() => {
            Class::ClientStream
        }
        // Before its request is read, a client that is too slow has asked nothing.
        Class::ClientTimeout
            if !matches!(
                seen.action(),
                None | Some(While::SendingToClient | While::ProxyingUpgradedConnection)
            ) =>
        {
            Class::ClientAbort
        }
        _ => class,
    }
}

fn connect(seen: &Seen<'_>) -> Class {
    // Lua's own sockets use nginx's words, outside of any action.
    if seen.action().is_none() && matches!(seen.context(), Context::Http) && seen.upstream.is_none()
    {
        return Class::LuaCosocket;
    }
    errno::connect(seen.errno())
}

fn setup(seen: &Seen<'_>) -> Class {
    match (seen.level, seen.side()) {
        (Some(Level::Emerg), _) => Class::ListenSetup,
        (_, Some(Side::Upstream)) => Class::LocalSocketSetup,
        (_, Some(_)) | (Some(Level::Info), None) => Class::ClientIo,
        (_, None) if seen.context() == Context::None => Class::Accept,
        (_, None) => Class::NginxInternal,
    }
}

fn io(seen: &Seen<'_>) -> Class {
    if seen.clients() {
        return match seen.action() {
            Some(While::InitializingSession | While::PrereadingClientData) => Class::ClientStream,
            _ => Class::ClientIo,
        };
    }
    let datagrams = seen.tail.is_some_and(|tail| tail.fields.udp)
        || seen.message.starts_with(b"sendto()")
        || seen.message.starts_with(b"sendmsg()");
    match errno::io(seen.errno()) {
        Class::IoError if datagrams => Class::IoErrorUdp,
        class => class,
    }
}

fn timeout(seen: &Seen<'_>) -> Class {
    match seen.action() {
        Some(While::ConnectingToUpstream) => Class::ConnectTimeout,
        Some(While::SslHandshakingToUpstream | While::ProxyPassSslHandshaking) => {
            Class::TlsHandshakeTimeout
        }
        Some(While::SendingRequest) => Class::SendTimeout,
        Some(While::ReadingResponseHeader | While::ReadingResponseFromUpstream) => {
            Class::ReadTimeout
        }
        // Unbuffered, the last thing begun may be sending what had come so far.
        Some(While::ReadingUpstream | While::SendingToClient) => Class::ReadTimeoutBody,
        Some(While::ProxyingUpgradedConnection) => Class::UpgradedIdleTimeout,
        Some(While::ProxyingConnection) => Class::UdpNoReply,
        _ => Class::UpstreamTimeout,
    }
}

fn premature(seen: &Seen<'_>) -> Class {
    match seen.action() {
        Some(
            While::ReadingUpstream | While::SendingToClient | While::ProxyingUpgradedConnection,
        ) => Class::PrematureCloseBody,
        _ => Class::PrematureClose,
    }
}

/// HTTP/1 quotes the header up to the byte that was wrong and three dots; HTTP/2 quotes all of it, and its
/// `upstream:` has no URI. The bare words are HTTP/1's before 1.21.1, and HTTP/2's.
fn header(seen: &Seen<'_>) -> Class {
    let http2 = seen
        .upstream
        .is_some_and(|upstream| match upstream.protocol {
            Protocol::Grpc | Protocol::Grpcs => true,
            Protocol::Http | Protocol::Https => upstream.uri.is_empty(),
            _ => false,
        });
    if http2 && !seen.message.ends_with(b"...\"") {
        Class::H2ProtocolError
    } else {
        Class::InvalidHeader
    }
}

/// The mail proxy looks up who connected.
fn names_a_client(seen: &Seen<'_>) -> bool {
    matches!(
        seen.action(),
        Some(While::InResolvingClientAddress | While::InResolvingClientHostname)
    )
}

fn background(seen: &Seen<'_>) -> bool {
    // Without a client no request waits for the name. What was cut or pasted may have lost its fields.
    seen.tail.is_some_and(|tail| {
        tail.fields.context == Context::None && tail.action.is_none() && !tail.fields.cut
    }) && seen.level.is_some()
}

/// nginx numbers its temporary files with ten digits and names its cache files by their md5.
fn file(seen: &Seen<'_>) -> Class {
    let path = seen
        .message
        .split(|&byte| byte == b'"')
        .nth(1)
        .unwrap_or_default();
    let name = path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let temporary = name.len() == 10 && name.iter().all(u8::is_ascii_digit);
    let cached = name.len() >= 32 && name.iter().take(32).all(u8::is_ascii_hexdigit);
    let grave = seen.level >= Some(Level::Crit);
    let reads = FILES_READ.iter().any(|read| seen.message.starts_with(read));
    match seen.level {
        Some(Level::Emerg) if seen.message.starts_with(b"mkdir()") => Class::TempPath,
        Some(Level::Emerg) => Class::Config,
        _ if grave && cached => Class::Cache,
        _ if grave && (temporary || seen.side() == Some(Side::Upstream)) => Class::TempPath,
        _ if reads => Class::NotUpstream,
        _ => Class::TempPath,
    }
}

fn process(message: &[u8]) -> Class {
    if memmem::find(message, b" exited on signal ").is_some() {
        Class::WorkerCrash
    } else if memmem::find(message, b" exited with fatal code ").is_some() {
        Class::WorkerFatal
    } else {
        Class::Lifecycle
    }
}
