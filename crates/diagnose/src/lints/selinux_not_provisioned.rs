//! See the doc comment of [`SELINUX_NOT_PROVISIONED`].

use facts::{Gap, GapKind, PeerAddress};

use super::host::literal;
use super::{Found, Subject};
use crate::case::Selinux;

declare_lint! {
    /// SELinux does not let nginx connect where its configuration says.
    ///
    /// ## Found when
    /// SELinux enforces on this host, and its loaded policy, asked now, denies the domain of nginx's worker what the connection needs:
    /// `name_connect` on the port's type, or the way to a unix socket, its file and its listener.
    ///
    /// ## Silent when
    /// The policy allows it (by a label, a boolean or a module), or SELinux is off or permissive. Where nginx does not run, its domain is
    /// not known, and that is said.
    ///
    /// ## Fix
    /// None is made here. The narrow one is a label: `semanage port -a -t http_port_t -p tcp 8000`, or `semanage fcontext` and `restorecon` for
    /// a socket; the wide one is `setsebool -P httpd_can_network_connect 1`. Never switch SELinux off.
    ///
    /// ## See also
    /// `why502 explain selinux-denies-connect`, `why502 explain selinux-denies-socket`
    pub(crate) static SELINUX_NOT_PROVISIONED = {
        id: "selinux-not-provisioned", since: "0.1.0", severity: Error, judge: Host(judge),
    }
}

/// The type of ports that web servers may be let connect to.
const LABEL: &str = "http_port_t";

fn judge(subject: &Subject<'_>) -> Result<Vec<Found>, Gap> {
    let dialled = subject.dialled();
    if dialled.is_empty() {
        return Ok(Vec::new());
    }
    let host = subject.host()?;
    if !matches!(*host.case.selinux()?, Selinux::Enforcing) {
        return Ok(Vec::new());
    }
    let found = dialled.into_iter().filter_map(|dialled| {
        let address = literal(dialled.address)?;
        let peer = host.peer(&address, dialled.pass?.protocol);
        let rulings = match host.case.rulings(&peer) {
            Ok(rulings) => rulings,
            // No socket, no label: that nothing listens is told by another lint.
            Err(gap) if gap.kind == GapKind::TooLate => return None,
            Err(gap) => return subject.settle(Err(gap)),
        };
        let denied = rulings.denied().next()?;
        let need = &denied.need;
        let narrow = match &address {
            PeerAddress::Tcp(tcp) => {
                // Only what the loaded policy makes work.
                if host.case.would_pass(need, LABEL).unwrap_or(false) {
                    format!("a label lets it: semanage port -a -t {LABEL} -p tcp {}", tcp.port())
                } else {
                    "the boolean httpd_can_network_connect lets it".to_owned()
                }
            }
            PeerAddress::Unix(_) if need.class == "unix_stream_socket" => {
                "why502 explain selinux-denies-socket has what lets it".to_owned()
            }
            PeerAddress::Unix(_) => "a label lets it: semanage fcontext and restorecon".to_owned(),
        };
        let reason = format!(
            "SELinux enforces, and its policy does not let {} {} on {} ({}): nginx fails with 13: Permission denied; {narrow}",
            need.domain(),
            need.permission,
            need.what,
            need.kind()
        );
        Some(Found::at(subject.span(dialled.at, Some(0))?, "SELinux denies it", reason))
    });
    Ok(found.collect())
}

#[cfg(test)]
mod tests {
    use crate::lints::tests::{found, silent};

    const ID: &str = "selinux-not-provisioned";
    const HOST: &str = "
        //- nginx
        //- context 2842 system_u:system_r:httpd_t:s0
        //- file /etc/nginx/nginx.conf
        http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
        //- process 50
        gunicorn
        //- listen tcp 127.0.0.1:8000 pid=50
    ";

    #[test]
    fn found_where_the_policy_denies_the_port() {
        insta::assert_snapshot!(found(ID, [HOST, "
            //- selinux enforcing
        "]), @"
        1:41: error: SELinux enforces, and its policy does not let httpd_t name_connect on tcp port 8000 (http_port_t): nginx fails with 13: Permission denied; the boolean httpd_can_network_connect lets it
          `http://127.0.0.1:8000` SELinux denies it
        ");
    }

    #[test]
    fn said_where_the_domain_is_not_known() {
        insta::assert_snapshot!(found(ID, ["
            //- file /etc/nginx/nginx.conf
            http { server { location / { proxy_pass http://127.0.0.1:8000; } } }
            //- selinux enforcing
        "]), @"
        not looked at: the worker's SELinux domain: nginx is not running
        ");
    }

    #[test]
    fn silent_where_it_allows_or_does_not_rule() {
        silent(ID, [HOST]);
        silent(ID, [HOST, "
            //- selinux permissive
        "]);
        silent(ID, [HOST, "
            //- selinux enforcing
            //- permissive httpd_t
        "]);
    }
}
