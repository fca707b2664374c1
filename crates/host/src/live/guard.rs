//! Bounds the time of work that only the kernel can end.

use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::thread;
use std::time::Duration;

use facts::Answer;
use rustix::io::Errno;

struct Job {
    work: Box<dyn FnOnce() -> Answer + Send>,
    answer: SyncSender<Answer>,
}

/// Threads that have done their work and wait for more: starting one takes longer than most questions do.
static IDLE: Mutex<Vec<Sender<Job>>> = Mutex::new(Vec::new());

/// Does the work on another thread and waits for `budget` at most; after that the thread is left to itself. The work
/// must leave the thread as it found it: another question comes after it.
pub(super) fn within(budget: Duration, work: impl FnOnce() -> Answer + Send + 'static) -> Answer {
    let (answer, answered) = mpsc::sync_channel(1);
    let work = Box::new(work);
    match give(Job { work, answer }) {
        Ok(()) => wait(&answered, budget).unwrap_or_else(|instead| instead),
        Err(errno) => Answer::Errno(errno),
    }
}

/// The same on a thread that ends with the work, which may change it for good. What the work brings, or what is to be
/// said instead.
pub(super) fn within_own<T: Send + 'static>(
    budget: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Answer> {
    let (answer, answered) = mpsc::sync_channel(1);
    // Nobody listens any more once the budget is spent.
    match start(move || drop(answer.send(work()))) {
        Ok(()) => wait(&answered, budget),
        Err(errno) => Err(Answer::Errno(errno)),
    }
}

fn wait<T>(answered: &Receiver<T>, budget: Duration) -> Result<T, Answer> {
    answered.recv_timeout(budget).map_err(|error| match error {
        RecvTimeoutError::Timeout => Answer::TimedOut,
        // The work panicked: a fault of ours, which must not look like a fact.
        RecvTimeoutError::Disconnected => Answer::Errno(Errno::IO.raw_os_error()),
    })
}

fn start(work: impl FnOnce() + Send + 'static) -> Result<(), i32> {
    let thread = thread::Builder::new().name("probe".to_owned()).spawn(work);
    let errno = |error: std::io::Error| error.raw_os_error().unwrap_or(Errno::AGAIN.raw_os_error());
    thread.map(drop).map_err(errno)
}

/// Gives a job to an idle thread, or to a new one.
fn give(job: Job) -> Result<(), i32> {
    let idle = IDLE.lock().ok().and_then(|mut idle| idle.pop());
    let job = match idle {
        None => job,
        Some(thread) => match thread.send(job) {
            Ok(()) => return Ok(()),
            Err(mpsc::SendError(job)) => job,
        },
    };
    let (own, jobs) = mpsc::channel();
    start(move || {
        let mut next = Some(job);
        while let Some(Job { work, answer }) = next.take().or_else(|| jobs.recv().ok()) {
            let done = work();
            if let Ok(mut idle) = IDLE.lock() {
                idle.push(own.clone());
            }
            answer.send(done).ok();
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_does_not_end_times_out() {
        let (sender, receiver) = mpsc::channel::<()>();
        let answer = within(Duration::from_millis(20), move || {
            receiver.recv().ok();
            Answer::Bytes(Vec::new())
        });
        assert_eq!(answer, Answer::TimedOut);
        drop(sender);
    }

    #[test]
    fn work_that_panics_is_an_input_output_error() {
        let answer = within(Duration::from_secs(5), || {
            std::panic::resume_unwind(Box::new(()))
        });
        assert_eq!(answer, Answer::Errno(5));
    }

    #[test]
    fn work_goes_on_after_one_that_panicked() {
        let panicked = within(Duration::from_secs(5), || {
            std::panic::resume_unwind(Box::new(()))
        });
        let answer = within(Duration::from_secs(5), || Answer::Bytes(b"done".to_vec()));
        assert_eq!(panicked, Answer::Errno(5));
        assert_eq!(answer, Answer::Bytes(b"done".to_vec()));
    }

    #[test]
    fn a_thread_of_ones_own_serves_nobody_else() {
        let here = || Answer::Bytes(format!("{:?}", thread::current().id()).into_bytes());
        let own = within_own(Duration::from_secs(5), here).unwrap();
        for _ in 0..4 {
            assert_ne!(within(Duration::from_secs(5), here), own);
        }
    }
}
