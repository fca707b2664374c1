//! The causes: one file each, and the one list of them.
//!
//! A cause is a doc comment (which is also the user's page) and a pure judge. Adding one is a file here and a line in
//! [`causes!`] below; `CONTRIBUTING.md` has the recipe.

use facts::Gap;

use crate::case::Case;
use crate::diagnosis::CauseVerdict;
use crate::incident::Incident;
use crate::page::Page;
use crate::verdict::Verdict;

/// Where nginx meets a cause, in the order in which it would.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// nginx itself, before any peer is chosen.
    Nginx,
    /// Turning a name into an address.
    Name,
    /// Finding and opening the socket's file.
    Socket,
    /// Connecting.
    Connect,
    /// Shaking hands over TLS.
    Tls,
    /// Sending the request and waiting for the response header.
    Request,
    /// Reading the response's body.
    Body,
}

/// How a cause is judged.
#[derive(Clone, Copy)]
pub enum Judge {
    /// From the incident and the case alone.
    Alone(fn(&Incident, &Case) -> Result<Verdict, Gap>),
    /// With the verdicts of the first pass in hand, for causes that speak of other incidents.
    Knowing(fn(&Incident, &Case, &[FirstPass<'_>]) -> Result<Verdict, Gap>),
}

/// An incident with the verdicts of the causes that are judged alone.
pub struct FirstPass<'a> {
    /// The incident.
    pub incident: &'a Incident,
    /// Whether it goes on.
    pub ongoing: bool,
    /// Its verdicts so far.
    pub verdicts: &'a [CauseVerdict],
}

/// One cause of 502 or 504.
pub struct Cause {
    /// Completes "502 because ..."; for ever.
    pub id: &'static str,
    /// Its page.
    doc: Page,
    /// The version that brought it.
    pub since: &'static str,
    /// Where nginx meets it.
    pub stage: Stage,
    /// The causes it says more than.
    pub refines: &'static [&'static str],
    /// Its source file.
    pub file: &'static str,
    /// Its judge.
    pub judge: Judge,
}

impl Cause {
    /// The page's first line: what is wrong, in the user's words.
    pub fn title(&self) -> &'static str {
        self.doc.title()
    }

    /// The page, as Markdown, without a heading for the id.
    pub fn page(&self) -> String {
        self.doc.text()
    }
}

impl std::fmt::Debug for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.id)
    }
}

impl PartialEq for Cause {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

/// Declares a cause: its doc comment is its page.
macro_rules! declare_cause {
    (
        $(#[doc = $doc:literal])+
        pub(crate) static $name:ident = {
            id: $id:literal, since: $since:literal, stage: $stage:ident, refines: [$($refines:literal),*],
            judge: $kind:ident($judge:path) $(,)?
        }
    ) => {
        $(#[doc = $doc])+
        pub(crate) static $name: $crate::causes::Cause = $crate::causes::Cause {
            id: $id,
            doc: $crate::page::Page(&[$($doc),+]),
            since: $since,
            stage: $crate::causes::Stage::$stage,
            refines: &[$($refines),*],
            file: file!(),
            judge: $crate::causes::Judge::$kind($judge),
        };
    };
}

/// Declares the modules and the registry in one list.
macro_rules! causes {
    ($($module:ident :: $name:ident),+ $(,)?) => {
        $(mod $module;)+
        /// Every cause, by id.
        pub static ALL: &[&Cause] = &[$(&$module::$name),+];
    };
}

causes![
    accept_queue_full::ACCEPT_QUEUE_FULL,
    apparmor_denies_connect::APPARMOR_DENIES_CONNECT,
    application_answered_5xx::APPLICATION_ANSWERED_5XX,
    application_crashed::APPLICATION_CRASHED,
    application_fatal_error::APPLICATION_FATAL_ERROR,
    application_killed_oom::APPLICATION_KILLED_OOM,
    application_rejects_request::APPLICATION_REJECTS_REQUEST,
    application_restarted::APPLICATION_RESTARTED,
    application_slow::APPLICATION_SLOW,
    application_worker_timeout::APPLICATION_WORKER_TIMEOUT,
    firewall_drops_connect::FIREWALL_DROPS_CONNECT,
    firewall_rejects_connect::FIREWALL_REJECTS_CONNECT,
    fpm_children_exhausted::FPM_CHILDREN_EXHAUSTED,
    keepalive_connection_stale::KEEPALIVE_CONNECTION_STALE,
    nginx_not_running::NGINX_NOT_RUNNING,
    nginx_out_of_file_descriptors::NGINX_OUT_OF_FILE_DESCRIPTORS,
    nginx_out_of_local_ports::NGINX_OUT_OF_LOCAL_PORTS,
    nginx_out_of_worker_connections::NGINX_OUT_OF_WORKER_CONNECTIONS,
    nginx_sandboxed::NGINX_SANDBOXED,
    nginx_temp_path_unwritable::NGINX_TEMP_PATH_UNWRITABLE,
    no_live_peers::NO_LIVE_PEERS,
    not_an_upstream_fault::NOT_AN_UPSTREAM_FAULT,
    peer_address_mismatch::PEER_ADDRESS_MISMATCH,
    peer_family_mismatch::PEER_FAMILY_MISMATCH,
    peer_in_other_netns::PEER_IN_OTHER_NETNS,
    peer_not_listening::PEER_NOT_LISTENING,
    peer_port_mismatch::PEER_PORT_MISMATCH,
    peer_speaks_other_protocol::PEER_SPEAKS_OTHER_PROTOCOL,
    peer_transport_mismatch::PEER_TRANSPORT_MISMATCH,
    peer_unreachable::PEER_UNREACHABLE,
    resolver_missing::RESOLVER_MISSING,
    response_header_invalid::RESPONSE_HEADER_INVALID,
    response_header_too_big::RESPONSE_HEADER_TOO_BIG,
    response_truncated::RESPONSE_TRUNCATED,
    running_config_outdated::RUNNING_CONFIG_OUTDATED,
    selinux_denies_connect::SELINUX_DENIES_CONNECT,
    selinux_denies_socket::SELINUX_DENIES_SOCKET,
    socket_acl_denied::SOCKET_ACL_DENIED,
    socket_hidden_by_namespace::SOCKET_HIDDEN_BY_NAMESPACE,
    socket_missing::SOCKET_MISSING,
    socket_path_mismatch::SOCKET_PATH_MISMATCH,
    socket_permission_denied::SOCKET_PERMISSION_DENIED,
    socket_stale::SOCKET_STALE,
    upstream_address_outdated::UPSTREAM_ADDRESS_OUTDATED,
    upstream_certificate_rejected::UPSTREAM_CERTIFICATE_REJECTED,
    upstream_name_unresolvable::UPSTREAM_NAME_UNRESOLVABLE,
    upstream_sni_missing::UPSTREAM_SNI_MISSING,
    upstream_tls_handshake_fails::UPSTREAM_TLS_HANDSHAKE_FAILS,
];

/// The cause of this id.
pub fn by_id(id: &str) -> Option<&'static Cause> {
    ALL.iter().copied().find(|cause| cause.id == id)
}
