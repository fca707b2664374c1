//! What has to be known about directives to read a configuration as nginx does: which of them open blocks, and
//! which blocks hold rows instead of directives. It knows nothing of what they do.

use crate::tree::Directive;

/// What a block holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// Directives.
    Directives,
    /// The directives of an upstream, where `server` is a line and no block.
    Upstream,
    /// Rows of a table. An `include` with one argument still includes, if so said.
    Rows(RowInclude),
    /// Directives of a module not known here: nothing can be said about them.
    Unknown,
}

/// What `include` means among rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RowInclude {
    /// The same as elsewhere.
    Include,
    /// A file, never a pattern: `ngx_http_geo_include()` opens the name itself.
    Literal,
    /// Nothing: it is a row.
    Row,
}

/// What the block of this directive holds.
pub(crate) fn content_of(name: &[u8]) -> Content {
    match name {
        b"events" | b"http" | b"stream" | b"mail" | b"server" | b"location" | b"if"
        | b"limit_except" => Content::Directives,
        b"upstream" => Content::Upstream,
        b"map" | b"types" => Content::Rows(RowInclude::Include),
        b"geo" => Content::Rows(RowInclude::Literal),
        b"split_clients" | b"charset_map" => Content::Rows(RowInclude::Row),
        _ => Content::Unknown,
    }
}

/// What nginx says when a directive among directives ends in a way that is not its own.
pub(crate) fn terminator_trouble(directive: Directive<'_>, holder: Content) -> Option<String> {
    let name = directive.name();
    if !directive.is_terminated() || name.is_empty() {
        return None;
    }
    let is_line = holder == Content::Upstream && name == "server";
    let opens_block = content_of(name) != Content::Unknown && !is_line;
    if directive.is_block() && !opens_block && (is_line || is_simple(name)) {
        return Some(format!("directive \"{name}\" is not terminated by \";\""));
    }
    if !directive.is_block() && opens_block {
        return Some(format!("directive \"{name}\" has no opening \"{{\""));
    }
    None
}

/// Directives that nginx ends with `;` wherever they stand: a missing `;` before a block is found by them. A name
/// that is not listed is taken as it comes.
///
/// The list is what Debian's nginx 1.22.1 with its stream and mail modules says of itself (it was asked each name
/// with a `{` behind it), and later or separate modules from nginx's documentation.
fn is_simple(name: &[u8]) -> bool {
    include_str!("simple_directives.txt")
        .lines()
        .any(|simple| simple.as_bytes() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_directive_is_both_simple_and_a_block() {
        for name in include_str!("simple_directives.txt").lines() {
            assert_eq!(content_of(name.as_bytes()), Content::Unknown, "{name}");
        }
        for name in ["proxy_pass", "include", "listen", "worker_processes"] {
            assert!(is_simple(name.as_bytes()), "{name}");
        }
    }
}
