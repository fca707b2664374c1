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

/// What stands behind the rule that hinders, in words to go on a summary with; empty where nothing does.
pub(crate) fn behind(firewall: &Firewall) -> String {
    let whose = |answers: bool| firewall.behind().iter().any(|it| it.is_answer == answers);
    match (whose(false), whose(true)) {
        (false, false) => "",
        (true, false) => "; behind it another does",
        (false, true) => "; behind it the answers are dropped too",
        (true, true) => "; behind it another does, and the answers are dropped too",
    }
    .to_owned()
}

/// Lets this very connection pass, before the rule that hinders it and those that would after it.
pub(crate) fn fix(firewall: &Firewall, rule: &Cited, is_answer: bool) -> Fix {
    let (mut steps, mut safety) = steps(firewall, rule, is_answer);
    for next in firewall.behind() {
        let (more, other) = self::steps(firewall, &next.rule, next.is_answer);
        if other == Safety::DisplayOnly {
            safety = other;
        }
        for step in more {
            if let Some(same) = steps.iter().position(|known| *known == step) {
                steps.remove(same);
            }
            steps.push(step);
        }
    }
    Fix {
        summary: format!("let connections to {} pass", firewall.to),
        safety,
        steps,
        verify: Some(AGAIN.to_owned()),
    }
}

fn steps(firewall: &Firewall, rule: &Cited, is_answer: bool) -> (Vec<Step>, Safety) {
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
    match (keeper(rule), is_outbound(rule)) {
        (Some("ufw"), Some(is_outbound)) if !is_answer => (
            ufw(to, is_outbound, rule)
                .into_iter()
                .map(command)
                .collect(),
            Safety::Unsafe,
        ),
        (Some("firewalld"), _) if firewall.netns.is_none() && policy_of(&rule.chain).is_some() => (
            firewalld(to, rule).into_iter().map(command).collect(),
            Safety::Unsafe,
        ),
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

/// `prepend` puts a rule before all others, but skips one that stands there already with another action: where the rule
/// that hinders may be that one, a plain `allow` then turns it round, and does nothing otherwise.
fn ufw(to: SocketAddr, is_outbound: bool, rule: &Cited) -> Vec<Vec<String>> {
    let (ip, port) = (to.ip().to_string(), to.port().to_string());
    let way = if is_outbound { "out" } else { "in" };
    let allow = ["allow", way, "proto", "tcp", "to", &ip, "port", &port];
    let mut commands = vec![words(&[&["ufw", "prepend"], allow.as_slice()].concat())];
    if means_just(rule, to) {
        commands.push(words(&[&["ufw"], allow.as_slice()].concat()));
    }
    commands
}

/// Whether a rule, as iptables writes it, names this address and port and no wider ones.
fn means_just(rule: &Cited, to: SocketAddr) -> bool {
    let length = if to.is_ipv6() { 128 } else { 32 };
    let given: Vec<&str> = rule.text.split(' ').collect();
    let has = |name: &str, value: String| given.windows(2).any(|pair| pair == [name, &value]);
    has("-d", format!("{}/{length}", to.ip())) && has("--dport", to.port().to_string())
}

/// The policy that firewalld keeps a chain of the outgoing way for, such as `filter_OUT_policy_hostout_deny`.
fn policy_of(chain: &str) -> Option<&str> {
    let policy = chain.strip_prefix("filter_OUT_policy_")?;
    let part = PARTS.iter().find_map(|part| policy.strip_suffix(part));
    Some(part.unwrap_or(policy)).filter(|policy| !policy.is_empty())
}

/// The chains of a policy, in the order in which a packet passes them.
const PARTS: [&str; 5] = ["_pre", "_log", "_deny", "_allow", "_post"];

/// A rich rule that goes before the one that hinders, for good and then now: a negative priority stands before the rules
/// that have none, the lowest before all.
fn firewalld(to: SocketAddr, rule: &Cited) -> Vec<Vec<String>> {
    let policy = policy_of(&rule.chain).unwrap_or_default();
    let family = if to.is_ipv6() { "ipv6" } else { "ipv4" };
    let priority = if rule.chain.ends_with("_pre") {
        -32768
    } else {
        -1
    };
    let rich = format!(
        "rule priority=\"{priority}\" family=\"{family}\" destination address=\"{}\" port port=\"{}\" protocol=\"tcp\" accept",
        to.ip(),
        to.port()
    );
    vec![
        words(&[
            "firewall-cmd",
            "--permanent",
            "--policy",
            policy,
            "--add-rich-rule",
            &rich,
        ]),
        words(&["firewall-cmd", "--reload"]),
    ]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policys_name_stands_in_its_chains() {
        for (chain, policy) in [
            ("filter_OUT_policy_hostout_deny", Some("hostout")),
            ("filter_OUT_policy_hostout", Some("hostout")),
            ("filter_OUT_policy_a_pre_pre", Some("a_pre")),
            ("filter_OUT_policy__deny", None),
            ("filter_IN_public_deny", None),
            ("filter_OUTPUT", None),
        ] {
            assert_eq!(policy_of(chain), policy, "{chain}");
        }
    }
}
