//! Many questions side by side.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use facts::{Caller, PeerAddress, Probe, ProbeRequest, Record};

/// Most questions at once of those that only wait: for a program, or for a peer that does not answer.
const WAITING: usize = 32;
/// Most threads for the rest, which keep a processor busy.
const BUSY: usize = 4;
/// A thread's start pays for so many quick questions.
const QUICK: usize = 64;
/// Most connections of one thread: all threads together must not run out of descriptors.
const TOGETHER: usize = 24;

/// Answers every request, in the order of the requests.
pub fn collect(probe: &dyn Probe, requests: &[ProbeRequest]) -> Vec<Record> {
    // Those that wait go first, so that their waiting passes beside the rest.
    let (waiting, quick): (Vec<usize>, Vec<usize>) =
        (0..requests.len()).partition(|&at| requests.get(at).is_some_and(waits));
    let waiting = together(waiting, requests);
    let workers = waiting.len().min(WAITING) + (quick.len() / QUICK).min(BUSY);
    let tasks: Vec<Vec<usize>> = waiting
        .into_iter()
        .chain(quick.into_iter().map(|at| vec![at]))
        .collect();
    let answers: Vec<OnceLock<Record>> = requests.iter().map(|_| OnceLock::new()).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(task) = tasks.get(next.fetch_add(1, Ordering::Relaxed)) {
            let asked: Vec<&ProbeRequest> =
                task.iter().filter_map(|&at| requests.get(at)).collect();
            for (&at, record) in task.iter().zip(ask(probe, &asked)) {
                if let Some(answer) = answers.get(at) {
                    answer.get_or_init(|| record);
                }
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
        .map(|(answer, request)| answer.into_inner().unwrap_or_else(|| probe.ask(request)))
        .collect()
}

/// Connections over TCP that one process would make go together, and conversations that one would hold; everything else
/// alone.
fn together(waiting: Vec<usize>, requests: &[ProbeRequest]) -> Vec<Vec<usize>> {
    let mut tasks: Vec<Vec<usize>> = Vec::new();
    let mut open: BTreeMap<Option<u32>, usize> = BTreeMap::new();
    let mut talking: BTreeMap<&Caller, usize> = BTreeMap::new();
    for at in waiting {
        if let Some(ProbeRequest::Conversation(held)) = requests.get(at) {
            // However many there are: they share one time-out.
            if let Some(task) = talking
                .get(&held.from)
                .and_then(|&task| tasks.get_mut(task))
            {
                task.push(at);
            } else {
                talking.insert(&held.from, tasks.len());
                tasks.push(vec![at]);
            }
            continue;
        }
        let Some(ProbeRequest::Connect {
            from,
            to: PeerAddress::Tcp(_),
        }) = requests.get(at)
        else {
            tasks.push(vec![at]);
            continue;
        };
        match open.get(from).and_then(|&task| tasks.get_mut(task)) {
            Some(task) if task.len() < TOGETHER => task.push(at),
            _ => {
                open.insert(*from, tasks.len());
                tasks.push(vec![at]);
            }
        }
    }
    tasks
}

fn waits(request: &ProbeRequest) -> bool {
    matches!(
        request,
        ProbeRequest::Command { .. }
            | ProbeRequest::CommandIn { .. }
            | ProbeRequest::Connect { .. }
            | ProbeRequest::Handshake { .. }
            | ProbeRequest::Request { .. }
            | ProbeRequest::Conversation(_)
    )
}

fn ask(probe: &dyn Probe, requests: &[&ProbeRequest]) -> Vec<Record> {
    let start = Instant::now();
    let records = if let [request] = requests {
        vec![probe.ask(request)]
    } else {
        let requests: Vec<ProbeRequest> = requests.iter().copied().cloned().collect();
        probe.ask_all(&requests)
    };
    for (request, record) in requests.iter().zip(&records) {
        tracing::debug!(%request, answer = ?record.answer, elapsed = ?start.elapsed(), "asked");
    }
    records
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
                } else if at % 2 == 0 {
                    ProbeRequest::Connect {
                        from: u32::try_from(at % 3).ok(),
                        to: PeerAddress::Tcp(([127, 0, 0, 1], u16::try_from(at).unwrap()).into()),
                    }
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

    /// Lets connections be counted by those that came together.
    #[derive(Default)]
    struct Batches(Mutex<Vec<usize>>);

    impl Probe for Batches {
        fn ask(&self, request: &ProbeRequest) -> Record {
            self.0.lock().unwrap().push(1);
            Echo.ask(request)
        }

        fn ask_all(&self, requests: &[ProbeRequest]) -> Vec<Record> {
            self.0.lock().unwrap().push(requests.len());
            requests.iter().map(|request| Echo.ask(request)).collect()
        }
    }

    #[test]
    fn connections_of_one_process_go_together_but_not_too_many_of_them() {
        let to = |port| PeerAddress::Tcp(([127, 0, 0, 1], port).into());
        let mut requests: Vec<ProbeRequest> = (0..30)
            .map(|port| ProbeRequest::Connect {
                from: Some(7),
                to: to(port),
            })
            .collect();
        requests.push(ProbeRequest::Connect {
            from: Some(8),
            to: to(1),
        });
        requests.push(ProbeRequest::Connect {
            from: Some(7),
            to: PeerAddress::Unix("/run/app.sock".into()),
        });
        let probe = Batches::default();
        assert_eq!(collect(&probe, &requests), collect(&Echo, &requests));
        let mut sizes = probe.0.into_inner().unwrap();
        sizes.sort_unstable();
        assert_eq!(sizes, [1, 1, 6, TOGETHER]);
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
