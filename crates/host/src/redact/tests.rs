//! What is planted must be nowhere, and what a diagnosis reads must be everywhere.

use std::fmt::Write as _;

use facts::{Probe as _, RecordKind, View};
use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::Snapshot;

fn record(answer: Answer) -> Record {
    Record {
        at: Timestamp::UNIX_EPOCH,
        answer,
    }
}

fn file(text: &str) -> Record {
    record(Answer::File {
        bytes: text.as_bytes().to_vec(),
        cut: false,
        stat: facts::Stat {
            mode: 0o100_644,
            uid: 0,
            gid: 0,
            device: 1,
            inode: 2,
            size: text.len() as u64,
            modified: Timestamp::UNIX_EPOCH,
            changed: Timestamp::UNIX_EPOCH,
        },
    })
}

fn lines(path: &str, from: &str, text: &str) -> (ProbeRequest, Record) {
    let request = ProbeRequest::LinesSince {
        view: View::Host,
        path: path.into(),
        from: from.to_owned(),
        limit: 1 << 20,
    };
    (request, file(text))
}

fn meta() -> Meta {
    Meta {
        captured_at: Timestamp::UNIX_EPOCH,
        hostname: "edge7.zanzibar.example".to_owned(),
        options: json!({"config": "/home/melchior/nginx.conf", "connect": true}),
    }
}

/// Redacts, and gives all there is in the result as text.
fn redacted(records: &[(ProbeRequest, Record)]) -> (Vec<(ProbeRequest, Record)>, String) {
    let (meta, records) = redact(&meta(), records);
    let mut all = format!("{} {}\n", meta.hostname, meta.options);
    for (request, record) in &records {
        writeln!(all, "{request}").unwrap();
        if let Answer::File { bytes, .. }
        | Answer::Bytes(bytes)
        | Answer::Exit { stdout: bytes, .. } = &record.answer
        {
            all.push_str(&String::from_utf8_lossy(bytes));
            all.push('\n');
        }
    }
    (records, all)
}

const SITE: &str = "\
upstream storefront { server 10.20.30.40:8000; server db1.kingdom.internal:81; }
server {
    listen 203.0.113.9:80;
    server_name shop.zanzibar.example *.balthazar.co.uk
        caspar.de;
    location /api/v2 { proxy_pass http://storefront; }
    location ~ \\.php$ { fastcgi_pass unix:/run/php/zanzibar.sock; }
}
";

const ERRORS: &str = "\
2026/06/23 14:02:11 [error] 7#7: *1 connect() failed (111: Connection refused) while connecting to upstream, client: 81.2.69.142, server: shop.zanzibar.example, request: \"GET /api/v2/orders/4711?mail=eve@mallory.org HTTP/1.1\", upstream: \"http://10.20.30.40:8000/api/v2/orders/4711?mail=eve@mallory.org\", host: \"shop.zanzibar.example\", referrer: \"https://caspar.de/basket/4711\"
2026/06/23 14:02:12 [error] 7#7: *2 open() \"/srv/www/private/letter.html\" failed (2: No such file or directory), client: 2a02:8010:dead::17, server: caspar.de, request: \"GET /private/letter.html HTTP/1.1\", host: \"caspar.de\"
";

const PLANTED: [&str; 19] = [
    "zanzibar",
    "balthazar",
    "caspar",
    "kingdom",
    "storefront",
    "melchior",
    "edge7",
    "10.20.30.40",
    "81.2.69.142",
    "2a02:8010",
    "orders",
    "4711",
    "eve@",
    "mallory",
    "basket",
    "private",
    "letter",
    "dead::17",
    "wilma",
];

#[test]
fn nothing_planted_is_left() {
    let (_, all) = redacted(&[
        (
            ProbeRequest::host_file("/home/melchior/nginx.conf"),
            file(SITE),
        ),
        (
            ProbeRequest::host_file("/etc/hosts"),
            file("10.20.30.40 db1.kingdom.internal edge7\n"),
        ),
        (
            ProbeRequest::host_file("/etc/passwd"),
            file(
                "root:x:0:0:root:/root:/bin/sh\nwilma:x:1000:1000:Wilma Flint:/home/wilma:/bin/sh\n",
            ),
        ),
        lines(
            "/var/log/nginx/zanzibar.error.log",
            "2026/06/23 13:00:00",
            ERRORS,
        ),
        lines(
            "/var/log/nginx/access.log",
            "",
            "81.2.69.142 - wilma [23/Jun/2026:14:02:11 +0000] \"GET /private HTTP/1.1\" 502 157 \"https://caspar.de/basket\" \"curl/8.1\"\n",
        ),
        (
            ProbeRequest::Command {
                argv: vec![
                    "getent".into(),
                    "ahosts".into(),
                    "db1.kingdom.internal".into(),
                ],
            },
            record(Answer::Exit {
                code: Some(0),
                stdout: b"10.20.30.40 STREAM db1.kingdom.internal\n".to_vec(),
                stderr: Vec::new(),
            }),
        ),
        (
            ProbeRequest::host_file("/proc/7/cmdline"),
            record(Answer::Bytes(
                b"gunicorn: master [storefront]\0--bind\x0010.20.30.40:8000\0".to_vec(),
            )),
        ),
    ]);
    for planted in PLANTED {
        assert!(
            !all.to_lowercase().contains(planted),
            "{planted} is left in:\n{all}"
        );
    }
    for kept in [
        "server_name",
        "location /api/v2",
        "\"GET /api/v2/",
        ".html HTTP/1.1\"",
        ":8000",
        "203.0.113.9:80",
        "unix:/run/php/",
        "gunicorn: master [",
        "root:x:0:0:root:/root:/bin/sh",
        "(111: Connection refused)",
        ".co.uk",
        "curl/8.1",
    ] {
        assert!(all.contains(kept), "{kept} is gone from:\n{all}");
    }
}

#[test]
fn nothing_planted_is_left_in_a_containers_log() {
    let access = "81.2.69.142 - wilma [23/Jun/2026:14:02:11 +0000] \"GET /private?a=\u{e9}&b HTTP/1.1\" 502 157 \"https://caspar.de/basket\" \"curl/8.1\"\n";
    let all: Vec<&str> = ERRORS.split_inclusive('\n').chain([access]).collect();
    let (mut docker, mut cri) = (String::new(), String::new());
    for line in all {
        let text = json!(line).to_string().replace('&', "\\u0026");
        let after = "\"stream\":\"stderr\",\"time\":\"2026-06-23T14:02:11.5Z\"";
        writeln!(docker, "{{\"log\":{text},{after}}}").unwrap();
        // A runtime cuts where its buffer ends, be it within a word.
        let (start, end) = line.split_at(line.len() / 2);
        let time = "2026-06-23T14:02:11.5+00:00";
        write!(
            cri,
            "{time} stderr P {start}\n{time} stdout F x\n{time} stderr F {end}"
        )
        .unwrap();
    }
    let marked = ProbeRequest::MarkedLinesSince {
        view: View::Host,
        path: "/var/lib/docker/containers/3f/3f-json.log".into(),
        mark: "\"time\":\"".to_owned(),
        from: "2026-06-23T13:02:11".to_owned(),
        limit: 1 << 20,
    };
    let (records, all) = redacted(&[
        (ProbeRequest::host_file("/etc/nginx/nginx.conf"), file(SITE)),
        (
            ProbeRequest::host_file("/var/lib/docker/containers/3f/3f-json.log"),
            file(&docker),
        ),
        (marked, file(&docker)),
        lines("/srv/ctr.log", "2026-06-23T13:02:11", &cri),
    ]);
    for planted in PLANTED {
        assert!(
            !all.to_lowercase().contains(planted),
            "{planted} is left in:\n{all}"
        );
    }
    for (_, record) in &records[1..3] {
        let Answer::File { bytes, .. } = &record.answer else {
            panic!("no file");
        };
        let lines: Vec<serde_json::Value> = bytes
            .split(|&byte| byte == b'\n')
            .filter(|line| !line.is_empty())
            .map(|line| serde_json::from_slice(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 3);
        assert!(
            lines
                .iter()
                .all(|line| line["time"] == "2026-06-23T14:02:11.5Z")
        );
        let text = lines[0]["log"].as_str().unwrap();
        assert!(
            text.contains("(111: Connection refused)") && text.ends_with('\n'),
            "{text}"
        );
    }
}

#[test]
fn what_was_the_same_stays_the_same() {
    let (records, all) = redacted(&[
        (ProbeRequest::host_file("/etc/nginx/nginx.conf"), file(SITE)),
        lines("/var/log/nginx/error.log", "2026/06/23 13:00:00", ERRORS),
        (
            ProbeRequest::Connect {
                from: None,
                to: PeerAddress::Tcp("10.20.30.40:8000".parse().unwrap()),
            },
            record(Answer::Errno(111)),
        ),
    ]);
    let (connect, _) = records.last().unwrap();
    let ProbeRequest::Connect { to, .. } = connect else {
        panic!("the request is of another kind");
    };
    assert_eq!(
        all.matches(&to.to_string()).count(),
        3,
        "configuration, log and request:\n{all}"
    );
    let meta = meta();
    assert_eq!(
        Snapshot::of(&meta, &records).ask(connect).answer,
        Answer::Errno(111)
    );
}

#[test]
fn no_line_grows_or_goes_but_for_addresses() {
    let (records, _) = redacted(&[(
        ProbeRequest::host_file("/etc/nginx/nginx.conf"),
        file(&SITE.replace("10.20.30.40", "127.0.0.1")),
    )]);
    let Answer::File { bytes, .. } = &records[0].1.answer else {
        panic!("no file");
    };
    let text = String::from_utf8(bytes.clone()).unwrap();
    let lengths = |text: &str| text.lines().map(str::len).collect::<Vec<_>>();
    assert_eq!(
        lengths(&text),
        lengths(&SITE.replace("10.20.30.40", "127.0.0.1"))
    );
}

#[test]
fn a_sockets_path_in_a_log_ends_where_it_ends() {
    let mut redaction = Redaction::default();
    for line in [
        "upstream: \"fastcgi://unix:/run/php/fpm.sock\", host: \"localhost\"\n",
        "upstream: \"fastcgi://unix:/run/php/fpm.sock:\", host: \"localhost\"\n",
        "upstream: \"http://unix:/run/www/app.sock:/\", host: \"localhost\"\n",
    ] {
        let redacted = redaction.log(line.as_bytes(), Log::Any);
        assert_eq!(String::from_utf8(redacted).unwrap(), line);
    }
}

#[test]
fn no_certificate_is_left() {
    let text = "before\n-----BEGIN CERTIFICATE-----\nMIIDszCCApug\nAAAA==\n-----END CERTIFICATE-----\nbetween\n-----BEGIN CERTIFICATE-----\nMIID\n-----END CERTIFICATE-----\nafter\n";
    let (records, _) = redacted(&[(ProbeRequest::host_file("/etc/ssl/peer.pem"), file(text))]);
    let Answer::File { bytes, .. } = &records[0].1.answer else {
        panic!("no file");
    };
    let expected = text
        .replace("MIIDszCCApug", "************")
        .replace("AAAA==", "******")
        .replace("MIID", "****");
    assert_eq!(String::from_utf8_lossy(bytes), expected);
    assert_eq!(
        greeting(b"received 16\ncertificate 3082\nended closed\n"),
        b"received 16\nended closed\n"
    );
}

#[test]
fn what_is_no_address_stays() {
    let text = "nginx/1.22.1 at 2026-06-23T14:02:11, 00:12:33, Foo::bar, s0:c0.c1023, +02:00, user@1000.service, a@b, :: and ::1 are kept";
    let mut redaction = Redaction::default();
    assert_eq!(
        String::from_utf8(redaction.text(text.as_bytes())).unwrap(),
        text
    );
}

#[test]
fn a_message_of_a_name_server_stays_one() {
    let question = facts::dns::question("db1.kingdom.internal", RecordKind::A, 7).unwrap();
    let mut answer = question;
    answer[7] = 1;
    // A pointer to the name of the question, type A, class IN, a time to live and an address.
    answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 10, 20, 30, 40]);
    let request = ProbeRequest::Dns {
        netns: None,
        server: "10.20.30.2:53".parse().unwrap(),
        name: "db1.kingdom.internal".to_owned(),
        kind: RecordKind::A,
    };
    let (records, all) = redacted(&[(request, record(Answer::Bytes(answer)))]);
    assert!(!all.contains("kingdom"), "{all}");
    let Answer::Bytes(bytes) = &records[0].1.answer else {
        panic!("no bytes");
    };
    let reply = facts::dns::Reply::parse(bytes).unwrap();
    assert!(
        matches!(reply.addresses[..], [IpAddr::V4(address)] if address.is_private() && address.octets() != [10, 20, 30, 40])
    );
}

proptest::proptest! {
    #[test]
    fn junk_is_borne(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..300), text in "([a-c:.@/%\"\\\\x0-9]|GET |http://|unix:|request: \"|server_name |\n){0,60}") {
        for bytes in [&bytes[..], text.as_bytes()] {
            let mut redaction = Redaction::default();
            redaction.of_everything(bytes);
        }
    }
}

impl Redaction {
    fn of_everything(&mut self, bytes: &[u8]) {
        let request = ProbeRequest::host_file("/etc/nginx/nginx.conf");
        let log = lines("/l", "", "").0;
        for request in [request, log] {
            self.learn(&meta(), &[(request, record(Answer::Bytes(bytes.to_vec())))]);
        }
        for form in [
            Form::Text,
            Form::Log(Log::Access),
            Form::Log(Log::Any),
            Form::DockerLog,
            Form::CriLog,
            Form::Inet,
            Form::Dns,
            Form::Handshake,
            Form::Hexadecimal,
            Form::Hostname,
            Form::Accounts,
            Form::Plain,
        ] {
            self.bytes(&form, bytes);
        }
    }
}
