//! How to let a connection through a firewall: in the words of whatever keeps its rules.

use std::net::SocketAddr;

use facts::firewall::evaluate::Cited;
use facts::firewall::{Backend, Family};

use crate::case::firewall::Firewall;
use crate::verdict::{AGAIN, Fix, Safety, Step};

/// What keeps a rule, by the names it gives its chains and tables.
fn keeper(rule: &Cited) -> Option<&'static str> {
    let is_of_ufw = |name: &str| name.starts_with("ufw-") || name.starts_with("ufw6-");
    if is_of_ufw(&rule.chain) {
        Some("ufw")
    } else if rule.table == "firewalld" {
        Some("firewalld")
    } else {
        None
    }
}

/// The keeper's name where there is one, for a summary: `ufw's firewall rule`, `a firewall rule`.
pub(crate) fn rule_of(rule: &Cited) -> String {
    match keeper(rule) {
        Some(keeper) => format!("{keeper}'s firewall rule"),
        None => "a firewall rule".to_owned(),
    }
}

/// Lets this very connection pass, before the rule that hinders it.
pub(crate) fn fix(firewall: &Firewall, rule: &Cited, is_answer: bool) -> Fix {
    let to = firewall.to;
    let in_namespace = |argv: Vec<String>| match firewall.netns {
        Some(pid) => [
            vec![
                "nsenter".to_owned(),
                "-t".to_owned(),
                pid.to_string(),
                "-n".to_owned(),
            ],
            argv,
        ]
        .concat(),
        None => argv,
    };
    let command = |argv: Vec<String>| Step::Command {
        argv: in_namespace(argv),
    };
    let (steps, safety) = match (keeper(rule), is_outbound(rule)) {
        (Some("ufw"), Some(is_outbound)) if !is_answer => {
            (vec![command(ufw(to, is_outbound))], Safety::Unsafe)
        }
        (Some("firewalld"), _) => (
            vec![Step::Advice {
                text: format!(
                    "allow TCP to {to} in firewalld's configuration (firewall-cmd --list-all-policies and \
                     firewall-cmd --list-all-zones show what stands in chain {})",
                    rule.chain
                ),
            }],
            Safety::DisplayOnly,
        ),
        // A rule of an answer names no single peer: which one to let through is for people.
        _ if is_answer => (
            vec![Step::Advice {
                text: format!(
                    "accept what belongs to connections that are there already, such as \"ct state established \
                     accept\", in {}, before it is dropped",
                    rule.place()
                ),
            }],
            Safety::DisplayOnly,
        ),
        _ => (
            vec![command(accept(to, rule)), lasting(rule)],
            Safety::Unsafe,
        ),
    };
    Fix {
        summary: format!("let connections to {to} pass"),
        safety,
        steps,
        verify: Some(AGAIN.to_owned()),
    }
}

/// Whether a chain sees what the host sends, by its name; `None` where the name does not tell.
fn is_outbound(rule: &Cited) -> Option<bool> {
    let name = rule.chain.to_ascii_lowercase();
    if name.contains("output") {
        Some(true)
    } else if name.contains("input") {
        Some(false)
    } else {
        None
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

fn ufw(to: SocketAddr, is_outbound: bool) -> Vec<String> {
    let (ip, port) = (to.ip().to_string(), to.port().to_string());
    let way = if is_outbound { "out" } else { "in" };
    words(&[
        "ufw", "prepend", "allow", way, "proto", "tcp", "to", &ip, "port", &port,
    ])
}

/// A rule that accepts the connection, before the one that does not; behind all others where it is the policy.
fn accept(to: SocketAddr, rule: &Cited) -> Vec<String> {
    let (ip, port) = (to.ip().to_string(), to.port().to_string());
    let version = if to.is_ipv6() { "ip6" } else { "ip" };
    let (table, chain) = (rule.table.as_str(), rule.chain.as_str());
    if rule.backend == Backend::Nft {
        let family = match rule.family {
            Family::Inet => "inet",
            Family::Ip6 => "ip6",
            _ => "ip",
        };
        let handle = rule.handle.map(|handle| handle.to_string());
        let place = match &handle {
            Some(handle) => vec![
                "nft", "insert", "rule", family, table, chain, "handle", handle,
            ],
            None => vec!["nft", "add", "rule", family, table, chain],
        };
        let what = [version, "daddr", &ip, "tcp", "dport", &port, "accept"];
        return words(&[place.as_slice(), &what].concat());
    }
    let program = match (rule.backend, to.is_ipv6()) {
        (Backend::IptablesLegacy, false) => "iptables-legacy",
        (Backend::IptablesLegacy, true) => "ip6tables-legacy",
        (_, false) => "iptables",
        (_, true) => "ip6tables",
    };
    let number = rule.handle.map(|handle| handle.to_string());
    let place = match &number {
        Some(number) => vec![program, "-t", table, "-I", chain, number],
        None => vec![program, "-t", table, "-A", chain],
    };
    let what = ["-p", "tcp", "-d", &ip, "--dport", &port, "-j", "ACCEPT"];
    words(&[place.as_slice(), &what].concat())
}

fn lasting(rule: &Cited) -> Step {
    let files = if rule.backend == Backend::Nft {
        "/etc/nftables.conf or what loads it"
    } else {
        "/etc/iptables or what loads them"
    };
    Step::Advice {
        text: format!(
            "add it where these rules are kept ({files}): it is lost when they are loaded anew"
        ),
    }
}
