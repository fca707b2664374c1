//! The php-fpm pools of the host.

use std::rc::Rc;

use facts::{Exhibit, Gap, PeerAddress};

use super::Case;
use crate::incident::Incident;
use crate::tie::Place;

pub(crate) struct Pool;

impl Pool {
    pub(crate) fn listens_on(&self, _address: &PeerAddress) -> bool { false }
    pub(crate) fn service(&self) -> Option<String> { None }
    pub(crate) fn exhibit(&self) -> Exhibit { Exhibit::Record { probe: "file", at: None, text: String::new() } }
}

impl Case {
    pub(crate) fn pools(&self) -> Result<Rc<Vec<Pool>>, Gap> { Ok(Rc::new(Vec::new())) }
    pub(crate) fn sole_unclaimed_pool(&self, _incident: &Incident) -> Result<Option<String>, Gap> { Ok(None) }
    pub(crate) fn pool_at(&self, _place: &Place) -> Result<Option<String>, Gap> { Ok(None) }
}
