//! The lints: what in a configuration will lead to 502 or 504, or hides why. One file each, and the one list of them.
//!
//! A lint is a doc comment (which is also the user's page) and a pure judge, as a cause is; it needs no incident. What
//! it needs of the host it asks for through [`Subject::host`], so that a lone file leaves it unlooked at, not clean.
//! Adding one is a file here and a line in [`lints!`] below; `CONTRIBUTING.md` has the recipe.

mod host;
mod ignore;
mod report;
mod run;
mod subject;

use facts::{ConfSpan, Gap};

pub use ignore::Ignored;
pub use report::{Change, Finding, LintReport, Linted, Mend, Mended, NotLooked, Place};
pub use run::{Input, LintOptions, PathFilter, Rules, input_of};
pub(crate) use subject::Subject;

use crate::page::Page;
use crate::verdict::Safety;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Fails under some requests, or sooner or later.
    Warning,
    /// Fails now, or at the next start.
    Error,
}

impl Severity {
    /// As `why502.toml` and reports write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }

    /// The severity of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Note, Self::Warning, Self::Error]
            .into_iter()
            .find(|severity| severity.as_str() == name)
    }
}

/// One lint.
pub struct Lint {
    /// Names what is wrong; for ever.
    pub id: &'static str,
    /// Its page.
    doc: Page,
    /// The version that brought it.
    pub since: &'static str,
    /// How much its findings matter unless they or the user say otherwise.
    pub severity: Severity,
    /// Its source file.
    pub file: &'static str,
    /// Its judge.
    pub(crate) judge: Judge,
}

/// How a lint is judged.
#[derive(Clone, Copy)]
pub(crate) enum Judge {
    /// By the configuration; what a host tells besides makes it surer.
    Text(fn(&Subject<'_>) -> Vec<Found>),
    /// Not without a host.
    Host(fn(&Subject<'_>) -> Result<Vec<Found>, Gap>),
}

impl Lint {
    /// The page's first line: what is wrong, in the user's words.
    pub fn title(&self) -> &'static str {
        self.doc.title()
    }

    /// The page, as Markdown, without a heading for the id.
    pub fn page(&self) -> String {
        self.doc.text()
    }
}

impl std::fmt::Debug for Lint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.id)
    }
}

impl PartialEq for Lint {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

/// What a judge found at one place.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    /// Where, with the mark under what is meant.
    span: ConfSpan,
    /// Why it matters, a sentence.
    reason: String,
    /// How it came about, from the outermost level in: each with a label.
    chain: Vec<ConfSpan>,
    /// Where this one matters more or less than the lint's others.
    severity: Option<Severity>,
    /// What would mend it.
    mend: Option<Mending>,
}

/// A [`Mend`] before its files have names.
#[derive(Clone, Debug)]
struct Mending {
    summary: String,
    safety: Safety,
    edits: Edits,
}

impl Found {
    /// A finding at a place.
    pub(crate) fn at(span: ConfSpan, label: impl Into<String>, reason: impl Into<String>) -> Self {
        let label = Some(label.into());
        Self {
            span: ConfSpan { label, ..span },
            reason: reason.into(),
            chain: Vec::new(),
            severity: None,
            mend: None,
        }
    }

    /// Shows another place that has to do with it.
    #[must_use]
    pub(crate) fn and(mut self, span: Option<ConfSpan>, label: impl Into<String>) -> Self {
        let label = Some(label.into());
        self.chain
            .extend(span.map(|span| ConfSpan { label, ..span }));
        self
    }

    /// Gives it a severity of its own.
    #[must_use]
    pub(crate) fn severity(mut self, severity: Severity) -> Self {
        self.severity = Some(severity);
        self
    }

    /// An edit that a person should weigh: shown, never made unasked.
    #[must_use]
    pub(crate) fn could(self, summary: impl Into<String>, edits: Option<Edits>) -> Self {
        self.mended(Safety::Unsafe, summary, edits)
    }

    /// An edit that cannot make anything worse.
    #[must_use]
    pub(crate) fn mend(self, summary: impl Into<String>, edits: Option<Edits>) -> Self {
        self.mended(Safety::Safe, summary, edits)
    }

    fn mended(mut self, safety: Safety, summary: impl Into<String>, edits: Option<Edits>) -> Self {
        self.mend = edits
            .filter(|edits| !edits.is_empty())
            .map(|edits| Mending {
                summary: summary.into(),
                safety,
                edits,
            });
        self
    }
}

/// Edits, each with its file.
pub(crate) type Edits = Vec<(conf::FileId, conf::Edit)>;

/// Declares a lint: its doc comment is its page.
macro_rules! declare_lint {
    (
        $(#[doc = $doc:literal])+
        pub(crate) static $name:ident = {
            id: $id:literal, since: $since:literal, severity: $severity:ident, judge: $kind:ident($judge:path) $(,)?
        }
    ) => {
        $(#[doc = $doc])+
        pub(crate) static $name: $crate::lints::Lint = $crate::lints::Lint {
            id: $id,
            doc: $crate::page::Page(&[$($doc),+]),
            since: $since,
            severity: $crate::lints::Severity::$severity,
            file: file!(),
            judge: $crate::lints::Judge::$kind($judge),
        };
    };
}

/// Declares the modules and the registry in one list.
macro_rules! lints {
    ($($module:ident :: $name:ident),+ $(,)?) => {
        $(mod $module;)+
        /// Every lint, by id.
        pub static ALL: &[&Lint] = &[$(&$module::$name),+];
    };
}

lints![
    config_refused::CONFIG_REFUSED,
    error_log_hides_errors::ERROR_LOG_HIDES_ERRORS,
    header_buffer_small::HEADER_BUFFER_SMALL,
    header_inheritance_lost::HEADER_INHERITANCE_LOST,
    ignore_without_reason::IGNORE_WITHOUT_REASON,
    keepalive_connection_header_kept::KEEPALIVE_CONNECTION_HEADER_KEPT,
    keepalive_without_http11::KEEPALIVE_WITHOUT_HTTP11,
    localhost_in_proxy_pass::LOCALHOST_IN_PROXY_PASS,
    name_resolved_once::NAME_RESOLVED_ONCE,
    non_idempotent_retry::NON_IDEMPOTENT_RETRY,
    peer_not_listening_now::PEER_NOT_LISTENING_NOW,
    php_socket_mismatch::PHP_SOCKET_MISMATCH,
    port_claimed_twice::PORT_CLAIMED_TWICE,
    selinux_not_provisioned::SELINUX_NOT_PROVISIONED,
    timeout_chain_inverted::TIMEOUT_CHAIN_INVERTED,
    timeout_missing_or_extreme::TIMEOUT_MISSING_OR_EXTREME,
    unresolvable_name::UNRESOLVABLE_NAME,
    variable_without_resolver::VARIABLE_WITHOUT_RESOLVER,
];

/// The lint of this id.
pub fn by_id(id: &str) -> Option<&'static Lint> {
    ALL.iter().copied().find(|lint| lint.id == id)
}

#[cfg(test)]
mod tests;
