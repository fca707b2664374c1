//! See the doc comment of [`IGNORE_WITHOUT_REASON`].


use super::{Found, Subject, by_id, ignore};

declare_lint! {
    /// A comment is to ignore findings and does not say why.
    ///
    /// ## Found when
    /// A comment `# why502: ignore[...]` names no lint, names one that does not exist, or gives no reason behind the bracket.
    /// Such a comment ignores nothing.
    ///
    /// ## Silent when
    /// It names lints and says why: `# why502: ignore[localhost-in-proxy-pass] this host has no IPv6`.
    ///
    /// ## Fix
    /// Write the reason behind the bracket, or take the comment away. None is made: only who wrote it knows.
    pub(crate) static IGNORE_WITHOUT_REASON = {
        id: "ignore-without-reason", since: "0.1.0", severity: Warning, judge: Text(judge),
    }
}

fn judge(subject: &Subject<'_>) -> Vec<Found> {
    let comments = ignore::comments(subject.model);
    let found = comments.into_iter().filter_map(|comment| {
        let unknown = comment.ids.iter().find(|id| by_id(id).is_none());
        let (label, reason) = if comment.ids.is_empty() {
            (
                "no lint is named",
                "this comment ignores nothing: write # why502: ignore[LINT-ID] REASON".to_owned(),
            )
        } else if let Some(id) = unknown {
            let reason = format!("there is no lint {id}: why502 explain lists them");
            ("no such lint", reason)
        } else if comment.reason.is_empty() {
            (
                "no reason is given",
                "this comment ignores nothing until it says why: write the reason behind the bracket".to_owned(),
            )
        } else {
            return None;
        };
        Some(Found::at(comment.span, label, reason))
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use crate::lints::tests::{found, silent};

    const ID: &str = "ignore-without-reason";

    #[test]
    fn a_comment_that_does_not_say_what_or_why_is_told() {
        insta::assert_snapshot!(found(ID, ["
            # why502: ignore[localhost-in-proxy-pass]
            events {} # why502: ignore
            # why502: ignore[no-such-lint] it is so
            http {}
        "]), @"
        1:1: warning: this comment ignores nothing until it says why: write the reason behind the bracket
          `# why502: ignore[localhost-in-proxy-pass]` no reason is given
        2:11: warning: this comment ignores nothing: write # why502: ignore[LINT-ID] REASON
          `# why502: ignore` no lint is named
        3:1: warning: there is no lint no-such-lint: why502 explain lists them
          `# why502: ignore[no-such-lint] it is so` no such lint
        ");
    }

    #[test]
    fn one_that_does_is_not() {
        silent(ID, ["
            # why502: ignore[localhost-in-proxy-pass] no IPv6 here
            # see why502: ignore[...] in the documentation
            events {}
            http { add_header X '# why502: ignore[x]'; }
        "]);
    }
}
