//! A snapshot from anybody. The first byte says what the rest is: `z` the archive as it stands, `t` what is packed
//! in it, anything else a manifest and, between bytes 0xff, names and contents of records.
#![no_main]

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use host::Snapshot;
use libfuzzer_sys::fuzz_target;

/// In memory where there is such a place.
static PATH: LazyLock<PathBuf> = LazyLock::new(|| {
    let shared = PathBuf::from("/dev/shm");
    let dir = if shared.is_dir() {
        shared
    } else {
        std::env::temp_dir()
    };
    dir.join(format!("why502-fuzz-{}.tar.zst", std::process::id()))
});

fuzz_target!(|data: &[u8]| {
    let Some((&form, rest)) = data.split_first() else {
        return;
    };
    let archive = match form {
        b'z' => rest.to_vec(),
        b't' => packed(rest),
        _ => packed(&tar_of(rest)),
    };
    let written = fs::write(&*PATH, archive);
    assert!(written.is_ok());
    let opened = Snapshot::open(&PATH);
    // The file must not outlive the run, however that ends.
    let removed = fs::remove_file(&*PATH);
    assert!(removed.is_ok());
    match opened {
        Ok(snapshot) => {
            snapshot.version();
            snapshot.hostname();
            snapshot.captured_at();
            snapshot.options();
            let mut last = None;
            for (ask, _) in snapshot.records() {
                assert!(last < Some(ask));
                last = Some(ask);
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});

fn packed(bytes: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(bytes, 1).unwrap_or_default()
}

fn tar_of(data: &[u8]) -> Vec<u8> {
    let mut parts = data.split(|&byte| byte == 0xff);
    let mut archive = tar::Builder::new(Vec::new());
    let mut append = |name: &str, bytes: &[u8]| {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        // A name that no header takes is left out.
        archive.append_data(&mut header, name, bytes).ok();
    };
    append("manifest.json", parts.next().unwrap_or_default());
    while let (Some(name), Some(bytes)) = (parts.next(), parts.next()) {
        append(&String::from_utf8_lossy(name), bytes);
    }
    archive.into_inner().unwrap_or_default()
}
