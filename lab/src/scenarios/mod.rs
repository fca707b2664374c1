//! The scenarios: one file a cause, named by it, each function one way the cause comes about or
//! a look-alike of it that must not be taken for it.
//!
//! A scenario first proves by nginx's own log and answers that the failure happened.

/// The one list: calls `$each!` with every cause and its scenarios.
#[macro_export]
macro_rules! scenarios {
    ($each:ident) => {
        $each! {
            accept_queue_full: [
                unix_socket_of_a_deaf_application,
                port_of_a_deaf_application,
                gunicorn_is_stopped,
                children_of_php_are_stopped,
                over_since_gunicorn_goes_on,
            ],
            application_answered_5xx: [
                told_by_the_access_log,
                made_by_nginx,
                not_told_by_combined,
                asked_where_combined_does_not_tell,
                read_by_a_format_that_did_not_write_it,
            ],
            application_crashed: [
                gunicorn_worker_segfaults,
                php_child_segfaults,
                node_dies_of_an_exception,
                process_exits_without_a_record,
                closes_and_lives_on,
                unit_dies_and_is_restarted,
                another_unit_dies,
                gunicorn_unit_worker_segfaults,
                unicorn_worker_crashes,
                an_idle_worker_is_killed_while_it_closes,
                puma_worker_is_killed,
                tomcat_halts,
            ],
            application_fatal_error: [
                node_throws,
                node_uses_up_its_heap,
                node_is_killed,
            ],
            application_killed_oom: [
                gunicorn_worker_in_a_memory_group,
                another_groups_process,
                sigkill_by_hand,
                unit_reaches_its_memory_max,
                unit_of_one_process_reaches_its_memory_max,
                another_unit_reaches_its_memory_max,
            ],
            application_rejects_request: [
                longer_than_uwsgis_buffer,
                php_fpm_lets_another_address_in,
                http_to_a_uwsgi_socket,
                others_answer_it_themselves,
            ],
            application_restarted: [
                unit_is_restarted_by_hand,
                restarts_while_clients_come,
                gunicorn_of_no_unit,
                unicorn_of_no_unit,
            ],
            application_slow: [
                first_byte_comes_late,
                never_answers_anybody,
                all_workers_are_busy,
                tomcats_page_sleeps,
                was_stopped_and_goes_on,
                is_stopped_by_a_signal,
                its_control_group_is_frozen,
                nginx_gives_up_before_gunicorn,
                a_rule_drops_the_answers,
            ],
            application_worker_timeout: [
                gunicorn_timeout,
                php_request_terminate_timeout,
                uwsgi_harakiri,
                gunicorn_unit_timeout,
                another_units_timeout,
                unicorn_timeout,
                puma_worker_does_not_check_in,
                another_unicorns_timeout_in_a_shared_log,
            ],
            firewall_drops_connect: [
                output_drops,
                ufw_denies_on_the_way_out,
                input_policy_drops_loopback,
                answers_are_dropped,
                the_peers_own_firewall_drops,
            ],
            firewall_rejects_connect: [
                nft_resets_the_worker,
                iptables_rejects_on_the_way_in,
                older_tables_reject,
                a_host_is_prohibited,
                ufw_rejects_on_the_way_out,
                firewalld_rejects_on_the_way_out,
                ufw_and_firewalld_mean_others,
                rules_at_another_device,
                nobody_listens_behind_it,
                a_rule_for_another_port,
                a_rule_redirects_to_a_dead_port,
                nginx_in_a_network_of_its_own,
                the_peers_own_firewall_rejects,
            ],
            fpm_children_exhausted: [
                static_pool_with_a_full_queue,
                dynamic_pool_that_said_so,
                more_requests_than_children,
                slow_page_with_a_child_to_spare,
            ],
            healthy: [
                nothing_is_wrong,
                an_application_works_behind_every_protocol,
                a_socket_that_may_only_be_written,
                units_are_well,
                asked_both_ways,
            ],
            keepalive_connection_stale: [
                idle_timeout_meets_the_next_request,
                get_is_retried_and_only_logged,
                unexplained_reset_on_a_kept_connection,
                unexplained_close_on_a_kept_connection,
                reset_without_keepalive,
            ],
            nginx_not_running: [
                stopped,
                stopped_where_users_see_little,
                stopped_after_a_peer_failed,
                unit_failed_on_its_configuration,
                unit_was_killed,
            ],
            nginx_out_of_file_descriptors: [
                worker_rlimit_nofile_is_small,
                worker_was_replaced_since,
                an_application_has_no_descriptor_left,
            ],
            nginx_out_of_local_ports: [
                eight_ports_are_taken,
                in_another_network,
                no_address_of_the_family,
            ],
            nginx_out_of_worker_connections: [
                worker_connections_is_small,
                where_users_may_not_read,
                nginx_dials_itself,
            ],
            nginx_sandboxed: [
                home_is_protected,
                socket_is_inaccessible,
                directory_is_empty_for_it,
                inet_is_restricted,
                network_is_private,
                addresses_are_denied,
                same_settings_that_do_not_hinder,
                tmp_is_private,
            ],
            nginx_temp_path_unwritable: [
                body_directory_is_of_another_user,
                given_back_since,
                response_cannot_be_kept,
                disk_is_full,
                no_more_files_can_be_made,
                mounted_read_only,
                directory_is_immutable,
                directory_is_gone,
            ],
            no_live_peers: [
                all_peers_are_dead,
                all_peers_are_back,
                one_is_down_by_configuration,
                all_are_down_by_configuration,
                servers_have_all_the_connections_they_may,
                hanging_peers,
            ],
            not_an_upstream_fault: [
                clients_go_away,
                files_are_missing,
                a_forged_line,
            ],
            peer_address_mismatch: [
                another_loopback_address,
                unit_moved_to_another_address,
                strangers_alone_on_the_port,
            ],
            peer_family_mismatch: [
                clients_see_the_failure,
                localhost_is_only_noise,
                upstream_server_of_the_other_family,
            ],
            peer_in_other_netns: [
                unit_with_a_network_of_its_own,
                application_in_a_network_that_nginx_reaches,
                application_on_a_loopback_of_its_own,
                nginx_in_a_network_of_its_own,
                the_only_listener_on_the_port,
                stranger_of_another_protocol,
                stranger_of_no_known_kind,
                two_applications_on_the_port,
            ],
            peer_not_listening: [
                never_started,
                reloaded_to_another_dead_port,
                comes_and_goes,
                quiet_until_asked,
                killed,
                gunicorn_was_stopped_and_is_up_again,
                stranger_on_the_neighbouring_port,
                over_since_restart,
                a_referrer_that_speaks_nginx,
                unit_is_stopped,
                unit_found_its_port_taken,
                unit_has_no_program,
                unit_gave_up_after_a_loop_of_crashes,
                unit_was_down_and_is_up_again,
                error_log_is_the_journal,
                logs_are_dockers,
                logs_are_a_pods,
            ],
            peer_port_mismatch: [
                gunicorn_on_another_port,
                php_pool_on_another_port,
                a_listener_without_a_tie,
                a_copy_started_after_the_failure,
                drop_in_moved_the_unit,
                drop_in_moved_the_environment,
            ],
            peer_speaks_other_protocol: [
                https_to_uvicorn,
                https_to_an_unknown_program,
                http_to_tls,
                http_to_tls_was_mended,
                http_to_http2,
                http_to_php_fpm,
                http_to_uwsgi,
                fastcgi_to_gunicorn,
                fastcgi_to_ssh,
                grpc_to_http,
                tls_that_closes,
            ],
            peer_transport_mismatch: [
                gunicorn_on_a_unix_socket,
                uwsgi_on_a_unix_socket,
                gunicorn_on_tcp,
                unit_moved_to_a_unix_socket,
                socket_unit_of_the_upstreams_name,
            ],
            peer_unreachable: [
                no_route,
                proxy_bind_of_no_own_address,
                routes_that_refuse,
                nobody_has_the_address,
                the_router_is_gone,
                nothing_answers_behind_the_link,
            ],
            resolver_missing: [
                variable_without_a_resolver,
                given_a_resolver_since,
                name_of_no_upstream,
            ],
            response_header_invalid: [
                a_byte_that_may_not_stand_there,
                php_script_with_a_space_in_a_name,
                where_users_may_not_read,
                a_banner_in_place_of_a_response,
            ],
            response_header_too_big: [
                node_sends_many_cookies,
                answered_since,
                no_longer_passed_to,
                shows_only_when_asked,
                php_sends_a_long_header,
                beside_a_location_with_sizes_of_its_own,
            ],
            response_truncated: [
                announces_more_than_it_sends,
                no_longer_passed_to,
                resets_within_the_body,
                body_stalls,
            ],
            running_config_outdated: [
                edited_and_never_reloaded,
                edited_where_users_may_not_read,
                reload_was_refused,
                systemctl_reload_was_refused,
            ],
            socket_acl_denied: [
                an_entry_names_the_worker,
                the_mask_takes_it_away,
                the_acl_of_its_directory,
                an_acl_for_somebody_else,
            ],
            socket_hidden_by_namespace: [
                unit_has_a_tmp_of_its_own,
                nginx_has_other_mounts,
                shown_since,
            ],
            socket_missing: [
                file_is_missing,
                directory_is_missing,
                uri_without_a_colon,
                links_lead_in_a_circle,
                php_service_is_stopped,
            ],
            socket_path_mismatch: [
                socket_of_datagrams,
                another_php_version,
                the_dialled_php_version_is_down,
                php_from_elsewhere,
                unit_moved_to_another_path,
            ],
            socket_permission_denied: [
                owner_only,
                group_of_root,
                group_may_only_read,
                parent_is_closed,
                directory_in_its_place,
            ],
            socket_stale: [
                left_by_a_dead_application,
                plain_file_in_its_place,
                listened_on_since,
            ],
            upstream_address_outdated: [
                name_has_moved,
                reloaded_since,
                name_has_not_moved,
            ],
            upstream_certificate_rejected: [
                has_expired,
                signed_itself,
                is_for_another_name,
                of_a_session_that_was_not_checked,
            ],
            upstream_name_unresolvable: [
                name_server_does_not_know_it,
                only_ipv6_is_refused,
                name_server_is_dead,
                name_server_is_silent_for_one_name,
                name_server_is_back,
                nginx_does_not_start,
                name_resolves_and_nothing_listens,
            ],
            upstream_sni_missing: [
                refused_without_a_name,
                refused_in_other_words,
                another_certificate_without_a_name,
                refused_with_the_wrong_name,
            ],
            upstream_tls_handshake_fails: [
                peer_wants_tls13,
                peer_shares_no_cipher,
                peer_closes,
            ],
        }
    };
}

macro_rules! declare {
    ($($cause:ident: [$($scenario:ident),* $(,)?]),* $(,)?) => {
        $(pub mod $cause;)*

        /// Every cause with the names of its scenarios, as the modules and functions are named.
        pub const SCENARIOS: &[(&str, &[&str])] = &[$((stringify!($cause), &[$(stringify!($scenario)),*])),*];
    };
}
scenarios!(declare);

#[cfg(test)]
mod tests {
    use super::SCENARIOS;

    #[test]
    fn the_list_is_sorted_and_each_cause_stands_once() {
        assert!(SCENARIOS.is_sorted_by(|(one, _), (other, _)| one < other));
    }
}
