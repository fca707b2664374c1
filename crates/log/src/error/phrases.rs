//! nginx's phrases: one row a message, matched at the message's start, the longest literal first.
//!
//! A new phrase is one row; the order of rows is for the reader only.
//! Collected from nginx 1.31.5-dev, Debian's 1.22.1 binary, and the sources of Angie, OpenResty, freenginx and Tengine.

use super::class::Class;

/// What may follow a row's literal within the message, before the errno, the action and the fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// Nothing: what follows is the line's grammar.
    Nothing,
    /// Words of nginx, the kernel, OpenSSL or the configuration: numbers, addresses, paths.
    Own,
    /// What the peer or the configuration sent; no client writes here by itself.
    Peer,
    /// What a client can write: decoded paths, headers, what an application echoes.
    Client,
}

/// How a row's class follows from the whole line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// It is this.
    Is(Class),
    /// `connect()`: by errno, and by what was connected to.
    Connect,
    /// `socket()`: by errno.
    Socket,
    /// Reading and writing sockets: by side, then errno.
    Io,
    /// As [`Rule::Io`], but TLS: this class towards a peer.
    Tls(Class),
    /// A socket option or the like: only while connecting to a peer it matters.
    Setup,
    /// `accept()`: by errno.
    Accept,
    /// `upstream timed out`: by action.
    Timeout,
    /// `upstream prematurely closed`: by action.
    Premature,
    /// A header nginx rejects: HTTP/1 and HTTP/2 share the words.
    Header,
    /// A doubled header: nginx passes over some, at `warn`.
    DuplicateHeader,
    /// A file: temporary, cached, or static.
    File,
    /// `N worker_connections are not enough`.
    Connections,
    /// A name that did not resolve: for a request, or in the background.
    Dns,
    /// As above, because no resolver is defined.
    DnsNoResolver,
    /// What names no peer: at run time a variable, at start the configuration.
    PassVar,
    /// A child process that ended.
    Process,
    /// A message that begins with a quoted name: a static file, or a directive.
    Quoted,
}

impl Rule {
    /// Whether some line under this rule can be an upstream failure.
    pub(super) fn may_be_upstream_failure(self) -> bool {
        match self {
            Self::Is(class) | Self::Tls(class) => class.may_be_upstream_failure(),
            Self::PassVar | Self::Process | Self::Quoted => false,
            Self::Accept
            | Self::Connect
            | Self::Socket
            | Self::Io
            | Self::Setup
            | Self::Timeout
            | Self::Premature
            | Self::Header
            | Self::DuplicateHeader
            | Self::File
            | Self::Connections
            | Self::Dns
            | Self::DnsNoResolver => true,
        }
    }
}

/// One phrase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// How the message begins.
    pub(super) literal: &'static str,
    pub(super) then: Then,
    pub(super) rule: Rule,
}

/// The row with the longest literal that `message` begins with.
pub(super) fn find(message: &[u8]) -> Option<&'static Row> {
    // The greatest literal that is not greater than the message; every literal that the message
    // begins with and that is longer than the answer would lie between the two.
    let wanted = key(message);
    let from = KEYS.partition_point(|&key| key < wanted);
    let alike = KEYS.get(from..)?.partition_point(|&key| key == wanted);
    let bucket = ORDER.get(from..from + alike)?;
    let after = from + bucket.partition_point(|&idx| literal(idx) <= message);
    let mut candidate = *ORDER.get(after.checked_sub(1)?)?;
    loop {
        let row = ROWS.get(usize::from(candidate))?;
        if message.starts_with(row.literal.as_bytes()) {
            return Some(row);
        }
        candidate = *PARENT.get(usize::from(candidate))?;
        if candidate == NONE {
            return None;
        }
    }
}

/// So many first letters tell most messages apart.
pub(crate) const START: usize = 6;

/// What the first letters of a message tell of all rows that it can have.
pub(crate) struct Dullness {
    /// Some of them quote what a client wrote.
    pub(crate) quotes: bool,
    /// From level `crit` up some of them can be a failure of an upstream.
    pub(crate) unless_grave: bool,
}

/// The first letters of every literal that has so many.
pub(crate) fn starts() -> impl Iterator<Item = [u8; START]> {
    ROWS.iter()
        .filter_map(|row| row.literal.as_bytes().first_chunk().copied())
}

/// What a message that begins so tells, if no row that it can have is a failure of an upstream or quotes an application's
/// text. [`find_inside`] is left out: see there what it takes.
pub(crate) fn dullness(start: [u8; START]) -> Option<Dullness> {
    let mut told = Dullness {
        quotes: false,
        unless_grave: false,
    };
    for row in ROWS {
        let literal = row.literal.as_bytes();
        if !literal.starts_with(&start) && !start.starts_with(literal) {
            continue;
        }
        if row.rule == Rule::File && FILES_READ.iter().any(|read| literal.starts_with(read)) {
            told.unless_grave = true;
        } else if row.rule.may_be_upstream_failure() || row.rule == Rule::Is(Class::FastcgiStderr) {
            return None;
        }
        told.quotes |= row.then == Then::Client;
    }
    Some(told)
}

/// How messages about a file begin that was read: below `crit` such a file is the site's, and no temporary one.
pub(super) const FILES_READ: [&[u8]; 3] = [b"open", b"stat", b"lstat"];

/// The row for messages that begin with a number or a name of the configuration's.
pub(super) fn find_inside(message: &[u8]) -> Option<&'static Row> {
    let end = memchr::memchr(b' ', message)?;
    let (first, rest) = message.split_at_checked(end)?;
    let number = first.iter().all(u8::is_ascii_digit);
    let rows: &[&Row] = if number {
        &[&CONNECTIONS, &EXCEED]
    } else {
        &[&UNRESOLVED]
    };
    rows.iter()
        .find(|row| rest.starts_with(row.literal.as_bytes()))
        .copied()
}

/// `%ui worker_connections are not enough`
const CONNECTIONS: Row = own(" worker_connections are not enough", Rule::Connections);
/// `%V could not be resolved (%i: %s)`
const UNRESOLVED: Row = row(" could not be resolved (", Then::Peer, Rule::Dns);
/// `%ui worker_connections exceed open file resource limit: %i`
const EXCEED: Row = own(
    " worker_connections exceed open file resource limit",
    Rule::Is(Class::FdLimitConfig),
);

const fn row(literal: &'static str, then: Then, rule: Rule) -> Row {
    Row {
        literal,
        then,
        rule,
    }
}

/// Exactly these words.
const fn only(literal: &'static str, class: Class) -> Row {
    row(literal, Then::Nothing, Rule::Is(class))
}

/// These words, then more of nginx's own.
const fn own(literal: &'static str, rule: Rule) -> Row {
    row(literal, Then::Own, rule)
}

/// These words, then what the peer sent.
const fn peer(literal: &'static str, class: Class) -> Row {
    row(literal, Then::Peer, Rule::Is(class))
}

/// These words, then what a client can write.
const fn client(literal: &'static str, class: Class) -> Row {
    row(literal, Then::Client, Rule::Is(class))
}

const NONE: u16 = u16::MAX;

#[rustfmt::skip]
const ROWS: &[Row] = &[
    // Connecting: ngx_event_connect.c, ngx_http_upstream.c, ngx_stream_proxy_module.c, ngx_connection.c
    row("connect() failed", Then::Nothing, Rule::Connect),
    own("connect() to ", Rule::Connect),
    row("kevent() reported that connect() failed", Then::Nothing, Rule::Connect),
    row("upstream timed out", Then::Nothing, Rule::Timeout),
    only("no live upstreams", Class::NoLiveUpstreams),
    row("socket() failed", Then::Nothing, Rule::Socket),
    own("the new socket has number ", Rule::Is(Class::FdExhaustion)),
    own("bind(", Rule::Is(Class::ProxyBind)),
    row("invalid local address \"", Then::Client, Rule::Is(Class::ProxyBind)),
    only("setsockopt(SO_BINDANY) failed", Class::ProxyBindTransparent),
    only("setsockopt(IP_TRANSPARENT) failed", Class::ProxyBindTransparent),
    only("setsockopt(IP_BINDANY) failed", Class::ProxyBindTransparent),
    only("setsockopt(IPV6_TRANSPARENT) failed", Class::ProxyBindTransparent),
    only("setsockopt(IPV6_BINDANY) failed", Class::ProxyBindTransparent),
    only("could not enable transparent proxying for IPv6 on this platform", Class::ProxyBindTransparent),
    only("could not send PROXY protocol header at once", Class::ProxyProtocolSend),
    row("close() socket failed", Then::Nothing, Rule::Setup),
    row("close() socketfailed", Then::Nothing, Rule::Setup),
    row("ioctl(FIONBIO) failed", Then::Nothing, Rule::Setup),
    row("ioctl(!FIONBIO) failed", Then::Nothing, Rule::Setup),
    row("setsockopt(SO_RCVBUF) failed", Then::Nothing, Rule::Setup),
    row("setsockopt(SO_REUSEADDR) failed", Then::Nothing, Rule::Setup),
    row("setsockopt(TCP_NODELAY) failed", Then::Nothing, Rule::Setup),
    row("setsockopt(!TCP_CORK) failed", Then::Nothing, Rule::Setup),
    own("setsockopt(SO_RCVBUF, ", Rule::Is(Class::SetsockoptIgnored)),
    own("setsockopt(SO_SNDBUF, ", Rule::Is(Class::SetsockoptIgnored)),
    only("setsockopt(SO_KEEPALIVE) failed, ignored", Class::SetsockoptIgnored),
    only("setsockopt(IP_BIND_ADDRESS_NO_PORT) failed, ignored", Class::SetsockoptIgnored),
    row("http3 connection timed out", Then::Nothing, Rule::Timeout),
    only("http3 connection error", Class::ConnectionReset),
    only("http3 connection was closed", Class::PrematureClose),

    // Reading and writing: ngx_recv.c, ngx_send.c, ngx_readv_chain.c, ngx_writev_chain.c, ngx_event_pipe.c
    row("upstream prematurely closed connection", Then::Nothing, Rule::Premature),
    row("upstream prematurely closed FastCGI stdout", Then::Nothing, Rule::Premature),
    only("upstream prematurely closed FastCGI request", Class::PrematureCloseBody),
    row("upstream prematurely closed stream", Then::Nothing, Rule::Premature),
    row("recv() failed", Then::Nothing, Rule::Io),
    row("readv() failed", Then::Nothing, Rule::Io),
    row("send() failed", Then::Nothing, Rule::Io),
    row("writev() failed", Then::Nothing, Rule::Io),
    row("sendfile() failed", Then::Nothing, Rule::Io),
    only("kevent() reported that upstream closed connection", Class::ConnectionReset),
    row("ioctl(FIONREAD) failed", Then::Nothing, Rule::Io),
    row("shutdown() failed", Then::Nothing, Rule::Io),
    row("sendmsg() failed", Then::Nothing, Rule::Io),
    row("sendto() failed", Then::Nothing, Rule::Io),
    only("sendto() incomplete", Class::IoErrorUdp),
    own("file buf in sendmsg ", Rule::Is(Class::IoErrorUdp)),
    only("too many parts in a datagram", Class::IoErrorUdp),

    // What the peer answered: ngx_http_upstream.c, ngx_http_proxy_module.c, ngx_http_fastcgi_module.c and its kin
    only("upstream sent too big header", Class::HeaderTooBig),
    only("upstream sent too big early hints", Class::EarlyHints),
    row("upstream sent invalid header", Then::Peer, Rule::Header),
    row("upstream sent duplicate header line: \"", Then::Peer, Rule::DuplicateHeader),
    only("upstream sent \"Content-Length\" and \"Transfer-Encoding\" headers at the same time", Class::InvalidHeader),
    peer("upstream sent invalid \"Content-Length\" header: \"", Class::InvalidHeader),
    peer("upstream sent unknown \"Transfer-Encoding\": \"", Class::InvalidHeader),
    peer("upstream sent invalid status \"", Class::InvalidHeader),
    only("upstream sent HTTP/1.0 response with early hints", Class::InvalidHeader),
    only("upstream sent no valid HTTP/1.0 header", Class::NotHttp),
    only("upstream sent no valid HTTP/1.1 header", Class::NotHttp),
    only("upstream sent more data than specified in \"Content-Length\" header", Class::ExtraBody),
    only("upstream sent data after final chunk", Class::ExtraBody),
    only("upstream sent data after trailers", Class::ExtraBody),
    only("upstream sent response body larger than indicated content length", Class::ExtraBody),
    only("upstream sent invalid chunked response", Class::BadChunked),
    only("upstream sent too big trailers", Class::InvalidTrailer),
    peer("upstream sent invalid trailer: \"", Class::InvalidTrailer),
    only("connection upgrade in subrequest", Class::UpgradeInSubrequest),
    client("FastCGI sent in stderr: \"", Class::FastcgiStderr),
    own("upstream sent unexpected FastCGI record: ", Rule::Is(Class::NotFastcgi)),
    own("upstream sent unsupported FastCGI protocol version: ", Rule::Is(Class::NotFastcgi)),
    own("upstream sent invalid FastCGI record type: ", Rule::Is(Class::NotFastcgi)),
    own("upstream sent unexpected FastCGI request id high byte: ", Rule::Is(Class::NotFastcgi)),
    own("upstream sent unexpected FastCGI request id low byte: ", Rule::Is(Class::NotFastcgi)),
    peer("memcached sent invalid key in response \"", Class::InvalidHeader),
    peer("memcached sent invalid flags in response \"", Class::InvalidHeader),
    peer("memcached sent invalid length in response \"", Class::InvalidHeader),
    peer("memcached sent invalid response: \"", Class::InvalidHeader),
    only("memcached sent invalid trailer", Class::BadTrailer),
    client("key: \"", Class::MemcachedMiss),
    own("unexpected status code ", Rule::Is(Class::SliceResponse)),
    only("etag mismatch in slice response", Class::SliceResponse),
    only("invalid range in slice response", Class::SliceResponse),
    only("no complete length in slice response", Class::SliceResponse),
    own("unexpected range in slice response: ", Rule::Is(Class::SliceResponse)),
    only("missing slice response", Class::SliceResponse),

    // HTTP/2 to the peer: ngx_http_grpc_module.c, ngx_http_proxy_v2_module.c
    own("upstream rejected request with error ", Rule::Is(Class::H2Rejected)),
    own("upstream sent goaway with error ", Rule::Is(Class::H2Rejected)),
    own("upstream sent too large http2 frame: ", Rule::Is(Class::NotHttp2)),
    only("upstream sent too short http2 frame", Class::H2ProtocolError),
    own("upstream sent unexpected http2 frame: ", Rule::Is(Class::H2ProtocolError)),
    own("upstream sent frame for unknown stream ", Rule::Is(Class::H2ProtocolError)),
    own("upstream sent frame for closed stream ", Rule::Is(Class::H2ProtocolError)),
    own("upstream sent data frame for unknown stream ", Rule::Is(Class::H2ProtocolError)),
    only("upstream sent unexpected push promise frame", Class::H2ProtocolError),
    peer("upstream sent invalid header \"", Class::H2ProtocolError),
    only("upstream sent duplicate :status header", Class::H2ProtocolError),
    peer("upstream sent invalid :status \"", Class::H2ProtocolError),
    peer("upstream sent unexpected :status \"", Class::H2ProtocolError),
    only("upstream sent no :status header", Class::H2ProtocolError),
    own("upstream violated stream flow control, received ", Rule::Is(Class::H2ProtocolError)),
    own("upstream violated connection flow control, received ", Rule::Is(Class::H2ProtocolError)),
    peer("upstream sent invalid trailer \"", Class::H2ProtocolError),
    only("upstream sent invalid trailer", Class::H2ProtocolError),
    only("upstream sent trailer without end stream flag", Class::H2ProtocolError),
    own("upstream sent http2 frame with too long padding: ", Rule::Is(Class::H2ProtocolError)),
    own("upstream sent headers frame with invalid length: ", Rule::Is(Class::H2ProtocolError)),
    only("upstream sent truncated http2 header", Class::H2ProtocolError),
    own("upstream sent invalid http2 table index: ", Rule::Is(Class::H2ProtocolError)),
    own("upstream sent invalid http2 dynamic table size update: ", Rule::Is(Class::H2ProtocolError)),
    only("upstream sent http2 table index with continuation flag", Class::H2ProtocolError),
    only("upstream sent zero http2 header name length", Class::H2ProtocolError),
    own("upstream sent too large http2 header name length", Rule::Is(Class::H2ProtocolError)),
    own("upstream sent too large http2 header value length", Rule::Is(Class::H2ProtocolError)),
    only("upstream sent too large http2 header", Class::H2ProtocolError),
    only("upstream sent invalid encoded header", Class::H2ProtocolError),
    own("upstream sent rst stream frame with invalid length: ", Rule::Is(Class::H2ProtocolError)),
    own("upstream sent goaway frame with ", Rule::Is(Class::H2ProtocolError)),
    own("upstream sent window update frame with invalid length: ", Rule::Is(Class::H2ProtocolError)),
    only("upstream sent zero window update", Class::H2ProtocolError),
    only("upstream sent too large window update", Class::H2ProtocolError),
    own("upstream sent settings frame with ", Rule::Is(Class::H2ProtocolError)),
    only("upstream sent too many settings frames", Class::H2ProtocolError),
    own("upstream sent ping frame with ", Rule::Is(Class::H2ProtocolError)),
    only("upstream sent too many ping frames", Class::H2ProtocolError),
    only("no connection data found for keepalive http2 connection", Class::NginxInternal),

    // TLS: ngx_event_openssl.c, and its callers
    own("SSL_do_handshake() failed", Rule::Tls(Class::TlsHandshake)),
    row("handshake rejected", Then::Nothing, Rule::Tls(Class::TlsHandshake)),
    row("peer closed connection in SSL handshake", Then::Nothing, Rule::Tls(Class::TlsHandshakeClosed)),
    peer("upstream SSL certificate verify error: (", Class::TlsVerify),
    peer("upstream SSL certificate does not match \"", Class::TlsVerifyName),
    only("upstream prematurely sent response", Class::TlsPlaintextBeforeHandshake),
    own("SSL_read() failed", Rule::Tls(Class::TlsRead)),
    own("SSL_write() failed", Rule::Tls(Class::TlsWrite)),
    own("SSL_sendfile() ", Rule::Tls(Class::TlsWrite)),
    own("SSL_shutdown() failed", Rule::Is(Class::TlsShutdown)),
    only("SSL renegotiation disabled", Class::TlsRead),
    only("peer started SSL renegotiation", Class::TlsRead),
    own("cannot load certificate ", Rule::Tls(Class::TlsLocalCertificate)),
    own("SSL_use_certificate(\"", Rule::Tls(Class::TlsLocalCertificate)),
    own("SSL_set0_chain(\"", Rule::Tls(Class::TlsLocalCertificate)),
    own("SSL_use_PrivateKey(\"", Rule::Tls(Class::TlsLocalCertificate)),
    own("SSL_new() failed", Rule::Tls(Class::TlsLocalSetup)),
    own("SSL_set_fd() failed", Rule::Tls(Class::TlsLocalSetup)),
    own("SSL_set_ex_data() failed", Rule::Tls(Class::TlsLocalSetup)),
    own("SSL_set_session() failed", Rule::Tls(Class::TlsLocalSetup)),
    own("SSL_set_alpn_protos() failed", Rule::Tls(Class::TlsLocalSetup)),
    row("SSL_set_tlsext_host_name(\"", Then::Peer, Rule::Tls(Class::TlsLocalSetup)),
    own("ignoring stale global SSL error", Rule::Is(Class::NginxInternal)),
    only("ngx_ssl_password_callback() is called for encryption", Class::NginxInternal),

    // Names: ngx_resolver.c, ngx_http_upstream.c, ngx_http_upstream_zone_module.c
    row("no resolver defined to resolve ", Then::Peer, Rule::DnsNoResolver),
    only("resolver has not been configured!", Class::DnsNoResolver),
    own("service ", Rule::Dns),
    own("cannot add new server to upstream \"", Rule::Is(Class::UpstreamZoneFull)),
    only("send() incomplete", Class::DnsServerUnreachable),
    own("DNS error (", Rule::Is(Class::DnsBadResponse)),
    own("wrong ident ", Rule::Is(Class::DnsBadResponse)),
    own("unexpected DNS response for ", Rule::Is(Class::DnsBadResponse)),
    own("unexpected response for ", Rule::Is(Class::DnsBadResponse)),
    own("unexpected RR class ", Rule::Is(Class::DnsBadResponse)),
    own("unexpected RR type ", Rule::Is(Class::DnsBadResponse)),
    own("unknown query class ", Rule::Is(Class::DnsBadResponse)),
    own("unknown query type ", Rule::Is(Class::DnsBadResponse)),
    only("unexpected A record in DNS response", Class::DnsBadResponse),
    only("unexpected AAAA record in DNS response", Class::DnsBadResponse),
    only("unexpected compression pointer in DNS response", Class::DnsBadResponse),
    only("compression pointers loop in DNS response", Class::DnsBadResponse),
    only("invalid A record in DNS response", Class::DnsBadResponse),
    only("invalid AAAA record in DNS response", Class::DnsBadResponse),
    only("invalid in-addr.arpa or ip6.arpa name in DNS response", Class::DnsBadResponse),
    only("invalid label type in DNS response", Class::DnsBadResponse),
    only("invalid name DNS response", Class::DnsBadResponse),
    only("invalid name in DNS response", Class::DnsBadResponse),
    only("invalid number of questions in DNS response", Class::DnsBadResponse),
    own("invalid A DNS response ", Rule::Is(Class::DnsBadResponse)),
    own("invalid UDP DNS response ", Rule::Is(Class::DnsBadResponse)),
    own("invalid TCP DNS response ", Rule::Is(Class::DnsBadResponse)),
    only("name is out of DNS response", Class::DnsBadResponse),
    only("no A or CNAME types in DNS response", Class::DnsBadResponse),
    only("no PTR type in DNS response", Class::DnsBadResponse),
    only("no SRV type in DNS response", Class::DnsBadResponse),
    only("short DNS response", Class::DnsBadResponse),
    only("zero-length domain name in DNS response", Class::DnsBadResponse),
    own("cannot parse IP address (", Rule::Is(Class::DnsResolveParam)),
    own("zero file size \"", Rule::Is(Class::DnsResolveParam)),
    own("dom ", Rule::Is(Class::DnsResolveParam)),
    own("cannot find Docker peer \"", Rule::Is(Class::Discovery)),

    // What a variable made of `*_pass`: ngx_http_proxy_module.c, ngx_inet.c; at start the same words are the configuration's
    row("invalid URL prefix in \"", Then::Client, Rule::PassVar),
    row("no port in upstream \"", Then::Client, Rule::PassVar),
    row("invalid port in upstream \"", Then::Client, Rule::PassVar),
    row("no host in upstream \"", Then::Client, Rule::PassVar),
    row("invalid host in upstream \"", Then::Client, Rule::PassVar),
    row("invalid IPv6 address in upstream \"", Then::Client, Rule::PassVar),
    row("host not found in upstream \"", Then::Client, Rule::PassVar),
    row("no path in the unix domain socket in upstream \"", Then::Client, Rule::PassVar),
    row("too long path in the unix domain socket in upstream \"", Then::Client, Rule::PassVar),
    only("zero length URI to proxy", Class::ConfigPassVar),
    row("grpcs protocol requires SSL support", Then::Nothing, Rule::PassVar),
    row("suwsgi protocol requires SSL support", Then::Nothing, Rule::PassVar),
    only("http/3 requires https prefix", Class::ConfigPassVar),
    only("the \"$memcached_key\" variable is not set", Class::ConfigPassVar),
    only("no upstream configuration", Class::NginxInternal),

    // What cannot be written in the peer's protocol
    client("too long http2 ", Class::RequestNotEncodable),
    only("no buffer space in grpc create request", Class::RequestNotEncodable),
    only("no buffer space in HTTP/2 create request", Class::RequestNotEncodable),
    own("fastcgi request record is too big: ", Rule::Is(Class::RequestNotEncodable)),
    only("fastcgi request length mismatch", Class::RequestNotEncodable),
    only("scgi request length mismatch", Class::RequestNotEncodable),
    only("uwsgi request length mismatch", Class::RequestNotEncodable),
    own("uwsgi request is too big: ", Rule::Is(Class::RequestNotEncodable)),
    own("uwsgi request is too little: ", Rule::Is(Class::RequestNotEncodable)),

    // Echoes and notes
    only("upstream server temporarily disabled", Class::PeerMarkedDown),
    own("auth request unexpected status: ", Rule::Is(Class::AuthRequestFailed)),
    only("connection timed out", Class::StreamIdleTimeout),
    own("an upstream response is buffered to a temporary file ", Rule::Is(Class::UpstreamBufferedToDisk)),
    own("a client request body is buffered to a temporary file ", Rule::Is(Class::ClientBodyBufferedToDisk)),
    only("thread operation took too long", Class::AioSlow),
    only("aio operation took too long", Class::AioSlow),
    only("balancer does not support sticky", Class::Sticky),
    only("too many log messages, limiting", Class::LogRateLimited),
    own("failed to run balancer_by_lua*: ", Rule::Is(Class::LuaBalancer)),
    only("lua balancer: no peer set", Class::LuaBalancer),
    own("lua tcp socket ", Rule::Is(Class::LuaCosocket)),
    own("lua udp socket ", Rule::Is(Class::LuaCosocket)),
    own("check time out with peer: ", Rule::Is(Class::HealthCheck)),
    own("check protocol ", Rule::Is(Class::HealthCheck)),
    own("http parse status line error with peer: ", Rule::Is(Class::HealthCheck)),
    own("disable check peer: ", Rule::Is(Class::HealthCheck)),
    own("enable check peer: ", Rule::Is(Class::HealthCheck)),

    // Files: ngx_file.c, ngx_files.c, ngx_http_file_cache.c, ngx_http_static_module.c
    row("open() \"", Then::Client, Rule::File),
    row("stat() \"", Then::Client, Rule::File),
    row("lstat() \"", Then::Client, Rule::File),
    row("openat() \"", Then::Client, Rule::File),
    row("opendir() \"", Then::Client, Rule::File),
    own("mkdir() \"", Rule::File),
    own("chown(\"", Rule::File),
    own("chmod() \"", Rule::File),
    own("utimes() \"", Rule::File),
    own("unlink() \"", Rule::File),
    own("rename() \"", Rule::File),
    own("pread() \"", Rule::Is(Class::TempFileIo)),
    own("lseek() \"", Rule::Is(Class::TempFileIo)),
    own("read() \"", Rule::Is(Class::TempFileIo)),
    own("pwrite() \"", Rule::Is(Class::TempFileIo)),
    own("write() \"", Rule::Is(Class::TempFileIo)),
    own("pwritev() \"", Rule::Is(Class::TempFileIo)),
    own("writev() \"", Rule::Is(Class::TempFileIo)),
    only("invalid thread call, read instead of write", Class::TempFileIo),
    only("invalid thread call, write instead of read", Class::TempFileIo),
    own("cache file \"", Rule::Is(Class::Cache)),
    only("cache lock timeout", Class::Cache),
    own("cache \"", Rule::Is(Class::Cache)),
    own("thread pool \"", Rule::Is(Class::Cache)),
    own("fstat() \"", Rule::Is(Class::Cache)),
    own("close() \"", Rule::Is(Class::Cache)),
    own("pread() read only ", Rule::Is(Class::Cache)),
    own("stalled cache updating, error:", Rule::Is(Class::Cache)),
    own("ignore long locked inactive cache entry ", Rule::Is(Class::Cache)),
    own("http file cache: ", Rule::Is(Class::Cache)),
    own("proxy_buffer_size ", Rule::Is(Class::Cache)),
    own("fastcgi_buffer_size ", Rule::Is(Class::Cache)),
    own("uwsgi_buffer_size ", Rule::Is(Class::Cache)),
    own("scgi_buffer_size ", Rule::Is(Class::Cache)),
    own("could not allocate node", Rule::Is(Class::ShmFull)),
    own("ngx_slab_alloc() failed: no memory", Rule::Is(Class::ShmFull)),
    row("\"", Then::Client, Rule::Quoted),
    client("directory index of \"", Class::NotUpstream),
    only("access forbidden by rule", Class::NotUpstream),
    only("no handler found", Class::NotUpstream),
    client("user \"", Class::NotUpstream),
    only("no user/password was provided for basic authentication", Class::NotUpstream),
    client("rewrite or internal redirection cycle while ", Class::Redirect),
    client("subrequests cycle while processing \"", Class::Redirect),
    client("empty URI in redirect to named location \"", Class::Redirect),
    client("could not find named location \"", Class::Redirect),

    // The client: ngx_http_request.c, ngx_http_request_body.c, ngx_stream_handler.c, limits
    only("client timed out", Class::ClientTimeout),
    only("client closed connection", Class::ClientAbort),
    own("client prematurely closed connection", Rule::Is(Class::ClientAbort)),
    own("epoll_wait() reported that client prematurely closed connection", Rule::Is(Class::ClientAbort)),
    own("kevent() reported that client ", Rule::Is(Class::ClientAbort)),
    own("client intended to send too large ", Rule::Is(Class::ClientBodyTooLarge)),
    client("client sent ", Class::ClientBadRequest),
    only("client attempted to request the server name different from the one that was negotiated", Class::ClientBadRequest),
    own("client SSL certificate verify error: ", Rule::Is(Class::ClientTls)),
    own("client ", Rule::Is(Class::ClientAbort)),
    own("udp client ", Rule::Is(Class::ClientStream)),
    only("preread buffer full", Class::ClientStream),
    row("setsockopt(TCP_CORK) failed", Then::Nothing, Rule::Is(Class::NginxInternal)),
    row("limiting connections", Then::Own, Rule::Is(Class::RateLimited)),
    row("limiting requests", Then::Own, Rule::Is(Class::RateLimited)),
    row("delaying request", Then::Own, Rule::Is(Class::RateLimited)),
    client("the value of the \"", Class::RateLimited),
    row("accept() failed", Then::Nothing, Rule::Accept),
    row("accept4() failed", Then::Nothing, Rule::Accept),
    own("setsockopt(TCP_KEEPALIVE, ", Rule::Is(Class::Accept)),

    // nginx itself: ngx_process.c, ngx_process_cycle.c, ngx_cycle.c, ngx_connection.c, ngx_alloc.c
    own("malloc(", Rule::Is(Class::OutOfMemory)),
    own("posix_memalign(", Rule::Is(Class::OutOfMemory)),
    own("memalign(", Rule::Is(Class::OutOfMemory)),
    own("worker process ", Rule::Process),
    own("cache manager process ", Rule::Process),
    own("cache loader process ", Rule::Process),
    own("privileged agent process ", Rule::Process),
    own("new binary process ", Rule::Process),
    own("unknown process ", Rule::Process),
    own("setgid(", Rule::Is(Class::WorkerFatal)),
    own("setuid(", Rule::Is(Class::WorkerFatal)),
    own("initgroups(", Rule::Is(Class::WorkerFatal)),
    only("capset() failed", Class::WorkerFatal),
    own("start ", Rule::Is(Class::Lifecycle)),
    own("signal ", Rule::Is(Class::Lifecycle)),
    own("proxy ", Rule::Is(Class::Lifecycle)),
    own("udp ", Rule::Is(Class::Lifecycle)),
    own("upstream disconnected", Rule::Is(Class::Lifecycle)),
    own("client disconnected", Rule::Is(Class::Lifecycle)),
    only("disconnected on shutdown", Class::Lifecycle),
    only("shutdown timeout", Class::Lifecycle),
    only("reconfiguring", Class::Lifecycle),
    only("reopening logs", Class::Lifecycle),
    only("changing binary", Class::Lifecycle),
    only("exiting", Class::Lifecycle),
    only("exit", Class::Lifecycle),
    only("aborting", Class::Lifecycle),
    only("gracefully shutting down", Class::Lifecycle),
    own("could not respawn ", Rule::Is(Class::Lifecycle)),
    own("no more than ", Rule::Is(Class::Lifecycle)),
    own("socketpair() failed while spawning ", Rule::Is(Class::Lifecycle)),
    own("fork() failed while spawning ", Rule::Is(Class::Lifecycle)),
    own("ioctl(FIONBIO) failed while spawning ", Rule::Is(Class::Lifecycle)),
    own("ioctl(FIOASYNC) failed while spawning ", Rule::Is(Class::Lifecycle)),
    own("fcntl(F_SETOWN) failed while spawning ", Rule::Is(Class::Lifecycle)),
    own("fcntl(FD_CLOEXEC) failed while spawning ", Rule::Is(Class::Lifecycle)),
    own("open socket #", Rule::Is(Class::Lifecycle)),
    only("waitpid() failed", Class::Lifecycle),
    only("sigprocmask() failed", Class::Lifecycle),
    only("setitimer() failed", Class::Lifecycle),
    own("setpriority(", Rule::Is(Class::Lifecycle)),
    own("setrlimit(RLIMIT_NOFILE, ", Rule::Is(Class::FdLimitConfig)),
    own("setrlimit(", Rule::Is(Class::Lifecycle)),
    own("sigaction(", Rule::Is(Class::Lifecycle)),
    own("prctl(", Rule::Is(Class::Lifecycle)),
    own("chdir(\"", Rule::Is(Class::Lifecycle)),
    only("close() channel failed", Class::Lifecycle),
    own("rename() ", Rule::Is(Class::Lifecycle)),
    own("the changing binary signal is ignored", Rule::Is(Class::Lifecycle)),
    own("using the \"", Rule::Is(Class::Lifecycle)),
    own("using inherited sockets from \"", Rule::Is(Class::Lifecycle)),
    only("signal process started", Class::Lifecycle),
    own("built by ", Rule::Is(Class::Lifecycle)),
    own("OS: ", Rule::Is(Class::Lifecycle)),
    own("nginx/", Rule::Is(Class::Lifecycle)),
    own("getrlimit(RLIMIT_NOFILE)", Rule::Is(Class::Lifecycle)),
    own("zero size buf in ", Rule::Is(Class::NginxInternal)),
    own("negative size buf in ", Rule::Is(Class::NginxInternal)),
    own("file buf in writev ", Rule::Is(Class::NginxInternal)),
    own("bad buf in output chain ", Rule::Is(Class::NginxInternal)),
    own("epoll_ctl(", Rule::Is(Class::NginxInternal)),
    own("fcntl(", Rule::Is(Class::NginxInternal)),
    own("close() socket ", Rule::Is(Class::NginxInternal)),
    own("sendfile() reported that \"", Rule::Is(Class::NginxInternal)),
    own("could not cancel ", Rule::Is(Class::NginxInternal)),
    client("http finalize non-active request: \"", Class::NginxInternal),
    client("subrequest: \"", Class::NginxInternal),
    client("request reference counter overflow while processing \"", Class::NginxInternal),
    client("nested in-memory subrequest \"", Class::NginxInternal),
    client("pcre2_match() failed: ", Class::NginxInternal),
    client("pcre_exec() failed: ", Class::NginxInternal),
    client("invalid size \"", Class::NginxInternal),
    client("invalid $limit_rate \"", Class::NginxInternal),
    own("unknown variable index: ", Rule::Is(Class::NginxInternal)),
    client("cycle while evaluating variable \"", Class::NginxInternal),
    only("kevent() reported about an closed connection", Class::NginxInternal),
    only("getsockname() failed", Class::NginxInternal),
    only("setsockopt(SO_LINGER) failed", Class::NginxInternal),
    only("send() returned zero", Class::NginxInternal),
    only("connection already closed", Class::NginxInternal),
    only("header already sent", Class::NginxInternal),
    only("http request already closed", Class::NginxInternal),
    only("http request count is zero", Class::NginxInternal),
    only("buffer overflow", Class::NginxInternal),
    only("buffered data on next upstream", Class::NginxInternal),
    only("busy buffers after request body flush", Class::NginxInternal),
    only("body already in file", Class::NginxInternal),
    only("duplicate last buf in save filter", Class::NginxInternal),
    only("negative request body rest", Class::NginxInternal),
    only("no buffer space in script copy", Class::NginxInternal),
    only("recycled buffer in pipe out chain", Class::NginxInternal),
    only("invalid header after joining FastCGI records", Class::NginxInternal),
    only("too large header to copy", Class::NginxInternal),
    only("too large pipelined header after reading body", Class::NginxInternal),

    // Listening and the configuration: ngx_connection.c, ngx_cycle.c, ngx_inet.c
    own("bind() to ", Rule::Is(Class::ListenBind)),
    only("still could not bind()", Class::ListenBind),
    only("try again to bind() after 500ms", Class::ListenSetup),
    own("listen() to ", Rule::Is(Class::ListenSetup)),
    own("socket() ", Rule::Is(Class::ListenSetup)),
    own("setsockopt(SO_REUSEADDR) ", Rule::Is(Class::ListenSetup)),
    own("setsockopt(SO_REUSEPORT", Rule::Is(Class::ListenSetup)),
    own("setsockopt(IPV6_V6ONLY) ", Rule::Is(Class::ListenSetup)),
    own("ioctl(FIONBIO) ", Rule::Is(Class::ListenSetup)),
    own("unlink() ", Rule::Is(Class::ListenSetup)),
    own("conflicting server name \"", Rule::Is(Class::Config)),
    own("unexpected \"", Rule::Is(Class::Config)),
    own("unknown directive \"", Rule::Is(Class::Config)),
    own("limit_req \"", Rule::Is(Class::Config)),
    own("limit_conn_zone \"", Rule::Is(Class::Config)),
    own("invalid PID number \"", Rule::Is(Class::Config)),
    own("configuration file ", Rule::Is(Class::Config)),
    own("the configuration file ", Rule::Is(Class::Config)),

    // Handing connections over: ngx_stream_pass_module.c
    only("cannot pass udp connection", Class::StreamPass),
    only("cannot pass connection with preread data", Class::StreamPass),
    own("no addresses in pass \"", Rule::Is(Class::StreamPass)),
    own("no port in pass \"", Rule::Is(Class::StreamPass)),
    own("invalid port in pass \"", Rule::Is(Class::StreamPass)),
    own("invalid host in pass \"", Rule::Is(Class::StreamPass)),
    own("host not found in pass \"", Rule::Is(Class::StreamPass)),
    own("port not found for \"", Rule::Is(Class::StreamPass)),
    only("stream pass cycle", Class::StreamPass),
];

/// The rows in ascending order of their literals.
const ORDER: [u16; ROWS.len()] = order();
/// The keys of those literals: comparing them spares nearly every comparison of text.
const KEYS: [u64; ROWS.len()] = keys();
/// For each row, the row with the longest literal that this row's literal begins with.
const PARENT: [u16; ROWS.len()] = parents();

fn literal(idx: u16) -> &'static [u8] {
    ROWS.get(usize::from(idx))
        .map_or(b"", |row| row.literal.as_bytes())
}

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated at compile time: a wrong index does not build"
)]
const fn less(a: &[u8], b: &[u8]) -> bool {
    let mut at = 0;
    while at < a.len() && at < b.len() {
        if a[at] != b[at] {
            return a[at] < b[at];
        }
        at += 1;
    }
    a.len() < b.len()
}

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated at compile time: a wrong index does not build"
)]
const fn begins(text: &[u8], with: &[u8]) -> bool {
    if text.len() <= with.len() {
        return false;
    }
    let mut at = 0;
    while at < with.len() {
        if text[at] != with[at] {
            return false;
        }
        at += 1;
    }
    true
}

#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "evaluated at compile time over a table of some hundred rows"
)]
const fn order() -> [u16; ROWS.len()] {
    let mut sorted = [0; ROWS.len()];
    let mut count = 0;
    while count < ROWS.len() {
        let mut at = count;
        while at > 0
            && less(
                ROWS[count].literal.as_bytes(),
                ROWS[sorted[at - 1] as usize].literal.as_bytes(),
            )
        {
            sorted[at] = sorted[at - 1];
            at -= 1;
        }
        sorted[at] = count as u16;
        count += 1;
    }
    sorted
}

/// The first eight bytes, so that keys have the order of their texts; NULs where the text is shorter.
#[expect(
    clippy::indexing_slicing,
    reason = "a text without eight bytes is shorter than the key"
)]
const fn key(text: &[u8]) -> u64 {
    if let Some(bytes) = text.first_chunk() {
        return u64::from_be_bytes(*bytes);
    }
    let mut key = [0; 8];
    let mut at = 0;
    while at < text.len() {
        key[at] = text[at];
        at += 1;
    }
    u64::from_be_bytes(key)
}

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated at compile time: a wrong index does not build"
)]
const fn keys() -> [u64; ROWS.len()] {
    let mut keys = [0; ROWS.len()];
    let mut at = 0;
    while at < ROWS.len() {
        keys[at] = key(ROWS[ORDER[at] as usize].literal.as_bytes());
        at += 1;
    }
    keys
}

#[expect(
    clippy::indexing_slicing,
    reason = "evaluated at compile time: a wrong index does not build"
)]
const fn parents() -> [u16; ROWS.len()] {
    let mut parents = [NONE; ROWS.len()];
    let mut at = 1;
    while at < ROWS.len() {
        // In ascending order a literal's own beginnings stand before it, the longest last.
        let mut before = at;
        while before > 0 && parents[ORDER[at] as usize] == NONE {
            before -= 1;
            if begins(
                ROWS[ORDER[at] as usize].literal.as_bytes(),
                ROWS[ORDER[before] as usize].literal.as_bytes(),
            ) {
                parents[ORDER[at] as usize] = ORDER[before];
            }
            if ROWS[ORDER[at] as usize].literal.as_bytes()[0]
                != ROWS[ORDER[before] as usize].literal.as_bytes()[0]
            {
                break;
            }
        }
        at += 1;
    }
    parents
}

#[cfg(test)]
mod tests {
    use super::*;

    fn linear(message: &[u8]) -> Option<&'static str> {
        ROWS.iter()
            .filter(|row| message.starts_with(row.literal.as_bytes()))
            .max_by_key(|row| row.literal.len())
            .map(|row| row.literal)
    }

    #[test]
    fn every_literal_finds_the_longest_row() {
        for row in ROWS {
            for tail in ["", " ", " (111: Connection refused)", "x", "\u{7f}", "\0"] {
                let message = format!("{}{tail}", row.literal);
                assert_eq!(
                    find(message.as_bytes()).map(|r| r.literal),
                    linear(message.as_bytes()),
                    "{message}"
                );
            }
            for cut in 0..row.literal.len() {
                let Some(message) = row.literal.get(..cut) else {
                    continue;
                };
                assert_eq!(
                    find(message.as_bytes()).map(|r| r.literal),
                    linear(message.as_bytes()),
                    "{message}"
                );
            }
        }
        assert!(find(b"").is_none());
        assert!(find(b"\xff").is_none());
    }

    #[test]
    fn no_literal_stands_twice() {
        for (idx, row) in ROWS.iter().enumerate() {
            assert!(
                ROWS[idx + 1..]
                    .iter()
                    .all(|other| other.literal != row.literal),
                "{}",
                row.literal
            );
        }
    }
}
