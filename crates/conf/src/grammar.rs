//! What has to be known about directives to read a configuration as nginx does: which of them open blocks, and
//! which blocks hold rows instead of directives. It knows nothing of what they do.

use crate::tree::Directive;

/// What a block holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// Directives.
    Directives,
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
        b"events" | b"http" | b"stream" | b"mail" | b"server" | b"location" | b"upstream"
        | b"if" | b"limit_except" => Content::Directives,
        b"map" | b"types" => Content::Rows(RowInclude::Include),
        b"geo" => Content::Rows(RowInclude::Literal),
        b"split_clients" | b"charset_map" => Content::Rows(RowInclude::Row),
        _ => Content::Unknown,
    }
}

/// What nginx says when a directive ends in a way that is not its own.
pub(crate) fn terminator_trouble(
    directive: Directive<'_>,
    inside_upstream: bool,
) -> Option<String> {
    let name = directive.name();
    if !directive.is_terminated() || name.is_empty() {
        return None;
    }
    // In an upstream `server` is a line, elsewhere a block.
    let is_server = name == "server";
    let opens_block =
        is_server && !inside_upstream || !is_server && content_of(name) != Content::Unknown;
    let is_simple = is_server && inside_upstream || SIMPLE.binary_search(&name.as_ref()).is_ok();
    if directive.is_block() && is_simple {
        return Some(format!("directive \"{name}\" is not terminated by \";\""));
    }
    if !directive.is_block() && opens_block {
        return Some(format!("directive \"{name}\" has no opening \"{{\""));
    }
    None
}

/// Directives that end with `;` in every version, sorted. A missing `;` before a block is found by them. Names
/// not listed are taken as they come.
const SIMPLE: &[&[u8]] = &[];
