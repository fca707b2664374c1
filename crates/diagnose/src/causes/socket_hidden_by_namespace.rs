//! See the doc comment of [`SOCKET_HIDDEN_BY_NAMESPACE`].

use facts::{Exhibit, Gap, PeerAddress};
use log::error::Class;

use crate::case::{Case, Hidden, known};
use crate::incident::Incident;
use crate::verdict::{AGAIN, Confirmation, Fix, Proof, Safety, Step, Verdict};

declare_cause! {
    /// The application listens on the unix socket, but where nginx does not see it: in another mount namespace or root.
    ///
    /// ## Confirmed when
    /// The log shows errno 2 (or 111, where an old file stands in nginx's view) for a unix socket, the connection fails so
    /// now, a process listens on a socket of that path, sees it there itself, nginx's worker sees no such file or another
    /// one, the two differ in mount namespace or root, and the process runs in the unit that is set to listen on the path.
    /// Without such a unit it is a hint: another container's application may have a socket of the same path.
    ///
    /// ## Ruled out when
    /// The failure is another one, or no process of the host listens on a socket of that path that nginx does not see.
    ///
    /// ## Fix
    /// Put the socket where both see it, such as a directory below `/run`; or let the application's unit share the `/tmp`
    /// of the host. Shown only: both sides have to change together.
    ///
    /// ## Looks like
    /// `connect() to unix:/tmp/app.sock failed (2: No such file or directory) while connecting to upstream`
    ///
    /// ## See also
    /// `ss -xlp` shows the path as listening all the same. `PrivateTmp=` in systemd.exec(5); containers and `chroot`.
    pub(crate) static SOCKET_HIDDEN_BY_NAMESPACE = {
        id: "socket-hidden-by-namespace", since: "0.1.0", stage: Socket, refines: ["socket-missing", "socket-stale"],
        judge: Alone(judge),
    }
}

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    if !(incident.is(Class::SocketMissing) || incident.is(Class::ConnectRefused)) {
        return Ok(Verdict::RuledOut(proof));
    }
    let PeerAddress::Unix(path) = incident.dialled()? else {
        return Ok(Verdict::RuledOut(proof));
    };
    let hidden = case.hidden_sockets(incident, path)?;
    let Some(first) = hidden.first() else {
        let again = case.still_failing(incident)?;
        if !case.sees_all_unix_sockets(incident)? {
            return Err(Gap::undecided(
                format!("whether {} stands in a container", path.display()),
                "processes of other network namespaces have unix sockets of their own",
            ));
        }
        let none = Exhibit::Record {
            probe: "sockets",
            at: None,
            text: format!("nobody listens on a {} that nginx does not see", path.display()),
        };
        return Ok(Verdict::RuledOut(proof.and(again).and(none)));
    };
    let again = case.still_failing(incident)?;
    let Some((hidden, tie)) = tied(incident, case, &hidden)? else {
        return Err(Gap::undecided(
            "whether what listens there is the application",
            "a container or a sandbox has paths of its own, and no unit that is meant to listen there runs it",
        )
        .leaning(format!("{} listens on {} where nginx does not see it", first.listener.who(), path.display())));
    };
    let who = hidden.listener.who();
    let seen = Exhibit::Record {
        probe: "walk",
        at: None,
        text: format!("at {} pid {} sees its socket, and nginx's worker {}", path.display(), hidden.holder.pid, hidden.ours),
    };
    let why = match &hidden.private_tmp_of {
        Some(unit) => format!("{unit} has a /tmp of its own (PrivateTmp)"),
        None => "nginx has other mounts, or another root".to_owned(),
    };
    Ok(Verdict::Confirmed(Confirmation {
        summary: format!("{who} listens on {} where nginx does not see it: {why}", path.display()),
        proof: proof.and(again).and(hidden.listener.exhibit()).and(seen).and(hidden.exhibit.clone()).and(tie),
        fixes: fixes(hidden),
    }))
}

/// The listener that the unit which is meant to listen on the path runs, with what says that it is.
fn tied<'h>(incident: &Incident, case: &Case, hidden: &'h [Hidden]) -> Result<Option<(&'h Hidden, Exhibit)>, Gap> {
    let Some(owner) = known(case.owner(incident))?.flatten() else {
        return Ok(None);
    };
    for one in hidden {
        let units = case.units_of(&one.listener.holders)?;
        if units.iter().any(|unit| unit == owner.unit()) {
            return Ok(owner.exhibits().into_iter().next().map(|claim| (one, claim)));
        }
    }
    Ok(None)
}

fn fixes(hidden: &Hidden) -> Vec<Fix> {
    let shown = |summary: &str, steps| Fix {
        summary: summary.to_owned(),
        safety: Safety::DisplayOnly,
        steps,
        verify: Some(AGAIN.to_owned()),
    };
    let who = hidden.listener.who();
    let Some(unit) = &hidden.private_tmp_of else {
        return vec![shown("put the socket where both see it", vec![Step::Advice {
            text: format!("share the directory of the socket: mount it at the same path for nginx and for {who}, or let both use another one"),
        }])];
    };
    let name = unit.trim_end_matches(".service");
    vec![
        shown("put the socket where both see it", vec![
            Step::Advice { text: format!("systemctl edit {unit}: [Service] RuntimeDirectory={name}") },
            Step::Advice { text: format!("let {who} listen below /run/{name}, and nginx dial it there") },
            Step::command(["systemctl", "restart", unit]),
        ]),
        shown("share /tmp", vec![
            Step::Advice { text: format!("systemctl edit {unit}: [Service] PrivateTmp=no   (other programs then see its files in /tmp)") },
            Step::command(["systemctl", "restart", unit]),
        ]),
    ]
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::fixture::check;

    const ID: &str = "socket-hidden-by-namespace";
    const NGINX: &str = "
        //- nginx
        //- file /etc/nginx/nginx.conf
        http { server { location / { proxy_pass http://unix:/tmp/app.sock; } } }
        //- path /tmp dir 1777 0:0
    ";
    const MISSING: &str = "
        //- failed 14:02:11 http://unix:/tmp/app.sock:/ level=crit
        connect() to unix:/tmp/app.sock failed (2: No such file or directory) while connecting to upstream
    ";
    const REFUSED: &str = "
        //- path /tmp/app.sock socket 666 0:0 dev=1 ino=7
        //- failed 14:02:11 http://unix:/tmp/app.sock:/
        connect() to unix:/tmp/app.sock failed (111: Connection refused) while connecting to upstream
    ";
    /// The unit that is meant to listen on it.
    const UNIT: &str = "
        //- file /etc/systemd/system/shop.service
        [Service]
        ExecStart=/srv/bin/serve /tmp/app.sock
    ";
    /// The application in a mount namespace of its own.
    const APART: &str = "
        //- unit shop.service ActiveState=active PrivateTmp=yes
        //- process 77 mnt=2 cgroup=/system.slice/shop.service
        /srv/bin/serve
        //- listen unix /tmp/app.sock pid=77 dev=1 ino=9 mnt=2
    ";

    #[test]
    fn confirmed_where_its_listener_has_a_tmp_of_its_own() {
        assert_snapshot!(check(ID, [NGINX, MISSING, UNIT, APART]), @"
        answer: socket-hidden-by-namespace, ongoing
        confirmed: serve (pid 77) listens on /tmp/app.sock where nginx does not see it: shop.service has a /tmp of its own (PrivateTmp)
        - log 14:02:11 x1: connect() to unix:/tmp/app.sock failed (2: No such file or directory) while connecting to upstream
        - connect 14:05:00: connect unix:/tmp/app.sock as nginx's worker: 2: No such file or directory
        - sockets 12:30:00: LISTEN unix:/tmp/app.sock pid 77 /srv/bin/serve
        - walk: at /tmp/app.sock pid 77 sees its socket, and nginx's worker nothing
        - link: nginx's mount namespace is mnt:[1], that of pid 77 is mnt:[2]
        - unit: shop.service has ExecStart=/srv/bin/serve /tmp/app.sock
        fix, shown: put the socket where both see it
          systemctl edit shop.service: [Service] RuntimeDirectory=shop
          let serve (pid 77) listen below /run/shop, and nginx dial it there
          $ systemctl restart shop.service
        fix, shown: share /tmp
          systemctl edit shop.service: [Service] PrivateTmp=no   (other programs then see its files in /tmp)
          $ systemctl restart shop.service
        ");
    }

    #[test]
    fn confirmed_where_nginx_is_apart() {
        assert_snapshot!(check(ID, ["
            //- nginx mnt=2
            //- file /etc/nginx/nginx.conf mnt=2
            http { server { location / { proxy_pass http://unix:/srv/app.sock; } } }
            //- options error-log=/var/log/nginx/error.log
            //- failed 14:02:11 http://unix:/srv/app.sock:/ level=crit
            connect() to unix:/srv/app.sock failed (2: No such file or directory) while connecting to upstream
            //- file /etc/systemd/system/shop.service
            [Service]
            ExecStart=/srv/bin/serve /srv/app.sock
            //- unit shop.service ActiveState=active
            //- process 77 cgroup=/system.slice/shop.service
            /srv/bin/serve
            //- listen unix /srv/app.sock pid=77 dev=1 ino=9
        "]), @"
        answer: socket-hidden-by-namespace, ongoing
        confirmed: serve (pid 77) listens on /srv/app.sock where nginx does not see it: nginx has other mounts, or another root
        - log 14:02:11 x1: connect() to unix:/srv/app.sock failed (2: No such file or directory) while connecting to upstream
        - connect 14:05:00: connect unix:/srv/app.sock as nginx's worker: 2: No such file or directory
        - sockets 12:30:00: LISTEN unix:/srv/app.sock pid 77 /srv/bin/serve
        - walk: at /srv/app.sock pid 77 sees its socket, and nginx's worker nothing
        - link: nginx's mount namespace is mnt:[2], that of pid 77 is mnt:[1]
        - unit: shop.service has ExecStart=/srv/bin/serve /srv/app.sock
        fix, shown: put the socket where both see it
          share the directory of the socket: mount it at the same path for nginx and for serve (pid 77), or let both use another one
        ");
    }

    #[test]
    fn not_confirmed_by_a_socket_of_the_same_path() {
        // A container has an application of its own there.
        assert_snapshot!(check(ID, [NGINX, REFUSED, "
            //- process 77 mnt=2
            gunicorn --bind unix:/tmp/app.sock other.wsgi
            //- listen unix /tmp/app.sock pid=77 dev=40 ino=9 mnt=2
        "]), @"
        answer: socket-stale, ongoing
        unknown: whether what listens there is the application: a container or a sandbox has paths of its own, and no unit that is meant to listen there runs it
        leaning: gunicorn (pid 77) listens on /tmp/app.sock where nginx does not see it
        ");
    }

    #[test]
    fn confirmed_where_an_old_file_stands_in_nginxs_view() {
        assert_snapshot!(check(ID, [NGINX, REFUSED, UNIT, APART]), @"
        answer: socket-hidden-by-namespace, ongoing
        confirmed: serve (pid 77) listens on /tmp/app.sock where nginx does not see it: shop.service has a /tmp of its own (PrivateTmp)
        - log 14:02:11 x1: connect() to unix:/tmp/app.sock failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect unix:/tmp/app.sock as nginx's worker: 111: Connection refused
        - sockets 12:30:00: LISTEN unix:/tmp/app.sock pid 77 /srv/bin/serve
        - walk: at /tmp/app.sock pid 77 sees its socket, and nginx's worker another file
        - link: nginx's mount namespace is mnt:[1], that of pid 77 is mnt:[2]
        - unit: shop.service has ExecStart=/srv/bin/serve /tmp/app.sock
        fix, shown: put the socket where both see it
          systemctl edit shop.service: [Service] RuntimeDirectory=shop
          let serve (pid 77) listen below /run/shop, and nginx dial it there
          $ systemctl restart shop.service
        fix, shown: share /tmp
          systemctl edit shop.service: [Service] PrivateTmp=no   (other programs then see its files in /tmp)
          $ systemctl restart shop.service
        ");
    }

    #[test]
    fn ruled_out_where_nobody_listens_on_that_path() {
        assert_snapshot!(check(ID, [NGINX, MISSING]), @"
        answer: socket-missing, ongoing
        ruled out
        - log 14:02:11 x1: connect() to unix:/tmp/app.sock failed (2: No such file or directory) while connecting to upstream
        - connect 14:05:00: connect unix:/tmp/app.sock as nginx's worker: 2: No such file or directory
        - sockets: nobody listens on a /tmp/app.sock that nginx does not see
        ");
    }

    #[test]
    fn ruled_out_where_the_listeners_file_was_removed() {
        assert_snapshot!(check(ID, [NGINX, MISSING, "
            //- process 77
            /srv/bin/serve
            //- listen unix /tmp/app.sock pid=77 dev=1 ino=9 gone
        "]), @"
        answer: socket-missing, ongoing
        ruled out
        - log 14:02:11 x1: connect() to unix:/tmp/app.sock failed (2: No such file or directory) while connecting to upstream
        - connect 14:05:00: connect unix:/tmp/app.sock as nginx's worker: 2: No such file or directory
        - sockets: nobody listens on a /tmp/app.sock that nginx does not see
        ");
    }

    #[test]
    fn ruled_out_by_another_failure() {
        assert_snapshot!(check(ID, [NGINX, APART, "
            //- failed 14:02:11 http://unix:/tmp/app.sock:/ level=crit
            connect() to unix:/tmp/app.sock failed (13: Permission denied) while connecting to upstream
        "]), @"
        answer: none, ongoing
        ruled out
        - log 14:02:11 x1: connect() to unix:/tmp/app.sock failed (13: Permission denied) while connecting to upstream
        ");
    }

    #[test]
    fn unknown_where_a_container_may_hold_it() {
        assert_snapshot!(check(ID, [NGINX, MISSING, "
            //- process 77 net=2 mnt=2
            /srv/bin/serve
        "]), @"
        answer: socket-missing, ongoing
        unknown: whether /tmp/app.sock stands in a container: processes of other network namespaces have unix sockets of their own
        ");
    }

    #[test]
    fn unknown_once_it_succeeds() {
        assert_snapshot!(check(ID, [NGINX, MISSING, "
            //- process 77
            /srv/bin/serve
            //- listen unix /tmp/app.sock pid=77 dev=1 ino=9
        "]), @"
        answer: none, over
        unknown: whether it held when it failed: the connection succeeds now
        ");
    }

    #[test]
    fn unknown_without_the_right_to_see_who_listens() {
        assert_snapshot!(check(ID, [NGINX, MISSING, "
            //- listen unix /tmp/app.sock dev=1 ino=9 mnt=2
            //- owners denied=4
        "]), @"
        answer: none, ongoing
        unknown: who listens on /tmp/app.sock: which process holds the socket needs root
        learn: sudo why502
        ");
    }
}
