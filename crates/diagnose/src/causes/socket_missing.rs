//! See the doc comment of [`SOCKET_MISSING`].

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use facts::{Exhibit, Gap, PeerAddress};
use log::error::Class;

use crate::case::{Case, Component, UnixListener, Walked, known};
use crate::incident::Incident;
use crate::verdict::{AGAIN, Confirmation, Fix, Proof, Safety, Step, Verdict};

/// `ELOOP`.
const LOOP: u16 = 40;
/// Links of a circle that are told.
const MOST_LINKS: usize = 4;

declare_cause! {
    /// The unix socket that nginx dials does not exist.
    ///
    /// ## Confirmed when
    /// The log shows errno 2, the connection fails so now (or, where nothing may be sent, did in the last minute), and the
    /// path (or what it leads to, where it is a symbolic link) does not exist as nginx's worker sees it, nor in the host's
    /// own view, nor for a process that listens on a socket of that path (else it is hidden from nginx, not missing).
    /// Or it shows errno 20 or 40, the connection fails so now, and the path leads through what is no directory, or in a
    /// circle of symbolic links.
    ///
    /// ## Ruled out when
    /// The failure is another one.
    ///
    /// ## Fix
    /// Start the application that makes the socket. Unsafe: it starts a service.
    /// A symbolic link that leads nowhere may have to lead elsewhere (`update-alternatives`). Shown only.
    /// Where a URI follows the path without a colon, nginx takes both for the path: write the colon. Where the path is not
    /// absolute, the worker takes it from the directory that nginx was started in: write it whole. Unsafe: both change what
    /// nginx dials.
    ///
    /// ## Looks like
    /// `connect() to unix:/run/app.sock failed (2: No such file or directory) while connecting to upstream`
    ///
    /// ## See also
    /// `socket-path-mismatch` says more: the application listens on another path.
    pub(crate) static SOCKET_MISSING = {
        id: "socket-missing", since: "0.1.0", stage: Socket, refines: [],
        judge: Alone(judge),
    }
}

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    let is_blocked = incident.is(Class::NotADirectory) || incident.errno == Some(LOOP);
    if !(incident.is(Class::SocketMissing) || is_blocked) {
        return Ok(Verdict::RuledOut(proof));
    }
    let PeerAddress::Unix(written) = incident.dialled()? else {
        return Ok(Verdict::RuledOut(proof));
    };
    let path = &case.placed(&case.instance(incident)?, written)?;
    let walk = case.walk_as_worker(incident, path)?;
    if is_blocked && walk.errno() == incident.errno.map(i32::from) {
        return blocked(incident, case, proof, path, &walk);
    }
    if let Some(errno) = walk.errno().filter(|&errno| errno != 2) {
        return Err(Gap::undecided(
            format!("what stands at {}", path.display()),
            format!("the path cannot be followed (errno {errno})"),
        ));
    }
    let Some(missing) = walk.missing() else {
        return Err(Gap::too_late("whether the socket was there", "it exists now")
            .leaning(format!("{} exists now; when it failed it did not", path.display())));
    };
    if case.exists_outside(incident, path)? {
        return Err(Gap::undecided("why nginx does not see the socket", "it exists in the host's view")
            .leaning(format!("{} exists, but not in nginx's view: its mounts or root hide it", path.display())));
    }
    let absent = Exhibit::Record { probe: "walk", at: None, text: format!("{} does not exist", missing.display()) };
    let mut proof = proof.and(absent);
    if case.connects() {
        proof = proof.and(case.still_failing(incident)?);
    } else if !case.is_ongoing(incident) {
        return Err(Gap::too_late("whether it is the same that was missing", "the last failure is long ago"));
    }
    // An application whose socket file was removed listens on where nobody can reach it.
    let listeners = case.unix_listeners(incident)?;
    if let Some(deaf) = listeners.iter().find(|listener| listener.path.as_deref() == Some(path)) {
        is_removed(deaf, case, path)?;
        return Ok(Verdict::Confirmed(Confirmation {
            summary: format!(
                "{} does not exist; {} still listens on the file that was removed",
                path.display(),
                deaf.who()
            ),
            proof: proof.and(deaf.exhibit()),
            fixes: vec![advice(format!("restart {}, which makes the socket anew", deaf.who()))],
        }));
    }
    let owner = known(case.owner(incident))?.flatten();
    let links = walk.links_of(path);
    if written.is_relative() {
        return relative(incident, case, proof, written, path);
    }
    let colon = colon(incident, case, path, missing)?;
    let (summary, fix) = match &owner {
        None if !links.is_empty() => dangling(path, missing, &links),
        Some(owner) => (format!("{} does not exist: {}", path.display(), owner.state()), owner.start()),
        None => (
            format!("{} does not exist", missing.display()),
            advice(format!("start the application that is to listen on {}, or correct the path", path.display())),
        ),
    };
    let proof = proof.with(owner.iter().flat_map(crate::case::Owner::exhibits));
    let proof = if colon.is_some() { proof.with(case.directive_exhibit(incident)?) } else { proof };
    Ok(Verdict::Confirmed(Confirmation { summary, proof, fixes: colon.into_iter().chain([fix]).collect() }))
}

/// The path leads through what is no directory, or in a circle.
fn blocked(incident: &Incident, case: &Case, proof: Proof, path: &Path, walk: &Walked) -> Result<Verdict, Gap> {
    let again = case.still_failing(incident)?;
    let Some(last) = walk.components().last() else {
        return Err(Gap::undecided(format!("what stands at {}", path.display()), "the path could not be walked"));
    };
    let (at, shown) = (last.path.display(), path.display());
    let (summary, text, advice_text) = if incident.errno == Some(LOOP) {
        // The walk went round many times.
        let mut seen = BTreeSet::new();
        let round = walk.links_of(path).into_iter().take_while(|(link, _)| seen.insert(link.clone()));
        let links: Vec<String> = round.take(MOST_LINKS).map(|(link, target)| format!("{} -> {}", link.display(), target.display())).collect();
        let circle = if links.is_empty() { at.to_string() } else { links.join(", ") };
        (
            format!("{shown} leads in a circle of symbolic links: {circle}"),
            format!("{circle}, and so on"),
            format!("make the symbolic link at {shown} lead to the socket that the application listens on"),
        )
    } else {
        let kind = if last.is_socket() { "a socket" } else { "a file" };
        (
            format!("nothing can be at {shown}: {at} is {kind}, no directory"),
            format!("{at} is {kind} ({})", last.describe()),
            format!("correct the path: {at} is no directory"),
        )
    };
    let fix = match colon(incident, case, path, &last.path)? {
        Some(fix) => fix,
        None => advice(advice_text),
    };
    let stands = Exhibit::Record { probe: "walk", at: None, text };
    Ok(Verdict::Confirmed(Confirmation {
        summary,
        proof: proof.and(again).and(stands).with(case.directive_exhibit(incident)?),
        fixes: vec![fix],
    }))
}

/// The edit that writes the colon between a socket's path and a URI, where the path leads on behind what is a socket's name.
fn colon(incident: &Incident, case: &Case, path: &Path, last: &Path) -> Result<Option<Fix>, Gap> {
    // Links before it may give the same place another name.
    let Some(socket) = path.ancestors().skip(1).find(|above| above.file_name().is_some() && above.file_name() == last.file_name()) else {
        return Ok(None);
    };
    let is_named_so = socket.extension().is_some_and(|extension| extension == "sock" || extension == "socket");
    if !(is_named_so || incident.is(Class::NotADirectory)) {
        return Ok(None);
    }
    let (old, new) = (format!("unix:{}/", socket.display()), format!("unix:{}:/", socket.display()));
    let steps = case.with_socket(incident, &old, &new, true)?;
    Ok((!steps.is_empty()).then(|| Fix {
        summary: format!("write the colon that ends the socket's path: {new}"),
        safety: Safety::Unsafe,
        steps,
        verify: Some(AGAIN.to_owned()),
    }))
}

/// The path is not absolute: the worker takes it from its own directory.
fn relative(incident: &Incident, case: &Case, proof: Proof, written: &Path, path: &Path) -> Result<Verdict, Gap> {
    let whole = Path::new("/").join(written);
    let there = case.walk_as_worker(incident, &whole)?.file().filter(Component::is_socket);
    let listeners = case.unix_listeners(incident)?;
    let listener = there.and_then(|file| listeners.iter().find(|listener| listener.is_surely_file(file.device, file.inode) == Some(true)));
    let steps = match listener {
        Some(_) => {
            let (old, new) = (format!("unix:{}", written.display()), format!("unix:{}", whole.display()));
            case.with_socket(incident, &old, &new, false)?
        }
        None => Vec::new(),
    };
    let fix = if steps.is_empty() {
        advice(format!("write the whole path of the socket in place of {}", written.display()))
    } else {
        Fix {
            summary: format!("dial unix:{}", whole.display()),
            safety: Safety::Unsafe,
            steps,
            verify: Some(AGAIN.to_owned()),
        }
    };
    let listens = listener.map(|listener| format!("; {} listens on {}", listener.who(), whole.display())).unwrap_or_default();
    Ok(Verdict::Confirmed(Confirmation {
        summary: format!(
            "{} is not absolute, and nginx's worker takes it for {}, which does not exist{listens}",
            written.display(),
            path.display()
        ),
        proof: proof.with(listener.map(UnixListener::exhibit)).with(case.directive_exhibit(incident)?),
        fixes: vec![fix],
    }))
}

/// The path is a symbolic link, and what it leads to is not there.
fn dangling(path: &Path, missing: &Path, links: &[(PathBuf, PathBuf)]) -> (String, Fix) {
    let said: Vec<String> = links.iter().map(|(link, target)| format!("{} -> {}", link.display(), target.display())).collect();
    let summary = format!(
        "{} is a symbolic link to what does not exist, {} ({})",
        path.display(),
        missing.display(),
        said.join(", ")
    );
    // update-alternatives(1) keeps a link of its own between.
    let alternative = links.iter().find_map(|(link, _)| link.strip_prefix("/etc/alternatives").ok());
    let to_what_listens = match alternative.and_then(Path::to_str) {
        Some(name) => format!(
            "or lead the link to what listens: update-alternatives --display {name}, then update-alternatives --set {name} PATH"
        ),
        None => format!("or make {} lead to what listens", path.display()),
    };
    let start = format!("start the application that is to listen on {}", missing.display());
    let fix = Fix {
        summary: format!("mend what {} leads to", path.display()),
        safety: Safety::DisplayOnly,
        steps: [start, to_what_listens].map(|text| Step::Advice { text }).into(),
        verify: Some(AGAIN.to_owned()),
    };
    (summary, fix)
}

/// That the file is gone for its listener too: else it stands in a mount namespace or a root that nginx does not share.
fn is_removed(listener: &UnixListener, case: &Case, path: &Path) -> Result<(), Gap> {
    let hidden = |why: &'static str| {
        Gap::undecided("whether the listener's file was removed or is hidden from nginx", why)
            .leaning(format!("{} listens on a socket of that path which nginx does not see", listener.who()))
    };
    let Some(holder) = listener.holders.first() else {
        return Err(hidden("who listens is not known"));
    };
    match case.walk_as(holder.pid, path)?.missing() {
        Some(_) => Ok(()),
        None => Err(hidden("its listener sees the file")),
    }
}

fn advice(text: String) -> Fix {
    Fix {
        summary: text.clone(),
        safety: Safety::DisplayOnly,
        steps: vec![Step::Advice { text }],
        verify: Some(AGAIN.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::fixture::check;

    const ID: &str = "socket-missing";
    /// nginx dials /run/app.sock, which is not there.
    const HOST: &str = "
        //- nginx
        //- file /etc/nginx/nginx.conf
        http { server { location / { proxy_pass http://unix:/run/app.sock; } } }
        //- path /run dir 755 0:0
        //- failed 14:02:11 http://unix:/run/app.sock:/ level=crit
        connect() to unix:/run/app.sock failed (2: No such file or directory) while connecting to upstream
    ";

    #[test]
    fn confirmed_where_the_path_does_not_exist_for_the_worker() {
        assert_snapshot!(check(ID, [HOST]), @"
        answer: socket-missing, ongoing
        confirmed: /run/app.sock does not exist
        - log 14:02:11 x1: connect() to unix:/run/app.sock failed (2: No such file or directory) while connecting to upstream
        - walk: /run/app.sock does not exist
        - connect 14:05:00: connect unix:/run/app.sock as nginx's worker: 2: No such file or directory
        fix, shown: start the application that is to listen on /run/app.sock, or correct the path
          start the application that is to listen on /run/app.sock, or correct the path
        ");
    }

    #[test]
    fn confirmed_where_a_directory_above_it_is_missing() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://unix:/run/shop/app.sock; } } }
            //- path /run dir 755 0:0
            //- failed 14:02:11 http://unix:/run/shop/app.sock:/ level=crit
            connect() to unix:/run/shop/app.sock failed (2: No such file or directory) while connecting to upstream
        "]), @"
        answer: socket-missing, ongoing
        confirmed: /run/shop does not exist
        - log 14:02:11 x1: connect() to unix:/run/shop/app.sock failed (2: No such file or directory) while connecting to upstream
        - walk: /run/shop does not exist
        - connect 14:05:00: connect unix:/run/shop/app.sock as nginx's worker: 2: No such file or directory
        fix, shown: start the application that is to listen on /run/shop/app.sock, or correct the path
          start the application that is to listen on /run/shop/app.sock, or correct the path
        ");
    }

    #[test]
    fn confirmed_with_the_link_that_leads_nowhere() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { fastcgi_pass unix:/run/php/php-fpm.sock; } } }
            //- path /run/php/php-fpm.sock link 777 0:0 target=/etc/alternatives/php-fpm.sock
            //- path /etc/alternatives/php-fpm.sock link 777 0:0 target=/run/php/php8.1-fpm.sock
            //- failed 14:02:11 fastcgi://unix:/run/php/php-fpm.sock: level=crit
            connect() to unix:/run/php/php-fpm.sock failed (2: No such file or directory) while connecting to upstream
            //- connect unix:/run/php/php-fpm.sock -> errno 2
        "]), @"
        answer: socket-missing, ongoing
        confirmed: /run/php/php-fpm.sock is a symbolic link to what does not exist, /run/php/php8.1-fpm.sock (/run/php/php-fpm.sock -> /etc/alternatives/php-fpm.sock, /etc/alternatives/php-fpm.sock -> /run/php/php8.1-fpm.sock)
        - log 14:02:11 x1: connect() to unix:/run/php/php-fpm.sock failed (2: No such file or directory) while connecting to upstream
        - walk: /run/php/php8.1-fpm.sock does not exist
        - connect 14:05:00: connect unix:/run/php/php-fpm.sock as nginx's worker: 2: No such file or directory
        fix, shown: mend what /run/php/php-fpm.sock leads to
          start the application that is to listen on /run/php/php8.1-fpm.sock
          or lead the link to what listens: update-alternatives --display php-fpm.sock, then update-alternatives --set php-fpm.sock PATH
        ");
    }

    #[test]
    fn confirmed_with_the_unit_that_is_to_make_it() {
        assert_snapshot!(check(ID, [HOST, "
            //- file /etc/systemd/system/shop.service
            [Service]
            ExecStart=/srv/venv/bin/gunicorn --bind unix:/run/app.sock shop.wsgi
            //- unit shop.service ActiveState=inactive SubState=dead Result=success
        "]), @"
        answer: socket-missing, ongoing
        confirmed: /run/app.sock does not exist: shop.service is stopped
        - log 14:02:11 x1: connect() to unix:/run/app.sock failed (2: No such file or directory) while connecting to upstream
        - walk: /run/app.sock does not exist
        - connect 14:05:00: connect unix:/run/app.sock as nginx's worker: 2: No such file or directory
        - unit: shop.service has ExecStart=/srv/venv/bin/gunicorn --bind unix:/run/app.sock shop.wsgi
        - unit: shop.service is stopped
        fix, unsafe: start shop.service
          $ systemctl start shop.service
        ");
    }

    #[test]
    fn confirmed_where_the_listeners_file_was_removed() {
        assert_snapshot!(check(ID, [HOST, "
            //- process 77
            gunicorn --bind unix:/run/app.sock shop.wsgi
            //- listen unix /run/app.sock pid=77 gone
        "]), @"
        answer: socket-missing, ongoing
        confirmed: /run/app.sock does not exist; gunicorn (pid 77) still listens on the file that was removed
        - log 14:02:11 x1: connect() to unix:/run/app.sock failed (2: No such file or directory) while connecting to upstream
        - walk: /run/app.sock does not exist
        - connect 14:05:00: connect unix:/run/app.sock as nginx's worker: 2: No such file or directory
        - sockets 12:30:00: LISTEN unix:/run/app.sock pid 77 gunicorn --bind unix:/run/app.sock shop.wsgi
        fix, shown: restart gunicorn (pid 77), which makes the socket anew
          restart gunicorn (pid 77), which makes the socket anew
        ");
    }

    #[test]
    fn confirmed_without_a_connection_while_it_fails() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://unix:/run/app.sock; } } }
            //- path /run dir 755 0:0
            //- options no-connect
            //- failed 14:04:50 http://unix:/run/app.sock:/ level=crit
            connect() to unix:/run/app.sock failed (2: No such file or directory) while connecting to upstream
        "]), @"
        answer: socket-missing, ongoing
        confirmed: /run/app.sock does not exist
        - log 14:04:50 x1: connect() to unix:/run/app.sock failed (2: No such file or directory) while connecting to upstream
        - walk: /run/app.sock does not exist
        fix, shown: start the application that is to listen on /run/app.sock, or correct the path
          start the application that is to listen on /run/app.sock, or correct the path
        ");
    }

    #[test]
    fn confirmed_where_a_uri_follows_without_a_colon() {
        let conf = "
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://unix:/run/app.sock/api; } } }
        ";
        assert_snapshot!(check(ID, [conf, "
            //- path /run/app.sock socket 666 0:0 ino=7
            //- process 77
            app
            //- listen unix /run/app.sock pid=77 ino=7
            //- failed 14:02:11 http://unix:/run/app.sock/api:/ level=crit
            connect() to unix:/run/app.sock/api failed (20: Not a directory) while connecting to upstream
            //- connect unix:/run/app.sock/api -> errno 20
        "]), @"
        answer: socket-missing, ongoing
        confirmed: nothing can be at /run/app.sock/api: /run/app.sock is a socket, no directory
        - log 14:02:11 x1: connect() to unix:/run/app.sock/api failed (20: Not a directory) while connecting to upstream
        - connect 14:05:00: connect unix:/run/app.sock/api as nginx's worker: 20: Not a directory
        - walk: /run/app.sock is a socket (srw-rw-rw- uid 0 gid 0)
        - config /etc/nginx/nginx.conf:1: proxy_pass http://unix:/run/app.sock/api;
        fix, unsafe: write the colon that ends the socket's path: unix:/run/app.sock:/
          /etc/nginx/nginx.conf:1: proxy_pass http://unix:/run/app.sock/api; => proxy_pass http://unix:/run/app.sock:/api;
          $ nginx -t
          $ nginx -s reload
        ");
        let missing = check(ID, [conf, "
            //- path /run dir 755 0:0
            //- failed 14:02:11 http://unix:/run/app.sock/api:/ level=crit
            connect() to unix:/run/app.sock/api failed (2: No such file or directory) while connecting to upstream
        "]);
        assert!(missing.contains("proxy_pass http://unix:/run/app.sock:/api;"), "{missing}");
    }

    #[test]
    fn confirmed_where_the_path_leads_through_a_file() {
        let said = check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { fastcgi_pass unix:/run/app/app.sock; } } }
            //- path /run/app file 644 0:0
            //- failed 14:02:11 fastcgi://unix:/run/app/app.sock: level=crit
            connect() to unix:/run/app/app.sock failed (20: Not a directory) while connecting to upstream
            //- connect unix:/run/app/app.sock -> errno 20
        "]);
        assert!(said.contains("confirmed: nothing can be at /run/app/app.sock: /run/app is a file, no directory"), "{said}");
        assert!(!said.contains("colon"), "{said}");
    }

    #[test]
    fn confirmed_where_links_lead_in_a_circle() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://unix:/run/app.sock; } } }
            //- path /run/app.sock link 777 0:0 target=/run/other.sock
            //- path /run/other.sock link 777 0:0 target=/run/app.sock
            //- failed 14:02:11 http://unix:/run/app.sock:/ level=crit
            connect() to unix:/run/app.sock failed (40: Too many levels of symbolic links) while connecting to upstream
            //- connect unix:/run/app.sock -> errno 40
        "]), @"
        answer: socket-missing, ongoing
        confirmed: /run/app.sock leads in a circle of symbolic links: /run/app.sock -> /run/other.sock, /run/other.sock -> /run/app.sock
        - log 14:02:11 x1: connect() to unix:/run/app.sock failed (40: Too many levels of symbolic links) while connecting to upstream
        - connect 14:05:00: connect unix:/run/app.sock as nginx's worker: 40: Too many levels of symbolic links
        - walk: /run/app.sock -> /run/other.sock, /run/other.sock -> /run/app.sock, and so on
        - config /etc/nginx/nginx.conf:1: proxy_pass http://unix:/run/app.sock;
        fix, shown: make the symbolic link at /run/app.sock lead to the socket that the application listens on
          make the symbolic link at /run/app.sock lead to the socket that the application listens on
        ");
    }

    #[test]
    fn confirmed_of_a_path_that_is_not_absolute() {
        let conf = "
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://unix:run/app.sock; } } }
            //- link /proc/2842/cwd -> /root
            //- path /root dir 755 0:0
            //- failed 14:02:11 http://unix:run/app.sock:/ level=crit
            connect() to unix:run/app.sock failed (2: No such file or directory) while connecting to upstream
        ";
        assert_snapshot!(check(ID, [conf, "
            //- path /run/app.sock socket 666 0:0 ino=7
            //- process 77
            app
            //- listen unix /run/app.sock pid=77 ino=7
        "]), @"
        answer: socket-missing, ongoing
        confirmed: run/app.sock is not absolute, and nginx's worker takes it for /root/run/app.sock, which does not exist; app (pid 77) listens on /run/app.sock
        - log 14:02:11 x1: connect() to unix:run/app.sock failed (2: No such file or directory) while connecting to upstream
        - walk: /root/run does not exist
        - connect 14:05:00: connect unix:run/app.sock as nginx's worker: 2: No such file or directory
        - sockets 12:30:00: LISTEN unix:/run/app.sock pid 77 app
        - config /etc/nginx/nginx.conf:1: proxy_pass http://unix:run/app.sock;
        fix, unsafe: dial unix:/run/app.sock
          /etc/nginx/nginx.conf:1: proxy_pass http://unix:run/app.sock; => proxy_pass http://unix:/run/app.sock;
          $ nginx -t
          $ nginx -s reload
        ");
        let said = check(ID, [conf]);
        assert!(said.contains("write the whole path of the socket in place of run/app.sock"), "{said}");
    }

    #[test]
    fn unknown_once_the_path_leads_elsewhere() {
        let said = check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://unix:/run/app.sock/api; } } }
            //- path /run/app.sock/api socket 666 0:0
            //- failed 14:02:11 http://unix:/run/app.sock/api:/ level=crit
            connect() to unix:/run/app.sock/api failed (20: Not a directory) while connecting to upstream
        "]);
        assert!(said.contains("unknown: whether the socket was there: it exists now"), "{said}");
    }

    #[test]
    fn ruled_out_by_another_failure() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://unix:/run/app.sock; } } }
            
            //- path /run/app.sock socket 600 0:0
            //- failed 14:02:11 http://unix:/run/app.sock:/ level=crit
            connect() to unix:/run/app.sock failed (13: Permission denied) while connecting to upstream
        "]), @"
        answer: none, ongoing
        ruled out
        - log 14:02:11 x1: connect() to unix:/run/app.sock failed (13: Permission denied) while connecting to upstream
        ");
    }

    #[test]
    fn unknown_without_a_connection_when_the_last_failure_is_long_ago() {
        assert_snapshot!(check(ID, [HOST, "
            //- options no-connect
        "]), @"
        answer: none, over
        unknown: whether it is the same that was missing: the last failure is long ago
        ");
    }

    #[test]
    fn unknown_once_the_socket_is_there() {
        assert_snapshot!(check(ID, [HOST, "
            //- process 77
            app
            //- listen unix /run/app.sock pid=77
        "]), @"
        answer: none, over
        unknown: whether the socket was there: it exists now
        leaning: /run/app.sock exists now; when it failed it did not
        ");
    }

    #[test]
    fn unknown_without_the_right_to_connect_as_the_worker() {
        assert_snapshot!(check(ID, [HOST, "
            //- connect unix:/run/app.sock -> errno 1
        "]), @"
        answer: none, over
        unknown: whether unix:/run/app.sock still fails: a connection as nginx's worker needs root
        learn: sudo why502
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
    fn unknown_when_the_snapshot_lacks_the_walk() {
        assert_snapshot!(check(ID, [HOST, "
            //- unrecorded walk
        "]), @"
        answer: none, ongoing
        unknown: owner and mode along /run/app.sock: the snapshot does not hold it
        ");
    }

    #[test]
    fn unknown_where_something_else_stands_on_the_way() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://unix:/run/app.sock; } } }
            //- path /run file 644 0:0
            //- failed 14:02:11 http://unix:/run/app.sock:/ level=crit
            connect() to unix:/run/app.sock failed (2: No such file or directory) while connecting to upstream
            //- connect unix:/run/app.sock -> errno 2
        "]), @"
        answer: none, ongoing
        unknown: what stands at /run/app.sock: the path cannot be followed (errno 20)
        ");
    }

    #[test]
    fn not_confirmed_where_the_file_exists_outside_nginxs_mount_namespace() {
        assert_snapshot!(check(ID, [r#"
            //- nginx mnt=2
            //- file /etc/nginx/nginx.conf mnt=2
            http { error_log /dev/null; server { error_log /srv/error.log; location / { proxy_pass http://unix:/tmp/app.sock; } } }
            //- path /tmp dir 777 0:0 mnt=2
            //- process 77
            app
            //- listen unix /tmp/app.sock pid=77
            //- file /srv/error.log mnt=2
            2026/06/23 14:02:11 [crit] 2842#2842: *1 connect() to unix:/tmp/app.sock failed (2: No such file or directory) while connecting to upstream, client: 192.0.2.7, server: , request: "GET / HTTP/1.1", upstream: "http://unix:/tmp/app.sock:/", host: "shop.example"
        "#]), @"
        answer: none, ongoing
        unknown: why nginx does not see the socket: it exists in the host's view
        leaning: /tmp/app.sock exists, but not in nginx's view: its mounts or root hide it
        ");
    }

    #[test]
    fn not_confirmed_where_the_listener_sees_the_file_in_its_own_mount_namespace() {
        // The application has a /tmp of its own.
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://unix:/tmp/app.sock; } } }
            //- path /tmp dir 777 0:0
            //- failed 14:02:11 http://unix:/tmp/app.sock:/ level=crit
            connect() to unix:/tmp/app.sock failed (2: No such file or directory) while connecting to upstream
            //- process 77 mnt=2
            gunicorn --bind unix:/tmp/app.sock shop.wsgi
            //- listen unix /tmp/app.sock pid=77 mnt=2
        "]), @"
        answer: none, ongoing
        unknown: whether the listener's file was removed or is hidden from nginx: its listener sees the file
        leaning: gunicorn (pid 77) listens on a socket of that path which nginx does not see
        ");
    }

    /// A pool of php-fpm is set to listen there, and its log ends so.
    fn pool(log: &str) -> String {
        format!(
            "
        //- unit php8.2-fpm.service ActiveState=failed SubState=failed Result=exit-code ExecMainCode=1 ExecMainStatus=78
        //- file /etc/php/8.2/fpm/php-fpm.conf
        [global]
        error_log = /var/log/php8.2-fpm.log
        include=/etc/php/8.2/fpm/pool.d/*.conf
        //- file /etc/php/8.2/fpm/pool.d/www.conf
        [www]
        listen = /run/app.sock
        //- file /var/log/php8.2-fpm.log
        {log}
    "
        )
    }

    #[test]
    fn says_why_php_fpm_could_not_start() {
        let log = "[23-Jun-2026 14:00:00] ERROR: [pool www] cannot get uid for user 'shop'
        [23-Jun-2026 14:00:00] ERROR: failed to post process the configuration
        [23-Jun-2026 14:00:00] ERROR: FPM initialization failed";
        assert_snapshot!(check(ID, [HOST, &pool(log)]), @"
        answer: socket-missing, ongoing
        confirmed: /run/app.sock does not exist: php8.2-fpm.service has failed (exit-code, status 78); its php-fpm could not start: [pool www] cannot get uid for user 'shop'
        - log 14:02:11 x1: connect() to unix:/run/app.sock failed (2: No such file or directory) while connecting to upstream
        - walk: /run/app.sock does not exist
        - connect 14:05:00: connect unix:/run/app.sock as nginx's worker: 2: No such file or directory
        - file: the php-fpm pool [www] has listen = unix:/run/app.sock (/etc/php/8.2/fpm/pool.d/www.conf)
        - unit: php8.2-fpm.service has failed (exit-code, status 78)
        - lines-since: /var/log/php8.2-fpm.log ends with a failed start: [pool www] cannot get uid for user 'shop'
        fix, unsafe: start php8.2-fpm.service
          mend what keeps it from starting, as said above and in /var/log/php8.2-fpm.log: a pool's file, or what holds its address
          $ systemctl start php8.2-fpm.service
        ");
        let ran = check(ID, [HOST, &pool("[23-Jun-2026 14:00:00] NOTICE: fpm is running, pid 7")]);
        assert!(!ran.contains("could not start"), "{ran}");
    }
}
