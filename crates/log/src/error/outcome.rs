//! What the client saw of one attempt, if it was the last one.
//!
//! A line is an attempt, not a request: nginx may have tried another peer, and then the client saw that one's answer.

use super::Event;
use super::action::While;
use super::class::Class;
use super::fields::Context;

/// What the client saw, if no other peer was tried afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Seen {
    /// This status. `Status(9)` is nginx's `009`: the peer's bytes went out as they came.
    Status(u16),
    /// A response that had begun, and then ended early.
    Truncated,
    /// Nothing: nginx went on, or there was no client.
    Nothing,
    /// The line does not say.
    Unknown,
}

pub(super) fn outcome(event: &Event<'_>) -> Seen {
    if event.is_upstream_failure() {
        match attempt(event) {
            // `auth_request` answers 500 for it, a mirror or an include something else: the request decides, not the part.
            Seen::Status(_) if event.subrequest.is_some() => Seen::Unknown,
            seen => seen,
        }
    } else {
        other(event)
    }
}

fn attempt(event: &Event<'_>) -> Seen {
    if let Some(500) = own_fault(event) {
        return Seen::Status(500);
    }
    let stream = event.context == Context::Stream;
    match event.class {
        Class::NotHttp => Seen::Status(9),
        Class::PrematureCloseBody
        | Class::ReadTimeoutBody
        | Class::ExtraBody
        | Class::BadChunked
        | Class::BadTrailer
        | Class::InvalidTrailer => Seen::Truncated,
        Class::UpgradeInSubrequest => Seen::Nothing,
        Class::ConnectTimeout
        | Class::TlsHandshakeTimeout
        | Class::SendTimeout
        | Class::ReadTimeout
            if !stream =>
        {
            Seen::Status(504)
        }
        Class::UpstreamTimeout => Seen::Unknown,
        _ if stream && past_connecting(event.action) => Seen::Truncated,
        _ => match event.action {
            Some(
                While::ReadingUpstream | While::SendingToClient | While::ProxyingUpgradedConnection,
            ) => Seen::Truncated,
            _ => Seen::Status(502),
        },
    }
}

fn past_connecting(action: Option<While>) -> bool {
    matches!(
        action,
        Some(
            While::ProxyingAndReadingFromUpstream
                | While::ProxyingAndSendingToUpstream
                | While::ProxyingConnection
        )
    )
}

/// nginx's own failures end the request at once, as 500, and no other peer is tried.
fn own_fault(event: &Event<'_>) -> Option<u16> {
    let setup = match event.class {
        Class::FdExhaustion
        | Class::WorkerConnections
        | Class::LocalSocketSetup
        | Class::ProxyBind
        | Class::ProxyBindTransparent
        | Class::ProxyProtocolSend
        | Class::TlsLocalCertificate
        | Class::TlsLocalSetup
        | Class::OutOfMemory
        | Class::LuaBalancer => true,
        // `socket()`, not `connect()`.
        Class::AddressFamily
        | Class::NoBuffers
        | Class::PermissionDenied
        | Class::OperationNotPermitted => event.message.starts_with(b"socket()"),
        _ => false,
    };
    let begun = matches!(
        event.action,
        Some(While::ReadingUpstream | While::ProxyingUpgradedConnection)
    );
    (setup && !begun).then_some(500)
}

fn other(event: &Event<'_>) -> Seen {
    match event.class {
        Class::ClientAbort if aborted_waiting(event.action) => Seen::Status(499),
        Class::ClientBodyTooLarge => Seen::Status(413),
        Class::AuthRequestFailed
        | Class::ConfigPassVar
        | Class::RequestNotEncodable
        | Class::Redirect => Seen::Status(500),
        // A client body's temporary file; what is written for an upstream is an attempt's.
        Class::TempPath | Class::TempFileIo if event.context == Context::Http => Seen::Status(500),
        Class::MemcachedMiss => Seen::Status(404),
        Class::NginxInternal | Class::Cache if event.context == Context::Http => Seen::Unknown,
        Class::Other | Class::NotUpstream | Class::RateLimited | Class::ClientBadRequest => {
            Seen::Unknown
        }
        _ => Seen::Nothing,
    }
}

fn aborted_waiting(action: Option<While>) -> bool {
    matches!(
        action,
        Some(
            While::ConnectingToUpstream
                | While::SslHandshakingToUpstream
                | While::SendingRequest
                | While::ReadingResponseHeader
        )
    )
}
