//! Who asks the peers, and the asking of all of them at once.

use facts::{Answer, Caller, Conversation, Gap, GapKind, PeerAddress, ProbeRequest, Record};

use super::say::Said;
use super::{Case, Instance};

impl Case {
    /// Has all conversations held; by why502 itself where it may not become nginx's worker.
    pub(super) fn conversations(
        &self,
        instance: &Instance,
        spoken: &[Option<Said>],
    ) -> Result<Vec<Option<(&Record, bool)>>, Gap> {
        let (caller, _) = self.caller(instance)?;
        let peers: Vec<&PeerAddress> = spoken.iter().flatten().map(|said| &said.to).collect();
        self.queues_first(self.netns_of(instance)?, peers)?;
        let request = |said: &Said, from: &Caller| {
            ProbeRequest::Conversation(Conversation {
                from: from.clone(),
                bind: said.bind,
                to: said.to.clone(),
                tls: said.tls.clone(),
                speech: said.speech.clone(),
                within: self.gate_within(),
            })
        };
        let requests = spoken.iter().flatten().map(|said| request(said, &caller));
        self.evidence.batch(requests)?;
        let refused = |record: &Record| record.answer == Answer::Errno(1) && caller != Caller::Own;
        let mut again = Vec::new();
        for said in spoken.iter().flatten() {
            if refused(self.evidence.record(&request(said, &caller))?) {
                again.push(request(said, &Caller::Own));
            }
        }
        // From elsewhere than nginx's own network a connection tells nothing.
        let is_near = self.netns_of(instance)?.is_none() && instance.view == facts::View::Host;
        if is_near {
            self.evidence.batch(again)?;
        }
        let mut answers = Vec::new();
        for said in spoken {
            let Some(said) = said else {
                answers.push(None);
                continue;
            };
            let record = self.evidence.record(&request(said, &caller))?;
            answers.push(Some(if refused(record) && is_near {
                (self.evidence.record(&request(said, &Caller::Own))?, true)
            } else {
                (record, caller == Caller::Own)
            }));
        }
        Ok(answers)
    }

    /// As whom peers are asked, and the same for people: nginx's worker; where none runs, the user that the
    /// configuration names.
    pub(super) fn caller(&self, instance: &Instance) -> Result<(Caller, String), Gap> {
        if let Some(pid) = instance.worker() {
            return Ok((Caller::Process(pid), format!("nginx's worker (pid {pid})")));
        }
        let own = (Caller::Own, "why502 itself (nginx does not run)".to_owned());
        if !self.is_privileged() {
            return Ok(own);
        }
        let user = self.user_set(instance)?;
        Ok(user.unwrap_or(own))
    }

    /// The user that the configuration names for the workers.
    pub(in crate::case) fn user_set(
        &self,
        instance: &Instance,
    ) -> Result<Option<(Caller, String)>, Gap> {
        let configured = self.configured(0)?;
        let accounts = self.accounts(instance)?;
        let (name, group) = if let Some(user) = configured.model.user() {
            (user.name.to_string(), user.group.to_string())
        } else {
            // As nginx is built unless told otherwise (auto/unix): the group is the first of these that there is.
            let is_there = |name: &&str| accounts.group_named(name).is_some();
            let group = ["nogroup", "nobody"].into_iter().find(is_there);
            ("nobody".to_owned(), group.unwrap_or("nobody").to_owned())
        };
        let (Some(user), Some(group)) = (accounts.user_named(&name), accounts.group_named(&group))
        else {
            return Ok(None);
        };
        let caller = Caller::User {
            uid: user.uid,
            gid: group.gid,
            groups: accounts.groups_of(&name),
        };
        Ok(Some((
            caller,
            format!("{name}, as whom nginx's workers would run"),
        )))
    }

    /// That several nginx run, and none is asked for.
    pub(super) fn several_masters(&self) -> Result<Option<Gap>, Gap> {
        let count = self.masters()?;
        let gap = Gap::undecided(
            "in whose place the peers are to be asked",
            format!("{count} nginx masters run, and none of them runs this configuration"),
        );
        Ok((count > 1).then(|| gap.learn(format!("{} --pid PID", self.again()))))
    }

    pub(super) fn own_gap(&self, instance: &Instance) -> Gap {
        let who = match instance.worker() {
            Some(pid) => format!("whether nginx's worker (pid {pid}) may connect"),
            None => "whether nginx's worker may connect".to_owned(),
        };
        Gap::new(
            GapKind::Denied,
            who,
            "a connection as somebody else needs root: why502 connected as itself",
        )
        .learn(format!("sudo {}", self.again()))
    }
}
