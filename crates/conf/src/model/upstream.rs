//! Upstreams: named groups of servers.

use std::time::Duration;

use bstr::{BStr, BString};

use super::{Context, ContextId, ContextKind, DirectiveRef, Model};
use crate::address::Address;
use crate::units::{parse_digits, parse_seconds, parse_time};

/// An upstream of one [`Model`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UpstreamId(pub u32);

/// A named group of servers.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// Its id.
    pub id: UpstreamId,
    /// The `upstream` block.
    pub context: ContextId,
    /// The directive that opens it; none in a lone file that holds only what stands within.
    pub directive: Option<DirectiveRef>,
    /// [`ContextKind::Http`] or [`ContextKind::Stream`]: names are apart.
    pub protocol: ContextKind,
    /// Its name.
    pub name: BString,
    /// Its servers, in order.
    pub servers: Vec<ServerLine>,
    /// `keepalive N`; without it the default of the version rules.
    pub keepalive: Option<Keepalive>,
    /// `keepalive_timeout`.
    pub keepalive_timeout: Option<Duration>,
    /// `keepalive_requests`.
    pub keepalive_requests: Option<u64>,
    /// The name of the shared `zone`. Without one each worker counts failures for itself.
    pub zone: Option<BString>,
    /// The directive of the balancing method, such as `least_conn`; none is round robin.
    pub balancing: Option<DirectiveRef>,
}

/// `keepalive N` in an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keepalive {
    /// The directive.
    pub directive: DirectiveRef,
    /// Idle connections kept by each worker.
    pub connections: u64,
}

/// One `server` line of an upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerLine {
    /// The directive.
    pub directive: DirectiveRef,
    /// The address; none when it is not one nginx accepts.
    pub address: Option<Address>,
    /// The address as written.
    pub text: BString,
    /// `weight=`, 1 without it.
    pub weight: u64,
    /// `max_fails=`, 1 without it; 0 means that failures are not counted.
    pub max_fails: u64,
    /// `fail_timeout=`, 10 s without it.
    pub fail_timeout: Duration,
    /// `max_conns=`, 0 (no limit) without it.
    pub max_conns: u64,
    /// `down`.
    pub down: bool,
    /// `backup`.
    pub backup: bool,
    /// `resolve`: the name is looked up again while nginx runs.
    pub resolve: bool,
    /// `service=`: an SRV record gives the servers.
    pub service: Option<BString>,
}

const BALANCING: [&str; 8] = [
    "least_conn",
    "ip_hash",
    "hash",
    "random",
    "least_time",
    "sticky",
    "fair",
    "balancer_by_lua_block",
];

impl Model {
    /// The upstreams of `http` and `stream`.
    pub fn upstreams(&self) -> &[Upstream] {
        &self.upstreams
    }

    /// The upstream with this id.
    pub fn upstream(&self, id: UpstreamId) -> Option<&Upstream> {
        self.upstreams.get(id.0 as usize)
    }

    /// The upstream with this name, in `http` or `stream`. Case does not count.
    pub fn upstream_named(&self, protocol: ContextKind, name: &[u8]) -> Option<&Upstream> {
        let name = name.to_ascii_lowercase();
        self.upstream(*self.upstreams_by_name.get(&(protocol, name))?)
    }
}

pub(super) fn upstreams_of(model: &Model) -> Vec<Upstream> {
    let contexts = model.contexts_of_kind(ContextKind::Upstream);
    contexts
        .zip(0..)
        .map(|(context, id)| upstream(model, context, UpstreamId(id)))
        .collect()
}

fn upstream(model: &Model, context: &Context, id: UpstreamId) -> Upstream {
    let last = |name: &str| model.own(context.id, name).last().copied();
    let first_arg = |name: &str| model.arg(last(name)?, 0);
    // An http upstream's server has port 80 by default, whatever the scheme; in stream there is no default.
    let protocol = model.protocol_of(context.id).unwrap_or(ContextKind::Http);
    let default_port = (protocol == ContextKind::Http).then_some(80);
    let servers = model.own(context.id, "server").iter();
    Upstream {
        id,
        context: context.id,
        directive: context.directive,
        protocol,
        name: context
            .directive
            .and_then(|at| model.arg(at, 0))
            .map(BString::from)
            .unwrap_or_default(),
        servers: servers
            .filter_map(|&at| server_line(model, at, default_port))
            .collect(),
        keepalive: last("keepalive").and_then(|directive| {
            let connections = parse_digits(model.arg(directive, 0)?)?;
            Some(Keepalive {
                directive,
                connections,
            })
        }),
        keepalive_timeout: first_arg("keepalive_timeout").and_then(|text| parse_time(text)),
        keepalive_requests: first_arg("keepalive_requests").and_then(|text| parse_digits(text)),
        zone: first_arg("zone").map(BString::from),
        balancing: BALANCING.iter().find_map(|name| last(name)),
    }
}

fn server_line(model: &Model, at: DirectiveRef, default_port: Option<u16>) -> Option<ServerLine> {
    let args = model.args(at);
    let (text, parameters) = args.split_first()?;
    let value = |name: &str| {
        parameters
            .iter()
            .find_map(|p| p.strip_prefix(name.as_bytes()))
            .map(BStr::new)
    };
    let number = |name: &str, default| {
        value(name)
            .and_then(|text| parse_digits(text))
            .unwrap_or(default)
    };
    let has = |name: &str| parameters.iter().any(|parameter| *parameter == name);
    Some(ServerLine {
        directive: at,
        address: Address::parse(text, default_port),
        text: (*text).to_owned(),
        weight: number("weight=", 1),
        max_fails: number("max_fails=", 1),
        fail_timeout: value("fail_timeout=")
            .and_then(|text| parse_seconds(text))
            .unwrap_or(Duration::from_secs(10)),
        max_conns: number("max_conns=", 0),
        down: has("down"),
        backup: has("backup"),
        resolve: has("resolve"),
        service: value("service=").map(BString::from),
    })
}
