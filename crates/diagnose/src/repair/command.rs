//! The commands that a fix may run, each with the way back from it.
//!
//! A command that is not listed here is never run: what cannot be undone is for people.

use std::path::PathBuf;

/// A program with its arguments, run without a shell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// What takes it back.
    pub undo: Undo,
}

/// The way back from a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undo {
    /// Another command. It may find nothing to do, where the first never came to run.
    Run(Vec<String>),
    /// The owner, mode, access list and security label of this path, as they were before.
    Attributes(PathBuf),
    /// The setting of the kernel that this command prints, as it was before, written by the other, which ends in `KEY=`.
    Setting {
        /// Prints the value.
        read: Vec<String>,
        /// Writes it, once the value is appended to its last argument.
        write: Vec<String>,
    },
    /// The rule that the command added to nftables, found by its comment, which is appended to the command.
    Rule {
        /// The words before the rule's handle in `nft delete rule FAMILY TABLE CHAIN handle N`.
        delete: Vec<String>,
        /// What lists the chain with handles.
        list: Vec<String>,
    },
    /// These directories, if they were not there before and are empty.
    Directories(PathBuf),
    /// Nothing of its own: it puts into force what stands elsewhere, and is run again once that is back.
    Again,
}

impl Command {
    /// The command, if the way back from it is known.
    pub(super) fn known(argv: &[String]) -> Option<Self> {
        let words: Vec<&str> = argv.iter().map(String::as_str).collect();
        let (inside, command) = split_namespace(&words);
        let within = |rest: &[&str]| owned(&[inside, rest].concat());
        let undo = match command {
            ["chown" | "chgrp" | "chmod", _, path] => attributes(path)?,
            ["setfacl", "-m", _, path] => attributes(path)?,
            ["restorecon", "-v", path] => attributes(path)?,
            ["chattr", "-i", path] if is_plain(path) => Undo::Run(within(&["chattr", "+i", path])),
            ["mkdir", "-p", path] if is_plain(path) => Undo::Directories(PathBuf::from(path)),
            ["systemctl", "start", unit] if is_plain(unit) => {
                Undo::Run(within(&["systemctl", "stop", unit]))
            }
            ["systemctl", "restart" | "reload", unit] if is_plain(unit) => Undo::Again,
            ["systemctl", "daemon-reload"] => Undo::Again,
            ["apparmor_parser", "-r", path] if is_plain(path) => Undo::Again,
            ["kill", "-CONT", pids @ ..] if pids.iter().all(|pid| is_number(pid)) => {
                Undo::Run(within(&[&["kill", "-STOP"], pids].concat()))
            }
            ["setsebool", "-P", name, value @ ("0" | "1")] if is_plain(name) => {
                let other = if *value == "1" { "0" } else { "1" };
                Undo::Run(within(&["setsebool", "-P", name, other]))
            }
            ["semanage", "port", "-a", rest @ ..] => {
                Undo::Run(within(&[&["semanage", "port", "-d"], rest].concat()))
            }
            ["semanage", "fcontext", "-a", rest @ ..] => {
                Undo::Run(within(&[&["semanage", "fcontext", "-d"], rest].concat()))
            }
            ["sysctl", "-w", setting] => {
                let (key, _) = setting.split_once('=')?;
                Undo::Setting {
                    read: within(&["sysctl", "-n", key]),
                    write: within(&["sysctl", "-w", &format!("{key}=")]),
                }
            }
            ["nft", "insert" | "add", "rule", family, table, chain, ..] => Undo::Rule {
                delete: within(&["nft", "delete", "rule", family, table, chain, "handle"]),
                list: within(&["nft", "-a", "list", "chain", family, table, chain]),
            },
            [
                "iptables" | "ip6tables" | "iptables-legacy" | "ip6tables-legacy",
                ..,
            ] => Undo::Run(within(&without_rule(command)?)),
            ["ufw", "prepend", rest @ ..] => {
                Undo::Run(within(&[&["ufw", "delete"], rest].concat()))
            }
            ["ufw", "allow", rest @ ..] => {
                Undo::Run(within(&[&["ufw", "delete", "allow"], rest].concat()))
            }
            [
                "firewall-cmd",
                "--permanent",
                "--policy" | "--zone",
                _,
                "--add-rich-rule",
                _,
            ] => Undo::Run(within(&swapped(
                command,
                "--add-rich-rule",
                "--remove-rich-rule",
            ))),
            ["firewall-cmd", "--reload"] => Undo::Again,
            _ => return None,
        };
        Some(Self {
            argv: argv.to_owned(),
            undo,
        })
    }
}

/// `nsenter -t PID -n` before a command, and the command.
fn split_namespace<'a, 'w>(words: &'a [&'w str]) -> (&'a [&'w str], &'a [&'w str]) {
    match words {
        ["nsenter", "-t", pid, "-n", ..] if is_number(pid) => words.split_at(4),
        _ => words.split_at(0),
    }
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// An argument that no program takes for an option.
fn is_plain(word: &str) -> bool {
    !word.is_empty() && !word.starts_with('-')
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
}

/// Attributes of one object: a relative path would be another one elsewhere.
fn attributes(path: &str) -> Option<Undo> {
    path.starts_with('/')
        .then(|| Undo::Attributes(PathBuf::from(path)))
}

/// `iptables … -I CHAIN [N] RULE` or `-A CHAIN RULE` as `-D CHAIN RULE`.
fn without_rule<'w>(command: &[&'w str]) -> Option<Vec<&'w str>> {
    let verb = command
        .iter()
        .position(|word| matches!(*word, "-I" | "-A"))?;
    let (before, from_verb) = command.split_at(verb);
    let [_, chain, rest @ ..] = from_verb else {
        return None;
    };
    let rule = match rest {
        [number, rule @ ..] if is_number(number) => rule,
        rule => rule,
    };
    Some([before, &["-D", chain], rule].concat())
}

fn swapped<'w>(command: &[&'w str], old: &str, new: &'w str) -> Vec<&'w str> {
    command
        .iter()
        .map(|&word| if word == old { new } else { word })
        .collect()
}

/// The handle of the rule with a comment, in what `nft -a list chain` prints.
pub fn handle_of(listing: &[u8], comment: &str) -> Option<u64> {
    let listing = String::from_utf8_lossy(listing);
    let quoted = format!("comment \"{comment}\"");
    let line = listing.lines().find(|line| line.contains(&quoted))?;
    line.rsplit_once("# handle ")?.1.trim().parse().ok()
}
