//! Who dials what: every `proxy_pass` and its kin, and where it leads.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;

use bstr::{BStr, BString, ByteSlice as _};

use super::variable::{Values, Variables};
use super::{ContextId, ContextKind, DirectiveRef, Model, ServerLine, Upstream, UpstreamId};
use crate::address::{Address, PeerAddress, has_unix_prefix, split_port};

/// The directive of a pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PassKind {
    /// `proxy_pass` in `http`.
    Proxy,
    /// `fastcgi_pass`.
    Fastcgi,
    /// `uwsgi_pass`.
    Uwsgi,
    /// `scgi_pass`.
    Scgi,
    /// `grpc_pass`.
    Grpc,
    /// `memcached_pass`.
    Memcached,
    /// `proxy_pass` in `stream`.
    Stream,
}

/// What nginx speaks to the peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// HTTP.
    Http,
    /// HTTP over TLS.
    Https,
    /// FastCGI.
    Fastcgi,
    /// uwsgi.
    Uwsgi,
    /// uwsgi over TLS.
    Suwsgi,
    /// SCGI.
    Scgi,
    /// gRPC.
    Grpc,
    /// gRPC over TLS.
    Grpcs,
    /// memcached.
    Memcached,
    /// Whatever the client speaks, over TCP or UDP.
    Stream,
}

/// Where a pass leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// To the servers of an upstream.
    Upstream(UpstreamId),
    /// To an address, or to all addresses of a name.
    Address(Address),
    /// Wherever the variables say at run time.
    Variable {
        /// The text after the scheme.
        text: BString,
        /// Where it can lead, as far as literal values of `set` and `map` tell.
        candidates: Vec<Self>,
        /// Whether it can lead nowhere else.
        exhaustive: bool,
    },
    /// Text that nginx would refuse.
    Unreadable(BString),
}

/// One pass.
#[derive(Debug, Clone)]
pub struct Pass {
    /// The directive.
    pub directive: DirectiveRef,
    /// The context it stands in.
    pub context: ContextId,
    /// Which directive it is.
    pub kind: PassKind,
    /// What is spoken. With the scheme in a variable whose values disagree or are not known: plain.
    pub protocol: Protocol,
    /// Where it leads.
    pub target: Target,
    /// Whether the request's URI is replaced: a URI (even `/`) stands behind the address.
    pub uri: bool,
}

/// A way in which a peer is dialled.
#[derive(Debug, Clone, Copy)]
pub struct Dialer<'m> {
    /// The pass.
    pub pass: &'m Pass,
    /// The line of the upstream it goes through; none if the pass names the address itself.
    pub server_line: Option<&'m ServerLine>,
}

impl Protocol {
    /// Whether TLS is spoken. In `stream`, `proxy_ssl` says so instead.
    pub fn is_tls(self) -> bool {
        matches!(self, Self::Https | Self::Suwsgi | Self::Grpcs)
    }

    /// The scheme as nginx writes it into `upstream: "..."`.
    pub fn scheme(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
            Self::Fastcgi => "fastcgi",
            Self::Uwsgi => "uwsgi",
            Self::Suwsgi => "suwsgi",
            Self::Scgi => "scgi",
            Self::Grpc => "grpc",
            Self::Grpcs => "grpcs",
            Self::Memcached => "memcached",
            Self::Stream => "stream",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.scheme())
    }
}

impl PassKind {
    /// The name of the directive.
    pub fn directive_name(self) -> &'static str {
        match self {
            Self::Proxy | Self::Stream => "proxy_pass",
            Self::Fastcgi => "fastcgi_pass",
            Self::Uwsgi => "uwsgi_pass",
            Self::Scgi => "scgi_pass",
            Self::Grpc => "grpc_pass",
            Self::Memcached => "memcached_pass",
        }
    }

    /// The schemes the directive knows, with protocol and default port. `None` stands for no scheme.
    fn schemes(self) -> &'static [(Option<&'static str>, Protocol, Option<u16>)] {
        match self {
            Self::Proxy => &[
                (Some("http://"), Protocol::Http, Some(80)),
                (Some("https://"), Protocol::Https, Some(443)),
            ],
            Self::Fastcgi => &[(None, Protocol::Fastcgi, None)],
            Self::Uwsgi => &[
                (Some("uwsgi://"), Protocol::Uwsgi, None),
                (Some("suwsgi://"), Protocol::Suwsgi, None),
                (None, Protocol::Uwsgi, None),
            ],
            Self::Scgi => &[(None, Protocol::Scgi, None)],
            Self::Grpc => &[
                (Some("grpc://"), Protocol::Grpc, None),
                (Some("grpcs://"), Protocol::Grpcs, None),
                (None, Protocol::Grpc, None),
            ],
            Self::Memcached => &[(None, Protocol::Memcached, None)],
            Self::Stream => &[(None, Protocol::Stream, None)],
        }
    }

    fn plain(self) -> Protocol {
        match self {
            Self::Proxy => Protocol::Http,
            Self::Fastcgi => Protocol::Fastcgi,
            Self::Uwsgi => Protocol::Uwsgi,
            Self::Scgi => Protocol::Scgi,
            Self::Grpc => Protocol::Grpc,
            Self::Memcached => Protocol::Memcached,
            Self::Stream => Protocol::Stream,
        }
    }

    fn upstreams(self) -> ContextKind {
        if self == Self::Stream {
            ContextKind::Stream
        } else {
            ContextKind::Http
        }
    }
}

impl Model {
    /// Every pass, also in `if`, `limit_except` and named locations. One in a snippet counts in each place.
    pub fn passes(&self) -> &[Pass] {
        &self.passes
    }

    /// The pass of a context itself or, in `if` and `limit_except`, of the location around it.
    pub fn pass_in_force(&self, context: ContextId) -> Option<&Pass> {
        const KINDS: [PassKind; 6] = [
            PassKind::Proxy,
            PassKind::Fastcgi,
            PassKind::Uwsgi,
            PassKind::Scgi,
            PassKind::Grpc,
            PassKind::Memcached,
        ];
        let at = KINDS
            .iter()
            .find_map(|kind| self.in_force(context, kind.directive_name()).pop())?;
        let holds = |pass: &&Pass| {
            pass.directive == at && self.chain(context).any(|c| c.id == pass.context)
        };
        self.passes.iter().find(holds)
    }

    /// The `server_name`s of the server around a context, for reports.
    pub fn servers_of(&self, context: ContextId) -> Vec<&BStr> {
        self.server_names(context)
    }

    /// The ways in which a literal address is dialled.
    pub fn dialers(&self, peer: &PeerAddress) -> Vec<Dialer<'_>> {
        let direct = self.ways.direct.get(peer).into_iter().flatten();
        let mut ways: Vec<(usize, Option<&ServerLine>)> =
            direct.map(|&pass| (pass, None)).collect();
        for (upstream, line) in self.server_lines_at(peer) {
            let passes = self.ways.passes_to.get(&upstream.id).into_iter().flatten();
            ways.extend(passes.map(|&pass| (pass, Some(line))));
        }
        ways.sort_by_key(|(pass, _)| *pass);
        let dialer = |(pass, server_line)| {
            let pass = self.passes.get(pass)?;
            Some(Dialer { pass, server_line })
        };
        ways.into_iter().filter_map(dialer).collect()
    }

    /// The same, where a name counts if `is_address_of` says that it stands for the peer's IP address.
    pub fn dialers_with(
        &self,
        peer: &PeerAddress,
        is_address_of: &dyn Fn(&str, IpAddr) -> bool,
    ) -> Vec<Dialer<'_>> {
        self.dialers_where(&|address| match (address, peer) {
            (Address::Tcp { host, port }, PeerAddress::Tcp(socket)) => {
                let is_host = match host.name() {
                    Some(name) => is_address_of(name, socket.ip()),
                    None => host.ip() == Some(socket.ip()),
                };
                *port == socket.port() && is_host
            }
            (Address::Unix(path), PeerAddress::Unix(peer)) => path == peer,
            _ => false,
        })
    }

    /// The ways in which a host name is dialled, on any port.
    pub fn dialers_of_name(&self, name: &str) -> Vec<Dialer<'_>> {
        self.dialers_where(&|address| match address {
            Address::Tcp { host, .. } => host
                .name()
                .is_some_and(|host| host.eq_ignore_ascii_case(name)),
            Address::Unix(_) => false,
        })
    }

    /// The passes that lead to an upstream.
    pub fn passes_to(&self, upstream: UpstreamId) -> impl Iterator<Item = &Pass> {
        let passes = self.ways.passes_to.get(&upstream).into_iter().flatten();
        passes.filter_map(|&at| self.passes.get(at))
    }

    /// The lines of upstreams that name this literal address, whether a pass is known to lead there or not.
    pub fn server_lines_at(&self, peer: &PeerAddress) -> Vec<(&Upstream, &ServerLine)> {
        let lines = self.ways.lines.get(peer).into_iter().flatten();
        lines
            .filter_map(|&(id, line)| {
                let upstream = self.upstream(id)?;
                Some((upstream, upstream.servers.get(line)?))
            })
            .collect()
    }

    fn dialers_where(&self, wanted: &dyn Fn(&Address) -> bool) -> Vec<Dialer<'_>> {
        let mut dialers = Vec::new();
        for pass in &self.passes {
            for target in pass.target.certain_and_possible() {
                match target {
                    Target::Address(address) if wanted(address) => dialers.push(Dialer {
                        pass,
                        server_line: None,
                    }),
                    Target::Upstream(id) => {
                        let lines = self.upstream(*id).map(|upstream| upstream.servers.iter());
                        let lines = lines.into_iter().flatten();
                        let lines = lines.filter(|line| line.address.as_ref().is_some_and(wanted));
                        dialers.extend(lines.map(|line| Dialer {
                            pass,
                            server_line: Some(line),
                        }));
                    }
                    Target::Address(_) | Target::Variable { .. } | Target::Unreadable(_) => {}
                }
            }
        }
        dialers
    }
}

/// The ways to literal addresses, for looking up: passes by their place in [`Model::passes`], lines by upstream and
/// place in it.
#[derive(Debug, Clone, Default)]
pub(super) struct Ways {
    /// The passes that name an address themselves.
    direct: HashMap<PeerAddress, Vec<usize>>,
    /// The lines of upstreams that name an address.
    lines: HashMap<PeerAddress, Vec<(UpstreamId, usize)>>,
    /// The passes that lead to an upstream.
    passes_to: HashMap<UpstreamId, Vec<usize>>,
}

impl Ways {
    pub(super) fn of(upstreams: &[Upstream], passes: &[Pass]) -> Self {
        let mut ways = Self::default();
        for upstream in upstreams {
            for (at, line) in upstream.servers.iter().enumerate() {
                if let Some(peer) = line.address.as_ref().and_then(Address::literal) {
                    ways.lines.entry(peer).or_default().push((upstream.id, at));
                }
            }
        }
        for (at, pass) in passes.iter().enumerate() {
            for target in pass.target.certain_and_possible() {
                match target {
                    Target::Address(address) => {
                        if let Some(peer) = address.literal() {
                            ways.direct.entry(peer).or_default().push(at);
                        }
                    }
                    Target::Upstream(id) => {
                        // Several values of a variable may name the same one.
                        let passes = ways.passes_to.entry(*id).or_default();
                        if passes.last() != Some(&at) {
                            passes.push(at);
                        }
                    }
                    Target::Variable { .. } | Target::Unreadable(_) => {}
                }
            }
        }
        ways
    }
}

impl Target {
    /// The target, or what a variable can lead to.
    pub fn certain_and_possible(&self) -> Vec<&Self> {
        match self {
            Self::Variable { candidates, .. } => candidates.iter().collect(),
            Self::Upstream(_) | Self::Address(_) | Self::Unreadable(_) => vec![self],
        }
    }
}

pub(super) fn passes_of(model: &Model) -> Vec<Pass> {
    let variables = Variables::of(model);
    let mut passes = Vec::new();
    for context in model.contexts() {
        if context.kind == ContextKind::Other || context.kind == ContextKind::Upstream {
            continue;
        }
        let in_stream = model.protocol_of(context.id) == Some(ContextKind::Stream);
        for &at in &context.directives {
            let Some(kind) = kind_of(model.name(at), in_stream) else {
                continue;
            };
            let Some(text) = model.arg(at, 0) else {
                continue;
            };
            passes.push(pass(model, &variables, context.id, at, kind, text));
        }
    }
    passes
}

fn kind_of(name: &BStr, in_stream: bool) -> Option<PassKind> {
    match name.as_bytes() {
        b"proxy_pass" if in_stream => Some(PassKind::Stream),
        b"proxy_pass" => Some(PassKind::Proxy),
        b"fastcgi_pass" => Some(PassKind::Fastcgi),
        b"uwsgi_pass" => Some(PassKind::Uwsgi),
        b"scgi_pass" => Some(PassKind::Scgi),
        b"grpc_pass" => Some(PassKind::Grpc),
        b"memcached_pass" => Some(PassKind::Memcached),
        _ => None,
    }
}

fn pass(
    model: &Model,
    variables: &Variables<'_>,
    context: ContextId,
    directive: DirectiveRef,
    kind: PassKind,
    text: &BStr,
) -> Pass {
    let mut protocol = split_scheme(kind, text).map_or(kind.plain(), |(protocol, _, _)| protocol);
    let mut uri = false;
    let target = if text.contains(&b'$') {
        let values = variables.values_of(model, context, address_part(kind, text));
        if let Some(same) = protocol_of_all(kind, &values) {
            protocol = same;
        }
        variable_target(model, kind, text, values)
    } else if let Some((target, has_uri)) = literal_target(model, kind, text)
        && !gives_upstream_a_port(model, kind, &target)
    {
        uri = has_uri;
        target
    } else {
        Target::Unreadable(text.to_owned())
    };
    Pass {
        directive,
        context,
        kind,
        protocol,
        target,
        uri,
    }
}

/// nginx refuses `http://NAME:PORT` where NAME is an upstream.
fn gives_upstream_a_port(model: &Model, kind: PassKind, target: &Target) -> bool {
    let Target::Address(Address::Tcp { host, .. }) = target else {
        return false;
    };
    let named = host
        .name()
        .and_then(|name| model.upstream_named(kind.upstreams(), name.as_bytes()));
    named.is_some()
}

/// The protocol, when the scheme stands in a variable and all its values agree.
fn protocol_of_all(kind: PassKind, values: &Values) -> Option<Protocol> {
    let mut protocols = values
        .literal
        .iter()
        .filter_map(|text| split_scheme(kind, text));
    let (first, _, _) = protocols.next()?;
    protocols
        .all(|(protocol, _, _)| protocol == first)
        .then_some(first)
}

fn variable_target(model: &Model, kind: PassKind, text: &BStr, values: Values) -> Target {
    let mut candidates = Vec::new();
    for value in values.literal {
        // A value that is no address leads nowhere.
        if let Some((target, _)) = literal_target(model, kind, value.as_bstr())
            && !candidates.contains(&target)
        {
            candidates.push(target);
        }
    }
    let rest = split_scheme(kind, text).map_or(text.as_bytes(), |(_, _, rest)| rest);
    Target::Variable {
        text: rest.into(),
        exhaustive: values.exhaustive && !candidates.is_empty(),
        candidates,
    }
}

/// The text up to the URI: what variables stand in the URI does not matter to who is dialled.
fn address_part(kind: PassKind, text: &[u8]) -> &[u8] {
    let start = memchr::memmem::find(text, b"://").map_or(0, |at| at + 3);
    let rest = text.get(start..).unwrap_or_default();
    let len = if kind != PassKind::Proxy {
        None
    } else if has_unix_prefix(rest) {
        rest.get(5..)
            .and_then(|path| memchr::memchr(b':', path))
            .map(|colon| colon + 5)
    } else {
        memchr::memchr2(b'/', b'?', rest)
    };
    text.get(..start + len.unwrap_or(rest.len()))
        .unwrap_or(text)
}

fn split_scheme(kind: PassKind, text: &[u8]) -> Option<(Protocol, Option<u16>, &[u8])> {
    kind.schemes()
        .iter()
        .find_map(|&(scheme, protocol, default_port)| {
            let Some(scheme) = scheme else {
                return Some((protocol, default_port, text));
            };
            let found = text
                .get(..scheme.len())?
                .eq_ignore_ascii_case(scheme.as_bytes());
            found.then(|| {
                (
                    protocol,
                    default_port,
                    text.get(scheme.len()..).unwrap_or_default(),
                )
            })
        })
}

/// Where a text without variables leads, and whether a URI stands behind the address.
fn literal_target(model: &Model, kind: PassKind, text: &BStr) -> Option<(Target, bool)> {
    let (_, default_port, rest) = split_scheme(kind, text)?;
    let takes_uri = kind == PassKind::Proxy;
    if !has_unix_prefix(rest) {
        let end = rest.find_byteset(b"/?").filter(|_| takes_uri);
        let (authority, uri) = rest.split_at_checked(end.unwrap_or(rest.len()))?;
        let no_port = split_port(authority).is_none_or(|(_, port)| port.is_none());
        let upstream = model.upstream_named(kind.upstreams(), authority);
        if let Some(upstream) = upstream.filter(|_| no_port) {
            return Some((Target::Upstream(upstream.id), !uri.is_empty()));
        }
    }
    if !takes_uri {
        return Some((Target::Address(Address::parse(rest, default_port)?), false));
    }
    let (address, uri) = Address::parse_with_uri(rest, default_port)?;
    Some((Target::Address(address), uri.is_some()))
}
