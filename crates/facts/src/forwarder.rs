//! Programs that take connections in one network namespace for a listener in another, by their command lines.

use std::net::{IpAddr, SocketAddr};

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
            Forwarder::parse(&[vec![b"docker-proxy".to_vec()], args].concat());
        }
    }
}
