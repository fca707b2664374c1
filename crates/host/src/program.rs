//! Running a program of the host: without a shell, in an environment of its own, bounded in time and output.

use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use facts::Answer;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Access, OFlags, access, fcntl_setfl};
use rustix::io::{self, Errno};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

const DIRECTORIES: [&str; 4] = ["/usr/bin", "/bin", "/usr/sbin", "/sbin"];
const STDOUT_LIMIT: usize = 64 << 20;
const STDERR_LIMIT: usize = 64 << 10;

/// What stays of a budget for ending a program that does not end by itself.
pub(crate) const SLACK: Duration = Duration::from_millis(150);

/// A program of this name in one of the directories that only root writes.
pub(crate) fn named(name: &str, arguments: &[String]) -> io::Result<Command> {
    let path = DIRECTORIES
        .iter()
        .map(|directory| Path::new(directory).join(name))
        .find(|path| access(path, Access::EXEC_OK).is_ok())
        .ok_or(Errno::NOENT)?;
    let mut command = Command::new(path);
    command.args(arguments);
    Ok(command)
}

/// Runs a program until it ends, or the deadline passes and it is ended.
pub(crate) fn start(command: &mut Command, deadline: Instant) -> io::Result<Answer> {
    let spawned = command
        .env_clear()
        .env("LC_ALL", "C")
        .env("PATH", DIRECTORIES.join(":"))
        .env("SYSTEMD_PAGER", "")
        .env("SYSTEMD_COLORS", "0")
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn();
    let mut child = spawned.map_err(|error| errno(&error))?;
    let answer = Output::of(&mut child, deadline).map(|output| {
        let output = output?;
        Some(output.exit(end(&mut child, deadline)?))
    });
    if !matches!(answer, Ok(Some(_))) {
        stop(&mut child);
    }
    Ok(answer?.unwrap_or(Answer::TimedOut))
}

fn errno(error: &std::io::Error) -> Errno {
    Errno::from_io_error(error).unwrap_or(Errno::IO)
}

/// What a program wrote, up to the limits.
#[derive(Default)]
struct Output {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

impl Output {
    /// Reads until the program ends or closes both; `None` when the deadline passed before. What is beyond a limit is
    /// read and dropped, so that the program does not wait for us.
    fn of(child: &mut Child, deadline: Instant) -> io::Result<Option<Self>> {
        let mut output = Self::default();
        let mut stdout = child.stdout.take().map(OwnedFd::from);
        let mut stderr = child.stderr.take().map(OwnedFd::from);
        for pipe in [&stdout, &stderr].into_iter().flatten() {
            fcntl_setfl(pipe, OFlags::NONBLOCK)?;
        }
        // A program's child may hold the pipes for longer than the program lives.
        let ended = pidfd_open(Pid::from_child(child), PidfdFlags::empty()).ok();
        while stdout.is_some() || stderr.is_some() {
            let mut fds: Vec<PollFd<'_>> = [&stdout, &stderr, &ended]
                .into_iter()
                .flatten()
                .map(|fd| PollFd::new(fd, PollFlags::IN))
                .collect();
            if !ready(&mut fds, deadline)? {
                return Ok(None);
            }
            let over = ended.is_some() && fds.last().is_some_and(|fd| !fd.revents().is_empty());
            drain(&mut stdout, &mut output.stdout, STDOUT_LIMIT)?;
            drain(&mut stderr, &mut output.stderr, STDERR_LIMIT)?;
            if over {
                if stdout.is_some() || stderr.is_some() {
                    // Not reaped yet, so its number is still its own.
                    kill_process_group(Pid::from_child(child), Signal::KILL).ok();
                }
                break;
            }
        }
        Ok(Some(output))
    }

    fn exit(self, status: ExitStatus) -> Answer {
        Answer::Exit {
            code: status.code(),
            stdout: self.stdout,
            stderr: self.stderr,
        }
    }
}

/// Waits until one of the descriptors has something; false when the deadline passed.
fn ready(fds: &mut [PollFd<'_>], deadline: Instant) -> io::Result<bool> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(0),
            tv_nsec: left.subsec_nanos().into(),
        };
        match poll(fds, Some(&left)) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Takes what a pipe holds now; the pipe is gone at its end.
fn drain(pipe: &mut Option<OwnedFd>, into: &mut Vec<u8>, limit: usize) -> io::Result<()> {
    let mut chunk = vec![0; 64 << 10];
    while let Some(open) = pipe {
        match io::read(open.as_fd(), chunk.as_mut_slice()) {
            Ok(0) => *pipe = None,
            Ok(n) => {
                let n = n.min(limit.saturating_sub(into.len()));
                into.extend_from_slice(chunk.get(..n).unwrap_or_default());
            }
            Err(Errno::AGAIN) => break,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The exit status; `None` when the deadline passed. A program that closed its output has all but ended.
fn end(child: &mut Child, deadline: Instant) -> Option<ExitStatus> {
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        if Instant::now() >= deadline {
            return None;
        }
        thread::sleep(Duration::from_millis(1));
    }
}

/// Ends the program and what it started. Waits only briefly: one that the kernel holds cannot be ended.
fn stop(child: &mut Child) {
    // It may have ended by itself just now.
    kill_process_group(Pid::from_child(child), Signal::KILL).ok();
    end(child, Instant::now() + SLACK / 2);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, within: Duration) -> Answer {
        let arguments = ["-c".to_owned(), script.to_owned()];
        let mut command = named("sh", &arguments).unwrap();
        start(&mut command, Instant::now() + within).unwrap()
    }

    #[test]
    fn both_outputs_are_drained_beyond_their_limits() {
        let script = "head -c 70000000 /dev/zero; head -c 100000 /dev/zero >&2; exit 3";
        let Answer::Exit {
            code,
            stdout,
            stderr,
        } = shell(script, Duration::from_mins(1))
        else {
            panic!();
        };
        assert_eq!(
            (code, stdout.len(), stderr.len()),
            (Some(3), STDOUT_LIMIT, STDERR_LIMIT)
        );
    }

    #[test]
    fn a_program_that_does_not_end_is_ended() {
        let answer = shell("echo $$; exec sleep 1000", Duration::from_millis(100));
        assert_eq!(answer, Answer::TimedOut);
    }

    #[test]
    fn a_child_left_behind_with_the_pipes_is_ended() {
        let answer = shell("sleep 1000 & echo $!; exit 4", Duration::from_mins(1));
        let Answer::Exit { code, stdout, .. } = answer else {
            panic!("{answer:?}");
        };
        assert_eq!(code, Some(4));
        let left: i32 = String::from_utf8(stdout).unwrap().trim().parse().unwrap();
        let left = pidfd_open(Pid::from_raw(left).unwrap(), PidfdFlags::empty());
        if let Ok(left) = left {
            let mut fds = [PollFd::new(&left, PollFlags::IN)];
            assert!(ready(&mut fds, Instant::now() + Duration::from_mins(1)).unwrap());
        }
    }

    #[test]
    fn a_signal_leaves_no_exit_status() {
        let answer = shell("kill -9 $$", Duration::from_mins(1));
        assert!(matches!(answer, Answer::Exit { code: None, .. }));
    }
}
