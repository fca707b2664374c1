//! Path patterns as glob(3) expands them for nginx: no flags, C locale. It asks for directory listings and does
//! no I/O itself.

use std::path::PathBuf;

use bstr::{BString, ByteSlice as _};

use crate::include::Lookup;

/// How the names in a directory are learned; the path ends with a slash.
type Listing<'l> = &'l dyn Fn(&[u8]) -> Lookup<Vec<Vec<u8>>>;

/// What became of a pattern.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Matches {
    /// In the order of glob(3).
    pub(crate) paths: Vec<BString>,
    /// Directories whose listing is not known yet.
    pub(crate) wanted: Vec<PathBuf>,
}

/// Whether nginx hands this name to glob(3).
pub(crate) fn is_pattern(path: &[u8]) -> bool {
    path.find_byteset(b"*?[").is_some()
}

/// Expands an absolute pattern. A directory that cannot be read matches nothing, as with glob(3).
pub(crate) fn expand(pattern: &[u8], list: Listing<'_>) -> Matches {
    let mut matches = Matches::default();
    let mut found: Vec<BString> = vec![BString::default()];
    let mut components = pattern.split(|&byte| byte == b'/').peekable();
    // The empty component before the first slash.
    components.next_if(|first| first.is_empty());
    while let Some(component) = components.next() {
        let is_last = components.peek().is_none();
        let mut next = Vec::new();
        for prefix in found {
            let mut dir = prefix;
            dir.push(b'/');
            if !has_wildcard(component) && !is_last {
                dir.extend_from_slice(&unescape(component));
                next.push(dir);
                continue;
            }
            match list(&dir) {
                Lookup::Found(names) => {
                    next.extend(names_matching(component, names).map(|name| join(&dir, &name)));
                }
                Lookup::Failed(_) => {}
                Lookup::Wanted => matches.wanted.push(crate::include::path_of(&dir)),
            }
        }
        found = next;
    }
    found.sort();
    found.dedup();
    matches.paths = found;
    matches
}

/// Whether glob(3) would give this path for the pattern, if the path exists.
pub(crate) fn matches_path(pattern: &[u8], path: &[u8]) -> bool {
    let mut names = path.split(|&byte| byte == b'/');
    let fits = pattern.split(|&byte| byte == b'/').all(|component| {
        names
            .next()
            .is_some_and(|name| matches_name(component, name))
    });
    fits && names.next().is_none()
}

fn join(dir: &BString, name: &[u8]) -> BString {
    let mut path = dir.clone();
    path.extend_from_slice(name);
    path
}

fn names_matching(component: &[u8], mut names: Vec<Vec<u8>>) -> impl Iterator<Item = Vec<u8>> {
    // readdir() gives these two; listings leave them out. Only a pattern with a leading dot can match them.
    names.retain(|name| name != b"." && name != b"..");
    names.extend([b".".to_vec(), b"..".to_vec()]);
    let literal = if has_wildcard(component) {
        None
    } else {
        Some(unescape(component))
    };
    names.into_iter().filter(move |name| match &literal {
        Some(literal) => name == literal,
        None => matches_name(component, name),
    })
}

/// Whether the component is a pattern: a `[` without its `]` is not one.
fn has_wildcard(component: &[u8]) -> bool {
    let mut escaped = false;
    let mut open = false;
    for &byte in component {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'*' | b'?' => return true,
            b'[' => open = true,
            b']' if open => return true,
            _ => {}
        }
    }
    false
}

fn unescape(component: &[u8]) -> Vec<u8> {
    let mut literal = Vec::with_capacity(component.len());
    let mut bytes = component.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte == b'\\' {
            literal.extend(bytes.next());
        } else {
            literal.push(byte);
        }
    }
    literal
}

/// fnmatch(3) for one name, with `FNM_PERIOD`.
fn matches_name(pattern: &[u8], name: &[u8]) -> bool {
    if name.starts_with(b".") && !pattern.starts_with(b".") && !pattern.starts_with(b"\\.") {
        return false;
    }
    matches_rest(pattern, name)
}

/// Greedy with one point of return: only the last `*` ever needs to give way.
fn matches_rest(pattern: &[u8], name: &[u8]) -> bool {
    let (mut pattern_at, mut name_at) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let rest = pattern.get(pattern_at..).unwrap_or_default();
        let byte = name.get(name_at).copied();
        if rest.is_empty() && byte.is_none() {
            return true;
        }
        if rest.first() == Some(&b'*') {
            pattern_at += 1;
            retry = Some((pattern_at, name_at));
            continue;
        }
        if let Some(len) = byte.and_then(|byte| matches_one(rest, byte)) {
            pattern_at += len;
            name_at += 1;
            continue;
        }
        match retry {
            Some((after_star, from)) if from < name.len() => {
                retry = Some((after_star, from + 1));
                (pattern_at, name_at) = (after_star, from + 1);
            }
            _ => return false,
        }
    }
}

/// The length of the pattern's first element if it matches this byte.
fn matches_one(pattern: &[u8], byte: u8) -> Option<usize> {
    match pattern {
        [b'?', ..] => Some(1),
        [b'[', set @ ..] => match matches_set(set, byte) {
            Some((matched, len)) => matched.then_some(len + 1),
            // Without its `]` a bracket is a plain byte.
            None => (byte == b'[').then_some(1),
        },
        [b'\\', next, ..] => (*next == byte).then_some(2),
        [first, ..] => (*first == byte).then_some(1),
        [] => None,
    }
}

/// Whether the set (what follows `[`) holds the byte, and the set's length with its `]`.
fn matches_set(set: &[u8], byte: u8) -> Option<(bool, usize)> {
    let negated = matches!(set.first(), Some(b'!' | b'^'));
    let mut at = usize::from(negated);
    let mut matched = false;
    let mut is_first = true;
    loop {
        let low = *set.get(at)?;
        if low == b']' && !is_first {
            return Some((matched != negated, at + 1));
        }
        is_first = false;
        if let Some((in_class, len)) = class(set.get(at..)?, byte) {
            matched |= in_class;
            at += len;
            continue;
        }
        let (low, after_low) = literal(set, at)?;
        at = after_low;
        let is_range =
            set.get(at) == Some(&b'-') && set.get(at + 1).is_some_and(|&next| next != b']');
        if is_range {
            let (high, after_high) = literal(set, at + 1)?;
            at = after_high;
            matched |= (low..=high).contains(&byte);
        } else {
            matched |= low == byte;
        }
    }
}

fn literal(set: &[u8], at: usize) -> Option<(u8, usize)> {
    match *set.get(at)? {
        b'\\' => Some((*set.get(at + 1)?, at + 2)),
        byte => Some((byte, at + 1)),
    }
}

/// `[:alpha:]` and the like at the start of this text: whether the byte is in it, and its length.
fn class(set: &[u8], byte: u8) -> Option<(bool, usize)> {
    let rest = set.strip_prefix(b"[:")?;
    let len = memchr::memmem::find(rest, b":]")?;
    let is_member = match rest.get(..len)? {
        b"alpha" => byte.is_ascii_alphabetic(),
        b"digit" => byte.is_ascii_digit(),
        b"alnum" => byte.is_ascii_alphanumeric(),
        b"upper" => byte.is_ascii_uppercase(),
        b"lower" => byte.is_ascii_lowercase(),
        b"space" => byte.is_ascii_whitespace() || byte == 0x0b,
        b"blank" => byte == b' ' || byte == b'\t',
        b"punct" => byte.is_ascii_punctuation(),
        b"xdigit" => byte.is_ascii_hexdigit(),
        b"print" => byte.is_ascii_graphic() || byte == b' ',
        b"graph" => byte.is_ascii_graphic(),
        b"cntrl" => byte.is_ascii_control(),
        _ => return None,
    };
    Some((is_member, len + 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match_as_with_fnmatch() {
        for (pattern, name, expected) in [
            ("*", "a", true),
            ("*", ".a", false),
            (".*", ".a", true),
            ("*.conf", "a.conf", true),
            ("*.conf", ".conf", false),
            ("*.conf", "a.conf~", false),
            ("a*b*c", "axbxbxc", true),
            ("a*b*c", "axbx", false),
            ("?", "ab", false),
            ("[ab]x", "bx", true),
            ("[!ab]x", "bx", false),
            ("[^ab]x", "cx", true),
            ("[a-c]", "b", true),
            ("[a-]", "-", true),
            ("[]a]", "]", true),
            ("[[:digit:]]*", "10-x", true),
            ("[[:digit:]]*", "x", false),
            ("[ab", "[ab", true),
            ("a\\*", "a*", true),
            ("a\\*", "ab", false),
            ("", "", true),
        ] {
            assert_eq!(
                matches_name(pattern.as_bytes(), name.as_bytes()),
                expected,
                "{pattern} {name}"
            );
        }
    }

    fn expand_in(pattern: &str, dirs: &[(&str, &[&str])]) -> Matches {
        expand(
            pattern.as_bytes(),
            &|dir| match dirs.iter().find(|(path, _)| dir == path.as_bytes()) {
                Some((_, names)) => {
                    Lookup::Found(names.iter().map(|name| name.as_bytes().to_vec()).collect())
                }
                None => Lookup::Failed(2),
            },
        )
    }

    #[test]
    fn paths_are_sorted_whole_by_bytes() {
        let dirs: [(&str, &[&str]); 3] = [
            ("/e/", &["b", "a", "a-b", "f"]),
            ("/e/a/", &["z.conf", "B.conf", ".h.conf"]),
            ("/e/a-b/", &["c.conf"]),
        ];
        for (pattern, expected) in [
            (
                "/e/*/*.conf",
                &["/e/a-b/c.conf", "/e/a/B.conf", "/e/a/z.conf"][..],
            ),
            ("/e/*/c.conf", &["/e/a-b/c.conf"]),
            ("/e/[a]/z.con?", &["/e/a/z.conf"]),
            ("/e/[ab", &[]),
            ("/none/*", &[]),
            ("/e/?", &["/e/a", "/e/b", "/e/f"]),
        ] {
            assert_eq!(expand_in(pattern, &dirs).paths, expected, "{pattern}");
        }
    }

    #[test]
    fn a_path_matches_by_components() {
        for (pattern, path, expected) in [
            ("/e/*.conf", "/e/a.conf", true),
            ("/e/*.conf", "/e/d/a.conf", false),
            ("/e/*/a", "/e/d/a", true),
            ("/e/*", "/e", false),
            ("/e/*", "/e/.a", false),
        ] {
            assert_eq!(
                matches_path(pattern.as_bytes(), path.as_bytes()),
                expected,
                "{pattern} {path}"
            );
        }
    }

    #[test]
    fn unknown_directories_are_wanted() {
        let matches = expand(b"/e/*/x", &|_| Lookup::Wanted);
        assert_eq!(matches.wanted, [PathBuf::from("/e/")]);
    }
}
