//! What is said to a peer: what nginx would say for a request that nobody sent, as far as that is known.

use std::net::{IpAddr, SocketAddr};

use conf::{Address, Host, Model, Pass, Protocol, Served};
use facts::conversation::Param;
use facts::{Gap, Get, Hello, PeerAddress, Speech, Url};

use super::dialled::{Dialled, path_of};
use super::{Case, Instance, known};
use crate::case::config::{Configured, site};
use crate::case::pools::Pool;
use crate::case::tls::{PeerName, TlsSettings, settings};
use crate::case::way::{USER_AGENT, Way, Writer};
use crate::gate::Role;

/// What FastCGI is asked for where nothing is known that it would answer: a script that is not there.
const NOTHING: &str = "/why502/nothing";

/// What is said to a peer.
pub(super) struct Said {
    /// To whom.
    pub(super) to: PeerAddress,
    /// From which address.
    pub(super) bind: Option<IpAddr>,
    /// What the directives of the pass begin with.
    pub(super) module: &'static str,
    /// The TLS handshake before it.
    pub(super) tls: Option<Hello>,
    /// How nginx speaks TLS there.
    pub(super) settings: Option<TlsSettings>,
    /// What.
    pub(super) speech: Speech,
    /// Whether the status of the answer tells: it does not where nothing was asked for.
    pub(super) has_status: bool,
    /// Whether nginx shows a certificate of its own, which is not shown here.
    pub(super) lacks_certificate: bool,
    /// What nginx sends that was left out.
    pub(super) left_out: Vec<String>,
}

impl Said {
    /// What is tried, in a few words each.
    pub(super) fn tried(&self) -> Vec<String> {
        let mut tried = vec!["connect".to_owned()];
        if let Some(Hello::Tls { name, .. }) = &self.tls {
            let mut text = match name {
                Some(name) => format!("TLS with the name {name}"),
                None => "TLS without a name".to_owned(),
            };
            if self.settings.as_ref().is_some_and(|set| set.verifies) {
                text.push_str(", certificate verified");
            }
            tried.push(text);
        }
        let path = self.speech.path().unwrap_or_default();
        tried.extend(match &self.speech {
            Speech::Nothing | Speech::Hello(Hello::Tls { .. }) => None,
            Speech::Http(get) => {
                let version = if get.is_http11 { "1.1" } else { "1.0" };
                let host = get
                    .headers
                    .iter()
                    .find(|(name, _)| name.eq_ignore_ascii_case("host"));
                let host = host.map_or_else(String::new, |(_, host)| format!(", Host: {host}"));
                Some(format!("GET {path} HTTP/{version}{host}"))
            }
            Speech::FastCgi(_) if self.has_status => Some(format!("FastCGI GET {path}")),
            Speech::FastCgi(_) => Some("FastCGI GET of a script that is not there".to_owned()),
            Speech::Uwsgi(_) => Some(format!("uwsgi GET {path}")),
            Speech::Scgi(_) => Some(format!("SCGI GET {path}")),
            Speech::GrpcHealth { .. } => Some("gRPC health check".to_owned()),
            Speech::Memcached => Some("memcached version".to_owned()),
            Speech::Hello(hello) => Some(format!("hello in {}", hello.name())),
        });
        tried
    }
}

impl Case {
    /// What is said to a peer; `None` where it is not to be asked.
    pub(super) fn said_to(
        &self,
        configured: &std::rc::Rc<Configured>,
        instance: &Instance,
        dialled: &Dialled,
    ) -> Result<Option<Said>, Gap> {
        let place = &dialled.place;
        let (Ok(address), Some(pass)) = (&dialled.address, pass_of(&configured.model, dialled))
        else {
            return Ok(None);
        };
        if place.role == Role::Down || place.is_udp {
            return Ok(None);
        }
        let to = match address {
            // The one who connects runs in a directory of its own.
            PeerAddress::Unix(path) => match known(self.placed(instance, path))? {
                Some(path) => PeerAddress::Unix(path),
                None => return Ok(None),
            },
            PeerAddress::Tcp(_) => address.clone(),
        };
        let mut said = Said {
            to,
            bind: None,
            module: pass.kind.directive_name().trim_end_matches("_pass"),
            tls: None,
            settings: None,
            speech: Speech::Nothing,
            has_status: false,
            lacks_certificate: false,
            left_out: Vec::new(),
        };
        let model = &configured.model;
        bind(model, dialled, &mut said);
        let is_set = |name: &str| {
            let value = model.value_in_force(place.context, name);
            value.is_some_and(|(value, _)| value == "on")
        };
        let is_tls = match place.protocol {
            Protocol::Stream => is_set("proxy_ssl"),
            protocol => protocol.is_tls(),
        };
        if place.protocol == Protocol::Stream && is_set("proxy_protocol") {
            // Whoever waits for its header says nothing before it.
            said.left_out
                .push("the header of the PROXY protocol, and what follows it".to_owned());
            return Ok(Some(said));
        }
        let Some(speaker) = Speaker::of(configured, instance, dialled, pass, self) else {
            return Ok(None);
        };
        if is_tls {
            speaker.tls(&mut said);
        }
        said.speech = speaker.speech(&mut said)?;
        Ok(Some(said))
    }
}

/// The address that nginx is to come from, where it is written there.
fn bind(model: &Model, dialled: &Dialled, said: &mut Said) {
    let name = format!("{}_bind", said.module);
    let Some(&at) = model.in_force(dialled.place.context, &name).last() else {
        return;
    };
    let args = model.args(at);
    let Some(first) = args.first().map(ToString::to_string) else {
        return;
    };
    let is_transparent = args.iter().any(|argument| *argument == "transparent");
    let ip = first
        .parse::<SocketAddr>()
        .map(|address| address.ip())
        .or_else(|_| first.trim_matches(['[', ']']).parse());
    match ip {
        Ok(ip) if !is_transparent => said.bind = Some(ip),
        _ if first == "off" => {}
        _ => said.left_out.push(format!("the address that {name} gives")),
    }
}

fn pass_of<'m>(model: &'m Model, dialled: &Dialled) -> Option<&'m Pass> {
    let place = &dialled.place;
    model
        .passes()
        .iter()
        .find(|pass| pass.directive == place.pass && pass.context == place.context)
}

/// Says what nginx would at one place.
struct Speaker<'a> {
    case: &'a Case,
    configured: &'a std::rc::Rc<Configured>,
    instance: &'a Instance,
    dialled: &'a Dialled,
    pass: &'a Pass,
    way: Way,
    url: Url,
}

impl<'a> Speaker<'a> {
    fn of(
        configured: &'a std::rc::Rc<Configured>,
        instance: &'a Instance,
        dialled: &'a Dialled,
        pass: &'a Pass,
        case: &'a Case,
    ) -> Option<Self> {
        let model = &configured.model;
        let context = dialled.place.context;
        let server = model.server_of(context).map_or(context, |server| server.id);
        let listen = model.listens(context).iter().find(|listen| !listen.udp);
        let (ip, port) = match listen.map(|listen| &listen.address) {
            Some(Address::Tcp { host, port }) => (host.ip(), *port),
            _ => (None, 80),
        };
        let ip = ip.filter(|ip| !ip.is_unspecified());
        let is_tls = listen.is_some_and(|listen| listen.ssl);
        let scheme = if is_tls { "https" } else { "http" };
        let host = host_for(model, context);
        let path = path_of(model, &dialled.place).unwrap_or_else(|| "/".to_owned());
        let url = |path: &str| Url::parse(&format!("{scheme}://{host}:{port}{path}")).ok();
        Some(Self {
            case,
            configured,
            instance,
            dialled,
            pass,
            way: Way {
                instance: 0,
                served: Served {
                    server,
                    address: (ip.unwrap_or([127, 0, 0, 1].into()), port).into(),
                    is_named: true,
                },
            },
            url: url(&path).or_else(|| url("/"))?,
        })
    }

    fn writer(&self) -> Writer<'_> {
        Writer {
            configured: self.configured,
            instance: self.instance,
            way: &self.way,
            context: self.dialled.place.context,
            pass: self.pass,
            url: &self.url,
        }
    }

    fn tls(&self, said: &mut Said) {
        let model = &self.configured.model;
        let Some(site) = site(model, self.pass, None) else {
            return;
        };
        let version = self.instance.version_numbers();
        let Some(settings) = settings(self.configured, &site, version) else {
            return;
        };
        let name = match &settings.name {
            PeerName::Name(name) => Some(name.clone()),
            PeerName::Address => None,
            PeerName::Variable => {
                let set = model.value_in_force(site.context, &settings.directive("name"));
                let name = set.and_then(|(value, _)| self.writer().expanded(&value.to_string()));
                if name.is_none() && settings.sends_name {
                    said.left_out
                        .push("the name that a variable gives (SNI)".to_owned());
                }
                name
            }
        };
        let certificate = settings.directive("certificate");
        if let Some((value, _)) = model.value_in_force(site.context, &certificate)
            && !value.is_empty()
        {
            said.lacks_certificate = true;
            said.left_out
                .push(format!("the certificate that nginx shows ({certificate})"));
        }
        said.tls = Some(Hello::Tls {
            name: name.filter(|_| settings.sends_name),
            tls13: settings.offers_tls13(),
        });
        said.settings = Some(settings);
    }

    fn speech(&self, said: &mut Said) -> Result<Speech, Gap> {
        Ok(match self.dialled.place.protocol {
            Protocol::Http | Protocol::Https => self.http(said),
            Protocol::Fastcgi => self.fastcgi(said)?,
            Protocol::Uwsgi | Protocol::Suwsgi => {
                said.has_status = true;
                Speech::Uwsgi(self.params(&self.path(), ""))
            }
            Protocol::Scgi => {
                said.has_status = true;
                Speech::Scgi(self.params(&self.path(), ""))
            }
            Protocol::Grpc | Protocol::Grpcs => Speech::GrpcHealth {
                authority: self.writer().proxy_host().unwrap_or_default(),
            },
            Protocol::Memcached => Speech::Memcached,
            Protocol::Stream => Speech::Nothing,
        })
    }

    /// The path that a client would send.
    fn path(&self) -> String {
        let options = self.case.gate_options().ok();
        let named = options.and_then(|options| options.http_path.clone());
        named.unwrap_or_else(|| self.url.raw_path().to_owned())
    }

    fn http(&self, said: &mut Said) -> Speech {
        let writer = self.writer();
        let version = writer.version();
        if version.as_deref() == Some("2") {
            said.left_out.push(
                "a request: nginx speaks HTTP/2 there, of which why502 says no more than the hello"
                    .to_owned(),
            );
            return Speech::Hello(Hello::Http2);
        }
        let options = self.case.gate_options().ok();
        let named = options.and_then(|options| options.http_path.clone());
        let target = named.unwrap_or_else(|| {
            // Where a variable makes the path, or a pattern matches it, nobody knows one.
            writer.target().unwrap_or_else(|_| "/".to_owned())
        });
        said.has_status = true;
        Speech::Http(Get {
            tls: None,
            target,
            is_http11: version.as_deref() == Some("1.1"),
            headers: writer.headers(&mut said.left_out),
        })
    }

    /// php-fpm's ping where its pool has one; else what `--http-path` names, or nothing that is there.
    fn fastcgi(&self, said: &mut Said) -> Result<Speech, Gap> {
        let pools = known(self.case.pools())?;
        let pool = pools.iter().flat_map(|pools| pools.iter());
        let mut pool = pool.filter(|pool| pool.listens_on(&said.to));
        let ping = pool.find_map(Pool::ping_path);
        said.has_status = ping.is_some();
        let options = self.case.gate_options()?;
        let path = ping.or_else(|| options.http_path.clone());
        let path = path.unwrap_or_else(|| NOTHING.to_owned());
        Ok(Speech::FastCgi(self.params(&path, &path)))
    }

    /// The variables that `uwsgi_params`, `scgi_params` and `fastcgi_params` give.
    fn params(&self, path: &str, script: &str) -> Vec<Param> {
        let url = &self.url;
        let port = url.port.to_string();
        let authority = url.authority();
        let mut params = vec![
            ("REQUEST_METHOD", "GET"),
            ("REQUEST_URI", path),
            ("DOCUMENT_URI", path),
            ("QUERY_STRING", ""),
            ("CONTENT_TYPE", ""),
            ("SERVER_PROTOCOL", "HTTP/1.1"),
            ("SERVER_NAME", url.host.as_str()),
            ("SERVER_PORT", port.as_str()),
            ("REMOTE_ADDR", "127.0.0.1"),
            ("REQUEST_SCHEME", if url.is_tls { "https" } else { "http" }),
            ("HTTP_HOST", authority.as_str()),
            ("HTTP_USER_AGENT", USER_AGENT),
        ];
        if script.is_empty() {
            params.push(("PATH_INFO", path));
        } else {
            params.push(("SCRIPT_NAME", script));
            params.push(("SCRIPT_FILENAME", script));
            params.push(("CONTENT_LENGTH", ""));
        }
        params
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }
}

/// A name of the server that a client could ask for.
fn host_for(model: &Model, context: conf::ContextId) -> String {
    let names = model.server_names(context);
    let usable = |name: &String| {
        let is_plain = name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'));
        is_plain && !name.is_empty() && !name.starts_with('.')
    };
    let names = names.iter().map(ToString::to_string);
    let ip_or_name = |host: &String| Host::parse(host.as_bytes()).is_some();
    names
        .filter(usable)
        .find(ip_or_name)
        .unwrap_or_else(|| "localhost".to_owned())
}
