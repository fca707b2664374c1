//! Audit's records, SELinux's policy and answers, AppArmor's profiles.
#![no_main]

use facts::selinux::{Decision, Policy};
use facts::{apparmor, audit, selinux};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let records = audit::of_log(data);
    assert!(records.len() <= data.len());
    if let Some(policy) = Policy::parse(data) {
        let switches = policy.switches("httpd_t", "http_port_t", "tcp_socket", "name_connect");
        assert!(switches.is_sorted_by_key(|switch| switch.opens));
        policy.tcp_port(80);
        policy.ports_of("http_port_t");
    }
    Decision::parse(data);
    selinux::store(data);
    selinux::is_registered(data);
    selinux::substituted("/run/app.sock".as_ref(), data);
    apparmor::head(data, "nginx");
    if let Ok(text) = std::str::from_utf8(data) {
        audit::of_kernel_line(text);
        selinux::kind(text);
        apparmor::label(text);
    }
});
