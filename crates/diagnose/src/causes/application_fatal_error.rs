//! See the doc comment of [`APPLICATION_FATAL_ERROR`].

use facts::Gap;
use log::error::Class;

use crate::case::Case;
use crate::incident::Incident;
use crate::verdict::{AGAIN, Confirmation, Fix, Proof, Safety, Step, Verdict};

declare_cause! {
    /// An error that nothing caught, or the end of its own memory limit, ended the application while it was answering.
    ///
    /// ## Confirmed when
    /// The connection was closed or reset before the response, and in every failing second a process of the application
    /// ended, and Node.js or Java says in the application's dated log (its unit's journal) that it ends for such an error.
    /// (php-fpm answers a fatal error with 500: nginx makes no 502 of it.)
    ///
    /// ## Ruled out when
    /// The failure is another one, or every process of the application has run since before the first failure, and no
    /// other one may answer in its place: behind a forwarder or proxy, as a child of the one that listens, or on a socket of
    /// its own.
    ///
    /// ## Fix
    /// None by program: the error stands in the application's log.
    ///
    /// ## Looks like
    /// `upstream prematurely closed connection while reading response header from upstream`, and in the journal
    /// `FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory`
    ///
    /// ## See also
    /// `application-killed-oom`: the kernel killed it. `application-crashed`: it ended, and did not say why.
    pub(crate) static APPLICATION_FATAL_ERROR = {
        id: "application-fatal-error", since: "0.1.0", stage: Request, refines: ["application-crashed"],
        judge: Alone(judge),
    }
}

fn judge(incident: &Incident, case: &Case) -> Result<Verdict, Gap> {
    let proof = Proof::new(incident.exhibit());
    if !(incident.is(Class::PrematureClose) || incident.is(Class::ConnectionReset)) {
        return Ok(Verdict::RuledOut(proof));
    }
    let application = case.application(incident)?;
    let deaths = application.deaths(case, incident)?;
    let fatal = application.fatal_errors(case, incident)?;
    let missing = "whether an error of its own ended the application";
    let what = format!("{} ended", application.who());
    // Who tells of its own end was not ended from outside: what it tells accounts for the failures.
    let ended = deaths.coincide_with(incident, Some(&application), missing, &what)?;
    let told = fatal.account_for(incident, Some(&application), missing, &what)?;
    if let Some(lasting) = ended.or(told) {
        return Ok(Verdict::RuledOut(proof.and(lasting)));
    }
    let is_memory = fatal.summary().contains("emory");
    let mut steps = vec![Step::Advice { text: format!("read which error it was: {}", fatal.place()) }];
    if is_memory {
        let text = "find what keeps so much memory, or raise its own limit (node --max-old-space-size, java -Xmx) below the host's";
        steps.push(Step::Advice { text: text.to_owned() });
    }
    Ok(Verdict::Confirmed(Confirmation {
        summary: format!(
            "{} while it was answering: {}",
            if is_memory { "the application used up the memory that it may use" } else { "an error that nothing caught ended the application" },
            fatal.summary()
        ),
        proof: proof.with(fatal.exhibits()).with(deaths.exhibits()),
        fixes: vec![Fix { summary: "mend the error".to_owned(), safety: Safety::DisplayOnly, steps, verify: Some(AGAIN.to_owned()) }],
    }))
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;

    use crate::fixture::check;

    const ID: &str = "application-fatal-error";
    const HOST: &str = "
        //- nginx
        //- file /etc/nginx/nginx.conf
        http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
        //- failed 14:02:11 http://127.0.0.1:8000/
        upstream prematurely closed connection while reading response header from upstream
    ";
    const NODE: &str = "
        //- unit shop.service ActiveState=active SubState=running
        //- process 4120 start=14:02:12 cgroup=/system.slice/shop.service
        node /srv/shop.js
        //- listen tcp 127.0.0.1:8000 pid=4120
    ";

    #[test]
    fn confirmed_where_node_used_up_its_heap() {
        assert_snapshot!(check(ID, [HOST, NODE, "
            //- journal shop.service
            14:02:11 FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory
            14:02:11 exited ExecStart dumped 6
            14:02:12 started
        "]), @"
        answer: application-fatal-error, over
        confirmed: the application used up the memory that it may use while it was answering: FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory
        - log 14:02:11 x1: upstream prematurely closed connection while reading response header from upstream
        - application-log 14:02:11: FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory
        - journal 14:02:11: shop.service exited ExecStart dumped 6
        fix, shown: mend the error
          read which error it was: journalctl -u shop.service
          find what keeps so much memory, or raise its own limit (node --max-old-space-size, java -Xmx) below the host's
        ");
    }

    #[test]
    fn ruled_out_where_what_ended_was_another_program_of_its_unit() {
        let told = check(ID, [HOST, &NODE.replace("14:02:12", "12:30:00"), "
            //- journal shop.service
            14:02:11 FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory
            14:02:11 dumped-core 4119 6
        "]);
        assert!(told.contains("\nruled out") && told.contains("shop.js (pid 4120) has run since before"), "{told}");
    }

    #[test]
    fn confirmed_where_nothing_caught_an_error() {
        assert_snapshot!(check(ID, [HOST, NODE, "
            //- journal shop.service
            14:02:11 Error: boom
            14:02:11 Node.js v20.20.2
            14:02:11 exited ExecStart exited 1
            14:02:12 started
        "]), @"
        answer: application-fatal-error, over
        confirmed: an error that nothing caught ended the application while it was answering: Node.js v20.20.2
        - log 14:02:11 x1: upstream prematurely closed connection while reading response header from upstream
        - application-log 14:02:11: Node.js v20.20.2
        - journal 14:02:11: shop.service exited ExecStart exited 1
        fix, shown: mend the error
          read which error it was: journalctl -u shop.service
        ");
    }

    #[test]
    fn unknown_where_it_ended_and_said_nothing() {
        assert_snapshot!(check(ID, [HOST, NODE, "
            //- journal shop.service
            14:02:11 exited ExecStart killed 11
            14:02:12 started
        "]), @"
        answer: application-crashed, over
        unknown: whether an error of its own ended the application: nothing of it stands in journalctl -u shop.service
        ");
    }

    #[test]
    fn unknown_where_it_says_so_and_did_not_end() {
        assert_snapshot!(check(ID, [HOST, NODE, "
            //- journal shop.service
            14:02:11 Node.js v20.20.2
        "]), @"
        answer: none, over
        unknown: whether an error of its own ended the application: nothing of it stands in journalctl -u shop.service
        ");
    }

    #[test]
    fn unknown_where_it_was_at_another_time() {
        assert_snapshot!(check(ID, [HOST, NODE, "
            //- journal shop.service
            13:40:11 Node.js v20.20.2
            13:40:11 exited ExecStart exited 1
        "]), @"
        answer: none, over
        unknown: whether an error of its own ended the application: nothing of it stands in journalctl -u shop.service
        ");
    }

    #[test]
    fn ruled_out_where_it_has_run_since_before() {
        assert_snapshot!(check(ID, [HOST, &NODE.replace("14:02:12", "12:30:00")]), @"
        answer: none, over
        ruled out
        - log 14:02:11 x1: upstream prematurely closed connection while reading response header from upstream
        - process 12:30:00: shop.js (pid 4120) has run since before the first failure
        ");
    }

    #[test]
    fn ruled_out_by_another_failure() {
        assert_snapshot!(check(ID, ["
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
            //- failed 14:02:11 http://127.0.0.1:8000/
            upstream timed out (110: Connection timed out) while reading response header from upstream
        "]), @"
        answer: none, over
        ruled out
        - log 14:02:11 x1: upstream timed out (110: Connection timed out) while reading response header from upstream
        ");
    }
}
