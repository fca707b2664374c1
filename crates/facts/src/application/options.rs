//! Options on a command line: `--name value`, `--name=value`, `-n value`, `-nvalue`.

use crate::text::owned;

/// An option that takes a value: its long name, and its letter if it has one.
pub(super) type Spec = (&'static str, Option<char>);

/// A word of a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// An option that takes a value, by its long name.
    Option(&'static str, String),
    /// Another option, as it stands there.
    Flag(String),
    /// Neither.
    Plain(String),
}

/// Reads the words of a command line without its program.
pub(super) fn scan<I>(args: I, specs: &[Spec]) -> Vec<Word>
where
    I: IntoIterator<Item = String>,
{
    let mut words = Vec::new();
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        let Some((name, value)) = option(&arg, specs) else {
            let is_flag = arg.len() > 1 && arg.starts_with('-');
            words.push(if is_flag {
                Word::Flag(arg)
            } else {
                Word::Plain(arg)
            });
            continue;
        };
        match value.or_else(|| args.next()) {
            Some(value) => words.push(Word::Option(name, value)),
            None => words.push(Word::Flag(arg)),
        }
    }
    words
}

/// The option that a word is, with its value if that stands in the same word.
fn option(arg: &str, specs: &[Spec]) -> Option<(&'static str, Option<String>)> {
    if let Some(long) = arg.strip_prefix("--") {
        let (name, value) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (long, None),
        };
        return specs
            .iter()
            .find(|(known, _)| *known == name)
            .map(|&(known, _)| (known, value));
    }
    let mut letters = arg.strip_prefix('-')?.chars();
    let letter = letters.next()?;
    let rest = letters.as_str();
    let value = (!rest.is_empty()).then(|| rest.trim_start_matches('=').to_owned());
    specs
        .iter()
        .find(|(_, known)| *known == Some(letter))
        .map(|&(known, _)| (known, value))
}

/// The arguments behind the program, and behind the script or module that an interpreter runs.
pub(super) fn behind<'a>(
    args: &'a [Vec<u8>],
    is_program: impl Fn(&[u8]) -> bool + 'a,
) -> impl Iterator<Item = String> + 'a {
    let start = args
        .iter()
        .position(|arg| is_program(super::base_name(arg)))
        .map_or(args.len(), |at| at + 1);
    args.iter().skip(start).map(|arg| owned(arg))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_an_option_is_read() {
        let specs: [Spec; 2] = [("bind", Some('b')), ("log-file", None)];
        let words = |line: &str| scan(line.split(' ').map(str::to_owned), &specs);
        let bind = |value: &str| Word::Option("bind", value.to_owned());
        assert_eq!(
            words("--bind x --bind=y -b z -bw"),
            [bind("x"), bind("y"), bind("z"), bind("w")]
        );
        assert_eq!(
            words("--preload - app:app --bind"),
            [
                Word::Flag("--preload".to_owned()),
                Word::Plain("-".to_owned()),
                Word::Plain("app:app".to_owned()),
                Word::Flag("--bind".to_owned())
            ]
        );
    }
}
