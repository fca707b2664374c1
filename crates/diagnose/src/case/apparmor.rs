//! What AppArmor confines nginx's worker by, and where that profile stands.

use std::path::PathBuf;

use facts::apparmor::{Head, Label};
use facts::{Exhibit, Gap, GapKind, ProbeRequest, View};

use super::{Case, known};
use crate::incident::Incident;

/// Where profiles stand.
const PROFILES: &str = "/etc/apparmor.d";
/// A profile is a page or two.
const PROFILE_LIMIT: u64 = 256 << 10;

/// What AppArmor is to nginx's worker.
#[derive(Clone, Debug)]
pub(crate) enum Apparmor {
    /// The kernel runs none, since it started.
    Off(Exhibit),
    /// It does not confine the worker, and could not have since the worker started.
    Unconfined(Exhibit),
    /// It confines the worker by this profile.
    Confined(Label),
}

/// The file that holds a profile.
#[derive(Clone, Debug)]
pub(crate) struct ProfileFile {
    /// Where it stands.
    pub(crate) path: PathBuf,
    /// The line that the profile begins with.
    pub(crate) head: Head,
    /// What it holds.
    bytes: Vec<u8>,
}

impl ProfileFile {
    /// Whether a rule stands there already.
    pub(crate) fn has_rule(&self, rule: &str) -> bool {
        facts::apparmor::has_rule(&self.bytes, rule)
    }
}

impl Case {
    /// What AppArmor is to nginx's worker.
    pub(crate) fn apparmor(&self, incident: &Incident) -> Result<Apparmor, Gap> {
        let enabled = match self.evidence.bytes(&facts::apparmor::enabled()) {
            Ok((_, enabled)) => enabled.first() == Some(&b'Y'),
            Err(gap) if gap.kind == GapKind::Absent => false,
            Err(gap) => return Err(gap),
        };
        if !enabled {
            return Ok(Apparmor::Off(Exhibit::Record {
                probe: "file",
                at: None,
                text: "the kernel runs no AppArmor (/sys/module/apparmor)".to_owned(),
            }));
        }
        let instance = self.instance(incident)?;
        let worker = instance
            .workers
            .first()
            .or(instance.master.as_ref())
            .ok_or_else(|| Gap::undecided("nginx's AppArmor profile", "nginx is not running"))?;
        let text = self.confinement_of(worker.pid)?;
        Ok(match facts::apparmor::label(&text) {
            Some(label) => Apparmor::Confined(label),
            // A profile is put on a program as it starts, never on one that runs.
            None => Apparmor::Unconfined(Exhibit::Record {
                probe: "file",
                at: Some(worker.start),
                text: format!("AppArmor does not confine pid {} ({text})", worker.pid),
            }),
        })
    }

    /// Whether the worker's profile may deny a connection that is made outside it: the kernel does not tell of rules.
    pub(crate) fn apparmor_may_deny(&self, incident: &Incident) -> Result<(), Gap> {
        match self.apparmor(incident)? {
            Apparmor::Confined(label) if label.enforces => Err(Gap::undecided(
                format!(
                    "whether the AppArmor profile {} still denies it",
                    label.profile
                ),
                "the connection was repeated outside the profile",
            )
            .learn("sudo aa-status")),
            _ => Ok(()),
        }
    }

    /// Whether the workers that run now ran before the first failure.
    pub(crate) fn ran_before(&self, incident: &Incident) -> Result<bool, Gap> {
        let instance = self.instance(incident)?;
        Ok(instance
            .workers
            .iter()
            .all(|worker| worker.start < incident.first_seen))
    }

    /// The file that holds a profile.
    pub(crate) fn profile_file(&self, profile: &str) -> Result<Option<ProfileFile>, Gap> {
        let listing = ProbeRequest::Directory {
            view: View::Host,
            path: PathBuf::from(PROFILES),
        };
        let Some((_, names)) = known(self.evidence.bytes(&listing))? else {
            return Ok(None);
        };
        let names = names
            .split(|&byte| byte == 0)
            .filter_map(|name| std::str::from_utf8(name).ok());
        let paths: Vec<PathBuf> = names
            .filter(|name| !name.is_empty() && !name.starts_with('.'))
            .map(|name| PathBuf::from(PROFILES).join(name))
            .collect();
        let file = |path: &PathBuf| ProbeRequest::File {
            view: View::Host,
            path: path.clone(),
            limit: PROFILE_LIMIT,
        };
        drop(self.evidence.batch(paths.iter().map(file))?);
        Ok(paths.into_iter().find_map(|path| {
            let (_, bytes) = self.evidence.bytes(&file(&path)).ok()?;
            Some(ProfileFile {
                head: facts::apparmor::head(bytes, profile)?,
                bytes: bytes.to_vec(),
                path,
            })
        }))
    }
}
