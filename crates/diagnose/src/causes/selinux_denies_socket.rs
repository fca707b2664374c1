//! See the doc comment of [`SELINUX_DENIES_SOCKET`].

use std::path::Path;

use facts::audit::{AccessRecord, Avc};
use facts::{Gap, PeerAddress};
use log::error::Class;

use crate::case::{Case, Need, known};
use crate::incident::Incident;
use crate::selinux::{self, Denial, Weighed};
use crate::verdict::{AGAIN, Confirmation, Fix, Proof, Safety, Step, Verdict};

declare_cause! {
    /// SELinux forbids nginx to use the unix socket: its label, a directory's, or the application's domain.
    ///
    /// ## Confirmed when
    /// The log shows errno 13 for a unix socket, and audit recorded in the same second that SELinux denied nginx to search
    /// a directory above it, to `write` the socket's file, or to `connectto` the application behind it, and enforced it;
    /// or, where denials are not logged, the policy in force denies one of these now while SELinux enforces.
    ///
    /// ## Ruled out when
    /// The failure is another one; the kernel runs no SELinux; or the connection is denied though SELinux is permissive
    /// or the policy lets the worker's domain do all three.
    ///
    /// ## Fix
    /// A label that the loaded policy lets nginx write to: the one that the files' rules name (`restorecon`), else a rule
    /// for this socket (`semanage fcontext`).
    /// The socket's file and the application's domain are two permissions: where the second is denied too, it takes the
    /// application in a domain of its own, or a module.
    /// Unsafe: a label widens who may use the socket; a module is only shown.
    ///
    /// ## Looks like
    /// `connect() to unix:/run/app.sock failed (13: Permission denied) while connecting to upstream`
    ///
    /// ## See also
    /// Owner, mode and a POSIX ACL show the same line, and the kernel asks them first.
    pub(crate) static SELINUX_DENIES_SOCKET = {
        id: "selinux-denies-socket", since: "0.1.0", stage: Socket, refines: [],
        judge: Alone(judge),
    }
}

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    if !incident.is(Class::PermissionDenied) {
        return Ok(Verdict::RuledOut(proof));
    }
    let PeerAddress::Unix(path) = incident.dialled()? else {
        return Ok(Verdict::RuledOut(proof));
    };
    let denial = match selinux::weigh(incident, case, proof, |record, avc| concerns(path, record, avc))? {
        Weighed::Not(verdict) => return Ok(verdict),
        Weighed::Denied(denial) => denial,
    };
    let needs: Vec<&Need> = denial.now.iter().map(|ruling| &ruling.need).collect();
    let hidden = selinux::hidden(incident, case)?.filter(|_| !needs.is_empty());
    let mut fixes = fixes(case, path, &needs)?;
    selinux::not_alone(&mut fixes, hidden.as_ref());
    Ok(Verdict::Confirmed(Confirmation {
        summary: format!("SELinux forbids nginx to connect to {}: {}{}", path.display(), what(&denial), denial.since),
        fixes,
        proof: denial.proof.with(hidden),
    }))
}

/// Whether a record is of the socket at this path, of a directory above it, or of who listens on it.
fn concerns(path: &Path, record: &AccessRecord, avc: &Avc) -> bool {
    let Some(named) = record.path.as_deref() else {
        return false;
    };
    let may = |permission: &str| avc.permissions.iter().any(|denied| denied == permission);
    match avc.class.as_str() {
        // The kernel names the last component alone.
        "sock_file" => may("write") && named.file_name() == path.file_name(),
        "unix_stream_socket" => may("connectto") && named == path,
        "dir" => may("search") && path.iter().rev().skip(1).any(|component| named == component),
        _ => false,
    }
}

/// What is denied: now, else when it was recorded.
fn what(denial: &Denial) -> String {
    let now: Vec<String> = denial
        .now
        .iter()
        .map(|ruling| format!("{} on {} ({})", ruling.need.permission, ruling.need.what, ruling.need.kind()))
        .collect();
    match &denial.record {
        Some(avc) if now.is_empty() => {
            let kind = facts::selinux::kind(&avc.target).unwrap_or("an unknown type");
            format!("{} on {kind} ({})", avc.permissions.join(" "), avc.class)
        }
        _ => now.join(", and "),
    }
}

/// What the loaded policy makes work, the narrowest first.
fn fixes(case: &Case, path: &Path, needs: &[&Need]) -> Result<Vec<Fix>, Gap> {
    if needs.is_empty() {
        return Ok(Vec::new());
    }
    let mut steps = Vec::new();
    let mut unlabelled = Vec::new();
    for need in needs {
        match label(case, need)? {
            Some(label) => steps.extend(label),
            None => unlabelled.push(*need),
        }
    }
    let mut fixes = Vec::new();
    if !steps.is_empty() {
        let is_lost_at_boot = path.starts_with("/run") || path.starts_with("/var/run");
        if is_lost_at_boot {
            steps.push(Step::Advice {
                text: format!("make it last, as the socket is made anew at each start: ExecStartPost=+restorecon {} in the application's unit", path.display()),
            });
        }
        let summary = "give it a label that the policy lets nginx use".to_owned();
        if unlabelled.is_empty() {
            fixes.push(Fix { summary, safety: Safety::Unsafe, steps, verify: Some(AGAIN.to_owned()) });
        } else {
            // A label alone would not do: both are denied.
            steps.extend(selinux::module_steps(&unlabelled));
            fixes.push(Fix {
                summary: format!("{summary}, and a reviewed module for what no label opens"),
                safety: Safety::DisplayOnly,
                steps,
                verify: Some(AGAIN.to_owned()),
            });
        }
    }
    fixes.push(selinux::module(needs));
    Ok(fixes)
}

/// How what is denied gets a label that lets nginx through; `None` where no label does.
fn label(case: &Case, need: &Need) -> Result<Option<Vec<Step>>, Gap> {
    if need.class == "unix_stream_socket" {
        return Ok(None);
    }
    let path = Path::new(&need.what);
    let restore = Step::command(["restorecon", "-v", &need.what]);
    if let Some(expected) = case.expected_kind(path)?
        && expected != need.kind()
        && known(case.would_pass(need, &expected))? == Some(true)
    {
        return Ok(Some(vec![restore]));
    }
    // Of a directory others may depend on the label.
    let Some(policy) = known(case.selinux_policy())?.filter(|_| need.class == "sock_file") else {
        return Ok(None);
    };
    let own = need.domain().trim_end_matches("_t");
    for kind in [format!("{own}_var_run_t"), format!("{own}_runtime_t")] {
        if policy.has_type(&kind) && known(case.would_pass(need, &kind))? == Some(true) {
            let rule = escaped(&case.as_labelled(path)?);
            let add = Step::command(["semanage", "fcontext", "-a", "-t", &kind, &rule]);
            return Ok(Some(vec![add, restore]));
        }
    }
    Ok(None)
}

/// A path as a regular expression that matches it alone.
fn escaped(path: &Path) -> String {
    let mut escaped = String::new();
    for c in path.to_string_lossy().chars() {
        if ".^$?*+|[](){}\\".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::fixture::check;

    const ID: &str = "selinux-denies-socket";
    /// nginx in httpd_t dials a socket in /run; times and records are of a Debian 12 with its reference policy.
    const HOST: &str = "
        //- now 2026-11-21T01:30:00Z
        //- nginx master=438 workers=439,440 start=01:20:00
        //- file /etc/nginx/nginx.conf
        http { server { location / { proxy_pass http://unix:/run/webapp.sock; } } }
        //- failed 01:28:47 http://unix:/run/webapp.sock:/ level=crit pid=439
        connect() to unix:/run/webapp.sock failed (13: Permission denied) while connecting to upstream
        //- process 77 start=01:20:00
        app
        //- path /run dir 755 0:0 selinux=system_u:object_r:var_run_t:s0
        //- path / dir 755 0:0 selinux=system_u:object_r:root_t:s0
        //- path /run/webapp.sock socket 666 0:0 dev=1 ino=614 ctime=01:20:01 selinux=system_u:object_r:initrc_runtime_t:s0
        //- listen unix /run/webapp.sock pid=77 dev=1 ino=614
    ";
    const ENFORCING: &str = "
        //- selinux enforcing
        //- context 438 system_u:system_r:httpd_t:s0
        //- context 439 system_u:system_r:httpd_t:s0
        //- context 440 system_u:system_r:httpd_t:s0
        //- context 77 system_u:system_r:initrc_t:s0
        //- allow httpd_t root_t dir search
        //- allow httpd_t var_run_t dir search
    ";
    const AUDIT: &str = r#"
        //- file /var/log/audit/audit.log
        type=AVC msg=audit(1795224527.572:102): avc:  denied  { write } for  pid=439 comm="nginx" name="webapp.sock" dev="tmpfs" ino=614 scontext=system_u:system_r:httpd_t:s0 tcontext=system_u:object_r:initrc_runtime_t:s0 tclass=sock_file permissive=0
    "#;
    const CONNECTTO: &str = r#"
        //- file /var/log/audit/audit.log
        type=AVC msg=audit(1795224527.932:125): avc:  denied  { connectto } for  pid=439 comm="nginx" path="/run/webapp.sock" scontext=system_u:system_r:httpd_t:s0 tcontext=system_u:system_r:initrc_t:s0 tclass=unix_stream_socket permissive=0
    "#;

    #[test]
    fn confirmed_by_the_record_and_both_permissions_are_told() {
        assert_snapshot!(check(ID, [HOST, ENFORCING, AUDIT, "
            //- allow httpd_t httpd_var_run_t sock_file write
        "]), @r#"
        answer: selinux-denies-socket, ongoing
        confirmed: SELinux forbids nginx to connect to /run/webapp.sock: write on /run/webapp.sock (initrc_runtime_t), and connectto on the socket of the application that listens there (initrc_t)
        - log 01:28:47 x1: connect() to unix:/run/webapp.sock failed (13: Permission denied) while connecting to upstream
        - audit 01:28:47: avc:  denied  { write } for  pid=439 comm="nginx" name="webapp.sock" dev="tmpfs" ino=614 scontext=system_u:system_r:httpd_t:s0 tcontext=system_u:object_r:initrc_runtime_t:s0 tclass=sock_file permissive=0   (/var/log/audit/audit.log)
        - selinux-access: the policy in force denies httpd_t write on /run/webapp.sock (initrc_runtime_t sock_file)
        - selinux-access: the policy in force denies httpd_t connectto on the socket of the application that listens there (initrc_t unix_stream_socket)
        fix, shown: give it a label that the policy lets nginx use, and a reviewed module for what no label opens
          $ semanage fcontext -a -t httpd_var_run_t /run/webapp\.sock
          $ restorecon -v /run/webapp.sock
          make it last, as the socket is made anew at each start: ExecStartPost=+restorecon /run/webapp.sock in the application's unit
          write to nginx_local.cil: (allow httpd_t initrc_t (unix_stream_socket (connectto)))
          $ semodule -i nginx_local.cil
        fix, shown: a policy module of your own, reviewed, where nothing narrower fits
          write to nginx_local.cil: (allow httpd_t initrc_runtime_t (sock_file (write))) (allow httpd_t initrc_t (unix_stream_socket (connectto)))
          $ semodule -i nginx_local.cil
        "#);
    }

    #[test]
    fn a_label_alone_does_where_the_applications_domain_is_open() {
        assert_snapshot!(check(ID, [HOST, ENFORCING, AUDIT, "
            //- allow httpd_t httpd_var_run_t sock_file write
            //- allow httpd_t initrc_t unix_stream_socket connectto
        "]), @r#"
        answer: selinux-denies-socket, ongoing
        confirmed: SELinux forbids nginx to connect to /run/webapp.sock: write on /run/webapp.sock (initrc_runtime_t)
        - log 01:28:47 x1: connect() to unix:/run/webapp.sock failed (13: Permission denied) while connecting to upstream
        - audit 01:28:47: avc:  denied  { write } for  pid=439 comm="nginx" name="webapp.sock" dev="tmpfs" ino=614 scontext=system_u:system_r:httpd_t:s0 tcontext=system_u:object_r:initrc_runtime_t:s0 tclass=sock_file permissive=0   (/var/log/audit/audit.log)
        - selinux-access: the policy in force denies httpd_t write on /run/webapp.sock (initrc_runtime_t sock_file)
        fix, unsafe: give it a label that the policy lets nginx use
          $ semanage fcontext -a -t httpd_var_run_t /run/webapp\.sock
          $ restorecon -v /run/webapp.sock
          make it last, as the socket is made anew at each start: ExecStartPost=+restorecon /run/webapp.sock in the application's unit
        fix, shown: a policy module of your own, reviewed, where nothing narrower fits
          write to nginx_local.cil: (allow httpd_t initrc_runtime_t (sock_file (write)))
          $ semodule -i nginx_local.cil
        "#);
    }

    #[test]
    fn the_label_that_the_rules_of_files_name_comes_first() {
        assert_snapshot!(check(ID, [HOST, ENFORCING, AUDIT, "
            //- allow httpd_t httpd_runtime_t sock_file write
            //- allow httpd_t initrc_t unix_stream_socket connectto
            //- command matchpathcon -n /run/webapp.sock
            system_u:object_r:httpd_runtime_t:s0
        "]), @r#"
        answer: selinux-denies-socket, ongoing
        confirmed: SELinux forbids nginx to connect to /run/webapp.sock: write on /run/webapp.sock (initrc_runtime_t)
        - log 01:28:47 x1: connect() to unix:/run/webapp.sock failed (13: Permission denied) while connecting to upstream
        - audit 01:28:47: avc:  denied  { write } for  pid=439 comm="nginx" name="webapp.sock" dev="tmpfs" ino=614 scontext=system_u:system_r:httpd_t:s0 tcontext=system_u:object_r:initrc_runtime_t:s0 tclass=sock_file permissive=0   (/var/log/audit/audit.log)
        - selinux-access: the policy in force denies httpd_t write on /run/webapp.sock (initrc_runtime_t sock_file)
        fix, unsafe: give it a label that the policy lets nginx use
          $ restorecon -v /run/webapp.sock
          make it last, as the socket is made anew at each start: ExecStartPost=+restorecon /run/webapp.sock in the application's unit
        fix, shown: a policy module of your own, reviewed, where nothing narrower fits
          write to nginx_local.cil: (allow httpd_t initrc_runtime_t (sock_file (write)))
          $ semodule -i nginx_local.cil
        "#);
    }

    #[test]
    fn a_rule_names_the_path_that_stands_for_it() {
        assert_snapshot!(check(ID, [HOST, ENFORCING, AUDIT, "
            //- allow httpd_t httpd_var_run_t sock_file write
            //- allow httpd_t initrc_t unix_stream_socket connectto
            //- file /etc/selinux/config
            SELINUXTYPE=targeted
            //- file /etc/selinux/targeted/contexts/files/file_contexts.subs_dist
            /run /var/run
        "]), @r#"
        answer: selinux-denies-socket, ongoing
        confirmed: SELinux forbids nginx to connect to /run/webapp.sock: write on /run/webapp.sock (initrc_runtime_t)
        - log 01:28:47 x1: connect() to unix:/run/webapp.sock failed (13: Permission denied) while connecting to upstream
        - audit 01:28:47: avc:  denied  { write } for  pid=439 comm="nginx" name="webapp.sock" dev="tmpfs" ino=614 scontext=system_u:system_r:httpd_t:s0 tcontext=system_u:object_r:initrc_runtime_t:s0 tclass=sock_file permissive=0   (/var/log/audit/audit.log)
        - selinux-access: the policy in force denies httpd_t write on /run/webapp.sock (initrc_runtime_t sock_file)
        fix, unsafe: give it a label that the policy lets nginx use
          $ semanage fcontext -a -t httpd_var_run_t /var/run/webapp\.sock
          $ restorecon -v /run/webapp.sock
          make it last, as the socket is made anew at each start: ExecStartPost=+restorecon /run/webapp.sock in the application's unit
        fix, shown: a policy module of your own, reviewed, where nothing narrower fits
          write to nginx_local.cil: (allow httpd_t initrc_runtime_t (sock_file (write)))
          $ semodule -i nginx_local.cil
        "#);
    }

    #[test]
    fn confirmed_by_the_applications_domain_alone() {
        assert_snapshot!(check(ID, [HOST, ENFORCING, CONNECTTO, "
            //- allow httpd_t initrc_runtime_t sock_file write
        "]), @r#"
        answer: selinux-denies-socket, ongoing
        confirmed: SELinux forbids nginx to connect to /run/webapp.sock: connectto on the socket of the application that listens there (initrc_t)
        - log 01:28:47 x1: connect() to unix:/run/webapp.sock failed (13: Permission denied) while connecting to upstream
        - audit 01:28:47: avc:  denied  { connectto } for  pid=439 comm="nginx" path="/run/webapp.sock" scontext=system_u:system_r:httpd_t:s0 tcontext=system_u:system_r:initrc_t:s0 tclass=unix_stream_socket permissive=0   (/var/log/audit/audit.log)
        - selinux-access: the policy in force denies httpd_t connectto on the socket of the application that listens there (initrc_t unix_stream_socket)
        fix, shown: a policy module of your own, reviewed, where nothing narrower fits
          write to nginx_local.cil: (allow httpd_t initrc_t (unix_stream_socket (connectto)))
          $ semodule -i nginx_local.cil
        "#);
    }

    #[test]
    fn confirmed_where_nobody_listens_and_that_is_said() {
        assert_snapshot!(check(ID, [HOST, ENFORCING, AUDIT, "
            //- connect unix:/run/webapp.sock -> errno 111
        "]), @r#"
        answer: selinux-denies-socket, ongoing
        confirmed: SELinux forbids nginx to connect to /run/webapp.sock: write on /run/webapp.sock (initrc_runtime_t), and connectto on the socket of the application that listens there (initrc_t)
        - log 01:28:47 x1: connect() to unix:/run/webapp.sock failed (13: Permission denied) while connecting to upstream
        - audit 01:28:47: avc:  denied  { write } for  pid=439 comm="nginx" name="webapp.sock" dev="tmpfs" ino=614 scontext=system_u:system_r:httpd_t:s0 tcontext=system_u:object_r:initrc_runtime_t:s0 tclass=sock_file permissive=0   (/var/log/audit/audit.log)
        - selinux-access: the policy in force denies httpd_t write on /run/webapp.sock (initrc_runtime_t sock_file)
        - selinux-access: the policy in force denies httpd_t connectto on the socket of the application that listens there (initrc_t unix_stream_socket)
        - connect 01:30:00: connect unix:/run/webapp.sock as nginx's worker: 111: Connection refused
        fix, shown: a policy module of your own, reviewed, where nothing narrower fits
          write to nginx_local.cil: (allow httpd_t initrc_runtime_t (sock_file (write))) (allow httpd_t initrc_t (unix_stream_socket (connectto)))
          $ semodule -i nginx_local.cil
          this alone will not do: outside SELinux's rule the connection fails too (connect unix:/run/webapp.sock as nginx's worker: 111: Connection refused)
        "#);
    }

    #[test]
    fn confirmed_and_over_once_the_label_lets_it_pass() {
        assert_snapshot!(check(ID, [HOST, ENFORCING, AUDIT, "
            //- allow httpd_t initrc_runtime_t sock_file write
            //- allow httpd_t initrc_t unix_stream_socket connectto
        "]), @r#"
        answer: selinux-denies-socket, over
        confirmed: SELinux forbids nginx to connect to /run/webapp.sock: write on initrc_runtime_t (sock_file); the policy in force lets it pass now
        - log 01:28:47 x1: connect() to unix:/run/webapp.sock failed (13: Permission denied) while connecting to upstream
        - audit 01:28:47: avc:  denied  { write } for  pid=439 comm="nginx" name="webapp.sock" dev="tmpfs" ino=614 scontext=system_u:system_r:httpd_t:s0 tcontext=system_u:object_r:initrc_runtime_t:s0 tclass=sock_file permissive=0   (/var/log/audit/audit.log)
        "#);
    }

    #[test]
    fn ruled_out_where_the_kernel_runs_no_selinux() {
        assert_snapshot!(check(ID, [HOST, "
            //- connect unix:/run/webapp.sock -> errno 13
        "]), @"
        answer: none, ongoing
        ruled out
        - log 01:28:47 x1: connect() to unix:/run/webapp.sock failed (13: Permission denied) while connecting to upstream
        - file: the kernel runs no SELinux (/proc/filesystems)
        ");
    }

    #[test]
    fn ruled_out_where_the_policy_lets_it_pass_and_it_is_denied_all_the_same() {
        // Owner and mode.
        assert_snapshot!(check(ID, [HOST, ENFORCING, "
            //- allow httpd_t initrc_runtime_t sock_file write
            //- allow httpd_t initrc_t unix_stream_socket connectto
            //- path /run/webapp.sock socket 600 0:0 dev=1 ino=614 ctime=01:20:01 selinux=system_u:object_r:initrc_runtime_t:s0
            //- connect unix:/run/webapp.sock -> errno 13
        "]), @"
        answer: socket-permission-denied, ongoing
        ruled out
        - log 01:28:47 x1: connect() to unix:/run/webapp.sock failed (13: Permission denied) while connecting to upstream
        - selinux-access: the policy in force allows httpd_t search on / (root_t dir)
        - selinux-access: the policy in force allows httpd_t search on /run (var_run_t dir)
        - selinux-access: the policy in force allows httpd_t write on /run/webapp.sock (initrc_runtime_t sock_file)
        - selinux-access: the policy in force allows httpd_t connectto on the socket of the application that listens there (initrc_t unix_stream_socket)
        - connect 01:30:00: connect unix:/run/webapp.sock as nginx's worker: 13: Permission denied
        ");
    }

    #[test]
    fn unknown_where_owner_and_mode_deny_it_before_selinux_could() {
        assert_snapshot!(check(ID, [HOST, ENFORCING, "
            //- path /run/webapp.sock socket 600 0:0 dev=1 ino=614 ctime=01:20:01 selinux=system_u:object_r:initrc_runtime_t:s0
            //- connect unix:/run/webapp.sock -> errno 13
            //- kernel
            01:00:00 booted
        "]), @"
        answer: socket-permission-denied, ongoing
        unknown: whether SELinux was asked at all: something denies the connection outside its rule too, and no denial of its own was recorded
        learn: sudo ausearch -m AVC -c nginx -ts recent   (or: sudo dmesg -T | grep -i denied)
        ");
    }

    #[test]
    fn unknown_where_a_label_is_hidden() {
        assert_snapshot!(check(ID, [HOST, ENFORCING, "
            //- allow httpd_t initrc_t unix_stream_socket connectto
            //- path /run/webapp.sock socket 666 0:0 dev=1 ino=614 ctime=01:20:01
        "]), @"
        answer: none, over
        unknown: the SELinux label of /run/webapp.sock: it shows none
        learn: sudo ausearch -m AVC -c nginx -ts recent   (or: sudo dmesg -T | grep -i denied)
        leaning: SELinux enforces on this host
        ");
    }

    #[test]
    fn unknown_where_the_record_is_of_another_socket() {
        assert_snapshot!(check(ID, [HOST, ENFORCING, &AUDIT.replace("webapp.sock", "other.sock")]), @"
        answer: none, ongoing
        unknown: whether SELinux denied it when it failed: the policy in force denies it now, and audit recorded no denial then
        learn: sudo ausearch -m AVC -c nginx -ts recent   (or: sudo dmesg -T | grep -i denied)
        leaning: the policy in force denies httpd_t write on /run/webapp.sock
        ");
    }

    #[test]
    fn owner_and_mode_are_ruled_out_by_the_policy_that_still_denies_it() {
        assert_snapshot!(check("socket-permission-denied", [HOST, ENFORCING, AUDIT, "
            //- file /etc/passwd
            www-data:x:33:33::/var/www:/usr/sbin/nologin
        "]), @"
        answer: selinux-denies-socket, ongoing
        ruled out
        - log 01:28:47 x1: connect() to unix:/run/webapp.sock failed (13: Permission denied) while connecting to upstream
        - selinux-access: the policy in force denies httpd_t write on /run/webapp.sock (initrc_runtime_t sock_file)
        - walk: owner, group and mode permit www-data: /run/webapp.sock srw-rw-rw-
        ");
    }
}
