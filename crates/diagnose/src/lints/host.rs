//! The host behind a configuration, as lints ask of it: the same accessors of the case that judges of causes use, of a
//! peer that has not failed.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::rc::Rc;

use bstr::ByteSlice as _;
use facts::{Gap, GapKind, PeerAddress, ProbeRequest};
use log::error::Protocol;

use crate::case::{Case, Instance};
use crate::incident::{Incident, Origin};

/// See the module.
#[derive(Clone, Copy)]
pub(crate) struct Host<'a> {
    /// Everything known about it.
    pub(crate) case: &'a Case,
    idx: usize,
}

impl<'a> Host<'a> {
    pub(super) fn new(case: &'a Case, idx: usize) -> Self {
        Self { case, idx }
    }

    /// The nginx that runs the configuration, or is to.
    pub(crate) fn instance(self) -> Result<Instance, Gap> {
        let instances = self.case.instances()?;
        let instance = instances.get(self.idx).cloned();
        instance.ok_or_else(|| Gap::undecided("the nginx instance", "it is gone"))
    }

    /// Its place in the case's list.
    pub(crate) fn idx(self) -> usize {
        self.idx
    }

    /// That it is known whose files and network nginx sees: where it runs in a container, why502's own are others.
    pub(crate) fn is_seen_from_inside(self) -> Result<(), Gap> {
        let Some(pid) = self.instance()?.worker() else {
            return Ok(());
        };
        let link = ProbeRequest::Link {
            path: PathBuf::from(format!("/proc/{pid}/ns/net")),
        };
        match self.case.evidence.bytes(&link) {
            Err(gap) if matches!(gap.kind, GapKind::Denied | GapKind::Pending) => {
                let missing = "whose files and network nginx sees";
                Err(Gap::new(gap.kind, missing, "needs root").learn("sudo why502 lint"))
            }
            _ => Ok(()),
        }
    }

    /// A peer that nothing is known to have failed at, as the case's accessors take one.
    pub(crate) fn peer(self, address: &PeerAddress, protocol: conf::Protocol) -> Incident {
        let now = self.case.now();
        let spoken = Protocol::ALL
            .into_iter()
            .find(|known| known.as_str() == protocol.scheme());
        Incident {
            id: format!("lint {address} {protocol}"),
            instance: self.idx,
            origin: Origin::Host,
            peer: address.to_string(),
            address: Some(address.clone()),
            upstream: None,
            protocol: spoken,
            has_other_protocols: false,
            failure: None,
            errno: None,
            action: None,
            status: None,
            count: 0,
            first_seen: now,
            last_seen: now,
            seconds: Rc::default(),
            servers: Vec::new(),
            paths: BTreeSet::new(),
            requests: Rc::default(),
            sample: String::new(),
            messages: BTreeSet::new(),
            last_writer: None,
            log: None,
            explained: true,
        }
    }
}

/// The peer that an address is, unless it is a name.
pub(super) fn literal(address: &conf::Address) -> Option<PeerAddress> {
    Some(match address.literal()? {
        conf::PeerAddress::Tcp(address) => PeerAddress::Tcp(address),
        conf::PeerAddress::Unix(path) => PeerAddress::Unix(path.to_path_lossy().into_owned()),
    })
}
