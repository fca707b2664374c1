//! See the doc comment of [`NGINX_SANDBOXED`].

use std::net::SocketAddr;
use std::path::Path;

use facts::{Exhibit, Gap, PeerAddress};
use log::error::{Class, While};

use crate::case::network::Repeated;
use crate::case::{Access, Case, Cover, NginxSandbox, Veiled};
use crate::incident::Incident;
use crate::verdict::{AGAIN, Confirmation, Fix, Proof, Safety, Step, Verdict};

declare_cause! {
    /// nginx's own systemd unit forbids what the connection needs: an address family, the host's network, or a path.
    ///
    /// ## Confirmed when
    /// The connection still fails as it failed for nginx, the unit's files are older than nginx's master, and
    /// - `RestrictAddressFamilies=` leaves the peer's family out (97), the worker's system calls are filtered, and outside
    ///   the unit the kernel knows the family; or
    /// - `ProtectHome=`, `InaccessiblePaths=`, `TemporaryFileSystem=` or `PrivateTmp=` covers the unix socket or a
    ///   directory above it (13, 2), and there nginx's worker sees another file than the host, or none; or
    /// - `PrivateNetwork=` gave nginx a network with a loopback and nothing else, and the peer listens on the host's own
    ///   loopback (111), or is reached by another address (101); no other unit shares that network (`JoinsNamespaceOf=`).
    ///
    /// `IPAddressDeny=` leaves no trace where it drops: it is named, never proven.
    ///
    /// ## Ruled out when
    /// The failure is another one, nginx runs in no service of systemd, or its unit does not cover what the connection
    /// needs: it has the host's network, sees the host's own files along the socket's path, may use the address family.
    ///
    /// ## Fix
    /// A drop-in for nginx's unit that allows just this, and a restart of nginx: a reload keeps the old sandbox.
    /// Shown only: somebody restricted nginx for a reason.
    ///
    /// ## Looks like
    /// `socket() failed (97: Address family not supported by protocol) while connecting to upstream`; the client sees 500.
    /// `connect() to unix:/home/shop/app.sock failed (13: Permission denied) while connecting to upstream`
    ///
    /// ## See also
    /// systemd.exec(5) on sandboxing. A path that is covered looks like one of mode 000 to nginx, and to the shell it does
    /// not.
    pub(crate) static NGINX_SANDBOXED = {
        id: "nginx-sandboxed", since: "0.1.0", stage: Socket,
        refines: [
            "peer-in-other-netns", "peer-not-listening", "peer-unreachable", "socket-hidden-by-namespace", "socket-missing",
            "socket-permission-denied"
        ],
        judge: Alone(judge),
    }
}

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    let connecting = incident.action == Some(While::ConnectingToUpstream);
    let Some(class) = incident.failure.filter(|_| connecting) else {
        return Ok(Verdict::RuledOut(proof));
    };
    match class {
        Class::AddressFamily => of_family(incident, case, proof),
        Class::PermissionDenied | Class::SocketMissing => match incident.dialled()? {
            PeerAddress::Unix(path) => of_path(incident, case, proof, path),
            PeerAddress::Tcp(_) => Ok(Verdict::RuledOut(proof)),
        },
        Class::ConnectRefused | Class::NetworkUnreachable => match *incident.dialled()? {
            PeerAddress::Tcp(address) => of_network(incident, case, proof, address),
            PeerAddress::Unix(_) => Ok(Verdict::RuledOut(proof)),
        },
        Class::OperationNotPermitted | Class::ConnectTimeout | Class::ConnectTimeoutKernel => {
            match *incident.dialled()? {
                PeerAddress::Tcp(address) => of_addresses(incident, case, proof, address),
                PeerAddress::Unix(_) => Ok(Verdict::RuledOut(proof)),
            }
        }
        _ => Ok(Verdict::RuledOut(proof)),
    }
}

/// `RestrictAddressFamilies=`: a filter of system calls answers with errno 97.
fn of_family(incident: &Incident, case: &Case, proof: Proof) -> Result<Verdict, Gap> {
    let address = incident.dialled()?;
    let again = case.still_failing(incident)?;
    let Some(filter) = case.forbidden_family(incident)? else {
        let none = record("unit", "no filter of nginx's own unit forbids the address family");
        return Ok(Verdict::RuledOut(proof.and(again).and(none)));
    };
    let Some(sandbox) = case.nginx_sandbox(incident)? else {
        return Ok(Verdict::RuledOut(proof.and(again)));
    };
    // The repeated connection bears no filter: that it gets beyond `socket()` shows that the kernel has the family.
    let outside = match case.repeated_unconfined(incident)? {
        Repeated::Same(exhibit) => {
            let Exhibit::Record { text, .. } = &exhibit else {
                return Ok(Verdict::RuledOut(proof.and(again)));
            };
            return Err(Gap::undecided("whether the unit or the kernel lacks the family", text.clone())
                .leaning(format!("{} forbids it, and the kernel does not seem to have it either", sandbox.name())));
        }
        Repeated::Succeeds => record("connect", "the same connection outside of the unit succeeds"),
        Repeated::Other(_, exhibit) | Repeated::Silent(exhibit) => exhibit,
    };
    let family = crate::case::family(address);
    let settings = sandbox.settings();
    let held = case.held_since_start(&sandbox)?;
    Ok(Verdict::Confirmed(Confirmation {
        summary: format!(
            "{} lets nginx make no {family} socket: RestrictAddressFamilies={}",
            sandbox.name(),
            settings.restrict_address_families
        ),
        proof: proof.and(filter).and(outside).and(held),
        // Lists of this setting add up, so that one more is one more; of a forbidding one the name is taken off.
        fixes: vec![fix(&sandbox, format!("allow {family}"), vec![format!("RestrictAddressFamilies={family}")])],
    }))
}

/// What covers a path of the host's.
fn of_path(incident: &Incident, case: &Case, proof: Proof, path: &Path) -> Result<Verdict, Gap> {
    let Some(apart) = case.apart(incident, "mnt")? else {
        let shared = record("link", "nginx has the host's own mounts");
        return Ok(Verdict::RuledOut(proof.and(shared)));
    };
    let Some(sandbox) = case.nginx_sandbox(incident)? else {
        let none = record("file", "nginx runs in no service of systemd");
        return Ok(Verdict::RuledOut(proof.and(none)));
    };
    let veiled = case.veiled(incident, path)?;
    let again = case.still_failing(incident)?;
    let Some(veiled) = veiled else {
        let same = record("walk", format!("nginx sees the host's own files along {}", path.display()));
        return Ok(Verdict::RuledOut(proof.and(again).and(same)));
    };
    let place = veiled.theirs.path.clone();
    let held = case.held_since_start(&sandbox);
    let Some(cover) = sandbox.cover(&place) else {
        held.map_err(|gap| changed(gap, &sandbox))?;
        return Err(Gap::undecided(
            format!("what hides {} from nginx", place.display()),
            format!("no setting of {} names it", sandbox.name()),
        )
        .learn(format!("systemctl show {}", sandbox.name())));
    };
    let hides = || format!("{}={} of {} hides {} from nginx", cover.key, cover.value, sandbox.name(), place.display());
    let held = held.map_err(|gap| gap.leaning(hides()))?;
    if cover.key == "PrivateTmp" {
        case.shares_with_none(&sandbox).map_err(|gap| gap.leaning(hides()))?;
    }
    let outside = case.walk_outside(path)?;
    let socket = outside.file().filter(crate::case::Component::is_socket);
    if !is_effect(incident, case, path, &veiled)? {
        return Err(Gap::undecided(
            format!("whether {}={} is why", cover.key, cover.value),
            format!("at {} nginx does not meet what it would make", place.display()),
        ));
    }
    let Some(socket) = socket else {
        return Err(Gap::undecided(
            "whether nginx would reach the socket without its sandbox",
            format!("the host has no socket at {}", path.display()),
        )
        .leaning(hides()));
    };
    let ours = veiled.ours.as_ref().map_or_else(|| "nothing".to_owned(), crate::case::Component::describe);
    let seen = record(
        "walk",
        format!("at {} nginx sees {ours}, and the host {}", place.display(), veiled.theirs.describe()),
    );
    let there = record("walk", format!("at {} the host has a socket ({})", path.display(), socket.describe()));
    let then = match case.worker_identity(incident)?.access(&outside)? {
        Access::Granted(_) => None,
        Access::Denied(components) => components.first().map(|component| {
            let text = format!("without it, owner and mode of {} deny nginx too ({})", component.path.display(), component.describe());
            record("walk", text)
        }),
    };
    Ok(Verdict::Confirmed(Confirmation {
        summary: format!("{} hides {} from nginx: {}={}", sandbox.name(), path.display(), cover.key, cover.value),
        proof: proof
            .and(again)
            .and(sandbox.exhibit(cover.key, &cover.value))
            .and(seen)
            .and(there)
            .and(apart)
            .and(held)
            .with(then),
        fixes: uncover(&sandbox, &cover, &place, path),
    }))
}

/// Whether what nginx meets there is what such a setting makes: something that denies, or nothing.
fn is_effect(incident: &Incident, case: &Case, path: &Path, veiled: &Veiled) -> Result<bool, Gap> {
    let place = &veiled.theirs.path;
    let walk = case.walk_as_worker(incident, path)?;
    if incident.is(Class::SocketMissing) {
        return Ok(walk.missing().is_some_and(|missing| missing.starts_with(place)));
    }
    let denied = match case.worker_identity(incident)?.access(&walk)? {
        Access::Granted(_) => return Ok(false),
        Access::Denied(components) => components,
    };
    Ok(denied.first().is_some_and(|first| first.path == *place))
}

/// Lets nginx see the socket's directory and no more than that, where the setting covers more.
fn uncover(sandbox: &NginxSandbox, cover: &Cover, place: &Path, path: &Path) -> Vec<Fix> {
    let directory = path.parent().unwrap_or(path);
    let is_below = directory != place && directory.starts_with(place);
    let bind = format!("BindReadOnlyPaths={}", directory.display());
    let mut lines = Vec::new();
    let reset = |lines: &mut Vec<String>| {
        lines.push(format!("{}=", cover.key));
        lines.extend(cover.others.iter().map(|other| format!("{}={other}", cover.key)));
    };
    match (cover.key, is_below) {
        ("ProtectHome", true) => lines.extend(["ProtectHome=tmpfs".to_owned(), bind]),
        ("ProtectHome", false) => lines.push("ProtectHome=read-only".to_owned()),
        ("PrivateTmp" | "TemporaryFileSystem", true) => lines.push(bind),
        ("PrivateTmp", false) => lines.push("PrivateTmp=no".to_owned()),
        ("InaccessiblePaths", true) => {
            reset(&mut lines);
            lines.extend([format!("TemporaryFileSystem={}:ro", place.display()), bind]);
        }
        _ => reset(&mut lines),
    }
    vec![fix(sandbox, format!("let nginx see {}", directory.display()), lines)]
}

/// `PrivateNetwork=`.
fn of_network(incident: &Incident, case: &Case, proof: Proof, address: SocketAddr) -> Result<Verdict, Gap> {
    let Some(apart) = case.apart(incident, "net")? else {
        let shared = record("link", "nginx has the host's own network");
        return Ok(Verdict::RuledOut(proof.and(shared)));
    };
    let Some(sandbox) = case.nginx_sandbox(incident)? else {
        let none = record("file", "nginx runs in no service of systemd");
        return Ok(Verdict::RuledOut(proof.and(none)));
    };
    let held = case.held_since_start(&sandbox).map_err(|gap| changed(gap, &sandbox))?;
    let again = case.still_failing(incident)?;
    if !sandbox.settings().private_network {
        let setting = sandbox.exhibit("PrivateNetwork", "no");
        return Ok(Verdict::RuledOut(proof.and(again).and(setting).and(held)));
    }
    let Some(alone) = case.only_loopback(incident)? else {
        return Err(Gap::undecided("what nginx's network leads to", "it has addresses besides loopback"));
    };
    let leaning = || format!("{} has PrivateNetwork=yes: nginx reaches no port of the host", sandbox.name());
    case.shares_with_none(&sandbox).map_err(|gap| gap.leaning(leaning()))?;
    let proof = proof.and(again).and(sandbox.exhibit("PrivateNetwork", "yes")).and(apart).and(alone).and(held);
    let own = format!("{} gives nginx a network of its own (PrivateNetwork)", sandbox.name());
    let shared = fix(&sandbox, "give nginx the host's network".to_owned(), vec!["PrivateNetwork=no".to_owned()]);
    if !incident.is(Class::ConnectRefused) {
        let summary = format!("{own}: no way leads to {address}");
        return Ok(Verdict::Confirmed(Confirmation { summary, proof, fixes: vec![shared] }));
    }
    let Some(listener) = case.listener_outside(address)? else {
        return Err(Gap::undecided(
            "what nginx would reach in the host's network",
            format!("nothing listens on {address} there either"),
        )
        .leaning(leaning()));
    };
    let unix = Fix {
        summary: "use a unix socket, which nginx reaches all the same".to_owned(),
        safety: Safety::DisplayOnly,
        steps: vec![Step::Advice {
            text: format!("let {} listen on a unix socket below /run, and nginx dial that", listener.who()),
        }],
        verify: Some(AGAIN.to_owned()),
    };
    Ok(Verdict::Confirmed(Confirmation {
        summary: format!("{own}: {} listens on {} of the host's", listener.who(), listener.address),
        proof: proof.and(listener.exhibit()),
        fixes: vec![unix, shared],
    }))
}

/// `IPAddressDeny=`: the kernel drops what it covers and counts it nowhere.
fn of_addresses(incident: &Incident, case: &Case, proof: Proof, address: SocketAddr) -> Result<Verdict, Gap> {
    let Some(sandbox) = case.nginx_sandbox(incident)? else {
        let none = record("file", "nginx runs in no service of systemd");
        return Ok(Verdict::RuledOut(proof.and(none)));
    };
    let Some(network) = sandbox.settings().denies_address(address.ip()) else {
        let held = case.held_since_start(&sandbox)?;
        let none = record("unit", format!("no IPAddressDeny of {} covers {}", sandbox.name(), address.ip()));
        return Ok(Verdict::RuledOut(proof.and(none).and(held)));
    };
    Err(Gap::undecided(
        format!("whether IPAddressDeny of {} is why", sandbox.name()),
        "the kernel keeps no record of what it drops for it",
    )
    .leaning(format!("{} has IPAddressDeny={network}, which covers {}", sandbox.name(), address.ip()))
    .learn(format!("systemctl show -p IPAddressAllow,IPAddressDeny {}", sandbox.name())))
}

/// A gap that the unit has left by what it says since.
fn changed(gap: Gap, sandbox: &NginxSandbox) -> Gap {
    let unit = sandbox.name();
    gap.leaning(format!("{unit} has changed since nginx was started: what it says now holds after systemctl restart {unit}"))
}

/// A drop-in with these settings.
fn fix(sandbox: &NginxSandbox, summary: String, lines: Vec<String>) -> Fix {
    let unit = sandbox.name();
    let lines = lines.into_iter().map(|line| Step::Advice { text: format!("systemctl edit {unit}: [Service] {line}") });
    Fix {
        summary,
        safety: Safety::DisplayOnly,
        steps: lines
            .chain([Step::command(["systemctl", "daemon-reload"]), Step::command(["systemctl", "restart", unit])])
            .collect(),
        verify: Some(AGAIN.to_owned()),
    }
}

fn record(probe: &'static str, text: impl Into<String>) -> Exhibit {
    Exhibit::Record { probe, at: None, text: text.into() }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::fixture::check;

    const ID: &str = "nginx-sandboxed";
    /// nginx with mounts of its own dials a socket below /home and is denied.
    const DENIED: &str = "
        //- nginx mnt=2 cgroup=/system.slice/nginx.service
        //- file /etc/nginx/nginx.conf mnt=2
        http { server { location / { proxy_pass http://unix:/home/shop/run/app.sock; } } }
        //- file /etc/passwd mnt=2
        www-data:x:33:33::/var/www:/usr/sbin/nologin
        //- options error-log=/var/log/nginx/error.log
        //- failed 14:02:11 http://unix:/home/shop/run/app.sock:/ level=crit
        connect() to unix:/home/shop/run/app.sock failed (13: Permission denied) while connecting to upstream
        //- connect unix:/home/shop/run/app.sock -> errno 13
    ";
    /// What ProtectHome=yes makes of it, and what the host has.
    const COVERED: &str = "
        //- path /home dir 0 0:0 dev=1 ino=90 mnt=2
        //- path /home dir 755 0:0 dev=1 ino=5
        //- path /home/shop/run/app.sock socket 666 77:77 dev=1 ino=7
    ";
    const UNIT: &str = "
        //- file /lib/systemd/system/nginx.service ctime=11:00:00
        [Service]
        //- unit nginx.service ActiveState=active FragmentPath=/lib/systemd/system/nginx.service ProtectHome=yes
    ";

    #[test]
    fn confirmed_by_a_covered_home() {
        assert_snapshot!(check(ID, [DENIED, COVERED, UNIT]), @"
        answer: nginx-sandboxed, ongoing
        confirmed: nginx.service hides /home/shop/run/app.sock from nginx: ProtectHome=yes
        - log 14:02:11 x1: connect() to unix:/home/shop/run/app.sock failed (13: Permission denied) while connecting to upstream
        - connect 14:05:00: connect unix:/home/shop/run/app.sock as nginx's worker: 13: Permission denied
        - unit: nginx.service has ProtectHome=yes
        - walk: at /home nginx sees d--------- uid 0 gid 0, and the host drwxr-xr-x uid 0 gid 0
        - walk: at /home/shop/run/app.sock the host has a socket (srw-rw-rw- uid 77 gid 77)
        - link: nginx's worker (pid 2842) is in mnt:[2], and the host in mnt:[1]
        - unit 11:00:00: the files of nginx.service have not changed since nginx was started (pid 2841)
        fix, shown: let nginx see /home/shop/run
          systemctl edit nginx.service: [Service] ProtectHome=tmpfs
          systemctl edit nginx.service: [Service] BindReadOnlyPaths=/home/shop/run
          $ systemctl daemon-reload
          $ systemctl restart nginx.service
        ");
    }

    #[test]
    fn confirmed_with_what_denies_once_it_is_uncovered() {
        assert_snapshot!(check(ID, [DENIED, COVERED, UNIT, "
            //- path /home/shop dir 700 77:77 dev=1 ino=6
        "]), @"
        answer: nginx-sandboxed, ongoing
        confirmed: nginx.service hides /home/shop/run/app.sock from nginx: ProtectHome=yes
        - log 14:02:11 x1: connect() to unix:/home/shop/run/app.sock failed (13: Permission denied) while connecting to upstream
        - connect 14:05:00: connect unix:/home/shop/run/app.sock as nginx's worker: 13: Permission denied
        - unit: nginx.service has ProtectHome=yes
        - walk: at /home nginx sees d--------- uid 0 gid 0, and the host drwxr-xr-x uid 0 gid 0
        - walk: at /home/shop/run/app.sock the host has a socket (srw-rw-rw- uid 77 gid 77)
        - link: nginx's worker (pid 2842) is in mnt:[2], and the host in mnt:[1]
        - unit 11:00:00: the files of nginx.service have not changed since nginx was started (pid 2841)
        - walk: without it, owner and mode of /home/shop deny nginx too (drwx------ uid 77 gid 77)
        fix, shown: let nginx see /home/shop/run
          systemctl edit nginx.service: [Service] ProtectHome=tmpfs
          systemctl edit nginx.service: [Service] BindReadOnlyPaths=/home/shop/run
          $ systemctl daemon-reload
          $ systemctl restart nginx.service
        ");
    }

    #[test]
    fn confirmed_by_an_inaccessible_socket() {
        assert_snapshot!(check(ID, [DENIED, "
            //- path /home/shop/run/app.sock socket 0 0:0 dev=1 ino=90 mnt=2
            //- path /home/shop/run/app.sock socket 666 77:77 dev=1 ino=7
        ", &UNIT.replace("ProtectHome=yes", "InaccessiblePaths=-/home/shop/run/app.sock")]), @"
        answer: nginx-sandboxed, ongoing
        confirmed: nginx.service hides /home/shop/run/app.sock from nginx: InaccessiblePaths=-/home/shop/run/app.sock
        - log 14:02:11 x1: connect() to unix:/home/shop/run/app.sock failed (13: Permission denied) while connecting to upstream
        - connect 14:05:00: connect unix:/home/shop/run/app.sock as nginx's worker: 13: Permission denied
        - unit: nginx.service has InaccessiblePaths=-/home/shop/run/app.sock
        - walk: at /home/shop/run/app.sock nginx sees s--------- uid 0 gid 0, and the host srw-rw-rw- uid 77 gid 77
        - walk: at /home/shop/run/app.sock the host has a socket (srw-rw-rw- uid 77 gid 77)
        - link: nginx's worker (pid 2842) is in mnt:[2], and the host in mnt:[1]
        - unit 11:00:00: the files of nginx.service have not changed since nginx was started (pid 2841)
        fix, shown: let nginx see /home/shop/run
          systemctl edit nginx.service: [Service] InaccessiblePaths=
          $ systemctl daemon-reload
          $ systemctl restart nginx.service
        ");
    }

    #[test]
    fn confirmed_by_an_empty_file_system() {
        assert_snapshot!(check(ID, [&missing("/srv/shop/run/app.sock"), "
            //- path /srv dir 755 0:0 dev=2 ino=1 mnt=2
            //- path /srv/shop/run/app.sock socket 666 77:77 dev=1 ino=7
        ", &UNIT.replace("ProtectHome=yes", "TemporaryFileSystem=/srv:ro")]), @"
        answer: nginx-sandboxed, ongoing
        confirmed: nginx.service hides /srv/shop/run/app.sock from nginx: TemporaryFileSystem=/srv:ro
        - log 14:02:11 x1: connect() to unix:/srv/shop/run/app.sock failed (2: No such file or directory) while connecting to upstream
        - connect 14:05:00: connect unix:/srv/shop/run/app.sock as nginx's worker: 2: No such file or directory
        - unit: nginx.service has TemporaryFileSystem=/srv:ro
        - walk: at /srv nginx sees drwxr-xr-x uid 0 gid 0, and the host drwxr-xr-x uid 0 gid 0
        - walk: at /srv/shop/run/app.sock the host has a socket (srw-rw-rw- uid 77 gid 77)
        - link: nginx's worker (pid 2842) is in mnt:[2], and the host in mnt:[1]
        - unit 11:00:00: the files of nginx.service have not changed since nginx was started (pid 2841)
        fix, shown: let nginx see /srv/shop/run
          systemctl edit nginx.service: [Service] BindReadOnlyPaths=/srv/shop/run
          $ systemctl daemon-reload
          $ systemctl restart nginx.service
        ");
    }

    #[test]
    fn confirmed_by_a_tmp_of_nginxs_own() {
        assert_snapshot!(check(ID, [&missing("/tmp/app.sock"), "
            //- path /tmp dir 1777 0:0 dev=1 ino=90 mnt=2
            //- path /tmp dir 1777 0:0 dev=1 ino=5
            //- process 77
            app
            //- listen unix /tmp/app.sock pid=77 dev=1 ino=9
        ", &UNIT.replace("ProtectHome=yes", "PrivateTmp=yes")]), @"
        answer: nginx-sandboxed, ongoing
        confirmed: nginx.service hides /tmp/app.sock from nginx: PrivateTmp=yes
        - log 14:02:11 x1: connect() to unix:/tmp/app.sock failed (2: No such file or directory) while connecting to upstream
        - connect 14:05:00: connect unix:/tmp/app.sock as nginx's worker: 2: No such file or directory
        - unit: nginx.service has PrivateTmp=yes
        - walk: at /tmp nginx sees drwxrwxrwt uid 0 gid 0, and the host drwxrwxrwt uid 0 gid 0
        - walk: at /tmp/app.sock the host has a socket (srwxrwxrwx uid 0 gid 0)
        - link: nginx's worker (pid 2842) is in mnt:[2], and the host in mnt:[1]
        - unit 11:00:00: the files of nginx.service have not changed since nginx was started (pid 2841)
        fix, shown: let nginx see /tmp
          systemctl edit nginx.service: [Service] PrivateTmp=no
          $ systemctl daemon-reload
          $ systemctl restart nginx.service
        ");
    }

    #[test]
    fn unknown_where_its_tmp_is_shared_with_another_unit() {
        assert_snapshot!(check(ID, [&missing("/tmp/app.sock"), "
            //- path /tmp dir 1777 0:0 dev=1 ino=90 mnt=2
            //- path /tmp dir 1777 0:0 dev=1 ino=5
            //- path /tmp/app.sock socket 666 77:77
        ", &UNIT.replace("ProtectHome=yes", "JoinsNamespaceOf=shop.service PrivateTmp=yes")]), @"
        answer: none, ongoing
        unknown: where the application is meant to be: nginx.service shares its namespaces with shop.service
        leaning: PrivateTmp=yes of nginx.service hides /tmp from nginx
        ");
    }

    #[test]
    fn ruled_out_where_the_setting_covers_another_path() {
        assert_snapshot!(check(ID, [&DENIED.replace("/home/shop/run", "/run"), UNIT, "
            //- path /home dir 0 0:0 dev=1 ino=90 mnt=2
            //- path /home dir 755 0:0 dev=1 ino=5
            //- path /run/app.sock socket 600 77:77 dev=1 ino=7
            //- path /run/app.sock socket 600 77:77 dev=1 ino=7 mnt=2
        "]), @"
        answer: socket-permission-denied, ongoing
        ruled out
        - log 14:02:11 x1: connect() to unix:/run/app.sock failed (13: Permission denied) while connecting to upstream
        - connect 14:05:00: connect unix:/run/app.sock as nginx's worker: 13: Permission denied
        - walk: nginx sees the host's own files along /run/app.sock
        ");
    }

    #[test]
    fn ruled_out_where_nginx_has_the_hosts_mounts() {
        assert_snapshot!(check(ID, [&DENIED.replace("mnt=2", ""), UNIT, "
            //- path /home/shop/run/app.sock socket 600 77:77
        "]), @"
        answer: socket-permission-denied, ongoing
        ruled out
        - log 14:02:11 x1: connect() to unix:/home/shop/run/app.sock failed (13: Permission denied) while connecting to upstream
        - link: nginx has the host's own mounts
        ");
    }

    #[test]
    fn unknown_where_the_units_file_is_newer_than_nginx() {
        assert_snapshot!(check(ID, [DENIED, COVERED, &UNIT.replace("11:00:00", "14:00:00")]), @"
        answer: none, ongoing
        unknown: what nginx.service forbade when nginx was started: /lib/systemd/system/nginx.service is newer
        learn: systemctl cat nginx.service
        leaning: ProtectHome=yes of nginx.service hides /home from nginx
        ");
    }

    #[test]
    fn unknown_where_systemd_has_not_read_the_file_yet() {
        assert_snapshot!(check(ID, [DENIED, COVERED, &UNIT.replace("ProtectHome", "NeedDaemonReload=yes ProtectHome")]), @"
        answer: none, ongoing
        unknown: what nginx.service forbade when nginx was started: its files have changed since systemd read them
        learn: systemctl cat nginx.service
        leaning: ProtectHome=yes of nginx.service hides /home from nginx
        ");
    }

    #[test]
    fn unknown_where_no_setting_covers_it() {
        assert_snapshot!(check(ID, [DENIED, COVERED, &UNIT.replace("ProtectHome=yes", "ProtectHome=no")]), @"
        answer: none, ongoing
        unknown: what hides /home from nginx: no setting of nginx.service names it
        learn: systemctl show nginx.service
        ");
    }

    #[test]
    fn unknown_where_the_host_has_no_socket_either() {
        assert_snapshot!(check(ID, [DENIED, "
            //- path /home dir 0 0:0 dev=1 ino=90 mnt=2
            //- path /home dir 755 0:0 dev=1 ino=5
        ", UNIT]), @"
        answer: none, ongoing
        unknown: whether nginx would reach the socket without its sandbox: the host has no socket at /home/shop/run/app.sock
        leaning: ProtectHome=yes of nginx.service hides /home from nginx
        ");
    }

    #[test]
    fn unknown_where_systemd_tells_nothing() {
        assert_snapshot!(check(ID, [DENIED, COVERED, UNIT, "
            //- unrecorded command systemctl
        "]), @"
        answer: none, ongoing
        unknown: what nginx.service forbids: systemd does not tell of the unit
        learn: systemctl show nginx.service
        ");
    }

    #[test]
    fn unknown_where_the_namespaces_are_not_to_be_seen() {
        assert_snapshot!(check(ID, [DENIED, COVERED, UNIT, "
            //- denied link /proc/2842/ns/mnt
        "]), @"
        answer: none, ongoing
        unknown: /proc/2842/ns/mnt: needs root
        learn: sudo why502
        ");
    }

    #[test]
    fn unknown_once_it_succeeds() {
        assert_snapshot!(check(ID, [DENIED, COVERED, UNIT, "
            //- connect unix:/home/shop/run/app.sock -> ok
        "]), @"
        answer: none, over
        unknown: whether it held when it failed: the connection succeeds now
        ");
    }

    fn missing(path: &str) -> String {
        DENIED
            .replace("/home/shop/run/app.sock", path)
            .replace("13: Permission denied", "2: No such file or directory")
            .replace("errno 13", "errno 2")
    }

    /// nginx may make no IPv6 socket.
    const NO_SOCKET: &str = "
        //- nginx cgroup=/system.slice/nginx.service filtered
        //- file /etc/nginx/nginx.conf
        http { server { location / { proxy_pass http://[::1]:8000; } } }
        //- failed 14:02:11 http://[::1]:8000/ level=alert
        socket() failed (97: Address family not supported by protocol) while connecting to upstream
    ";
    const SERVED: &str = "
        //- process 77
        app
        //- listen tcp [::1]:8000 pid=77
    ";

    fn families(list: &str) -> String {
        UNIT.replace("ProtectHome=yes", &format!("RestrictAddressFamilies={list}"))
    }

    #[test]
    fn confirmed_by_a_family_that_is_left_out() {
        assert_snapshot!(check(ID, [NO_SOCKET, SERVED, &families("AF_INET")]), @"
        answer: nginx-sandboxed, ongoing
        confirmed: nginx.service lets nginx make no AF_INET6 socket: RestrictAddressFamilies=AF_INET
        - log 14:02:11 x1: socket() failed (97: Address family not supported by protocol) while connecting to upstream
        - file: the system calls of nginx's worker (pid 2842) are filtered, and nginx.service allows no AF_INET6 (RestrictAddressFamilies=AF_INET)
        - connect: the same connection outside of the unit succeeds
        - unit 11:00:00: the files of nginx.service have not changed since nginx was started (pid 2841)
        fix, shown: allow AF_INET6
          systemctl edit nginx.service: [Service] RestrictAddressFamilies=AF_INET6
          $ systemctl daemon-reload
          $ systemctl restart nginx.service
        ");
    }

    #[test]
    fn confirmed_where_nothing_listens_either() {
        assert_snapshot!(check(ID, [NO_SOCKET, &families("~AF_INET6")]), @"
        answer: nginx-sandboxed, ongoing
        confirmed: nginx.service lets nginx make no AF_INET6 socket: RestrictAddressFamilies=~AF_INET6
        - log 14:02:11 x1: socket() failed (97: Address family not supported by protocol) while connecting to upstream
        - file: the system calls of nginx's worker (pid 2842) are filtered, and nginx.service allows no AF_INET6 (RestrictAddressFamilies=~AF_INET6)
        - connect 14:05:00: connect [::1]:8000 as nginx's worker: 111: Connection refused
        - unit 11:00:00: the files of nginx.service have not changed since nginx was started (pid 2841)
        fix, shown: allow AF_INET6
          systemctl edit nginx.service: [Service] RestrictAddressFamilies=AF_INET6
          $ systemctl daemon-reload
          $ systemctl restart nginx.service
        ");
    }

    #[test]
    fn ruled_out_where_the_kernel_lacks_the_family() {
        assert_snapshot!(check(ID, [&NO_SOCKET.replace(" filtered", ""), UNIT, "
            //- connect [::1]:8000 -> errno 97
        "]), @"
        answer: none, ongoing
        ruled out
        - log 14:02:11 x1: socket() failed (97: Address family not supported by protocol) while connecting to upstream
        - connect 14:05:00: connect [::1]:8000 as nginx's worker: 97: Address family not supported by protocol
        - unit: no filter of nginx's own unit forbids the address family
        ");
    }

    #[test]
    fn unknown_where_unit_and_kernel_both_lack_it() {
        assert_snapshot!(check(ID, [NO_SOCKET, &families("AF_INET"), "
            //- connect [::1]:8000 -> errno 97
        "]), @"
        answer: none, ongoing
        unknown: whether the unit or the kernel lacks the family: connect [::1]:8000 as nginx's worker: 97: Address family not supported by protocol
        leaning: nginx.service forbids it, and the kernel does not seem to have it either
        ");
    }

    #[test]
    fn unknown_where_nothing_filters() {
        assert_snapshot!(check(ID, [&NO_SOCKET.replace(" filtered", ""), SERVED, &families("AF_INET")]), @"
        answer: none, over
        unknown: whether it held when it failed: the connection succeeds now
        ");
    }

    #[test]
    fn unknown_where_the_filter_outlives_its_setting() {
        assert_snapshot!(check(ID, [NO_SOCKET, SERVED, &UNIT.replace("11:00:00", "14:03:00")]), @"
        answer: none, over
        unknown: what nginx.service forbade when nginx was started: /lib/systemd/system/nginx.service is newer
        learn: systemctl cat nginx.service
        ");
    }

    /// nginx in another network.
    const APART: &str = "
        //- nginx net=2 cgroup=/system.slice/nginx.service
        //- file /etc/nginx/nginx.conf
        http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
        //- failed 14:02:11 http://127.0.0.1:8000/
        connect() failed (111: Connection refused) while connecting to upstream
    ";
    const BESIDE: &str = "
        //- process 77
        app
        //- listen tcp 127.0.0.1:8000 pid=77
    ";

    fn private() -> String {
        UNIT.replace("ProtectHome=yes", "PrivateNetwork=yes")
    }

    #[test]
    fn confirmed_by_a_network_of_nginxs_own() {
        assert_snapshot!(check(ID, [APART, BESIDE, &private()]), @"
        answer: nginx-sandboxed, ongoing
        confirmed: nginx.service gives nginx a network of its own (PrivateNetwork): app (pid 77) listens on 127.0.0.1:8000 of the host's
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: 111: Connection refused
        - unit: nginx.service has PrivateNetwork=yes
        - link: nginx's worker (pid 2842) is in net:[2], and the host in net:[1]
        - file: nginx's network has no address but loopback
        - unit 11:00:00: the files of nginx.service have not changed since nginx was started (pid 2841)
        - sockets 12:30:00: LISTEN 127.0.0.1:8000 pid 77 app
        fix, shown: use a unix socket, which nginx reaches all the same
          let app (pid 77) listen on a unix socket below /run, and nginx dial that
        fix, shown: give nginx the host's network
          systemctl edit nginx.service: [Service] PrivateNetwork=no
          $ systemctl daemon-reload
          $ systemctl restart nginx.service
        ");
    }

    #[test]
    fn confirmed_where_no_way_leads_out_of_it() {
        assert_snapshot!(check(ID, [&APART.replace("127.0.0.1:8000", "10.0.0.9:8000").replace("111: Connection refused", "101: Network is unreachable"), "
            //- connect 10.0.0.9:8000 -> errno 101
        ", &private()]), @"
        answer: nginx-sandboxed, ongoing
        confirmed: nginx.service gives nginx a network of its own (PrivateNetwork): no way leads to 10.0.0.9:8000
        - log 14:02:11 x1: connect() failed (101: Network is unreachable) while connecting to upstream
        - connect 14:05:00: connect 10.0.0.9:8000 as nginx's worker: 101: Network is unreachable
        - unit: nginx.service has PrivateNetwork=yes
        - link: nginx's worker (pid 2842) is in net:[2], and the host in net:[1]
        - file: nginx's network has no address but loopback
        - unit 11:00:00: the files of nginx.service have not changed since nginx was started (pid 2841)
        fix, shown: give nginx the host's network
          systemctl edit nginx.service: [Service] PrivateNetwork=no
          $ systemctl daemon-reload
          $ systemctl restart nginx.service
        ");
    }

    #[test]
    fn ruled_out_where_nginx_is_elsewhere_by_other_means() {
        assert_snapshot!(check(ID, [APART, BESIDE, UNIT]), @"
        answer: peer-not-listening, ongoing
        ruled out
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - connect 14:05:00: connect 127.0.0.1:8000 as nginx's worker: 111: Connection refused
        - unit: nginx.service has PrivateNetwork=no
        - unit 11:00:00: the files of nginx.service have not changed since nginx was started (pid 2841)
        ");
    }

    #[test]
    fn ruled_out_in_the_hosts_network() {
        assert_snapshot!(check(ID, [&APART.replace("net=2", ""), &private()]), @"
        answer: peer-not-listening, ongoing
        ruled out
        - log 14:02:11 x1: connect() failed (111: Connection refused) while connecting to upstream
        - link: nginx has the host's own network
        ");
    }

    #[test]
    fn unknown_where_nothing_listens_in_the_hosts_network() {
        assert_snapshot!(check(ID, [APART, &private()]), @"
        answer: peer-not-listening, ongoing
        unknown: what nginx would reach in the host's network: nothing listens on 127.0.0.1:8000 there either
        leaning: nginx.service has PrivateNetwork=yes: nginx reaches no port of the host
        ");
    }

    #[test]
    fn unknown_where_the_network_is_shared_with_another_unit() {
        assert_snapshot!(check(ID, [APART, BESIDE, &private().replace("PrivateNetwork", "JoinsNamespaceOf=shop.service PrivateNetwork")]), @"
        answer: peer-not-listening, ongoing
        unknown: where the application is meant to be: nginx.service shares its namespaces with shop.service
        leaning: nginx.service has PrivateNetwork=yes: nginx reaches no port of the host
        ");
    }

    #[test]
    fn unknown_where_its_network_has_other_addresses() {
        assert_snapshot!(check(ID, [APART, BESIDE, &private(), "
            //- local 10.0.0.5 net=2
        "]), @"
        answer: peer-not-listening, ongoing
        unknown: what nginx's network leads to: it has addresses besides loopback
        ");
    }

    /// Silence.
    const SILENT: &str = "
        //- nginx cgroup=/system.slice/nginx.service
        //- file /etc/nginx/nginx.conf
        http { server { location / { proxy_pass http://10.0.0.9:8000; } } }
        //- failed 14:04:55 http://10.0.0.9:8000/
        upstream timed out (110: Connection timed out) while connecting to upstream
        //- connect 10.0.0.9:8000 -> timeout
    ";

    #[test]
    fn ongoing_though_others_get_through() {
        let served = SILENT.replace("-> timeout", "-> ok");
        assert_snapshot!(check(ID, [&served, &UNIT.replace("ProtectHome=yes", "IPAddressDeny=10.0.0.0/8")]), @"
        answer: none, ongoing
        unknown: whether IPAddressDeny of nginx.service is why: the kernel keeps no record of what it drops for it
        learn: systemctl show -p IPAddressAllow,IPAddressDeny nginx.service
        leaning: nginx.service has IPAddressDeny=10.0.0.0/8, which covers 10.0.0.9
        ");
        // Where nothing is dropped, that it succeeds says that it is over.
        assert_snapshot!(check(ID, [&served, &UNIT.replace("ProtectHome=yes", "IPAddressDeny=192.0.2.0/24")]), @"
        answer: none, over
        ruled out
        - log 14:04:55 x1: upstream timed out (110: Connection timed out) while connecting to upstream
        - unit: no IPAddressDeny of nginx.service covers 10.0.0.9
        - unit 11:00:00: the files of nginx.service have not changed since nginx was started (pid 2841)
        ");
    }

    #[test]
    fn unknown_where_addresses_are_denied() {
        assert_snapshot!(check(ID, [SILENT, &UNIT.replace("ProtectHome=yes", "IPAddressDeny=0.0.0.0/0")]), @"
        answer: none, ongoing
        unknown: whether IPAddressDeny of nginx.service is why: the kernel keeps no record of what it drops for it
        learn: systemctl show -p IPAddressAllow,IPAddressDeny nginx.service
        leaning: nginx.service has IPAddressDeny=0.0.0.0/0, which covers 10.0.0.9
        ");
    }

    #[test]
    fn ruled_out_where_the_denied_addresses_are_others() {
        assert_snapshot!(check(ID, [SILENT, &UNIT.replace("ProtectHome=yes", "IPAddressDeny=192.0.2.0/24")]), @"
        answer: none, ongoing
        ruled out
        - log 14:04:55 x1: upstream timed out (110: Connection timed out) while connecting to upstream
        - unit: no IPAddressDeny of nginx.service covers 10.0.0.9
        - unit 11:00:00: the files of nginx.service have not changed since nginx was started (pid 2841)
        ");
    }

    #[test]
    fn ruled_out_without_systemd() {
        assert_snapshot!(check(ID, [SILENT]), @"
        answer: none, ongoing
        ruled out
        - log 14:04:55 x1: upstream timed out (110: Connection timed out) while connecting to upstream
        - file: nginx runs in no service of systemd
        ");
    }

    #[test]
    fn ruled_out_by_another_failure() {
        assert_snapshot!(check(ID, [SILENT, UNIT, "
            //- incident 10.0.0.9:8000 reading response header from upstream
            //- failed 14:04:58 http://10.0.0.9:8000/
            upstream timed out (110: Connection timed out) while reading response header from upstream
        "]), @"
        answer: none, ongoing
        ruled out
        - log 14:04:58 x1: upstream timed out (110: Connection timed out) while reading response header from upstream
        ");
    }
}
