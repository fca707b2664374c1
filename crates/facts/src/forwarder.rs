//! Programs that take connections for a listener elsewhere, such as in another network namespace, by their command lines.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// A program that hands connections on: what it is asked, it does not answer itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relay {
    /// Where it leads them, as far as its command line tells.
    pub to: Leads,
}

/// Where a relay leads connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leads {
    /// To an address, as its own network has it.
    Address(SocketAddr),
    /// To a unix socket.
    Socket(PathBuf),
    /// To this, as its command line has it.
    Told(String),
    /// A file of settings says where.
    Untold,
}

impl Relay {
    /// Reads the command line of a program that does nothing but hand connections on; `None` of any other.
    pub fn parse(args: &[Vec<u8>]) -> Option<Self> {
        if let Some(forwarder) = Forwarder::parse(args) {
            return Some(Self {
                to: Leads::Address(forwarder.to),
            });
        }
        let (program, rest) = args.split_first()?;
        let program = program.rsplit(|&byte| byte == b'/').next()?;
        let words: Vec<&str> = rest
            .iter()
            .filter_map(|word| std::str::from_utf8(word).ok())
            .collect();
        let to = match program {
            b"socat" => socat(&words)?,
            b"ssh" => ssh(&words)?,
            b"haproxy" | b"envoy" => Leads::Untold,
            _ => return None,
        };
        Some(Self { to })
    }
}

/// The address that is no listening one (socat(1)): `TCP-LISTEN:8000,fork TCP:127.0.0.1:9000`.
fn socat(words: &[&str]) -> Option<Leads> {
    let is_listening = |word: &str| {
        let kind = word.split([':', ',']).next().unwrap_or_default();
        let kind = kind.to_ascii_uppercase();
        kind.ends_with("-LISTEN") || kind.ends_with("-L")
    };
    let both: Vec<&str> = words
        .iter()
        .copied()
        .filter(|word| !word.starts_with('-') && word.contains(':'))
        .collect();
    let &[one, other] = both.as_slice() else {
        return None;
    };
    let to = match (is_listening(one), is_listening(other)) {
        (true, false) => other,
        (false, true) => one,
        _ => return None,
    };
    let (kind, rest) = to.split_once(':')?;
    let place = rest.split(',').next().unwrap_or_default();
    Some(match kind.to_ascii_uppercase().as_str() {
        "TCP" | "TCP4" | "TCP6" | "TCP-CONNECT" | "TCP4-CONNECT" | "TCP6-CONNECT" => {
            match socket_address(place) {
                Some(address) => Leads::Address(address),
                None => Leads::Told(place.to_owned()),
            }
        }
        "UNIX" | "UNIX-CONNECT" | "UNIX-CLIENT" => Leads::Socket(PathBuf::from(place)),
        _ => Leads::Told(to.to_owned()),
    })
}

/// `-L [bind_address:]port:host:hostport`: the far end of the connection dials it (ssh(1)).
fn ssh(words: &[&str]) -> Option<Leads> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if let Some(after) = word.strip_prefix("-L") {
            let told = if after.is_empty() {
                *words.next()?
            } else {
                after
            };
            return Some(Leads::Told(format!("what -L {told} names at its far end")));
        }
    }
    None
}

fn socket_address(place: &str) -> Option<SocketAddr> {
    place.parse().ok().or_else(|| {
        let port = place.strip_prefix("localhost:")?.parse().ok()?;
        Some((Ipv4Addr::LOCALHOST, port).into())
    })
}

/// What a forwarder was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forwarder {
    /// Where it takes connections.
    pub from: SocketAddr,
    /// Where it leads them.
    pub to: SocketAddr,
}

impl Forwarder {
    /// Reads the command line of Docker's `docker-proxy`, one of which runs for every published port
    /// (moby, `cmd/docker-proxy`); `None` of any other program, and where it forwards no TCP.
    pub fn parse(args: &[Vec<u8>]) -> Option<Self> {
        let (program, rest) = args.split_first()?;
        if program.rsplit(|&byte| byte == b'/').next() != Some(b"docker-proxy") {
            return None;
        }
        let value = |name: &str| {
            let mut words = rest.iter();
            words.find(|word| {
                word.strip_prefix(b"-")
                    .is_some_and(|bare| bare.strip_prefix(b"-").unwrap_or(bare) == name.as_bytes())
            })?;
            std::str::from_utf8(words.next()?).ok()
        };
        if value("proto").is_some_and(|protocol| protocol != "tcp") {
            return None;
        }
        let address = |ip: &str, port: &str| {
            let ip: IpAddr = value(ip)?.parse().ok()?;
            Some(SocketAddr::new(ip, value(port)?.parse().ok()?))
        };
        Some(Self {
            from: address("host-ip", "host-port")?,
            to: address("container-ip", "container-port")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(line: &str) -> Option<(String, String)> {
        let args: Vec<Vec<u8>> = line.split(' ').map(|arg| arg.as_bytes().to_vec()).collect();
        Forwarder::parse(&args).map(|found| (found.from.to_string(), found.to.to_string()))
    }

    #[test]
    fn dockers_own_tells_both_ends() {
        let line = "/usr/bin/docker-proxy -proto tcp -host-ip 127.0.0.1 -host-port 8080 -container-ip 172.17.0.2 -container-port 8000 -use-listen-fd";
        let ends = ("127.0.0.1:8080".to_owned(), "172.17.0.2:8000".to_owned());
        assert_eq!(parse(line), Some(ends));
    }

    #[test]
    fn relays_tell_where_they_lead() {
        let relay = |line: &str| {
            let args: Vec<Vec<u8>> = line.split(' ').map(|arg| arg.as_bytes().to_vec()).collect();
            Relay::parse(&args).map(|relay| relay.to)
        };
        let address = |text: &str| Some(Leads::Address(text.parse().unwrap()));
        for (line, to) in [
            (
                "socat TCP-LISTEN:8000,fork,reuseaddr TCP:127.0.0.1:9000",
                address("127.0.0.1:9000"),
            ),
            (
                "/usr/bin/socat -d tcp4-l:8000,fork tcp4:localhost:9000,nodelay",
                address("127.0.0.1:9000"),
            ),
            (
                "socat TCP-LISTEN:8000 UNIX-CONNECT:/run/app.sock",
                Some(Leads::Socket("/run/app.sock".into())),
            ),
            (
                "socat TCP-LISTEN:8000 TCP:db.internal:9000",
                Some(Leads::Told("db.internal:9000".to_owned())),
            ),
            ("socat - TCP:127.0.0.1:9000", None),
            (
                "ssh -N -L 8000:127.0.0.1:9000 far",
                Some(Leads::Told(
                    "what -L 8000:127.0.0.1:9000 names at its far end".to_owned(),
                )),
            ),
            ("ssh far", None),
            ("haproxy -f /etc/haproxy/haproxy.cfg", Some(Leads::Untold)),
            (
                "docker-proxy -proto tcp -host-ip 127.0.0.1 -host-port 8080 -container-ip 172.17.0.2 -container-port 8000",
                address("172.17.0.2:8000"),
            ),
            ("gunicorn --bind 127.0.0.1:8000", None),
        ] {
            assert_eq!(relay(line), to, "{line}");
        }
    }

    #[test]
    fn what_forwards_no_tcp_or_tells_no_end_is_none() {
        for line in [
            "/usr/bin/docker-proxy -proto udp -host-ip 0.0.0.0 -host-port 53 -container-ip 172.17.0.2 -container-port 53",
            "/usr/bin/docker-proxy -proto tcp -host-ip 0.0.0.0 -host-port",
            "/usr/bin/docker-proxy",
            "gunicorn -proto tcp -host-ip 127.0.0.1 -host-port 80 -container-ip 172.17.0.2 -container-port 80",
        ] {
            assert_eq!(parse(line), None, "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_arguments_are_read_without_a_panic(args: Vec<Vec<u8>>) {
            Forwarder::parse(&args);
            Relay::parse(&args);
            Relay::parse(&[vec![b"socat".to_vec()], args.clone()].concat());
            Forwarder::parse(&[vec![b"docker-proxy".to_vec()], args].concat());
        }
    }
}
