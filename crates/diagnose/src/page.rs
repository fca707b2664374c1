//! A page for users, as the doc comment of a cause or a lint has it.

/// The lines of a page, Markdown, with the space that follows `///`.
#[derive(Clone, Copy)]
pub(crate) struct Page(pub(crate) &'static [&'static str]);

impl Page {
    /// Its first line: what is wrong, in the user's words.
    pub(crate) fn title(self) -> &'static str {
        self.0.first().map_or("", |line| line.trim())
    }

    /// All of it, without a heading for the id.
    pub(crate) fn text(self) -> String {
        let mut page = String::new();
        for line in self.0 {
            page.push_str(line.strip_prefix(' ').unwrap_or(line).trim_end());
            page.push('\n');
        }
        page
    }
}
