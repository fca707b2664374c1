//! See the doc comment of [`SOCKET_PERMISSION_DENIED`].

use facts::{Exhibit, Gap, PeerAddress};
use log::error::Class;

use crate::case::{Access, Case, Component, Identity};
use crate::incident::Incident;
use crate::verdict::{AGAIN, Confirmation, Fix, Proof, Safety, Step, Verdict};

declare_cause! {
    /// The worker's user may not write to the unix socket, or may not pass a directory above it.
    ///
    /// ## Confirmed when
    /// The log shows errno 13 for a unix socket, and owner, group and mode of the socket (its write bit alone counts) or of
    /// a directory above it (its search bit) deny the worker's user now, while a connection made as that user is denied; and
    /// where nginx has mounts of its own, no other file stands there for the host (`nginx-sandboxed`).
    ///
    /// ## Ruled out when
    /// The failure is another one, or owner, group and mode permit the worker's user on every step, the socket has not
    /// changed since the first failure, and the connection is still denied: then something else denies it.
    ///
    /// ## Fix
    /// Let the application create its socket with a group that the worker belongs to and mode 0660, or open the one
    /// directory. Unsafe: it widens who may connect. Where the user joined the right group after the workers started, reload
    /// nginx.
    ///
    /// ## Looks like
    /// `connect() to unix:/run/app.sock failed (13: Permission denied) while connecting to upstream`
    ///
    /// ## See also
    /// SELinux and a POSIX ACL (`socket-acl-denied`) show the same line; a directory in the socket's place does too.
    pub(crate) static SOCKET_PERMISSION_DENIED = {
        id: "socket-permission-denied", since: "0.1.0", stage: Socket, refines: [],
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
    let worker = case.worker_identity(incident)?;
    let walk = case.walk_as_worker(incident, path)?;
    if let Some(other) = walk.file().filter(|file| !file.is_socket()) {
        return Err(Gap::undecided("what should stand at the socket's path", "no socket stands there")
            .leaning(format!("{} is no socket ({})", path.display(), other.describe())));
    }
    let again = case.still_failing(incident)?;
    let denying = match worker.access(&walk)? {
        Access::Granted(_) if walk.file().is_none_or(|file| file.changed > incident.first_seen) => {
            return Err(Gap::too_late(
                "what owner, group and mode permitted when it failed",
                "the socket has changed since",
            ));
        }
        Access::Granted(steps) => {
            let steps = Exhibit::Record { probe: "walk", at: None, text: format!("owner, group and mode permit {}: {steps}", worker.name) };
            return Ok(Verdict::RuledOut(proof.and(again).and(steps)));
        }
        Access::Denied(components) => components,
    };
    let (by_acl, denying): (Vec<Component>, Vec<Component>) =
        denying.into_iter().partition(|component| worker.denying_entry(component).is_some());
    if denying.is_empty() {
        if by_acl.iter().any(|component| component.changed > incident.first_seen) {
            return Err(Gap::too_late("what denied it when it failed", "an ACL has changed since"));
        }
        let listed = by_acl.iter().map(|component| Exhibit::Record {
            probe: "walk",
            at: Some(component.changed),
            text: format!("what denies {} is the POSIX ACL of {}", worker.name, component.path.display()),
        });
        return Ok(Verdict::RuledOut(proof.and(again).with(listed)));
    }
    // A sandbox covers what it hides with a file of its own that nobody may pass: to open what it covers does not help.
    if let Some((ours, theirs)) = case.overlaid(incident, path, &denying)? {
        return Err(Gap::undecided(
            format!("whether owner and mode of {} are why", ours.path.display()),
            "nginx sees another file there than the host",
        )
        .leaning(format!(
            "at {} nginx sees {}, and the host {}: a mount of nginx's own hides it",
            ours.path.display(),
            ours.describe(),
            theirs.describe(),
        )));
    }
    let lacking: Vec<String> = denying.iter().map(lack).collect();
    let steps = denying.iter().map(|component| Exhibit::Record {
        probe: "walk",
        at: Some(component.changed),
        text: format!("{} for {}", lack(component), worker.describe()),
    });
    let summary = format!("{} may not connect to {}: {}", worker.name, path.display(), lacking.join(", and "));
    let proof = proof.and(again).with(steps);
    if let Some(groups) = worker.joined_since(&denying) {
        let groups = groups.join(", ");
        let listed = Exhibit::Record {
            probe: "file",
            at: None,
            text: format!("/etc/group lists {} in {groups}, and the worker that runs is not in it", worker.name),
        };
        return Ok(Verdict::Confirmed(Confirmation {
            summary: format!("{summary}; /etc/group lists it in {groups}, which the workers started without"),
            proof: proof.and(listed),
            fixes: vec![Fix {
                summary: format!("reload nginx: new workers are in {groups}"),
                safety: Safety::Unsafe,
                steps: case.reload_steps(incident)?,
                verify: Some(AGAIN.to_owned()),
            }],
        }));
    }
    Ok(Verdict::Confirmed(Confirmation {
        summary,
        proof,
        fixes: vec![fix(&denying, &worker)],
    }))
}

/// What a component lacks, with its mode.
fn lack(component: &Component) -> String {
    let bit = if component.is_directory() { "search (x)" } else { "write (w)" };
    format!("no {bit} on {} ({})", component.path.display(), component.describe())
}

/// Lets the worker's user alone pass a directory: its group may have members of its own. The socket is the
/// application's to make, so its group may change.
fn fix(denying: &[Component], worker: &Identity) -> Fix {
    let mut steps = Vec::new();
    for component in denying {
        let path = component.path.display().to_string();
        if component.is_directory() {
            steps.push(Step::command(["setfacl", "-m", &format!("u:{}:x", worker.name), &path]));
            continue;
        }
        // On a list, chmod changes the mask and not what the group may do.
        if component.has_acl() {
            steps.push(Step::command(["setfacl", "-m", &format!("u:{}:rw", worker.name), &path]));
            continue;
        }
        let group = worker.group.as_str();
        steps.push(Step::command(["chgrp", group, &path]));
        steps.push(Step::command(["chmod", "660", &path]));
        steps.push(Step::Advice {
            text: format!("make it last: set the socket's group to {group} and its mode to 0660 in the application's settings (listen.group and listen.mode of php-fpm, --umask of gunicorn, chmod-socket of uwsgi, SocketMode of a socket unit)"),
        });
    }
    Fix {
        summary: format!("let {} connect", worker.name),
        safety: Safety::Unsafe,
        steps,
        verify: Some(AGAIN.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::fixture::check;

    const ID: &str = "socket-permission-denied";
    /// nginx dials /run/app.sock as www-data and is denied.
    const HOST: &str = "
        //- nginx
        //- file /etc/nginx/nginx.conf
        http { server { location / { proxy_pass http://unix:/run/app.sock; } } }
        //- failed 14:02:11 http://unix:/run/app.sock:/ level=crit
        connect() to unix:/run/app.sock failed (13: Permission denied) while connecting to upstream
        //- connect unix:/run/app.sock -> errno 13
        //- file /etc/passwd
        www-data:x:33:33::/var/www:/usr/sbin/nologin
        //- file /etc/group
        www-data:x:33:
        //- process 77
        app
        //- listen unix /run/app.sock pid=77
    ";

    #[test]
    fn confirmed_by_the_sockets_mode() {
        assert_snapshot!(check(ID, [HOST, "
            //- path /run/app.sock socket 660 77:77
        "]), @"
        answer: socket-permission-denied, ongoing
        confirmed: www-data may not connect to /run/app.sock: no write (w) on /run/app.sock (srw-rw---- uid 77 gid 77)
        - log 14:02:11 x1: connect() to unix:/run/app.sock failed (13: Permission denied) while connecting to upstream
        - connect 14:05:00: connect unix:/run/app.sock as nginx's worker: 13: Permission denied
        - walk 12:00:00: no write (w) on /run/app.sock (srw-rw---- uid 77 gid 77) for www-data (uid 33, gid 33)
        fix, unsafe: let www-data connect
          $ chgrp www-data /run/app.sock
          $ chmod 660 /run/app.sock
          make it last: set the socket's group to www-data and its mode to 0660 in the application's settings (listen.group and listen.mode of php-fpm, --umask of gunicorn, chmod-socket of uwsgi, SocketMode of a socket unit)
        ");
    }

    #[test]
    fn confirmed_where_the_user_joined_the_group_after_the_workers_started() {
        let joined = HOST.replace("www-data:x:33:\n", "www-data:x:33:\n        app:x:77:www-data\n");
        assert_snapshot!(check(ID, [&joined, "
            //- path /run/app.sock socket 660 77:77
        "]), @"
        answer: socket-permission-denied, ongoing
        confirmed: www-data may not connect to /run/app.sock: no write (w) on /run/app.sock (srw-rw---- uid 77 gid 77); /etc/group lists it in app, which the workers started without
        - log 14:02:11 x1: connect() to unix:/run/app.sock failed (13: Permission denied) while connecting to upstream
        - connect 14:05:00: connect unix:/run/app.sock as nginx's worker: 13: Permission denied
        - walk 12:00:00: no write (w) on /run/app.sock (srw-rw---- uid 77 gid 77) for www-data (uid 33, gid 33)
        - file: /etc/group lists www-data in app, and the worker that runs is not in it
        fix, unsafe: reload nginx: new workers are in app
          $ nginx -t
          $ nginx -s reload
        ");
        // It would not suffice.
        let said = check(ID, [&joined, "
            //- path /run/app.sock socket 640 77:77
        "]);
        assert!(said.contains("chgrp"), "{said}");
    }

    #[test]
    fn confirmed_by_the_group_class_that_wins_over_other() {
        assert_snapshot!(check(ID, [HOST, "
            //- path /run/app.sock socket 606 77:33
        "]), @"
        answer: socket-permission-denied, ongoing
        confirmed: www-data may not connect to /run/app.sock: no write (w) on /run/app.sock (srw----rw- uid 77 gid 33)
        - log 14:02:11 x1: connect() to unix:/run/app.sock failed (13: Permission denied) while connecting to upstream
        - connect 14:05:00: connect unix:/run/app.sock as nginx's worker: 13: Permission denied
        - walk 12:00:00: no write (w) on /run/app.sock (srw----rw- uid 77 gid 33) for www-data (uid 33, gid 33)
        fix, unsafe: let www-data connect
          $ chgrp www-data /run/app.sock
          $ chmod 660 /run/app.sock
          make it last: set the socket's group to www-data and its mode to 0660 in the application's settings (listen.group and listen.mode of php-fpm, --umask of gunicorn, chmod-socket of uwsgi, SocketMode of a socket unit)
        ");
    }

    #[test]
    fn confirmed_by_a_directory_that_may_not_be_passed() {
        assert_snapshot!(check(ID, [HOST, "
            //- path /run/app.sock socket 666 77:77
            //- path /run dir 750 77:77
        "]), @"
        answer: socket-permission-denied, ongoing
        confirmed: www-data may not connect to /run/app.sock: no search (x) on /run (drwxr-x--- uid 77 gid 77)
        - log 14:02:11 x1: connect() to unix:/run/app.sock failed (13: Permission denied) while connecting to upstream
        - connect 14:05:00: connect unix:/run/app.sock as nginx's worker: 13: Permission denied
        - walk 12:00:00: no search (x) on /run (drwxr-x--- uid 77 gid 77) for www-data (uid 33, gid 33)
        fix, unsafe: let www-data connect
          $ setfacl -m u:www-data:x /run
        ");
    }

    #[test]
    fn ruled_out_where_the_mode_permits_and_it_is_denied_all_the_same() {
        // SELinux shows the same line.
        assert_snapshot!(check(ID, [HOST, "
            //- path /run/app.sock socket 666 77:77
        "]), @"
        answer: none, ongoing
        ruled out
        - log 14:02:11 x1: connect() to unix:/run/app.sock failed (13: Permission denied) while connecting to upstream
        - connect 14:05:00: connect unix:/run/app.sock as nginx's worker: 13: Permission denied
        - walk: owner, group and mode permit www-data: /run/app.sock srw-rw-rw-
        ");
    }

    #[test]
    fn ruled_out_by_a_supplementary_group() {
        assert_snapshot!(check(ID, [HOST, "
            //- nginx groups=77
            //- path /run/app.sock socket 660 77:77
        "]), @"
        answer: none, ongoing
        ruled out
        - log 14:02:11 x1: connect() to unix:/run/app.sock failed (13: Permission denied) while connecting to upstream
        - connect 14:05:00: connect unix:/run/app.sock as nginx's worker: 13: Permission denied
        - walk: owner, group and mode permit www-data: /run/app.sock srw-rw----
        ");
    }

    #[test]
    fn ruled_out_by_another_failure() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://unix:/run/app.sock; } } }
            
            //- path /run dir 755 0:0
            //- failed 14:02:11 http://unix:/run/app.sock:/ level=crit
            connect() to unix:/run/app.sock failed (2: No such file or directory) while connecting to upstream
        "]), @"
        answer: socket-missing, ongoing
        ruled out
        - log 14:02:11 x1: connect() to unix:/run/app.sock failed (2: No such file or directory) while connecting to upstream
        ");
    }

    #[test]
    fn unknown_where_the_mode_permits_but_changed_since() {
        assert_snapshot!(check(ID, [HOST, "
            //- path /run/app.sock socket 666 77:77 ctime=14:03:00
        "]), @"
        answer: none, ongoing
        unknown: what owner, group and mode permitted when it failed: the socket has changed since
        ");
    }

    #[test]
    fn unknown_once_the_connection_succeeds() {
        assert_snapshot!(check(ID, [HOST, "
            //- path /run/app.sock socket 660 77:77
            //- connect unix:/run/app.sock -> ok
        "]), @"
        answer: none, over
        unknown: whether it held when it failed: the connection succeeds now
        ");
    }

    #[test]
    fn unknown_when_nothing_may_be_sent() {
        assert_snapshot!(check(ID, [HOST, "
            //- path /run/app.sock socket 660 77:77
            //- options no-connect
        "]), @"
        answer: none, over
        unknown: whether unix:/run/app.sock still fails: --no-connect sends nothing
        learn: why502   (without --no-connect)
        ");
    }

    #[test]
    fn unknown_where_an_acl_could_not_be_read() {
        assert_snapshot!(check(ID, [HOST, "
            //- path /run/app.sock socket 660 77:77 acl=errno:95
        "]), @"
        answer: none, ongoing
        unknown: the ACL of /run/app.sock: it could not be read
        learn: getfacl /run/app.sock
        ");
    }

    #[test]
    fn unknown_where_a_directory_stands_in_its_place() {
        assert_snapshot!(check(ID, [HOST, "
            //- path /run/app.sock dir 700 77:77
        "]), @"
        answer: none, ongoing
        unknown: what should stand at the socket's path: no socket stands there
        leaning: /run/app.sock is no socket (drwx------ uid 77 gid 77)
        ");
    }

    #[test]
    fn unknown_where_a_file_stands_in_its_place() {
        assert_snapshot!(check(ID, [HOST, "
            //- path /run/app.sock file 600 77:77
        "]), @"
        answer: none, ongoing
        unknown: what should stand at the socket's path: no socket stands there
        leaning: /run/app.sock is no socket (-rw------- uid 77 gid 77)
        ");
    }

    #[test]
    fn unknown_where_a_mount_of_nginxs_own_denies() {
        // A sandbox covers the socket with one of mode 000.
        assert_snapshot!(check(ID, ["
            //- nginx mnt=2
            //- file /etc/nginx/nginx.conf mnt=2
            http { server { location / { proxy_pass http://unix:/run/app.sock; } } }
            //- options error-log=/var/log/nginx/error.log
            //- failed 14:02:11 http://unix:/run/app.sock:/ level=crit
            connect() to unix:/run/app.sock failed (13: Permission denied) while connecting to upstream
            //- connect unix:/run/app.sock -> errno 13
            //- path /run/app.sock socket 0 0:0 dev=1 ino=9 mnt=2
            //- path /run/app.sock socket 666 0:0 dev=1 ino=7
        "]), @"
        answer: none, ongoing
        unknown: whether owner and mode of /run/app.sock are why: nginx sees another file there than the host
        leaning: at /run/app.sock nginx sees s--------- uid 0 gid 0, and the host srw-rw-rw- uid 0 gid 0: a mount of nginx's own hides it
        ");
    }

    #[test]
    fn unknown_without_the_right_to_walk() {
        assert_snapshot!(check(ID, [HOST, "
            //- denied walk
        "]), @"
        answer: none, ongoing
        unknown: owner and mode along /run/app.sock: needs root
        learn: sudo why502
        ");
    }

    #[test]
    fn unknown_without_the_workers_status() {
        assert_snapshot!(check(ID, [HOST, "
            //- path /run/app.sock socket 660 77:77
        ", "
            //- unrecorded file host /proc/2842/status
        "]), @"
        answer: none, ongoing
        unknown: /proc/2842/status: the snapshot does not hold it
        ");
    }

    #[test]
    fn ruled_out_of_a_tcp_peer() {
        // SELinux, or a prohibiting route.
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
            //- failed 14:02:11 http://127.0.0.1:8000/ level=crit
            connect() to 127.0.0.1:8000 failed (13: Permission denied) while connecting to upstream
        "]), @"
        answer: none, ongoing
        ruled out
        - log 14:02:11 x1: connect() to 127.0.0.1:8000 failed (13: Permission denied) while connecting to upstream
        ");
    }
}
