//! Makes records fit for others' eyes: names of hosts, sites and users, addresses, requests and e-mail addresses are
//! replaced, each by the same everywhere, in what was asked as in what was answered.
//!
//! What the records say of a failure must stay: ports, errors, times, programs, and which name or address is the same
//! as which. Whether it did is not known here: who redacts judges again.

mod address;
mod learn;
mod names;
mod request;
mod runtime;
mod scramble;
mod text;
mod wire;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::net::IpAddr;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use facts::{Answer, Conversation, Hello, PeerAddress, ProbeRequest, Record, SocketKind, Speech};
use memchr::memmem;
use serde_json::Value;

use crate::Meta;
use names::Names;
use request::Log;
use scramble::Scramble;

/// A capture's description and records, redacted. The key of the replacements is drawn anew and kept nowhere.
pub fn redact(
    meta: &Meta,
    records: &[(ProbeRequest, Record)],
) -> (Meta, Vec<(ProbeRequest, Record)>) {
    let mut redaction = Redaction::default();
    redaction.learn(meta, records);
    let records = records
        .iter()
        .map(|(request, record)| {
            let answer = redaction.answer(request, &record.answer);
            (
                redaction.request(request),
                Record {
                    at: record.at,
                    answer,
                },
            )
        })
        .collect();
    let meta = Meta {
        captured_at: meta.captured_at,
        hostname: redaction.hostname(&meta.hostname),
        options: redaction.options(&meta.options),
    };
    (meta, records)
}

/// What is replaced, and by what.
#[derive(Debug, Default)]
struct Redaction {
    scramble: Scramble,
    names: Names,
    hostname: Vec<u8>,
    /// Words of the configuration's locations.
    locations: BTreeSet<Vec<u8>>,
}

/// What a record's bytes are.
enum Form {
    Text,
    Log(Log),
    /// Docker's `json-file`: a log of both kinds, in JSON.
    DockerLog,
    /// The same of Kubernetes' runtimes.
    CriLog,
    /// `sock_diag` messages of TCP sockets.
    Inet,
    Dns,
    /// What a peer said, with its certificates.
    Handshake,
    /// `/proc/net/if_inet6`: an address in hexadecimal begins each line.
    Hexadecimal,
    /// The host's own name, nothing else.
    Hostname,
    /// `passwd`: names and remarks.
    Accounts,
    /// Numbers of the kernel, a zone's transitions, a policy.
    Plain,
}

impl Form {
    fn of(request: &ProbeRequest) -> Self {
        match request {
            ProbeRequest::File { path, .. } => Self::of_file(path),
            ProbeRequest::LinesSince { path, from, .. } => {
                // What a container's runtime keeps begins with a time of its own, and holds both logs.
                if from.as_bytes().get(10) == Some(&b'T') {
                    return Self::CriLog;
                }
                let is_access = from.is_empty() || name(path).contains("access");
                Self::Log(if is_access { Log::Access } else { Log::Any })
            }
            ProbeRequest::MarkedLinesSince { .. } => Self::DockerLog,
            ProbeRequest::Command { .. } | ProbeRequest::CommandIn { .. } => Self::Log(Log::Any),
            ProbeRequest::Sockets { kind, .. } => match kind {
                SocketKind::UnixListening => Self::Text,
                SocketKind::TcpListening
                | SocketKind::TcpEstablished
                | SocketKind::TcpConnected => Self::Inet,
            },
            ProbeRequest::Dns { .. } => Self::Dns,
            ProbeRequest::Handshake { .. } => Self::Handshake,
            ProbeRequest::Request { .. } => Self::Text,
            // Certificates stand in it, in hexadecimal.
            ProbeRequest::Conversation(_) => Self::Handshake,
            ProbeRequest::SocketOwners
            | ProbeRequest::Connect { .. }
            | ProbeRequest::SelinuxAccess { .. } => Self::Plain,
            ProbeRequest::Directory { .. }
            | ProbeRequest::Link { .. }
            | ProbeRequest::Walk { .. }
            | ProbeRequest::FileSystem { .. }
            | ProbeRequest::Strings { .. }
            | ProbeRequest::Environment { .. }
            | ProbeRequest::NetfilterChains { .. } => Self::Text,
        }
    }

    fn of_file(path: &Path) -> Self {
        if path.starts_with("/sys/fs/selinux") || path.starts_with("/usr/share/zoneinfo") {
            return Self::Plain;
        }
        let name = name(path);
        match &*name {
            "localtime" => Self::Plain,
            "if_inet6" => Self::Hexadecimal,
            "hostname" => Self::Hostname,
            "passwd" => Self::Accounts,
            name if name.ends_with("-json.log") => Self::DockerLog,
            name if name.contains(".log") || name == "syslog" || name == "messages" => {
                Self::Log(Log::Any)
            }
            _ => Self::Text,
        }
    }
}

fn name(path: &Path) -> std::borrow::Cow<'_, str> {
    path.file_name().unwrap_or_default().to_string_lossy()
}

impl Redaction {
    fn answer(&mut self, request: &ProbeRequest, answer: &Answer) -> Answer {
        let form = Form::of(request);
        match answer {
            Answer::File { bytes, cut, stat } => Answer::File {
                bytes: self.bytes(&form, bytes),
                cut: *cut,
                stat: *stat,
            },
            Answer::Bytes(bytes) => Answer::Bytes(self.bytes(&form, bytes)),
            Answer::Exit {
                code,
                stdout,
                stderr,
            } => Answer::Exit {
                code: *code,
                stdout: self.bytes(&form, stdout),
                stderr: self.bytes(&form, stderr),
            },
            Answer::Errno(_) | Answer::TimedOut | Answer::NotRecorded => answer.clone(),
        }
    }

    fn bytes(&mut self, form: &Form, bytes: &[u8]) -> Vec<u8> {
        match form {
            Form::Text => {
                let text = self.text(bytes);
                without_certificates(text)
            }
            Form::Handshake => greeting(bytes),
            Form::Log(log) => self.log(bytes, *log),
            Form::DockerLog => self.docker_log(bytes),
            Form::CriLog => self.log(&runtime::whole(bytes), Log::Access),
            Form::Inet => {
                let mut bytes = bytes.to_vec();
                self.inet(&mut bytes);
                bytes
            }
            Form::Dns => self.dns(bytes).unwrap_or_default(),
            Form::Hexadecimal => self.hexadecimal(bytes),
            Form::Hostname => self.hostname(&String::from_utf8_lossy(bytes)).into_bytes(),
            Form::Accounts => self.accounts(bytes),
            Form::Plain => bytes.to_vec(),
        }
    }

    /// What stands in its text is replaced, what does not goes.
    fn conversation(&mut self, held: &mut Conversation) {
        self.peer(&mut held.to);
        if let Some(Hello::Tls {
            name: Some(name), ..
        }) = &mut held.tls
        {
            *name = self.string(name);
        }
        match &mut held.speech {
            Speech::Http(get) => {
                get.target = self.target(&get.target);
                get.headers.clear();
            }
            Speech::FastCgi(params) | Speech::Uwsgi(params) | Speech::Scgi(params) => {
                params.retain(|(name, _)| name == "REQUEST_URI");
                for (_, value) in params {
                    *value = self.target(value);
                }
            }
            Speech::GrpcHealth { authority } => *authority = self.string(authority),
            Speech::Hello(Hello::Tls {
                name: Some(name), ..
            }) => *name = self.string(name),
            Speech::Nothing | Speech::Memcached | Speech::Hello(_) => {}
        }
    }

    fn request(&mut self, request: &ProbeRequest) -> ProbeRequest {
        let mut request = request.clone();
        match &mut request {
            ProbeRequest::File { path, .. }
            | ProbeRequest::LinesSince { path, .. }
            | ProbeRequest::MarkedLinesSince { path, .. }
            | ProbeRequest::Directory { path, .. }
            | ProbeRequest::Link { path }
            | ProbeRequest::Walk { path, .. }
            | ProbeRequest::FileSystem { path, .. }
            | ProbeRequest::Strings { path, .. } => *path = self.path(path),
            ProbeRequest::Connect { to, .. } => self.peer(to),
            ProbeRequest::Handshake { to, hello, .. } => {
                self.peer(to);
                if let Hello::Tls {
                    name: Some(name), ..
                } = hello
                {
                    *name = self.string(name);
                }
            }
            ProbeRequest::Request { to, get, .. } => {
                self.peer(to);
                get.target = self.target(&get.target);
                // They are no part of the request's text.
                get.headers.clear();
                if let Some(Hello::Tls { name, .. }) = &mut get.tls {
                    *name = None;
                }
            }
            ProbeRequest::Conversation(held) => self.conversation(held),
            ProbeRequest::Dns { server, name, .. } => {
                server.set_ip(self.ip(server.ip()));
                *name = self.string(name);
            }
            ProbeRequest::Command { argv } | ProbeRequest::CommandIn { argv, .. } => {
                for argument in argv {
                    *argument = self.string(argument);
                }
            }
            ProbeRequest::Environment { .. }
            | ProbeRequest::Sockets { .. }
            | ProbeRequest::SocketOwners
            | ProbeRequest::NetfilterChains { .. }
            | ProbeRequest::SelinuxAccess { .. } => {}
        }
        request
    }

    fn ip(&self, ip: IpAddr) -> IpAddr {
        address::ip(&self.scramble, ip)
    }

    fn peer(&mut self, peer: &mut PeerAddress) {
        match peer {
            PeerAddress::Tcp(address) => address.set_ip(self.ip(address.ip())),
            PeerAddress::Unix(path) => *path = self.path(path),
        }
    }

    fn path(&mut self, path: &Path) -> PathBuf {
        OsString::from_vec(self.text(path.as_os_str().as_bytes())).into()
    }

    /// The host's name as a whole: one that is too short, or too common a word, stays elsewhere.
    fn hostname(&mut self, name: &str) -> String {
        let trimmed = name.trim_end();
        if trimmed.as_bytes() != self.hostname || trimmed.is_empty() || trimmed == "localhost" {
            return self.string(name);
        }
        let end = name.get(trimmed.len()..).unwrap_or_default();
        let replaced = self.string(trimmed);
        let replaced = if replaced == trimmed {
            String::from_utf8_lossy(&self.words(trimmed.as_bytes())).into_owned()
        } else {
            replaced
        };
        format!("{replaced}{end}")
    }

    fn options(&mut self, options: &Value) -> Value {
        match options {
            Value::String(text) => Value::String(self.string(text)),
            Value::Array(values) => values.iter().map(|value| self.options(value)).collect(),
            Value::Object(fields) => {
                let fields = fields.iter().map(|(name, value)| {
                    let value = match (name.as_str(), value) {
                        ("request", Value::String(url)) => Value::String(self.url(url)),
                        _ => self.options(value),
                    };
                    (name.clone(), value)
                });
                Value::Object(fields.collect())
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => options.clone(),
        }
    }

    fn hexadecimal(&self, text: &[u8]) -> Vec<u8> {
        let line = |line: &[u8]| {
            let mapped = std::str::from_utf8(line)
                .ok()
                .and_then(|line| line.split_at_checked(32))
                .and_then(|(address, rest)| {
                    let address = u128::from_str_radix(address, 16).ok()?;
                    match self.ip(IpAddr::V6(address.into())) {
                        IpAddr::V6(mapped) => Some(format!("{:032x}{rest}", u128::from(mapped))),
                        IpAddr::V4(_) => None,
                    }
                });
            mapped.map_or_else(|| line.to_vec(), String::into_bytes)
        };
        text.split(|&byte| byte == b'\n')
            .map(line)
            .collect::<Vec<_>>()
            .join(&b'\n')
    }

    /// The remark of an account is a person's name: it goes as a whole.
    fn accounts(&mut self, text: &[u8]) -> Vec<u8> {
        let mut lines = Vec::new();
        for line in text.split(|&byte| byte == b'\n') {
            let mut fields: Vec<Vec<u8>> = line
                .split(|&byte| byte == b':')
                .map(|field| self.text(field))
                .collect();
            let is_person = fields.get(2).is_some_and(|uid| is_person(uid));
            if let Some(remark) = fields.get_mut(4).filter(|_| is_person) {
                *remark = self.words(remark);
            }
            lines.push(fields.join(&b':'));
        }
        lines.join(&b'\n')
    }
}

/// A certificate names its owner, and where names were replaced it would no longer be one.
fn without_certificates(mut text: Vec<u8>) -> Vec<u8> {
    let mut at = 0;
    while let Some(found) = text
        .get(at..)
        .and_then(|rest| memmem::find(rest, b"CERTIFICATE-----"))
    {
        let start = at + found + b"CERTIFICATE-----".len();
        let body = text.get_mut(start..).unwrap_or_default();
        let length = memmem::find(body, b"-----").unwrap_or(body.len());
        for byte in body
            .iter_mut()
            .take(length)
            .filter(|byte| !byte.is_ascii_whitespace())
        {
            *byte = b'*';
        }
        let end = memmem::find(body, b"CERTIFICATE-----")
            .map_or(length, |end| end + b"CERTIFICATE-----".len());
        at = start + end.max(1);
    }
    text
}

/// The lines that hold no bytes of the peer's own choice.
fn greeting(text: &[u8]) -> Vec<u8> {
    text.split_inclusive(|&byte| byte == b'\n')
        .filter(|line| !line.starts_with(b"certificate "))
        .flatten()
        .copied()
        .collect()
}

/// Numbers below 1000 are the system's own, and 65534 nobody's.
fn is_person(uid: &[u8]) -> bool {
    std::str::from_utf8(uid)
        .ok()
        .and_then(|uid| uid.parse::<u32>().ok())
        .is_some_and(|uid| uid >= 1000 && uid != 65534)
}

#[cfg(test)]
mod tests;
