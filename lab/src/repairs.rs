//! What `why502 fix` has to mend, to take back, and to survive. Each breaks something, and proves it, before it is asked.

mod kept_back;
mod killed;
mod mended;

/// The one list: calls `$each!` with every module and its tests.
#[macro_export]
macro_rules! repairs {
    ($each:ident) => {
        $each! {
            mended: [
                mode_of_a_socket,
                acl_of_a_socket,
                buffer_for_a_header,
                name_for_a_peer_that_serves_by_name,
                version_of_tls,
                connections_of_a_worker,
                configuration_not_in_force,
                rule_of_nftables,
                rule_of_iptables,
                processes_that_are_stopped,
                directory_for_bodies,
                unit_on_another_port,
                unit_on_another_path,
                unit_that_is_stopped,
                nginx_that_is_stopped,
                server_that_is_marked_down,
                ports_of_the_host,
                address_of_a_name,
                unit_on_another_address,
                two_faults_of_one_nginx,
            ],
            kept_back: [
                the_application_dies_of_it,
                a_name_that_nobody_knows,
                nginx_refuses_it,
                the_file_has_two_names,
                edited_since_by_somebody,
            ],
            killed: [
                while_it_edits,
                while_it_changes_modes,
                while_it_adds_a_rule,
            ],
        }
    };
}

macro_rules! export {
    ($($module:ident: [$($test:ident),* $(,)?]),* $(,)?) => {
        $(pub use $module::{$($test),*};)*
    };
}
repairs!(export);
