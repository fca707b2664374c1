//! Which server and which location take a request (`ngx_http_find_virtual_server`, `ngx_http_core_find_location`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use bstr::{BStr, ByteSlice as _};
use regex_lite::{Regex, RegexBuilder};

use super::{Context, ContextId, ContextKind, LocationModifier, Model};
use crate::address::{Address, Host};

/// A server that takes a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// The server.
    pub server: ContextId,
    /// An address on which it is reached; of a wildcard, loopback's.
    pub address: SocketAddr,
    /// Whether the host is one of its names: else it takes what no other server is named for.
    pub is_named: bool,
}

/// Why no server takes a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotServed {
    /// None listens on that port in plain HTTP or TLS, as asked. Those that there are: port, and whether it is TLS.
    Port(Vec<(u16, bool)>),
    /// One listens there, but at other addresses.
    Address(Vec<IpAddr>),
    /// What listens there wants the PROXY protocol, or HTTP/2 without TLS.
    Foreign(&'static str),
}

/// Something in the configuration that cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unclear(
    /// What it is.
    pub String,
);

/// One `IP:port` that nginx listens on, with the servers on it in order.
struct Socket {
    ip: IpAddr,
    port: u16,
    is_tls: bool,
    is_proxied: bool,
    is_http2: bool,
    servers: Vec<ContextId>,
    default: Option<ContextId>,
}

impl Socket {
    /// An address of this host that leads there.
    fn dialled(&self) -> SocketAddr {
        let ip = match self.ip {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        (ip, self.port).into()
    }

    fn takes(&self, address: SocketAddr) -> bool {
        self.port == address.port()
            && (self.ip == address.ip()
                || (self.ip.is_unspecified() && self.ip.is_ipv4() == address.is_ipv4()))
    }

    /// What takes requests that no server is named for.
    fn default(&self) -> Option<ContextId> {
        self.default.or_else(|| self.servers.first().copied())
    }
}

impl Model {
    /// The server that takes a request for `host` (a name in lower case, or an address) on a port.
    ///
    /// # Errors
    /// Where none does.
    pub fn served(&self, is_tls: bool, host: &str, port: u16) -> Result<Served, NotServed> {
        let sockets = self.sockets();
        let fitting: Vec<&Socket> = sockets
            .iter()
            .filter(|socket| socket.port == port && socket.is_tls == is_tls)
            .collect();
        if fitting.is_empty() {
            let mut there: Vec<(u16, bool)> = sockets
                .iter()
                .map(|socket| (socket.port, socket.is_tls))
                .collect();
            there.sort_unstable();
            there.dedup();
            return Err(NotServed::Port(there));
        }
        let ip: Option<IpAddr> = host.parse().ok();
        let reachable: Vec<(&Socket, SocketAddr)> = fitting
            .iter()
            .filter_map(|socket| {
                let address = match ip {
                    Some(ip) => SocketAddr::from((ip, port)),
                    None => socket.dialled(),
                };
                // An address of its own goes before the wildcard.
                let taker = fitting
                    .iter()
                    .filter(|other| other.takes(address))
                    .min_by_key(|other| other.ip.is_unspecified())?;
                std::ptr::eq(*taker, *socket).then_some((*socket, address))
            })
            .collect();
        if reachable.is_empty() {
            return Err(NotServed::Address(
                fitting.iter().map(|socket| socket.ip).collect(),
            ));
        }
        let plain: Vec<&(&Socket, SocketAddr)> = reachable
            .iter()
            .filter(|(socket, _)| !socket.is_proxied && (socket.is_tls || !socket.is_http2))
            .collect();
        if plain.is_empty() {
            let proxied = reachable.iter().any(|(socket, _)| socket.is_proxied);
            return Err(NotServed::Foreign(if proxied {
                "the PROXY protocol"
            } else {
                "HTTP/2 without TLS"
            }));
        }
        let named = plain.iter().find_map(|(socket, address)| {
            Some(Served {
                server: self.named_server(&socket.servers, host)?,
                address: *address,
                is_named: true,
            })
        });
        let default = plain.iter().find_map(|(socket, address)| {
            Some(Served {
                server: socket.default()?,
                address: *address,
                is_named: false,
            })
        });
        named.or(default).ok_or_else(|| NotServed::Port(Vec::new()))
    }

    /// The servers of `http` that take requests for a host by one of their names: on each of nginx's addresses the one
    /// whose name fits best.
    pub fn servers_named(&self, host: &str) -> Vec<ContextId> {
        let host = host.to_ascii_lowercase();
        let mut groups: Vec<Vec<ContextId>> = self
            .sockets()
            .into_iter()
            .map(|socket| socket.servers)
            .collect();
        // Those that listen on no TCP address are reached too.
        let others = self.servers().filter(|server| {
            self.protocol_of(server.id) == Some(ContextKind::Http)
                && !groups.iter().any(|group| group.contains(&server.id))
        });
        let others = others.map(|server| server.id).collect();
        groups.push(others);
        let mut found: Vec<ContextId> = groups
            .iter()
            .filter_map(|group| self.named_server(group, &host))
            .collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The location that takes a path, decoded and with single slashes; the server itself where none does.
    ///
    /// # Errors
    /// Where it hangs on an expression that is not understood here.
    pub fn location_for(&self, server: ContextId, path: &[u8]) -> Result<ContextId, Unclear> {
        Ok(self.location_in(server, path)?.0)
    }

    /// The named location of a server, such as `@app`.
    pub fn location_named(&self, server: ContextId, name: &[u8]) -> Option<&Context> {
        self.locations_in(server).find(|location| {
            self.location_pattern(location.id) == Some((LocationModifier::Named, name.as_bstr()))
        })
    }

    /// The location within a context, and whether it was found exactly.
    fn location_in(&self, context: ContextId, path: &[u8]) -> Result<(ContextId, bool), Unclear> {
        let children = self.context(context).map(|context| &context.children);
        let locations: Vec<(ContextId, LocationModifier, &BStr)> = children
            .into_iter()
            .flatten()
            .filter_map(|&id| {
                let (modifier, pattern) = self.location_pattern(id)?;
                Some((id, modifier, pattern))
            })
            .collect();
        let exact = locations.iter().find(|(_, modifier, pattern)| {
            *modifier == LocationModifier::Exact && *pattern == path
        });
        if let Some((id, _, _)) = exact {
            return Ok((*id, true));
        }
        let prefix = locations
            .iter()
            .filter(|(_, modifier, pattern)| {
                matches!(
                    modifier,
                    LocationModifier::Prefix | LocationModifier::PrefixFinal
                ) && path.starts_with(pattern)
            })
            .max_by_key(|(_, _, pattern)| pattern.len());
        let mut found = context;
        let mut is_final = false;
        if let Some((id, modifier, _)) = prefix {
            is_final = *modifier == LocationModifier::PrefixFinal;
            let (inner, is_settled) = self.location_in(*id, path)?;
            if is_settled {
                return Ok((inner, true));
            }
            found = inner;
        }
        if !is_final {
            for (id, modifier, pattern) in &locations {
                let ignores_case = match modifier {
                    LocationModifier::Regex => false,
                    LocationModifier::RegexCaseless => true,
                    _ => continue,
                };
                if matches(pattern, ignores_case, path)? {
                    return Ok((self.location_in(*id, path)?.0, true));
                }
            }
        }
        Ok((found, false))
    }

    /// The ports on which a server takes requests that any client can send, with whether it speaks TLS there.
    pub fn ports_of(&self, server: ContextId) -> Vec<(u16, bool)> {
        let sockets = self.sockets();
        let open = |socket: &&Socket| {
            socket.servers.contains(&server) && !socket.is_proxied && !socket.is_http2
        };
        let ports = sockets.iter().filter(open);
        ports.map(|socket| (socket.port, socket.is_tls)).collect()
    }

    /// What nginx listens on over TCP, in `http`.
    fn sockets(&self) -> Vec<Socket> {
        let mut sockets: Vec<Socket> = Vec::new();
        for server in self.servers() {
            if self.protocol_of(server.id) != Some(ContextKind::Http) {
                continue;
            }
            let is_on = |name: &str| {
                self.value_in_force(server.id, name)
                    .is_some_and(|(value, _)| value == "on")
            };
            let (all_tls, all_http2) = (is_on("ssl"), is_on("http2"));
            let mut add = |ip, port, is_tls, has: &dyn Fn(&str) -> bool, is_default| {
                let at = sockets
                    .iter()
                    .position(|socket| socket.ip == ip && socket.port == port);
                let at = at.unwrap_or_else(|| {
                    sockets.push(Socket {
                        ip,
                        port,
                        is_tls: false,
                        is_proxied: false,
                        is_http2: false,
                        servers: Vec::new(),
                        default: None,
                    });
                    sockets.len() - 1
                });
                if let Some(socket) = sockets.get_mut(at) {
                    socket.is_tls |= is_tls || all_tls;
                    socket.is_proxied |= has("proxy_protocol");
                    // Since 1.25.1 `http2 on` and HTTP/1 share a plain socket; the old parameter does not.
                    socket.is_http2 |= has("http2") && !all_http2;
                    if socket.servers.last() != Some(&server.id) {
                        socket.servers.push(server.id);
                    }
                    if is_default {
                        socket.default.get_or_insert(server.id);
                    }
                }
            };
            let listens = self.listens(server.id);
            if listens.is_empty() && self.own(server.id, "listen").is_empty() {
                add(Ipv4Addr::UNSPECIFIED.into(), 80, false, &|_| false, false);
            }
            for listen in listens.iter().filter(|listen| !listen.udp) {
                let Address::Tcp { host, port } = &listen.address else {
                    continue;
                };
                let has = |name: &str| listen.parameters.iter().any(|parameter| parameter == name);
                for port in *port..=listen.last_port.unwrap_or(*port) {
                    for ip in addresses(host, has("ipv6only=off")) {
                        add(ip, port, listen.ssl, &has, listen.default_server);
                    }
                }
            }
        }
        sockets
    }

    /// The server that is named so: exactly, else by the longest wildcard in front, behind, else by an expression.
    fn named_server(&self, servers: &[ContextId], host: &str) -> Option<ContextId> {
        let names = |server: ContextId| -> Vec<String> {
            let names = self.server_names(server);
            names
                .iter()
                .map(|name| name.to_str_lossy().into_owned())
                .collect()
        };
        let all: Vec<(ContextId, String)> = servers
            .iter()
            .flat_map(|&server| names(server).into_iter().map(move |name| (server, name)))
            .collect();
        let lower = |name: &str| name.to_ascii_lowercase();
        let exact = all.iter().find(|(_, name)| {
            let name = lower(name);
            name == host || name.strip_prefix('.') == Some(host)
        });
        let tail = |name: &str| -> Option<usize> {
            let name = lower(name);
            let tail = name.strip_prefix('*').unwrap_or(&name);
            (tail.starts_with('.') && host.len() > tail.len() && host.ends_with(tail))
                .then_some(tail.len())
        };
        let head = |name: &str| -> Option<usize> {
            let name = lower(name);
            let head = name.strip_suffix('*')?;
            (head.ends_with('.') && host.len() > head.len() && host.starts_with(head))
                .then_some(head.len())
        };
        let longest = |length: &dyn Fn(&str) -> Option<usize>| {
            let mut best: Option<(usize, ContextId)> = None;
            for (server, name) in &all {
                if let Some(length) = length(name)
                    && best.is_none_or(|(longest, _)| length > longest)
                {
                    best = Some((length, *server));
                }
            }
            best.map(|(_, server)| server)
        };
        let expressed = || {
            let fits = |name: &str| {
                let pattern = name.strip_prefix('~')?;
                // nginx compiles them without regard to case.
                compiled(pattern, true).map(|regex| regex.is_match(host))
            };
            let found = all.iter().find(|(_, name)| fits(name) == Some(true));
            found.map(|(server, _)| *server)
        };
        exact
            .map(|(server, _)| *server)
            .or_else(|| longest(&tail))
            .or_else(|| longest(&head))
            .or_else(expressed)
    }
}

/// The addresses that a `listen` stands for; none where a name would have to be looked up.
fn addresses(host: &Host, is_dual: bool) -> Vec<IpAddr> {
    match host {
        Host::V4(ip) => vec![(*ip).into()],
        Host::V6(ip) if is_dual && ip.is_unspecified() => {
            vec![(*ip).into(), Ipv4Addr::UNSPECIFIED.into()]
        }
        Host::V6(ip) => vec![(*ip).into()],
        Host::Name(name) if name == "localhost" => vec![Ipv4Addr::LOCALHOST.into()],
        Host::Name(_) => Vec::new(),
    }
}

fn matches(pattern: &BStr, ignores_case: bool, path: &[u8]) -> Result<bool, Unclear> {
    let unclear = || Unclear(format!("location ~ {pattern}"));
    let regex = pattern
        .to_str()
        .ok()
        .and_then(|pattern| compiled(pattern, ignores_case))
        .ok_or_else(unclear)?;
    let path = path.to_str().map_err(|_| unclear())?;
    Ok(regex.is_match(path))
}

/// What PCRE has and this does not (look-around, back references) does not compile.
fn compiled(pattern: &str, ignores_case: bool) -> Option<Regex> {
    RegexBuilder::new(pattern)
        .case_insensitive(ignores_case)
        .build()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::model;

    fn taken(
        conf: &str,
        is_tls: bool,
        host: &str,
        port: u16,
    ) -> Result<(String, String), NotServed> {
        let model = model(conf);
        model.served(is_tls, host, port).map(|served| {
            let names = model.server_names(served.server);
            let name = names.first().map(ToString::to_string).unwrap_or_default();
            (served.address.to_string(), name)
        })
    }

    const SERVERS: &str = "
        http {
        server { listen 80; listen 443 ssl; server_name a.example www.a.example; }
        server { listen 80 default_server; server_name _; }
        server { listen 80; server_name *.a.example; }
        server { listen 80; server_name .b.example; }
        server { listen 80; server_name mail.*; }
        server { listen 80; server_name ~^c\\d+\\.example$; }
        server { listen 127.0.0.1:8080; server_name local; }
        server { listen 10.0.0.5:8080; server_name far; }
        server { listen [::1]:8081; server_name six; }
        server { listen 8082 proxy_protocol; server_name behind; }
        server { listen 8083 udp; }
        }
        stream { server { listen 9000; } }
    ";

    #[test]
    fn the_server_is_the_one_that_nginx_would_take() {
        for (tls, host, port, address, name) in [
            (false, "a.example", 80, "127.0.0.1:80", "a.example"),
            (false, "www.a.example", 80, "127.0.0.1:80", "a.example"),
            (false, "x.a.example", 80, "127.0.0.1:80", "*.a.example"),
            (false, "b.example", 80, "127.0.0.1:80", ".b.example"),
            (false, "x.b.example", 80, "127.0.0.1:80", ".b.example"),
            (false, "mail.org", 80, "127.0.0.1:80", "mail.*"),
            (
                false,
                "c12.example",
                80,
                "127.0.0.1:80",
                "~^c\\d+\\.example$",
            ),
            (false, "other", 80, "127.0.0.1:80", "_"),
            (false, "10.0.0.9", 80, "10.0.0.9:80", "_"),
            (true, "b.example", 443, "127.0.0.1:443", "a.example"),
            (false, "far", 8080, "10.0.0.5:8080", "far"),
            (false, "10.0.0.5", 8080, "10.0.0.5:8080", "far"),
            (false, "local", 8080, "127.0.0.1:8080", "local"),
            (false, "six", 8081, "[::1]:8081", "six"),
        ] {
            assert_eq!(
                taken(SERVERS, tls, host, port),
                Ok((address.to_owned(), name.to_owned())),
                "{host}:{port}"
            );
        }
    }

    #[test]
    fn a_host_names_servers_on_every_address() {
        let conf = "http {
            server { listen 80; server_name a.example; }
            server { listen 443 ssl; server_name *.example; }
            server { listen unix:/run/n.sock; server_name ~^a\\.; }
            server { listen 80; server_name b.example; }
            server { listen 80 default_server; }
        }";
        let model = model(conf);
        let named = |host: &str| -> Vec<String> {
            let servers = model.servers_named(host);
            let first = |&server: &ContextId| model.server_names(server)[0].to_string();
            servers.iter().map(first).collect()
        };
        assert_eq!(named("A.Example"), ["a.example", "*.example", "~^a\\."]);
        assert_eq!(named("b.example"), ["*.example", "b.example"]);
        assert_eq!(named("x.org"), Vec::<String>::new());
    }

    #[test]
    fn what_no_server_takes_is_said() {
        for (tls, host, port) in [
            (true, "a.example", 80),
            (false, "a.example", 443),
            (false, "x", 9000),
            (false, "x", 8083),
        ] {
            assert!(
                matches!(taken(SERVERS, tls, host, port), Err(NotServed::Port(there)) if there.contains(&(80, false)) && there.contains(&(443, true))),
                "{host}:{port}"
            );
        }
        assert!(matches!(
            taken(SERVERS, false, "192.0.2.1", 8080),
            Err(NotServed::Address(_))
        ));
        assert_eq!(
            taken(SERVERS, false, "behind", 8082),
            Err(NotServed::Foreign("the PROXY protocol"))
        );
    }

    #[test]
    fn an_address_of_its_own_goes_before_the_wildcard() {
        let conf = "http { server { listen 80; server_name all; } server { listen 127.0.0.1:80; server_name own; } }";
        assert_eq!(taken(conf, false, "127.0.0.1", 80).unwrap().1, "own");
        assert_eq!(taken(conf, false, "10.0.0.1", 80).unwrap().1, "all");
    }

    #[test]
    fn the_location_is_the_one_that_nginx_would_take() {
        let model = model(
            "http { server { listen 80;
            location / { }
            location /api { location /api/v2 { } location ~ \\.json$ { } }
            location = /api { }
            location ^~ /files { }
            location ~ \\.php$ { }
            location ~* \\.(PNG|gif)$ { }
            location @app { }
            } }",
        );
        let server = model.served(false, "x", 80).unwrap().server;
        for (path, label) in [
            ("/", "location /"),
            ("/x", "location /"),
            ("/api", "location = /api"),
            ("/api/", "location /api"),
            ("/api/v2/x", "location /api/v2"),
            ("/api/x.json", "location ~ \\.json$"),
            ("/api/x.php", "location ~ \\.php$"),
            ("/files/x.php", "location ^~ /files"),
            ("/x.php", "location ~ \\.php$"),
            ("/x.PhP", "location /"),
            ("/x.Gif", "location ~* \\.(PNG|gif)$"),
        ] {
            let found = model.location_for(server, path.as_bytes()).unwrap();
            assert_eq!(model.location_label(found), label, "{path}");
        }
        let named = model.location_named(server, b"@app").unwrap();
        assert_eq!(model.location_label(named.id), "location @app");
    }

    #[test]
    fn no_location_is_the_server_and_an_expression_too_many_is_unclear() {
        let model = model("http { server { location = /a { } location ~ ^/(?!x) { } } }");
        let server = model.served(false, "x", 80).unwrap().server;
        assert_eq!(
            model.location_for(server, b"/b"),
            Err(Unclear("location ~ ^/(?!x)".to_owned()))
        );
        assert!(model.location_for(server, b"/a").is_ok());
    }
}
