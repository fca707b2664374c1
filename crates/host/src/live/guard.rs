//! Bounds the time of work that only the kernel can end.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use facts::Answer;
use rustix::io::Errno;

/// Does the work on a thread of its own and waits for `budget` at most; after that the thread is left to itself.
pub(super) fn within(budget: Duration, work: impl FnOnce() -> Answer + Send + 'static) -> Answer {
    let (sender, receiver) = mpsc::sync_channel(1);
    let thread = thread::Builder::new()
        .name("probe".to_owned())
        .spawn(move || {
            // Nobody listens any more once the budget is spent.
            sender.send(work()).ok();
        });
    if let Err(error) = thread {
        return Answer::Errno(error.raw_os_error().unwrap_or(Errno::AGAIN.raw_os_error()));
    }
    match receiver.recv_timeout(budget) {
        Ok(answer) => answer,
        Err(mpsc::RecvTimeoutError::Timeout) => Answer::TimedOut,
        // The work panicked: a fault of ours, which must not look like a fact.
        Err(mpsc::RecvTimeoutError::Disconnected) => Answer::Errno(Errno::IO.raw_os_error()),
    }
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
}
