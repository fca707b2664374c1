//! See the doc comment of [`SELINUX_DENIES_CONNECT`].

use facts::{Gap, PeerAddress};
use log::error::Class;

use crate::case::{Case, Need, known};
use crate::incident::Incident;
use crate::selinux::{self, Weighed};
use crate::verdict::{AGAIN, Confirmation, Fix, Proof, Safety, Step, Verdict};

/// Types of ports that nobody has claimed, in every policy that descends from the reference policy.
const UNCLAIMED: [&str; 5] = [
    "ephemeral_port_t",
    "hi_reserved_port_t",
    "port_t",
    "reserved_port_t",
    "unreserved_port_t",
];
/// The type that web servers' ports bear.
const HTTP_PORT: &str = "http_port_t";
/// A boolean that opens no more types than this is a narrow one.
const FEW: usize = 16;

declare_cause! {
    /// SELinux forbids nginx to connect to the peer's port.
    ///
    /// ## Confirmed when
    /// The log shows errno 13 for a TCP peer, and audit recorded in the same second that SELinux denied nginx
    /// `name_connect` to that port and enforced it; or, where denials are not logged, the policy in force denies it now
    /// while SELinux enforces.
    /// The kernel itself is asked what the policy decides, for the worker's domain and the type that the port bears.
    ///
    /// ## Ruled out when
    /// The failure is another one; the kernel runs no SELinux; or the connection is denied though SELinux is permissive
    /// or the policy lets the worker's domain connect.
    ///
    /// ## Fix
    /// The narrowest that the loaded policy makes work: a type that nginx may connect to for the port (`semanage port`),
    /// else the boolean that opens least (`setsebool -P`), a module of your own last.
    /// Unsafe: each widens what nginx may do; the module is only shown.
    /// nginx need not be reloaded, and there is no need to switch SELinux off: that would open every program of the host.
    ///
    /// ## Looks like
    /// `connect() to 127.0.0.1:3000 failed (13: Permission denied) while connecting to upstream`
    ///
    /// ## See also
    /// The denial hides whether anything listens: a connection that SELinux denies is never made.
    /// A `prohibit` route and a sandbox of nginx's unit show the same line.
    pub(crate) static SELINUX_DENIES_CONNECT = {
        id: "selinux-denies-connect", since: "0.1.0", stage: Connect, refines: [],
        judge: Alone(judge),
    }
}

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    if !incident.is(Class::PermissionDenied) {
        return Ok(Verdict::RuledOut(proof));
    }
    let PeerAddress::Tcp(address) = incident.dialled()? else {
        return Ok(Verdict::RuledOut(proof));
    };
    let port = address.port();
    let weighed = selinux::weigh(incident, case, proof, |_, avc| {
        avc.class == "tcp_socket" && avc.port == Some(port) && avc.permissions.iter().any(|permission| permission == "name_connect")
    })?;
    let denial = match weighed {
        Weighed::Not(verdict) => return Ok(verdict),
        Weighed::Denied(denial) => denial,
    };
    let Some(now) = denial.now.first() else {
        return Ok(Verdict::Confirmed(Confirmation {
            summary: format!("SELinux forbids nginx to connect to tcp port {port}{}", denial.since),
            proof: denial.proof,
            fixes: Vec::new(),
        }));
    };
    let hidden = selinux::hidden(incident, case)?;
    let mut fixes = fixes(case, &now.need, port)?;
    selinux::not_alone(&mut fixes, hidden.as_ref());
    Ok(Verdict::Confirmed(Confirmation {
        summary: format!("SELinux forbids nginx to connect to tcp port {port}, which is labelled {}", now.need.kind()),
        fixes,
        proof: denial.proof.with(hidden),
    }))
}

/// What the loaded policy makes work, the narrowest first.
fn fixes(case: &Case, need: &Need, port: u16) -> Result<Vec<Fix>, Gap> {
    let Some(policy) = known(case.selinux_policy())? else {
        return Ok(vec![selinux::module(&[need])]);
    };
    let label = (need.kind() != HTTP_PORT && policy.has_type(HTTP_PORT) && case.would_pass(need, HTTP_PORT)?).then(|| {
        let verb = if policy.has_own_label(port) { "-m" } else { "-a" };
        Fix {
            summary: format!("label tcp port {port} {HTTP_PORT}, as {} are", policy.ports_of(HTTP_PORT)),
            safety: Safety::Unsafe,
            steps: vec![Step::command(["semanage", "port", verb, "-t", HTTP_PORT, "-p", "tcp", &port.to_string()])],
            verify: Some(AGAIN.to_owned()),
        }
    });
    // Booleans of the domain's own: what opens other programs too is nothing to advise.
    let own = format!("{}_can_", need.domain().trim_end_matches("_t"));
    let switches = policy.switches(need.domain(), need.kind(), need.class, need.permission);
    let switches = switches.into_iter().filter(|switch| switch.name.starts_with(&own));
    let (narrow, wide): (Vec<_>, Vec<_>) = switches.partition(|switch| switch.opens <= FEW);
    let boolean = |switch: facts::selinux::Switch| Fix {
        summary: format!("set the boolean {}, which opens {} to nginx", switch.name, ports(switch.opens)),
        safety: Safety::Unsafe,
        steps: vec![Step::command(["setsebool", "-P", &switch.name, if switch.on { "1" } else { "0" }])],
        verify: Some(AGAIN.to_owned()),
    };
    let mut narrow: Vec<Fix> = narrow.into_iter().map(boolean).collect();
    if UNCLAIMED.contains(&need.kind()) {
        narrow.splice(0..0, label);
    } else {
        narrow.extend(label);
    }
    let mut fixes = narrow;
    fixes.extend(wide.into_iter().map(boolean));
    fixes.push(selinux::module(&[need]));
    Ok(fixes)
}

fn ports(types: usize) -> String {
    match types {
        1 => "ports of one type".to_owned(),
        n => format!("ports of {n} types"),
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::fixture::check;

    const ID: &str = "selinux-denies-connect";
    /// nginx in httpd_t dials a port; times and records are of a Debian 12 with its reference policy.
    const HOST: &str = "
        //- now 2026-11-21T01:30:00Z
        //- nginx master=438 workers=439,440 start=01:20:00
        //- file /etc/nginx/nginx.conf
        http { server { location / { proxy_pass http://127.0.0.1:3000; } } }
        //- failed 01:28:11 http://127.0.0.1:3000/ level=crit pid=439
        connect() to 127.0.0.1:3000 failed (13: Permission denied) while connecting to upstream
        //- process 77 start=01:20:00
        app
        //- listen tcp 127.0.0.1:3000 pid=77
    ";
    const ENFORCING: &str = "
        //- selinux enforcing
        //- context 438 system_u:system_r:httpd_t:s0
        //- context 439 system_u:system_r:httpd_t:s0
        //- context 440 system_u:system_r:httpd_t:s0
    ";
    const AUDIT: &str = r#"
        //- file /var/log/audit/audit.log
        type=AVC msg=audit(1795224491.728:90): avc:  denied  { name_connect } for  pid=439 comm="nginx" dest=3000 scontext=system_u:system_r:httpd_t:s0 tcontext=system_u:object_r:ntop_port_t:s0 tclass=tcp_socket permissive=0
        type=SYSCALL msg=audit(1795224491.728:90): arch=c000003e syscall=42 success=no exit=-13 a0=b comm="nginx"
    "#;

    #[test]
    fn confirmed_by_the_record_of_that_second() {
        assert_snapshot!(check(ID, [HOST, ENFORCING, AUDIT]), @r#"
        answer: selinux-denies-connect, ongoing
        confirmed: SELinux forbids nginx to connect to tcp port 3000, which is labelled ntop_port_t
        - log 01:28:11 x1: connect() to 127.0.0.1:3000 failed (13: Permission denied) while connecting to upstream
        - audit 01:28:11: avc:  denied  { name_connect } for  pid=439 comm="nginx" dest=3000 scontext=system_u:system_r:httpd_t:s0 tcontext=system_u:object_r:ntop_port_t:s0 tclass=tcp_socket permissive=0   (/var/log/audit/audit.log)
        - selinux-access: the policy in force denies httpd_t name_connect on tcp port 3000 (ntop_port_t tcp_socket)
        fix, unsafe: set the boolean httpd_can_network_connect, which opens ports of 4 types to nginx
          $ setsebool -P httpd_can_network_connect 1
        fix, shown: a policy module of your own, reviewed, where nothing narrower fits
          write to nginx_local.cil: (allow httpd_t ntop_port_t (tcp_socket (name_connect)))
          $ semodule -i nginx_local.cil
        "#);
    }

    #[test]
    fn confirmed_by_the_kernels_log_where_no_auditd_runs() {
        assert_snapshot!(check(ID, [HOST, ENFORCING, r#"
            //- kernel
            01:28:11 audit: type=1400 audit(1795224491.728:90): avc:  denied  { name_connect } for  pid=439 comm="nginx" dest=3000 scontext=system_u:system_r:httpd_t:s0 tcontext=system_u:object_r:ntop_port_t:s0 tclass=tcp_socket permissive=0
        "#]), @r#"
        answer: selinux-denies-connect, ongoing
        confirmed: SELinux forbids nginx to connect to tcp port 3000, which is labelled ntop_port_t
        - log 01:28:11 x1: connect() to 127.0.0.1:3000 failed (13: Permission denied) while connecting to upstream
        - audit 01:28:11: avc:  denied  { name_connect } for  pid=439 comm="nginx" dest=3000 scontext=system_u:system_r:httpd_t:s0 tcontext=system_u:object_r:ntop_port_t:s0 tclass=tcp_socket permissive=0   (dmesg -T)
        - selinux-access: the policy in force denies httpd_t name_connect on tcp port 3000 (ntop_port_t tcp_socket)
        fix, unsafe: set the boolean httpd_can_network_connect, which opens ports of 4 types to nginx
          $ setsebool -P httpd_can_network_connect 1
        fix, shown: a policy module of your own, reviewed, where nothing narrower fits
          write to nginx_local.cil: (allow httpd_t ntop_port_t (tcp_socket (name_connect)))
          $ semodule -i nginx_local.cil
        "#);
    }

    #[test]
    fn a_port_that_the_policy_opens_is_labelled_so_first() {
        assert_snapshot!(check(ID, [HOST, ENFORCING, AUDIT, "
            //- allow httpd_t http_port_t tcp_socket name_connect
        "]), @r#"
        answer: selinux-denies-connect, ongoing
        confirmed: SELinux forbids nginx to connect to tcp port 3000, which is labelled ntop_port_t
        - log 01:28:11 x1: connect() to 127.0.0.1:3000 failed (13: Permission denied) while connecting to upstream
        - audit 01:28:11: avc:  denied  { name_connect } for  pid=439 comm="nginx" dest=3000 scontext=system_u:system_r:httpd_t:s0 tcontext=system_u:object_r:ntop_port_t:s0 tclass=tcp_socket permissive=0   (/var/log/audit/audit.log)
        - selinux-access: the policy in force denies httpd_t name_connect on tcp port 3000 (ntop_port_t tcp_socket)
        fix, unsafe: set the boolean httpd_can_network_connect, which opens ports of 4 types to nginx
          $ setsebool -P httpd_can_network_connect 1
        fix, unsafe: label tcp port 3000 http_port_t, as 80, 8000-8010 are
          $ semanage port -m -t http_port_t -p tcp 3000
        fix, shown: a policy module of your own, reviewed, where nothing narrower fits
          write to nginx_local.cil: (allow httpd_t ntop_port_t (tcp_socket (name_connect)))
          $ semodule -i nginx_local.cil
        "#);
    }

    #[test]
    fn a_port_that_nobody_claims_is_labelled_before_any_boolean() {
        assert_snapshot!(check(ID, [&HOST.replace(":3000", ":8888"), ENFORCING, &AUDIT.replace("=3000", "=8888"), "
            //- allow httpd_t http_port_t tcp_socket name_connect
        "]), @r#"
        answer: selinux-denies-connect, ongoing
        confirmed: SELinux forbids nginx to connect to tcp port 8888, which is labelled unreserved_port_t
        - log 01:28:11 x1: connect() to 127.0.0.1:8888 failed (13: Permission denied) while connecting to upstream
        - audit 01:28:11: avc:  denied  { name_connect } for  pid=439 comm="nginx" dest=8888 scontext=system_u:system_r:httpd_t:s0 tcontext=system_u:object_r:ntop_port_t:s0 tclass=tcp_socket permissive=0   (/var/log/audit/audit.log)
        - selinux-access: the policy in force denies httpd_t name_connect on tcp port 8888 (unreserved_port_t tcp_socket)
        fix, unsafe: label tcp port 8888 http_port_t, as 80, 8000-8010 are
          $ semanage port -a -t http_port_t -p tcp 8888
        fix, unsafe: set the boolean httpd_can_network_connect, which opens ports of 4 types to nginx
          $ setsebool -P httpd_can_network_connect 1
        fix, shown: a policy module of your own, reviewed, where nothing narrower fits
          write to nginx_local.cil: (allow httpd_t unreserved_port_t (tcp_socket (name_connect)))
          $ semodule -i nginx_local.cil
        "#);
    }

    #[test]
    fn a_narrow_boolean_comes_before_a_wide_one() {
        assert_snapshot!(check(ID, [&HOST.replace(":3000", ":5432"), ENFORCING, &AUDIT.replace("=3000", "=5432"), "
            //- incident 127.0.0.1:5432
        "]), @r#"
        answer: selinux-denies-connect, ongoing
        confirmed: SELinux forbids nginx to connect to tcp port 5432, which is labelled db_port_t
        - log 01:28:11 x1: connect() to 127.0.0.1:5432 failed (13: Permission denied) while connecting to upstream
        - audit 01:28:11: avc:  denied  { name_connect } for  pid=439 comm="nginx" dest=5432 scontext=system_u:system_r:httpd_t:s0 tcontext=system_u:object_r:ntop_port_t:s0 tclass=tcp_socket permissive=0   (/var/log/audit/audit.log)
        - selinux-access: the policy in force denies httpd_t name_connect on tcp port 5432 (db_port_t tcp_socket)
        fix, unsafe: set the boolean httpd_can_network_connect_db, which opens ports of one type to nginx
          $ setsebool -P httpd_can_network_connect_db 1
        fix, unsafe: set the boolean httpd_can_network_connect, which opens ports of 4 types to nginx
          $ setsebool -P httpd_can_network_connect 1
        fix, shown: a policy module of your own, reviewed, where nothing narrower fits
          write to nginx_local.cil: (allow httpd_t db_port_t (tcp_socket (name_connect)))
          $ semodule -i nginx_local.cil
        "#);
    }

    #[test]
    fn confirmed_where_nothing_listens_and_that_is_said() {
        assert_snapshot!(check(ID, [HOST, ENFORCING, AUDIT, "
            //- connect 127.0.0.1:3000 -> errno 111
        "]), @r#"
        answer: selinux-denies-connect, ongoing
        confirmed: SELinux forbids nginx to connect to tcp port 3000, which is labelled ntop_port_t
        - log 01:28:11 x1: connect() to 127.0.0.1:3000 failed (13: Permission denied) while connecting to upstream
        - audit 01:28:11: avc:  denied  { name_connect } for  pid=439 comm="nginx" dest=3000 scontext=system_u:system_r:httpd_t:s0 tcontext=system_u:object_r:ntop_port_t:s0 tclass=tcp_socket permissive=0   (/var/log/audit/audit.log)
        - selinux-access: the policy in force denies httpd_t name_connect on tcp port 3000 (ntop_port_t tcp_socket)
        - connect 01:30:00: connect 127.0.0.1:3000 as nginx's worker: 111: Connection refused
        fix, unsafe: set the boolean httpd_can_network_connect, which opens ports of 4 types to nginx
          $ setsebool -P httpd_can_network_connect 1
          this alone will not do: outside SELinux's rule the connection fails too (connect 127.0.0.1:3000 as nginx's worker: 111: Connection refused)
        fix, shown: a policy module of your own, reviewed, where nothing narrower fits
          write to nginx_local.cil: (allow httpd_t ntop_port_t (tcp_socket (name_connect)))
          $ semodule -i nginx_local.cil
          this alone will not do: outside SELinux's rule the connection fails too (connect 127.0.0.1:3000 as nginx's worker: 111: Connection refused)
        "#);
    }

    #[test]
    fn confirmed_by_the_policy_where_denials_are_not_logged() {
        assert_snapshot!(check(ID, [HOST, ENFORCING]), @"
        answer: selinux-denies-connect, ongoing
        confirmed: SELinux forbids nginx to connect to tcp port 3000, which is labelled ntop_port_t
        - log 01:28:11 x1: connect() to 127.0.0.1:3000 failed (13: Permission denied) while connecting to upstream
        - selinux-access: the policy in force denies httpd_t name_connect on tcp port 3000 (ntop_port_t tcp_socket)
        fix, unsafe: set the boolean httpd_can_network_connect, which opens ports of 4 types to nginx
          $ setsebool -P httpd_can_network_connect 1
        fix, shown: a policy module of your own, reviewed, where nothing narrower fits
          write to nginx_local.cil: (allow httpd_t ntop_port_t (tcp_socket (name_connect)))
          $ semodule -i nginx_local.cil
        ");
    }

    #[test]
    fn confirmed_and_over_once_the_policy_lets_it_pass() {
        assert_snapshot!(check(ID, [HOST, ENFORCING, AUDIT, "
            //- allow httpd_t ntop_port_t tcp_socket name_connect
        "]), @r#"
        answer: selinux-denies-connect, over
        confirmed: SELinux forbids nginx to connect to tcp port 3000; the policy in force lets it pass now
        - log 01:28:11 x1: connect() to 127.0.0.1:3000 failed (13: Permission denied) while connecting to upstream
        - audit 01:28:11: avc:  denied  { name_connect } for  pid=439 comm="nginx" dest=3000 scontext=system_u:system_r:httpd_t:s0 tcontext=system_u:object_r:ntop_port_t:s0 tclass=tcp_socket permissive=0   (/var/log/audit/audit.log)
        "#);
    }

    #[test]
    fn ruled_out_where_the_kernel_runs_no_selinux() {
        assert_snapshot!(check(ID, [HOST, "
            //- connect 127.0.0.1:3000 -> errno 13
        "]), @"
        answer: none, ongoing
        ruled out
        - log 01:28:11 x1: connect() to 127.0.0.1:3000 failed (13: Permission denied) while connecting to upstream
        - file: the kernel runs no SELinux (/proc/filesystems)
        ");
    }

    #[test]
    fn ruled_out_where_the_policy_lets_it_pass_and_it_is_denied_all_the_same() {
        // A `prohibit` route.
        assert_snapshot!(check(ID, [HOST, ENFORCING, "
            //- allow httpd_t ntop_port_t tcp_socket name_connect
            //- connect 127.0.0.1:3000 -> errno 13
        "]), @"
        answer: none, ongoing
        ruled out
        - log 01:28:11 x1: connect() to 127.0.0.1:3000 failed (13: Permission denied) while connecting to upstream
        - selinux-access: the policy in force allows httpd_t name_connect on tcp port 3000 (ntop_port_t tcp_socket)
        - connect 01:30:00: connect 127.0.0.1:3000 as nginx's worker: 13: Permission denied
        ");
    }

    #[test]
    fn ruled_out_where_selinux_only_logs_and_it_is_denied_all_the_same() {
        assert_snapshot!(check(ID, [HOST, "
            //- selinux permissive
            //- connect 127.0.0.1:3000 -> errno 13
        ", &AUDIT.replace("permissive=0", "permissive=1")]), @"
        answer: none, ongoing
        ruled out
        - log 01:28:11 x1: connect() to 127.0.0.1:3000 failed (13: Permission denied) while connecting to upstream
        - file 01:30:00: SELinux is permissive: it logs and lets pass (/sys/fs/selinux/enforce)
        - connect 01:30:00: connect 127.0.0.1:3000 as nginx's worker: 13: Permission denied
        ");
    }

    #[test]
    fn unknown_where_a_permissive_domain_was_only_logged() {
        assert_snapshot!(check(ID, [HOST, ENFORCING, &AUDIT.replace("permissive=0", "permissive=1"), "
            //- permissive httpd_t
        "]), @"
        answer: none, over
        unknown: whether it held when it failed: the connection succeeds now
        ");
    }

    #[test]
    fn unknown_where_the_record_is_of_another_port_or_time() {
        assert_snapshot!(check(ID, [HOST, ENFORCING, &AUDIT.replace("dest=3000", "dest=3001")]), @"
        answer: none, ongoing
        unknown: whether SELinux denied it when it failed: the policy in force denies it now, and audit recorded no denial then
        learn: sudo ausearch -m AVC -c nginx -ts recent   (or: sudo dmesg -T | grep -i denied)
        leaning: the policy in force denies httpd_t name_connect on tcp port 3000
        ");
        assert_snapshot!(check(ID, [HOST, ENFORCING, &AUDIT.replace("1795224491", "1795224500")]), @"
        answer: none, ongoing
        unknown: whether SELinux denied it when it failed: the policy in force denies it now, and audit recorded no denial then
        learn: sudo ausearch -m AVC -c nginx -ts recent   (or: sudo dmesg -T | grep -i denied)
        leaning: the policy in force denies httpd_t name_connect on tcp port 3000
        ");
    }

    #[test]
    fn unknown_without_rights() {
        assert_snapshot!(check(ID, [HOST, ENFORCING, AUDIT, "
            //- denied file host /sys/fs/selinux/policy
            //- denied lines-since host /var/log/audit
        "]), @"
        answer: none, over
        unknown: the SELinux type of tcp port 3000: needs root
        learn: sudo why502
        leaning: SELinux enforces on this host
        ");
    }

    #[test]
    fn ruled_out_for_another_failure_and_for_a_unix_socket() {
        assert_snapshot!(check(ID, [&HOST.replace("connect() to 127.0.0.1:3000 failed (13: Permission denied)", "connect() failed (111: Connection refused)"), ENFORCING]), @"
        answer: none, over
        ruled out
        - log 01:28:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        ");
    }
}
