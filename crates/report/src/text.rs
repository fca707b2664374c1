//! Text from outside, made fit to be seen. Every renderer for people takes text through here, and from nowhere else.

use std::borrow::Cow;

/// The text with every character that a terminal or a reader's eye could be deceived by spelled out: `\xNN` below 256,
/// `\u{NNNN}` above. Line ends are such characters: what comes back is one line.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(deceives) {
        return Cow::Borrowed(text);
    }
    let mut seen = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if !deceives(c) {
            seen.push(c);
            continue;
        }
        let spelled = match u32::from(c) {
            code @ ..0x100 => format!("\\x{code:02x}"),
            code => format!("\\u{{{code:x}}}"),
        };
        seen.push_str(&spelled);
    }
    Cow::Owned(seen)
}

/// Whether a character moves the cursor, changes the order or the width of what is around it, or cannot be seen at all.
pub(crate) fn deceives(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

/// The text with its middle left out when it has more than `limit` characters: both ends of a log line tell.
pub(crate) fn shortened(text: &str, limit: usize) -> Cow<'_, str> {
    let length = text.chars().count();
    if length <= limit || limit == 0 {
        return Cow::Borrowed(text);
    }
    let tail = (limit - 1) / 2;
    let head = limit - 1 - tail;
    let mut short: String = text.chars().take(head).collect();
    short.push('…');
    short.extend(text.chars().skip(length - tail));
    Cow::Owned(short)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_deceives_is_spelled_out() {
        for (text, seen) in [
            ("GET /a b", "GET /a b"),
            ("naïve 日本 ✓", "naïve 日本 ✓"),
            ("\x1b[31m", r"\x1b[31m"),
            ("a\r\nb\tc\0", r"a\x0d\x0ab\x09c\x00"),
            ("\u{9b}2J\u{7f}", r"\x9b2J\x7f"),
            ("\u{202e}evil\u{2066}", r"\u{202e}evil\u{2066}"),
            ("zero\u{200b}width\u{feff}", r"zero\u{200b}width\u{feff}"),
            ("\u{2028}\u{e0041}", r"\u{2028}\u{e0041}"),
        ] {
            assert_eq!(visible(text), seen);
        }
    }

    #[test]
    fn a_long_line_keeps_both_ends() {
        assert_eq!(shortened("0123456789", 10), "0123456789");
        assert_eq!(shortened("0123456789", 7), "012…789");
        assert_eq!(shortened("äöüßé", 4), "äö…é");
        assert_eq!(shortened("ab", 1), "…");
    }
}
