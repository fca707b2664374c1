//! Where units are set to have an application server listen: what would take an address once they are started.

use std::rc::Rc;

use facts::application::{Bind, Kind, Settings, SettingsSource};
use facts::{Gap, PeerAddress};

use super::Case;
use super::patience::{OwnLimit, own_limit};

/// A unit that is set to have an application server listen somewhere.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    /// In words, with what says so.
    pub(crate) text: String,
    /// What ends a single request there, where that is set.
    pub(crate) limit: Option<OwnLimit>,
    bind: Bind,
}

impl Claim {
    /// Whether it takes what goes to this address.
    pub(crate) fn takes(&self, address: &PeerAddress) -> bool {
        self.bind.takes(address) == Some(true)
    }
}

impl Case {
    /// The claims of the host's own units. Only the command lines of application servers are read: elsewhere an address may well
    /// be one that is dialled.
    pub(crate) fn server_claims(&self) -> Result<Rc<Vec<Claim>>, Gap> {
        self.evidence.once("server claims", || {
            let units = self.unit_files()?;
            let mut claims = Vec::new();
            for (name, file) in units.iter() {
                for command in file.exec_start(name) {
                    let args: Vec<Vec<u8>> = command
                        .argv
                        .iter()
                        .map(|arg| arg.clone().into_bytes())
                        .collect();
                    let Some(kind) = Kind::recognise(&args) else {
                        continue;
                    };
                    let source = SettingsSource {
                        args: &args,
                        environment: &[],
                        files: &[],
                    };
                    let settings = Settings::of(kind, &source);
                    let limit = own_limit(kind, &settings);
                    // Where nothing is said, the default is no claim that anybody wrote.
                    let written = settings
                        .binds
                        .into_iter()
                        .filter(|bound| is_written(&bound.bind, &command.argv));
                    claims.extend(written.map(|bound| Claim {
                        text: format!(
                            "{name} is set to have {} listen on {}",
                            kind.name(),
                            bound.bind
                        ),
                        limit: limit.clone(),
                        bind: bound.bind,
                    }));
                }
            }
            Ok(claims)
        })
    }
}

/// Whether a command line names the port or the path.
fn is_written(bind: &Bind, argv: &[String]) -> bool {
    let text = match (bind, bind.port()) {
        (_, Some(port)) => port.to_string(),
        (Bind::Address(PeerAddress::Unix(path)), None) => path.to_string_lossy().into_owned(),
        _ => return false,
    };
    argv.iter().any(|arg| arg.contains(&text))
}
