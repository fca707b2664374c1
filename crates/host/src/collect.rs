//! Many questions side by side.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use facts::{Probe, ProbeRequest, Record};

/// Most questions at once of those that only wait: for a program, or for a peer that does not answer.
const WAITING: usize = 32;
/// Most threads for the rest, which keep a processor busy.
const BUSY: usize = 4;
/// A thread's start pays for so many quick questions.
const QUICK: usize = 64;

/// Answers every request, in the order of the requests.
pub fn collect(probe: &dyn Probe, requests: &[ProbeRequest]) -> Vec<Record> {
    // Those that wait go first, so that their waiting passes beside the rest.
    let (waiting, quick): (Vec<usize>, Vec<usize>) =
        (0..requests.len()).partition(|&at| requests.get(at).is_some_and(waits));
    let workers = waiting.len().min(WAITING) + (quick.len() / QUICK).min(BUSY);
    let order = [waiting, quick].concat();
    let answers: Vec<OnceLock<Record>> = requests.iter().map(|_| OnceLock::new()).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(&at) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let (Some(request), Some(answer)) = (requests.get(at), answers.get(at)) {
                answer.get_or_init(|| ask(probe, request));
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..workers {
            // Without a thread the work is done by the others.
            thread::Builder::new().spawn_scoped(scope, work).ok();
        }
        work();
    });
    answers
        .into_iter()
        .zip(requests)
        .map(|(answer, request)| answer.into_inner().unwrap_or_else(|| ask(probe, request)))
        .collect()
}

fn waits(request: &ProbeRequest) -> bool {
    matches!(
        request,
        ProbeRequest::Command { .. }
            | ProbeRequest::CommandIn { .. }
            | ProbeRequest::Connect { .. }
            | ProbeRequest::Handshake { .. }
            | ProbeRequest::Request { .. }
    )
}

fn ask(probe: &dyn Probe, request: &ProbeRequest) -> Record {
    let start = Instant::now();
    let record = probe.ask(request);
    tracing::debug!(%request, answer = ?record.answer, elapsed = ?start.elapsed(), "asked");
    record
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc;

    use facts::Answer;
    use jiff::Timestamp;

    use super::*;

    /// Answers with the request's own text.
    struct Echo;

    impl Probe for Echo {
        fn ask(&self, request: &ProbeRequest) -> Record {
            Record {
                at: Timestamp::UNIX_EPOCH,
                answer: Answer::Bytes(request.to_string().into_bytes()),
            }
        }
    }

    fn requests(n: usize) -> Vec<ProbeRequest> {
        (0..n)
            .map(|at| {
                if at % 7 == 0 {
                    ProbeRequest::command(["getent", &at.to_string()])
                } else {
                    ProbeRequest::host_file(format!("/proc/{at}/stat"))
                }
            })
            .collect()
    }

    #[test]
    fn answers_come_in_the_order_of_the_requests() {
        for n in [0, 1, 6, 63, 64, 1000] {
            let requests = requests(n);
            let answers: Vec<Record> = requests.iter().map(|request| Echo.ask(request)).collect();
            assert_eq!(collect(&Echo, &requests), answers);
        }
    }

    /// The first question waits until the second has been asked.
    struct Rendezvous {
        sender: Mutex<Option<mpsc::Sender<()>>>,
        receiver: Mutex<mpsc::Receiver<()>>,
    }

    impl Probe for Rendezvous {
        fn ask(&self, request: &ProbeRequest) -> Record {
            if request.to_string().ends_with("first") {
                self.receiver.lock().unwrap().recv().unwrap();
            } else if let Some(sender) = self.sender.lock().unwrap().take() {
                sender.send(()).unwrap();
            }
            Echo.ask(request)
        }
    }

    #[test]
    fn questions_that_wait_are_put_side_by_side() {
        let (sender, receiver) = mpsc::channel();
        let probe = Rendezvous {
            sender: Mutex::new(Some(sender)),
            receiver: Mutex::new(receiver),
        };
        let requests = [
            ProbeRequest::command(["getent", "first"]),
            ProbeRequest::command(["getent", "second"]),
        ];
        assert_eq!(collect(&probe, &requests), collect(&Echo, &requests));
    }
}
