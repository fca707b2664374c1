//! Finds the names of a host's owner where it is known that one stands.

use std::path::Path;

use facts::{Answer, Hello, ProbeRequest, Record};
use memchr::memmem;
use serde_json::Value;

use super::{Form, Redaction, is_person, name, request, runtime};
use crate::Meta;

impl Redaction {
    pub(super) fn learn(&mut self, meta: &Meta, records: &[(ProbeRequest, Record)]) {
        self.hostname = meta.hostname.as_bytes().to_vec();
        self.names.learn_host(meta.hostname.as_bytes());
        self.homes(meta.options.to_string().as_bytes());
        for (request, record) in records {
            self.of_request(request);
            let texts: [&[u8]; 2] = match &record.answer {
                Answer::File { bytes, .. } | Answer::Bytes(bytes) => [bytes, &[]],
                Answer::Exit { stdout, stderr, .. } => [stdout, stderr],
                Answer::Errno(_) | Answer::TimedOut | Answer::NotRecorded => continue,
            };
            for text in texts {
                self.of_answer(request, text);
            }
        }
    }

    fn of_request(&mut self, request: &ProbeRequest) {
        self.homes(request.to_string().as_bytes());
        match request {
            ProbeRequest::Handshake {
                hello: Hello::Tls {
                    name: Some(name), ..
                },
                ..
            }
            | ProbeRequest::Dns { name, .. } => self.names.learn_host(name.as_bytes()),
            ProbeRequest::Command { argv } | ProbeRequest::CommandIn { argv, .. } => {
                if let [program, _, name] = argv.as_slice()
                    && program == "getent"
                {
                    self.names.learn_host(name.as_bytes());
                }
            }
            _ => {}
        }
    }

    fn of_answer(&mut self, request: &ProbeRequest, text: &[u8]) {
        if matches!(
            Form::of(request),
            Form::Inet | Form::Dns | Form::Handshake | Form::Plain | Form::Hexadecimal
        ) {
            return;
        }
        self.homes(text);
        match request {
            ProbeRequest::File { .. } | ProbeRequest::MarkedLinesSince { .. }
                if matches!(Form::of(request), Form::DockerLog) =>
            {
                self.of_log(&runtime::text(text));
            }
            ProbeRequest::File { path, .. } => self.of_file(path, text),
            ProbeRequest::LinesSince { .. } if matches!(Form::of(request), Form::CriLog) => {
                self.of_log(&runtime::whole(text));
            }
            ProbeRequest::LinesSince { .. }
            | ProbeRequest::Command { .. }
            | ProbeRequest::CommandIn { .. } => {
                self.of_log(text);
            }
            _ => {}
        }
    }

    fn of_file(&mut self, path: &Path, text: &[u8]) {
        match &*name(path) {
            "hostname" => self.names.learn_host(text.trim_ascii()),
            "passwd" => self.of_accounts(text),
            "hosts" => {
                for line in lines(text) {
                    for host in words(line).skip(1) {
                        self.names.learn_host(host);
                    }
                }
            }
            "resolv.conf" => {
                for line in lines(text) {
                    let mut words = words(line);
                    if matches!(words.next(), Some(b"search" | b"domain")) {
                        words.for_each(|domain| self.names.learn_host(domain));
                    }
                }
            }
            _ if path.starts_with("/proc") => {}
            _ => {
                request::locations(text, &mut self.locations);
                self.of_settings(text);
            }
        }
    }

    /// nginx's configuration, a pool's, a unit's.
    fn of_settings(&mut self, text: &[u8]) {
        let mut is_names = false;
        for line in lines(text) {
            self.urls(line);
            for statement in line.split_inclusive(|byte| matches!(byte, b';' | b'{' | b'}')) {
                let mut words = words(statement);
                if !is_names {
                    match words.next() {
                        Some(b"server_name") => is_names = true,
                        Some(b"server" | b"resolver" | b"proxy_ssl_name" | b"grpc_ssl_name") => {
                            words.by_ref().take(1).for_each(|host| self.dialled(host));
                        }
                        Some(b"user") => words
                            .by_ref()
                            .take(2)
                            .filter(|word| *word != b"=")
                            .for_each(|user| self.names.learn(user)),
                        Some(word) => {
                            if let Some(user) = word.strip_prefix(b"User=") {
                                self.names.learn(user);
                            }
                        }
                        None => {}
                    }
                }
                if is_names {
                    words.for_each(|name| self.server_name(name));
                    is_names = !statement.ends_with(b";");
                }
            }
        }
    }

    fn server_name(&mut self, name: &[u8]) {
        let name = name.strip_prefix(b".").unwrap_or(name);
        let name = name.strip_prefix(b"*.").unwrap_or(name);
        match name.strip_prefix(b"~") {
            None => self.names.learn_host(name),
            Some(pattern) => pattern
                .split(|byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b'-' | b'_'))
                .filter(|word| word.len() > 3)
                .for_each(|word| self.names.learn(word)),
        }
    }

    /// A host with its port, unless it is an address or a socket.
    fn dialled(&mut self, address: &[u8]) {
        let host = address
            .split(|&byte| byte == b':')
            .next()
            .unwrap_or_default();
        let is_name = host != b"unix" && host.first().is_some_and(u8::is_ascii_alphabetic);
        if is_name {
            self.names.learn_host(host);
        }
    }

    fn of_log(&mut self, text: &[u8]) {
        for line in text.split(|&byte| byte == b'\n') {
            for (mark, end) in [(&b", server: "[..], b','), (b", host: \"", b'"')] {
                for at in memmem::find_iter(line, mark) {
                    let value = line.get(at + mark.len()..).unwrap_or_default();
                    let value = value.split(|&byte| byte == end).next().unwrap_or_default();
                    self.dialled(
                        value
                            .split(u8::is_ascii_whitespace)
                            .next()
                            .unwrap_or_default(),
                    );
                }
            }
            self.urls(line);
            // `$remote_addr - $remote_user [`
            let mut fields = runtime::untagged(line).split(|&byte| byte == b' ');
            if let (Some(_), Some(b"-"), Some(user), Some([b'[', ..])) =
                (fields.next(), fields.next(), fields.next(), fields.next())
            {
                self.names.learn(user);
            }
            if line.starts_with(b"{")
                && let Ok(Value::Object(entry)) = serde_json::from_slice(line)
                && let Some(host) = entry.get("_HOSTNAME").and_then(Value::as_str)
            {
                self.names.learn_host(host.as_bytes());
            }
        }
    }

    /// The hosts of URLs.
    fn urls(&mut self, line: &[u8]) {
        for at in memmem::find_iter(line, "://") {
            let rest = line.get(at + 3..).unwrap_or_default();
            let end = rest
                .iter()
                .position(|byte| !byte.is_ascii_alphanumeric() && !b"-_.@*:".contains(byte))
                .unwrap_or(rest.len());
            let authority = rest.get(..end).unwrap_or_default();
            self.dialled(
                authority
                    .rsplit(|&byte| byte == b'@')
                    .next()
                    .unwrap_or_default(),
            );
        }
    }

    fn of_accounts(&mut self, text: &[u8]) {
        for line in text.split(|&byte| byte == b'\n') {
            let fields: Vec<&[u8]> = line.split(|&byte| byte == b':').collect();
            if let [user, _, uid, ..] = fields.as_slice()
                && is_person(uid)
            {
                self.names.learn(user);
            }
        }
    }

    /// `/home/NAME`.
    fn homes(&mut self, text: &[u8]) {
        for at in memmem::find_iter(text, "/home/") {
            let rest = text.get(at + 6..).unwrap_or_default();
            let end = rest
                .iter()
                .position(|byte| !byte.is_ascii_alphanumeric() && !matches!(byte, b'-' | b'_'))
                .unwrap_or(rest.len());
            self.names.learn(rest.get(..end).unwrap_or_default());
        }
    }
}

/// Lines without their remarks.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == b'\n')
        .filter_map(|line| line.split(|&byte| byte == b'#').next())
        .filter(|line| !line.starts_with(b";"))
}

fn words(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(|byte| byte.is_ascii_whitespace() || b";{}".contains(byte))
        .filter(|word| !word.is_empty())
}
