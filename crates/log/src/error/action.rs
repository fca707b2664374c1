//! What nginx was doing: the words after ` while `, a closed list.
//!
//! nginx sets them and never clears them while it goes on: they are the last thing begun, not always the thing that failed.
//! Collected from nginx 1.31.5-dev, Debian's 1.22.1 and lua-nginx-module.

use std::fmt;

/// Whom nginx was dealing with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// A peer.
    Upstream,
    /// The client.
    Client,
    /// A name server.
    Dns,
    /// A syslog server.
    Syslog,
    /// An OCSP responder.
    Ocsp,
    /// Nobody: files, QUIC packets, itself.
    Local,
}

macro_rules! actions {
    ($($name:ident = $text:literal, $side:ident;)+) => {
        /// The words after ` while `, verbatim.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum While { $(#[doc = concat!("`", $text, "`")] $name,)+ }

        impl While {
            /// Every action.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// nginx's own words.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }

            /// The action that is spelled so, whole.
            pub fn from_bytes(text: &[u8]) -> Option<Self> {
                // Byte string patterns compare lengths first, and the frequent ones stand at the top.
                $(if text == $text.as_bytes() { return Some(Self::$name); })+
                None
            }

            /// Whom nginx was dealing with.
            pub fn side(self) -> Side {
                match self { $(Self::$name => Side::$side,)+ }
            }
        }
    };
}

actions! {
    ConnectingToUpstream = "connecting to upstream", Upstream;
    ReadingResponseHeader = "reading response header from upstream", Upstream;
    ReadingUpstream = "reading upstream", Upstream;
    SendingRequest = "sending request to upstream", Upstream;
    SslHandshakingToUpstream = "SSL handshaking to upstream", Upstream;
    ProxyingUpgradedConnection = "proxying upgraded connection", Upstream;
    SendingToClient = "sending to client", Client;
    ProxyingAndReadingFromUpstream = "proxying and reading from upstream", Upstream;
    ProxyingAndSendingToUpstream = "proxying and sending to upstream", Upstream;
    ProxyingConnection = "proxying connection", Upstream;
    Resolving = "resolving", Dns;
    ReadingClientRequestLine = "reading client request line", Client;
    ReadingClientRequestHeaders = "reading client request headers", Client;
    WaitingForRequest = "waiting for request", Client;
    SslHandshaking = "SSL handshaking", Client;
    Keepalive = "keepalive", Client;
    ClosingRequest = "closing request", Client;
    LoggingRequest = "logging request", Client;
    InitializingSession = "initializing session", Client;
    PrereadingClientData = "prereading client data", Client;
    ProcessingHttp2Connection = "processing HTTP/2 connection", Client;
    ProxyingAndReadingFromClient = "proxying and reading from client", Client;
    ProxyingAndSendingToClient = "proxying and sending to client", Client;
    ReadingProxyProtocol = "reading PROXY protocol", Client;
    ReadingClientPipelinedRequestLine = "reading client pipelined request line", Client;
    ReadingClientRequest = "reading client request", Client;
    SendingEarlyHints = "sending early hints to client", Client;
    PassingConnectionToPort = "passing connection to port", Local;
    LoggingToSyslog = "logging to syslog", Syslog;
    RequestingCertificateStatus = "requesting certificate status", Ocsp;
    ReturningText = "returning text", Local;
    SendingFlv = "sending flv to client", Client;
    SendingMp4 = "sending mp4 to client", Client;
    SendingResponse = "sending response to client", Client;
    CreatingQuicConnection = "creating quic connection", Client;
    DecryptingPacket = "decrypting packet", Client;
    HandlingDecryptedPacket = "handling decrypted packet", Client;
    HandlingFrames = "handling frames", Client;
    HandlingInitialPacket = "handling initial packet", Client;
    HandlingPayload = "handling payload", Client;
    HandlingQuicInput = "handling quic input", Client;
    HandlingQuicPacket = "handling quic packet", Client;
    ParsingFrames = "parsing frames", Client;
    ParsingQuicLongHeader = "parsing quic long header", Client;
    ParsingQuicPacket = "parsing quic packet", Client;
    PreparingAck = "preparing ack", Client;
    SendingFrames = "sending frames", Client;
    UpdatingKeys = "updating keys", Client;
    InAuthState = "in auth state", Client;
    InDelayPipeliningState = "in delay pipelining state", Client;
    InHttpAuthState = "in http auth state", Client;
    InResolvingClientAddress = "in resolving client address", Client;
    InResolvingClientHostname = "in resolving client hostname", Client;
    InStarttlsState = "in starttls state", Client;
    SendingClientGreeting = "sending client greeting line", Client;
    Proxying = "proxying", Upstream;
    ReadingResponseFromUpstream = "reading response from upstream", Upstream;
    SendingAuth = "sending AUTH to upstream", Upstream;
    SendingHelo = "sending HELO/EHLO to upstream", Upstream;
    SendingLogin = "sending LOGIN command to upstream", Upstream;
    SendingMailFrom = "sending MAIL FROM to upstream", Upstream;
    SendingProxyProtocol = "sending PROXY protocol header to upstream", Upstream;
    SendingRcptTo = "sending RCPT TO to upstream", Upstream;
    SendingXclient = "sending XCLIENT to upstream", Upstream;
    SendingClientHelo = "sending client HELO/EHLO to upstream", Upstream;
    SendingPassword = "sending password to upstream", Upstream;
    SendingUserName = "sending user name to upstream", Upstream;
    LoadingCertificateByLua = "loading SSL certificate by lua", Client;
    LoadingClientHelloByLua = "loading SSL client hello by lua", Client;
    FetchingSessionByLua = "fetching SSL session by lua", Client;
    StoringSessionByLua = "storing SSL session by lua", Client;
    ProxyPassSslHandshaking = "proxy pass SSL handshaking", Upstream;
    LoadingProxyCertificateByLua = "loading proxy ssl certificate by lua", Upstream;
    LoadingProxyVerifyByLua = "loading proxy ssl verify by lua", Upstream;
}

impl fmt::Display for While {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_round_trip_and_only_whole_ones_match() {
        for &action in While::ALL {
            assert_eq!(While::from_bytes(action.as_str().as_bytes()), Some(action));
            assert!(!action.as_str().contains(','), "the words end at a comma");
        }
        assert_eq!(While::from_bytes(b"connecting to"), None);
        assert_eq!(While::from_bytes(b"proxying connection x"), None);
    }
}
