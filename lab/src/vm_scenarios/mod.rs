//! Scenarios that need a kernel of their own: one file a cause, named by it, as beside them in `scenarios`.
//!
//! They run in a virtual machine, by `cargo xtask lab vm`. A machine is shared, so each puts back what it changed.

use anyhow::Result;

use crate::vm::{Module, Vm};

/// One scenario.
pub struct Scenario {
    /// The cause, as its module is named.
    pub cause: &'static str,
    /// The function.
    pub name: &'static str,
    /// What the machine's kernel runs.
    pub module: Module,
    /// Makes the failure and holds the answers against the truth.
    pub make: fn(&Vm<'_>) -> Result<()>,
}

macro_rules! declare {
    ($($cause:ident in $module:ident: [$($scenario:ident),* $(,)?]),* $(,)?) => {
        $(pub mod $cause;)*

        /// Every scenario, by cause.
        pub const ALL: &[Scenario] = &[$($(Scenario {
            cause: stringify!($cause),
            name: stringify!($scenario),
            module: Module::$module,
            make: $cause::$scenario,
        }),*),*];
    };
}

declare! {
    apparmor_denies_connect in Apparmor: [
        no_rule_for_the_family,
    ],
    selinux_denies_connect in Selinux: [
        a_boolean_opens_the_port,
        nothing_listens_behind_it,
        a_label_opens_the_port,
    ],
    selinux_denies_socket in Selinux: [
        label_was_changed,
        label_and_domain,
    ],
}

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn the_list_is_sorted_by_cause() {
        assert!(ALL.is_sorted_by(|one, other| one.cause <= other.cause));
    }
}
