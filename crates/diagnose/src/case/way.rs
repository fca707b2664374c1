//! Where a URL leads: the nginx and the server that take it, the pass behind it, and the request that nginx would write.
//!
//! Where the configuration decides while it runs (`rewrite`, `if`, variables), the way ends with a gap.

use std::rc::Rc;

use bstr::{BString, ByteSlice as _};
use conf::{
    Address, ContextKind, Host, LocationModifier, Model, NotServed, Pass, Protocol, Served, Target,
};
use facts::{Gap, GapKind, Get, Hello, PeerAddress, Url};

use super::config::{Configured, uri_of};
use super::{Case, Instance, known};
use crate::incident::Incident;

/// What the user's request says of itself.
pub(super) const USER_AGENT: &str = concat!("why502/", env!("CARGO_PKG_VERSION"));

/// Paths that locations without a path of their own may take.
const GUESSES: [&str; 2] = ["/", "/index.php"];

/// Peers that are asked straight.
const MOST_PEERS: usize = 4;
/// Names and ports that a refusal tells of.
const TOLD: usize = 12;

/// The way to the server that takes a URL.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    /// Which nginx.
    pub(super) instance: usize,
    /// Which server of it, and where it listens.
    pub(super) served: Served,
}

/// The way from there to the peers.
pub(super) struct Onward {
    /// What nginx speaks to them.
    pub(super) protocol: Protocol,
    /// The peers, at most [`MOST_PEERS`].
    pub(super) peers: Vec<PeerAddress>,
    /// The request as nginx would write it; none for other protocols than HTTP.
    pub(super) get: Option<Get>,
    /// What of it could not be known, and is left out.
    pub(super) left_out: Vec<String>,
}

impl Case {
    /// The nginx and the server that take the user's URL; inside, why there is none, for the user.
    pub(super) fn way_of(&self, url: &Url) -> Result<Rc<Result<Way, String>>, Gap> {
        self.evidence.once("way", || {
            let instances = self.instances()?;
            let mut ways = Vec::new();
            let mut refusals = Vec::new();
            for idx in 0..instances.len() {
                let configured = match self.configured(idx) {
                    Ok(configured) => configured,
                    Err(gap) if instances.len() == 1 || gap.kind == GapKind::Pending => {
                        return Err(gap);
                    }
                    Err(_) => continue,
                };
                match taken(&configured, url) {
                    Ok(served) => ways.push(Way {
                        instance: idx,
                        served,
                    }),
                    Err(refusal) => refusals.push(refusal),
                }
            }
            let runs = |way: &Way| {
                let instance = instances.get(way.instance);
                instance.is_some_and(|instance| instance.master.is_some())
            };
            if ways.iter().any(runs) {
                ways.retain(runs);
            }
            let count = ways.len();
            Ok(match (ways.pop(), refusals.pop()) {
                (Some(way), _) if count == 1 => Ok(way),
                (Some(_), _) => Err(format!(
                    "{count} nginx instances serve {url}: name one with --config FILE or --pid PID"
                )),
                (None, Some(refusal)) => Err(refusal),
                (None, None) => {
                    return Err(Gap::undecided(
                        format!("which server takes {url}"),
                        "no nginx was found",
                    ));
                }
            })
        })
    }

    /// A URL that leads to where an incident's peer is dialled, by the configuration alone: nothing of what clients sent
    /// is in it. Plain HTTP comes before TLS.
    pub(crate) fn reached_by(&self, incident: &Incident) -> Result<Option<Url>, Gap> {
        let configured = self.configured(incident.instance)?;
        let model = &configured.model;
        let dialling = self.failing_sites(incident)?;
        let mut contexts: Vec<conf::ContextId> = dialling.iter().map(|site| site.context).collect();
        // What no file dials any more was dialled where its requests lead. Their paths only choose among locations.
        contexts.extend(locations_of(model, incident));
        let mut urls = contexts
            .into_iter()
            .flat_map(|context| urls_to(model, context));
        Ok(urls.next())
    }

    /// The peers behind a way, and what nginx would say to them.
    pub(super) fn onward(&self, way: &Way, url: &Url) -> Result<Onward, Gap> {
        let configured = self.configured(way.instance)?;
        let instances = self.instances()?;
        let instance = instances
            .get(way.instance)
            .ok_or_else(|| unknown("the nginx instance is gone"))?;
        let (context, pass) = pass_for(&configured.model, way.served.server, url)?;
        let mut peers = Vec::new();
        for address in addresses_of(&configured.model, pass)? {
            for peer in self.addresses(way.instance, &address)? {
                if !peers.contains(&peer) {
                    peers.push(peer);
                }
            }
        }
        if peers.is_empty() {
            return Err(unknown("its pass leads to no address that is known here"));
        }
        peers.truncate(MOST_PEERS);
        let mut onward = Onward {
            protocol: pass.protocol,
            peers,
            get: None,
            left_out: Vec::new(),
        };
        if matches!(pass.protocol, Protocol::Http | Protocol::Https) {
            let writer = Writer {
                configured: &configured,
                instance,
                way,
                context,
                pass,
                url,
            };
            onward.get = Some(writer.get(&mut onward.left_out)?);
        }
        Ok(onward)
    }
}

fn unknown(why: impl Into<std::borrow::Cow<'static, str>>) -> Gap {
    Gap::undecided("what nginx would send for it, and where to", why)
}

/// The server that takes a URL; else why none does, with what there is.
fn taken(model: &Model, url: &Url) -> Result<Served, String> {
    let served = model
        .served(url.is_tls, &url.host, url.port)
        .map_err(|error| refusal(url, &error))?;
    let is_anybodys = url.ip().is_some() || url.host == "localhost";
    // A server of another name would answer too: but that is hardly what was meant.
    let takes_all = model
        .server_names(served.server)
        .iter()
        .all(|name| name.is_empty() || **name == "_");
    if served.is_named || is_anybodys || takes_all {
        return Ok(served);
    }
    let mut names: Vec<String> = model
        .servers()
        .filter(|server| {
            model
                .served(url.is_tls, &first_name(model, server.id), url.port)
                .is_ok_and(|other| other.server == server.id && other.is_named)
        })
        .map(|server| first_name(model, server.id))
        .collect();
    names.sort();
    names.dedup();
    names.truncate(TOLD);
    Err(format!(
        "no server of the configuration on port {} is named {}: there {} {}",
        url.port,
        url.host,
        if names.len() == 1 { "is" } else { "are" },
        names.join(", ")
    ))
}

fn first_name(model: &Model, server: conf::ContextId) -> String {
    let names = model.server_names(server);
    names.first().map(ToString::to_string).unwrap_or_default()
}

fn refusal(url: &Url, error: &NotServed) -> String {
    let speaks = if url.is_tls { "TLS" } else { "plain HTTP" };
    match error {
        NotServed::Port(there) => {
            let told: Vec<String> = there
                .iter()
                .take(TOLD)
                .map(|(port, is_tls)| {
                    let scheme = if *is_tls { "https" } else { "http" };
                    format!("{port} ({scheme})")
                })
                .collect();
            if told.is_empty() {
                return "the configuration has no server for HTTP".to_owned();
            }
            format!(
                "no server of the configuration listens on port {} for {speaks}: its ports are {}",
                url.port,
                told.join(", ")
            )
        }
        NotServed::Address(there) => {
            let told: Vec<String> = there.iter().take(TOLD).map(ToString::to_string).collect();
            format!(
                "no server of the configuration listens on {}: on port {} they listen on {}",
                url.host,
                url.port,
                told.join(", ")
            )
        }
        NotServed::Foreign(what) => format!(
            "the server on port {} takes {what} only, which why502 does not send",
            url.port
        ),
    }
}

/// The pass that takes the request, with the context it rules in.
fn pass_for<'m>(
    model: &'m Model,
    server: conf::ContextId,
    url: &Url,
) -> Result<(conf::ContextId, &'m Pass), Gap> {
    const TURNS: [&str; 3] = ["return", "rewrite", "if"];
    let turns = |context: conf::ContextId| {
        let found = TURNS
            .iter()
            .find(|name| !model.own(context, name).is_empty());
        found.map(|name| {
            unknown(format!(
                "{name} in {} may decide otherwise",
                model.location_label(context)
            ))
        })
    };
    let mut location = model
        .location_for(server, &url.path())
        .map_err(|unclear| unknown(format!("{} is not understood here", unclear.0)))?;
    if let Some(gap) = turns(server).or_else(|| turns(location)) {
        return Err(gap);
    }
    if let Some(&tried) = model.own(location, "try_files").last() {
        let args = model.args(tried);
        let named = args
            .last()
            .and_then(|last| model.location_named(server, last));
        let Some(named) = named else {
            return Err(unknown(format!(
                "try_files in {} looks for files first",
                model.location_label(location)
            )));
        };
        location = named.id;
        if let Some(gap) = turns(location) {
            return Err(gap);
        }
    }
    let pass = model.pass_in_force(location).ok_or_else(|| {
        unknown(format!(
            "{} passes nothing on: nginx answers by itself",
            model.location_label(location)
        ))
    })?;
    Ok((location, pass))
}

/// The locations that take the requests of an incident.
fn locations_of(model: &Model, incident: &Incident) -> Vec<conf::ContextId> {
    let named = |server: &conf::Context, name: &BString| {
        let names = model.server_names(server.id);
        names.iter().any(|own| *own == name.as_bstr()) || (name.is_empty() && names.is_empty())
    };
    let mut found = Vec::new();
    for (name, paths) in &incident.requests.paths {
        for server in model.servers().filter(|server| named(server, name)) {
            for path in paths {
                let location = model.location_for(server.id, path).ok();
                found.extend(location.filter(|location| !found.contains(location)));
            }
        }
    }
    found
}

/// The URLs that lead to the pass of a context.
fn urls_to(model: &Model, context: conf::ContextId) -> Vec<Url> {
    let chain = || model.chain(context);
    let Some(server) = chain().find(|level| level.kind == ContextKind::Server) else {
        return Vec::new();
    };
    let location = chain().find_map(|level| model.location_pattern(level.id));
    let literal = location.and_then(|(modifier, pattern)| {
        use LocationModifier::{Exact, Prefix, PrefixFinal};
        matches!(modifier, Exact | Prefix | PrefixFinal).then(|| pattern.to_string())
    });
    let paths = literal.iter().map(String::as_str).chain(GUESSES);
    let is_name = |name: &str| {
        !name.is_empty() && name != "_" && !name.contains(['*', '~', '$']) && !name.starts_with('.')
    };
    let names: Vec<String> = model
        .server_names(server.id)
        .iter()
        .map(ToString::to_string)
        .filter(|name| is_name(name))
        .chain(["127.0.0.1".to_owned()])
        .collect();
    let mut ports = model.ports_of(server.id);
    ports.sort_by_key(|(_, is_tls)| *is_tls);
    let mut urls = Vec::new();
    for path in paths {
        for (port, is_tls) in &ports {
            for name in &names {
                let scheme = if *is_tls { "https" } else { "http" };
                let Ok(url) = Url::parse(&format!("{scheme}://{name}:{port}{path}")) else {
                    continue;
                };
                let is_taken = model
                    .served(url.is_tls, &url.host, url.port)
                    .is_ok_and(|served| served.server == server.id);
                let leads = |(found, _): (conf::ContextId, &Pass)| found == context;
                if is_taken && pass_for(model, server.id, &url).is_ok_and(leads) {
                    urls.push(url);
                }
            }
        }
    }
    urls
}

/// The addresses that a pass leads to: of an upstream those in use, the spare ones only where there are no others.
fn addresses_of(model: &Model, pass: &Pass) -> Result<Vec<Address>, Gap> {
    match &pass.target {
        Target::Address(address) => Ok(vec![address.clone()]),
        Target::Upstream(id) => {
            let lines = model.upstream(*id).map(|upstream| &upstream.servers);
            let in_use: Vec<_> = lines
                .into_iter()
                .flatten()
                .filter(|line| !line.down)
                .collect();
            let has_first = in_use.iter().any(|line| !line.backup);
            let lines = in_use.iter().filter(|line| !(has_first && line.backup));
            Ok(lines.filter_map(|line| line.address.clone()).collect())
        }
        Target::Variable { .. } => Err(unknown(format!(
            "{} takes its address from a variable",
            written(model, pass)
        ))),
        Target::Unreadable(_) => Ok(Vec::new()),
    }
}

/// A pass as it stands in its file.
fn written(model: &Model, pass: &Pass) -> String {
    let text = model.text(pass.directive).to_string();
    text.trim_end_matches(';').to_owned()
}

/// Writes a request as nginx would (`ngx_http_proxy_create_request`).
pub(super) struct Writer<'a> {
    pub(super) configured: &'a Configured,
    pub(super) instance: &'a Instance,
    pub(super) way: &'a Way,
    pub(super) context: conf::ContextId,
    pub(super) pass: &'a Pass,
    pub(super) url: &'a Url,
}

impl Writer<'_> {
    fn get(&self, left_out: &mut Vec<String>) -> Result<Get, Gap> {
        if self
            .setting("proxy_method")
            .is_some_and(|method| method != "GET")
        {
            return Err(unknown("proxy_method changes the method"));
        }
        let version = self.version();
        if version.as_deref() == Some("2") {
            return Err(unknown("nginx speaks HTTP/2 there, which why502 does not"));
        }
        Ok(Get {
            tls: self.tls(left_out),
            target: self.target()?,
            is_http11: version.as_deref() == Some("1.1"),
            headers: self.headers(left_out),
        })
    }

    /// The version of HTTP that nginx speaks there.
    pub(super) fn version(&self) -> Option<String> {
        let version = self.setting("proxy_http_version");
        let by_default = || conf::default_of("proxy_http_version", self.instance.version_numbers());
        version.or_else(|| by_default().map(str::to_owned))
    }

    fn setting(&self, name: &str) -> Option<String> {
        let (value, _) = self.configured.model.value_in_force(self.context, name)?;
        Some(value.to_string())
    }

    /// The handshake, as the directives have it.
    fn tls(&self, left_out: &mut Vec<String>) -> Option<Hello> {
        if self.pass.protocol != Protocol::Https {
            return None;
        }
        if self
            .setting("proxy_ssl_certificate")
            .is_some_and(|value| !value.is_empty())
        {
            left_out.push("the certificate that nginx shows (proxy_ssl_certificate)".to_owned());
        }
        let model = &self.configured.model;
        let protocols = match model.in_force(self.context, "proxy_ssl_protocols").last() {
            Some(&at) => model.args(at).iter().any(|version| *version == "TLSv1.3"),
            None => conf::default_of("proxy_ssl_protocols", self.instance.version_numbers())
                .is_some_and(|versions| versions.contains("TLSv1.3")),
        };
        let sends = self.setting("proxy_ssl_server_name").as_deref() == Some("on");
        let name = self.setting("proxy_ssl_name");
        let name = name.unwrap_or_else(|| "$proxy_host".to_owned());
        let name = self.expanded(&name).filter(|_| sends).map(|name| {
            let host = name.split(':').next().unwrap_or_default();
            host.to_owned()
        });
        Some(Hello::Tls {
            name: name.filter(|name| !name.is_empty() && name.parse::<std::net::IpAddr>().is_err()),
            tls13: protocols,
        })
    }

    /// Path and query.
    pub(super) fn target(&self) -> Result<String, Gap> {
        let model = &self.configured.model;
        let argument = model
            .arg(self.pass.directive, 0)
            .map(ToString::to_string)
            .unwrap_or_default();
        let rest = argument
            .split_once("://")
            .map_or(argument.as_str(), |(_, rest)| rest);
        let uri = uri_of(rest, true);
        if uri.is_empty() {
            return Ok(self.url.target().to_owned());
        }
        if argument.contains('$') {
            return Err(unknown(format!(
                "{} makes the path of a variable",
                written(model, self.pass)
            )));
        }
        // The part that the location matched is replaced, in the decoded path.
        let prefix = match model.location_pattern(self.pass.context) {
            Some((
                LocationModifier::Prefix | LocationModifier::PrefixFinal | LocationModifier::Exact,
                prefix,
            )) => prefix.to_string(),
            _ => {
                return Err(unknown(
                    "the path is replaced in a way that is not followed here",
                ));
            }
        };
        let path = self.url.raw_path();
        let is_plain = self.url.path() == path.as_bytes();
        match path.strip_prefix(&prefix).filter(|_| is_plain) {
            Some(rest) => Ok(format!("{uri}{rest}{}", self.url.query())),
            None => Err(unknown("its path is decoded and written anew by nginx")),
        }
    }

    /// The headers: nginx's own two, unless set otherwise, what is set, and what a client would send.
    pub(super) fn headers(&self, left_out: &mut Vec<String>) -> Vec<(String, String)> {
        let model = &self.configured.model;
        let mut headers: Vec<(String, String)> = Vec::new();
        let mut set_names = Vec::new();
        for at in model.in_force(self.context, "proxy_set_header") {
            let args = model.args(at);
            let [name, value] = args.as_slice() else {
                continue;
            };
            let (name, value) = (name.to_string(), value.to_string());
            set_names.push(name.to_ascii_lowercase());
            // A connection of ours serves one request.
            if name.eq_ignore_ascii_case("connection") {
                continue;
            }
            match self.expanded(&value).filter(|value| !is_masked(value)) {
                // nginx sends no header with an empty value.
                Some(value) if value.is_empty() => {}
                Some(value) => headers.push((name, value)),
                None => left_out.push(format!("the header {name}, whose value is not known here")),
            }
        }
        if !set_names.iter().any(|name| name == "host") {
            let host = self.expanded("$proxy_host").unwrap_or_default();
            headers.insert(0, ("Host".to_owned(), host));
        }
        headers.push(("Connection".to_owned(), "close".to_owned()));
        for (name, value) in [("User-Agent", USER_AGENT), ("Accept", "*/*")] {
            if !set_names.iter().any(|set| set.eq_ignore_ascii_case(name)) {
                headers.push((name.to_owned(), value.to_owned()));
            }
        }
        headers
    }

    /// A text with its variables' values, where all of them are known.
    pub(super) fn expanded(&self, text: &str) -> Option<String> {
        let mut expanded = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            expanded.push_str(before);
            let (name, remaining) = if let Some(braced) = after.strip_prefix('{') {
                braced.split_once('}')?
            } else {
                let is_other = |c: char| !(c.is_ascii_alphanumeric() || c == '_');
                after.split_at_checked(after.find(is_other).unwrap_or(after.len()))?
            };
            expanded.push_str(&self.variable(name)?);
            rest = remaining;
        }
        expanded.push_str(rest);
        Some(expanded)
    }

    fn variable(&self, name: &str) -> Option<String> {
        let url = self.url;
        // On one host a connection comes from the address that it goes to.
        let local = self.way.served.address.ip().to_string();
        let scheme = if url.is_tls { "https" } else { "http" };
        Some(match name {
            "host" => url.host.clone(),
            "http_host" => url.authority(),
            "proxy_host" => self.proxy_host()?,
            "proxy_port" => self.proxy_port()?,
            "remote_addr" | "realip_remote_addr" | "proxy_add_x_forwarded_for" | "server_addr" => {
                local
            }
            "scheme" => scheme.to_owned(),
            "https" if url.is_tls => "on".to_owned(),
            "server_port" => url.port.to_string(),
            "server_name" => first_name(&self.configured.model, self.way.served.server),
            "server_protocol" => "HTTP/1.1".to_owned(),
            "request_method" => "GET".to_owned(),
            "request_uri" => url.target().to_owned(),
            "uri" | "document_uri" if url.path() == url.raw_path().as_bytes() => {
                url.raw_path().to_owned()
            }
            "args" | "query_string" => url.query().trim_start_matches('?').to_owned(),
            "is_args" if url.query().is_empty() => String::new(),
            "is_args" => "?".to_owned(),
            "http_user_agent" => USER_AGENT.to_owned(),
            "http_accept" => "*/*".to_owned(),
            "http_connection" => "close".to_owned(),
            // No other header is sent, and no cookie.
            name if name.starts_with("http_") || name.starts_with("cookie_") => String::new(),
            "remote_user" | "https" | "ssl_client_verify" => String::new(),
            _ => return None,
        })
    }

    pub(super) fn proxy_host(&self) -> Option<String> {
        let model = &self.configured.model;
        let own = if self.pass.protocol.is_tls() { 443 } else { 80 };
        match &self.pass.target {
            Target::Upstream(id) => Some(model.upstream(*id)?.name.to_string()),
            Target::Address(Address::Unix(_)) => Some("localhost".to_owned()),
            Target::Address(Address::Tcp { host, port }) => {
                let host = match host {
                    Host::V4(ip) => ip.to_string(),
                    Host::V6(ip) => format!("[{ip}]"),
                    Host::Name(name) => name.clone(),
                };
                Some(if *port == own {
                    host
                } else {
                    format!("{host}:{port}")
                })
            }
            Target::Variable { .. } | Target::Unreadable(_) => None,
        }
    }

    fn proxy_port(&self) -> Option<String> {
        match &self.pass.target {
            Target::Address(Address::Tcp { port, .. }) => Some(port.to_string()),
            Target::Upstream(_) if self.pass.protocol.is_tls() => Some("443".to_owned()),
            Target::Upstream(_) => Some("80".to_owned()),
            _ => None,
        }
    }
}

/// Whether a value is a secret that was masked when the configuration was read.
fn is_masked(value: &str) -> bool {
    value.contains("***")
}

/// Where an answer is asked for that nobody gave: nginx does not run.
pub(super) fn not_running(url: &Url) -> Gap {
    Gap::new(
        GapKind::Absent,
        format!("what nginx answers to {url}"),
        "it does not run",
    )
}

impl Case {
    /// The network namespace from which a client reaches nginx.
    pub(super) fn netns_of_way(&self, way: &Way) -> Result<Option<u32>, Gap> {
        let instances = self.instances()?;
        match instances.get(way.instance) {
            Some(instance) => Ok(known(self.netns_of(instance))?.flatten()),
            None => Ok(None),
        }
    }
}
