//! See the doc comment of [`SOCKET_PERMISSION_DENIED`].

use facts::{Exhibit, Gap, PeerAddress};
use log::error::Class;

use crate::case::{Access, Case, Component};
use crate::incident::Incident;
use crate::verdict::{Confirmation, Fix, Proof, Safety, Step, Verdict};

declare_cause! {
    /// The worker's user may not write to the unix socket, or may not pass a directory above it.
    ///
    /// ## Confirmed when
    /// The log shows errno 13 for a unix socket, and owner, group and mode of the socket (its write bit alone counts) or of
    /// a directory above it (its search bit) deny the worker's user now, while a connection made as that user is denied.
    ///
    /// ## Ruled out when
    /// The failure is another one, or owner, group and mode permit the worker's user on every step while the connection
    /// is still denied: then something else denies it.
    ///
    /// ## Fix
    /// Let the application create its socket with a group that the worker belongs to and mode 0660, or open the one
    /// directory. Unsafe: it widens who may connect.
    ///
    /// ## Looks like
    /// `connect() to unix:/run/app.sock failed (13: Permission denied) while connecting to upstream`
    ///
    /// ## See also
    /// SELinux and a POSIX ACL show the same line; a directory in the socket's place does too.
    pub(crate) static SOCKET_PERMISSION_DENIED = {
        id: "socket-permission-denied", since: "0.1.0", stage: Socket, refines: [],
        judge: Alone(judge),
    }
}

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    let Some(PeerAddress::Unix(path)) = &incident.address else {
        return Ok(Verdict::RuledOut(proof));
    };
    if !incident.is(Class::PermissionDenied) {
        return Ok(Verdict::RuledOut(proof));
    }
    let worker = case.worker_identity(incident)?;
    let walk = case.walk_as_worker(incident, path)?;
    if let Some(directory) = walk.file().filter(Component::is_directory) {
        return Err(Gap::undecided("what should stand at the socket's path", "a directory stands there")
            .leaning(format!("{} is a directory, not a socket ({})", path.display(), directory.describe())));
    }
    let again = case.still_failing(incident)?;
    let denying = match worker.access(&walk)? {
        Access::Granted(steps) => {
            let steps = Exhibit::Record { probe: "walk", at: None, text: format!("owner, group and mode permit {}: {steps}", worker.name) };
            return Ok(Verdict::RuledOut(proof.and(again).and(steps)));
        }
        Access::Denied(component) => component,
    };
    if denying.has_acl() {
        return Err(Gap::undecided(format!("which entry of the ACL of {} counts", denying.path.display()), "a POSIX ACL decides there")
            .learn(format!("getfacl {}", denying.path.display()))
            .leaning(format!("the POSIX ACL of {} denies {}", denying.path.display(), worker.name)));
    }
    let bit = if denying.is_directory() { "search (x)" } else { "write (w)" };
    let steps = Exhibit::Record {
        probe: "walk",
        at: Some(denying.changed),
        text: format!("{} {}: no {bit} for {}", denying.path.display(), denying.describe(), worker.describe()),
    };
    Ok(Verdict::Confirmed(Confirmation {
        summary: format!("{} may not connect to {}: no {bit} on {} ({})", worker.name, path.display(), denying.path.display(), denying.describe()),
        proof: proof.and(again).and(steps),
        fixes: vec![fix(&denying, &worker.group)],
    }))
}

fn fix(denying: &Component, group: &str) -> Fix {
    let path = denying.path.display().to_string();
    if denying.is_directory() {
        return Fix {
            summary: format!("let the group {group} pass {path}"),
            safety: Safety::Unsafe,
            steps: vec![Step::command(["chgrp", group, &path]), Step::command(["chmod", "g+x", &path])],
            verify: Some("why502".to_owned()),
        };
    }
    Fix {
        summary: format!("let the group {group} write to {path}"),
        safety: Safety::Unsafe,
        steps: vec![
            Step::command(["chgrp", group, &path]),
            Step::command(["chmod", "660", &path]),
            Step::Advice {
                text: format!("make it last: set the socket's group to {group} and its mode to 0660 in the application's settings (listen.group and listen.mode of php-fpm, --umask of gunicorn, chmod-socket of uwsgi, SocketMode of a socket unit)"),
            },
        ],
        verify: Some("why502".to_owned()),
    }
}
