//! The lab: makes each failure happen with a real nginx and a real application, then asks
//! `why502` and holds its answer against what was broken.
//!
//! It knows the truth because it broke it, so it must never look at how a verdict is reached:
//! it reads only the JSON report and the exit code.
//! Whatever it starts ends with the [`Lab`], even when the test panics or is killed.
//!
//! Needs root (workers run as www-data) and Debian's nginx, php-fpm, uwsgi, node, puma, unicorn, tomcat and python3, and
//! systemd-container and mmdebstrap for the machines that have units and a journal, and iproute2, nftables and iptables;
//! `cargo xtask test` installs them.
//!
//! Environment: `WHY502_BIN` names the binary to ask (otherwise the one built beside the tests),
//! `WHY502_LAB_FAULTS_ONLY=1` makes the failures without asking it, `WHY502_LAB_CORPUS` names the
//! folder that takes each capture as a case of the corpus, `WHY502_LAB_KEEP=1` keeps each lab's directory.

mod application;
mod attempt;
mod built;
mod certificates;
mod client;
mod container;
pub mod corpus;
mod gate;
mod groups;
mod guard;
mod lab;
mod network;
mod nginx;
mod ports;
mod process;
mod python;
mod repair;
pub mod repairs;
mod ruby;
pub mod scenarios;
mod systemd;
mod tomcat;
mod verdict;
pub mod vm;
pub mod vm_scenarios;

pub use application::{Gunicorn, Pool};
pub use attempt::attempt;
pub use built::{target_dir, why502};
pub use certificates::Certified;
pub use container::Container;
pub use lab::Lab;
pub use network::{Inside, Network};
pub use nginx::{Nginx, Setup, Values};
pub use process::Process;
pub use python::environment;
pub use systemd::{Machine, rootfs};
pub use verdict::Expectation;
