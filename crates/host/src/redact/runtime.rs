//! What container runtimes keep: the text is taken out of its form, redacted, and put back.
//!
//! Docker's `json-file` has a JSON object a line, Kubernetes' runtimes have `TIME STREAM TAG TEXT`, where the tag `P` says
//! that the line goes on: those are put together, as a name may be cut in two.

use std::collections::BTreeMap;

use super::Redaction;
use super::request::Log;

/// How every line begins (moby, `daemon/logger/jsonfilelog/jsonlog`).
const START: &[u8] = b"{\"log\":";

/// The text of all lines, as the container wrote it.
pub(super) fn text(lines: &[u8]) -> Vec<u8> {
    lines
        .split(|&byte| byte == b'\n')
        .filter_map(parts)
        .flat_map(|(text, _)| text.into_bytes())
        .collect()
}

/// A line's text, and what stands behind it. A line that was cut has none.
fn parts(line: &[u8]) -> Option<(String, &[u8])> {
    let rest = line.strip_prefix(START)?;
    let mut texts = serde_json::Deserializer::from_slice(rest).into_iter::<String>();
    let text = texts.next()?.ok()?;
    Some((text, rest.get(texts.byte_offset()..)?))
}

/// Kubernetes' lines, each whole.
pub(super) fn whole(lines: &[u8]) -> Vec<u8> {
    let mut begun: BTreeMap<&[u8], Vec<u8>> = BTreeMap::new();
    let mut out = Vec::with_capacity(lines.len());
    for line in lines.split_inclusive(|&byte| byte == b'\n') {
        match tagged(line) {
            Some(part) if part.goes_on => {
                let text = part.text.strip_suffix(b"\n").unwrap_or(part.text);
                begun.entry(part.stream).or_default().extend(text);
            }
            Some(part) => {
                let start = begun.remove(part.stream).unwrap_or_default();
                out.extend([part.time, b" ", part.stream, b" F ", &start, part.text].concat());
            }
            None => out.extend(line),
        }
    }
    out
}

/// A line without what Kubernetes' runtimes put before it.
pub(super) fn untagged(line: &[u8]) -> &[u8] {
    tagged(line).map_or(line, |part| part.text)
}

/// A line of Kubernetes' runtimes.
struct Part<'a> {
    time: &'a [u8],
    stream: &'a [u8],
    goes_on: bool,
    text: &'a [u8],
}

fn tagged(line: &[u8]) -> Option<Part<'_>> {
    let mut fields = line.splitn(4, |&byte| byte == b' ');
    let (time, stream, tag) = (fields.next()?, fields.next()?, fields.next()?);
    let is_tagged = matches!(stream, b"stdout" | b"stderr") && matches!(tag, b"F" | b"P");
    is_tagged.then_some(Part {
        time,
        stream,
        goes_on: tag == b"P",
        text: fields.next()?,
    })
}

impl Redaction {
    pub(super) fn docker_log(&mut self, lines: &[u8]) -> Vec<u8> {
        let mut out = Vec::with_capacity(lines.len());
        for line in lines.split_inclusive(|&byte| byte == b'\n') {
            let Some((text, rest)) = parts(line) else {
                out.extend(self.log(line, Log::Access));
                continue;
            };
            let text = self.log(text.as_bytes(), Log::Access);
            let text = String::from_utf8_lossy(&text);
            out.extend(START);
            out.extend(serde_json::Value::from(&*text).to_string().into_bytes());
            out.extend(self.text(rest));
        }
        out
    }
}
