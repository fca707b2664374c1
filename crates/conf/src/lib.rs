//! nginx configuration: a lossless tree with byte spans, edits that keep every other byte, includes, and the
//! effective model (contexts, inheritance, upstreams, who dials what).
//!
//! It reads bytes that it is given and does no I/O. It knows nothing of hosts or of failures, and uses none of
//! the project's other crates.
//!
//! * [`tree`] - one file, lexed exactly as nginx lexes it;
//! * [`edit`] - changing spans of a file;
//! * [`mod@include`] - all files of one configuration, in the order nginx parses them;
//! * [`model`] - what the directives amount to.

#![warn(
    clippy::disallowed_methods,
    reason = "this crate is pure: bytes come from the caller"
)]

pub mod address;
pub mod defaults;
mod dump;
pub mod edit;
#[cfg(test)]
mod fixture;
mod glob;
mod grammar;
pub mod include;
mod lexer;
mod lua;
pub mod model;
pub mod tree;
pub mod units;

pub use address::{Address, Host, PeerAddress};
pub use defaults::default_of;
pub use edit::{Edit, EditError};
pub use include::{ConfFile, Configuration, FileId, FileTrouble, Lookup, Source, Want};
pub use model::{
    AccessLog, AccessLogs, Context, ContextId, ContextKind, Dialer, DirectiveRef, ErrorLog, Escape,
    Listen, LocationModifier, LogFormat, LogSink, Model, NotServed, Pass, PassKind, Protocol,
    Served, ServerLine, Target, Unclear, Upstream, UpstreamId, User,
};
pub use tree::{Arg, Directive, DirectiveId, Position, Quote, Span, Tree, Trouble};
