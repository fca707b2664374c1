//! The records of a case, the questions still open, and what was made of the records so far.
//!
//! Asking for a record that is not there notes it as wanted and answers with a *pending* gap. So whoever needs a fact
//! just asks for it: the next round of collecting brings it, and there is no second list of what to collect.

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

use facts::{Answer, Conversation, Gap, GapKind, PeerAddress, ProbeRequest, Record, Stat};

/// See the module.
#[derive(Default)]
pub(crate) struct Evidence {
    records: HashMap<ProbeRequest, Record>,
    wanted: RefCell<BTreeSet<ProbeRequest>>,
    made: RefCell<HashMap<(TypeId, String), Rc<dyn Any>>>,
    /// What was found to wait since the last answer came in: it waits still.
    waiting: RefCell<HashMap<(TypeId, String), Gap>>,
    closed: bool,
}

impl Evidence {
    /// Takes an answer in. An answer to what was answered before is ignored: judged bytes never change under a verdict.
    pub(crate) fn add(&mut self, request: ProbeRequest, record: Record) {
        self.waiting.get_mut().clear();
        self.wanted.get_mut().remove(&request);
        self.records.entry(request).or_insert(record);
    }

    /// From now on what is not there is not asked for: the bound of collecting is reached.
    pub(crate) fn close(&mut self) {
        self.waiting.get_mut().clear();
        self.closed = true;
    }

    /// What was asked for and is not there, each once, in a stable order.
    pub(crate) fn wanted(&self) -> Vec<ProbeRequest> {
        self.wanted.borrow().iter().cloned().collect()
    }

    /// The answer to a question.
    pub(crate) fn record(&self, request: &ProbeRequest) -> Result<&Record, Gap> {
        match self.records.get(request) {
            Some(record) if record.answer == Answer::NotRecorded => Err(Gap::new(
                GapKind::NotRecorded,
                describe(request),
                "the snapshot does not hold it",
            )),
            Some(record) => Ok(record),
            None if self.closed => Err(Gap::new(
                GapKind::NotAsked,
                describe(request),
                "the bound of collecting was reached",
            )),
            None => {
                self.wanted.borrow_mut().insert(request.clone());
                Err(Gap::new(GapKind::Pending, describe(request), "asked for"))
            }
        }
    }

    /// Asks for all of these at once; a pending gap while any is missing.
    pub(crate) fn batch(
        &self,
        requests: impl IntoIterator<Item = ProbeRequest>,
    ) -> Result<Vec<Result<&Record, Gap>>, Gap> {
        let answers: Vec<_> = requests
            .into_iter()
            .map(|request| self.record(&request))
            .collect();
        match answers.iter().find_map(|answer| {
            answer
                .as_ref()
                .err()
                .filter(|gap| gap.kind == GapKind::Pending)
        }) {
            Some(pending) => Err(pending.clone()),
            None => Ok(answers),
        }
    }

    /// The conversations with a peer that were held, with their answers.
    pub(crate) fn conversations_with(
        &self,
        peer: &PeerAddress,
    ) -> impl Iterator<Item = (&Conversation, &Record)> {
        self.records
            .iter()
            .filter_map(move |(request, record)| match request {
                ProbeRequest::Conversation(held) if held.to == *peer => Some((held, record)),
                _ => None,
            })
    }

    /// The bytes of an answer; an errno, a failed program or a time-out is a gap.
    pub(crate) fn bytes(&self, request: &ProbeRequest) -> Result<(&Record, &[u8]), Gap> {
        let record = self.record(request)?;
        Ok((record, bytes_of(request, record)?))
    }

    /// A fact made of one record, made once.
    pub(crate) fn fact<T: 'static>(
        &self,
        request: &ProbeRequest,
        parse: impl FnOnce(&Record, &[u8]) -> T,
    ) -> Result<Rc<T>, Gap> {
        let (record, bytes) = self.bytes(request)?;
        self.once(request.to_string(), || Ok(parse(record, bytes)))
    }

    /// Something made of many records, made once; what still waits for evidence is made anew when some has come in.
    pub(crate) fn once<T: 'static>(
        &self,
        key: impl Into<String>,
        make: impl FnOnce() -> Result<T, Gap>,
    ) -> Result<Rc<T>, Gap> {
        let key = (TypeId::of::<Result<T, Gap>>(), key.into());
        if let Some(made) = self.made.borrow().get(&key).cloned()
            && let Ok(made) = made.downcast::<Result<Rc<T>, Gap>>()
        {
            return (*made).clone();
        }
        if let Some(pending) = self.waiting.borrow().get(&key) {
            return Err(pending.clone());
        }
        let made = make().map(Rc::new);
        match &made {
            Err(gap) if gap.kind == GapKind::Pending => {
                self.waiting.borrow_mut().insert(key, gap.clone());
            }
            _ => {
                self.made.borrow_mut().insert(key, Rc::new(made.clone()));
            }
        }
        made
    }
}

/// The bytes of an answer, or why there are none.
fn bytes_of<'a>(request: &ProbeRequest, record: &'a Record) -> Result<&'a [u8], Gap> {
    match &record.answer {
        Answer::File { bytes, .. } | Answer::Bytes(bytes) => Ok(bytes),
        Answer::Exit {
            code: Some(0),
            stdout,
            ..
        } => Ok(stdout),
        Answer::Exit { code, stderr, .. } => {
            let said = String::from_utf8_lossy(stderr);
            let said = said.lines().next().unwrap_or_default().trim().to_owned();
            let why = match code {
                Some(code) => format!("exit status {code}: {said}"),
                None => "ended by a signal".to_owned(),
            };
            Err(Gap::new(GapKind::Absent, describe(request), why))
        }
        Answer::Errno(errno) => Err(refused(request, *errno)),
        Answer::TimedOut => Err(Gap::new(
            GapKind::Absent,
            describe(request),
            "no answer in time",
        )),
        Answer::NotRecorded => Err(Gap::new(
            GapKind::NotRecorded,
            describe(request),
            "the snapshot does not hold it",
        )),
    }
}

fn refused(request: &ProbeRequest, errno: i32) -> Gap {
    let missing = describe(request);
    match errno {
        1 | 13 => Gap::new(GapKind::Denied, missing, "needs root").learn("sudo why502"),
        2 | 3 | 20 => Gap::new(GapKind::Absent, missing, "not there"),
        _ => Gap::new(GapKind::Absent, missing, format!("errno {errno}")),
    }
}

/// The `stat` that came with a file's bytes.
pub(crate) fn stat_of(record: &Record) -> Option<Stat> {
    match &record.answer {
        Answer::File { stat, .. } => Some(*stat),
        _ => None,
    }
}

/// A question in words, for a gap. Paths come from the configuration or the kernel.
fn describe(request: &ProbeRequest) -> String {
    match request {
        ProbeRequest::File { path, .. }
        | ProbeRequest::LinesSince { path, .. }
        | ProbeRequest::MarkedLinesSince { path, .. } => path.display().to_string(),
        ProbeRequest::Directory { path, .. } => format!("the names in {}", path.display()),
        ProbeRequest::Link { path } => path.display().to_string(),
        ProbeRequest::Walk { path, .. } => format!("owner and mode along {}", path.display()),
        ProbeRequest::FileSystem { path, .. } => {
            format!("the room on the file system of {}", path.display())
        }
        ProbeRequest::Dns { server, name, .. } => {
            format!("what the name server {server} answers for {name}")
        }
        ProbeRequest::Strings { path, .. } => format!("the strings in {}", path.display()),
        ProbeRequest::Environment { pid, .. } => format!("the environment of process {pid}"),
        ProbeRequest::Sockets { .. } => "the socket table".to_owned(),
        ProbeRequest::SocketOwners => "which process holds which socket".to_owned(),
        ProbeRequest::NetfilterChains { .. } => "the netfilter chains".to_owned(),
        ProbeRequest::Connect { to, .. } => format!("a connection to {to}"),
        ProbeRequest::Handshake { to, .. } => format!("a handshake with {to}"),
        ProbeRequest::Request { to, get, .. } => {
            format!(
                "what {to} answers to GET {}",
                facts::url::without_query(&get.target)
            )
        }
        ProbeRequest::Conversation(held) => format!("what {} answers", held.to),
        ProbeRequest::SelinuxAccess { source, target, .. } => {
            format!("what SELinux lets {source} do to {target}")
        }
        ProbeRequest::Command { argv } | ProbeRequest::CommandIn { argv, .. } => {
            format!("the output of {}", argv.join(" "))
        }
    }
}

/// Turns a gap into `None`, but never a pending one: who builds something of many facts must wait for all of them.
pub(crate) fn known<T>(fact: Result<T, Gap>) -> Result<Option<T>, Gap> {
    match fact {
        Ok(fact) => Ok(Some(fact)),
        Err(gap) if gap.kind == GapKind::Pending => Err(gap),
        Err(_) => Ok(None),
    }
}

/// Splits a pending gap from the others: who goes on without a fact must not go on before it was asked for.
pub(crate) fn settled<T>(fact: Result<T, Gap>) -> Result<Result<T, Gap>, Gap> {
    match fact {
        Err(gap) if gap.kind == GapKind::Pending => Err(gap),
        settled => Ok(settled),
    }
}

/// Makes the same of each, of all of them before it gives up: what they ask for is asked side by side, and not one in every
/// round. A pending gap goes before any other.
pub(crate) fn of_each<T, U>(
    items: impl IntoIterator<Item = T>,
    make: impl FnMut(T) -> Result<U, Gap>,
) -> Result<Vec<U>, Gap> {
    let made: Vec<Result<U, Gap>> = items.into_iter().map(make).collect();
    let is_pending =
        |made: &Result<U, Gap>| matches!(made, Err(gap) if gap.kind == GapKind::Pending);
    match made.iter().position(is_pending) {
        Some(pending) => made.into_iter().skip(pending).take(1).collect(),
        None => made.into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use jiff::Timestamp;

    use super::*;

    #[test]
    fn all_are_asked_before_the_first_that_waits_is_told() {
        let evidence = Evidence::default();
        let ask = |path: &str| match path {
            "/none" => Err(Gap::undecided("it", "it is none")),
            path => evidence.record(&ProbeRequest::host_file(path)).map(|_| ()),
        };
        let gap = of_each(["/none", "/a", "/b"], ask).map_err(|gap| gap.kind);
        assert_eq!(gap, Err(GapKind::Pending));
        assert_eq!(evidence.wanted().len(), 2);
        let gap = of_each(["/none"], ask).map_err(|gap| gap.kind);
        assert_eq!(gap, Err(GapKind::Undecided));
        assert_eq!(of_each([1, 2], Ok), Ok(vec![1, 2]));
    }

    #[test]
    fn what_waits_is_made_once_until_an_answer_comes() {
        let mut evidence = Evidence::default();
        let request = ProbeRequest::host_file("/a");
        let made = Cell::new(0);
        let length = |evidence: &Evidence| {
            evidence.once("length", || {
                made.set(made.get() + 1);
                evidence.bytes(&request).map(|(_, bytes)| bytes.len())
            })
        };
        for _ in 0..2 {
            let pending = length(&evidence).map_err(|gap| gap.kind);
            assert_eq!((pending, made.get()), (Err(GapKind::Pending), 1));
        }
        let record = Record {
            at: Timestamp::UNIX_EPOCH,
            answer: Answer::Bytes(b"abc".to_vec()),
        };
        evidence.add(request.clone(), record);
        for _ in 0..2 {
            assert_eq!(length(&evidence).map(|length| *length), Ok(3));
            assert_eq!(made.get(), 2);
        }
    }

    #[test]
    fn what_waits_when_collecting_ends_is_a_gap() {
        let mut evidence = Evidence::default();
        let request = ProbeRequest::host_file("/a");
        let kind = |evidence: &Evidence| {
            let made = evidence.once("a", || evidence.bytes(&request).map(drop));
            made.map_err(|gap| gap.kind)
        };
        assert_eq!(kind(&evidence), Err(GapKind::Pending));
        evidence.close();
        assert_eq!(kind(&evidence), Err(GapKind::NotAsked));
    }
}
