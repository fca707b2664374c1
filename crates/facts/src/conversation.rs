//! A short conversation with a peer in its own protocol, as a gate holds it (`ProbeRequest::Conversation`): who holds it,
//! and what is said.
//!
//! Nothing that could be said here carries a body or another method than GET. What comes back is read by
//! [`exchange`](crate::exchange).

use std::fmt;
use std::net::IpAddr;

use crate::{Get, Hello, PeerAddress};

/// Who holds a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Caller {
    /// why502 itself.
    Own,
    /// A process: its user, groups, capabilities, network and mount namespace, and root.
    Process(u32),
    /// A user where no process of theirs runs: no capability, in why502's own namespaces.
    User {
        /// The user.
        uid: u32,
        /// Their group.
        gid: u32,
        /// Their further groups.
        groups: Vec<u32>,
    },
}

/// A name and a value, of FastCGI, uwsgi or SCGI.
pub type Param = (String, String);

/// What is said once there is a connection.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Speech {
    /// Nothing: that there is a connection, or a TLS handshake, is the answer.
    Nothing,
    /// A GET over HTTP/1; its own `tls` is left out of account.
    Http(Get),
    /// A FastCGI request of a responder, with an empty body.
    FastCgi(Vec<Param>),
    /// A uwsgi request.
    Uwsgi(Vec<Param>),
    /// An SCGI request.
    Scgi(Vec<Param>),
    /// `grpc.health.v1.Health/Check` for the server as a whole.
    GrpcHealth {
        /// What stands in `:authority`.
        authority: String,
    },
    /// memcached's `version`.
    Memcached,
    /// The hello of a protocol, and the first bytes that come back.
    Hello(Hello),
}

/// A connection, what is said on it, and how long all of it may take.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Conversation {
    /// Who.
    pub from: Caller,
    /// From which address, where that is said (`proxy_bind`).
    pub bind: Option<IpAddr>,
    /// With whom.
    pub to: PeerAddress,
    /// The TLS handshake before it, a [`Hello::Tls`]; none for plain protocols.
    pub tls: Option<Hello>,
    /// What.
    pub speech: Speech,
    /// From the first packet on, in milliseconds.
    pub within: u64,
}

impl Speech {
    /// Its name in a request's text.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Http(_) => "http",
            Self::FastCgi(_) => "fastcgi",
            Self::Uwsgi(_) => "uwsgi",
            Self::Scgi(_) => "scgi",
            Self::GrpcHealth { .. } => "grpc-health",
            Self::Memcached => "memcached",
            Self::Hello(hello) => hello.name(),
        }
    }

    /// The path that is asked for, where one is.
    pub fn path(&self) -> Option<&str> {
        let of_params =
            |params: &'_ [Param]| params.iter().position(|(name, _)| name == "REQUEST_URI");
        match self {
            Self::Http(get) => Some(&get.target),
            Self::FastCgi(params) | Self::Uwsgi(params) | Self::Scgi(params) => {
                let at = of_params(params)?;
                params.get(at).map(|(_, value)| value.as_str())
            }
            Self::Nothing | Self::GrpcHealth { .. } | Self::Memcached | Self::Hello(_) => None,
        }
    }
}

impl Hello {
    /// Its name in a request's text, without the name that TLS sends.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Tls { tls13: true, .. } => "tls1.3",
            Self::Tls { tls13: false, .. } => "tls1.2",
            Self::Http1 => "http1",
            Self::Http2 => "http2",
            Self::FastCgi => "fastcgi",
            Self::Uwsgi => "uwsgi",
        }
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own => f.write_str("host"),
            Self::Process(pid) => write!(f, "{pid}"),
            Self::User { uid, gid, groups } => {
                write!(f, "{uid}:{gid}")?;
                groups.iter().try_for_each(|group| write!(f, ",{group}"))
            }
        }
    }
}
