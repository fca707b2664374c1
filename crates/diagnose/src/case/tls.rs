//! How nginx speaks TLS to a peer: what it is told, and what its lines say of a handshake that failed.

use std::net::IpAddr;
use std::rc::Rc;

use bstr::BString;
use conf::Protocol;
use facts::{Exhibit, Gap, ProbeRequest};

use super::config::{Configured, Drift, Site, span};
use super::edits::set_at_pass;
use super::{Case, Instance, MESSAGES_KEPT, evidence};
use crate::incident::Incident;
use crate::verdict::Step;

/// What OpenSSL said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TlsError {
    /// In lower case, without underscores.
    pub(crate) reason: String,
    /// The number of the peer's alert.
    pub(crate) alert: Option<u8>,
}

impl TlsError {
    /// Reads `SSL_do_handshake() failed (SSL: error:0A00010B:SSL routines::wrong version number)`: code, library, function
    /// (empty since OpenSSL 3), reason, further data.
    fn parse(message: &str) -> Option<Self> {
        let (_, error) = message.split_once("(SSL: error:")?;
        let mut parts = error.trim_end_matches(')').split(':').skip(3);
        let reason = parts.next()?.trim().to_ascii_lowercase().replace('_', " ");
        let alert = parts.find_map(|part| part.trim().strip_prefix("SSL alert number "));
        Some(Self {
            reason,
            alert: alert.and_then(|number| {
                let digits = number.split(|c: char| !c.is_ascii_digit()).next()?;
                digits.parse().ok()
            }),
        })
    }

    /// Whether what came was no TLS record at all (`ssl3_get_record`, `tls_get_more_records`).
    pub(crate) fn is_not_tls(&self) -> bool {
        [
            "wrong version number",
            "packet length too long",
            "unknown protocol",
            "http request",
            "record layer failure",
        ]
        .contains(&self.reason.as_str())
    }
}

/// What OpenSSL said in the incident's lines, each once; `None` when some of it is not known.
pub(crate) fn tls_errors(incident: &Incident) -> Option<Vec<TlsError>> {
    if incident.messages.is_empty() || incident.messages.len() >= MESSAGES_KEPT {
        return None;
    }
    incident
        .messages
        .iter()
        .map(|message| TlsError::parse(message))
        .collect()
}

/// The number that every line names in `upstream SSL certificate verify error: (18:self-signed certificate)`
/// (openssl/x509_vfy.h); of several, none.
pub(crate) fn verify_error(incident: &Incident) -> Option<u32> {
    let mut numbers = incident.messages.iter().map(|message| {
        let (_, found) = message.split_once("verify error: (")?;
        found.split_once(':')?.0.parse::<u32>().ok()
    });
    let first = numbers.next()??;
    numbers.all(|other| other == Some(first)).then_some(first)
}

/// The name of an alert (RFC 8446, 6; RFC 5246, 7.2).
pub(crate) fn alert_name(alert: u8) -> &'static str {
    match alert {
        0 => "close notify",
        10 => "unexpected message",
        20 => "bad record MAC",
        40 => "handshake failure",
        42 => "bad certificate",
        43 => "unsupported certificate",
        44 => "certificate revoked",
        45 => "certificate expired",
        46 => "certificate unknown",
        47 => "illegal parameter",
        48 => "unknown CA",
        49 => "access denied",
        50 => "decode error",
        51 => "decrypt error",
        70 => "protocol version",
        71 => "insufficient security",
        80 => "internal error",
        86 => "inappropriate fallback",
        109 => "missing extension",
        110 => "unsupported extension",
        112 => "unrecognized name",
        116 => "certificate required",
        120 => "no application protocol",
        _ => "of no known meaning",
    }
}

/// The name of a peer by which nginx knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PeerName {
    /// A name.
    Name(String),
    /// An address: it is no name that could be sent.
    Address,
    /// Known at run time only.
    Variable,
}

/// How nginx speaks TLS to a peer; the same wherever it is dialled.
pub(crate) struct TlsSettings {
    configured: Rc<Configured>,
    sites: Vec<Site>,
    module: &'static str,
    version: (u32, u32, u32),
    /// Its name for the peer: what it would send, and what a certificate has to be for.
    pub(crate) name: PeerName,
    /// Whether a name is sent (SNI).
    pub(crate) sends_name: bool,
    /// Whether the certificate is checked.
    pub(crate) verifies: bool,
    /// The protocol versions that it offers.
    pub(crate) protocols: String,
}

impl TlsSettings {
    /// Whether TLS 1.3 is offered.
    pub(crate) fn offers_tls13(&self) -> bool {
        self.protocols
            .split(' ')
            .any(|version| version == "TLSv1.3")
    }

    /// How many certificates may stand between the peer's own and a trusted one.
    pub(super) fn depth(&self) -> usize {
        let set = self.set_at_pass("verify_depth");
        set.and_then(|depth| depth.parse().ok()).unwrap_or(1)
    }

    /// The value in force where the peer is dialled.
    fn set_at_pass(&self, setting: &str) -> Option<String> {
        let context = self.sites.first()?.context;
        let name = self.directive(setting);
        let (value, _) = self.configured.model.value_in_force(context, &name)?;
        Some(value.to_string())
    }

    /// Whether versions are offered that why502 does not speak.
    pub(super) fn offers_more_than_tls12_and_13(&self) -> bool {
        self.offers_tls13()
            && self
                .protocols
                .split(' ')
                .any(|version| matches!(version, "TLSv1" | "TLSv1.1" | "SSLv3"))
    }

    /// A directive in force, such as `server_name`, or its default.
    pub(crate) fn exhibit(&self, setting: &str) -> Exhibit {
        let name = format!("{}_ssl_{setting}", self.module);
        let set = self.sites.first().and_then(|site| {
            let at = *self.configured.model.in_force(site.context, &name).last()?;
            span(&self.configured.model, at, None)
        });
        match set {
            Some(span) => Exhibit::Config(span),
            None => Exhibit::Record {
                probe: "config",
                at: None,
                text: match default_of(setting, self.version) {
                    Some(default) => format!("{name} is not set there: it is {default}"),
                    None => format!("{name} is not set there"),
                },
            },
        }
    }

    /// The name of a directive, such as `proxy_ssl_name` of `name`.
    pub(crate) fn directive(&self, setting: &str) -> String {
        format!("{}_ssl_{setting}", self.module)
    }

    /// The edits that set directives where the peer is dialled.
    pub(crate) fn set(&self, changes: &[(&str, &str)]) -> Vec<Step> {
        let changes: Vec<(String, String)> = changes
            .iter()
            .map(|(setting, value)| (self.directive(setting), (*value).to_owned()))
            .collect();
        let mut steps: Vec<Step> = Vec::new();
        for site in &self.sites {
            for step in
                set_at_pass(&self.configured.model, site.context, &changes).unwrap_or_default()
            {
                if !steps.contains(&step) {
                    steps.push(step);
                }
            }
        }
        steps
    }

    /// Whether some other place shakes hands with the same peer without checking its certificate. nginx keeps what it found
    /// of a certificate with the session, and sessions with the peer, whoever made them (`ngx_ssl_get_session`).
    pub(crate) fn shares_unchecked_sessions(&self, incident: &Incident) -> bool {
        self.shares_sessions(incident, |value| {
            value("verify").is_none_or(|value| value != "on")
        })
    }

    /// Whether nginx may expect several names of the same peer: a session holds the certificate that it began with.
    pub(crate) fn shares_sessions_of_other_names(&self, incident: &Incident) -> bool {
        let own = self.sites.first().and_then(|site| {
            let name = self.directive("name");
            self.configured.model.value_in_force(site.context, &name)
        });
        let own = own.map(|(value, _)| value.to_owned());
        self.name == PeerName::Variable
            || self.shares_sessions(incident, |value| value("name") != own)
    }

    /// Whether nginx may go on with a session of a place of which `is_other`, given the directives in force there.
    fn shares_sessions(
        &self,
        incident: &Incident,
        is_other: impl Fn(&dyn Fn(&str) -> Option<BString>) -> bool,
    ) -> bool {
        let Some(address) = &incident.address else {
            return false;
        };
        let model = &self.configured.model;
        let reuses = self.sites.iter().any(|site| {
            let name = self.directive("session_reuse");
            model
                .value_in_force(site.context, &name)
                .is_none_or(|(value, _)| value != "off")
        });
        let is_other = |pass: &conf::Pass| {
            let value = |setting: &str| {
                let value = model.value_in_force(pass.context, &self.directive(setting));
                value.map(|(value, _)| value.to_owned())
            };
            pass.protocol.is_tls() && is_other(&value)
        };
        let own: Vec<_> = self
            .sites
            .iter()
            .filter_map(|site| Some(&model.pass_in_force(site.context)?.target))
            .collect();
        let dialers = model.dialers(&super::config::as_conf(address));
        let literal = dialers.iter().map(|dialer| dialer.pass);
        let named = model
            .passes()
            .iter()
            .filter(|pass| own.contains(&&pass.target));
        reuses && literal.chain(named).any(is_other)
    }

    /// What is compared between places.
    fn essence(&self) -> (&PeerName, bool, bool, &str) {
        (&self.name, self.sends_name, self.verifies, &self.protocols)
    }
}

/// The default of a directive; of every module the same.
fn default_of(setting: &str, version: (u32, u32, u32)) -> Option<&'static str> {
    conf::default_of(&format!("proxy_ssl_{setting}"), version)
}

impl Case {
    /// The file of certificates that nginx trusts there; inside, why what it trusts is not known.
    pub(super) fn trusted_by(
        &self,
        instance: &Instance,
        settings: &TlsSettings,
    ) -> Result<Result<Vec<u8>, Gap>, Gap> {
        let missing = || {
            format!(
                "whether nginx trusts the certificate ({})",
                settings.directive("verify")
            )
        };
        if settings.set_at_pass("crl").is_some() {
            let why = "a list of revoked certificates is not read here";
            return Ok(Err(Gap::undecided(missing(), why)));
        }
        let Some(file) = settings.set_at_pass("trusted_certificate") else {
            let why = "no file of trusted certificates is set";
            return Ok(Err(Gap::undecided(missing(), why)));
        };
        let path = instance.conf_prefix().join(file);
        let request = ProbeRequest::whole_file(instance.view, path);
        evidence::settled(
            self.evidence
                .bytes(&request)
                .map(|(_, bytes)| bytes.to_vec()),
        )
    }

    /// How nginx speaks TLS to the peer.
    pub(crate) fn tls_settings(&self, incident: &Incident) -> Result<TlsSettings, Gap> {
        let missing = "how nginx speaks TLS to this peer";
        self.dialled_by(incident)?;
        if let Drift::Changed { .. } = self.drift(incident.instance)? {
            return Err(Gap::undecided(
                missing,
                "a file has changed since the workers started",
            ));
        }
        let configured = self.configured(incident.instance)?;
        let version = self.instance(incident)?.version_numbers();
        let sites = self.asked_sites(incident)?;
        let mut all = sites
            .iter()
            .map(|site| settings(&configured, site, version))
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| Gap::undecided(missing, "it is not spoken there"))?;
        let Some(mut first) = all.pop() else {
            return Err(Gap::undecided(missing, "nothing on disk dials it"));
        };
        if all.iter().any(|other| other.essence() != first.essence()) {
            return Err(Gap::undecided(missing, "the places that dial it differ"));
        }
        first.sites = sites;
        Ok(first)
    }
}

pub(super) fn settings(
    configured: &Rc<Configured>,
    site: &Site,
    version: (u32, u32, u32),
) -> Option<TlsSettings> {
    let model = &configured.model;
    let module = match site.protocol {
        Protocol::Https | Protocol::Stream => "proxy",
        Protocol::Grpcs => "grpc",
        Protocol::Suwsgi => "uwsgi",
        _ => return None,
    };
    let value = |setting: &str| {
        let set = model.value_in_force(site.context, &format!("{module}_ssl_{setting}"));
        set.map(|(value, _)| value.to_string())
            .or_else(|| default_of(setting, version).map(str::to_owned))
            .unwrap_or_default()
    };
    let named = match value("name") {
        default if default == "$proxy_host" => {
            let pass = model.pass_in_force(site.context)?.directive;
            host_of(&model.arg(pass, 0)?.to_string())
        }
        set => set,
    };
    let name = if named.contains('$') {
        PeerName::Variable
    } else if named.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
        PeerName::Address
    } else {
        PeerName::Name(named)
    };
    let protocols = model.in_force(site.context, &format!("{module}_ssl_protocols"));
    let protocols = match protocols.last() {
        Some(&at) => model
            .args(at)
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join(" "),
        None => value("protocols"),
    };
    Some(TlsSettings {
        configured: Rc::clone(configured),
        sites: vec![site.clone()],
        module,
        version,
        sends_name: value("server_name") == "on" && name != PeerName::Address,
        verifies: value("verify") == "on",
        name,
        protocols,
    })
}

/// `$proxy_host` of a pass, its port left out: `ngx_http_upstream_ssl_name`.
fn host_of(argument: &str) -> String {
    let rest = argument
        .split_once("://")
        .map_or(argument, |(_, rest)| rest);
    if rest.starts_with("unix:") {
        return "localhost".to_owned();
    }
    let authority = rest.split(['/', '?']).next().unwrap_or(rest);
    if authority.starts_with('[') {
        return authority
            .split_inclusive(']')
            .next()
            .unwrap_or(authority)
            .to_owned();
    }
    authority.split(':').next().unwrap_or(authority).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openssl_is_read_in_the_words_of_its_versions() {
        for (message, reason, alert) in [
            (
                "SSL_do_handshake() failed (SSL: error:0A00010B:SSL routines::wrong version number)",
                "wrong version number",
                None,
            ),
            (
                "SSL_do_handshake() failed (SSL: error:1408F10B:SSL routines:ssl3_get_record:wrong version number)",
                "wrong version number",
                None,
            ),
            (
                "SSL_do_handshake() failed (SSL: error:100000f7:SSL routines:OPENSSL_internal:WRONG_VERSION_NUMBER)",
                "wrong version number",
                None,
            ),
            (
                "SSL_do_handshake() failed (SSL: error:0A000458:SSL routines::tlsv1 unrecognized name:SSL alert number 112)",
                "tlsv1 unrecognized name",
                Some(112),
            ),
            (
                "SSL_read() failed (SSL: error:0A00045C:SSL routines::tlsv13 alert certificate required:SSL alert number 116)",
                "tlsv13 alert certificate required",
                Some(116),
            ),
        ] {
            let reason = reason.to_owned();
            assert_eq!(
                TlsError::parse(message),
                Some(TlsError { reason, alert }),
                "{message}"
            );
        }
        assert_eq!(TlsError::parse("SSL_do_handshake() failed"), None);
    }

    #[test]
    fn the_host_of_a_pass_has_neither_scheme_nor_port() {
        for (argument, host) in [
            ("https://app.internal:8443/api", "app.internal"),
            ("https://app.internal", "app.internal"),
            ("https://10.0.0.5:8443", "10.0.0.5"),
            ("https://[::1]:8443/", "[::1]"),
            ("https://unix:/run/app.sock:/", "localhost"),
            ("grpcs://shop?x", "shop"),
            ("app:1", "app"),
        ] {
            assert_eq!(host_of(argument), host);
        }
    }
}
