//! See the doc comment of [`SOCKET_ACL_DENIED`].

use facts::{Exhibit, Gap, PeerAddress};
use log::error::Class;

use crate::case::{Access, Case, Component, Identity};
use crate::incident::Incident;
use crate::verdict::{AGAIN, Confirmation, Fix, Proof, Safety, Step, Verdict};

declare_cause! {
    /// A POSIX ACL on the unix socket, or on a directory above it, denies the worker's user what the mode would allow.
    ///
    /// ## Confirmed when
    /// The log shows errno 13 for a unix socket, an entry of an ACL that names the worker's user or a group of it denies
    /// it to write to the socket or to search a directory, or the ACL's mask takes away what such an entry grants, and a
    /// connection made as that user is denied now.
    ///
    /// ## Ruled out when
    /// The failure is another one, or the connection is still denied and no such entry stands on the path, which has not
    /// changed since the first failure.
    ///
    /// ## Fix
    /// Let the entry grant what is needed, or the mask let it count. Unsafe: it widens who may connect.
    ///
    /// ## Looks like
    /// `connect() to unix:/run/app.sock failed (13: Permission denied) while connecting to upstream`
    ///
    /// ## See also
    /// `ls -l` shows a `+` behind the mode, and in place of the group's rights the mask. `getfacl` shows the entries.
    pub(crate) static SOCKET_ACL_DENIED = {
        id: "socket-acl-denied", since: "0.1.0", stage: Socket, refines: [],
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
    let file = walk.file().filter(Component::is_socket);
    let Some(file) = file else {
        return Err(Gap::undecided("the ACL of the socket", "no socket stands at its path"));
    };
    let again = case.still_failing(incident)?;
    let denying = match worker.access(&walk)? {
        Access::Granted(_) => Vec::new(),
        Access::Denied(components) => components,
    };
    let denials: Vec<Denied<'_>> = denying.iter().filter_map(|component| Denied::by_acl(component, &worker)).collect();
    if denials.is_empty() {
        let changed = denying.iter().chain([&file]).any(|component| component.changed > incident.first_seen);
        if changed {
            return Err(Gap::too_late("what an ACL said when it failed", "the path has changed since"));
        }
        let none = Exhibit::Record {
            probe: "walk",
            at: Some(file.changed),
            text: format!("no entry of an ACL along {} denies {}", path.display(), worker.name),
        };
        return Ok(Verdict::RuledOut(proof.and(again).and(none)));
    }
    let texts: Vec<String> = denials.iter().map(Denied::text).collect();
    let steps = denials.iter().map(|denied| Exhibit::Record {
        probe: "walk",
        at: Some(denied.component.changed),
        text: format!("{} ({}) for {}", denied.text(), denied.component.describe(), worker.describe()),
    });
    Ok(Verdict::Confirmed(Confirmation {
        summary: format!("{} may not connect to {}: {}", worker.name, path.display(), texts.join(", and ")),
        proof: proof.and(again).with(steps),
        fixes: vec![Fix {
            summary: format!("let {} connect", worker.name),
            safety: Safety::Unsafe,
            steps: denials.iter().map(|denied| denied.fix(&worker)).chain([last(&denials)]).collect(),
            verify: Some(AGAIN.to_owned()),
        }],
    }))
}

/// A component whose ACL denies the worker's user.
struct Denied<'a> {
    component: &'a Component,
    /// As `getfacl` shows it.
    entry: String,
    is_masked: bool,
}

impl<'a> Denied<'a> {
    fn by_acl(component: &'a Component, worker: &Identity) -> Option<Self> {
        let (entry, is_masked) = worker.denying_entry(component)?;
        Some(Self { component, entry: entry.to_string(), is_masked })
    }

    fn text(&self) -> String {
        let path = self.component.path.display();
        if self.is_masked {
            format!("the mask in the ACL of {path} takes away what {} grants", self.entry)
        } else {
            format!("{} in the ACL of {path} denies it", self.entry)
        }
    }

    /// What is needed and no more: the mask where the entry grants it already.
    fn fix(&self, worker: &Identity) -> Step {
        let rights = if self.component.is_directory() { "x" } else { "rw" };
        let entry = match (self.is_masked, self.component.is_directory()) {
            (true, true) => "m::rx".to_owned(),
            (true, false) => "m::rw".to_owned(),
            (false, _) => format!("u:{}:{rights}", worker.name),
        };
        Step::command(["setfacl", "-m", &entry, &self.component.path.display().to_string()])
    }
}

/// A socket is made anew each time its application starts.
fn last(denials: &[Denied<'_>]) -> Step {
    let on_socket = denials.iter().any(|denied| denied.component.is_socket());
    let text = if on_socket {
        "make it last: the socket's ACL comes from the application (listen.acl_users of php-fpm) or from the default ACL of its directory"
    } else {
        "make it last: whatever sets the directory's ACL (tmpfiles.d, a deployment) has to set this one"
    };
    Step::Advice { text: text.to_owned() }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::fixture::check;

    const ID: &str = "socket-acl-denied";
    /// The worker's user may not connect.
    const HOST: &str = "
        //- nginx
        //- file /etc/nginx/nginx.conf
        http { server { location / { proxy_pass http://unix:/run/app.sock; } } }
        //- connect unix:/run/app.sock -> errno 13
        //- failed 14:02:11 http://unix:/run/app.sock:/ level=crit
        connect() to unix:/run/app.sock failed (13: Permission denied) while connecting to upstream
    ";
    const OPEN: &str = "
        //- path /run/app.sock socket 666 77:77
    ";

    #[test]
    fn confirmed_by_an_entry_that_names_the_worker() {
        // setfacl -m u:33:--- on a socket of mode 0666.
        assert_snapshot!(check(ID, [HOST, "
            //- path /run/app.sock socket 666 77:77 acl=0200000001000600ffffffff020000002100000004000600ffffffff10000600ffffffff20000600ffffffff
        "]), @"
        answer: socket-acl-denied, ongoing
        confirmed: 33 may not connect to /run/app.sock: user:33:--- in the ACL of /run/app.sock denies it
        - log 14:02:11 x1: connect() to unix:/run/app.sock failed (13: Permission denied) while connecting to upstream
        - connect 14:05:00: connect unix:/run/app.sock as nginx's worker: 13: Permission denied
        - walk 12:00:00: user:33:--- in the ACL of /run/app.sock denies it (srw-rw-rw-+ uid 77 gid 77) for 33 (uid 33, gid 33)
        fix, unsafe: let 33 connect
          $ setfacl -m u:33:rw /run/app.sock
          make it last: the socket's ACL comes from the application (listen.acl_users of php-fpm) or from the default ACL of its directory
        ");
    }

    #[test]
    fn confirmed_by_a_mask_that_takes_away_what_an_entry_grants() {
        // setfacl -m u:33:rw, then chmod g=r.
        assert_snapshot!(check(ID, [HOST, "
            //- path /run/app.sock socket 640 77:77 acl=0200000001000600ffffffff020006002100000004000000ffffffff10000400ffffffff20000000ffffffff
        "]), @"
        answer: socket-acl-denied, ongoing
        confirmed: 33 may not connect to /run/app.sock: the mask in the ACL of /run/app.sock takes away what user:33:rw- grants
        - log 14:02:11 x1: connect() to unix:/run/app.sock failed (13: Permission denied) while connecting to upstream
        - connect 14:05:00: connect unix:/run/app.sock as nginx's worker: 13: Permission denied
        - walk 12:00:00: the mask in the ACL of /run/app.sock takes away what user:33:rw- grants (srw-r-----+ uid 77 gid 77) for 33 (uid 33, gid 33)
        fix, unsafe: let 33 connect
          $ setfacl -m m::rw /run/app.sock
          make it last: the socket's ACL comes from the application (listen.acl_users of php-fpm) or from the default ACL of its directory
        ");
    }

    #[test]
    fn confirmed_by_the_acl_of_a_directory() {
        assert_snapshot!(check(ID, [HOST, OPEN, "
            //- path /run dir 755 0:0 acl=0200000001000700ffffffff020000002100000004000500ffffffff10000500ffffffff20000500ffffffff
        "]), @"
        answer: socket-acl-denied, ongoing
        confirmed: 33 may not connect to /run/app.sock: user:33:--- in the ACL of /run denies it
        - log 14:02:11 x1: connect() to unix:/run/app.sock failed (13: Permission denied) while connecting to upstream
        - connect 14:05:00: connect unix:/run/app.sock as nginx's worker: 13: Permission denied
        - walk 12:00:00: user:33:--- in the ACL of /run denies it (drwxr-xr-x+ uid 0 gid 0) for 33 (uid 33, gid 33)
        fix, unsafe: let 33 connect
          $ setfacl -m u:33:x /run
          make it last: whatever sets the directory's ACL (tmpfiles.d, a deployment) has to set this one
        ");
    }

    #[test]
    fn ruled_out_where_the_mode_alone_denies() {
        assert_snapshot!(check(ID, [HOST, "
            //- path /run/app.sock socket 660 77:77
        "]), @"
        answer: socket-permission-denied, ongoing
        ruled out
        - log 14:02:11 x1: connect() to unix:/run/app.sock failed (13: Permission denied) while connecting to upstream
        - connect 14:05:00: connect unix:/run/app.sock as nginx's worker: 13: Permission denied
        - walk 12:00:00: no entry of an ACL along /run/app.sock denies 33
        ");
    }

    #[test]
    fn ruled_out_where_the_acl_names_somebody_else() {
        // setfacl -m u:34:rw on a socket of mode 0660.
        assert_snapshot!(check(ID, [HOST, "
            //- path /run/app.sock socket 660 77:77 acl=0200000001000600ffffffff020006002200000004000600ffffffff10000600ffffffff20000000ffffffff
        "]), @"
        answer: socket-permission-denied, ongoing
        ruled out
        - log 14:02:11 x1: connect() to unix:/run/app.sock failed (13: Permission denied) while connecting to upstream
        - connect 14:05:00: connect unix:/run/app.sock as nginx's worker: 13: Permission denied
        - walk 12:00:00: no entry of an ACL along /run/app.sock denies 33
        ");
    }

    #[test]
    fn ruled_out_where_nothing_on_the_path_denies() {
        // SELinux, or a sandbox.
        assert_snapshot!(check(ID, [HOST, OPEN]), @"
        answer: none, ongoing
        ruled out
        - log 14:02:11 x1: connect() to unix:/run/app.sock failed (13: Permission denied) while connecting to upstream
        - connect 14:05:00: connect unix:/run/app.sock as nginx's worker: 13: Permission denied
        - walk 12:00:00: no entry of an ACL along /run/app.sock denies 33
        ");
    }

    #[test]
    fn ruled_out_by_another_failure() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://unix:/run/app.sock; } } }
            //- failed 14:02:11 http://unix:/run/app.sock:/
            connect() to unix:/run/app.sock failed (111: Connection refused) while connecting to upstream
        ", OPEN]), @"
        answer: socket-stale, ongoing
        ruled out
        - log 14:02:11 x1: connect() to unix:/run/app.sock failed (111: Connection refused) while connecting to upstream
        ");
    }

    #[test]
    fn unknown_where_the_path_has_changed_since() {
        assert_snapshot!(check(ID, [HOST, "
            //- path /run/app.sock socket 660 77:77 ctime=14:03:00
        "]), @"
        answer: socket-permission-denied, ongoing
        unknown: what an ACL said when it failed: the path has changed since
        ");
    }

    #[test]
    fn unknown_once_it_succeeds() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://unix:/run/app.sock; } } }
            //- failed 14:02:11 http://unix:/run/app.sock:/ level=crit
            connect() to unix:/run/app.sock failed (13: Permission denied) while connecting to upstream
            //- process 77
            app
            //- listen unix /run/app.sock pid=77
        "]), @"
        answer: none, over
        unknown: whether it held when it failed: the connection succeeds now
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
}
