//! Which files the settings ask for, and their texts. Touches nothing but the user's own template files.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, anyhow, bail, ensure};
use minijinja::value::Serde;
use minijinja::{Environment, Value, context};

use super::context::{self, Paths};
use super::syntax::Syntax;
use super::{engine, verify};
use crate::settings::{
    AbsolutePath, Application, FileMode, ForEach, GroupName, Kind, Output, OutputSetting, Settings,
    Template, UserName, fill,
};

/// A file that the settings ask for.
#[derive(Debug)]
pub(crate) struct Planned {
    /// Where it stands on the host.
    pub(crate) path: AbsolutePath,
    pub(crate) syntax: Syntax,
    pub(crate) text: String,
    /// The built-in output or the user's template that gave it.
    pub(crate) output: String,
    pub(crate) application: Option<String>,
    pub(crate) wanted: Attributes,
    pub(crate) then: Then,
}

/// What is said of a file beside its text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attributes {
    pub(crate) mode: Option<FileMode>,
    pub(crate) owner: Option<UserName>,
    pub(crate) group: Option<GroupName>,
}

/// What has to be run once a file has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Then {
    /// A unit of this name is new or other.
    Unit(String),
    /// A socket unit is new or other; the service that it starts.
    Socket {
        socket: String,
        service: String,
    },
    /// What a service reads at its start.
    Restart(Option<String>),
    /// A pool of this version of PHP.
    Pool {
        php: String,
        service: String,
    },
    /// A script to be read and run.
    Selinux,
    /// The profile of nginx.
    Apparmor,
    Nginx,
    /// What the user's template says.
    Said(Option<String>),
}

/// A built-in template: its syntax and its text.
fn built_in(output: Output) -> (Syntax, &'static str) {
    match output {
        Output::Upstreams => (Syntax::Nginx, include_str!("templates/upstreams.j2")),
        Output::Location => (Syntax::Nginx, include_str!("templates/location.j2")),
        Output::Service => (Syntax::Systemd, include_str!("templates/service.j2")),
        Output::DropIn => (Syntax::Systemd, include_str!("templates/drop-in.j2")),
        Output::Socket => (Syntax::Systemd, include_str!("templates/socket.j2")),
        Output::Pool => (Syntax::Php, include_str!("templates/pool.j2")),
        Output::Gunicorn => (Syntax::Python, include_str!("templates/gunicorn.j2")),
        Output::Uwsgi => (Syntax::Uwsgi, include_str!("templates/uwsgi.j2")),
        Output::Puma => (Syntax::Ruby, include_str!("templates/puma.j2")),
        Output::Selinux => (Syntax::Shell, include_str!("templates/selinux.j2")),
        Output::Apparmor => (Syntax::Apparmor, include_str!("templates/apparmor.j2")),
    }
}

/// Its name among the templates.
fn name_of(output: Output) -> String {
    engine::template_name(built_in(output).0, output.name())
}

/// Whether an application has a use for an output.
fn concerns(output: Output, app: &Application) -> bool {
    match output {
        Output::Upstreams | Output::Location | Output::Selinux | Output::Apparmor => true,
        Output::Service => app.kind.has_unit() && !app.is_foreign_unit,
        Output::DropIn if app.kind == Kind::PhpFpm => !app.runtime_directories.is_empty(),
        Output::DropIn => app.kind.has_unit() && app.is_foreign_unit,
        Output::Socket => app.socket_activation,
        Output::Pool => app.kind == Kind::PhpFpm,
        Output::Gunicorn => app.kind == Kind::Gunicorn,
        Output::Uwsgi => app.kind == Kind::Uwsgi,
        Output::Puma => app.kind == Kind::Puma,
    }
}

/// All files that the settings ask for, in the order in which they are to be written.
pub(crate) fn plan(settings: &Settings) -> anyhow::Result<Vec<Planned>> {
    let mut planner = Planner::new(settings)?;
    for output in Output::ALL {
        planner.built_in(output)?;
    }
    for (name, template) in &settings.templates {
        planner
            .of_user(name.as_str(), template)
            .with_context(|| format!("template {name}"))?;
    }
    let planned = planner.planned;
    apart(&planned)?;
    verify::verify(&planned)?;
    Ok(planned)
}

/// No two outputs go to the same file.
fn apart(planned: &[Planned]) -> anyhow::Result<()> {
    let mut seen: BTreeMap<&str, &Planned> = BTreeMap::new();
    for file in planned {
        if let Some(other) = seen.insert(file.path.as_str(), file) {
            bail!(
                "{} and {} both go to {}: give one of them a path of its own ({{name}} in a path stands for the application's name)",
                other.what(),
                file.what(),
                file.path
            );
        }
    }
    Ok(())
}

impl Planned {
    /// What it is, for people.
    pub(crate) fn what(&self) -> String {
        match &self.application {
            Some(application) => format!("{} of {application}", self.output),
            None => self.output.clone(),
        }
    }
}

struct Planner<'s> {
    settings: &'s Settings,
    environment: Environment<'static>,
    nginx: Value,
    /// All of them, as a template sees them.
    all: Value,
    /// Each application with what a template sees of it: made once, and shared by all files.
    contexts: Vec<(&'s Application, Value)>,
    planned: Vec<Planned>,
}

impl<'s> Planner<'s> {
    fn new(settings: &'s Settings) -> anyhow::Result<Self> {
        let mut environment = engine::environment()?;
        for output in Output::ALL {
            let (_, text) = built_in(output);
            environment.add_template_owned(name_of(output), text)?;
        }
        environment.add_template("systemd:run", include_str!("templates/run.j2"))?;
        let contexts: Vec<(&Application, Value)> = settings
            .applications
            .iter()
            .map(|app| {
                let seen = context::application(app, &paths(settings, app)?)?;
                Ok((app, Value::from(Serde(&seen))))
            })
            .collect::<anyhow::Result<_>>()?;
        Ok(Self {
            settings,
            environment,
            nginx: Value::from(Serde(&context::nginx(&settings.nginx))),
            all: contexts.iter().map(|(_, seen)| seen.clone()).collect(),
            contexts,
            planned: Vec::new(),
        })
    }

    fn built_in(&mut self, output: Output) -> anyhow::Result<()> {
        let Some(pattern) = path_of(self.settings, output) else {
            return Ok(());
        };
        let (syntax, _) = built_in(output);
        let wanted = attributes(self.settings, output);
        let name = name_of(output);
        let concerned: Vec<_> = self
            .contexts
            .iter()
            .filter(|(app, _)| concerns(output, app))
            .cloned()
            .collect();
        if output.is_for_host() {
            if concerned.is_empty() {
                return Ok(());
            }
            let path =
                fill(&pattern, &[]).map_err(|why| anyhow!("outputs.{}: {why}", output.name()))?;
            self.add(
                output.name(),
                &name,
                None,
                path,
                syntax,
                wanted,
                then(output, None),
            )?;
            return Ok(());
        }
        for (app, seen) in concerned {
            let path = path_for(&pattern, app)
                .map_err(|why| anyhow!("outputs.{}: {why}", output.name()))?;
            self.add(
                output.name(),
                &name,
                Some((app, seen)),
                path,
                syntax,
                wanted.clone(),
                then(output, Some(app)),
            )?;
        }
        Ok(())
    }

    fn of_user(&mut self, name: &str, template: &Template) -> anyhow::Result<()> {
        let directory = self.settings.file.parent().unwrap_or(Path::new("/"));
        let source = directory.join(&template.source);
        let text = std::fs::read_to_string(&source).with_context(|| {
            format!(
                "cannot read {}: name a file with source = \"...\"",
                source.display()
            )
        })?;
        let syntax = match &template.syntax {
            None => Syntax::of_path(&template.path),
            Some(named) => Syntax::named(named.get_ref()).with_context(|| {
                let all: Vec<&str> = Syntax::ALL.iter().map(|syntax| syntax.name()).collect();
                format!(
                    "there is no syntax '{}': write one of {}",
                    named.get_ref(),
                    all.join(", ")
                )
            })?,
        };
        let in_engine = engine::template_name(syntax, &source.display().to_string());
        self.environment
            .add_template_owned(in_engine.clone(), text)
            .map_err(|error| told(&error, name, None))?;
        let wanted = Attributes {
            mode: template.mode,
            owner: template.owner.clone(),
            group: template.group.clone(),
        };
        let said = Then::Said(template.then.clone());
        if template.for_each == ForEach::Host {
            let path = fill(&template.path, &[]).map_err(|why| anyhow!("path: {why}"))?;
            return self.add(name, &in_engine, None, path, syntax, wanted, said);
        }
        let is_meant = |app: &Application| {
            let kinds = template.kinds.as_ref();
            kinds.is_none_or(|kinds| kinds.contains(&app.kind))
        };
        for (app, seen) in self.contexts.clone() {
            if !is_meant(app) {
                continue;
            }
            let path = path_for(&template.path, app).map_err(|why| anyhow!("path: {why}"))?;
            self.add(
                name,
                &in_engine,
                Some((app, seen)),
                path,
                syntax,
                wanted.clone(),
                said.clone(),
            )?;
        }
        Ok(())
    }

    /// Renders one file.
    #[expect(
        clippy::too_many_arguments,
        reason = "all that a file is made of, from two callers beside it"
    )]
    fn add(
        &mut self,
        output: &str,
        template: &str,
        app: Option<(&Application, Value)>,
        path: AbsolutePath,
        syntax: Syntax,
        wanted: Attributes,
        then: Then,
    ) -> anyhow::Result<()> {
        let seen = context! {
            applications => self.all.clone(),
            nginx => self.nginx.clone(),
            path => path.as_str(),
        };
        let (app, seen) = match app {
            Some((app, own)) => (Some(app), context! { app => own, ..seen }),
            None => (None, seen),
        };
        let body = self
            .environment
            .get_template(template)
            .and_then(|template| template.render(seen))
            .map_err(|error| told(&error, output, app))?;
        ensure!(
            !body.contains('\0'),
            "{output}: a text with a zero byte is none of a configuration"
        );
        let text = match syntax.header() {
            Some(header) => format!("{header}{body}"),
            None => body,
        };
        self.planned.push(Planned {
            path,
            syntax,
            text,
            output: output.to_owned(),
            application: app.map(|app| app.name.to_string()),
            wanted,
            then,
        });
        Ok(())
    }
}

/// What a template could not do, with its line.
fn told(error: &minijinja::Error, output: &str, app: Option<&Application>) -> anyhow::Error {
    let of = app
        .map(|app| format!(" of {}", app.name))
        .unwrap_or_default();
    let place = match (error.name(), error.line()) {
        (Some(name), Some(line)) => {
            let file = name.split_once(':').map_or(name, |(_, file)| file);
            format!("{file}:{line}: ")
        }
        _ => String::new(),
    };
    let what = error
        .detail()
        .map_or_else(|| error.kind().to_string(), ToOwned::to_owned);
    anyhow!("cannot make {output}{of}: {place}{what}")
}

/// The path of a built-in output before its placeholders are filled; none where it is not made.
fn path_of(settings: &Settings, output: Output) -> Option<String> {
    let usual = || output.usual_path().to_owned();
    match settings.outputs.get(&output) {
        None => output.is_usual().then(usual),
        Some(OutputSetting::Made(made)) => made.then(usual),
        Some(OutputSetting::Path(path)) => Some(path.clone()),
        Some(OutputSetting::Table(table)) => Some(table.path.clone().unwrap_or_else(usual)),
    }
}

fn attributes(settings: &Settings, output: Output) -> Attributes {
    match settings.outputs.get(&output) {
        Some(OutputSetting::Table(table)) => Attributes {
            mode: table.mode,
            owner: table.owner.clone(),
            group: table.group.clone(),
        },
        _ => Attributes::default(),
    }
}

/// The path of an application's file.
fn path_for(pattern: &str, app: &Application) -> Result<AbsolutePath, String> {
    let unit = app.service.clone().unwrap_or_default();
    let php = app
        .php
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    fill(
        pattern,
        &[("name", app.name.as_str()), ("unit", &unit), ("php", &php)],
    )
}

/// Where the built-in outputs of an application go.
fn paths(settings: &Settings, app: &Application) -> anyhow::Result<Paths> {
    let mut paths = Paths::new();
    for output in Output::ALL {
        if !concerns(output, app) || output.is_for_host() {
            continue;
        }
        if let Some(pattern) = path_of(settings, output) {
            let path = path_for(&pattern, app)
                .map_err(|why| anyhow!("outputs.{}: {why}", output.name()))?;
            paths.insert(output, path.to_string());
        }
    }
    Ok(paths)
}

/// What has to be run once a built-in output has changed.
fn then(output: Output, app: Option<&Application>) -> Then {
    let service = app.and_then(|app| app.service.clone());
    match output {
        Output::Upstreams | Output::Location => Then::Nginx,
        Output::Socket => Then::Socket {
            socket: app
                .map(|app| format!("{}.socket", app.name))
                .unwrap_or_default(),
            service: service.unwrap_or_default(),
        },
        Output::Service | Output::DropIn => Then::Unit(service.unwrap_or_default()),
        Output::Pool => Then::Pool {
            php: app
                .and_then(|app| app.php.as_ref())
                .map(ToString::to_string)
                .unwrap_or_default(),
            service: service.unwrap_or_default(),
        },
        Output::Gunicorn | Output::Uwsgi | Output::Puma => Then::Restart(service),
        Output::Selinux => Then::Selinux,
        Output::Apparmor => Then::Apparmor,
    }
}
