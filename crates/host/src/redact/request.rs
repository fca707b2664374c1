//! What clients asked for: the paths, queries and referrers in logs.
//!
//! Words that the configuration's locations have stay, so that a request goes on belonging to its location.

use std::collections::BTreeSet;

use memchr::memmem;

use super::Redaction;

const METHODS: [&[u8]; 9] = [
    b"GET ",
    b"POST ",
    b"HEAD ",
    b"PUT ",
    b"PATCH ",
    b"DELETE ",
    b"OPTIONS ",
    b"TRACE ",
    b"CONNECT ",
];

/// Fields of an error log that hold what a client sent, or an address with it.
const FIELDS: [&[u8]; 4] = [
    b"request: \"",
    b"subrequest: \"",
    b"upstream: \"",
    b"referrer: \"",
];

/// Which text may hold a request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Log {
    /// Requests stand behind their method, and in nginx's own fields.
    Any,
    /// Whatever is quoted and begins like a path is one too.
    Access,
}

impl Redaction {
    /// A log with the requests in it replaced, line by line.
    pub(super) fn log(&mut self, text: &[u8], log: Log) -> Vec<u8> {
        let mut out = Vec::with_capacity(text.len());
        for line in text.split_inclusive(|&byte| byte == b'\n') {
            let line = self.line(line, log);
            out.extend(self.text(&line));
        }
        out
    }

    fn line(&mut self, line: &[u8], log: Log) -> Vec<u8> {
        let mut out = Vec::with_capacity(line.len());
        let mut paths = Vec::new();
        let mut at = 0;
        while let Some(rest) = line.get(at..).filter(|rest| !rest.is_empty()) {
            let before = at
                .checked_sub(1)
                .and_then(|before| line.get(before))
                .copied();
            let begins = before.is_none_or(|byte| !byte.is_ascii_alphanumeric());
            let (length, replaced) = match found(rest, before, begins, log) {
                Some((skip, uri)) => {
                    let from = rest.get(skip..skip + uri).unwrap_or_default();
                    let to = self.uri(from);
                    paths.push(
                        from.split(|byte| matches!(byte, b'?' | b'#'))
                            .next()
                            .unwrap_or(from)
                            .to_vec(),
                    );
                    let mut replaced = rest.get(..skip).unwrap_or_default().to_vec();
                    replaced.extend(to);
                    (skip + uri, replaced)
                }
                None => (1, rest.get(..1).unwrap_or_default().to_vec()),
            };
            out.extend(replaced);
            at += length;
        }
        self.elsewhere(out, &paths)
    }

    /// Path and query of a request that why502 sent.
    pub(super) fn target(&mut self, target: &str) -> String {
        let replaced = self.uri(target.as_bytes());
        let replaced = self.text(&replaced);
        String::from_utf8_lossy(&replaced).into_owned()
    }

    /// The URL of such a request.
    pub(super) fn url(&mut self, url: &str) -> String {
        let (origin, target) = url
            .split_at_checked(origin(url.as_bytes()))
            .unwrap_or((url, ""));
        format!("{}{}", self.string(origin), self.target(target))
    }

    fn uri(&mut self, uri: &[u8]) -> Vec<u8> {
        let skip = origin(uri);
        let (head, uri) = uri.split_at_checked(skip).unwrap_or((uri, &[]));
        let end = uri
            .iter()
            .position(|byte| matches!(byte, b'?' | b'#'))
            .unwrap_or(uri.len());
        let (path, query) = uri.split_at_checked(end).unwrap_or((uri, &[]));
        let locations = std::mem::take(&mut self.locations);
        let extension = extension(path);
        let keep = |word: &[u8]| locations.contains(word) || extension == Some(word);
        let mut out = head.to_vec();
        out.extend(self.each_word(path, keep));
        out.extend(self.words(query));
        self.locations = locations;
        out
    }

    /// The same paths where nginx's message names the file that it made of them.
    fn elsewhere(&mut self, mut line: Vec<u8>, paths: &[Vec<u8>]) -> Vec<u8> {
        for path in paths.iter().filter(|path| path.len() > 2) {
            let to = self.uri(path);
            let mut from = 0;
            while let Some(found) = line.get(from..).and_then(|rest| memmem::find(rest, path)) {
                let start = from + found;
                line.splice(start..start + path.len(), to.iter().copied());
                from = start + to.len();
            }
        }
        line
    }
}

/// Where a request begins, and how long it is.
fn found(rest: &[u8], before: Option<u8>, begins: bool, log: Log) -> Option<(usize, usize)> {
    let quoted = |text: &[u8]| {
        text.iter()
            .take_while(|byte| !matches!(byte, b'"' | b'\n'))
            .count()
    };
    let plain = |text: &[u8]| {
        text.iter()
            .take_while(|byte| !byte.is_ascii_whitespace() && !matches!(byte, b'"' | b'\''))
            .count()
    };
    if !begins {
        return None;
    }
    if let Some(method) = METHODS.iter().find(|method| rest.starts_with(method)) {
        let uri = rest.get(method.len()..)?;
        let is_uri =
            uri.starts_with(b"/") || memmem::find(uri.get(..16).unwrap_or(uri), b"://").is_some();
        return is_uri.then(|| (method.len(), plain(uri)));
    }
    if let Some(field) = FIELDS.iter().find(|field| rest.starts_with(field)) {
        let value = rest.get(field.len()..)?;
        let skip = match METHODS.iter().find(|method| value.starts_with(method)) {
            Some(_) => return None,
            None => field.len() + origin(value),
        };
        return Some((skip, quoted(rest.get(skip..)?)));
    }
    let is_quoted = log == Log::Access && before == Some(b'"');
    let is_path =
        rest.starts_with(b"/") || rest.starts_with(b"http://") || rest.starts_with(b"https://");
    (is_quoted && is_path).then(|| {
        let skip = origin(rest);
        (skip, quoted(rest.get(skip..).unwrap_or_default()))
    })
}

/// The words of the locations of a configuration.
pub(super) fn locations(conf: &[u8], words: &mut BTreeSet<Vec<u8>>) {
    for line in conf.split(|byte| matches!(byte, b'\n' | b'{' | b'}' | b';')) {
        let Some(pattern) = line.trim_ascii_start().strip_prefix(b"location") else {
            continue;
        };
        words.extend(
            pattern
                .split(|byte| !byte.is_ascii_alphanumeric())
                .filter(|word| !word.is_empty())
                .map(<[u8]>::to_vec),
        );
    }
}

/// The length of what stands before a URI's path: `http://127.0.0.1:8000`, `fastcgi://unix:/run/php.sock:`.
fn origin(text: &[u8]) -> usize {
    let Some(scheme) = memmem::find(text.get(..16).unwrap_or(text), b"://") else {
        return 0;
    };
    let start = scheme + 3;
    let rest = text.get(start..).unwrap_or_default();
    let end = match rest.strip_prefix(b"unix:") {
        // The path goes up to the next colon; without one it is all there is.
        Some(path) => {
            let end = path.iter().position(|byte| b":\" \n".contains(byte));
            let end = 5 + end.unwrap_or(path.len());
            end + usize::from(rest.get(end) == Some(&b':'))
        }
        None => rest
            .iter()
            .position(|byte| b"/?#\" \n".contains(byte))
            .unwrap_or(rest.len()),
    };
    (start + end).min(text.len())
}

/// `php` of `/index.php`: which location takes a request may hang on it.
fn extension(path: &[u8]) -> Option<&[u8]> {
    let dot = path.iter().rposition(|&byte| byte == b'.')?;
    let extension = path.get(dot + 1..)?;
    let short = extension.len() <= 5 && extension.iter().all(u8::is_ascii_alphanumeric);
    (short && !extension.is_empty()).then_some(extension)
}
