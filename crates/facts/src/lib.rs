//! The vocabulary of evidence, and the parsers of raw evidence.
//!
//! A [`ProbeRequest`] is one question put to a host, a [`Record`] the raw answer, a *fact* what a parser here makes of
//! records. Nothing in this crate does I/O, reads a clock, or knows whether a record is live or comes from a snapshot.
#![warn(
    clippy::disallowed_methods,
    reason = "facts are made from records alone"
)]

pub mod address;
pub mod apparmor;
pub mod application;
pub mod audit;
pub mod certificate;
pub mod container;
pub mod conversation;
pub mod count;
pub mod dns;
pub mod exchange;
pub mod exhibit;
pub mod file_system;
pub mod firewall;
pub mod forwarder;
pub mod gap;
pub mod handshake;
pub mod ipvs;
pub mod journal;
pub mod kernel_log;
pub mod local;
pub mod managed;
pub mod manifest;
pub mod mounts;
pub mod name;
pub mod netfilter;
mod netlink;
pub mod oom;
pub mod owners;
pub mod packages;
pub mod passwd;
pub mod probe;
pub mod process;
pub mod queue;
pub mod route;
pub mod selinux;
pub mod sockets;
pub mod sosreport;
pub mod systemd;
mod text;
pub mod trust;
pub mod url;
pub mod walk;
pub mod zone;

pub use address::PeerAddress;
pub use conversation::{Caller, Conversation, Speech};
pub use count::counted;
pub use exhibit::{ConfSpan, Exhibit};
pub use gap::{Gap, GapKind};
pub use probe::{
    Answer, Get, Hello, Probe, ProbeRequest, Record, RecordKind, SocketKind, Stat, View,
};
pub use url::Url;
