//! The policies in `testdata/selinux` are made of `tiny.cil` by secilc 3.4, one for each version of the form that
//! changed something.

use proptest::prelude::*;

use super::*;

const TINY: [(u32, &[u8]); 4] = [
    (24, include_bytes!("../../testdata/selinux/tiny.24")),
    (28, include_bytes!("../../testdata/selinux/tiny.28")),
    (30, include_bytes!("../../testdata/selinux/tiny.30")),
    (33, include_bytes!("../../testdata/selinux/tiny.33")),
];

fn switches(policy: &Policy, target: &str) -> String {
    let switches = policy.switches("httpd_t", target, "tcp_socket", "name_connect");
    let shown = switches
        .iter()
        .map(|switch| format!("{}={} opens {}", switch.name, switch.on, switch.opens));
    shown.collect::<Vec<_>>().join(", ")
}

#[test]
fn a_ports_type_is_that_of_the_first_entry() {
    for (version, bytes) in TINY {
        let policy = Policy::parse(bytes).unwrap_or_else(|| panic!("version {version}"));
        for (port, kind, own) in [
            (3000, Some("ntop_port_t"), true),
            (5433, Some("db_port_t"), false),
            (8000, Some("http_port_t"), false),
            (8888, Some("unreserved_port_t"), false),
            (22, None, false),
        ] {
            assert_eq!(policy.tcp_port(port), kind, "{version}: {port}");
            assert_eq!(policy.has_own_label(port), own, "{version}: {port}");
        }
        assert_eq!(policy.ports_of("http_port_t"), "80, 8000-8010");
    }
}

#[test]
fn the_boolean_that_opens_least_comes_first() {
    for (version, bytes) in TINY {
        let policy = Policy::parse(bytes).unwrap();
        assert_eq!(
            switches(&policy, "db_port_t"),
            "httpd_can_network_connect_db=true opens 1, httpd_must_not_connect=false opens 1, \
             httpd_can_network_connect=true opens 4",
            "{version}"
        );
        // What two booleans together decide, neither alone opens.
        assert_eq!(
            switches(&policy, "http_port_t"),
            "httpd_can_network_connect=true opens 4",
            "{version}"
        );
        assert_eq!(switches(&policy, "no_such_type"), "");
        assert_eq!(
            policy
                .switches("kernel_t", "http_port_t", "tcp_socket", "read")
                .len(),
            1
        );
    }
}

/// What a Debian 12 enforced on nginx, port by port: with no boolean set it connected to none of them, with
/// `httpd_can_network_connect` to each, with `httpd_can_network_relay` to these alone.
#[test]
fn debians_policy_is_read_as_the_kernel_enforced_it() {
    let policy = Policy::parse(include_bytes!("../../testdata/selinux/debian12.33")).unwrap();
    for (port, kind, relayed) in [
        (3000, "ntop_port_t", false),
        (5000, "commplex_main_port_t", false),
        (8000, "soundd_port_t", false),
        (8001, "unreserved_port_t", false),
        (8008, "http_port_t", true),
        (8080, "http_cache_port_t", true),
        (8443, "http_port_t", true),
        (9000, "cslistener_port_t", false),
        (8888, "unreserved_port_t", false),
        (9090, "websm_port_t", false),
        (7777, "unreserved_port_t", false),
        (10080, "amanda_port_t", false),
    ] {
        assert_eq!(policy.tcp_port(port), Some(kind), "{port}");
        let switches = policy.switches("httpd_t", kind, "tcp_socket", "name_connect");
        let opens = |name: &str| {
            switches
                .iter()
                .any(|switch| switch.name == name && switch.on)
        };
        assert!(opens("httpd_can_network_connect"), "{port}");
        assert_eq!(opens("httpd_can_network_relay"), relayed, "{port}");
    }
    // As `audit2allow` named the booleans of the denials that were recorded there.
    assert_eq!(
        switches(&policy, "http_port_t"),
        "httpd_graceful_shutdown=true opens 1, httpd_can_network_relay=true opens 5, \
         httpd_can_network_connect=true opens 14"
    );
    assert_eq!(
        switches(&policy, "unreserved_port_t"),
        "allow_ypbind=true opens 1, httpd_can_network_connect=true opens 14"
    );
}

#[test]
fn an_alias_stands_for_its_type() {
    let policy = Policy::parse(TINY[3].1).unwrap();
    assert_eq!(policy.real_name("httpd_var_run_t"), Some("httpd_runtime_t"));
    assert_eq!(policy.real_name("httpd_runtime_t"), Some("httpd_runtime_t"));
    assert!(policy.has_type("httpd_var_run_t") && !policy.has_type("x_t"));
}

#[test]
fn a_policy_that_is_cut_or_of_another_version_is_refused() {
    for (_, bytes) in TINY {
        for end in 0..bytes.len() {
            assert_eq!(Policy::parse(&bytes[..end]), None, "{end}");
        }
        let mut later = bytes.to_vec();
        later[16] = 36;
        assert_eq!(Policy::parse(&later), None);
    }
}

#[test]
fn a_decision_is_read_bit_by_bit() {
    // Linux 6.1, httpd_t to http_port_t, tcp_socket: name_connect is 23.
    let decision = Decision::parse(b"100000 ffffffff 0 ffffffff 3 0").unwrap();
    assert!(decision.allows(21) && !decision.allows(23) && decision.logs_denial(23));
    assert!(!decision.is_permissive);
    assert!(!decision.allows(0) && !decision.allows(33) && !decision.allows(u32::MAX));
    let permissive = Decision::parse(b"400000 ffffffff 0 ffbfffff 3 1").unwrap();
    assert!(permissive.allows(23) && !permissive.logs_denial(23) && permissive.is_permissive);
    assert_eq!(Decision::parse(b"1 2 3"), None);
    assert_eq!(Decision::parse(b"x 2 3 4 5 6"), None);
}

#[test]
fn a_context_has_a_type() {
    for (context, expected) in [
        ("system_u:system_r:httpd_t:s0", Some("httpd_t")),
        (
            "unconfined_u:unconfined_r:unconfined_t:s0-s0:c0.c1023",
            Some("unconfined_t"),
        ),
        ("u:r:t", Some("t")),
        ("unconfined", None),
        ("u:r:", None),
        ("u:r:t;reboot:s0", None),
    ] {
        assert_eq!(kind(context), expected, "{context}");
    }
}

#[test]
fn the_kernel_lists_selinux_among_its_file_systems() {
    assert!(is_registered(b"nodev\tsysfs\nnodev\tselinuxfs\n\text4\n"));
    assert!(!is_registered(b"nodev\tsysfs\n\text4\n"));
}

#[test]
fn a_path_is_named_as_the_rules_of_files_name_it() {
    let debian = b"# comment\n/var/run /run\n/var/run/lock /run/lock\n";
    let fedora = b"/run /var/run\n/run/lock /var/lock\n";
    for (path, rules, expected) in [
        ("/var/run/app.sock", &debian[..], Some("/run/app.sock")),
        ("/run/app.sock", debian, None),
        ("/run/app.sock", fedora, Some("/var/run/app.sock")),
        ("/running/app.sock", fedora, None),
    ] {
        assert_eq!(
            substituted(path.as_ref(), rules),
            expected.map(PathBuf::from),
            "{path}"
        );
    }
}

#[test]
fn the_store_in_use_is_named_by_the_configuration() {
    assert_eq!(
        store(b"# SELINUXTYPE=x\nSELINUXTYPE=targeted\n").as_deref(),
        Some("targeted")
    );
    assert_eq!(store(b"SELINUXTYPE=../..\n"), None);
    assert_eq!(store(b"SELINUX=enforcing\n"), None);
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(bytes: Vec<u8>, at: prop::sample::Index, byte: u8) {
        Policy::parse(&bytes);
        Decision::parse(&bytes);
        store(&bytes);
        substituted("/run/app.sock".as_ref(), &bytes);
        for (_, tiny) in TINY {
            let mut changed = tiny.to_vec();
            let at = at.index(changed.len());
            changed[at] = byte;
            if let Some(policy) = Policy::parse(&changed) {
                policy.switches("httpd_t", "db_port_t", "tcp_socket", "name_connect");
                policy.ports_of("http_port_t");
            }
        }
    }
}
