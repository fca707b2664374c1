//! A page as it grows.
//!
//! Markup is made of `&'static str` only; every other text goes through [`Page::text`] or [`Page::data`], which escape it.

use crate::text::{deceives, visible};

const STYLE: &str = include_str!("page.css");

/// A page as it grows.
pub(super) struct Page(String);

impl Page {
    /// A page with its head and an open body. `policy` is what its Content-Security-Policy allows beyond styles: nothing,
    /// or a `;` and directives. `style` comes after the style of all pages.
    pub(super) fn begin(title: &str, policy: &'static str, style: &'static str) -> Self {
        let mut page = Self(String::new());
        page.markup(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
             base-uri 'none'; form-action 'none'",
        );
        page.markup(policy);
        page.markup(
            "\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta name=\"color-scheme\" content=\"light dark\">\n<meta name=\"referrer\" content=\"no-referrer\">\n",
        );
        page.element("<title>", title, "</title>\n");
        page.within("<style>\n", "</style>\n", |page| {
            page.markup(STYLE);
            page.markup(style);
        });
        page.markup("</head>\n<body>\n");
        page
    }

    /// The whole page, its body closed.
    pub(super) fn end(mut self) -> String {
        self.markup("</body>\n</html>\n");
        self.0
    }

    /// Markup of our own, as it is.
    pub(super) fn markup(&mut self, markup: &'static str) {
        self.0.push_str(markup);
    }

    /// Text, made visible and escaped for elements and quoted attributes alike.
    pub(super) fn text(&mut self, text: &str) {
        for c in visible(text).chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                c => self.0.push(c),
            }
        }
    }

    /// JSON inside a `<script>`, which knows no entities: what could end the element, begin a comment or deceive an eye
    /// stands only inside JSON's strings, where an escape says the same.
    pub(super) fn data(&mut self, json: &str) {
        for c in json.chars() {
            if matches!(c, '<' | '>' | '&') || deceives(c) {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let escape = format!("\\u{unit:04x}");
                    self.0.push_str(&escape);
                }
            } else {
                self.0.push(c);
            }
        }
    }

    pub(super) fn within(
        &mut self,
        open: &'static str,
        close: &'static str,
        content: impl FnOnce(&mut Self),
    ) {
        self.markup(open);
        content(self);
        self.markup(close);
    }

    /// One element that holds text alone.
    pub(super) fn element(&mut self, open: &'static str, text: &str, close: &'static str) {
        self.within(open, close, |page| page.text(text));
    }

    pub(super) fn paragraph(&mut self, text: &str) {
        self.element("<p>", text, "</p>\n");
    }

    pub(super) fn heading(&mut self, text: &'static str) {
        self.element("<h3>", text, "</h3>\n");
    }
}
