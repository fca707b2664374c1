//! Where a request may end up: in the location that its path leads to, and in those that nginx may turn to from there
//! (`try_files`, `index`, `error_page`, `X-Accel-Redirect`).

use std::collections::HashMap;

use bstr::{BStr, BString, ByteSlice as _};

use super::{Context, ContextId, ContextKind, LocationModifier, Model, Unclear};

/// More turns than a request takes: nginx itself gives up after ten.
const MOST_TURNS: usize = 64;

/// What decides by a program of its own where a request goes on.
const PROGRAMS: [&str; 12] = [
    "server_rewrite_by_lua_block",
    "server_rewrite_by_lua_file",
    "rewrite_by_lua",
    "rewrite_by_lua_block",
    "rewrite_by_lua_file",
    "access_by_lua",
    "access_by_lua_block",
    "access_by_lua_file",
    "content_by_lua",
    "content_by_lua_block",
    "content_by_lua_file",
    "js_content",
];

/// What sends the client elsewhere begins so.
const REDIRECTS: [&str; 3] = ["http://", "https://", "$scheme"];

/// A location, with the path by which it was reached.
type Place = (ContextId, BString);

impl Model {
    /// What a log calls a server: its first name, in lower case and without a leading dot
    /// (`ngx_http_core_merge_srv_conf`); empty where it has none.
    pub fn logged_name(&self, server: ContextId) -> BString {
        let first = self.server_names(server).into_iter().next();
        let first = first.unwrap_or_default();
        if first.starts_with(b"~") {
            return first.to_owned();
        }
        let first = first.strip_prefix(b".").unwrap_or(first);
        first.to_ascii_lowercase().into()
    }

    /// The servers of `http` that a log calls so.
    pub fn servers_logged_as(&self, name: &[u8]) -> &[ContextId] {
        let servers = self.servers_by_logged_name.get(name.as_bstr());
        servers.map(Vec::as_slice).unwrap_or_default()
    }

    /// The location that a context belongs to: itself, or the one around an `if` or `limit_except`. The server where there
    /// is none.
    pub fn location_of(&self, context: ContextId) -> Option<ContextId> {
        self.chain(context)
            .find(|level| matches!(level.kind, ContextKind::Location | ContextKind::Server))
            .map(|level| level.id)
    }

    /// The locations in which a request for a path (decoded, with single slashes) may be handled; the server itself where
    /// no location takes it.
    ///
    /// # Errors
    /// Where something in the configuration decides that is not followed here.
    pub fn possible_locations(
        &self,
        server: ContextId,
        path: &[u8],
    ) -> Result<Vec<ContextId>, Unclear> {
        self.rewritten(server, false)?;
        let mut seen: Vec<Place> = Vec::new();
        let mut open = vec![(self.location_for(server, path)?, BString::from(path))];
        while let Some(place) = open.pop() {
            if seen.contains(&place) {
                continue;
            }
            if seen.len() == MOST_TURNS {
                return Err(Unclear("a chain of internal redirects".to_owned()));
            }
            open.extend(self.turns(server, &place)?);
            seen.push(place);
        }
        let mut found: Vec<ContextId> = seen.into_iter().map(|(location, _)| location).collect();
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// Fails where the path may be made another one, or a program decides. In a location, `break` keeps the request in it.
    fn rewritten(&self, context: ContextId, is_location: bool) -> Result<(), Unclear> {
        let program = PROGRAMS
            .iter()
            .find_map(|name| self.in_force(context, name).first().copied());
        let ifs = self.context(context).into_iter().flat_map(|context| {
            let children = context.children.iter();
            children.filter(|&&child| {
                self.context(child)
                    .is_some_and(|child| child.kind == ContextKind::If)
            })
        });
        let rewrite = std::iter::once(&context)
            .chain(ifs)
            .flat_map(|&level| self.own(level, "rewrite"))
            .find(|&&at| {
                let is_redirect = self.arg(at, 1).is_none_or(|to| {
                    REDIRECTS
                        .iter()
                        .any(|start| to.starts_with(start.as_bytes()))
                });
                let flag = self.arg(at, 2).unwrap_or_default().to_str().unwrap_or("");
                let stays = is_location && flag == "break";
                !(is_redirect || stays || matches!(flag, "redirect" | "permanent"))
            });
        match program.or(rewrite.copied()) {
            Some(at) => {
                let text = self.text(at).trim_end_with(|c| c == ';');
                Err(Unclear(text.to_str_lossy().into_owned()))
            }
            None => Ok(()),
        }
    }

    /// Where nginx may turn to from a place.
    fn turns(&self, server: ContextId, place: &Place) -> Result<Vec<Place>, Unclear> {
        let (location, path) = (place.0, &place.1);
        if location != server {
            self.rewritten(location, true)?;
        }
        let mut turns = Vec::new();
        let pass = self.pass_in_force(location);
        let mut folders: Vec<BString> = Vec::new();
        if pass.is_none() && path.ends_with(b"/") {
            folders.push(path.clone());
        }
        let tried = self.own(location, "try_files").last();
        if let Some(&tried) = tried {
            let mut args = self.args(tried);
            let last = args.pop().unwrap_or_default();
            if pass.is_none() && args.iter().any(|arg| arg.ends_with(b"/")) {
                folders.push([path.as_slice(), b"/"].concat().into());
            }
            if !last.starts_with(b"=") {
                turns.extend(self.turn(server, path, last)?);
            }
        }
        for folder in folders {
            let index = self.in_force(location, "index");
            let mut names: Vec<&BStr> = index.iter().flat_map(|&at| self.args(at)).collect();
            if names.is_empty() {
                names.push("index.html".into());
            }
            for name in names {
                let target = if name.starts_with(b"/") {
                    name.to_owned()
                } else {
                    [folder.as_slice(), name].concat().into()
                };
                turns.extend(self.turn(server, path, target.as_bstr())?);
            }
        }
        // What is passed on is not found by nginx itself, unless it looks for files first.
        let finds = pass.is_some() && tried.is_none() && !self.intercepts(location);
        for at in self.in_force(location, "error_page") {
            let mut args = self.args(at);
            let target = args.pop().unwrap_or_default();
            if !(finds && args.iter().all(|code| *code == "404")) {
                turns.extend(self.turn(server, path, target)?);
            }
        }
        if pass.is_some() && !self.ignores_redirects(location) {
            let inner = self
                .locations_in(server)
                .filter(|inner| self.is_only_turned_to(inner));
            turns.extend(inner.map(|inner| (inner.id, path.clone())));
        }
        Ok(turns)
    }

    /// The place that an internal redirect leads to; none where it leads to another site.
    fn turn(
        &self,
        server: ContextId,
        path: &BString,
        target: &BStr,
    ) -> Result<Option<Place>, Unclear> {
        let unclear = || Unclear(target.to_string());
        if target.starts_with(b"@") {
            let named = self.location_named(server, target).ok_or_else(unclear)?;
            return Ok(Some((named.id, path.clone())));
        }
        if REDIRECTS
            .iter()
            .any(|start| target.starts_with(start.as_bytes()))
        {
            return Ok(None);
        }
        let end = target.find(b"?").or_else(|| target.find(b"$is_args"));
        let target = end
            .and_then(|end| target.get(..end))
            .unwrap_or(target)
            .replace("$uri", path);
        if !target.starts_with(b"/") || target.contains(&b'$') {
            return Err(unclear());
        }
        let location = self.location_for(server, &target)?;
        Ok(Some((location, target.into())))
    }

    /// Whether a location is for internal redirects alone.
    fn is_only_turned_to(&self, location: &Context) -> bool {
        let is_named = self
            .location_pattern(location.id)
            .is_some_and(|(modifier, _)| modifier == LocationModifier::Named);
        let is_internal = !self.own(location.id, "internal").is_empty();
        is_named || is_internal
    }

    /// Whether a peer's own errors are answered with nginx's pages.
    fn intercepts(&self, location: ContextId) -> bool {
        ["proxy", "fastcgi", "uwsgi", "scgi", "grpc"]
            .iter()
            .any(|module| {
                self.value_in_force(location, &format!("{module}_intercept_errors"))
                    .is_some_and(|(value, _)| value == "on")
            })
    }

    /// Whether a peer cannot have nginx turn elsewhere.
    fn ignores_redirects(&self, location: ContextId) -> bool {
        let ignored = ["proxy", "fastcgi", "uwsgi", "scgi", "grpc"]
            .iter()
            .flat_map(|module| self.in_force(location, &format!("{module}_ignore_headers")));
        ignored
            .flat_map(|at| self.args(at))
            .any(|header| header.eq_ignore_ascii_case(b"X-Accel-Redirect"))
    }
}

pub(super) fn servers_by_logged_name(model: &Model) -> HashMap<BString, Vec<ContextId>> {
    let mut by_name: HashMap<BString, Vec<ContextId>> = HashMap::new();
    for server in model.servers() {
        if model.protocol_of(server.id) == Some(ContextKind::Http) {
            let name = model.logged_name(server.id);
            by_name.entry(name).or_default().push(server.id);
        }
    }
    by_name
}

#[cfg(test)]
mod tests {
    use crate::fixture::model;

    /// The labels of the locations that a request may be handled in, or what is not followed.
    fn possible(server: &str, path: &str) -> String {
        let model = model(&format!(
            "http {{ server {{ server_name .Shop.example; {server} }} }}"
        ));
        let servers = model.servers_logged_as(b"shop.example");
        assert_eq!(servers.len(), 1);
        match model.possible_locations(servers[0], path.as_bytes()) {
            Ok(found) => {
                let labels = found.iter().map(|&location| {
                    let label = model.location_label(location);
                    label.trim_start_matches("location ").to_owned()
                });
                labels.collect::<Vec<_>>().join(", ")
            }
            Err(unclear) => format!("unclear: {}", unclear.0),
        }
    }

    #[test]
    fn a_request_stays_where_its_path_leads() {
        let server = "
            if ($scheme = http) { return 301 https://$host$request_uri; }
            rewrite ^/old https://new.example permanent;
            error_page 404 /404.html;
            location / { proxy_pass http://a; }
            location /api { rewrite ^/api/(.*) /$1 break; proxy_pass http://a; }
            location ~ \\.php$ { try_files $uri =404; fastcgi_pass b; }
        ";
        assert_eq!(possible(server, "/x"), "/");
        assert_eq!(possible(server, "/api/x"), "/api");
        assert_eq!(possible(server, "/x.php"), "/, ~ \\.php$");
    }

    #[test]
    fn every_turn_that_nginx_may_take_is_followed() {
        for (server, path, found) in [
            (
                "location / { try_files $uri @app; } location @app { proxy_pass http://a; }",
                "/x",
                "/, @app",
            ),
            (
                "index index.php; location / { try_files $uri $uri/ /app.php?$args; } location ~ \\.php$ { fastcgi_pass a; } location = /app.php { fastcgi_pass b; }",
                "/x",
                "/, ~ \\.php$, = /app.php",
            ),
            (
                "index index.php; location / { } location ~ \\.php$ { fastcgi_pass a; }",
                "/",
                "/, ~ \\.php$",
            ),
            (
                "location / { error_page 502 504 = @other; proxy_pass http://a; } location @other { proxy_pass http://b; } location /c { proxy_pass http://a; }",
                "/x",
                "/, @other",
            ),
            (
                "location / { proxy_pass http://a; } location /files { internal; proxy_pass http://b; } location /c { proxy_pass http://b; }",
                "/x",
                "/, /files",
            ),
            (
                "location / { proxy_ignore_headers X-Accel-Redirect; proxy_pass http://a; } location /files { internal; proxy_pass http://b; }",
                "/x",
                "/",
            ),
            (
                "location / { proxy_intercept_errors on; error_page 404 /lost; proxy_pass http://a; } location = /lost { proxy_pass http://b; }",
                "/x",
                "/, = /lost",
            ),
        ] {
            assert_eq!(possible(server, path), found, "{server}");
        }
    }

    #[test]
    fn what_is_not_followed_is_said() {
        for (server, unclear) in [
            ("rewrite ^/x /y; location / { }", "rewrite ^/x /y"),
            (
                "location / { if ($arg_a) { rewrite ^ /b; } }",
                "rewrite ^ /b",
            ),
            ("location / { rewrite ^/x /y last; }", "rewrite ^/x /y last"),
            (
                "location / { access_by_lua_file a.lua; }",
                "access_by_lua_file a.lua",
            ),
            ("location / { error_page 502 $page; }", "$page"),
            ("location / { try_files $uri /$host/x; }", "/$host/x"),
            ("location / { try_files $uri @none; }", "@none"),
            ("location ~ ^/(?!y) { }", "location ~ ^/(?!y)"),
        ] {
            assert_eq!(
                possible(server, "/x"),
                format!("unclear: {unclear}"),
                "{server}"
            );
        }
    }
}
