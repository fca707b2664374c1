//! See the doc comment of [`APPARMOR_DENIES_CONNECT`].

use std::path::Path;

use facts::audit::{AccessRecord, Confinement, SecurityModule};
use facts::{Gap, PeerAddress};
use log::error::Class;

use crate::case::{Apparmor, Case, LEARN_DENIALS, known};
use crate::incident::Incident;
use crate::verdict::{AGAIN, Confirmation, Fix, Proof, Safety, Step, Verdict};

declare_cause! {
    /// nginx's AppArmor profile has no rule that lets it connect to the peer.
    ///
    /// ## Confirmed when
    /// The log shows errno 13, and audit recorded in the same second that AppArmor denied nginx a socket of the peer's
    /// family, or the unix socket itself.
    ///
    /// ## Ruled out when
    /// The failure is another one; the kernel runs no AppArmor; or it has not confined nginx's worker since that started,
    /// which was before the first failure.
    ///
    /// ## Fix
    /// The rule that is missing, in the profile's file, which is then loaded anew; nginx need not be restarted.
    /// Unsafe: it widens what nginx may do.
    ///
    /// ## Looks like
    /// `socket() failed (13: Permission denied) while connecting to upstream`; the client sees 500.
    ///
    /// ## See also
    /// A `deny` rule of the profile logs nothing: what it denies stays unknown.
    pub(crate) static APPARMOR_DENIES_CONNECT = {
        id: "apparmor-denies-connect", since: "0.1.0", stage: Socket, refines: [],
        judge: Alone(judge),
    }
}

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    if !incident.is(Class::PermissionDenied) {
        return Ok(Verdict::RuledOut(proof));
    }
    let address = incident.dialled()?;
    let confined = case.apparmor(incident)?;
    if let Apparmor::Off(off) = confined {
        return Ok(Verdict::RuledOut(proof.and(off)));
    }
    let denied = known(case.denied(incident, |record| match &record.module {
        SecurityModule::AppArmor(confinement) => confinement.is_denied && concerns(address, record, confinement),
        SecurityModule::SeLinux(_) => false,
    }))?
    .flatten();
    let Some(denied) = denied else {
        return match confined {
            Apparmor::Off(exhibit) => Ok(Verdict::RuledOut(proof.and(exhibit))),
            Apparmor::Unconfined(exhibit) if case.ran_before(incident)? => Ok(Verdict::RuledOut(proof.and(exhibit))),
            Apparmor::Unconfined(_) => Err(Gap::too_late("what confined nginx when it failed", "its workers have started since").learn(LEARN_DENIALS)),
            Apparmor::Confined(label) => Err(Gap::undecided(
                format!("whether the AppArmor profile {} denied it", label.profile),
                "no denial of it was recorded, and a deny rule would record none",
            )
            .leaning(format!("AppArmor confines nginx by the profile {}", label.profile))
            .learn(LEARN_DENIALS)),
        };
    };
    let SecurityModule::AppArmor(confinement) = &denied.last.module else {
        return Err(Gap::undecided("what AppArmor denied", "the record is of another module"));
    };
    let rule = rule(address, confinement);
    Ok(Verdict::Confirmed(Confirmation {
        summary: format!("the AppArmor profile {} has no rule that lets nginx connect to {}: {rule}", confinement.profile, incident.peer),
        fixes: vec![fix(case, &confined, &rule)?],
        proof: proof.and(denied.exhibit),
    }))
}

/// Whether a record is of a socket of this peer: of its family, or at its path.
fn concerns(address: &PeerAddress, record: &AccessRecord, confinement: &Confinement) -> bool {
    let family = confinement.family.as_deref();
    let is_socket = matches!(confinement.operation.as_str(), "create" | "connect") && confinement.socket.as_deref() == Some("stream");
    match address {
        PeerAddress::Tcp(address) => is_socket && family == Some(if address.is_ipv4() { "inet" } else { "inet6" }),
        PeerAddress::Unix(path) => {
            let at_path = confinement.operation == "connect" && record.path.as_deref() == Some(path.as_path());
            at_path || (is_socket && confinement.operation == "create" && family == Some("unix"))
        }
    }
}

/// The rule that the profile lacks.
fn rule(address: &PeerAddress, confinement: &Confinement) -> String {
    match address {
        PeerAddress::Tcp(address) if address.is_ipv4() => "network inet stream,".to_owned(),
        PeerAddress::Tcp(_) => "network inet6 stream,".to_owned(),
        PeerAddress::Unix(_) if confinement.operation == "create" => "network unix stream,".to_owned(),
        PeerAddress::Unix(path) => format!("{} rw,", quoted(path)),
    }
}

/// A path as a profile names it: what would be a pattern is escaped.
fn quoted(path: &Path) -> String {
    let mut text = String::new();
    for c in path.to_string_lossy().chars() {
        if "*?[]{}^\\\"".contains(c) {
            text.push('\\');
        }
        text.push(c);
    }
    if text.contains(char::is_whitespace) { format!("\"{text}\"") } else { text }
}

fn fix(case: &Case, confined: &Apparmor, rule: &str) -> Result<Fix, Gap> {
    let summary = format!("allow it in the profile: {rule}");
    // The name that counts is the kernel's, of the worker that runs.
    let found = match confined {
        Apparmor::Confined(label) => case.profile_file(&label.profile)?,
        _ => None,
    };
    let Some(file) = found else {
        let text = format!("add \"{rule}\" to nginx's AppArmor profile and load it: apparmor_parser -r FILE (sudo aa-status names it)");
        return Ok(Fix { summary, safety: Safety::DisplayOnly, steps: vec![Step::Advice { text }], verify: Some(AGAIN.to_owned()) });
    };
    let load = Step::command(["apparmor_parser", "-r", &file.path.to_string_lossy()]);
    let (summary, steps) = if file.has_rule(rule) {
        (format!("load the profile, whose file has the rule: {rule}"), vec![load])
    } else {
        let new = format!("{}\n  {rule}", file.head.text);
        let edit = Step::Edit { file: file.path, line: file.head.line, new, old: file.head.text };
        (summary, vec![edit, load])
    };
    Ok(Fix { summary, safety: Safety::Unsafe, steps, verify: Some(AGAIN.to_owned()) })
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::fixture::check;

    const ID: &str = "apparmor-denies-connect";
    /// nginx dials a port and gets no socket; times and records are of a Debian 12.
    const HOST: &str = "
        //- now 2026-11-21T01:56:30Z
        //- nginx master=470 workers=471,472 start=01:50:00
        //- file /etc/nginx/nginx.conf
        http { server { location / { proxy_pass http://127.0.0.1:3000; } } }
        //- failed 01:56:12 http://127.0.0.1:3000/ level=alert pid=472
        socket() failed (13: Permission denied) while connecting to upstream
        //- process 77 start=01:50:00
        app
        //- listen tcp 127.0.0.1:3000 pid=77
    ";
    const ENABLED: &str = "
        //- file /sys/module/apparmor/parameters/enabled
        Y
    ";
    const CONFINED: &str = "
        //- file /proc/471/attr/current
        nginx (enforce)
    ";
    const AUDIT: &str = r#"
        //- file /var/log/audit/audit.log
        type=AVC msg=audit(1795226172.884:96): apparmor="DENIED" operation="create" profile="nginx" pid=472 comm="nginx" family="inet" sock_type="stream" protocol=0 requested_mask="create" denied_mask="create"
    "#;
    const PROFILE: &str = "
        //- file /etc/apparmor.d/lsb_release
        profile lsb_release {
        }
        //- file /etc/apparmor.d/nginx
        #include <tunables/global>
        profile nginx /usr/sbin/nginx flags=(attach_disconnected) {
        network unix,
        }
    ";
    const SOCKET: &str = "
        //- now 2026-11-21T01:56:30Z
        //- nginx master=470 workers=471,472 start=01:50:00
        //- file /etc/nginx/nginx.conf
        http { server { location / { proxy_pass http://unix:/run/app.sock; } } }
        //- failed 01:56:12 http://unix:/run/app.sock:/ level=crit pid=472
        connect() to unix:/run/app.sock failed (13: Permission denied) while connecting to upstream
        //- process 77 start=01:50:00
        app
        //- listen unix /run/app.sock pid=77
    ";
    const SOCKET_AUDIT: &str = r#"
        //- file /var/log/audit/audit.log
        type=AVC msg=audit(1795226172.884:96): apparmor="DENIED" operation="connect" profile="nginx" name="/run/app.sock" pid=472 comm="nginx" requested_mask="wr" denied_mask="wr" fsuid=33 ouid=0
    "#;

    #[test]
    fn confirmed_by_the_record_of_that_second() {
        assert_snapshot!(check(ID, [HOST, ENABLED, CONFINED, AUDIT, PROFILE]), @r#"
        answer: apparmor-denies-connect, ongoing
        confirmed: the AppArmor profile nginx has no rule that lets nginx connect to 127.0.0.1:3000: network inet stream,
        - log 01:56:12 x1: socket() failed (13: Permission denied) while connecting to upstream
        - audit 01:56:12: apparmor="DENIED" operation="create" profile="nginx" pid=472 comm="nginx" family="inet" sock_type="stream" protocol=0 requested_mask="create" denied_mask="create"   (/var/log/audit/audit.log)
        fix, unsafe: allow it in the profile: network inet stream,
          /etc/apparmor.d/nginx:2: profile nginx /usr/sbin/nginx flags=(attach_disconnected) { => profile nginx /usr/sbin/nginx flags=(attach_disconnected) {
          network inet stream,
          $ apparmor_parser -r /etc/apparmor.d/nginx
        "#);
    }

    #[test]
    fn a_rule_that_stands_in_the_file_is_only_loaded() {
        assert_snapshot!(check(ID, [HOST, ENABLED, CONFINED, AUDIT, &PROFILE.replace("network unix,", "network inet stream,")]), @r#"
        answer: apparmor-denies-connect, ongoing
        confirmed: the AppArmor profile nginx has no rule that lets nginx connect to 127.0.0.1:3000: network inet stream,
        - log 01:56:12 x1: socket() failed (13: Permission denied) while connecting to upstream
        - audit 01:56:12: apparmor="DENIED" operation="create" profile="nginx" pid=472 comm="nginx" family="inet" sock_type="stream" protocol=0 requested_mask="create" denied_mask="create"   (/var/log/audit/audit.log)
        fix, unsafe: load the profile, whose file has the rule: network inet stream,
          $ apparmor_parser -r /etc/apparmor.d/nginx
        "#);
    }

    #[test]
    fn confirmed_where_the_profiles_file_is_not_found() {
        assert_snapshot!(check(ID, [HOST, ENABLED, CONFINED, AUDIT]), @r#"
        answer: apparmor-denies-connect, ongoing
        confirmed: the AppArmor profile nginx has no rule that lets nginx connect to 127.0.0.1:3000: network inet stream,
        - log 01:56:12 x1: socket() failed (13: Permission denied) while connecting to upstream
        - audit 01:56:12: apparmor="DENIED" operation="create" profile="nginx" pid=472 comm="nginx" family="inet" sock_type="stream" protocol=0 requested_mask="create" denied_mask="create"   (/var/log/audit/audit.log)
        fix, shown: allow it in the profile: network inet stream,
          add "network inet stream," to nginx's AppArmor profile and load it: apparmor_parser -r FILE (sudo aa-status names it)
        "#);
    }

    #[test]
    fn confirmed_for_a_unix_socket_by_its_path() {
        assert_snapshot!(check(ID, [SOCKET, ENABLED, CONFINED, SOCKET_AUDIT, PROFILE]), @r#"
        answer: apparmor-denies-connect, ongoing
        confirmed: the AppArmor profile nginx has no rule that lets nginx connect to unix:/run/app.sock: /run/app.sock rw,
        - log 01:56:12 x1: connect() to unix:/run/app.sock failed (13: Permission denied) while connecting to upstream
        - audit 01:56:12: apparmor="DENIED" operation="connect" profile="nginx" name="/run/app.sock" pid=472 comm="nginx" requested_mask="wr" denied_mask="wr" fsuid=33 ouid=0   (/var/log/audit/audit.log)
        fix, unsafe: allow it in the profile: /run/app.sock rw,
          /etc/apparmor.d/nginx:2: profile nginx /usr/sbin/nginx flags=(attach_disconnected) { => profile nginx /usr/sbin/nginx flags=(attach_disconnected) {
          /run/app.sock rw,
          $ apparmor_parser -r /etc/apparmor.d/nginx
        "#);
    }

    #[test]
    fn ruled_out_where_the_kernel_runs_no_apparmor() {
        assert_snapshot!(check(ID, [SOCKET, "
            //- connect unix:/run/app.sock -> errno 13
        "]), @"
        answer: none, ongoing
        ruled out
        - log 01:56:12 x1: connect() to unix:/run/app.sock failed (13: Permission denied) while connecting to upstream
        - file: the kernel runs no AppArmor (/sys/module/apparmor)
        ");
    }

    #[test]
    fn ruled_out_where_nginx_has_never_been_confined() {
        assert_snapshot!(check(ID, [HOST, ENABLED, "
            //- file /proc/471/attr/current
            unconfined
        "]), @"
        answer: none, over
        ruled out
        - log 01:56:12 x1: socket() failed (13: Permission denied) while connecting to upstream
        - file 01:50:00: AppArmor does not confine pid 471 (unconfined)
        ");
    }

    #[test]
    fn unknown_where_nginx_has_started_since() {
        assert_snapshot!(check(ID, [&HOST.replace("start=01:50:00", "start=01:56:20"), ENABLED, "
            //- file /proc/471/attr/current
            unconfined
        "]), @"
        answer: none, over
        unknown: what confined nginx when it failed: its workers have started since
        learn: sudo ausearch -m AVC -c nginx -ts recent   (or: sudo dmesg -T | grep -i denied)
        ");
    }

    #[test]
    fn unknown_where_no_denial_was_recorded() {
        assert_snapshot!(check(ID, [HOST, ENABLED, CONFINED, PROFILE]), @"
        answer: none, ongoing
        unknown: whether the AppArmor profile nginx denied it: no denial of it was recorded, and a deny rule would record none
        learn: sudo ausearch -m AVC -c nginx -ts recent   (or: sudo dmesg -T | grep -i denied)
        leaning: AppArmor confines nginx by the profile nginx
        ");
    }

    #[test]
    fn unknown_where_the_record_is_of_another_family_or_of_a_profile_that_only_complains() {
        assert_snapshot!(check(ID, [HOST, ENABLED, CONFINED, &AUDIT.replace("\"inet\"", "\"inet6\"")]), @"
        answer: none, ongoing
        unknown: whether the AppArmor profile nginx denied it: no denial of it was recorded, and a deny rule would record none
        learn: sudo ausearch -m AVC -c nginx -ts recent   (or: sudo dmesg -T | grep -i denied)
        leaning: AppArmor confines nginx by the profile nginx
        ");
        assert_snapshot!(check(ID, [HOST, ENABLED, CONFINED, &AUDIT.replace("DENIED", "ALLOWED")]), @"
        answer: none, ongoing
        unknown: whether the AppArmor profile nginx denied it: no denial of it was recorded, and a deny rule would record none
        learn: sudo ausearch -m AVC -c nginx -ts recent   (or: sudo dmesg -T | grep -i denied)
        leaning: AppArmor confines nginx by the profile nginx
        ");
    }

    #[test]
    fn ruled_out_for_another_failure() {
        let refused = "connect() failed (111: Connection refused)";
        assert_snapshot!(check(ID, [&HOST.replace("socket() failed (13: Permission denied)", refused), ENABLED, CONFINED]), @"
        answer: none, over
        ruled out
        - log 01:56:12 x1: connect() failed (111: Connection refused) while connecting to upstream
        ");
    }
}
