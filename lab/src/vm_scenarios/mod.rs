//! Scenarios that need a kernel of their own: one file a cause, named by it, as beside them in `scenarios`.
//!
//! Each runs in a virtual machine of its own, which has just booted.

/// The one list: calls `$each!` with every cause, what the machine's kernel runs, and the scenarios.
#[macro_export]
macro_rules! vm_scenarios {
    ($each:ident) => {
        $each! {
            apparmor_denies_connect in Apparmor: [
                no_rule_for_the_family,
                a_deny_rule_leaves_no_record,
            ],
            application_killed_oom in Apparmor: [
                by_the_units_limit,
            ],
            nginx_sandboxed in Apparmor: [
                address_is_denied,
            ],
            selinux_denies_connect in Selinux: [
                a_boolean_opens_the_port,
                a_boolean_for_databases_is_narrower,
                a_relay_opens_ports_of_caches,
                nothing_listens_behind_it,
                a_label_opens_the_port,
                denial_is_not_logged,
                permissive_host_only_logs,
                permissive_domain_is_only_logged,
            ],
            selinux_denies_socket in Selinux: [
                label_was_changed,
                label_and_domain,
                domain_alone,
            ],
        }
    };
}

macro_rules! declare {
    ($($cause:ident in $module:ident: [$($scenario:ident),* $(,)?]),* $(,)?) => {
        $(pub mod $cause;)*

        /// Every cause with the names of its scenarios, as the modules and functions are named.
        pub const SCENARIOS: &[(&str, &[&str])] = &[$((stringify!($cause), &[$(stringify!($scenario)),*])),*];
    };
}
vm_scenarios!(declare);

#[cfg(test)]
mod tests {
    use super::SCENARIOS;

    #[test]
    fn the_list_is_sorted_and_each_cause_stands_once() {
        assert!(SCENARIOS.is_sorted_by(|(one, _), (other, _)| one < other));
    }
}
