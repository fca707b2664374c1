//! The only crate that touches the machine: asks it, records it, replays it.
//!
//! [`LiveHost`] answers requests from the running host, [`Snapshot`] from a recording, [`Sosreport`] from what `sos` collected; [`Recorder`] keeps what either
//! answered, and [`redact`] makes it fit for others. Nothing here interprets an answer, reports, or has an opinion about causes. Only [`Change`] writes.

mod change;
mod collect;
mod live;
mod mask;
mod program;
mod recorder;
mod redact;
mod snapshot;
mod sosreport;

pub use change::{
    Attributes, Change, ChangeError, Lock, Master, NewFile, Original, Ran, Tested, write_atomic,
};
pub use collect::collect;
pub use live::{LiveHost, more_descriptors};
pub use recorder::Recorder;
pub use redact::redact;
pub use snapshot::{Fault, Meta, OpenError, Overwrite, Snapshot, WriteError};
pub use sosreport::Sosreport;
