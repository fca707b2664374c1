//! What the user named, held against the host: a main configuration, a log, a site or a peer. What cannot be answered is
//! said, with what there is; no verdict is made here.

use std::collections::BTreeSet;
use std::path::Path;

use conf::{ContextKind, Tree};
use facts::{Gap, PeerAddress, ProbeRequest, View};

use super::answered::UnloggedFailures;
use super::{Case, Instance, Selection, known};
use crate::incident::Incident;

/// Names that are told of what there is.
const NAMES_TOLD: usize = 12;

impl Case {
    /// Whether an instance runs the configuration that the user named: by its name, or by being the same file under
    /// another one.
    pub(super) fn runs_named(&self, instance: &Instance) -> Result<bool, Gap> {
        let Some(named) = &self.options.config else {
            return Ok(true);
        };
        if *named == instance.config {
            return Ok(true);
        }
        let (named, own) = (
            self.walk(View::Host, named),
            self.walk(instance.view, &instance.config),
        );
        let (named, own) = (known(named)?, known(own)?);
        let identity = |walk: Option<super::paths::Walked>| {
            let file = walk?.file()?;
            Some((file.device, file.inode))
        };
        let (named, own) = (identity(named), identity(own));
        Ok(named.is_some() && named == own)
    }

    /// Whether a file may be the main configuration of an nginx: what is right in it belongs there, or it includes what
    /// may.
    pub(super) fn is_main_configuration(&self, path: &Path) -> Result<bool, Gap> {
        let tree = self
            .evidence
            .fact(&ProbeRequest::host_file(path), |_, bytes| {
                Tree::parse(bytes.to_vec())
            });
        let Some(tree) = known(tree)? else {
            // Whoever may not read it does not know.
            return Ok(true);
        };
        Ok(is_main(&tree))
    }

    /// Why what was asked for cannot be answered, and what to ask instead.
    pub(super) fn refusal(&self) -> Result<Option<String>, Gap> {
        if let Some(named) = &self.options.config
            && self.instances()?.is_empty()
            && !self.is_main_configuration(named)?
        {
            return Ok(Some(format!(
                "{} is no main configuration of nginx (no events, http or stream block): name the file that nginx is started with, or leave --config away to look at the nginx that runs",
                named.display()
            )));
        }
        if let Some(refusal) = self.request_refusal()? {
            return Ok(Some(refusal));
        }
        for idx in 0..self.instances()?.len() {
            let logs = self.log_facts(idx)?;
            if let (Some(named), Some(_)) = (&self.options.error_log, logs.foreign.first()) {
                return Ok(Some(format!(
                    "{} holds none of nginx's error lines: name the file that error_log names",
                    named.display()
                )));
            }
        }
        match &self.options.selection {
            Some(selection) => self.nothing_of(selection),
            None => Ok(None),
        }
    }

    /// What there is, where a selection names none of it.
    fn nothing_of(&self, selection: &Selection) -> Result<Option<String>, Gap> {
        let wanted = selection.name();
        let mut there = BTreeSet::new();
        for idx in 0..self.instances()?.len() {
            let Some(configured) = known(self.configured(idx))? else {
                continue;
            };
            let model = &configured.model;
            // A listen of nginx's stands for its servers.
            if !self.servers_listening(idx, wanted)?.is_empty()
                || !model.servers_named(wanted).is_empty()
            {
                return Ok(None);
            }
            for context in model.contexts() {
                if context.kind == ContextKind::Server {
                    let names = model.server_names(context.id);
                    there.extend(names.iter().map(ToString::to_string));
                }
            }
            there.extend(
                model
                    .upstreams()
                    .iter()
                    .map(|upstream| upstream.name.to_string()),
            );
            let dialled = super::config::dialled_addresses(model);
            there.extend(dialled.iter().map(ToString::to_string));
            let logs = self.log_facts(idx)?;
            for incident in &logs.incidents {
                there.extend([incident.id.clone(), incident.peer.clone()]);
            }
        }
        there.remove("");
        let is_wanted =
            |name: &String| name.eq_ignore_ascii_case(wanted) || is_same_peer(name, wanted);
        if there.iter().any(is_wanted) {
            return Ok(None);
        }
        let (more, told) = (there.len().saturating_sub(NAMES_TOLD), there.into_iter());
        let told: Vec<String> = told.take(NAMES_TOLD).collect();
        let more = if more > 0 {
            format!(" and {more} more")
        } else {
            String::new()
        };
        Ok(Some(format!(
            "'{}' names no site, peer or incident; there are: {}{more}",
            selection.0,
            told.join(", ")
        )))
    }

    /// Whether an incident is of a server that listens where the selection says, or that takes requests for it as a name.
    pub(super) fn is_behind(&self, selection: &Selection, incident: &Incident) -> bool {
        let servers = self.selected_servers(selection, incident.instance);
        // nginx's log calls a server by its first name.
        incident
            .servers
            .iter()
            .any(|server| servers.contains(server))
    }

    /// The servers that a selection means, as error lines call them.
    fn selected_servers(&self, selection: &Selection, idx: usize) -> BTreeSet<String> {
        let (Ok(mut servers), Ok(configured)) = (
            self.servers_listening(idx, selection.name()),
            self.configured(idx),
        ) else {
            return BTreeSet::new();
        };
        let model = &configured.model;
        let named = model.servers_named(selection.name()).into_iter();
        let literally = model.servers().map(|server| server.id).filter(|&server| {
            let mut names = model.server_names(server).into_iter();
            names.any(|name| name.eq_ignore_ascii_case(selection.name().as_bytes()))
        });
        servers.extend(
            named
                .chain(literally)
                .map(|server| model.logged_name(server).to_string()),
        );
        servers
    }

    /// The gap that is told of failed requests which no error line explains, by the servers that wrote them down: where one
    /// is selected, only of its own; and beside failures that are explained, of other servers, or of later requests.
    pub(super) fn told<'a>(
        &self,
        idx: usize,
        is_quiet: bool,
        unlogged: &'a UnloggedFailures,
    ) -> Option<&'a Gap> {
        let servers = &unlogged.servers;
        if let Some(selection) = &self.options.selection {
            let selected = self.selected_servers(selection, idx);
            if !selected.is_empty() && selected.is_disjoint(servers)
                || selected.is_empty() && !is_quiet
            {
                return None;
            }
        }
        if self.are_of_none_that_failed(idx, is_quiet, servers) {
            Some(&unlogged.gap)
        } else {
            unlogged.later.as_ref()
        }
    }

    /// Whether the error logs tell of no failure of these servers.
    fn are_of_none_that_failed(
        &self,
        idx: usize,
        is_quiet: bool,
        servers: &BTreeSet<String>,
    ) -> bool {
        if is_quiet {
            return true;
        }
        let Ok(logs) = self.log_facts(idx) else {
            return false;
        };
        !servers.is_empty()
            && logs.incidents.iter().all(|incident| {
                let mut failing = incident.servers.iter();
                !incident.servers.is_empty() && failing.all(|server| !servers.contains(server))
            })
    }

    /// Whether the selection is an upstream or a host name of the configuration that may lead to the incident's peer.
    pub(super) fn is_led_to(&self, selection: &Selection, incident: &Incident) -> bool {
        let (Some(peer), Ok(configured)) = (&incident.address, self.configured(incident.instance))
        else {
            return false;
        };
        let model = &configured.model;
        let wanted = selection.name();
        let lines = model
            .upstreams()
            .iter()
            .filter(|upstream| upstream.name.eq_ignore_ascii_case(wanted.as_bytes()))
            .flat_map(|upstream| &upstream.servers)
            .filter_map(|line| line.address.clone());
        let dialled = super::config::dialled_addresses(model);
        let named = dialled.into_iter().filter(|address| {
            let is_its_name = matches!(address, conf::Address::Tcp { host: conf::Host::Name(name), .. } if name.eq_ignore_ascii_case(wanted));
            is_its_name || address.to_string().eq_ignore_ascii_case(wanted)
        });
        let mut all = lines.chain(named);
        all.any(|address| {
            self.addresses(incident.instance, &address)
                .is_ok_and(|addresses| addresses.contains(peer))
        })
    }

    /// The names in the log of the servers that listen on an address such as `127.0.0.1:8080`.
    fn servers_listening(&self, idx: usize, address: &str) -> Result<BTreeSet<String>, Gap> {
        let mut found = BTreeSet::new();
        let Some(PeerAddress::Tcp(address)) = PeerAddress::parse(address.as_bytes()) else {
            return Ok(found);
        };
        let Some(configured) = known(self.configured(idx))? else {
            return Ok(found);
        };
        let model = &configured.model;
        for context in model.contexts() {
            let is_there = context.kind == ContextKind::Server
                && model.listens(context.id).iter().any(|listen| {
                    let conf::Address::Tcp { host, port } = &listen.address else {
                        return false;
                    };
                    let ports = *port..=listen.last_port.unwrap_or(*port);
                    let ip = host.ip();
                    ports.contains(&address.port())
                        && ip.is_none_or(|ip| ip == address.ip() || ip.is_unspecified())
                });
            if is_there {
                found.insert(model.logged_name(context.id).to_string());
            }
        }
        Ok(found)
    }
}

/// Whether two texts are one address, `127.0.0.1:80` and `127.0.0.1` too.
fn is_same_peer(one: &str, other: &str) -> bool {
    let of = |text: &str| PeerAddress::parse(text.as_bytes());
    of(one).is_some() && of(one) == of(other)
}

/// Whether a file may be a main configuration: what is right in it belongs there, or it includes what may.
pub(crate) fn is_main(tree: &Tree) -> bool {
    const BELONGS: [&str; 8] = [
        "daemon",
        "events",
        "http",
        "mail",
        "pid",
        "stream",
        "user",
        "worker_processes",
    ];
    const BELONGS_DEEPER: [&str; 6] = [
        "listen",
        "location",
        "map",
        "proxy_pass",
        "server",
        "upstream",
    ];
    let has = |names: &[&str]| {
        tree.directives()
            .any(|directive| names.iter().any(|name| directive.name() == *name))
    };
    has(&BELONGS) || (has(&["include", "load_module"]) && !has(&BELONGS_DEEPER))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::Fixture;

    const HOST: &str = "
        //- nginx
        //- file /etc/nginx/nginx.conf
        events {} http {
        upstream shop { server 127.0.0.1:8000; }
        server { listen 8080; server_name shop.example.com; location / { proxy_pass http://shop; } }
        server { listen 127.0.0.1:8081; server_name quiet.example.com; location / { proxy_pass http://127.0.0.1:9000; } }
        include /etc/nginx/sites/*.conf;
        }
        //- file /etc/nginx/sites/a.conf
        server { listen 8082; location / { proxy_pass http://127.0.0.1:8000; } }
        //- failed 14:02:11 http://127.0.0.1:8000/
        connect() failed (111: Connection refused) while connecting to upstream
    ";

    fn refused(options: &str, selection: Option<&str>) -> (Option<String>, usize) {
        let mut fixture = Fixture::parse(&[HOST, options].concat());
        fixture.options.selection = selection.map(|text| Selection(text.to_owned()));
        let diagnosis = fixture.diagnose();
        (diagnosis.refusal, diagnosis.incidents.len())
    }

    #[test]
    fn what_is_there_is_answered() {
        for selection in [
            "shop.example.com",
            "quiet.example.com",
            "shop",
            "127.0.0.1:8000",
            "http://127.0.0.1:8000/",
            "127.0.0.1:9000",
            "http://127.0.0.1:8080",
        ] {
            assert_eq!(refused("", Some(selection)).0, None, "{selection}");
        }
    }

    #[test]
    fn what_is_not_there_is_refused_with_what_is() {
        for selection in ["nosuch.example.com", "127.0.0.1:7", ""] {
            let (refusal, incidents) = refused("", Some(selection));
            let refusal = refusal.unwrap();
            assert!(
                refusal.contains("quiet.example.com"),
                "{selection}: {refusal}"
            );
            assert_eq!(incidents, 0, "{selection}");
        }
    }

    #[test]
    fn a_name_selects_what_it_may_lead_to() {
        let host = "
            //- nginx
            //- file /etc/nginx/nginx.conf
            events {} http {
            map $arg_a $backend { default shop; b other; }
            upstream shop { server 127.0.0.1:8000; }
            upstream other { server 127.0.0.1:8001; }
            server { server_name shop.example *.shop.example ~^s\\d+\\.org$; location / { proxy_pass http://$backend; } }
            server { server_name quiet.example; location / { proxy_pass http://$arg_x; } }
            }
            //- failed 14:04:55 http://127.0.0.1:8000/
            connect() failed (111: Connection refused) while connecting to upstream
        ";
        for (selection, incidents) in [
            ("shop", 1),
            ("other", 0),
            ("Shop", 1),
            ("shop.example", 1),
            ("SHOP.Example", 1),
            ("www.shop.example", 1),
            ("*.shop.example", 1),
            ("s12.org", 1),
            ("quiet.example", 0),
        ] {
            let mut fixture = Fixture::parse(host);
            fixture.options.selection = Some(Selection(selection.to_owned()));
            let diagnosis = fixture.diagnose();
            assert_eq!(
                (diagnosis.refusal, diagnosis.incidents.len()),
                (None, incidents),
                "{selection}"
            );
        }
    }

    #[test]
    fn a_named_log_must_be_one_of_nginxs() {
        let strange = "
            //- options error-log=/var/log/x
            //- file /var/log/x
            127.0.0.1 - - [23/Jun/2026:14:00:00 +0000] \"GET / HTTP/1.1\" 200 2
        ";
        assert!(
            refused(strange, None)
                .0
                .unwrap()
                .contains("none of nginx's error lines")
        );
        let empty = "
            //- options error-log=/var/log/x
            //- file /var/log/x
        ";
        assert_eq!(refused(empty, None).0, None);
    }

    #[test]
    fn a_running_configuration_is_known_under_another_name() {
        let linked = "
            //- options config=/srv/nginx.conf
            //- path /srv/nginx.conf file 644 0:0 dev=1 ino=77
            //- path /etc/nginx/nginx.conf file 644 0:0 dev=1 ino=77
        ";
        let mut fixture = Fixture::parse(&[HOST, linked].concat());
        let running = fixture.diagnose();
        assert!(
            running
                .instances
                .iter()
                .all(|instance| instance.pid.is_some())
        );
        assert_eq!(running.incidents.len(), 1);
        fixture.options.config = Some("/srv/other.conf".into());
        assert!(fixture.diagnose().instances.is_empty());
    }

    #[test]
    fn a_named_configuration_must_be_a_main_one() {
        for (file, text) in [
            ("/etc/nginx/sites/a.conf", ""),
            (
                "/etc/passwd",
                "//- file /etc/passwd\nroot:x:0:0:root:/root:/bin/bash\n",
            ),
        ] {
            let (refusal, incidents) = refused(
                &format!("//- options config={file}\n{text}//- path {file} file 644 0:0 ino=78\n"),
                None,
            );
            assert!(refusal.unwrap().contains("no main configuration"), "{file}");
            assert_eq!(incidents, 0, "{file}");
        }
    }
}
