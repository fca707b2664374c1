//! See the doc comment of [`NGINX_TEMP_PATH_UNWRITABLE`].

use std::path::Path;

use facts::{Exhibit, Gap};
use log::error::Class;

use crate::case::{Case, Component, Identity};
use crate::incident::Incident;
use crate::verdict::{AGAIN, Confirmation, Fix, Proof, Safety, Step, Verdict};

declare_cause! {
    /// nginx could not write a temporary file: a request's body, or a response that is too large for its buffers.
    ///
    /// A client whose body cannot be kept gets a 500; a response that cannot be kept is cut.
    ///
    /// ## Confirmed when
    /// nginx says that a file under a temporary path could not be made or written, and
    /// - errno 13: owner and mode of its directories keep the worker's user out, and did when it failed;
    /// - errno 28: no room was left, or no more files could be made;
    /// - errno 30: the file system is mounted read-only;
    /// - errno 1: the directory is immutable (`chattr +i`), and was when it failed;
    /// - errno 2: its directory is gone.
    ///
    /// A line whose worker has been replaced counts only for a path that the configuration names.
    ///
    /// ## Ruled out when
    /// The failure is another one.
    ///
    /// ## Fix
    /// Give the directory back to the worker's user, or make room.
    /// Unsafe: it changes who may write.
    ///
    /// ## Looks like
    /// `open() "/var/lib/nginx/body/0000000001" failed (13: Permission denied)`
    ///
    /// `pwrite() "/var/lib/nginx/proxy/1/00/0000000001" failed (28: No space left on device) while reading upstream`
    pub(crate) static NGINX_TEMP_PATH_UNWRITABLE = {
        id: "nginx-temp-path-unwritable", since: "0.1.0", stage: Nginx, refines: [],
        judge: Alone(judge),
    }
}

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    if !(incident.is(Class::TempPath) || incident.is(Class::TempFileIo)) {
        return Ok(Verdict::RuledOut(proof));
    }
    let file = incident.quoted_path().ok_or_else(|| Gap::undecided("which file could not be written", "the line does not name it"))?;
    let directive = case.temp_path(incident, &file)?;
    if directive.is_none() {
        // Who forges a line would have any path looked at.
        case.surely_nginx(incident, &format!("nginx could not write {}", file.display()))?;
    }
    let proof = proof.with(directive.map(Exhibit::Config));
    match incident.errno {
        Some(13) => denied(incident, case, proof, &file),
        Some(28) => full(incident, case, proof, &file),
        Some(30) => read_only(incident, case, proof, &file),
        Some(1) => immutable(incident, case, proof, &file),
        Some(2) => gone(incident, case, proof, &file),
        // A file system that is filling up takes a part, and that is no error of the kernel's.
        None if incident.sample.contains(" has written only ") => full(incident, case, proof, &file),
        errno => Err(Gap::undecided(format!("why {} cannot be written", file.display()), errno.map_or_else(|| "the line does not say".to_owned(), |errno| format!("errno {errno}")))
            .leaning(format!("nginx could not write {}", file.display()))),
    }
}

fn denied(incident: &Incident, case: &Case, proof: Proof, file: &Path) -> Result<Verdict, Gap> {
    let worker = case.worker_identity(incident)?;
    let walk = case.walk_as_worker(incident, file)?;
    let denying = worker.kept_from_making(&walk)?;
    if denying.is_empty() {
        return Err(Gap::undecided(format!("what keeps {} from {}", worker.name, file.display()), "owner, group and mode permit it now")
            .leaning(format!("nginx was denied {}: by owner and mode of then, or by SELinux, AppArmor or its unit's sandbox", file.display())));
    }
    if !case.is_recent(incident) && denying.iter().any(|directory| directory.changed > incident.first_seen) {
        return Err(Gap::too_late("who might write there when it failed", "a directory has changed since"));
    }
    let lacking: Vec<String> = denying.iter().map(|directory| format!("{} ({})", directory.path.display(), directory.describe())).collect();
    let steps = denying.iter().map(|directory| Exhibit::Record {
        probe: "walk",
        at: Some(directory.changed),
        text: format!("{} {} keeps {} out", directory.path.display(), directory.describe(), worker.describe()),
    });
    Ok(Verdict::Confirmed(Confirmation {
        summary: format!("{} may not write {}: {}", worker.name, file.display(), lacking.join(", ")),
        proof: proof.with(steps),
        fixes: vec![admit(&denying, &worker, walk.last_directory().as_deref())],
    }))
}

fn full(incident: &Incident, case: &Case, proof: Proof, file: &Path) -> Result<Verdict, Gap> {
    let walk = case.walk_as_worker(incident, file)?;
    let Some(folder) = walk.last_directory() else {
        return Err(Gap::undecided("the file system that was full", "nothing stands there now"));
    };
    let (room, exhibit) = case.room(incident, &folder)?;
    let (what, verb) = if room.lacks_files() { ("no more files can be made", "delete files") } else { ("no room is left", "make room") };
    let is_full = room.lacks_files() || room.available.saturating_mul(1000) < room.total;
    let summary = if is_full {
        format!("{what} on the file system of {}, where nginx keeps temporary files", folder.display())
    } else {
        format!("the file system of {}, where nginx keeps temporary files, was full", folder.display())
    };
    let advice = format!("{verb} on the file system of {}: df -h {0}; df -i {0}", folder.display());
    let lasting = "or lead client_body_temp_path and proxy_temp_path to a larger one; proxy_max_temp_file_size 0 keeps responses off the disk".to_owned();
    Ok(Verdict::Confirmed(Confirmation {
        summary,
        proof: proof.and(exhibit),
        fixes: vec![shown(verb, vec![advice, lasting])],
    }))
}

fn read_only(incident: &Incident, case: &Case, proof: Proof, file: &Path) -> Result<Verdict, Gap> {
    let walk = case.walk_as_worker(incident, file)?;
    let folder = walk.last_directory().ok_or_else(|| Gap::undecided("the file system", "nothing stands there now"))?;
    let (room, exhibit) = case.room(incident, &folder)?;
    if !room.is_read_only {
        return Err(Gap::too_late("whether the file system could be written when it failed", "it can be now"));
    }
    if !case.is_recent(incident) {
        return Err(Gap::too_late("whether it was mounted read-only when it failed", "it is now"));
    }
    let unit = case.nginx_unit(&case.instance(incident)?)?.map_or_else(|| "nginx's unit".to_owned(), |unit| unit.name);
    let advice = format!(
        "see why {} is read-only: after an error of its disk the kernel makes it so (journalctl -k), and ProtectSystem= in {unit} does (ReadWritePaths= allows a directory)",
        folder.display()
    );
    Ok(Verdict::Confirmed(Confirmation {
        summary: format!("{}, where nginx keeps temporary files, is mounted read-only", folder.display()),
        proof: proof.and(exhibit),
        fixes: vec![shown("let it be written", vec![advice])],
    }))
}

/// The kernel lets nobody, not even root, make a name in such a directory: `inode_permission` (fs/namei.c).
fn immutable(incident: &Incident, case: &Case, proof: Proof, file: &Path) -> Result<Verdict, Gap> {
    let walk = case.walk_as_worker(incident, file)?;
    let folder = walk.last_directory().unwrap_or_else(|| file.to_owned());
    let what = || format!("what forbids to write {}", file.display());
    let Some(directory) = walk.components().find(|one| one.path == folder && one.is_immutable()) else {
        return Err(Gap::undecided(what(), "nothing shows that its directory is immutable")
            .leaning(format!("nginx was not permitted to write {} (errno 1): its directory was immutable (chattr +i), or its unit filters system calls", file.display()))
            .learn(format!("sudo lsattr -d {}", folder.display())));
    };
    // While it is so, nothing changes it: it has been since its last change.
    let since = directory.changed.as_second();
    if since > incident.last_seen.as_second() || (since > incident.first_seen.as_second() && !case.is_recent(incident)) {
        return Err(Gap::too_late(what(), format!("{} has been immutable only since it failed", folder.display())));
    }
    let place = folder.display().to_string();
    Ok(Verdict::Confirmed(Confirmation {
        summary: format!("{place}, where nginx keeps temporary files, is immutable: nobody may make a file there"),
        proof: proof.and(Exhibit::Record {
            probe: "walk",
            at: Some(directory.changed),
            text: format!("{place} has the attribute immutable (chattr +i)"),
        }),
        fixes: vec![Fix {
            summary: "let it be changed again".to_owned(),
            safety: Safety::Unsafe,
            steps: vec![
                Step::Advice { text: "see who made it immutable, and why: a tool that hardens the host does so again".to_owned() },
                Step::command(["chattr", "-i", &place]),
            ],
            verify: Some(AGAIN.to_owned()),
        }],
    }))
}

fn gone(incident: &Incident, case: &Case, proof: Proof, file: &Path) -> Result<Verdict, Gap> {
    let walk = case.walk_as_worker(incident, file)?;
    let missing = walk.missing().filter(|missing| *missing != file).map(Path::to_owned);
    let Some(missing) = missing.filter(|_| case.is_recent(incident)) else {
        return Err(Gap::too_late("which directory was missing when it failed", "it may be another one now"));
    };
    let exhibit = Exhibit::Record { probe: "walk", at: None, text: format!("{} does not exist", missing.display()) };
    // nginx makes its own directory, not those above.
    let mut steps = vec![Step::command(["mkdir", "-p", &missing.parent().unwrap_or(&missing).display().to_string()])];
    steps.extend(case.reload_steps(incident)?);
    Ok(Verdict::Confirmed(Confirmation {
        summary: format!("the directory {}, where nginx keeps temporary files, is gone", missing.display()),
        proof: proof.and(exhibit),
        fixes: vec![Fix { summary: "have nginx make it again".to_owned(), safety: Safety::Unsafe, steps, verify: Some(AGAIN.to_owned()) }],
    }))
}

/// Gives the last directory to the worker's user, as nginx itself does when it makes one, and lets it pass those above.
fn admit(denying: &[Component], worker: &Identity, last: Option<&Path>) -> Fix {
    let mut steps = Vec::new();
    for directory in denying {
        let path = directory.path.display().to_string();
        if last == Some(directory.path.as_path()) {
            steps.push(Step::command(["chown", &worker.name, &path]));
            steps.push(Step::command(["chmod", "u+rwx", &path]));
        } else {
            steps.push(Step::command(["setfacl", "-m", &format!("u:{}:x", worker.name), &path]));
        }
    }
    Fix {
        summary: format!("let {} write there", worker.name),
        safety: Safety::Unsafe,
        steps,
        verify: Some(AGAIN.to_owned()),
    }
}

fn shown(summary: &str, advice: Vec<String>) -> Fix {
    Fix {
        summary: summary.to_owned(),
        safety: Safety::DisplayOnly,
        steps: advice.into_iter().map(|text| Step::Advice { text }).collect(),
        verify: Some(AGAIN.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::fixture::{Fixture, check};

    const ID: &str = "nginx-temp-path-unwritable";
    const NGINX: &str = "
        //- nginx
        //- file /etc/nginx/nginx.conf
        http { client_body_temp_path /var/lib/nginx/body; server { location / { proxy_pass http://127.0.0.1:8000; } } }
        //- file /etc/passwd
        www-data:x:33:33::/var/www:/usr/sbin/nologin
        //- file /etc/group
        www-data:x:33:
    ";
    const DENIED: &str = "
        //- logged 14:02:11 level=crit
        open() \"/var/lib/nginx/body/0000000001\" failed (13: Permission denied)
    ";
    const FULL: &str = "
        //- logged 14:02:11 level=crit
        pwrite() \"/var/lib/nginx/body/0000000001\" failed (28: No space left on device)
        //- path /var/lib/nginx/body dir 700 33:33
    ";

    #[test]
    fn confirmed_by_owner_and_mode_of_the_directory() {
        assert_snapshot!(check(ID, [NGINX, DENIED, "
            //- path /var/lib/nginx/body dir 700 0:0
        "]), @r#"
        answer: nginx-temp-path-unwritable, over
        confirmed: www-data may not write /var/lib/nginx/body/0000000001: /var/lib/nginx/body (drwx------ uid 0 gid 0)
        - log 14:02:11 x1: open() "/var/lib/nginx/body/0000000001" failed (13: Permission denied)
        - config /etc/nginx/nginx.conf:1: client_body_temp_path /var/lib/nginx/body;
        - walk 12:00:00: /var/lib/nginx/body drwx------ uid 0 gid 0 keeps www-data (uid 33, gid 33) out
        fix, unsafe: let www-data write there
          $ chown www-data /var/lib/nginx/body
          $ chmod u+rwx /var/lib/nginx/body
        "#);
    }

    #[test]
    fn confirmed_by_a_directory_above() {
        assert_snapshot!(check(ID, [NGINX, "
            //- failed 14:02:11 http://127.0.0.1:8000/ level=crit
            mkdir() \"/var/lib/nginx/proxy/1\" failed (13: Permission denied) while reading upstream
            //- path /var/lib/nginx dir 750 0:4
            //- path /var/lib/nginx/proxy dir 700 33:33
        "]), @r#"
        answer: nginx-temp-path-unwritable, over
        confirmed: www-data may not write /var/lib/nginx/proxy/1: /var/lib/nginx (drwxr-x--- uid 0 gid 4)
        - log 14:02:11 x1: mkdir() "/var/lib/nginx/proxy/1" failed (13: Permission denied) while reading upstream
        - walk 12:00:00: /var/lib/nginx drwxr-x--- uid 0 gid 4 keeps www-data (uid 33, gid 33) out
        fix, unsafe: let www-data write there
          $ setfacl -m u:www-data:x /var/lib/nginx
        "#);
    }

    #[test]
    fn unknown_where_the_directory_has_changed_since() {
        assert_snapshot!(check(ID, [NGINX, DENIED, "
            //- path /var/lib/nginx/body dir 700 0:0 ctime=14:03:00
        "]), @"
        answer: none, over
        unknown: who might write there when it failed: a directory has changed since
        ");
    }

    #[test]
    fn what_it_was_by_its_line_is_told_once_it_is_over() {
        let told = |parts: [&str; 3]| {
            let fixture = Fixture::parse(&parts.concat());
            let diagnosis = fixture.diagnose();
            fixture.judged(&diagnosis).by_line.clone()
        };
        let mended = "
            //- path /var/lib/nginx/body dir 700 33:33 ctime=14:03:00
        ";
        assert_snapshot!(told([NGINX, DENIED, mended]).unwrap(), @"by the log line alone, nginx-temp-path-unwritable (the worker may not write to its directory for temporary files, or the disk is full) fits; how it looked then is gone");
        // While it goes on, it can be looked at.
        assert_eq!(told([NGINX, &DENIED.replace("14:02:11", "14:04:55"), mended]), None);
        // A line that many causes write tells none.
        let closed = "
            //- failed 14:02:11 http://127.0.0.1:8000/
            upstream prematurely closed connection while reading response header from upstream
        ";
        assert_eq!(told([NGINX, closed, ""]), None);
    }

    #[test]
    fn unknown_where_owner_and_mode_permit_it() {
        assert_snapshot!(check(ID, [NGINX, DENIED, "
            //- path /var/lib/nginx/body dir 700 33:33
        "]), @"
        answer: none, over
        unknown: what keeps www-data from /var/lib/nginx/body/0000000001: owner, group and mode permit it now
        leaning: nginx was denied /var/lib/nginx/body/0000000001: by owner and mode of then, or by SELinux, AppArmor or its unit's sandbox
        ");
    }

    const FORBIDDEN: &str = "
        //- logged 14:02:11 level=crit
        open() \"/var/lib/nginx/body/0000000001\" failed (1: Operation not permitted)
    ";

    #[test]
    fn confirmed_of_a_directory_that_is_immutable() {
        assert_snapshot!(check(ID, [NGINX, FORBIDDEN, "
            //- path /var/lib/nginx/body dir 700 33:33 immutable=1
        "]), @r#"
        answer: nginx-temp-path-unwritable, over
        confirmed: /var/lib/nginx/body, where nginx keeps temporary files, is immutable: nobody may make a file there
        - log 14:02:11 x1: open() "/var/lib/nginx/body/0000000001" failed (1: Operation not permitted)
        - config /etc/nginx/nginx.conf:1: client_body_temp_path /var/lib/nginx/body;
        - walk 12:00:00: /var/lib/nginx/body has the attribute immutable (chattr +i)
        fix, unsafe: let it be changed again
          see who made it immutable, and why: a tool that hardens the host does so again
          $ chattr -i /var/lib/nginx/body
        "#);
    }

    #[test]
    fn unknown_where_nothing_shows_that_it_is_immutable() {
        assert_snapshot!(check(ID, [NGINX, FORBIDDEN, "
            //- path /var/lib/nginx dir 755 0:0 immutable=1
            //- path /var/lib/nginx/body dir 700 33:33
        "]), @"
        answer: none, over
        unknown: what forbids to write /var/lib/nginx/body/0000000001: nothing shows that its directory is immutable
        learn: sudo lsattr -d /var/lib/nginx/body
        leaning: nginx was not permitted to write /var/lib/nginx/body/0000000001 (errno 1): its directory was immutable (chattr +i), or its unit filters system calls
        ");
    }

    #[test]
    fn unknown_of_a_directory_that_is_immutable_since() {
        assert_snapshot!(check(ID, [NGINX, FORBIDDEN, "
            //- path /var/lib/nginx/body dir 700 33:33 immutable=1 ctime=14:03:00
        "]), @"
        answer: none, over
        unknown: what forbids to write /var/lib/nginx/body/0000000001: /var/lib/nginx/body has been immutable only since it failed
        ");
    }

    #[test]
    fn confirmed_while_no_room_is_left() {
        assert_snapshot!(check(ID, [NGINX, FULL, "
            //- room /var block=4096 blocks=1000000 free=40000 available=0 files=65536 free-files=500 read-only=0
        "]), @r#"
        answer: nginx-temp-path-unwritable, over
        confirmed: no room is left on the file system of /var/lib/nginx/body, where nginx keeps temporary files
        - log 14:02:11 x1: pwrite() "/var/lib/nginx/body/0000000001" failed (28: No space left on device)
        - config /etc/nginx/nginx.conf:1: client_body_temp_path /var/lib/nginx/body;
        - file-system 14:05:00: 0 bytes of 3906 MiB are free now on the file system of /var/lib/nginx/body
        fix, shown: make room
          make room on the file system of /var/lib/nginx/body: df -h /var/lib/nginx/body; df -i /var/lib/nginx/body
          or lead client_body_temp_path and proxy_temp_path to a larger one; proxy_max_temp_file_size 0 keeps responses off the disk
        "#);
    }

    #[test]
    fn confirmed_where_no_more_files_can_be_made() {
        assert_snapshot!(check(ID, [NGINX, FULL, "
            //- room /var block=4096 blocks=1000000 free=400000 available=400000 files=65536 free-files=0 read-only=0
        "]), @r#"
        answer: nginx-temp-path-unwritable, over
        confirmed: no more files can be made on the file system of /var/lib/nginx/body, where nginx keeps temporary files
        - log 14:02:11 x1: pwrite() "/var/lib/nginx/body/0000000001" failed (28: No space left on device)
        - config /etc/nginx/nginx.conf:1: client_body_temp_path /var/lib/nginx/body;
        - file-system 14:05:00: 1562 MiB of 3906 MiB are free now on the file system of /var/lib/nginx/body, no more files can be made there
        fix, shown: delete files
          delete files on the file system of /var/lib/nginx/body: df -h /var/lib/nginx/body; df -i /var/lib/nginx/body
          or lead client_body_temp_path and proxy_temp_path to a larger one; proxy_max_temp_file_size 0 keeps responses off the disk
        "#);
    }

    #[test]
    fn confirmed_once_there_is_room_again() {
        assert_snapshot!(check(ID, [NGINX, FULL, "
            //- room /var block=4096 blocks=1000000 free=400000 available=400000 files=65536 free-files=500 read-only=0
        "]), @r#"
        answer: nginx-temp-path-unwritable, over
        confirmed: the file system of /var/lib/nginx/body, where nginx keeps temporary files, was full
        - log 14:02:11 x1: pwrite() "/var/lib/nginx/body/0000000001" failed (28: No space left on device)
        - config /etc/nginx/nginx.conf:1: client_body_temp_path /var/lib/nginx/body;
        - file-system 14:05:00: 1562 MiB of 3906 MiB are free now on the file system of /var/lib/nginx/body
        fix, shown: make room
          make room on the file system of /var/lib/nginx/body: df -h /var/lib/nginx/body; df -i /var/lib/nginx/body
          or lead client_body_temp_path and proxy_temp_path to a larger one; proxy_max_temp_file_size 0 keeps responses off the disk
        "#);
    }

    #[test]
    fn confirmed_of_a_file_system_that_is_read_only() {
        assert_snapshot!(check(ID, [NGINX, "
            //- logged 14:04:55 level=crit
            open() \"/var/lib/nginx/body/0000000001\" failed (30: Read-only file system)
            //- path /var/lib/nginx/body dir 700 33:33
            //- room /var block=4096 blocks=1000 free=400 available=400 files=0 free-files=0 read-only=1
        "]), @r#"
        answer: nginx-temp-path-unwritable, ongoing
        confirmed: /var/lib/nginx/body, where nginx keeps temporary files, is mounted read-only
        - log 14:04:55 x1: open() "/var/lib/nginx/body/0000000001" failed (30: Read-only file system)
        - config /etc/nginx/nginx.conf:1: client_body_temp_path /var/lib/nginx/body;
        - file-system 14:05:00: 1600 KiB of 4000 KiB are free now on the file system of /var/lib/nginx/body, it is mounted read-only
        fix, shown: let it be written
          see why /var/lib/nginx/body is read-only: after an error of its disk the kernel makes it so (journalctl -k), and ProtectSystem= in nginx's unit does (ReadWritePaths= allows a directory)
        "#);
    }

    #[test]
    fn confirmed_of_a_directory_that_is_gone() {
        assert_snapshot!(check(ID, [NGINX, "
            //- logged 14:04:55 level=crit
            open() \"/var/lib/nginx/body/0000000001\" failed (2: No such file or directory)
            //- path /var/lib/nginx dir 755 0:0
        "]), @r#"
        answer: nginx-temp-path-unwritable, ongoing
        confirmed: the directory /var/lib/nginx/body, where nginx keeps temporary files, is gone
        - log 14:04:55 x1: open() "/var/lib/nginx/body/0000000001" failed (2: No such file or directory)
        - config /etc/nginx/nginx.conf:1: client_body_temp_path /var/lib/nginx/body;
        - walk: /var/lib/nginx/body does not exist
        fix, unsafe: have nginx make it again
          $ mkdir -p /var/lib/nginx
          $ nginx -t
          $ nginx -s reload
        "#);
    }

    #[test]
    fn unknown_of_a_path_that_no_file_names_once_the_worker_is_gone() {
        assert_snapshot!(check(ID, [NGINX, "
            //- logged 14:02:11 level=crit pid=999
            open() \"/root/0000000001\" failed (13: Permission denied)
            //- path /root dir 700 0:0
        "]), @"
        answer: none, over
        unknown: the worker that said so: it has been replaced since it failed
        leaning: nginx could not write /root/0000000001
        ");
    }

    #[test]
    fn ruled_out_where_a_socket_denies() {
        assert_snapshot!(check(ID, [NGINX, "
            //- failed 14:02:11 http://unix:/run/app.sock:/ level=crit
            connect() to unix:/run/app.sock failed (13: Permission denied) while connecting to upstream
        "]), @"
        answer: none, ongoing
        ruled out
        - log 14:02:11 x1: connect() to unix:/run/app.sock failed (13: Permission denied) while connecting to upstream
        ");
    }
}
