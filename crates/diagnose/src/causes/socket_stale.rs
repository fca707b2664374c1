//! See the doc comment of [`SOCKET_STALE`].

use std::path::Path;

use facts::mounts::Mount;
use facts::{Exhibit, Gap, PeerAddress};
use log::error::Class;

use crate::case::{Case, Component, UnixListener, known};
use crate::incident::Incident;
use crate::verdict::{AGAIN, Confirmation, Fix, Proof, Safety, Step, Verdict};

declare_cause! {
    /// A file stands at the socket's path, but nobody listens on it.
    ///
    /// ## Confirmed when
    /// The log shows errno 111 for a unix socket, the file is there, no listening socket has its device and inode, and the
    /// connection is refused now. Where the file is mounted by itself (`docker run -v x.sock:x.sock`) and was removed since,
    /// the application that made it anew is named.
    ///
    /// ## Ruled out when
    /// The failure is another one, or something listens on that very file while the connection is still refused.
    ///
    /// ## Fix
    /// Start the application: it removes the left-over file and makes its own.
    /// Unsafe: it starts a service.
    /// Of a file that is mounted by itself: mount it anew or, better, its directory. Shown only.
    ///
    /// ## Looks like
    /// `connect() to unix:/run/app.sock failed (111: Connection refused) while connecting to upstream`
    pub(crate) static SOCKET_STALE = {
        id: "socket-stale", since: "0.1.0", stage: Socket, refines: [],
        judge: Alone(judge),
    }
}

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    if !incident.is(Class::ConnectRefused) {
        return Ok(Verdict::RuledOut(proof));
    }
    let PeerAddress::Unix(path) = incident.dialled()? else {
        return Ok(Verdict::RuledOut(proof));
    };
    let walk = case.walk_as_worker(incident, path)?;
    let Some(file) = walk.file() else {
        return Err(Gap::too_late("what stood at the socket's path", "it does not exist now"));
    };
    let listeners = case.unix_listeners(incident)?;
    let same = |listener: &&UnixListener| listener.is_surely_file(file.device, file.inode) == Some(true);
    if let Some(listener) = listeners.iter().find(same) {
        let again = case.still_failing(incident)?;
        return Ok(Verdict::RuledOut(proof.and(listener.exhibit()).and(again)));
    }
    // A file of the same path in another mount namespace, or one whose file system hides its device.
    for unsure in listeners.iter().filter(|listener| listener.is_file(file.device, file.inode, path)) {
        if case.listens_on_another(unsure, path, &file)? {
            continue;
        }
        return Err(Gap::undecided(
            "whether it is this file that is listened on",
            "the file system does not tell",
        )
        .leaning(format!("{} listens on a socket of that path", unsure.who())));
    }
    let again = case.still_failing(incident)?;
    let kind = match &file {
        file if file.is_socket() => "a socket that nobody listens on",
        file if file.is_directory() => "a directory, no socket at all",
        _ => "no socket at all",
    };
    let silence = Exhibit::Record {
        probe: "walk",
        at: Some(file.changed),
        text: format!("{} is {kind} ({})", path.display(), file.describe()),
    };
    if let Some(mount) = case.mounted_at(incident, path)?.filter(|mount| mount.is_removed) {
        let proof = proof.and(again).and(silence);
        return Ok(Verdict::Confirmed(mounted_before(path, &mount, remade(case, &listeners, &mount, &file)?, proof)));
    }
    let owner = known(case.owner(incident))?.flatten();
    let proof = proof.and(again).and(silence).with(owner.iter().flat_map(crate::case::Owner::exhibits));
    let fix = if !file.is_socket() {
        // To start the application does not help: it cannot bind where something else stands.
        let text = format!("correct the path, or take away what stands at {} and start the application that is to listen there", path.display());
        Fix { summary: text.clone(), safety: Safety::DisplayOnly, steps: vec![Step::Advice { text }], verify: Some(AGAIN.to_owned()) }
    } else if let Some(owner) = &owner {
        owner.start()
    } else {
            let text = format!("start the application that is to listen on {}", path.display());
            Fix { summary: text.clone(), safety: Safety::DisplayOnly, steps: vec![Step::Advice { text }], verify: Some(AGAIN.to_owned()) }
    };
    let state = owner.as_ref().map(|owner| format!(": {}", owner.state())).unwrap_or_default();
    Ok(Verdict::Confirmed(Confirmation {
        summary: format!("{} is {kind}{state}", path.display()),
        proof,
        fixes: vec![fix],
    }))
}

/// The listener that made the socket anew where the mounted one was made: on that path of the same file system.
fn remade<'l>(case: &Case, listeners: &'l [UnixListener], mount: &Mount, file: &Component) -> Result<Option<&'l UnixListener>, Gap> {
    let root = mount.root.strip_prefix("/").unwrap_or(&mount.root);
    for listener in listeners {
        let (Some(path), Some(holder)) = (&listener.path, listener.holders.first()) else { continue };
        if !path.ends_with(root) {
            continue;
        }
        let theirs = known(case.walk_as(holder.pid, path))?.and_then(|walk| walk.file());
        let is_it = |theirs: &Component| {
            theirs.device == file.device && listener.is_surely_file(theirs.device, theirs.inode) == Some(true)
        };
        if theirs.as_ref().is_some_and(is_it) {
            return Ok(Some(listener));
        }
    }
    Ok(None)
}

/// The file itself was mounted: the mount keeps the old socket, whatever the application makes in its place.
fn mounted_before(path: &Path, mount: &Mount, remade: Option<&UnixListener>, proof: Proof) -> Confirmation {
    let at = path.display();
    let mounted = Exhibit::Record {
        probe: "file",
        at: None,
        text: format!("nginx's mountinfo: {at} is a mount of {}, which was removed", mount.root.display()),
    };
    let anew = match remade {
        Some(listener) => format!(": {} listens on the one that it made anew", listener.who()),
        None => String::new(),
    };
    let mut steps = vec![Step::Advice {
        text: format!("restart the container or unit that nginx runs in: {at} is then mounted anew"),
    }];
    if remade.is_none() {
        steps.insert(0, Step::Advice { text: format!("start the application that is to listen on {}", mount.root.display()) });
    }
    let lasting = format!("mount the directory of the socket in place of {at}: what is mounted as a file stays the old one when the application starts anew");
    let shown = |summary: &str, steps| Fix {
        summary: summary.to_owned(),
        safety: Safety::DisplayOnly,
        steps,
        verify: Some(AGAIN.to_owned()),
    };
    Confirmation {
        summary: format!("{at} is mounted from a socket that was removed since{anew}"),
        proof: proof.and(mounted).with(remade.map(UnixListener::exhibit)),
        fixes: vec![
            shown("mount the socket anew", steps),
            shown("mount its directory", vec![Step::Advice { text: lasting }]),
        ],
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::fixture::check;

    const ID: &str = "socket-stale";
    /// A file stands where nginx dials, and refuses.
    const HOST: &str = "
        //- nginx
        //- file /etc/nginx/nginx.conf
        http { server { location / { proxy_pass http://unix:/run/app.sock; } } }
        //- path /run/app.sock socket 666 0:0 dev=1 ino=7 ctime=13:58:00
        //- failed 14:02:11 http://unix:/run/app.sock:/
        connect() to unix:/run/app.sock failed (111: Connection refused) while connecting to upstream
    ";

    #[test]
    fn confirmed_where_nobody_listens_on_the_file() {
        assert_snapshot!(check(ID, [HOST]), @"
        answer: socket-stale, ongoing
        confirmed: /run/app.sock is a socket that nobody listens on
        - log 14:02:11 x1: connect() to unix:/run/app.sock failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect unix:/run/app.sock as nginx's worker: 111: Connection refused
        - walk 13:58:00: /run/app.sock is a socket that nobody listens on (srw-rw-rw- uid 0 gid 0)
        fix, shown: start the application that is to listen on /run/app.sock
          start the application that is to listen on /run/app.sock
        ");
    }

    #[test]
    fn confirmed_where_what_stands_there_is_no_socket() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://unix:/run/app.sock; } } }
            //- path /run/app.sock file 666 0:0
            //- failed 14:02:11 http://unix:/run/app.sock:/
            connect() to unix:/run/app.sock failed (111: Connection refused) while connecting to upstream
        "]), @"
        answer: socket-stale, ongoing
        confirmed: /run/app.sock is no socket at all
        - log 14:02:11 x1: connect() to unix:/run/app.sock failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect unix:/run/app.sock as nginx's worker: 111: Connection refused
        - walk 12:00:00: /run/app.sock is no socket at all (-rw-rw-rw- uid 0 gid 0)
        fix, shown: correct the path, or take away what stands at /run/app.sock and start the application that is to listen there
          correct the path, or take away what stands at /run/app.sock and start the application that is to listen there
        ");
        let directory = check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://unix:/run/app; } } }
            //- path /run/app dir 777 0:0
            //- failed 14:02:11 http://unix:/run/app:/
            connect() to unix:/run/app failed (111: Connection refused) while connecting to upstream
        "]);
        assert!(directory.contains("confirmed: /run/app is a directory, no socket at all"), "{directory}");
    }

    #[test]
    fn confirmed_where_a_file_of_that_name_was_listened_on_before() {
        // The listener holds the file that the left-over one replaced.
        assert_snapshot!(check(ID, [HOST, "
            //- process 77
            app
            //- listen unix /run/app.sock pid=77 dev=1 ino=6 gone
        "]), @"
        answer: socket-stale, ongoing
        confirmed: /run/app.sock is a socket that nobody listens on
        - log 14:02:11 x1: connect() to unix:/run/app.sock failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect unix:/run/app.sock as nginx's worker: 111: Connection refused
        - walk 13:58:00: /run/app.sock is a socket that nobody listens on (srw-rw-rw- uid 0 gid 0)
        fix, shown: start the application that is to listen on /run/app.sock
          start the application that is to listen on /run/app.sock
        ");
    }

    #[test]
    fn ruled_out_where_this_file_is_listened_on_and_refuses() {
        assert_snapshot!(check(ID, [HOST, "
            //- process 77
            app
            //- listen unix /run/app.sock pid=77 dev=1 ino=7
            //- connect unix:/run/app.sock -> errno 111
        "]), @"
        answer: none, ongoing
        ruled out
        - log 14:02:11 x1: connect() to unix:/run/app.sock failed (111: Connection refused) while connecting to upstream
        - sockets 12:30:00: LISTEN unix:/run/app.sock pid 77 app
        - connect 14:05:00: connect unix:/run/app.sock as nginx's worker: 111: Connection refused
        ");
    }

    #[test]
    fn ruled_out_for_a_tcp_peer() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
            //- failed 14:02:11 http://127.0.0.1:8000/
            connect() failed (111: Connection refused) while connecting to upstream
        "]), @"
        answer: peer-not-listening, ongoing
        ruled out
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        ");
    }

    #[test]
    fn unknown_once_somebody_listens() {
        assert_snapshot!(check(ID, [HOST, "
            //- process 77 start=14:03:00
            app
            //- listen unix /run/app.sock pid=77 dev=1 ino=7
        "]), @"
        answer: none, over
        unknown: whether it held when it failed: the connection succeeds now
        ");
    }

    #[test]
    fn unknown_once_the_file_is_gone() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://unix:/run/app.sock; } } }
            //- path /run dir 755 0:0
            //- failed 14:02:11 http://unix:/run/app.sock:/
            connect() to unix:/run/app.sock failed (111: Connection refused) while connecting to upstream
        "]), @"
        answer: none, ongoing
        unknown: what stood at the socket's path: it does not exist now
        ");
    }

    #[test]
    fn unknown_when_nothing_may_be_sent() {
        assert_snapshot!(check(ID, [HOST, "
            //- options no-connect
        "]), @"
        answer: none, over
        unknown: whether unix:/run/app.sock still fails: --no-connect sends nothing
        learn: why502   (without --no-connect)
        ");
    }

    #[test]
    fn unknown_where_the_file_system_does_not_tell_which_file_is_listened_on() {
        // Another device than the kernel has: overlayfs.
        assert_snapshot!(check(ID, [HOST, "
            //- process 77
            app
            //- listen unix /run/app.sock pid=77 dev=40 ino=9
        "]), @"
        answer: none, ongoing
        unknown: whether it is this file that is listened on: the file system does not tell
        leaning: app (pid 77) listens on a socket of that path
        ");
    }

    #[test]
    fn confirmed_beside_a_listener_on_a_file_of_that_path_elsewhere() {
        assert_snapshot!(check(ID, [HOST, "
            //- process 77 mnt=2
            app
            //- listen unix /run/app.sock pid=77 dev=40 ino=9 mnt=2
        "]), @"
        answer: socket-stale, ongoing
        confirmed: /run/app.sock is a socket that nobody listens on
        - log 14:02:11 x1: connect() to unix:/run/app.sock failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect unix:/run/app.sock as nginx's worker: 111: Connection refused
        - walk 13:58:00: /run/app.sock is a socket that nobody listens on (srw-rw-rw- uid 0 gid 0)
        fix, shown: start the application that is to listen on /run/app.sock
          start the application that is to listen on /run/app.sock
        ");
    }

    #[test]
    fn confirmed_of_a_mounted_file_that_was_made_anew() {
        let mounted = "
            //- nginx mnt=2
            //- file /etc/nginx/nginx.conf mnt=2
            http { server { location / { proxy_pass http://unix:/run/app.sock; } } }
            //- options error-log=/var/log/nginx/error.log
            //- path /run/app.sock socket 666 0:0 dev=1 ino=7 mnt=2
            //- failed 14:02:11 http://unix:/run/app.sock:/
            connect() to unix:/run/app.sock failed (111: Connection refused) while connecting to upstream
            //- file /proc/2842/mountinfo
            88 87 0:1 /shop/app.sock//deleted /run/app.sock rw - tmpfs t rw
        ";
        assert_snapshot!(check(ID, [mounted, "
            //- process 77 start=14:01:00
            gunicorn --bind unix:/srv/shop/app.sock shop.wsgi
            //- listen unix /srv/shop/app.sock pid=77 dev=1 ino=9
        "]), @"
        answer: socket-stale, ongoing
        confirmed: /run/app.sock is mounted from a socket that was removed since: gunicorn (pid 77) listens on the one that it made anew
        - log 14:02:11 x1: connect() to unix:/run/app.sock failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect unix:/run/app.sock as nginx's worker: 111: Connection refused
        - walk 12:00:00: /run/app.sock is a socket that nobody listens on (srw-rw-rw- uid 0 gid 0)
        - file: nginx's mountinfo: /run/app.sock is a mount of /shop/app.sock, which was removed
        - sockets 14:01:00: LISTEN unix:/srv/shop/app.sock pid 77 gunicorn --bind unix:/srv/shop/app.sock shop.wsgi
        fix, shown: mount the socket anew
          restart the container or unit that nginx runs in: /run/app.sock is then mounted anew
        fix, shown: mount its directory
          mount the directory of the socket in place of /run/app.sock: what is mounted as a file stays the old one when the application starts anew
        ");
        let said = check(ID, [mounted]);
        assert!(said.contains("is mounted from a socket that was removed since\n"), "{said}");
        assert!(said.contains("start the application that is to listen on /shop/app.sock"), "{said}");
    }

    #[test]
    fn unknown_without_the_right_to_read_the_sockets() {
        assert_snapshot!(check(ID, [HOST, "
            //- denied sockets
        "]), @"
        answer: none, ongoing
        unknown: the socket table: needs root
        learn: sudo why502
        ");
    }
}
