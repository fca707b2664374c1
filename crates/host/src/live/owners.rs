//! Which process holds which socket: the descriptors of every process, read as links.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::thread;

use facts::Answer;
use rustix::fs::{Mode, OFlags, RawDir, open, openat, readlinkat_raw};
use rustix::io::{self, Errno};

/// From so many processes on a second thread pays.
const SPLIT: usize = 64;

pub(super) fn owners() -> io::Result<Answer> {
    let proc = open(
        "/proc",
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let pids = processes()?;
    let mut owned = if pids.len() < SPLIT {
        owned_by(&proc, pids.iter().copied())
    } else {
        // Every other one: processes of one program, started together, hold most of the descriptors.
        let every_other = |first| pids.iter().skip(first).step_by(2).copied();
        thread::scope(|scope| {
            let other = scope.spawn(|| owned_by(&proc, every_other(1)));
            let mut owned = owned_by(&proc, every_other(0));
            match other.join() {
                Ok(rest) => owned.append(rest),
                Err(_) => owned.denied += pids.len() / 2,
            }
            owned
        })
    };
    // `hidepid=` hides the processes of others, of which process 1 always is one.
    if pids.first() != Some(&1) {
        owned.denied += 1;
    }
    Ok(Answer::Bytes(owned.into_lines()))
}

#[derive(Default)]
struct Owned {
    lines: Vec<u8>,
    denied: usize,
}

impl Owned {
    fn append(&mut self, mut rest: Self) {
        self.lines.append(&mut rest.lines);
        self.denied += rest.denied;
    }

    fn into_lines(mut self) -> Vec<u8> {
        if self.denied > 0 {
            self.lines.extend_from_slice(b"# denied ");
            self.lines
                .extend_from_slice(self.denied.to_string().as_bytes());
            self.lines.push(b'\n');
        }
        self.lines
    }
}

/// Every process, in order.
fn processes() -> io::Result<Vec<u32>> {
    let mut pids = Vec::new();
    let proc = open(
        "/proc",
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let mut room = [MaybeUninit::uninit(); 16 << 10];
    let mut entries = RawDir::new(proc, &mut room);
    while let Some(entry) = entries.next() {
        if let Some(pid) = number(entry?.file_name().to_bytes()) {
            pids.push(pid);
        }
    }
    pids.sort_unstable();
    Ok(pids)
}

fn number(text: &[u8]) -> Option<u32> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

fn owned_by(proc: &OwnedFd, pids: impl Iterator<Item = u32>) -> Owned {
    let mut owned = Owned::default();
    for pid in pids {
        match descriptors(proc, pid, &mut owned.lines) {
            // It ended meanwhile, or has ended and waits to be reaped.
            Ok(()) | Err(Errno::NOENT | Errno::SRCH) => {}
            Err(_) => owned.denied += 1,
        }
    }
    owned
}

fn descriptors(proc: impl AsFd, pid: u32, lines: &mut Vec<u8>) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = openat(proc, format!("{pid}/fd"), flags, Mode::empty())?;
    let end = format!(" {pid}\n");
    let mut room = [MaybeUninit::uninit(); 16 << 10];
    let mut entries = RawDir::new(&directory, &mut room);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let mut target = [0_u8; 64];
        // A descriptor may have been closed meanwhile; `.` and `..` are no links.
        let Ok(length) = readlinkat_raw(&directory, entry.file_name(), &mut target[..]) else {
            continue;
        };
        let inode = target
            .get(..length)
            .and_then(|target| target.strip_prefix(b"socket:["))
            .and_then(|target| target.strip_suffix(b"]"));
        if let Some(inode) = inode {
            lines.extend_from_slice(inode);
            lines.extend_from_slice(end.as_bytes());
        }
    }
    Ok(())
}
