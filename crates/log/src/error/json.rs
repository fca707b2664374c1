//! Angie's JSON error log (1.12 and later): one object a line, every value escaped on its own.
//!
//! Nothing can be forged within such a line, so its values are taken as they stand.

use super::action::While;
use super::errno::Errno;
use super::fields::{Context, Fields, Tail};
use super::{Carrier, Event, Head, Matched, assemble};
use crate::{Level, LocalTime};
use bstr::ByteSlice as _;
use serde_json::Value;

/// One object, owned.
#[derive(Clone, Debug)]
pub(super) struct Angie {
    head: Head,
    message: String,
    error: Option<(u16, String)>,
    action: Option<String>,
    context: Context,
    client: Option<String>,
    server: Option<String>,
    request: Option<String>,
    subrequest: Option<String>,
    upstream: Option<String>,
    host: Option<String>,
    referrer: Option<String>,
    truncated: bool,
}

impl Angie {
    /// `None` when it is no such object.
    pub(super) fn parse(line: &[u8]) -> Option<Self> {
        let object: Value = serde_json::from_str(&line.to_str_lossy()).ok()?;
        let level = Level::from_bytes(object.get("level")?.as_str()?.as_bytes())?;
        let message = object.get("message")?.as_str()?.to_owned();
        let (context, fields) = match (object.get("http"), object.get("stream")) {
            (Some(http), _) => (Context::Http, http),
            (None, Some(stream)) => (Context::Stream, stream),
            (None, None) => (Context::None, &Value::Null),
        };
        // Fields of the request stand one level deeper than those of the connection.
        let text = |key: &str| {
            let request = fields.get("request").unwrap_or(&Value::Null);
            let value = request
                .get(key)
                .or_else(|| fields.get(key))
                .or_else(|| object.get(key))?;
            Some(value.as_str()?.to_owned())
        };
        let number = |key: &str| object.get(key)?.as_u64();
        let error = || {
            let error = object.get("error")?;
            let code = u16::try_from(error.get("code")?.as_u64()?).ok()?;
            Some((code, error.get("message")?.as_str()?.to_owned()))
        };
        let time = object.get("time").and_then(Value::as_str).and_then(|time| {
            let time = time.as_bytes();
            LocalTime::parse(time)
                .or_else(|| LocalTime::parse_iso(time).filter(|_| !time.ends_with(b"Z")))
        });
        Some(Self {
            head: Head {
                time,
                level: Some(level),
                pid: number("pid").and_then(|pid| u32::try_from(pid).ok()),
                tid: number("tid"),
                connection: number("connection"),
            },
            message,
            error: error(),
            action: text("action"),
            context,
            client: text("client"),
            server: text("server"),
            request: text("request_line"),
            subrequest: text("subrequest"),
            upstream: text("upstream"),
            host: text("host"),
            referrer: text("referrer"),
            truncated: object
                .get("truncated")
                .and_then(Value::as_bool)
                .unwrap_or_default(),
        })
    }

    pub(super) fn event(&self) -> Event<'_> {
        let fields = Fields {
            context: self.context,
            client: field(self.client.as_ref()),
            server: field(self.server.as_ref()),
            request: field(self.request.as_ref()),
            subrequest: field(self.subrequest.as_ref()),
            upstream: self.upstream.as_deref().map(str::as_bytes),
            host: field(self.host.as_ref()),
            referrer: field(self.referrer.as_ref()),
            cut: self.truncated,
            ..Fields::NONE
        };
        let action = self.action.as_ref().and_then(|action| {
            let action = action.as_bytes();
            While::from_bytes(action.strip_prefix(b"while ").unwrap_or(action))
        });
        let errno = self.error.as_ref().map(|(number, text)| Errno {
            number: *number,
            text: text.as_bytes(),
        });
        let message = self.message.as_bytes();
        let matched = Matched {
            row: super::phrase(message),
            message,
            tail: Some(Tail {
                errno,
                action,
                fields,
            }),
            ambiguous: false,
        };
        Event {
            carrier: Carrier::AngieJson,
            ..assemble(self.head, matched, false)
        }
    }
}

fn field(value: Option<&String>) -> Option<&bstr::BStr> {
    value.map(|value| value.as_bytes().as_bstr())
}
