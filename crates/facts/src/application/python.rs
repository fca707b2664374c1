//! Assignments of literals in a Python file. Runs nothing: what is not a literal is said to be unknown.

use bstr::ByteSlice as _;

/// A value that stands in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Literal {
    Text(String),
    Number(i64),
    Flag(bool),
    None,
    List(Vec<String>),
}

/// A name that a file sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Assignment {
    pub(super) name: String,
    /// The value, if it is a literal and set in any case.
    pub(super) value: Option<Literal>,
    /// From 1.
    pub(super) line: usize,
}

/// The names that a file sets, in order. The name `*` stands for whatever `from ... import *` or `exec` may set.
pub(super) fn assignments(text: &[u8]) -> Vec<Assignment> {
    let text = text.to_str_lossy();
    let mut found = Vec::new();
    let mut in_function = false;
    for (line, statement) in statements(&text) {
        let is_nested = statement.starts_with([' ', '\t']);
        let code = statement.trim();
        if !is_nested {
            in_function = ["def ", "class ", "async def "]
                .iter()
                .any(|word| code.starts_with(word));
        }
        if code.is_empty() || (in_function && !code.starts_with("global ")) {
            continue;
        }
        let sets_anything =
            (code.starts_with("from ") && code.ends_with('*')) || code.starts_with("exec(");
        if sets_anything {
            found.push(Assignment {
                name: "*".to_owned(),
                value: None,
                line,
            });
        } else if let Some((name, value)) = assignment(code) {
            let value = (!is_nested).then(|| literal(value)).flatten();
            found.push(Assignment {
                name: name.to_owned(),
                value,
                line,
            });
        } else if let Some(names) = code.strip_prefix("global ") {
            let names = names.split(',').map(|name| Assignment {
                name: name.trim().to_owned(),
                value: None,
                line,
            });
            found.extend(names);
        }
    }
    found
}

/// `NAME = VALUE`, `NAME: type = VALUE`; `NAME += VALUE` and the like give a value that is no literal.
fn assignment(code: &str) -> Option<(&str, &str)> {
    let end = code.find(|c: char| !c.is_alphanumeric() && c != '_')?;
    let (name, rest) = code.split_at_checked(end)?;
    let rest = rest.trim_start();
    let is_name = name.starts_with(|c: char| c.is_alphabetic() || c == '_');
    let (before, value) = rest.split_once('=')?;
    let is_assignment = is_name
        && !value.starts_with('=')
        && !before.contains(['(', '[', '!', '<', '>', '"', '\'']);
    match before.trim() {
        _ if !is_assignment => None,
        "" => Some((name, value.trim())),
        annotation if annotation.starts_with(':') => Some((name, value.trim())),
        "+" | "-" | "*" | "/" | "|" | "//" => Some((name, "?")),
        _ => None,
    }
}

/// Logical lines with the line they begin on: brackets, triple quotes and backslashes continue one; comments are dropped.
fn statements(text: &str) -> Vec<(usize, String)> {
    let mut statements = Vec::new();
    let mut current = String::new();
    let (mut line, mut start, mut depth) = (1, 1, 0usize);
    let mut quote: Option<&str> = None;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let mut taken = c.len_utf8();
        match quote {
            Some(_) if c == '\\' => {
                taken += rest.chars().nth(1).map_or(0, char::len_utf8);
            }
            Some(open) if rest.starts_with(open) => {
                taken = open.len();
                quote = None;
            }
            Some(_) => {}
            None if c == '#' => {
                rest = rest
                    .find('\n')
                    .and_then(|end| rest.get(end..))
                    .unwrap_or_default();
                continue;
            }
            None if c == '"' || c == '\'' => {
                let open = ["\"\"\"", "'''", "\"", "'"]
                    .into_iter()
                    .find(|open| rest.starts_with(open));
                taken = open.map_or(1, str::len);
                quote = open;
            }
            None if rest.starts_with("\\\n") => {
                line += 1;
                rest = rest.get(2..).unwrap_or_default();
                continue;
            }
            None if matches!(c, '(' | '[' | '{') => depth += 1,
            None if matches!(c, ')' | ']' | '}') => depth = depth.saturating_sub(1),
            None if c == ';' && depth == 0 => {
                statements.push((start, std::mem::take(&mut current)));
                rest = rest
                    .get(1..)
                    .unwrap_or_default()
                    .trim_start_matches([' ', '\t']);
                continue;
            }
            None => {}
        }
        let piece = rest.get(..taken).unwrap_or(rest);
        rest = rest.get(taken..).unwrap_or_default();
        line += piece.matches('\n').count();
        // A plain string cannot span lines: a broken file ends with its line.
        if c == '\n' && quote.is_none_or(|open| open.len() == 1) && (depth == 0 || quote.is_some())
        {
            quote = None;
            statements.push((start, std::mem::take(&mut current)));
            start = line;
        } else {
            current.push_str(piece);
        }
    }
    statements.push((start, current));
    statements
}

fn literal(text: &str) -> Option<Literal> {
    let text = text.trim();
    match text {
        "True" => return Some(Literal::Flag(true)),
        "False" => return Some(Literal::Flag(false)),
        "None" => return Some(Literal::None),
        _ => {}
    }
    if let Ok(number) = text.replace('_', "").parse() {
        return Some(Literal::Number(number));
    }
    let list = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let list = list.or_else(|| text.strip_prefix('(')?.strip_suffix(')'));
    if let Some(items) = list {
        let items = items
            .split(',')
            .map(str::trim)
            .filter(|item| !item.is_empty());
        return items.map(string).collect::<Option<_>>().map(Literal::List);
    }
    string(text).map(Literal::Text)
}

/// A string without escapes, and without another string behind it.
fn string(text: &str) -> Option<String> {
    let text = text.strip_prefix(['u', 'r', 'b']).unwrap_or(text);
    let quote = ["\"\"\"", "'''", "\"", "'"]
        .into_iter()
        .find(|quote| text.starts_with(quote))?;
    let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
    (!inner.contains(['"', '\'', '\\', '\n'])).then(|| inner.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values(text: &str) -> Vec<(String, Option<Literal>, usize)> {
        assignments(text.as_bytes())
            .into_iter()
            .map(|found| (found.name, found.value, found.line))
            .collect()
    }

    #[test]
    fn literals_are_read_and_all_else_is_unknown() {
        let text = "import os\nbind = \"127.0.0.1:8000\"  # here\nworkers: int = 4\ntimeout = 60 * 2\n\
            accesslog = '-'\nbind = [\n  'unix:/run/a.sock',  # one\n  \"127.0.0.1:8001\",\n]\npreload_app = True\n\
            chdir = f\"/srv/{name}\"\nproc_name = 'a' 'b'\nworkers += 1\n";
        let list = Literal::List(vec![
            "unix:/run/a.sock".to_owned(),
            "127.0.0.1:8001".to_owned(),
        ]);
        assert_eq!(
            values(text),
            [
                (
                    "bind".to_owned(),
                    Some(Literal::Text("127.0.0.1:8000".to_owned())),
                    2
                ),
                ("workers".to_owned(), Some(Literal::Number(4)), 3),
                ("timeout".to_owned(), None, 4),
                (
                    "accesslog".to_owned(),
                    Some(Literal::Text("-".to_owned())),
                    5
                ),
                ("bind".to_owned(), Some(list), 6),
                ("preload_app".to_owned(), Some(Literal::Flag(true)), 10),
                ("chdir".to_owned(), None, 11),
                ("proc_name".to_owned(), None, 12),
                ("workers".to_owned(), None, 13),
            ]
        );
    }

    #[test]
    fn what_is_set_under_a_condition_is_unknown_and_in_a_function_not_set() {
        let text = "if os.environ.get('X'):\n    timeout = 10\ndef on_starting(server):\n    bind = 'x'\n    keepalive = 1\nfrom base import *\n";
        assert_eq!(
            values(text),
            [("timeout".to_owned(), None, 2), ("*".to_owned(), None, 6)]
        );
    }

    #[test]
    fn a_doc_string_sets_nothing() {
        assert_eq!(
            values("\"\"\"\nbind = 'x'\n\"\"\"\ntimeout = 5; keepalive = 2\n").len(),
            2
        );
        assert_eq!(values("x == 1\nf(a=1)\nx[0] = 1\nif a = 1"), []);
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(bytes: Vec<u8>, text in "[a-z =\\[\\]\"'#\\\\\n;:+äß]{0,60}") {
            assignments(&bytes);
            assignments(text.as_bytes());
        }
    }
}
