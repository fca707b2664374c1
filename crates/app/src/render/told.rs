//! What was rendered or has drifted, for people and for programs.

use std::io::{self, Write};
use std::path::Path;

use anstyle::{AnsiColor, Style};
use report::text::visible;
use serde_json::{Value, json};
use similar::TextDiff;

use super::drift::{Compared, State};
use super::plan::Then;
use super::writer::Written;

const SCHEMA: &str = "why502.render/1";

/// Why a unit is not written.
pub(crate) const HIDES: &str = "the host has a unit of that name, which it would hide; give the application another name, or say unit = \"...\"";

/// What there is to tell.
pub(crate) struct Told<'a> {
    pub(crate) settings: &'a Path,
    pub(crate) root: &'a Path,
    pub(crate) files: &'a [Compared],
    /// What was done to each of them; nothing where they were only looked at.
    pub(crate) written: Option<&'a [Written]>,
}

/// How much to tell.
#[derive(Clone, Copy)]
pub(crate) struct Loudness {
    pub(crate) is_quiet: bool,
    pub(crate) is_verbose: bool,
}

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const RED: Style = AnsiColor::Red.on_default();
const GREEN: Style = AnsiColor::Green.on_default();
const CYAN: Style = AnsiColor::Cyan.on_default();

impl Told<'_> {
    /// The files that are not, or were not, as they should.
    fn drifted(&self) -> impl Iterator<Item = &Compared> {
        self.files.iter().filter(|file| file.state.is_drift())
    }

    /// For people.
    pub(crate) fn term(&self, out: &mut dyn Write, loudness: Loudness) -> io::Result<()> {
        let width = self.files.iter().map(|file| self.word(file).len()).max();
        for file in self.files {
            let is_shown = file.state.is_drift() && !loudness.is_quiet || loudness.is_verbose;
            if is_shown {
                self.line(out, file, width.unwrap_or_default())?;
            }
            if file.state.is_drift() && self.shows_diff(loudness) {
                diff(out, file)?;
            }
        }
        self.sum(out, loudness)
    }

    /// Drift is shown; what was written, only if asked for.
    fn shows_diff(&self, loudness: Loudness) -> bool {
        match self.written {
            None => !loudness.is_quiet,
            Some(_) => loudness.is_verbose,
        }
    }

    fn line(&self, out: &mut dyn Write, file: &Compared, width: usize) -> io::Result<()> {
        let word = self.word(file);
        let colour = match file.state {
            State::Same => DIM,
            State::Missing => GREEN,
            _ => RED,
        };
        write!(
            out,
            "{colour}{word:width$}{colour:#}  {BOLD}{}{BOLD:#}",
            visible(&file.path)
        )?;
        let why = self.why(file);
        if !why.is_empty() {
            write!(out, "  {}", visible(&why))?;
        }
        writeln!(out)
    }

    /// What a file is, or what was done to it.
    fn word(&self, file: &Compared) -> &'static str {
        if self.written.is_some() {
            return match file.state {
                State::Same => "kept",
                State::Missing => "created",
                _ if file.planned.is_none() => "removed",
                _ => "changed",
            };
        }
        match file.state {
            State::Same => "clean",
            State::Missing => "missing",
            State::Outdated | State::Edited | State::Differs | State::Attributes => "differs",
            State::LeftOver | State::LeftOverEdited => "left over",
            State::Foreign | State::OfOthers | State::Hides => "in the way",
        }
    }

    fn why(&self, file: &Compared) -> String {
        match file.state {
            State::Same | State::Missing | State::Differs => String::new(),
            State::Outdated => "the settings changed since it was written".to_owned(),
            State::Edited if self.written.is_some() => {
                "it was edited by hand; the edits are gone".to_owned()
            }
            State::Edited => "it was edited by hand".to_owned(),
            State::Attributes => file.differs.join(", "),
            State::LeftOver => "no application asks for it any more".to_owned(),
            State::LeftOverEdited => {
                "no application asks for it any more, and it was edited by hand".to_owned()
            }
            State::Foreign => "it was not made by why502 render".to_owned(),
            State::OfOthers => "it was made from other settings".to_owned(),
            State::Hides => HIDES.to_owned(),
        }
    }

    fn sum(&self, out: &mut dyn Write, loudness: Loudness) -> io::Result<()> {
        let n_drifted = self.drifted().count();
        let n_files = diagnose::counted(self.files.len(), "file");
        if n_drifted == 0 {
            let clean = if self.written.is_some() {
                "nothing to write"
            } else {
                "no drift"
            };
            return writeln!(
                out,
                "{clean}: {n_files} as {} asks for",
                named(self.settings)
            );
        }
        if !loudness.is_quiet {
            writeln!(out)?;
        }
        if self.written.is_none() {
            return writeln!(
                out,
                "{n_drifted} of {n_files} not as {} asks for; why502 render writes them",
                named(self.settings)
            );
        }
        writeln!(out, "{n_drifted} of {n_files} written")?;
        let then = self.then();
        if !then.is_empty() && !loudness.is_quiet {
            writeln!(out, "\nnow run")?;
            for command in then {
                writeln!(out, "  {CYAN}{}{CYAN:#}", visible(&command))?;
            }
        }
        Ok(())
    }

    /// For programs.
    pub(crate) fn json(&self, out: &mut dyn Write) -> io::Result<()> {
        let files: Vec<Value> = self.files.iter().map(|file| self.file(file)).collect();
        let told = json!({
            "schema": SCHEMA,
            "settings": self.settings.display().to_string(),
            "root": self.root.display().to_string(),
            "mode": if self.written.is_some() { "write" } else { "check" },
            "clean": self.drifted().next().is_none(),
            "files": files,
            "then": if self.written.is_some() { self.then() } else { Vec::new() },
        });
        serde_json::to_writer_pretty(&mut *out, &told)?;
        writeln!(out)
    }

    fn file(&self, file: &Compared) -> Value {
        let state = match file.state {
            State::Same => "clean",
            State::Missing => "missing",
            State::Outdated => "outdated",
            State::Edited => "edited",
            State::Differs => "differs",
            State::Attributes => "attributes",
            State::LeftOver => "left-over",
            State::LeftOverEdited => "left-over-edited",
            State::Foreign => "foreign",
            State::OfOthers => "of-other-settings",
            State::Hides => "hides-a-unit",
        };
        let planned = file.planned.as_ref();
        json!({
            "path": file.path,
            "output": planned.map(|planned| &planned.output),
            "application": planned.and_then(|planned| planned.application.as_ref()),
            "state": state,
            "done": self.written.map(|_| self.word(file)),
            "differs": file.differs,
            "diff": (file.state.is_drift()).then(|| unified(file)),
        })
    }

    /// What has to be run for the changes to count, each once, in an order in which it works.
    fn then(&self) -> Vec<String> {
        let mut steps: Vec<(u8, String)> = Vec::new();
        for file in self.drifted() {
            if let Some(planned) = &file.planned {
                steps.extend(commands(&planned.then, file));
            } else {
                steps.extend(after_removal(&file.path));
            }
        }
        steps.sort_by_key(|(order, _)| *order);
        let mut commands: Vec<String> = Vec::new();
        for (_, command) in steps {
            if !commands.contains(&command) {
                commands.push(command);
            }
        }
        commands
    }
}

fn commands(then: &Then, file: &Compared) -> Vec<(u8, String)> {
    let is_new = file.state == State::Missing;
    let reload = (0, "systemctl daemon-reload".to_owned());
    match then {
        Then::Socket { socket, .. } if is_new => {
            vec![reload, (2, format!("systemctl enable --now {socket}"))]
        }
        // While its service runs, systemd does not open it anew.
        Then::Socket { socket, service } => vec![
            reload,
            (
                2,
                format!("systemctl stop {service} && systemctl restart {socket}"),
            ),
        ],
        Then::Unit(unit) if is_new && !file.path.contains(".d/") => {
            vec![reload, (3, format!("systemctl enable --now {unit}"))]
        }
        Then::Unit(unit) => vec![reload, (3, format!("systemctl restart {unit}"))],
        // A service that is new is started anyway.
        Then::Restart(_) if is_new => Vec::new(),
        Then::Restart(Some(service)) => vec![(3, format!("systemctl restart {service}"))],
        Then::Restart(None) => Vec::new(),
        Then::Pool { php, service } => {
            vec![(3, format!("php-fpm{php} -t && systemctl reload {service}"))]
        }
        Then::Selinux => vec![(1, format!("sh {}", file.path))],
        Then::Apparmor => vec![(
            1,
            "apparmor_parser -r /etc/apparmor.d/usr.sbin.nginx".to_owned(),
        )],
        Then::Nginx => vec![(4, "nginx -t && systemctl reload nginx".to_owned())],
        Then::Said(said) => said.iter().map(|said| (5, said.clone())).collect(),
    }
}

/// What a file that is gone leaves to be done, by where it stood.
fn after_removal(path: &str) -> Vec<(u8, String)> {
    let name = path.rsplit('/').next().unwrap_or_default();
    if path.starts_with("/etc/systemd/system/") && !path.contains(".d/") {
        // The unit still runs; systemd knows it until it is stopped.
        return vec![
            (0, format!("systemctl disable --now {name}")),
            (0, "systemctl daemon-reload".to_owned()),
        ];
    }
    if path.starts_with("/etc/systemd/") {
        return vec![(0, "systemctl daemon-reload".to_owned())];
    }
    if path.starts_with("/etc/nginx/") {
        return vec![(4, "nginx -t && systemctl reload nginx".to_owned())];
    }
    if let Some(php) = path
        .strip_prefix("/etc/php/")
        .and_then(|rest| rest.split('/').next())
    {
        return vec![(
            3,
            format!("php-fpm{php} -t && systemctl reload php{php}-fpm"),
        )];
    }
    Vec::new()
}

/// The file's name, which people know it by.
fn named(settings: &Path) -> String {
    let name = settings.file_name().unwrap_or(settings.as_os_str());
    visible(&name.to_string_lossy()).into_owned()
}

/// From what stands there to what is asked for.
fn unified(file: &Compared) -> String {
    let old = String::from_utf8_lossy(file.old.as_deref().unwrap_or_default());
    let new = file
        .planned
        .as_ref()
        .map_or("", |planned| planned.text.as_str());
    let from = if file.old.is_some() {
        file.path.as_str()
    } else {
        "/dev/null"
    };
    let to = if file.planned.is_some() {
        file.path.as_str()
    } else {
        "/dev/null"
    };
    TextDiff::from_lines(old.as_ref(), new)
        .unified_diff()
        .header(from, to)
        .to_string()
}

fn diff(out: &mut dyn Write, file: &Compared) -> io::Result<()> {
    for line in unified(file).lines() {
        let colour = match line.bytes().next() {
            _ if line.starts_with("---") || line.starts_with("+++") => BOLD,
            Some(b'-') => RED,
            Some(b'+') => GREEN,
            Some(b'@') => CYAN,
            _ => Style::new(),
        };
        // A tab deceives nobody within a line.
        let seen: Vec<_> = line.split('\t').map(visible).collect();
        writeln!(out, "{colour}{}{colour:#}", seen.join("\t"))?;
    }
    Ok(())
}
