//! What nginx allows itself and what the host allows it: connections and descriptors.

use std::path::Path;

use bstr::ByteSlice as _;
use conf::{ContextKind, DirectiveRef, Model};
use facts::process::{Process, limits};
use facts::{ConfSpan, Exhibit, Gap, ProbeRequest, View};
use jiff::Timestamp;

use super::config::span;
use super::processes::proc_file;
use super::{Case, known};
use crate::incident::Incident;
use crate::verdict::{AGAIN, Fix, Safety, Step};

/// The directives that name directories of temporary files.
const TEMP_PATHS: [&str; 5] = [
    "client_body_temp_path",
    "proxy_temp_path",
    "fastcgi_temp_path",
    "uwsgi_temp_path",
    "scgi_temp_path",
];

/// A number that nginx is told, or would take by itself.
pub(crate) struct Setting {
    /// The number in force on disk.
    pub(crate) value: u64,
    /// The directive; `None` for the default.
    pub(crate) span: Option<ConfSpan>,
    name: &'static str,
}

/// The descriptors of a worker.
pub(crate) struct Descriptors {
    /// How many it may have open.
    pub(crate) soft: u64,
    /// How many it may allow itself.
    pub(crate) hard: u64,
    /// How many it has open, where that may be seen.
    pub(crate) open: Option<u64>,
    pid: u32,
    at: Option<Timestamp>,
}

impl Setting {
    /// The directive as an exhibit; the default as words.
    pub(crate) fn exhibit(&self) -> Exhibit {
        match &self.span {
            Some(span) => Exhibit::Config(span.clone()),
            None => Exhibit::Record {
                probe: "file",
                at: None,
                text: format!("no file sets {}: the default is {}", self.name, self.value),
            },
        }
    }

    /// The step that sets it to `value`; where it stands nowhere, `place` says where to.
    pub(crate) fn set_to(&self, value: u64, place: &str) -> Step {
        let new = format!("{} {value};", self.name);
        match &self.span {
            Some(span) => Step::Edit {
                file: span.file.clone(),
                line: span.line,
                old: span.text.clone(),
                new,
            },
            None => Step::Advice {
                text: format!("add to {place}: {new}"),
            },
        }
    }
}

impl Descriptors {
    /// The limit, and what of it is used.
    pub(crate) fn exhibit(&self) -> Exhibit {
        let open = self
            .open
            .map(|open| format!(", and has {open} open now"))
            .unwrap_or_default();
        Exhibit::Record {
            probe: "file",
            at: self.at,
            text: format!(
                "worker (pid {}) may have {} descriptors open{open}",
                self.pid, self.soft
            ),
        }
    }
}

impl Case {
    /// The worker that wrote the incident's line; what nginx says of itself counts where it can be told that it said it.
    pub(crate) fn surely_nginx(&self, incident: &Incident, said: &str) -> Result<Process, Gap> {
        self.writer(incident)?.ok_or_else(|| {
            Gap::too_late(
                "the worker that said so",
                "it has been replaced since it failed",
            )
            .leaning(said.to_owned())
        })
    }

    /// `worker_connections`, as it stands on disk.
    pub(crate) fn worker_connections(&self, idx: usize) -> Result<Setting, Gap> {
        let configured = self.configured(idx)?;
        let model = &configured.model;
        let at = model
            .contexts_of_kind(ContextKind::Events)
            .last()
            .and_then(|events| model.own(events.id, "worker_connections").last().copied());
        Ok(Setting {
            value: model.worker_connections().unwrap_or(512),
            span: directive(model, at),
            name: "worker_connections",
        })
    }

    /// `worker_rlimit_nofile`; without it, the limit that nginx was started with.
    fn open_files_setting(&self, idx: usize) -> Result<Setting, Gap> {
        let configured = self.configured(idx)?;
        let model = &configured.model;
        Ok(Setting {
            value: model.worker_rlimit_nofile().unwrap_or_default(),
            span: directive(model, model.main_directive("worker_rlimit_nofile")),
            name: "worker_rlimit_nofile",
        })
    }

    /// The descriptors of a worker.
    pub(crate) fn descriptors(&self, worker: &Process) -> Result<Descriptors, Gap> {
        let file = proc_file(worker.pid, "limits", 16 << 10);
        let folder = ProbeRequest::Directory {
            view: View::Host,
            path: format!("/proc/{}/fd", worker.pid).into(),
        };
        let limit = self.evidence.fact(&file, |record, bytes| {
            (record.at, limits::open_files(bytes))
        });
        let open = self.evidence.fact(&folder, |_, names| {
            names.split(|&byte| byte == 0).count() as u64 - 1
        });
        let (limit, open) = (limit?, known(open)?);
        let (at, limit) = *limit;
        let limit = limit.ok_or_else(|| {
            Gap::undecided(
                "the worker's limit of descriptors",
                "its limits are unreadable",
            )
        })?;
        Ok(Descriptors {
            soft: limit.soft,
            hard: limit.hard,
            open: open.map(|open| *open),
            pid: worker.pid,
            at: Some(at),
        })
    }

    /// The steps that let every worker have `wanted` descriptors open.
    pub(crate) fn allow_descriptors(
        &self,
        incident: &Incident,
        wanted: u64,
        hard: u64,
    ) -> Result<Vec<Step>, Gap> {
        let instance = self.instance(incident)?;
        let place = format!("the top of {}", instance.config.display());
        let mut steps = vec![
            self.open_files_setting(incident.instance)?
                .set_to(wanted, &place),
        ];
        if hard < wanted {
            let unit = self.nginx_unit(&instance)?;
            let unit = unit.map_or_else(|| "nginx's unit".to_owned(), |unit| unit.name);
            steps.push(Step::Advice {
                text: format!(
                    "where nginx may not raise its own limit of {hard} (a container, a unit without CAP_SYS_RESOURCE): set LimitNOFILE={wanted} in {unit}, and restart it"
                ),
            });
        }
        Ok(steps)
    }

    /// The directive that names the directory under which a temporary file is kept.
    pub(crate) fn temp_path(
        &self,
        incident: &Incident,
        file: &Path,
    ) -> Result<Option<ConfSpan>, Gap> {
        let configured = self.configured(incident.instance)?;
        let instance = self.instance(incident)?;
        let model = &configured.model;
        let all = model.contexts().iter().flat_map(|context| {
            let names = TEMP_PATHS.iter();
            names.flat_map(|name| model.own(context.id, name))
        });
        let holds = |at: &&DirectiveRef| {
            let folder = model
                .arg(**at, 0)
                .map(|value| value.to_path_lossy().into_owned());
            folder.is_some_and(|folder| file.starts_with(instance.prefix.join(folder)))
        };
        Ok(all
            .into_iter()
            .find(holds)
            .and_then(|at| directive(model, Some(*at))))
    }

    /// A fix that changes nginx's own settings and reloads it.
    pub(crate) fn own_fix(
        &self,
        incident: &Incident,
        summary: String,
        mut steps: Vec<Step>,
    ) -> Result<Fix, Gap> {
        steps.extend(self.reload_steps(incident)?);
        let is_advice = steps.iter().any(|step| matches!(step, Step::Advice { .. }));
        Ok(Fix {
            summary,
            safety: if is_advice {
                Safety::DisplayOnly
            } else {
                Safety::Unsafe
            },
            steps,
            verify: Some(AGAIN.to_owned()),
        })
    }
}

fn directive(model: &Model, at: Option<DirectiveRef>) -> Option<ConfSpan> {
    span(model, at?, None)
}
