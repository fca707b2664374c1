//! Who owns a peer's address: the systemd unit or php-fpm pool that is meant to listen there.

use facts::{Exhibit, Gap, PeerAddress};

use super::{Case, Instance};
use crate::incident::Incident;
use crate::tie::Place;
use crate::verdict::Fix;

/// The unit that is meant to listen on an address.
#[derive(Clone, Debug)]
pub(crate) struct Owner {
    unit: String,
}

impl Owner {
    pub(crate) fn unit(&self) -> &str {
        &self.unit
    }
    pub(crate) fn is_down(&self) -> bool {
        false
    }
    pub(crate) fn state(&self) -> String {
        String::new()
    }
    pub(crate) fn exhibits(&self) -> Vec<Exhibit> {
        Vec::new()
    }
    pub(crate) fn start(&self) -> Fix {
        Fix {
            summary: String::new(),
            safety: crate::verdict::Safety::DisplayOnly,
            steps: Vec::new(),
            verify: None,
        }
    }
}

/// nginx's own unit.
pub(crate) struct NginxUnit {
    pub(crate) name: String,
}
impl NginxUnit {
    pub(crate) fn exhibit(&self) -> Exhibit {
        Exhibit::Record {
            probe: "unit",
            at: None,
            text: self.name.clone(),
        }
    }
}

impl Case {
    pub(crate) fn owner(&self, _incident: &Incident) -> Result<Option<Owner>, Gap> {
        Ok(None)
    }
    pub(crate) fn nginx_unit(&self, _instance: &Instance) -> Result<Option<NginxUnit>, Gap> {
        Ok(None)
    }
    pub(crate) fn sole_unclaimed_pool(&self, _incident: &Incident) -> Result<Option<String>, Gap> {
        Ok(None)
    }
    pub(crate) fn listened_before(
        &self,
        _units: &[String],
        _address: &PeerAddress,
    ) -> Result<Option<Exhibit>, Gap> {
        Ok(None)
    }
    pub(crate) fn pool_at(&self, _place: &Place) -> Result<Option<String>, Gap> {
        Ok(None)
    }
}
