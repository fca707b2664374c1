//! A line on disk that the workers have not loaded: what is to be said beside it, and whether a reload may mend.

use facts::{ConfSpan, Gap};

use super::config::{CLOCK_GRAIN, Drift, Site, span};
use super::{Case, known};
use crate::incident::Incident;

impl Case {
    /// A site's directive, with what is true of it where nginx does not dial the peer by it: the file has changed since the
    /// workers started, or they spoke another protocol when it failed.
    pub(super) fn as_it_stands(&self, incident: &Incident, site: &Site) -> Result<ConfSpan, Gap> {
        let mut span = site.span.clone();
        let spoke = spoke_otherwise(incident, site);
        span.label = match (self.is_unloaded(incident, site)?, spoke) {
            (true, Some(spoke)) => Some(format!(
                "on disk, not loaded yet: nginx spoke {spoke} when it failed"
            )),
            (true, None) => Some("on disk, changed since nginx's workers started".to_owned()),
            (false, Some(spoke)) => {
                Some(format!("on disk now: nginx spoke {spoke} when it failed"))
            }
            (false, None) => None,
        };
        Ok(span)
    }

    /// The pass that speaks another protocol to the peer since its file was changed, which the workers have not loaded: a
    /// reload puts it into force. `None` where some pass on disk speaks as the failing requests did.
    pub(crate) fn speaks_otherwise_on_disk(
        &self,
        incident: &Incident,
    ) -> Result<Option<ConfSpan>, Gap> {
        if !self.has_drifted(incident)? {
            return Ok(None);
        }
        for site in self.sites(incident)?.iter() {
            if spoke_otherwise(incident, site).is_none() {
                return Ok(None);
            }
            if let Some(pass) = self.pass_of(incident, site)?
                && self.has_changed(incident, &pass)?
            {
                return Ok(Some(pass));
            }
        }
        Ok(None)
    }

    /// Whether the file of the directive, or that of the pass which leads to it, has changed since the workers started.
    fn is_unloaded(&self, incident: &Incident, site: &Site) -> Result<bool, Gap> {
        if !self.has_drifted(incident)? {
            return Ok(false);
        }
        if self.has_changed(incident, &site.span)? {
            return Ok(true);
        }
        match self.pass_of(incident, site)? {
            Some(pass) if spoke_otherwise(incident, site).is_some() => {
                self.has_changed(incident, &pass)
            }
            _ => Ok(false),
        }
    }

    /// Whether some file is known to have changed since the workers started.
    fn has_drifted(&self, incident: &Incident) -> Result<bool, Gap> {
        let drift = known(self.drift(incident.instance))?;
        Ok(matches!(drift, Some(Drift::Changed { .. })))
    }

    /// The pass in force where a site stands.
    fn pass_of(&self, incident: &Incident, site: &Site) -> Result<Option<ConfSpan>, Gap> {
        let configured = self.configured(incident.instance)?;
        let pass = configured.model.pass_in_force(site.context);
        Ok(pass.and_then(|pass| span(&configured.model, pass.directive, None)))
    }

    /// Whether the file of a directive has changed since the workers started.
    fn has_changed(&self, incident: &Incident, at: &ConfSpan) -> Result<bool, Gap> {
        let instance = self.instance(incident)?;
        let Some(since) = instance.workers_since() else {
            return Ok(false);
        };
        let late = since.saturating_add(CLOCK_GRAIN).unwrap_or(since);
        let changes = self.last_changes(incident.instance, &instance)?;
        Ok(changes
            .iter()
            .any(|(path, changed)| *path == at.file && *changed > late))
    }
}

/// What nginx spoke to the peer by its log, where the site's pass speaks something else.
fn spoke_otherwise(incident: &Incident, site: &Site) -> Option<&'static str> {
    let spoke = incident
        .protocol
        .filter(|_| !incident.has_other_protocols)?;
    (site.protocol.scheme() != spoke.as_str()).then(|| spoke.as_str())
}
