//! Counts in words: the one place that knows what takes an `s`.

/// `1,284`.
pub fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (idx, digit) in digits.chars().enumerate() {
        if idx > 0 && (digits.len() - idx).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `1 incident`, `2 incidents`, `0 processes`, `3 children`: `one` is the singular, whose last word is counted.
pub fn counted(n: impl TryInto<u64>, one: &str) -> String {
    let n = n.try_into().unwrap_or(u64::MAX);
    let shown = number(n);
    match one.strip_suffix("child") {
        _ if n == 1 => format!("{shown} {one}"),
        Some(before) => format!("{shown} {before}children"),
        None if one.ends_with('s') => format!("{shown} {one}es"),
        None => format!("{shown} {one}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_told_from_many() {
        for (n, one, text) in [
            (1_u64, "incident", "1 incident"),
            (0, "incident", "0 incidents"),
            (1284, "failed attempt", "1,284 failed attempts"),
            (1, "child", "1 child"),
            (5, "child", "5 children"),
            (2, "process", "2 processes"),
            (1, "address", "1 address"),
            (1_000_000, "log record", "1,000,000 log records"),
        ] {
            assert_eq!(counted(n, one), text);
        }
    }
}
