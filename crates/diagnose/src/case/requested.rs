//! The request that the user asks to be sent: through nginx, and then straight to the peers behind it.
//!
//! It goes out before nginx's logs are read, so that they hold what nginx said of it; the case's clock is then the moment
//! of its answer. It proves nothing by itself: it makes a failure happen whose lines the judges read, and it says how two
//! answers compare.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use conf::Protocol;
use facts::exchange::{End, Exchange};
use facts::{Answer, Gap, GapKind, Get, Hello, PeerAddress, ProbeRequest, Record, Url};
use jiff::Timestamp;
use log::error::{Class, Event};

use super::network::errno_text;
use super::way::{Onward, USER_AGENT, Way, not_running};
use super::{Case, known};
use crate::diagnosis::{Asked, Hop, Logged};
use crate::incident::Incident;

/// A response header above this size is told with its largest lines: nginx's buffer for it may have one page.
const LARGE_HEAD: u64 = 4000;
/// Lines of nginx's about the request that are kept.
const LINES_KEPT: usize = 8;

/// What came of the request at one place.
#[derive(Clone, Debug)]
enum Outcome {
    /// There was a connection.
    Exchanged(Rc<Exchange>),
    /// A connection and nothing more was tried, and it came about.
    Connected,
    /// There was none, with this errno.
    Failed(i32),
    /// There was none in time.
    NoConnection,
}

/// The user's request, as it reached nginx.
#[derive(Clone, Debug)]
pub(crate) struct Through {
    way: Way,
    at: Timestamp,
    outcome: Outcome,
}

/// Which lines of nginx's speak of the user's request.
pub(super) struct Sent {
    client: Option<IpAddr>,
    path: String,
    host: String,
    from: i64,
    to: i64,
}

impl Sent {
    /// Whether a line is of a request like it, in the time of it.
    pub(super) fn is_of(&self, event: &Event<'_>, at: Timestamp) -> bool {
        let is_then = (self.from..=self.to).contains(&at.as_second());
        let client = event.client.map(ToString::to_string);
        let is_client = self
            .client
            .is_some_and(|own| client.is_some_and(|client| client == own.to_string()));
        let is_request = event
            .request
            .and_then(super::logs::path_of)
            .is_some_and(|path| path == self.path);
        let is_host = event
            .host
            .is_none_or(|host| host.eq_ignore_ascii_case(self.host.as_bytes()));
        is_then && is_client && is_request && is_host
    }
}

impl Outcome {
    fn of(record: &Record) -> Option<Self> {
        Some(match &record.answer {
            Answer::Bytes(bytes) => Self::Exchanged(Rc::new(Exchange::parse(bytes))),
            Answer::Errno(errno) => Self::Failed(*errno),
            Answer::TimedOut => Self::NoConnection,
            Answer::File { .. } | Answer::Exit { .. } | Answer::NotRecorded => return None,
        })
    }

    fn status(&self) -> Option<u16> {
        match self {
            Self::Exchanged(exchange) => exchange.status(),
            Self::Connected | Self::Failed(_) | Self::NoConnection => None,
        }
    }

    /// Whether no connection came about.
    fn is_unreached(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::NoConnection)
    }

    fn is_page_of_nginx(&self) -> bool {
        matches!(self, Self::Exchanged(exchange) if exchange.is_page_of_nginx)
    }

    /// In a few words.
    fn text(&self) -> String {
        match self {
            Self::Exchanged(exchange) => exchanged(exchange),
            Self::Connected => "takes connections".to_owned(),
            Self::Failed(errno) => format!("no connection: {}", errno_text(*errno)),
            Self::NoConnection => "no connection in time".to_owned(),
        }
    }
}

fn exchanged(exchange: &Exchange) -> String {
    let Some(head) = &exchange.head else {
        if let Some(alert) = exchange.alert {
            return format!(
                "TLS refused with alert {alert} ({})",
                super::tls::alert_name(alert)
            );
        }
        return match (&exchange.refused, exchange.ended) {
            (Some(why), _) => format!("no answer to be read: {why}"),
            (None, Some(End::Closed)) => "closed without an answer".to_owned(),
            (None, Some(End::Errno(errno))) => format!("ended with {}", errno_text(errno)),
            (None, _) => "no answer in 10 seconds".to_owned(),
        };
    };
    let mut parts = vec![format!("{} after {}", head.status, shown(head.after))];
    if head.bytes >= LARGE_HEAD {
        let largest = head
            .largest()
            .map_or_else(String::new, |(name, bytes)| format!(" ({name}: {bytes})"));
        parts.push(format!("a header of {} bytes{largest}", head.bytes));
    }
    parts.extend(match exchange.ended {
        Some(End::Closed) => Some("closed before its end".to_owned()),
        Some(End::Errno(errno)) => Some(format!("broken off with {}", errno_text(errno))),
        Some(End::Silent) => Some("not whole in 10 seconds".to_owned()),
        Some(End::Whole | End::Cut) | None => None,
    });
    parts.join(", ")
}

pub(super) fn shown(time: Duration) -> String {
    let milliseconds = time.as_secs_f64() * 1000.0;
    if milliseconds < 1000.0 {
        format!("{milliseconds:.1} ms")
    } else {
        format!("{:.1} s", time.as_secs_f64())
    }
}

impl Case {
    /// Waits for the user's request, where there is one: what nginx wrote is read after that.
    pub(super) fn after_the_request(&self) -> Result<(), Gap> {
        known(self.through()).map(drop)
    }

    /// Why the user's URL cannot be asked for, and what could.
    pub(super) fn request_refusal(&self) -> Result<Option<String>, Gap> {
        let Some(url) = &self.options.request else {
            return Ok(None);
        };
        let way = known(self.way_of(url))?;
        Ok(way.and_then(|way| way.as_ref().as_ref().err().cloned()))
    }

    /// The user's request through nginx.
    fn through(&self) -> Result<Option<Rc<Through>>, Gap> {
        let Some(url) = &self.options.request else {
            return Ok(None);
        };
        let way = self.way_of(url)?;
        let Ok(way) = way.as_ref() else {
            return Ok(None);
        };
        let runs = self
            .instances()?
            .get(way.instance)
            .is_some_and(|instance| instance.master.is_some());
        if !runs {
            return Err(not_running(url));
        }
        let to = PeerAddress::Tcp(way.served.address);
        let from = self.netns_of_way(way)?;
        let peers = known(self.onward(way, url))?.map(|onward| onward.peers);
        self.queues_first(from, peers.iter().flatten().chain([&to]))?;
        let get = as_a_client(url);
        let request = ProbeRequest::Request { from, to, get };
        let record = self.evidence.record(&request)?;
        let missing = || format!("what nginx answers to {url}");
        let outcome = match Outcome::of(record) {
            Some(Outcome::Failed(1)) => {
                return Err(Gap::new(
                    GapKind::Denied,
                    missing(),
                    "a connection where nginx runs needs root",
                )
                .learn("sudo why502 --request URL"));
            }
            Some(outcome) => outcome,
            None => return Err(Gap::undecided(missing(), "the record holds no answer")),
        };
        Ok(Some(Rc::new(Through {
            way: way.clone(),
            at: record.at,
            outcome,
        })))
    }

    /// Which lines of an instance's log speak of the request.
    pub(super) fn sent(&self, idx: usize) -> Result<Option<Sent>, Gap> {
        let through = known(self.through())?.flatten();
        let (Some(url), Some(through)) = (&self.options.request, through) else {
            return Ok(None);
        };
        if through.way.instance != idx {
            return Ok(None);
        }
        let client = match &through.outcome {
            Outcome::Exchanged(exchange) => exchange.local,
            _ => None,
        };
        Ok(Some(Sent {
            client,
            path: url.raw_path().to_owned(),
            host: url.authority(),
            from: self.options.now.as_second(),
            to: through.at.as_second(),
        }))
    }

    /// The same request straight to the peers, each with what came of it, and what was left out of it.
    fn straight(&self, url: &Url, through: &Through) -> Result<(Vec<Straight>, Vec<String>), Gap> {
        let onward = self.onward(&through.way, url)?;
        let instances = self.instances()?;
        let from = instances
            .get(through.way.instance)
            .and_then(super::Instance::worker);
        let requests: Vec<ProbeRequest> = onward
            .peers
            .iter()
            .map(|to| asked_of(&onward, from, to.clone()))
            .collect();
        drop(self.evidence.batch(requests.iter().cloned())?);
        let mut answers = Vec::new();
        for (to, request) in onward.peers.iter().zip(&requests) {
            let record = self.evidence.record(request)?;
            let outcome = match (Outcome::of(record), request) {
                (Some(Outcome::Failed(1)), _) => {
                    return Err(Gap::new(
                        GapKind::Denied,
                        format!("what {to} answers"),
                        "a connection as nginx's worker needs root",
                    )
                    .learn("sudo why502 --request URL"));
                }
                (Some(Outcome::Exchanged(_)), ProbeRequest::Connect { .. }) => Outcome::Connected,
                (Some(outcome), _) => outcome,
                (None, _) => continue,
            };
            answers.push(Straight {
                to: to.clone(),
                protocol: onward.protocol,
                outcome,
            });
        }
        Ok((answers, onward.left_out))
    }

    /// What the user's request came to, and what it says.
    pub(crate) fn asked(&self) -> Option<Asked> {
        let url = self.options.request.as_ref()?;
        let mut asked = Asked {
            url: url.to_string(),
            at: None,
            through: None,
            logged: Vec::new(),
            straight: Vec::new(),
            left_out: Vec::new(),
            says: Vec::new(),
            gaps: Vec::new(),
        };
        let through = match self.through() {
            Ok(Some(through)) => through,
            Ok(None) => return None,
            Err(gap) => {
                asked.gaps.push(gap);
                return Some(asked);
            }
        };
        asked.at = Some(through.at);
        if let Ok(logs) = self.log_facts(through.way.instance) {
            asked.logged.clone_from(&logs.asked);
        }
        asked.through = Some(Hop {
            to: through.way.served.address.to_string(),
            status: through.outcome.status(),
            outcome: through_text(&through.outcome, &asked.logged),
        });
        let straight = match self.straight(url, &through) {
            Ok((straight, left_out)) => {
                asked.left_out = left_out;
                straight
            }
            Err(gap) => {
                asked.gaps.push(gap);
                Vec::new()
            }
        };
        asked.straight = straight.iter().map(Straight::hop).collect();
        asked.says = compared(&through.outcome, &straight, &asked.logged);
        Some(asked)
    }

    /// What the user's request says of an incident that it made happen.
    pub(crate) fn said_of(&self, incident: &Incident) -> Vec<String> {
        let asked = self.asked().filter(|asked| {
            let mut ids = asked.logged.iter().map(|line| &line.incident);
            ids.any(|id| *id == incident.id)
        });
        asked.map(|asked| asked.says).unwrap_or_default()
    }
}

/// A peer asked straight.
#[derive(Clone, Debug)]
struct Straight {
    to: PeerAddress,
    protocol: Protocol,
    outcome: Outcome,
}

impl Straight {
    fn hop(&self) -> Hop {
        Hop {
            to: format!("{}://{}", self.protocol.scheme(), self.to),
            status: self.outcome.status(),
            outcome: match self.outcome {
                Outcome::Connected => format!(
                    "takes connections ({} is not spoken by why502: nothing was asked)",
                    self.protocol.scheme()
                ),
                _ => self.outcome.text(),
            },
        }
    }
}

/// The request as a client would send it to nginx.
fn as_a_client(url: &Url) -> Get {
    let name = url.ip().is_none().then(|| url.host.clone());
    let headers = [
        ("Host", url.authority()),
        ("User-Agent", USER_AGENT.to_owned()),
        ("Accept", "*/*".to_owned()),
        ("Connection", "close".to_owned()),
    ];
    Get {
        tls: url.is_tls.then_some(Hello::Tls { name, tls13: true }),
        target: url.target().to_owned(),
        is_http11: true,
        headers: headers
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    }
}

fn asked_of(onward: &Onward, from: Option<u32>, to: PeerAddress) -> ProbeRequest {
    match &onward.get {
        Some(get) => ProbeRequest::Request {
            from,
            to,
            get: get.clone(),
        },
        None => ProbeRequest::Connect { from, to },
    }
}

/// nginx's answer, and whose it is where that can be told.
fn through_text(outcome: &Outcome, logged: &[Logged]) -> String {
    let text = outcome.text();
    let Some(status) = outcome.status().filter(|&status| status >= 400) else {
        return text;
    };
    let made_it = logged.iter().any(|line| line.status == Some(status));
    let whose = match (outcome.is_page_of_nginx(), made_it) {
        (true, true) => "nginx's own page",
        (true, false) => "a page that nginx makes: this one, or one behind it",
        (false, true) => "made by nginx, with a page of the site's",
        (false, false) => "not a page of nginx's making",
    };
    format!("{text}, {whose}")
}

/// What two answers to one request say together. They were given one after the other: what changes from one request to
/// the next may have changed between them too.
fn compared(through: &Outcome, straight: &[Straight], logged: &[Logged]) -> Vec<String> {
    let Some(status) = through.status() else {
        return Vec::new();
    };
    let made_it = logged.iter().any(|line| line.status == Some(status));
    let is_bad = matches!(status, 502..=504);
    let mut says = Vec::new();
    for answer in straight {
        let to = &answer.to;
        match answer.outcome.status() {
            Some(own) if is_bad && own == status && !made_it => says.push(format!(
                "the application at {to} answers {own} itself: nginx passes it on"
            )),
            Some(own) if is_bad && own < 500 => says.push(format!(
                "asked straight right after, {to} answers {own}: through nginx it was {status}"
            )),
            Some(own) if !is_bad && matches!(own, 502..=504) => says.push(format!(
                "asked straight right after, {to} answers {own}: through nginx it was {status}"
            )),
            Some(_) | None if is_bad && answer.outcome.is_unreached() => says.push(format!(
                "{to} cannot be reached without nginx either: {}",
                answer.outcome.text()
            )),
            None if is_bad && matches!(answer.outcome, Outcome::Exchanged(_)) => {
                says.push(format!(
                    "asked straight, {to} fails as well: {}",
                    answer.outcome.text()
                ));
            }
            _ => {}
        }
    }
    says.dedup();
    says
}

/// A line of nginx's about the request, as it is kept.
pub(super) fn keep(kept: &mut Vec<Logged>, incident: &str, event: &Event<'_>, text: String) {
    let seen: BTreeSet<&str> = kept.iter().map(|line| line.text.as_str()).collect();
    // Clients that leave are told of, as ours does after its bound: no failure of a peer.
    if kept.len() < LINES_KEPT && !seen.contains(text.as_str()) && event.class != Class::ClientAbort
    {
        kept.push(Logged {
            incident: incident.to_owned(),
            status: match event.outcome() {
                log::error::Seen::Status(status) => Some(status),
                _ => None,
            },
            text,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::Diagnosis;
    use crate::fixture::Fixture;

    const HOST: &str = "
        //- options request=http://shop.example/big?id=7
        //- nginx master=2841 workers=2842
        //- file /etc/nginx/nginx.conf
        events {} http {
        upstream shop { server 127.0.0.1:8000; server 127.0.0.1:8001 backup; }
        server { listen 80; server_name shop.example; location / { proxy_pass http://shop; } }
        server { listen 80; server_name old.example; location /a/ { proxy_pass http://127.0.0.1:8000/b/; } }
        server { listen 443 ssl; server_name shop.example; location / { proxy_pass http://shop; } }
        }
        //- process 77
        node /srv/shop/app.js
        //- listen tcp 127.0.0.1:8000 pid=77
        //- listen tcp 127.0.0.1:8001 pid=77
    ";

    const LOG: &str = "
        //- file /var/log/nginx/error.log
        2026/06/23 14:05:00 [error] 2842#2842: *7 upstream sent too big header while reading response header from upstream, client: 127.0.0.1, server: shop.example, request: \"GET /big?id=7 HTTP/1.1\", upstream: \"http://127.0.0.1:8000/big?id=7\", host: \"shop.example\"
    ";

    const BAD_GATEWAY: &str = "
        //- request 127.0.0.1:80
        local 127.0.0.1
        connected us=100
        head status=502 us=3000 bytes=157
        header server 12 nginx/1.22.1
        body bytes=157 page=nginx
        ended whole
    ";

    const LARGE: &str = "
        //- request 127.0.0.1:8000
        local 127.0.0.1
        connected us=100
        head status=200 us=2000 bytes=9312
        header set-cookie 9063
        body bytes=3
        ended whole
    ";

    fn diagnosis(parts: &[&str]) -> Diagnosis {
        Fixture::parse(&parts.concat()).diagnose()
    }

    fn shown(diagnosis: &Diagnosis) -> String {
        let asked = diagnosis.asked.as_ref().unwrap();
        let hop = |hop: &Hop| format!("{}: {}", hop.to, hop.outcome);
        let mut lines = vec![asked.url.clone()];
        lines.extend(asked.through.iter().map(hop));
        lines.push(format!("{} logged", asked.logged.len()));
        lines.extend(asked.straight.iter().map(hop));
        lines.extend(asked.left_out.iter().map(|what| format!("without {what}")));
        lines.extend(asked.says.iter().map(|says| format!("so {says}")));
        let gaps = asked.gaps.iter();
        lines.extend(gaps.map(|gap| format!("gap {}: {}", gap.missing, gap.why)));
        lines.join("\n")
    }

    #[test]
    fn what_nginx_makes_a_502_of_is_told_apart_from_what_the_application_answers() {
        let diagnosis = diagnosis(&[HOST, LOG, BAD_GATEWAY, LARGE]);
        insta::assert_snapshot!(shown(&diagnosis), @"
        http://shop.example/big?****
        127.0.0.1:80: 502 after 3.0 ms, nginx's own page
        1 logged
        http://127.0.0.1:8000: 200 after 2.0 ms, a header of 9312 bytes (set-cookie: 9063)
        so asked straight right after, 127.0.0.1:8000 answers 200: through nginx it was 502
        ");
        let judged = diagnosis.incidents.first().unwrap();
        assert!(judged.ongoing());
        assert_eq!(judged.incident.count, 1);
        assert_eq!(
            diagnosis.asked.as_ref().unwrap().logged[0].incident,
            judged.incident.id
        );
        assert!(diagnosis.asked.unwrap().is_failed());
    }

    #[test]
    fn an_application_that_answers_502_itself_is_said() {
        let own = BAD_GATEWAY
            .replace("127.0.0.1:80\n", "127.0.0.1:8000\n")
            .replace(" page=nginx", "");
        let through = BAD_GATEWAY.replace(" page=nginx", "");
        insta::assert_snapshot!(shown(&diagnosis(&[HOST, "//- file /var/log/nginx/error.log\n", &through, &own])), @"
        http://shop.example/big?****
        127.0.0.1:80: 502 after 3.0 ms, not a page of nginx's making
        0 logged
        http://127.0.0.1:8000: 502 after 3.0 ms
        so the application at 127.0.0.1:8000 answers 502 itself: nginx passes it on
        ");
    }

    #[test]
    fn a_dead_peer_is_dead_without_nginx_too() {
        let dead = HOST.replace("//- listen tcp 127.0.0.1:8000 pid=77", "");
        insta::assert_snapshot!(shown(&diagnosis(&[&dead, BAD_GATEWAY])), @"
        http://shop.example/big?****
        127.0.0.1:80: 502 after 3.0 ms, a page that nginx makes: this one, or one behind it
        0 logged
        http://127.0.0.1:8000: no connection: 111: Connection refused
        so 127.0.0.1:8000 cannot be reached without nginx either: no connection: 111: Connection refused
        ");
    }

    #[test]
    fn what_works_says_nothing() {
        let fine = |at: &str| {
            LARGE
                .replace("127.0.0.1:8000", at)
                .replace("bytes=9312", "bytes=312")
        };
        let diagnosis = diagnosis(&[HOST, &fine("127.0.0.1:80"), &fine("127.0.0.1:8000")]);
        insta::assert_snapshot!(shown(&diagnosis), @"
        http://shop.example/big?****
        127.0.0.1:80: 200 after 2.0 ms
        0 logged
        http://127.0.0.1:8000: 200 after 2.0 ms
        ");
        assert!(!diagnosis.asked.unwrap().is_failed());
    }

    #[test]
    fn a_line_of_another_client_path_host_or_time_is_not_the_requests() {
        for (from, to) in [
            ("client: 127.0.0.1", "client: 192.0.2.7"),
            ("GET /big?", "GET /small?"),
            ("host: \"shop.example\"", "host: \"other.example\""),
            ("14:05:00", "14:04:59"),
        ] {
            let other = LOG.replace(from, to);
            let diagnosis = diagnosis(&[HOST, &other, BAD_GATEWAY, LARGE]);
            assert!(diagnosis.asked.unwrap().logged.is_empty(), "{to}");
            assert_eq!(diagnosis.incidents.len(), 1, "{to}");
        }
    }

    #[test]
    fn nothing_is_sent_where_no_server_serves_it() {
        for (url, said) in [
            (
                "http://typo.example/",
                "no server of the configuration on port 80 is named typo.example: there are old.example, shop.example",
            ),
            (
                "http://shop.example:8000/",
                "no server of the configuration listens on port 8000 for plain HTTP: its ports are 80 (http), 443 (https)",
            ),
            (
                "https://shop.example:80/",
                "no server of the configuration listens on port 80 for TLS: its ports are 80 (http), 443 (https)",
            ),
        ] {
            let host = HOST.replace("http://shop.example/big?id=7", url);
            let fixture = Fixture::parse(&host);
            let mut case = crate::Case::new(fixture.options.clone());
            for _ in 0..40 {
                for request in case.plan() {
                    assert!(
                        !matches!(request, ProbeRequest::Request { .. }),
                        "{request}"
                    );
                    let record = facts::Probe::ask(&fixture.host, &request);
                    case.add(request, record);
                }
            }
            let diagnosis = case.conclude();
            assert_eq!(diagnosis.refusal.as_deref(), Some(said));
            assert_eq!(diagnosis.asked, None);
        }
    }

    #[test]
    fn nothing_but_listeners_and_peers_is_asked_and_no_log_is_read_before() {
        let fixture = Fixture::parse(&[HOST, LOG, BAD_GATEWAY, LARGE].concat());
        let mut case = crate::Case::new(fixture.options.clone());
        let mut order = Vec::new();
        for _ in 0..40 {
            for request in case.plan() {
                let text = request.to_string();
                if text.starts_with("request") || text.contains("error.log") {
                    order.push(text);
                }
                let record = facts::Probe::ask(&fixture.host, &request);
                case.add(request, record);
            }
        }
        insta::assert_snapshot!(order.join("\n"), @"
        request host 127.0.0.1:80 http /big?****
        walk host /var/log/nginx/error.log
        request 2842 127.0.0.1:8000 http /big?****
        lines-since host /var/log/nginx/error.log 2026/06/23%2013:05:00 67108864
        ");
    }

    fn sent(site: &str, url: &str) -> String {
        let host = format!(
            "
            //- options request={url}
            //- nginx
            //- file /etc/nginx/nginx.conf
            events {{}} http {{ server {{ listen 80; server_name shop.example; {site} }} }}
        "
        );
        let fixture = Fixture::parse(&[&host, BAD_GATEWAY].concat());
        let mut case = crate::Case::new(fixture.options.clone());
        let mut sent = Vec::new();
        for _ in 0..40 {
            for request in case.plan() {
                if let ProbeRequest::Request { get, to, .. } = &request
                    && to.port() != Some(80)
                {
                    let headers = get.headers.iter();
                    let headers: Vec<String> = headers
                        .map(|(name, value)| format!("{name}: {value}"))
                        .collect();
                    let version = if get.is_http11 { "1.1" } else { "1.0" };
                    let (target, headers) = (&get.target, headers.join("; "));
                    sent.push(format!("{to} {version} {target} {:?} {headers}", get.tls));
                }
                let record = facts::Probe::ask(&fixture.host, &request);
                case.add(request, record);
            }
        }
        let asked = case.conclude().asked.unwrap();
        sent.extend(asked.left_out.iter().map(|what| format!("without {what}")));
        sent.extend(asked.gaps.iter().map(|gap| format!("gap {}", gap.why)));
        sent.join("\n")
    }

    #[test]
    fn a_request_is_written_as_nginx_writes_it() {
        let url = "http://shop.example/a/x?id=7";
        let plain = sent("location / { proxy_pass http://127.0.0.1:8000; }", url);
        let set = sent(
            "location / { proxy_http_version 1.1; proxy_set_header Host $host; proxy_set_header Connection ''; proxy_set_header X-Real-IP $remote_addr; proxy_set_header X-Id $request_id; proxy_set_header X-Empty ''; proxy_pass http://127.0.0.1:8000; }",
            url,
        );
        let replaced = sent("location /a/ { proxy_pass http://127.0.0.1:8000/b/; }", url);
        let tls = sent(
            "location / { proxy_ssl_server_name on; proxy_ssl_name app.internal; proxy_pass https://127.0.0.1:8443; }",
            url,
        );
        let named = sent(
            "location / { try_files $uri @app; } location @app { proxy_pass http://127.0.0.1:8000; }",
            url,
        );
        insta::assert_snapshot!([plain, set, replaced, tls, named].join("\n"), @r#"
        127.0.0.1:8000 1.0 /a/x?id=7 None Host: 127.0.0.1:8000; Connection: close; User-Agent: why502/0.1.0; Accept: */*
        127.0.0.1:8000 1.1 /a/x?id=7 None Host: shop.example; X-Real-IP: 127.0.0.1; Connection: close; User-Agent: why502/0.1.0; Accept: */*
        without the header X-Id, whose value is not known here
        127.0.0.1:8000 1.0 /b/x?id=7 None Host: 127.0.0.1:8000; Connection: close; User-Agent: why502/0.1.0; Accept: */*
        127.0.0.1:8443 1.0 /a/x?id=7 Some(Tls { name: Some("app.internal"), tls13: false }) Host: 127.0.0.1:8443; Connection: close; User-Agent: why502/0.1.0; Accept: */*
        127.0.0.1:8000 1.0 /a/x?id=7 None Host: 127.0.0.1:8000; Connection: close; User-Agent: why502/0.1.0; Accept: */*
        "#);
    }

    #[test]
    fn where_the_way_is_decided_at_run_time_nothing_is_sent() {
        let url = "http://shop.example/a/x";
        let gaps: Vec<String> = [
            "rewrite ^ /y; location / { proxy_pass http://127.0.0.1:8000; }",
            "location / { if ($request_method = GET) { proxy_pass http://127.0.0.1:8000; } }",
            "location / { return 502; }",
            "location / { try_files $uri /index.html; }",
            "location / { root /srv; }",
            "location / { proxy_pass http://$host:8000; }",
            "location / { proxy_pass http://127.0.0.1:8000$uri; }",
            "location ~ ^/(?!b) { proxy_pass http://127.0.0.1:8000; }",
            "location / { proxy_method POST; proxy_pass http://127.0.0.1:8000; }",
            "location ~ ^/a { proxy_pass http://127.0.0.1:8000; proxy_http_version 2; }",
        ]
        .iter()
        .map(|site| sent(site, url))
        .collect();
        insta::assert_snapshot!(gaps.join("\n"), @"
        gap rewrite in server may decide otherwise
        gap if in location / may decide otherwise
        gap return in location / may decide otherwise
        gap try_files in location / looks for files first
        gap location / passes nothing on: nginx answers by itself
        gap proxy_pass http://$host:8000 takes its address from a variable
        gap proxy_pass http://127.0.0.1:8000$uri takes its address from a variable
        gap location ~ ^/(?!b) is not understood here
        gap proxy_method changes the method
        gap nginx speaks HTTP/2 there, which why502 does not
        ");
    }

    #[test]
    fn another_protocol_is_only_connected_to() {
        let host = "
            //- options request=http://shop.example/x.php
            //- nginx
            //- file /etc/nginx/nginx.conf
            events {} http { server { listen 80; server_name shop.example; location ~ \\.php$ { fastcgi_pass unix:/run/php.sock; } } }
        ";
        insta::assert_snapshot!(shown(&diagnosis(&[host, BAD_GATEWAY])), @"
        http://shop.example/x.php
        127.0.0.1:80: 502 after 3.0 ms, a page that nginx makes: this one, or one behind it
        0 logged
        fastcgi://unix:/run/php.sock: no connection: 2: No such file or directory
        so unix:/run/php.sock cannot be reached without nginx either: no connection: 2: No such file or directory
        ");
        let listening = "//- path /run dir 755 0:0\n//- process 88\nphp-fpm: master process (/etc/php/fpm.conf)\n//- listen unix /run/php.sock pid=88\n";
        insta::assert_snapshot!(shown(&diagnosis(&[host, BAD_GATEWAY, listening])), @"
        http://shop.example/x.php
        127.0.0.1:80: 502 after 3.0 ms, a page that nginx makes: this one, or one behind it
        0 logged
        fastcgi://unix:/run/php.sock: takes connections (fastcgi is not spoken by why502: nothing was asked)
        ");
    }
}
