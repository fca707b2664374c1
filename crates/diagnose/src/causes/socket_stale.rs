//! See the doc comment of [`SOCKET_STALE`].

use facts::{Exhibit, Gap, PeerAddress};
use log::error::Class;

use crate::case::{Case, UnixListener, known};
use crate::incident::Incident;
use crate::verdict::{AGAIN, Confirmation, Fix, Proof, Safety, Step, Verdict};

declare_cause! {
    /// A file stands at the socket's path, but nobody listens on it.
    ///
    /// ## Confirmed when
    /// The log shows errno 111 for a unix socket, the file is there, no listening socket has its device and inode, and the
    /// connection is refused now.
    ///
    /// ## Ruled out when
    /// The failure is another one, or something listens on that very file while the connection is still refused.
    ///
    /// ## Fix
    /// Start the application: it removes the left-over file and makes its own.
    /// Unsafe: it starts a service.
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
    if let Some(unsure) = listeners.iter().find(|listener| listener.is_file(file.device, file.inode, path)) {
        return Err(Gap::undecided(
            "whether it is this file that is listened on",
            "the file system does not tell",
        )
        .leaning(format!("{} listens on a socket of that path", unsure.who())));
    }
    let again = case.still_failing(incident)?;
    let kind = if file.is_socket() { "a socket that nobody listens on" } else { "no socket at all" };
    let silence = Exhibit::Record {
        probe: "walk",
        at: Some(file.changed),
        text: format!("{} is {kind} ({})", path.display(), file.describe()),
    };
    let owner = known(case.owner(incident))?.flatten();
    let proof = proof.and(again).and(silence).with(owner.iter().flat_map(crate::case::Owner::exhibits));
    let fix = if let Some(owner) = &owner {
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
        fix, shown: start the application that is to listen on /run/app.sock
          start the application that is to listen on /run/app.sock
        ");
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
        // Another device: overlayfs, or another mount namespace.
        assert_snapshot!(check(ID, [HOST, "
            //- process 77 mnt=2
            app
            //- listen unix /run/app.sock pid=77 dev=40 ino=9 mnt=2
        "]), @"
        answer: socket-hidden-by-namespace, ongoing
        unknown: whether it is this file that is listened on: the file system does not tell
        leaning: app (pid 77) listens on a socket of that path
        ");
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
