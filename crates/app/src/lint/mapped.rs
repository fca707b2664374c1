//! A probe that looks for the files of a configuration where they stand here: in a repository, or beside a container.

use diagnose::{Probe, ProbeRequest, Record};
use facts::View;

use crate::settings::lint::LintSettings;

/// See the module.
pub(crate) struct Mapped<'a, P> {
    /// Who answers.
    pub(crate) probe: P,
    /// Which path stands where.
    pub(crate) settings: &'a LintSettings,
}

impl<P> Mapped<'_, P> {
    fn mapped(&self, request: &ProbeRequest) -> ProbeRequest {
        match request {
            ProbeRequest::File {
                view: View::Host,
                path,
                limit,
            } => ProbeRequest::File {
                view: View::Host,
                path: self.settings.here(path),
                limit: *limit,
            },
            ProbeRequest::Directory {
                view: View::Host,
                path,
            } => ProbeRequest::Directory {
                view: View::Host,
                path: self.settings.here(path),
            },
            other => other.clone(),
        }
    }
}

impl<P: Probe> Probe for Mapped<'_, P> {
    fn ask(&self, request: &ProbeRequest) -> Record {
        self.probe.ask(&self.mapped(request))
    }

    fn ask_all(&self, requests: &[ProbeRequest]) -> Vec<Record> {
        let requests: Vec<ProbeRequest> = requests.iter().map(|one| self.mapped(one)).collect();
        self.probe.ask_all(&requests)
    }
}
