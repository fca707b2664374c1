//! Reports made here, in the layout that sos 4 has.

use std::fs;
use std::io::Write as _;

use proptest::prelude::*;

use super::*;

const PS: &str = "\
F S   UID   PID  PPID  PGID   SID CLS PRI ADDR    SZ WCHAN                                 STARTED TT           TIME CMD
4 S     0     1     0     0     0  TS  29    - 11155 -                    Thu Nov 26 18:18:46 2026 ?        00:00:02 /sbin/init
1 S     0  4217     1  4217  4217  TS   9    -  2616 sigsuspend           Thu Nov 26 18:30:41 2026 ?        00:00:00 nginx: master process /usr/sbin/nginx
5 S    33  4433  4217  4217  4217  TS   9    -  2978 do_epoll_wait        Thu Nov 26 18:30:45 2026 ?        00:00:00 nginx: worker process
";

/// Path and contents, or where a link leads.
fn files() -> Vec<(&'static str, Result<&'static str, &'static str>)> {
    vec![
        (
            "sos_commands/date/date",
            Ok("Thu Nov 26 21:05:54 CET 2026\n"),
        ),
        (
            "sos_commands/date/date_--utc",
            Ok("Thu Nov 26 19:05:54 UTC 2026\n"),
        ),
        ("sos_commands/host/hostname", Ok("web1\n")),
        (
            "sos_commands/process/ps_axo_flags_state_uid_pid_ppid_pgid_sid_cls_pri_addr_sz_wchan_20_lstart_tty_time_cmd",
            Ok(PS),
        ),
        (
            "sos_commands/nginx/nginx_-V",
            Ok(
                "nginx version: nginx/1.22.1\nbuilt with x\nconfigure arguments: --prefix=/usr/share/nginx --conf-path=/etc/nginx/nginx.conf\n",
            ),
        ),
        ("etc/nginx/nginx.conf", Ok("events {}\n")),
        ("etc/nginx/sites-available/shop", Ok("server {}\n")),
        (
            "etc/nginx/sites-enabled/shop",
            Err("../sites-available/shop"),
        ),
        ("etc/nginx/out", Err("../../../../../../etc/hostname")),
        ("etc/nginx/ring", Err("ring")),
        ("etc/localtime", Err("../usr/share/zoneinfo/Europe/Berlin")),
        (
            "var/log/nginx/error.log",
            Err("../../../sos_strings/nginx/error.log.tailed"),
        ),
        (
            "sos_strings/nginx/error.log.tailed",
            Ok("cut\n2026/11/26 21:04:01 [error] 1#1: a\n2026/11/26 21:05:02 [error] 1#1: b\n"),
        ),
        ("proc/self", Err("4546")),
        ("proc/1/mountinfo", Ok("1 1 254:0 / / rw\n")),
        ("proc/4546/mountinfo", Ok("21 1 254:0 / / rw\n")),
        ("proc/4217/mountinfo", Ok("21 1 254:0 / / rw\n")),
        ("proc/4433/mountinfo", Ok("99 1 254:0 / / rw\n")),
    ]
}

fn tar() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut folders = std::collections::BTreeSet::new();
    for (path, _) in files() {
        folders.extend(Path::new(path).ancestors().skip(1).map(Path::to_owned));
    }
    for folder in folders {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_size(0);
        header.set_mode(0o755);
        tar.append_data(
            &mut header,
            Path::new("sosreport-web1").join(folder),
            &b""[..],
        )
        .unwrap();
    }
    for (path, what) in files() {
        let path = Path::new("sosreport-web1").join(path);
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_mtime(1_795_000_000);
        match what {
            Ok(text) => {
                header.set_size(text.len() as u64);
                tar.append_data(&mut header, path, text.as_bytes()).unwrap();
            }
            Err(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_size(0);
                tar.append_link(&mut header, path, target).unwrap();
            }
        }
    }
    tar.into_inner().unwrap()
}

fn opened(bytes: &[u8]) -> Result<Sosreport, OpenError> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    Sosreport::open(file.path())
}

fn text(report: &Sosreport, path: &str) -> Option<String> {
    match report.ask(&ProbeRequest::host_file(path)).answer {
        Answer::File { bytes, .. } => Some(String::from_utf8_lossy(&bytes).into_owned()),
        Answer::NotRecorded => None,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_the_report_holds_is_answered() {
    let report = opened(&tar()).unwrap();
    assert_eq!(
        report.captured_at(),
        "2026-11-26T19:05:54Z".parse().unwrap()
    );
    assert_eq!(
        text(&report, "/etc/nginx/nginx.conf").unwrap(),
        "events {}\n"
    );
    assert_eq!(
        text(&report, "/etc/nginx/sites-enabled/shop").unwrap(),
        "server {}\n"
    );
    assert_eq!(
        text(&report, "/proc/sys/kernel/hostname").unwrap(),
        "web1\n"
    );
    let zone = text(&report, "/etc/localtime").unwrap();
    assert!(zone.starts_with("TZif"));
    let zone = facts::zone::of_file(&zone_file(report.offset)).unwrap();
    assert_eq!(zone.to_offset(report.now).seconds(), 7200);
    let boot = facts::process::boot(
        text(&report, "/proc/uptime").unwrap().as_bytes(),
        report.now,
    );
    let process = facts::process::Process::parse(
        text(&report, "/proc/4217/stat").unwrap().as_bytes(),
        text(&report, "/proc/4217/cmdline").unwrap().as_bytes(),
        boot.unwrap(),
    )
    .unwrap();
    assert!(process.nginx().is_some());
    assert_eq!(process.start, "2026-11-26T16:30:41Z".parse().unwrap());
}

#[test]
fn what_it_lacks_is_never_said_not_to_exist() {
    let report = opened(&tar()).unwrap();
    for path in [
        "/etc/nginx/other.conf",
        "/etc/nginx/out",
        "/etc/nginx/ring",
        "/run/x",
        "/proc/4217/status",
        "/proc/9/stat",
    ] {
        assert_eq!(text(&report, path), None, "{path}");
    }
    for request in [
        ProbeRequest::Directory {
            view: View::Host,
            path: "/etc/systemd/system".into(),
        },
        ProbeRequest::Directory {
            view: View::Process(4433),
            path: "/etc/nginx".into(),
        },
        ProbeRequest::File {
            view: View::Process(4433),
            path: "/etc/nginx/nginx.conf".into(),
            limit: 9,
        },
        ProbeRequest::SocketOwners,
        ProbeRequest::command(["dmesg"]),
    ] {
        assert_eq!(
            report.ask(&request).answer,
            Answer::NotRecorded,
            "{request}"
        );
    }
}

#[test]
fn only_what_soss_own_mounts_show_is_the_reports() {
    let report = opened(&tar()).unwrap();
    let namespace = |name: &str| {
        let path = format!("/proc/{name}/ns/mnt").into();
        report.ask(&ProbeRequest::Link { path }).answer
    };
    assert_eq!(namespace("4217"), namespace("self"));
    // Of another namespace, and of one that nobody knows.
    assert_ne!(namespace("4433"), namespace("self"));
    assert_ne!(namespace("7"), namespace("self"));
}

#[test]
fn the_end_of_a_log_is_known_to_be_its_end() {
    let report = opened(&tar()).unwrap();
    let lines = |from: &str, limit| {
        let request = ProbeRequest::LinesSince {
            view: View::Host,
            path: "/var/log/nginx/error.log".into(),
            from: from.to_owned(),
            limit,
        };
        match report.ask(&request).answer {
            Answer::File { bytes, cut, .. } => (String::from_utf8(bytes).unwrap(), cut),
            other => panic!("{other:?}"),
        }
    };
    let last = "2026/11/26 21:05:02 [error] 1#1: b\n";
    assert_eq!(
        lines("2026/11/26 21:05:00", 1 << 20),
        (last.to_owned(), false)
    );
    assert_eq!(
        lines("2026/11/26 21:06:00", 1 << 20),
        (String::new(), false)
    );
    assert!(lines("2026/11/26 20:00:00", 1 << 20).1);
    assert_eq!(lines("2026/11/26 21:04:00", 50), (last.to_owned(), true));
}

#[test]
fn an_unpacked_report_and_a_packed_one_are_the_same() {
    let directory = tempfile::tempdir().unwrap();
    for (path, what) in files() {
        let path = directory.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match what {
            Ok(text) => fs::write(path, text).unwrap(),
            Err(target) => std::os::unix::fs::symlink(target, path).unwrap(),
        }
    }
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&tar()).unwrap();
    for report in [
        Sosreport::open(directory.path()).unwrap(),
        opened(&gzip.finish().unwrap()).unwrap(),
    ] {
        assert_eq!(
            text(&report, "/etc/nginx/sites-enabled/shop").unwrap(),
            "server {}\n"
        );
        // A link that leads out of the report leads nowhere.
        assert_eq!(text(&report, "/etc/nginx/out"), None);
        let names = report.ask(&ProbeRequest::Directory {
            view: View::Host,
            path: "/etc/nginx/sites-enabled".into(),
        });
        assert_eq!(names.answer, Answer::Bytes(b"shop\0".to_vec()));
    }
}

#[test]
fn a_report_in_xz_is_read() {
    // `tar -c sosreport-tiny | xz -9`: a `date`, and nothing else.
    let bytes = include_bytes!("../../testdata/sosreport/tiny.tar.xz");
    let report = opened(bytes).unwrap();
    assert_eq!(
        report.captured_at(),
        "2026-11-26T19:05:54Z".parse().unwrap()
    );
    for cut in [bytes.len() / 2, bytes.len() - 40] {
        assert!(opened(&bytes[..cut]).is_err());
    }
}

#[test]
fn what_is_no_report_is_refused() {
    for name in ["sosreport-web1/../../etc/passwd", "/etc/passwd"] {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(0);
        header.set_cksum();
        tar.append(&header, &b""[..]).unwrap();
        let refused = opened(&tar.into_inner().unwrap()).unwrap_err();
        assert!(matches!(refused.fault, Fault::Name(_)), "{refused}");
    }
    assert!(matches!(opened(b"").unwrap_err().fault, Fault::NoManifest));
    // A name that is longer than any, as a header before the entry gives it.
    let mut hostile = tar::Builder::new(Vec::new());
    let name = vec![b'a'; 128 << 10];
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::GNULongName);
    header.set_size(name.len() as u64);
    header.set_cksum();
    hostile.append(&header, name.as_slice()).unwrap();
    let refused = opened(&hostile.into_inner().unwrap()).unwrap_err();
    assert!(matches!(refused.fault, Fault::TooLarge(_)), "{refused}");
    let whole = tar();
    let cut = opened(&whole[..whole.len() / 2]).unwrap_err();
    assert!(matches!(cut.fault, Fault::Io(_)), "{cut}");
}

proptest! {
    #[test]
    fn any_bytes_are_refused_without_a_panic(at in any::<prop::sample::Index>(), byte: u8, packed: Vec<u8>) {
        let mut bytes = tar();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        opened(&bytes).ok();
        for magic in [&[0xfd, b'7', b'z', b'X', b'Z', 0][..], &[0x1f, 0x8b]] {
            opened(&[magic, &packed].concat()).ok();
        }
    }
}
