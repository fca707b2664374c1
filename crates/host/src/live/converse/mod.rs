//! Many short conversations side by side, on one thread: as many peers as there are cost one time-out, not one each.
//!
//! What is said and what is made of an answer stands in [`speech`] and [`reader`]; nothing but the requests that
//! [`facts::conversation`] knows can be said.

mod frames;
mod reader;
mod speech;
mod talk;
#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use facts::{Answer, Caller, Conversation};
use rustix::event::PollFd;
use rustix::io::{self, Errno};

use super::connect::{adopt, adopt_user, wait};
use talk::{Prepared, Talk};

/// What a thread may take beyond the conversations' own time: to become somebody, and to read what came last.
pub(super) const SLACK: Duration = Duration::from_secs(1);

/// Holds all of them, whose caller is the same. Must run on a thread of its own: it becomes the caller and stays so.
pub(super) fn converse(all: &[Conversation]) -> Vec<io::Result<Answer>> {
    let Some(first) = all.first() else {
        return Vec::new();
    };
    // What a first use of the library reads is read before another root is entered.
    let mut prepared: Vec<Option<Box<Prepared>>> = all.iter().map(Prepared::of).collect();
    if let Err(error) = become_caller(&first.from) {
        return all.iter().map(|_| Err(error)).collect();
    }
    let mut answers: Vec<Option<io::Result<Answer>>> = all.iter().map(|_| None).collect();
    let mut next = 0;
    let mut open: Vec<(usize, Talk)> = Vec::new();
    loop {
        // As many as there are descriptors for; the others follow as these end.
        while let Some(place) = prepared.get_mut(next) {
            match place.take().map(Prepared::begin) {
                None => note(&mut answers, next, Err(Errno::INVAL)),
                Some(Ok(talk)) => open.push((next, talk)),
                Some(Err((Errno::MFILE | Errno::NFILE, waiting))) if !open.is_empty() => {
                    *place = Some(waiting);
                    break;
                }
                Some(Err((error, _))) => note(&mut answers, next, Err(error)),
            }
            next += 1;
        }
        if open.is_empty() {
            break;
        }
        turn(&mut open, &mut answers);
    }
    answers
        .into_iter()
        .map(|answer| answer.unwrap_or(Err(Errno::IO)))
        .collect()
}

fn note(answers: &mut [Option<io::Result<Answer>>], at: usize, answer: io::Result<Answer>) {
    if let Some(place) = answers.get_mut(at) {
        *place = Some(answer);
    }
}

/// Waits for the first that can go on, has all that can go on, and takes those out that came to their end.
fn turn(open: &mut Vec<(usize, Talk)>, answers: &mut [Option<io::Result<Answer>>]) {
    let deadline = open.iter().map(|(_, talk)| talk.until()).min();
    let deadline = deadline.unwrap_or_else(Instant::now);
    let mut polled: Vec<PollFd<'_>> = open
        .iter()
        .map(|(_, talk)| PollFd::new(talk.socket(), talk.interest()))
        .collect();
    let failed = wait(&mut polled, deadline).err();
    let ready: Vec<bool> = polled.iter().map(|fd| !fd.revents().is_empty()).collect();
    drop(polled);
    let now = Instant::now();
    let mut still = Vec::with_capacity(open.len());
    for ((at, mut talk), ready) in open.drain(..).zip(ready) {
        let ended = match failed {
            Some(error) => Some(Err(error)),
            None if ready => talk.go_on(),
            None => None,
        };
        match ended {
            Some(answer) => note(answers, at, answer),
            None if now >= talk.until() => note(answers, at, Ok(talk.time_out())),
            None => still.push((at, talk)),
        }
    }
    *open = still;
}

/// An errno of becoming the caller must not look like one of a connection.
fn become_caller(caller: &Caller) -> io::Result<()> {
    match caller {
        Caller::Own => Ok(()),
        Caller::Process(pid) => adopt(Some(*pid)),
        Caller::User { uid, gid, groups } => {
            adopt_user(*uid, *gid, groups).map_err(|_| Errno::PERM)
        }
    }
}
