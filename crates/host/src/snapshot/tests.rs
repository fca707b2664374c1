use std::fs;
use std::io::{Cursor, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use facts::Stat;
use proptest::prelude::*;
use serde_json::json;
use tempfile::TempDir;

use super::read::{Limits, read};
use super::*;

fn meta() -> Meta {
    Meta {
        captured_at: Timestamp::from_second(1_782_223_500).unwrap(),
        hostname: "web1".to_owned(),
        options: json!({"since": "1h"}),
    }
}

fn stat() -> Stat {
    Stat {
        mode: 0o100_644,
        uid: 1,
        gid: 2,
        device: 3,
        inode: 4,
        size: 5,
        modified: Timestamp::from_second(6).unwrap(),
        changed: Timestamp::MIN,
    }
}

/// One record of every kind.
fn records() -> Vec<(ProbeRequest, Record)> {
    let at = Timestamp::from_second(1_782_223_501).unwrap();
    [
        (
            ProbeRequest::host_file("/etc/nginx/nginx.conf"),
            Answer::File {
                bytes: b"events {}\n".to_vec(),
                cut: true,
                stat: stat(),
            },
        ),
        (ProbeRequest::host_file("/etc/passwd"), Answer::Errno(13)),
        (
            ProbeRequest::command(["systemctl", "show"]),
            Answer::Exit {
                code: Some(1),
                stdout: Vec::new(),
                stderr: b"no bus\n".to_vec(),
            },
        ),
        (ProbeRequest::SocketOwners, Answer::Bytes(vec![0, 255])),
        (ProbeRequest::command(["journalctl"]), Answer::TimedOut),
    ]
    .map(|(request, answer)| (request, Record { at, answer }))
    .into()
}

fn written(home: &TempDir) -> PathBuf {
    let path = home.path().join("host.tar.zst");
    Snapshot::write(&path, Overwrite::No, &meta(), &records()).unwrap();
    path
}

/// An archive of these files.
fn packed(files: &[(&str, &[u8])]) -> Vec<u8> {
    packed_with(|archive| {
        for (name, bytes) in files {
            append(archive, name, tar::EntryType::Regular, bytes);
        }
    })
}

type Archive = tar::Builder<Vec<u8>>;

fn packed_with(fill: impl FnOnce(&mut Archive)) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    fill(&mut archive);
    zstd::encode_all(Cursor::new(archive.into_inner().unwrap()), 1).unwrap()
}

/// Writes the name as it is: the library refuses those that a stranger would give.
fn append(archive: &mut Archive, name: &str, kind: tar::EntryType, bytes: &[u8]) {
    let mut header = tar::Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_size(bytes.len() as u64);
    header.set_mode(0o600);
    header.set_cksum();
    archive.append(&header, bytes).unwrap();
}

/// A manifest with records that hold bytes: what is asked, where they stand, and how many there are.
fn manifest(entries: &[(&str, &str, u64)]) -> Vec<u8> {
    let entries: Vec<_> = entries
        .iter()
        .map(|(ask, file, length)| {
            json!({
                "ask": ask, "at": "2026-06-23T14:05:00Z", "answer": "bytes",
                "bytes": {"file": file, "length": length},
            })
        })
        .collect();
    let manifest = json!({
        "schema": "why502.snapshot/1", "version": "0.1.0", "captured_at": "2026-06-23T14:05:00Z",
        "hostname": "web1", "options": {}, "entries": entries,
    });
    serde_json::to_vec(&manifest).unwrap()
}

fn open(archive: &[u8]) -> Result<Snapshot, String> {
    open_within(archive, LIMITS)
}

/// What a user is told, the path left out.
fn open_within(archive: &[u8], limits: Limits) -> Result<Snapshot, String> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(archive).unwrap();
    read(file.path(), limits).map_err(|fault| fault.to_string())
}

fn refused(archive: &[u8]) -> String {
    open(archive).unwrap_err()
}

fn unpack(archive: &Path, into: &Path) {
    let file = fs::File::open(archive).unwrap();
    tar::Archive::new(zstd::Decoder::new(file).unwrap())
        .unpack(into)
        .unwrap();
}

#[test]
fn a_snapshot_answers_as_the_host_did() {
    let home = tempfile::tempdir().unwrap();
    let archive = written(&home);
    let directory = home.path().join("unpacked");
    unpack(&archive, &directory);
    for path in [&archive, &directory] {
        let snapshot = Snapshot::open(path).unwrap();
        assert_eq!(snapshot.meta, meta());
        assert_eq!(snapshot.version(), env!("CARGO_PKG_VERSION"));
        for (request, record) in records() {
            assert_eq!(snapshot.ask(&request), record);
        }
        let other = snapshot.ask(&ProbeRequest::host_file("/etc/group"));
        assert_eq!(other.answer, Answer::NotRecorded);
        assert_eq!(other.at, meta().captured_at);
    }
}

#[test]
fn the_manifest_stands_first_and_names_each_record_by_number_and_kind() {
    let home = tempfile::tempdir().unwrap();
    let file = fs::File::open(written(&home)).unwrap();
    let mut archive = tar::Archive::new(zstd::Decoder::new(file).unwrap());
    let names: Vec<String> = archive
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().path().unwrap().display().to_string())
        .collect();
    assert_eq!(
        names,
        [
            "manifest.json",
            "records/00000-file",
            "records/00002-command-stderr",
            "records/00003-socket-owners",
        ]
    );
}

#[test]
fn what_was_not_recorded_is_not_written() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("host.tar.zst");
    let mut records = records();
    records.truncate(2);
    records[0].1.answer = Answer::NotRecorded;
    assert_eq!(
        Snapshot::write(&path, Overwrite::No, &meta(), &records).unwrap(),
        1
    );
    assert_eq!(Snapshot::open(&path).unwrap().records().count(), 1);
}

#[test]
fn a_file_is_overwritten_only_when_told_to() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("host.tar.zst");
    fs::write(&path, "mine").unwrap();
    let error = Snapshot::write(&path, Overwrite::No, &meta(), &records()).unwrap_err();
    assert!(matches!(error, WriteError::Exists(_)));
    assert_eq!(fs::read(&path).unwrap(), b"mine");
    Snapshot::write(&path, Overwrite::Yes, &meta(), &records()).unwrap();
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    // No draft stays behind.
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
}

#[test]
fn a_link_in_the_place_of_the_snapshot_is_never_followed() {
    let home = tempfile::tempdir().unwrap();
    let (path, other) = (home.path().join("link"), home.path().join("other"));
    symlink(&other, &path).unwrap();
    let error = Snapshot::write(&path, Overwrite::No, &meta(), &records()).unwrap_err();
    assert!(matches!(error, WriteError::Exists(_)));
    Snapshot::write(&path, Overwrite::Yes, &meta(), &records()).unwrap();
    assert!(!other.exists() && !path.is_symlink());
}

#[test]
fn what_is_no_file_is_never_replaced() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("socket");
    let _listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let error = Snapshot::write(&path, Overwrite::Yes, &meta(), &records()).unwrap_err();
    assert!(matches!(error, WriteError::NoFile(_)));
    assert!(!path.metadata().unwrap().is_file());
}

#[test]
fn a_snapshot_that_cannot_be_written_leaves_nothing() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("missing/host.tar.zst");
    let error = Snapshot::write(&path, Overwrite::No, &meta(), &records()).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("missing/host.tar.zst: cannot write"),
        "{error}"
    );
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn names_that_lead_out_are_refused() {
    for name in [
        "../../etc/passwd",
        "/etc/passwd",
        "records/../../x",
        "records/",
        "records/a/b",
        "records/.",
        "records/a b",
        "manifest.json",
    ] {
        let manifest = manifest(&[("socket-owners", name, 1)]);
        let archive = packed(&[("manifest.json", &manifest), (name, b"x")]);
        assert!(refused(&archive).contains("names a record"), "{name}");
    }
}

#[test]
fn files_that_the_manifest_does_not_name_are_passed_over() {
    let manifest = manifest(&[("socket-owners", "records/0", 1)]);
    let archive = packed(&[
        ("./manifest.json", &manifest),
        ("../../../tmp/evil", b"evil"),
        ("./records/0", b"x"),
    ]);
    let snapshot = open(&archive).unwrap();
    assert_eq!(
        snapshot.ask(&ProbeRequest::SocketOwners).answer,
        Answer::Bytes(b"x".to_vec())
    );
}

#[test]
fn links_and_devices_are_refused() {
    let manifest = manifest(&[("socket-owners", "records/0", 0)]);
    for kind in [
        tar::EntryType::Symlink,
        tar::EntryType::Link,
        tar::EntryType::Char,
        tar::EntryType::Fifo,
        tar::EntryType::GNUSparse,
        tar::EntryType::GNULongName,
    ] {
        let archive = packed_with(|archive| {
            append(archive, "manifest.json", tar::EntryType::Regular, &manifest);
            append(archive, "records/0", kind, b"");
        });
        assert!(refused(&archive).contains("no plain file"), "{kind:?}");
    }
}

#[test]
fn the_same_file_or_question_twice_is_refused() {
    let one = manifest(&[("socket-owners", "records/0", 1)]);
    let files = |manifest| {
        packed(&[
            ("manifest.json", manifest),
            ("records/0", b"x"),
            ("records/0", b"y"),
        ])
    };
    assert!(refused(&files(&one)).contains("\"records/0\" twice"));
    let question = manifest(&[
        ("socket-owners", "records/0", 1),
        ("socket-owners", "records/1", 1),
    ]);
    assert!(refused(&files(&question)).contains("\"socket-owners\" twice"));
    let shared = manifest(&[
        ("socket-owners", "records/0", 1),
        ("link /x", "records/0", 1),
    ]);
    assert!(refused(&files(&shared)).contains("\"records/0\" twice"));
    let archive = packed(&[
        ("manifest.json", &one),
        ("manifest.json", &one),
        ("records/0", b"x"),
    ]);
    assert!(refused(&archive).contains("\"manifest.json\" twice"));
}

#[test]
fn a_manifest_that_lies_about_a_length_is_refused() {
    for length in [0, 1, 3, 1 << 20] {
        let manifest = manifest(&[("socket-owners", "records/0", length)]);
        let archive = packed(&[("manifest.json", &manifest), ("records/0", b"xy")]);
        assert!(
            refused(&archive).contains("holds 2 bytes in records/0"),
            "{length}"
        );
    }
}

#[test]
fn records_that_are_missing_are_counted() {
    let manifest = manifest(&[
        ("link /a", "records/0", 1),
        ("link /b", "records/1", 1),
        ("link /c", "records/2", 1),
    ]);
    let archive = packed(&[("manifest.json", &manifest), ("records/1", b"x")]);
    assert_eq!(
        refused(&archive),
        "lacks 2 of 3 records, the first is records/0; copy it again"
    );
}

#[test]
fn an_archive_that_ends_early_says_how_far_it_got() {
    let noise: Vec<u8> = (0..400_000_u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    let length = noise.len() as u64;
    let manifest = manifest(&[
        ("link /a", "records/0", 1),
        ("link /b", "records/1", length),
    ]);
    let archive = packed(&[
        ("manifest.json", &manifest),
        ("records/0", b"x"),
        ("records/1", &noise),
    ]);
    let message = refused(&archive[..archive.len() / 2]);
    assert!(
        message.starts_with("ends after 1 of 2 records"),
        "{message}"
    );
    assert!(message.ends_with("copy it again"));
    for length in [0, 1, 8, 100] {
        let error = open(&archive[..length]).unwrap_err();
        assert!(
            error.contains("ends within its manifest") || error.contains("no snapshot"),
            "{length}: {error}"
        );
    }
}

#[test]
fn another_version_of_the_format_is_named() {
    let text = br#"{"schema": "why502.snapshot/2", "entries": "anything"}"#;
    let message = refused(&packed(&[("manifest.json", text)]));
    assert!(
        message.contains("of the format why502.snapshot/2, this why502 reads why502.snapshot/1")
    );
}

#[test]
fn what_is_no_snapshot_is_told_so() {
    let archives = [
        packed(&[]),
        packed(&[("records/0", b"x")]),
        packed(&[("manifest.json", b"{}")]),
        zstd::encode_all(&b"text"[..], 1).unwrap(),
        b"text".to_vec(),
        Vec::new(),
    ];
    for archive in archives {
        let message = refused(&archive);
        assert!(message.contains("is no snapshot"), "{message}");
    }
    assert!(refused(&packed(&[("manifest.json", b"{")])).contains("manifest cannot be understood"));
    let missing = Snapshot::open(Path::new("/nonexistent/host.tar.zst")).unwrap_err();
    assert!(
        missing
            .to_string()
            .starts_with("/nonexistent/host.tar.zst: cannot be read")
    );
}

#[test]
fn bombs_are_refused_before_they_go_off() {
    let limits = Limits {
        total: 100_000,
        record: 10_000,
        manifest: 20_000,
        entries: 3,
    };
    let small = manifest(&[("link /a", "records/0", 1)]);
    let zeros = vec![0; 200_000];
    let table: [(&str, Vec<u8>); 4] = [
        // Not named, so it would only be unpacked to be passed over.
        (
            "1 GiB",
            packed(&[("manifest.json", &small), ("other", &zeros)]),
        ),
        ("32 MiB of manifest", packed(&[("manifest.json", &zeros)])),
        (
            "128 MiB in one record",
            packed(&[(
                "manifest.json",
                &manifest(&[("link /a", "records/0", 10_001)]),
            )]),
        ),
        (
            "1,000,000 files",
            packed(&[
                ("manifest.json", &small),
                ("a", b""),
                ("b", b""),
                ("c", b""),
            ]),
        ),
    ];
    for (limit, archive) in table {
        let message = open_within(&archive, limits).unwrap_err();
        assert_eq!(
            message,
            format!("unpacks to more than {limit}; do not trust it")
        );
    }
    // A length alone takes no memory.
    let claimed = manifest(&[("link /a", "records/0", LIMITS.record)]);
    let mut archive = Vec::new();
    let mut header = tar::Header::new_ustar();
    header.set_path("manifest.json").unwrap();
    header.set_size(claimed.len() as u64);
    header.set_cksum();
    archive.extend_from_slice(header.as_bytes());
    archive.extend_from_slice(&claimed);
    archive.resize(archive.len().next_multiple_of(512), 0);
    header.set_path("records/0").unwrap();
    header.set_size(LIMITS.record);
    header.set_cksum();
    archive.extend_from_slice(header.as_bytes());
    let message = refused(&zstd::encode_all(Cursor::new(archive), 1).unwrap());
    assert!(
        message.contains("ends after 0 of 1") || message.contains("holds 0 bytes"),
        "{message}"
    );
}

#[test]
fn a_directory_is_read_without_following_links() {
    let home = tempfile::tempdir().unwrap();
    let archive = written(&home);
    let elsewhere = home.path().join("elsewhere");
    unpack(&archive, &elsewhere);
    let fresh = |name: &str| {
        let directory = home.path().join(name);
        unpack(&archive, &directory);
        directory
    };

    let directory = fresh("record");
    fs::remove_file(directory.join("records/00000-file")).unwrap();
    symlink("/etc/passwd", directory.join("records/00000-file")).unwrap();
    let error = Snapshot::open(&directory).unwrap_err();
    assert!(matches!(error.fault, Fault::NotAFile(_)), "{error}");

    let directory = fresh("records");
    fs::remove_dir_all(directory.join("records")).unwrap();
    symlink(elsewhere.join("records"), directory.join("records")).unwrap();
    assert!(Snapshot::open(&directory).is_err());

    let directory = fresh("missing");
    fs::remove_file(directory.join("records/00000-file")).unwrap();
    let error = Snapshot::open(&directory).unwrap_err();
    assert!(
        matches!(error.fault, Fault::Missing { missing: 1, .. }),
        "{error}"
    );

    let directory = fresh("longer");
    fs::write(directory.join("records/00000-file"), "longer than it was").unwrap();
    let error = Snapshot::open(&directory).unwrap_err();
    assert!(matches!(error.fault, Fault::Length { .. }), "{error}");

    let error = Snapshot::open(home.path()).unwrap_err();
    assert!(matches!(error.fault, Fault::NoManifest), "{error}");
}

#[test]
fn a_file_that_was_read_whole_answers_whatever_the_bound() {
    let file = |path: &str, limit| ProbeRequest::File {
        view: facts::View::Host,
        path: path.into(),
        limit,
    };
    let read = |bytes: &[u8], cut| Record {
        at: meta().captured_at,
        answer: Answer::File {
            bytes: bytes.to_vec(),
            cut,
            stat: stat(),
        },
    };
    let records = [
        (file("/a", 100), read(b"abc", false)),
        (file("/a b", 100), read(b"other", false)),
        (file("/cut", 3), read(b"abc", true)),
    ];
    let snapshot = Snapshot::of(&meta(), &records);
    for limit in [3, 50, 1000] {
        assert_eq!(snapshot.ask(&file("/a", limit)).answer, records[0].1.answer);
    }
    for request in [file("/a", 2), file("/", 100), file("/cut", 100)] {
        assert_eq!(snapshot.ask(&request).answer, Answer::NotRecorded);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_damaged_archive_is_read_or_refused(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let manifest = manifest(&[("link /a", "records/0", 1)]);
        let mut archive = packed(&[("manifest.json", &manifest), ("records/0", b"x")]);
        for (at, byte) in flips {
            let at = at.index(archive.len());
            archive[at] = byte;
        }
        open(&archive).ok();
    }
}
