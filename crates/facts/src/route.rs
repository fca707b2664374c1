//! The way to an address, and the neighbour on it, as `ip -j` of iproute2 tells them.

use std::net::IpAddr;

use serde_json::Value as Json;

/// What the kernel does with packets to an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// It sends them.
    Way(Way),
    /// It refuses them with this errno, and nothing leaves the host.
    Refused(i32),
}

/// A way to an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    /// The device they leave by; `lo` for the host's own addresses.
    pub device: String,
    /// The address they are sent from.
    pub source: IpAddr,
    /// The router they are given to; `None` where the address itself is on the link.
    pub gateway: Option<IpAddr>,
}

/// A route of the table that refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Barrier {
    /// `prohibit`, `blackhole` or `unreachable`.
    pub kind: String,
    /// The network it stands for, as `ip route` writes it.
    pub network: String,
}

impl Route {
    /// Reads `ip -j route get ADDRESS`: what it printed, or complained of. `None` when it is neither.
    pub fn parse(code: Option<i32>, stdout: &[u8], stderr: &[u8]) -> Option<Self> {
        if code != Some(0) {
            return refusal(&String::from_utf8_lossy(stderr)).map(Self::Refused);
        }
        let routes: Json = serde_json::from_slice(stdout).ok()?;
        let route = routes.as_array()?.first()?;
        let address = |key: &str| route.get(key)?.as_str()?.parse().ok();
        Some(Self::Way(Way {
            device: route.get("dev")?.as_str()?.to_owned(),
            source: address("prefsrc")?,
            gateway: address("gateway").or_else(|| {
                // A router of the other version.
                route.pointer("/via/host")?.as_str()?.parse().ok()
            }),
        }))
    }
}

/// What rtnetlink answered, in the C locale's words.
fn refusal(complaint: &str) -> Option<i32> {
    let texts = [
        ("Network is unreachable", 101),
        ("No route to host", 113),
        ("Permission denied", 13),
        ("Invalid argument", 22),
    ];
    let answer = complaint
        .lines()
        .find_map(|line| line.strip_prefix("RTNETLINK answers: "))?;
    texts
        .iter()
        .find_map(|(text, errno)| (answer.trim() == *text).then_some(*errno))
}

/// Reads `ip -j route show match ADDRESS`: the route of the main table that refuses it, where that is the narrowest.
pub fn barrier(bytes: &[u8]) -> Option<Barrier> {
    let routes: Json = serde_json::from_slice(bytes).ok()?;
    let length = |route: &&Json| {
        let network = route.get("dst").and_then(Json::as_str).unwrap_or_default();
        match network.split_once('/') {
            Some((_, length)) => length.parse().unwrap_or(0),
            None if network == "default" => 0,
            None => 128_u32,
        }
    };
    let narrowest = routes.as_array()?.iter().max_by_key(length)?;
    let kind = narrowest.get("type")?.as_str()?;
    ["prohibit", "blackhole", "unreachable"]
        .contains(&kind)
        .then(|| Barrier {
            kind: kind.to_owned(),
            network: narrowest
                .get("dst")
                .and_then(Json::as_str)
                .unwrap_or_default()
                .to_owned(),
        })
}

/// Reads `ip -j neighbour show to ADDRESS`: the state of the entry, such as `FAILED`; `None` when there is none.
pub fn neighbour(bytes: &[u8]) -> Option<String> {
    let entries: Json = serde_json::from_slice(bytes).ok()?;
    let states = entries.as_array()?.first()?.get("state")?.as_array()?;
    states.first()?.as_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn route(stdout: &str) -> Option<Route> {
        Route::parse(Some(0), stdout.as_bytes(), b"")
    }

    // The answers below are iproute2 6.1's.

    #[test]
    fn a_way_has_a_device_a_source_and_perhaps_a_router() {
        let on_link =
            r#"[{"dst":"10.5.0.9","dev":"e0","prefsrc":"10.5.0.1","flags":[],"uid":0,"cache":[]}]"#;
        assert_eq!(
            route(on_link),
            Some(Route::Way(Way {
                device: "e0".to_owned(),
                source: "10.5.0.1".parse().unwrap(),
                gateway: None,
            }))
        );
        let routed = r#"[{"dst":"8.8.8.8","gateway":"10.5.0.254","dev":"e0","prefsrc":"10.5.0.1","flags":[],"uid":0,"cache":[]}]"#;
        let Some(Route::Way(way)) = route(routed) else {
            panic!("no way");
        };
        assert_eq!(way.gateway, "10.5.0.254".parse().ok());
    }

    #[test]
    fn a_refusal_is_the_errno_that_connect_gives() {
        for (said, errno) in [
            ("RTNETLINK answers: Network is unreachable\n", Some(101)),
            ("RTNETLINK answers: Permission denied\n", Some(13)),
            ("RTNETLINK answers: Invalid argument\n", Some(22)),
            ("RTNETLINK answers: No route to host\n", Some(113)),
            (
                "Error: any valid prefix is expected rather than \"x\".\n",
                None,
            ),
            ("Cannot open netlink socket: Permission denied\n", None),
        ] {
            let read = Route::parse(Some(2), b"", said.as_bytes());
            assert_eq!(read, errno.map(Route::Refused), "{said}");
        }
    }

    #[test]
    fn a_barrier_is_the_narrowest_route() {
        let all = r#"[{"dst":"default","gateway":"10.5.0.254","dev":"e0","flags":[]},{"type":"prohibit","dst":"10.90.0.0/16","flags":[]}]"#;
        let found = barrier(all.as_bytes()).map(|barrier| (barrier.kind, barrier.network));
        assert_eq!(
            found,
            Some(("prohibit".to_owned(), "10.90.0.0/16".to_owned()))
        );
        let wide = r#"[{"type":"unreachable","dst":"default","flags":[]},{"dst":"10.90.0.0/16","dev":"e0","flags":[]}]"#;
        assert_eq!(barrier(wide.as_bytes()), None);
    }

    #[test]
    fn a_neighbour_has_a_state_or_is_not_known() {
        let failed = r#"[{"dst":"10.5.0.9","dev":"e0","state":["FAILED"]}]"#;
        assert_eq!(neighbour(failed.as_bytes()).as_deref(), Some("FAILED"));
        assert_eq!(neighbour(b"[]"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>) {
            Route::parse(Some(0), &bytes, &bytes);
            Route::parse(Some(2), &bytes, &bytes);
            barrier(&bytes);
            neighbour(&bytes);
        }
    }
}
