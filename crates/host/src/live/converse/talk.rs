//! One conversation: from the first packet to what came of it. Never waits; whoever has it go on does.

use std::io::{Read as _, Write as _};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use facts::exchange::{End, Exchange, RECEIVED};
use facts::{Answer, Conversation, Hello, PeerAddress, Speech};
use rustix::event::PollFlags;
use rustix::fd::OwnedFd;
use rustix::io::{self, Errno};
use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustls::ClientConnection;

use super::super::connect::{Begun, begin};
use super::super::handshake::{client, finished};
use super::super::request::own_address;
use super::reader::{Heard, Reader};
use super::speech;

/// How long the rest of an answer may take that says enough already, and a client's certificate to be missed (TLS 1.3).
const LINGER: Duration = Duration::from_millis(150);
/// Reads of one turn: a peer that never stops must not keep the others waiting.
const READS: usize = 8;
/// Bytes of a TLS handshake, and of all answers: more is cut.
const MOST_READ: usize = 512 << 10;

/// What is to be said, before there is a connection.
pub(super) struct Prepared {
    to: PeerAddress,
    bind: Option<IpAddr>,
    within: Duration,
    tls: Option<Box<ClientConnection>>,
    speech: Vec<u8>,
    reader: Reader,
}

/// See the module.
pub(super) struct Talk {
    begun: Begun,
    /// The kernel has answered that there is a connection.
    is_open: bool,
    tls: Option<Box<ClientConnection>>,
    /// What is to be said as soon as it can be.
    speech: Vec<u8>,
    /// What is on its way out.
    out: Vec<u8>,
    reader: Reader,
    exchange: Exchange,
    start: Instant,
    spoken: Instant,
    until: Instant,
    total: usize,
    /// The answer says enough; what follows is only taken in.
    is_enough: bool,
}

impl Prepared {
    /// `None` for what cannot be said.
    pub(super) fn of(held: &Conversation) -> Option<Box<Self>> {
        let hello = match &held.speech {
            Speech::Hello(hello @ Hello::Tls { .. }) => Some(hello),
            _ => held.tls.as_ref(),
        };
        let tls = match hello {
            None => None,
            Some(Hello::Tls { name, tls13 }) => {
                let protocol: &[&[u8]] = match held.speech {
                    // As nginx does (`ngx_http_grpc_ssl_alpn`), and for no other protocol.
                    Speech::GrpcHealth { .. } => &[b"h2"],
                    _ => &[],
                };
                Some(Box::new(client(name.as_deref(), *tls13, protocol)?))
            }
            Some(Hello::Http1 | Hello::Http2 | Hello::FastCgi | Hello::Uwsgi) => return None,
        };
        Some(Box::new(Self {
            to: held.to.clone(),
            bind: held.bind,
            within: Duration::from_millis(held.within),
            tls,
            speech: speech::bytes(&held.speech)?,
            reader: Reader::of(&held.speech),
        }))
    }

    /// Sends the first packet; what was prepared comes back where that failed.
    pub(super) fn begin(self: Box<Self>) -> Result<Talk, (Errno, Box<Self>)> {
        let start = Instant::now();
        let begun = match begin(&self.to, self.bind) {
            Ok(begun) => begun,
            Err(error) => return Err((error, self)),
        };
        Ok(Talk {
            begun,
            is_open: false,
            tls: self.tls,
            speech: self.speech,
            out: Vec::new(),
            reader: self.reader,
            exchange: Exchange::default(),
            start,
            spoken: start,
            until: start + self.within,
            total: 0,
            is_enough: false,
        })
    }
}

impl Talk {
    pub(super) fn until(&self) -> Instant {
        self.until
    }

    pub(super) fn socket(&self) -> &OwnedFd {
        &self.begun.socket
    }

    pub(super) fn interest(&self) -> PollFlags {
        if !self.is_open {
            PollFlags::OUT
        } else if self.out.is_empty() {
            PollFlags::IN
        } else {
            PollFlags::IN | PollFlags::OUT
        }
    }

    /// What came of it, once it came to its end.
    pub(super) fn go_on(&mut self) -> Option<io::Result<Answer>> {
        if !self.is_open {
            if let Err(error) = self.begun.verify() {
                return Some(Err(error));
            }
            self.opened();
        }
        match self.converse() {
            Ok(None) => None,
            Ok(Some(end)) => Some(Ok(self.end(end))),
            // There was a connection: the errno is the conversation's.
            Err(error) => Some(Ok(self.end(End::Errno(error.raw_os_error())))),
        }
    }

    /// What there is when the time is up.
    pub(super) fn time_out(mut self) -> Answer {
        if self.is_open {
            self.end(End::Silent)
        } else {
            Answer::TimedOut
        }
    }

    fn end(&mut self, end: End) -> Answer {
        self.exchange.took = self.start.elapsed();
        let end = if self.is_enough && end != End::Closed {
            End::Whole
        } else {
            end
        };
        self.exchange.ended = Some(end);
        Answer::Bytes(self.exchange.to_text().into_bytes())
    }

    fn opened(&mut self) {
        self.is_open = true;
        self.exchange.connected = self.start.elapsed();
        self.exchange.local = own_address(&self.begun.socket).map(|address| address.ip());
        if self.tls.is_none() {
            self.say();
        }
    }

    fn say(&mut self) {
        self.spoken = Instant::now();
        let speech = std::mem::take(&mut self.speech);
        self.put(&speech);
    }

    /// Puts bytes on their way, through TLS where it is spoken.
    fn put(&mut self, bytes: &[u8]) {
        match &mut self.tls {
            Some(tls) => {
                // It takes what is short in one piece; a fault shows as an answer that does not come.
                tls.writer().write_all(bytes).ok();
            }
            None => self.out.extend_from_slice(bytes),
        }
    }

    /// Writes and reads what can be; the end, where that is reached.
    fn converse(&mut self) -> io::Result<Option<End>> {
        self.flush()?;
        if self.tls.is_none() && self.reader.wants_nothing() {
            return Ok(Some(End::Whole));
        }
        let mut buffer = [0; 16 << 10];
        for _ in 0..READS {
            let count = match recv(&self.begun.socket, &mut buffer, RecvFlags::empty()) {
                Ok((count, _)) => count,
                Err(Errno::AGAIN) => return Ok(None),
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error),
            };
            self.total += count;
            let bytes = buffer.get(..count).unwrap_or_default();
            let ended = if self.tls.is_some() {
                self.unwrap(bytes)
            } else if count == 0 {
                Some(self.reader.closed(&mut self.exchange))
            } else {
                self.hear(bytes)
            };
            if ended.is_some() {
                return Ok(ended);
            }
            self.flush()?;
            if self.total > MOST_READ {
                return Ok(Some(self.refuse("an answer without end")));
            }
        }
        Ok(None)
    }

    fn flush(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            while tls.wants_write() && tls.write_tls(&mut self.out).is_ok_and(|count| count > 0) {}
        }
        while !self.out.is_empty() {
            match send(&self.begun.socket, &self.out, SendFlags::NOSIGNAL) {
                Ok(count) => drop(self.out.drain(..count)),
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                // What the peer said before it closed is still to be read.
                Err(Errno::PIPE | Errno::CONNRESET) => self.out.clear(),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Takes in bytes of the peer's protocol.
    fn hear(&mut self, bytes: &[u8]) -> Option<End> {
        if self.is_enough && self.reader.is_over() {
            return Some(End::Whole);
        }
        let mut reply = Vec::new();
        let after = self.spoken.elapsed();
        let heard = self
            .reader
            .take(bytes, after, &mut self.exchange, &mut reply);
        if !reply.is_empty() {
            self.put(&reply);
        }
        match heard {
            Heard::More => None,
            Heard::Enough => {
                if !self.is_enough {
                    self.is_enough = true;
                    self.until = self.until.min(Instant::now() + LINGER);
                }
                None
            }
            Heard::Whole => Some(End::Whole),
            Heard::Foreign(why) => Some(self.refuse(why)),
        }
    }

    fn refuse(&mut self, why: &str) -> End {
        self.exchange.refused = Some(why.to_owned());
        End::Cut
    }

    /// Takes in bytes of TLS; none where the peer closed.
    fn unwrap(&mut self, mut bytes: &[u8]) -> Option<End> {
        let mut tls = self.tls.take()?;
        if self.exchange.tls.is_none() {
            let room = RECEIVED.saturating_sub(self.exchange.received.len());
            self.exchange.received.extend(bytes.iter().take(room));
        }
        let is_closed = bytes.is_empty();
        let mut fault = None;
        while !bytes.is_empty() && fault.is_none() {
            let fed = tls.read_tls(&mut bytes);
            match tls.process_new_packets() {
                Ok(_) if fed.is_ok_and(|count| count > 0) => {}
                Ok(_) => break,
                Err(error) => fault = Some(error),
            }
        }
        if self.exchange.certificates.is_empty() {
            let shown = tls.peer_certificates().unwrap_or_default();
            let shown = shown.iter().map(|der| der.to_vec());
            self.exchange.certificates.extend(shown);
        }
        let is_new = self.exchange.tls.is_none() && !tls.is_handshaking();
        if is_new {
            self.exchange.tls = finished(&tls);
            if !self.reader.wants_nothing() {
                // What came of TLS tells nothing more.
                self.exchange.received.clear();
            }
        }
        let mut plain = Vec::new();
        let mut buffer = [0; 16 << 10];
        while let Ok(count) = tls.reader().read(&mut buffer)
            && count > 0
        {
            plain.extend_from_slice(buffer.get(..count).unwrap_or_default());
        }
        self.tls = Some(tls);
        match fault {
            Some(rustls::Error::AlertReceived(alert)) => {
                self.exchange.alert = Some(alert.into());
                return Some(End::Closed);
            }
            Some(error) => return Some(self.refuse(&error.to_string())),
            None => {}
        }
        if is_new {
            if self.reader.wants_nothing() {
                // An alert may follow: a client's certificate that is missed, say.
                self.is_enough = true;
                self.until = self.until.min(Instant::now() + LINGER);
            }
            self.say();
        }
        if !plain.is_empty()
            && let Some(end) = self.hear(&plain)
        {
            return Some(end);
        }
        is_closed.then(|| self.reader.closed(&mut self.exchange))
    }
}
