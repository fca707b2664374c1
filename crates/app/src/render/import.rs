//! `why502 render --import`: the first `why502.toml`, from a host as it runs.
//!
//! What the evidence shows is written; what is not sure is a comment. It holds no command lines and no environment:
//! there secrets stand.

use std::collections::BTreeSet;

use conf::Protocol;
use diagnose::inventory::{Dialled, Inventory, Runs};
use diagnose::{Case, Options, Probe};
use facts::application::{Kind, Limit};
use facts::{GapKind, PeerAddress};

use crate::settings::Settings;

/// As many as a diagnosis may take.
const MOST_ROUNDS: usize = 200;

/// Has the host asked until nothing new is wanted.
pub(crate) fn inventory(options: Options, probe: &dyn Probe) -> Inventory {
    let mut case = Case::new(options);
    for _ in 0..MOST_ROUNDS {
        let wanted = case.plan_inventory();
        if wanted.is_empty() {
            break;
        }
        let records = host::collect(probe, &wanted);
        for (request, record) in wanted.into_iter().zip(records) {
            case.add(request, record);
        }
    }
    case.inventory()
}

/// The settings' text, and how many applications stand in it.
pub(crate) fn text(inventory: &Inventory) -> (String, usize) {
    let mut text = "\
# Begun by why502 render --import. Read it, complete it, then see what it would make: why502 render --check
#
# Before the first render, take the upstreams that are named here out of nginx's files, and in the place of each location
# that is named here write: include snippets/NAME.conf;
"
    .to_owned();
    for gap in inventory
        .gaps
        .iter()
        .filter(|gap| gap.kind != GapKind::Pending)
    {
        say(
            &mut text,
            &format!("not known: {}: {}", gap.missing, gap.why),
        );
    }
    if let Some((user, group)) = &inventory.worker {
        let mut table = Lines::default();
        table.set("user", user);
        if group != user {
            table.set("group", group);
        }
        table.under(&mut text, "[nginx]");
    }
    let mut names = BTreeSet::new();
    for dialled in &inventory.dialled {
        one(&mut text, dialled, &mut names);
    }
    (text, names.len())
}

/// A comment: whatever stands in it, it is one line.
fn say(text: &mut String, comment: &str) {
    let one_line: String = comment
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    text.extend(["# ", &one_line, "\n"]);
}

/// The lines of a table.
#[derive(Default)]
struct Lines {
    lines: Vec<String>,
    comments: Vec<String>,
}

impl Lines {
    fn set(&mut self, key: &str, value: &str) {
        self.lines.push(format!("{key} = {}", quoted(value)));
    }

    fn set_if(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.set(key, value);
        }
    }

    fn number(&mut self, key: &str, value: u64) {
        self.lines.push(format!("{key} = {value}"));
    }

    fn comment(&mut self, comment: impl Into<String>) {
        self.comments.push(comment.into());
    }

    fn under(&self, text: &mut String, head: &str) {
        text.extend(["\n", head, "\n"]);
        for comment in &self.comments {
            say(text, comment);
        }
        for line in &self.lines {
            text.push_str(line);
            text.push('\n');
        }
    }
}

/// A TOML string. What JSON escapes, TOML reads alike; a DEL alone JSON leaves as it is.
fn quoted(value: &str) -> String {
    serde_json::Value::from(value)
        .to_string()
        .replace('\u{7f}', "\\u007f")
}

/// What a group of peers becomes: all that is known if it can be read back, else only what nginx dials.
fn one(text: &mut String, dialled: &Dialled, names: &mut BTreeSet<String>) {
    let places: Vec<String> = dialled
        .places
        .iter()
        .map(|(file, line)| format!("{}:{line}", file.display()))
        .collect();
    let Some(protocol) = spoken(dialled.protocol).filter(|_| !dialled.peers.is_empty()) else {
        text.push('\n');
        let what = dialled.unclear.join(", ");
        say(
            text,
            &format!(
                "left out: {} dials {what} ({})",
                places.join(", "),
                dialled.protocol.scheme()
            ),
        );
        return;
    };
    let name = free(names, &name_of(dialled));
    let head = format!("[applications.{name}]");
    let full = dialled
        .runs
        .as_ref()
        .and_then(|runs| known(dialled, runs, protocol));
    let wrong = full.as_ref().and_then(|table| wrong_with(&head, table));
    let mut table = match full {
        Some(table) if wrong.is_none() => table,
        known => dialled_only(dialled, protocol, known, wrong),
    };
    if wrong_with(&head, &table).is_some() {
        names.remove(&name);
        text.push('\n');
        let peers: Vec<String> = dialled.peers.iter().map(ToString::to_string).collect();
        say(
            text,
            &format!(
                "left out: {} dials {}, which these settings cannot say",
                places.join(", "),
                peers.join(", ")
            ),
        );
        return;
    }
    table
        .comments
        .insert(0, format!("dialled by {}", places.join(", ")));
    if !dialled.unclear.is_empty() {
        table.comment(format!(
            "also dialled, and left out because a name is looked up only once: {}",
            dialled.unclear.join(", ")
        ));
    }
    table.under(text, &head);
}

/// Why the settings would not be taken, where they would not.
fn wrong_with(head: &str, table: &Lines) -> Option<String> {
    let mut text = String::new();
    table.under(&mut text, head);
    let settings = Settings::parse(std::path::Path::new("why502.toml"), &text);
    settings.err().map(|wrong| wrong.to_string())
}

fn spoken(protocol: Protocol) -> Option<&'static str> {
    match protocol {
        Protocol::Http => Some("http"),
        Protocol::Https => Some("https"),
        Protocol::Fastcgi => Some("fastcgi"),
        Protocol::Uwsgi => Some("uwsgi"),
        Protocol::Grpc => Some("grpc"),
        Protocol::Suwsgi
        | Protocol::Scgi
        | Protocol::Grpcs
        | Protocol::Memcached
        | Protocol::Stream => None,
    }
}

/// Where the peers are, and how nginx gets there.
fn begun(dialled: &Dialled, protocol: &str) -> Lines {
    let mut table = Lines::default();
    let peers: Vec<String> = dialled
        .peers
        .iter()
        .map(|peer| quoted(&peer.to_string()))
        .collect();
    let listen = match peers.as_slice() {
        [one] => one.clone(),
        many => format!("[{}]", many.join(", ")),
    };
    table.lines.push(format!("listen = {listen}"));
    table.set("protocol", protocol);
    match &dialled.path {
        Some(path) => table.set("path", path),
        None => table.comment(
            "it has no location of its own whose prefix would be its path: path = \"/...\"",
        ),
    }
    table
}

/// Only what nginx dials: of what listens there not enough is known. What is known is there to be completed.
fn dialled_only(
    dialled: &Dialled,
    protocol: &str,
    known: Option<Lines>,
    wrong: Option<String>,
) -> Lines {
    let mut table = begun(dialled, protocol);
    table.lines.insert(0, "kind = \"external\"".to_owned());
    match (&dialled.runs, known) {
        (Some(runs), known) => {
            let unit = runs
                .unit
                .as_ref()
                .map(|unit| format!(", {unit}"))
                .unwrap_or_default();
            table.comment(format!("{} listens there{unit}", runs.who));
            if let (Some(known), Some(wrong)) = (known, wrong) {
                table.comment(format!(
                    "to make its settings too, write this in place of what stands below ({wrong}):"
                ));
                for line in known.lines {
                    table.comment(format!("  {line}"));
                }
            }
        }
        (None, _) => table.comment("what listens there is not known, or is another host's"),
    }
    if let Some(waits) = dialled.read_timeout {
        table.comment(format!(
            "nginx waits {} s for an answer now",
            waits.as_secs()
        ));
    }
    table
}

/// All of the application, where its kind is known; whether it is enough is for the settings to say.
fn known(dialled: &Dialled, runs: &Runs, protocol: &str) -> Option<Lines> {
    let kind = match runs.kind? {
        Kind::Gunicorn => "gunicorn",
        Kind::Uvicorn => "uvicorn",
        Kind::Uwsgi => "uwsgi",
        Kind::Puma => "puma",
        Kind::PhpFpm => "php-fpm",
        Kind::Node => "node",
        Kind::Hypercorn | Kind::Unicorn | Kind::Java | Kind::PythonHttpServer => return None,
    };
    let mut table = begun(dialled, protocol);
    table.lines.insert(0, format!("kind = \"{kind}\""));
    table.comment(format!("{} listens there", runs.who));
    let told = &runs.settings;
    if let Some(workers) = told.workers.as_ref().filter(|_| told.is_certain("workers")) {
        table.number("workers", workers.value.into());
    }
    match told.timeout.as_ref().map(|timeout| timeout.value) {
        Some(Limit::After(after)) if told.is_certain("timeout") && after.as_secs() > 0 => {
            table.set("timeout", &format!("{}s", after.as_secs()));
        }
        _ => {
            let waits = dialled.read_timeout.map_or(60, |waits| waits.as_secs());
            table.comment(format!(
                "its time-out is not known; nginx waits {waits} s: timeout = \"{}s\"",
                waits.saturating_sub(5).max(1)
            ));
        }
    }
    if let Some(pool) = &runs.pool {
        table.set_if("php", pool.php.as_deref());
        table.set_if("user", pool.user.as_deref());
        table.set_if("group", pool.group.as_deref());
        table.set_if("directory", dialled.root.as_deref());
        table.comment(format!(
            "its pool is [{}] now; once a pool is made from this file, take that one away",
            pool.name
        ));
        return Some(table);
    }
    table.set_if("user", runs.user.as_deref());
    table.set_if("group", runs.group.as_deref());
    let directory = runs
        .directory
        .as_ref()
        .map(|directory| directory.to_string_lossy());
    table.set_if("directory", directory.as_deref());
    if !matches!(runs.kind, Some(Kind::Node)) {
        table.set_if("module", told.module.as_deref());
        let program = runs
            .program
            .as_ref()
            .map(|program| program.to_string_lossy());
        table.set_if(
            "program",
            program
                .as_deref()
                .filter(|program| program.rsplit('/').next() == Some(kind)),
        );
    }
    if let Some(unit) = &runs.unit {
        table.set("unit", unit);
        table.comment(format!("{unit} is its own unit: render adds a drop-in; without the line unit = it makes the whole unit"));
    }
    if runs.is_activated {
        table.lines.push("socket-activation = true".to_owned());
    }
    if let Some(keepalive) = dialled.keepalive {
        table.comment(format!(
            "nginx keeps {keepalive} idle connections a worker now"
        ));
    }
    Some(table)
}

/// What it may be called: as the upstream, the unit or the pool is, else by its address.
fn name_of(dialled: &Dialled) -> String {
    let runs = dialled.runs.as_ref();
    let of_pool = runs
        .and_then(|runs| runs.pool.as_ref())
        .map(|pool| pool.name.clone());
    let of_unit = runs
        .and_then(|runs| runs.unit.as_ref())
        .map(|unit| unit.trim_end_matches(".service").to_owned());
    let of_address = || match dialled.peers.first() {
        Some(PeerAddress::Tcp(address)) => format!("port-{}", address.port()),
        Some(PeerAddress::Unix(path)) => path
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
            .unwrap_or_default(),
        None => "application".to_owned(),
    };
    dialled
        .upstream
        .clone()
        .or(of_pool)
        .or(of_unit)
        .unwrap_or_else(of_address)
}

/// The name as names are written, with a number where it is taken.
fn free(names: &mut BTreeSet<String>, wanted: &str) -> String {
    let plain: String = wanted
        .to_ascii_lowercase()
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || c == '_' {
                c
            } else {
                '-'
            }
        })
        .collect();
    let plain: String = plain.trim_matches(['-', '_']).chars().take(50).collect();
    let plain = if plain.is_empty() {
        "application".to_owned()
    } else {
        plain
    };
    let mut name = plain.clone();
    let mut number = 1;
    while !names.insert(name.clone()) {
        number += 1;
        name = format!("{plain}-{number}");
    }
    name
}
