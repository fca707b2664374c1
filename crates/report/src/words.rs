//! The sentences that every report for people shares: times, numbers, who dials whom, how often it failed.
//! Plain text, not yet made visible or escaped: the renderers do that.

use std::borrow::Cow;

use diagnose::logs::LogReport;
use diagnose::{
    Asked, Diagnosis, Fix, Hop, Impact, Incident, InstanceSummary, Judged, Origin, RunningConfig,
    Safety, Standing, Step, Window,
};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

pub(crate) use diagnose::count::number;
pub(crate) use diagnose::counted;

use crate::fold::{self, Block};
use crate::text::shortened;

/// `2026-06-23T14:02:11Z`.
pub(crate) fn rfc3339(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Times as people read them, in UTC: the date only where it is another day than the report's.
#[derive(Clone, Copy)]
pub(crate) struct Clock {
    today: Date,
}

impl Clock {
    pub(crate) fn of(diagnosis: &Diagnosis) -> Self {
        Self::at(diagnosis.generated_at)
    }

    pub(crate) fn at(now: Timestamp) -> Self {
        Self { today: date(now) }
    }

    pub(crate) fn time(self, at: Timestamp) -> String {
        let format = if date(at) == self.today {
            "%H:%M:%S"
        } else {
            "%Y-%m-%d %H:%M:%S"
        };
        at.strftime(format).to_string()
    }
}

fn date(at: Timestamp) -> Date {
    TimeZone::UTC.to_datetime(at).date()
}

/// What stands before an incident: the status its client got, or where else it shows.
pub(crate) fn status(incident: &Incident) -> Cow<'static, str> {
    match (incident.status, incident.origin) {
        // As nginx logs it: what came without a status line is 009.
        (Some(status), _) => format!("{status:03}").into(),
        (None, Origin::ErrorLog | Origin::AccessLog) => "log".into(),
        (None, Origin::Host) => "host".into(),
        (None, Origin::Experiment) => "gate".into(),
    }
}

/// `shop.example.com → http://127.0.0.1:8000 (upstream shop)`.
pub(crate) fn headline(incident: &Incident, instances: &[InstanceSummary]) -> String {
    let to = if incident.peer.is_empty() {
        nginx(incident, instances)
    } else {
        dialled(incident)
    };
    arrow(incident, &to)
}

/// The headline of alike incidents.
pub(crate) fn headline_of(block: &Block<'_>, instances: &[InstanceSummary]) -> String {
    let incident = &block.leader.incident;
    match (block.others.len(), block.upstream()) {
        (0, _) => headline(incident, instances),
        (_, Some(upstream)) => arrow(
            incident,
            &format!("upstream {upstream} ({} peers)", block.len()),
        ),
        (more, None) => format!("{} and {more} alike", headline(incident, instances)),
    }
}

fn arrow(incident: &Incident, to: &str) -> String {
    // A name longer than DNS allows helps nobody.
    let named: Vec<Cow<'_, str>> = incident
        .servers
        .iter()
        .map(|name| shortened(name, 64))
        .collect();
    match named.as_slice() {
        [] => to.to_owned(),
        [server] => format!("{server} → {to}"),
        [first, second] => format!("{first}, {second} → {to}"),
        [first, rest @ ..] => format!("{first} and {} more → {to}", rest.len()),
    }
}

pub(crate) fn dialled(incident: &Incident) -> String {
    let peer = &incident.peer;
    // Of several protocols none is the peer's.
    let protocol = incident.protocol.filter(|_| !incident.has_other_protocols);
    match (incident.upstream.as_deref(), protocol) {
        (Some(upstream), _) if upstream == peer => format!("upstream {upstream}"),
        (Some(upstream), Some(protocol)) => {
            format!("{}://{peer} (upstream {upstream})", protocol.as_str())
        }
        (Some(upstream), None) => format!("{peer} (upstream {upstream})"),
        (None, Some(protocol)) => format!("{}://{peer}", protocol.as_str()),
        (None, None) => peer.clone(),
    }
}

fn nginx(incident: &Incident, instances: &[InstanceSummary]) -> String {
    instances
        .get(incident.instance)
        .map_or_else(|| "nginx".to_owned(), instance)
}

/// `nginx 1.22.1 (pid 2841, /etc/nginx/nginx.conf)`.
pub(crate) fn instance(instance: &InstanceSummary) -> String {
    let version = instance
        .version
        .as_ref()
        .map_or_else(String::new, |version| format!(" {version}"));
    let config = instance.config.display();
    match instance.pid {
        Some(pid) => format!("nginx{version} (pid {pid}, {config})"),
        None => format!("nginx{version} ({config})"),
    }
}

/// `1,284 failed attempts since 14:02:11, 63/s, still failing`.
pub(crate) fn attempts(members: &[&Judged], window: Window, clock: Clock) -> String {
    let incidents = || members.iter().map(|judged| &judged.incident);
    let (Some(first), Some(last)) = (
        incidents().map(|i| i.first_seen).min(),
        incidents().map(|i| i.last_seen).max(),
    ) else {
        return String::new();
    };
    if incidents().all(|incident| incident.origin == Origin::Host) {
        return format!("seen on the host itself at {}", clock.time(last));
    }
    let count: u64 = incidents().map(|incident| incident.count).sum();
    let attempts = failed_attempts(count, window);
    let ongoing = members.iter().any(|judged| judged.ongoing());
    let when = match (count, ongoing) {
        (1, _) => format!("{attempts} at {}", clock.time(first)),
        (_, true) => format!("{attempts} since {}", clock.time(first)),
        (_, false) if first == last => format!("{attempts} at {}", clock.time(first)),
        (_, false) => format!(
            "{attempts} from {} to {}",
            clock.time(first),
            clock.time(last)
        ),
    };
    let standing = match standing(members) {
        Standing::Failing => "still failing".to_owned(),
        Standing::Recent if count == 1 => format!("{} ago", seconds_between(last, window.to)),
        Standing::Recent => format!("the last {} ago", seconds_between(last, window.to)),
        Standing::Quiet => "none in the last minute".to_owned(),
        Standing::Connects => {
            "over: it can be connected to again; that it answers is not known (why502 --request URL asks)".to_owned()
        }
        Standing::Undialled => "over: nginx dials it no more".to_owned(),
        Standing::Over => "over".to_owned(),
    };
    match rate(members, first, window.to).filter(|_| ongoing) {
        Some(rate) => format!("{when}, {rate}, {standing}"),
        None => format!("{when}, {standing}"),
    }
}

/// How alike incidents stand: the worst of them.
fn standing(members: &[&Judged]) -> Standing {
    let all = members.iter().map(|judged| judged.standing);
    all.min().unwrap_or(Standing::Over)
}

/// `, over` behind a count, or what comes near it; nothing where it goes on.
pub(crate) fn end(standing: Standing) -> &'static str {
    match standing {
        Standing::Failing | Standing::Recent => "",
        Standing::Quiet => ", quiet",
        Standing::Connects | Standing::Undialled | Standing::Over => ", over",
    }
}

fn seconds_between(from: Timestamp, to: Timestamp) -> String {
    let seconds = (to.as_second() - from.as_second()).max(0);
    format!("{seconds} s")
}

/// `1,284 failed attempts`; where lines of the window are missing, at least so many.
pub(crate) fn failed_attempts(count: u64, window: Window) -> String {
    let at_least = if window.is_partial { "at least " } else { "" };
    format!("{at_least}{}", counted(count, "failed attempt"))
}

/// How often it failed in the last minute.
fn rate(members: &[&Judged], first: Timestamp, until: Timestamp) -> Option<String> {
    let from = (until - SignedDuration::from_secs(60)).max(first);
    let lasting = u64::try_from(until.as_second() - from.as_second())
        .ok()?
        .max(1);
    let lately: u64 = members
        .iter()
        .flat_map(|judged| judged.incident.seconds.range(from.as_second()..))
        .map(|(_, count)| count)
        .sum();
    if lately < 2 {
        None
    } else if lately >= lasting {
        Some(format!("{}/s", number((lately + lasting / 2) / lasting)))
    } else if lasting >= 60 {
        Some(format!("{lately}/min"))
    } else {
        None
    }
}

/// Who felt it, by the access log.
pub(crate) fn impact(impact: Impact) -> String {
    let Impact {
        requests,
        failed,
        rescued,
        replaced,
        mirrored,
        is_partial,
    } = impact;
    let newest = if is_partial { "the newest " } else { "" };
    let of = format!(
        "of {newest}{} that tried this peer",
        counted(requests, "request")
    );
    let at_least = if is_partial { "at least " } else { "" };
    if mirrored > 0 {
        return "clients saw nothing of it: these are copies that mirror makes of their requests"
            .to_owned();
    }
    let others: Vec<String> = [
        (rescued, "answered by another peer"),
        (replaced, "answered by error_page or a stale copy"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, how)| {
        let were = if count == 1 { "was" } else { "were" };
        format!("{at_least}{} {were} {how}", number(count))
    })
    .collect();
    match (failed, rescued, replaced) {
        (0, 0, 0) => format!("clients: none {of} got 502 or 504, by the access log"),
        (0, 1.., 0) if !is_partial => format!(
            "clients saw no error: another peer answered {} {of}",
            number(rescued)
        ),
        (0, _, _) => format!("clients: none {of} got 502 or 504, {}", others.join(", ")),
        (1.., 0, 0) => format!("clients: {at_least}{} {of} got 502 or 504", number(failed)),
        (1.., _, _) => {
            let failed = format!("{at_least}{}", number(failed));
            format!(
                "clients: {failed} {of} got 502 or 504, {}",
                others.join(", ")
            )
        }
    }
}

/// What the configuration on disk does not explain.
pub(crate) fn unexplained(judged: &Judged) -> Option<&'static str> {
    let incident = &judged.incident;
    let is_told = matches!(judged.standing, Standing::Undialled | Standing::Over);
    (!incident.explained && !incident.peer.is_empty() && !is_told).then_some(
        "nothing in the configuration on disk dials this peer: a variable, a name resolved at run time, or an older \
         configuration that the workers still run",
    )
}

/// What is to be said of an incident that no cause is proven of.
pub(crate) fn unproven(judged: &Judged) -> &str {
    let by_line = judged.by_line.as_deref();
    by_line.unwrap_or("nothing that could be learned shows why")
}

/// What a fix does, and its steps; advice that only says the same at more length is said once.
pub(crate) fn plan(fix: &Fix) -> (&str, &[Step]) {
    match fix.steps.as_slice() {
        [Step::Advice { text }, rest @ ..] if text.starts_with(&fix.summary) => (text, rest),
        steps => (&fix.summary, steps),
    }
}

/// How much of a person's judgement a fix needs.
pub(crate) fn safety(safety: Safety) -> &'static str {
    match safety {
        Safety::Safe => "safe",
        Safety::Unsafe => "changes what runs",
        Safety::DisplayOnly => "by hand",
    }
}

/// A command as one would type it.
pub(crate) fn shell(argv: &[String]) -> String {
    argv.iter()
        .map(|arg| quoted(arg))
        .collect::<Vec<_>>()
        .join(" ")
}

fn quoted(arg: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=,+@%".contains(c);
    if !arg.is_empty() && arg.chars().all(plain) {
        Cow::Borrowed(arg)
    } else {
        Cow::Owned(format!("'{}'", arg.replace('\'', r"'\''")))
    }
}

/// The line of nginx that nginx's head and the request's fields frame, where the text is framed so; for people in haste.
pub(crate) fn telling(line: &str) -> &str {
    let message = after_head(line).unwrap_or(line);
    // The first such field: what follows it is the client's to write.
    message
        .split_once(", client: ")
        .map_or(message, |(message, _)| message)
}

/// Behind `2026/06/23 14:02:11 [error] 2841#2841: *1 `.
fn after_head(line: &str) -> Option<&str> {
    let (stamp, rest) = line.split_once(" [")?;
    let shape = stamp
        .bytes()
        .map(|byte| if byte.is_ascii_digit() { b'0' } else { byte });
    if !shape.eq(*b"0000/00/00 00:00:00") {
        return None;
    }
    let (level, rest) = rest.split_once("] ")?;
    let (ids, rest) = rest.split_once(": ")?;
    if !level.bytes().all(|byte| byte.is_ascii_lowercase())
        || !ids
            .bytes()
            .all(|byte| byte.is_ascii_digit() || byte == b'#')
    {
        return None;
    }
    let connection = rest.strip_prefix('*').and_then(|rest| rest.split_once(' '));
    match connection {
        Some((id, message)) if id.bytes().all(|byte| byte.is_ascii_digit()) => Some(message),
        _ => Some(rest),
    }
}

/// The request that was asked for, a row a thing to say: a label, and the text.
pub(crate) fn asked(asked: &Asked) -> Vec<(&'static str, String)> {
    let mut rows = vec![("asked", format!("GET {}", asked.url))];
    let hop = |hop: &Hop| format!("{}: {}", hop.to, hop.outcome);
    rows.extend(asked.through.iter().map(|through| ("nginx", hop(through))));
    rows.extend(asked.logged.iter().map(|line| {
        let text = format!("{}  (incident {})", telling(&line.text), line.incident);
        ("log", text)
    }));
    rows.extend(asked.straight.iter().map(|peer| ("peer", hop(peer))));
    rows.extend(asked.left_out.iter().map(|what| ("without", what.clone())));
    rows.extend(asked.says.iter().map(|says| ("so", says.clone())));
    rows.extend(
        asked
            .gaps
            .iter()
            .map(|gap| ("unknown", format!("{}: {}", gap.missing, gap.why))),
    );
    rows
}

/// What was read, or what it means that nothing was found.
pub(crate) fn reading(diagnosis: &Diagnosis, clock: Clock) -> String {
    let window = diagnosis.window;
    let span = format!(
        "from {} to {} (times are UTC)",
        clock.time(window.from),
        clock.time(window.to)
    );
    let logs: Vec<String> = diagnosis
        .instances
        .iter()
        .flat_map(|instance| &instance.error_logs)
        .map(|log| log.display().to_string())
        .collect();
    let read = match logs.as_slice() {
        [] => "no error log was read".to_owned(),
        logs => format!(
            "{} read {span}: {}",
            counted(window.lines, "log record"),
            logs.join(", ")
        ),
    };
    if !diagnosis.incidents.is_empty() {
        return read;
    }
    if diagnosis.instances.is_empty() {
        return format!("No nginx was found on this host; {read}.");
    }
    let instances: Vec<String> = diagnosis.instances.iter().map(instance).collect();
    let instances = instances.join(", ");
    if window.upstream_failures > 0 {
        let at_least = if window.is_partial { "at least " } else { "" };
        return format!(
            "{instances}: {at_least}{} in the window, none of them what was asked for; {read}.",
            counted(window.upstream_failures, "upstream failure"),
        );
    }
    let found = if logs.is_empty() || !diagnosis.gaps.is_empty() || window.is_partial {
        "no upstream failure found in what could be read"
    } else {
        "no upstream failure"
    };
    format!("{instances}: {found}; {read}.")
}

/// What the reader must know about the evidence as a whole.
pub(crate) fn caveats(diagnosis: &Diagnosis) -> Vec<String> {
    let mut caveats = Vec::new();
    for outdated in diagnosis
        .instances
        .iter()
        .filter(|i| i.running_config == RunningConfig::Outdated)
    {
        caveats.push(format!(
            "{} does not run what stands on disk: a file changed after the workers started, or the last reload failed",
            instance(outdated)
        ));
    }
    if diagnosis.window.cut {
        caveats.push(
            "a log is larger than what is read of it: earlier lines of the window are missing"
                .to_owned(),
        );
    }
    let suspects = diagnosis.window.suspects;
    if suspects > 0 {
        let are = if suspects == 1 { "looks" } else { "look" };
        caveats.push(format!(
            "{} {are} forged and counted for nothing",
            counted(suspects, "log record")
        ));
    }
    caveats
}

/// `3 incidents, 2 confirmed, 1 undetermined; 1 is over`.
pub(crate) fn tally(diagnosis: &Diagnosis) -> String {
    let incidents = &diagnosis.incidents;
    if incidents.is_empty() && diagnosis.is_unheard {
        return "not known: nginx logs nothing that would tell".to_owned();
    }
    if incidents.is_empty() {
        return "no incidents".to_owned();
    }
    let confirmed = incidents
        .iter()
        .filter(|judged| fold::answer(judged).is_some())
        .count();
    let undetermined = incidents.len() - confirmed;
    let of = |is: fn(Standing) -> bool| {
        let standing = incidents.iter().map(|judged| judged.standing);
        standing.filter(|standing| is(*standing)).count()
    };
    let ended = of(|standing| !standing.is_ongoing());
    let quiet = of(|standing| standing == Standing::Quiet);
    let mut parts = vec![counted(incidents.len(), "incident")];
    for (n, what) in [(confirmed, "confirmed"), (undetermined, "undetermined")] {
        if n > 0 {
            parts.push(format!("{n} {what}"));
        }
    }
    let is_all = ended == incidents.len();
    let end = match (ended - quiet, quiet) {
        (0, 0) => String::new(),
        (_, 1..) if is_all => "; none in the last minute".to_owned(),
        (_, 0) if is_all => "; over".to_owned(),
        (0, quiet) => format!("; {quiet} quiet"),
        (1, 0) => "; 1 is over".to_owned(),
        (over, 0) => format!("; {over} are over"),
        (over, quiet) => format!("; {over} over, {quiet} quiet"),
    };
    format!("{}{end}", parts.join(", "))
}

/// What was met in logs and counted apart, each as a sentence without its end.
pub(crate) fn met_in_logs(report: &LogReport) -> Vec<String> {
    let mut met = Vec::new();
    if report.jumps > 0 {
        met.push(format!(
            "the clock of a log went back by more than half an hour {}: a clock or a time zone was set",
            counted(report.jumps, "time")
        ));
    }
    if let Some(access) = &report.access {
        if access.unfit > 0 {
            met.push(format!(
                "not written by the format of its access log, and in no count: {}",
                counted(access.unfit, "line")
            ));
        }
        if access.beyond > 0 {
            met.push(format!(
                "to more peers than are kept apart: {}",
                counted(access.beyond, "attempt")
            ));
        }
    }
    met
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped() {
        for (n, text) in [
            (0, "0"),
            (999, "999"),
            (1284, "1,284"),
            (1_000_000, "1,000,000"),
            (12_345_678, "12,345,678"),
        ] {
            assert_eq!(number(n), text);
        }
    }

    #[test]
    fn a_command_is_quoted_where_a_shell_would_see_more() {
        let argv = |args: &[&str]| args.iter().map(|&arg| arg.to_owned()).collect::<Vec<_>>();
        for (args, typed) in [
            (&["nginx", "-t"][..], "nginx -t"),
            (
                &["ss", "-ltnp", "sport = :8000"],
                "ss -ltnp 'sport = :8000'",
            ),
            (&["echo", "it's", "", "$x;y"], r"echo 'it'\''s' '' '$x;y'"),
        ] {
            assert_eq!(shell(&argv(args)), typed);
        }
    }

    #[test]
    fn the_telling_part_of_a_line_is_its_message() {
        let message = "connect() failed (111: Connection refused) while connecting to upstream";
        for (line, part) in [
            (
                format!(
                    "2026/06/23 14:02:11 [error] 2841#2841: *1 {message}, client: 10.0.0.1, server: x"
                ),
                message,
            ),
            (
                format!("2026/06/23 14:02:11 [alert] 2841#0: {message}"),
                message,
            ),
            (
                format!("{message}, client: 1, request: \"GET /, client: 2\""),
                message,
            ),
            (
                "2026/06/23 [error] 1#1: x".to_owned(),
                "2026/06/23 [error] 1#1: x",
            ),
        ] {
            assert_eq!(telling(&line), part);
        }
    }

    #[test]
    fn advice_that_repeats_the_summary_is_said_once() {
        let advice = |text: &str| Step::Advice {
            text: text.to_owned(),
        };
        let fix = |steps| Fix {
            summary: "start it".to_owned(),
            safety: Safety::DisplayOnly,
            steps,
            verify: None,
        };
        let more = fix(vec![
            advice("start it, or correct the path"),
            advice("then wait"),
        ]);
        assert_eq!(
            plan(&more),
            ("start it, or correct the path", &[advice("then wait")][..])
        );
        let other = fix(vec![advice("look first")]);
        assert_eq!(plan(&other), ("start it", &[advice("look first")][..]));
    }

    #[test]
    fn impact_tells_errors_from_noise() {
        let said = |requests, failed, rescued, replaced| {
            impact(Impact {
                requests,
                failed,
                rescued,
                replaced,
                ..Impact::default()
            })
        };
        for (said, words) in [
            (
                said(10, 0, 10, 0),
                "clients saw no error: another peer answered 10 of 10 requests that tried this peer",
            ),
            (
                said(1594, 310, 0, 0),
                "clients: 310 of 1,594 requests that tried this peer got 502 or 504",
            ),
            (
                said(9, 4, 5, 0),
                "clients: 4 of 9 requests that tried this peer got 502 or 504, 5 were answered by another peer",
            ),
            (
                said(9, 4, 4, 1),
                "clients: 4 of 9 requests that tried this peer got 502 or 504, 4 were answered by another peer, 1 was answered by error_page or a stale copy",
            ),
            (
                said(3, 0, 0, 3),
                "clients: none of 3 requests that tried this peer got 502 or 504, 3 were answered by error_page or a stale copy",
            ),
            (
                said(1, 0, 0, 0),
                "clients: none of 1 request that tried this peer got 502 or 504, by the access log",
            ),
        ] {
            assert_eq!(said, words);
        }
        let partial = |failed, rescued| {
            impact(Impact {
                requests: 1594,
                failed,
                rescued,
                is_partial: true,
                ..Impact::default()
            })
        };
        assert_eq!(
            partial(310, 0),
            "clients: at least 310 of the newest 1,594 requests that tried this peer got 502 or 504"
        );
        assert_eq!(
            partial(0, 1594),
            "clients: none of the newest 1,594 requests that tried this peer got 502 or 504, at least 1,594 were answered by another peer"
        );
        let mirrored = Impact {
            requests: 7,
            mirrored: 7,
            ..Impact::default()
        };
        assert!(impact(mirrored).starts_with("clients saw nothing of it"));
    }
}
