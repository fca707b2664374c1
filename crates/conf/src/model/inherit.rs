//! Which directives are in force where: nginx merges a context with the one around it, by rules that differ by
//! directive.

use super::{ContextId, ContextKind, DirectiveRef, Model};

impl Model {
    /// The directives with this name that rule in a context: those of the innermost level that has any. An inner
    /// level replaces an outer one as a whole, for lists too: one `proxy_set_header` in a location discards all of
    /// the server's. `*_pass` is inherited by `if` and `limit_except` only, and some directives not at all.
    pub fn in_force(&self, context: ContextId, name: &str) -> Vec<DirectiveRef> {
        let mut level = Some(context);
        while let Some(current) = level.and_then(|id| self.context(id)) {
            let own = self.own(current.id, name);
            if !own.is_empty() {
                return own.to_vec();
            }
            if self.replaced_by_kin(current.id, name) || !inherits(name, current.kind) {
                return Vec::new();
            }
            level = current.parent;
        }
        Vec::new()
    }

    /// [`Model::in_force`] for directives that take one value: the last one, and its first argument.
    pub fn value_in_force(
        &self,
        context: ContextId,
        name: &str,
    ) -> Option<(&bstr::BStr, DirectiveRef)> {
        let at = *self.in_force(context, name).last()?;
        Some((self.arg(at, 0)?, at))
    }

    /// The context whose level gives the directives in force, which may be an outer one.
    pub fn level_in_force(&self, context: ContextId, name: &str) -> Option<ContextId> {
        let first = *self.in_force(context, name).first()?;
        self.chain(context)
            .find(|level| level.directives.contains(&first))
            .map(|level| level.id)
    }

    /// Some directives fill one list together: any of them replaces all.
    fn replaced_by_kin(&self, context: ContextId, name: &str) -> bool {
        let kin = KIN.iter().find(|kin| kin.contains(&name));
        kin.is_some_and(|kin| kin.iter().any(|other| !self.own(context, other).is_empty()))
    }
}

/// Directives that share one list or one value in nginx.
const KIN: [&[&str]; 3] = [
    &["allow", "deny"],
    &["root", "alias"],
    &[
        "proxy_pass",
        "fastcgi_pass",
        "uwsgi_pass",
        "scgi_pass",
        "grpc_pass",
        "memcached_pass",
    ],
];

/// Whether a context of this kind takes the directive from the one around it.
fn inherits(name: &str, kind: ContextKind) -> bool {
    match name {
        // `http` has directives of these names too, for clients.
        _ if kind == ContextKind::Upstream && name.starts_with("keepalive") => false,
        // The upstream is inherited into nameless locations only (`clcf->noname`).
        "proxy_pass" | "fastcgi_pass" | "uwsgi_pass" | "scgi_pass" | "grpc_pass"
        | "memcached_pass" => {
            matches!(kind, ContextKind::If | ContextKind::LimitExcept)
        }
        "return" | "rewrite" | "set" | "break" | "if" | "try_files" | "stub_status"
        | "empty_gif" | "limit_except" | "location" | "server" | "upstream" | "listen" => false,
        // Known once, for the whole server.
        "server_name" => kind != ContextKind::Server,
        _ => true,
    }
}
