//! Calls with literals in a Ruby file, as the configuration files of Unicorn and Puma are. Runs nothing: what is not a
//! literal, or stands under a condition, is said to be unknown.

use bstr::ByteSlice as _;

/// A value that stands in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Literal {
    Text(String),
    Number(u64),
    /// `name: value`, `:name => value`.
    Named(String, Box<Self>),
    /// `nil`, `true`, a symbol: nothing that is asked for here.
    Other,
}

/// A call of a setting's method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Call {
    /// The method; `*` for code that may call any.
    pub(super) name: String,
    /// Its arguments, if all are literals and the call is made in any case.
    pub(super) args: Option<Vec<Literal>>,
    /// From 1.
    pub(super) line: usize,
}

/// What a block is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    /// Its calls may be made or not.
    Condition,
    /// Given to a hook, or a method's own: its calls set nothing.
    Hook,
}

/// The calls of a file, in order. A call over several lines has no literals here.
pub(super) fn calls(text: &[u8]) -> Vec<Call> {
    let text = text.to_str_lossy();
    let mut found = Vec::new();
    let mut blocks: Vec<Block> = Vec::new();
    for (idx, line) in text.lines().enumerate() {
        let code = without_comment(line).trim();
        if code.is_empty() {
            continue;
        }
        if code == "__END__" {
            break;
        }
        let is_end = code == "end" || code.starts_with("end ") || code == "}";
        if is_end {
            blocks.pop();
            continue;
        }
        let opened = opens(code);
        if !blocks.contains(&Block::Hook)
            && let Some(call) = call(code, idx + 1)
        {
            let is_sure = blocks.is_empty() && opened.is_none();
            let args = call.args.filter(|_| is_sure);
            found.push(Call { args, ..call });
        }
        blocks.extend(opened);
    }
    found
}

/// The block that a line opens.
fn opens(code: &str) -> Option<Block> {
    let first = code.split([' ', '(']).next().unwrap_or_default();
    if matches!(
        first,
        "if" | "unless" | "case" | "while" | "until" | "begin"
    ) {
        return Some(Block::Condition);
    }
    let is_method = matches!(first, "def" | "class" | "module");
    let is_given = code.ends_with(" do")
        || code.ends_with('{')
        || (code.ends_with('|')
            && (code.contains(" do |") || code.contains("{ |") || code.contains("{|")));
    (is_method || is_given).then_some(Block::Hook)
}

/// `name ARGS` or `name(ARGS)`.
fn call(code: &str, line: usize) -> Option<Call> {
    let end = code
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(code.len());
    let (name, rest) = code.split_at_checked(end)?;
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        return None;
    }
    let is_code = matches!(
        name,
        "eval" | "instance_eval" | "load" | "require_relative" | "import" | "send" | "public_send"
    );
    let rest = rest.trim();
    // An assignment, or a call of something else's method.
    if rest.starts_with(['=', '.', '[', '+', '|', '&']) && !is_code {
        return None;
    }
    let name = if is_code { "*" } else { name };
    let inner = rest
        .strip_prefix('(')
        .and_then(|rest| rest.strip_suffix(')'))
        .unwrap_or(rest);
    Some(Call {
        name: name.to_owned(),
        args: literals(inner),
        line,
    })
}

/// Literals between commas; `None` where one is no literal.
fn literals(text: &str) -> Option<Vec<Literal>> {
    let mut found = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (value, after) = literal(rest)?;
        found.push(value);
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(more) => more.trim_start(),
            None if after.is_empty() => "",
            // `workers 2 if ENV["X"]`, `timeout 30 + 1`
            None => return None,
        };
    }
    Some(found)
}

fn literal(text: &str) -> Option<(Literal, &str)> {
    let first = text.chars().next()?;
    if matches!(first, '"' | '\'') {
        let (value, rest) = text.get(1..)?.split_once(first)?;
        let is_code = value.contains('\\') || (first == '"' && value.contains("#{"));
        return (!is_code).then(|| (Literal::Text(value.to_owned()), rest));
    }
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let start = usize::from(first == ':');
    let word_end = text
        .get(start..)?
        .find(|c| !is_word(c))
        .map_or(text.len(), |end| start + end);
    let (word, rest) = text.split_at_checked(word_end)?;
    if first.is_ascii_digit() {
        let number = word.replace('_', "").parse().ok()?;
        // `2.5`, `30.seconds`
        return (!rest.starts_with('.')).then_some((Literal::Number(number), rest));
    }
    let name = word.trim_start_matches(':');
    let named = if first == ':' {
        rest.trim_start().strip_prefix("=>")
    } else {
        rest.strip_prefix(':')
    };
    if let Some(value) = named {
        let (value, rest) = literal(value.trim_start())?;
        return Some((Literal::Named(name.to_owned(), Box::new(value)), rest));
    }
    let is_known = first == ':' || matches!(word, "nil" | "true" | "false");
    is_known.then_some((Literal::Other, rest))
}

/// A line without its comment.
fn without_comment(line: &str) -> &str {
    let mut quote = None;
    for (at, c) in line.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c == '#' => return line.get(..at).unwrap_or(line),
            _ => {}
        }
    }
    line
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(value: &str) -> Literal {
        Literal::Text(value.to_owned())
    }

    #[test]
    fn literals_are_read_and_all_else_is_unknown() {
        let of = |line: &str| calls(line.as_bytes()).pop().and_then(|call| call.args);
        assert_eq!(of("timeout 30 # seconds"), Some(vec![Literal::Number(30)]));
        assert_eq!(of("timeout(30)"), Some(vec![Literal::Number(30)]));
        let backlog = Literal::Named("backlog".to_owned(), Box::new(Literal::Number(64)));
        for line in [
            "listen '/run/u.sock', backlog: 64",
            "listen \"/run/u.sock\", :backlog => 64",
        ] {
            assert_eq!(of(line), Some(vec![text("/run/u.sock"), backlog.clone()]));
        }
        for line in [
            "workers ENV.fetch('WEB_CONCURRENCY') { 2 }",
            "workers Integer(ENV['WEB_CONCURRENCY'] || 2)",
            "workers 2 if ENV['X']",
            "listen \"#{dir}/u.sock\"",
            "timeout 1.minute",
        ] {
            assert_eq!(of(line), None, "{line}");
        }
    }

    #[test]
    fn what_stands_under_a_condition_is_unknown_and_in_a_hook_not_set() {
        let file = b"if ENV['X']\n  workers 4\nend\nbefore_fork do |server, worker|\n  workers 5\n  if server\n    workers 6\n  end\nend\nworkers 2\nload 'x.rb'\n";
        let read = calls(file);
        let all: Vec<_> = read.iter().filter(|call| call.name == "workers").collect();
        assert_eq!(all.len(), 2, "{read:?}");
        assert_eq!((all[0].line, all[0].args.is_none()), (2, true));
        assert_eq!(all[1].args, Some(vec![Literal::Number(2)]));
        assert_eq!(read.last().unwrap().name, "*");
    }

    proptest! {
        #[test]
        fn any_text_is_read_without_a_panic(text in "[a-z_ :'\"#{}()|=>,.0-9\n]{0,80}") {
            calls(text.as_bytes());
        }
    }
}
