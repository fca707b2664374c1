//! See the doc comment of [`PHP_SOCKET_MISMATCH`].

use bstr::ByteSlice as _;
use conf::{Pass, PassKind};
use facts::{Gap, PeerAddress};

use super::host::{Host, literal};
use super::subject::Dialled;
use super::{Found, Subject};
use crate::case::{Pool, listener_on};

declare_lint! {
    /// `fastcgi_pass` leads to a place where no pool of php-fpm is set to listen.
    ///
    /// ## Found when
    /// A `fastcgi_pass` is PHP's (by the name of its socket, its location, or `fastcgi_index`), no pool of a php-fpm that is installed or
    /// runs has that address as its `listen`, and nothing answers there now. An upgrade of PHP moves the socket: `php8.1-fpm.sock` becomes
    /// `php8.2-fpm.sock`.
    ///
    /// ## Silent when
    /// A pool is set to listen there, another program does, the address is another host's, or no php-fpm is installed here.
    ///
    /// ## Fix
    /// Dial the pool. Unsafe: it is shown where there is one pool alone, for whose it is, the configuration does not tell.
    ///
    /// ## See also
    /// `why502 explain socket-path-mismatch`
    pub(crate) static PHP_SOCKET_MISMATCH = {
        id: "php-socket-mismatch", since: "0.1.0", severity: Error, judge: Host(judge),
    }
}

fn judge(subject: &Subject<'_>) -> Result<Vec<Found>, Gap> {
    let dialled = subject.dialled();
    let is_fastcgi = |dialled: &Dialled<'_>| {
        dialled
            .pass
            .is_some_and(|pass| pass.kind == PassKind::Fastcgi)
    };
    if !dialled.iter().any(is_fastcgi) {
        return Ok(Vec::new());
    }
    let host = subject.host()?;
    host.is_seen_from_inside()?;
    let pools = host.case.pools()?;
    if pools.is_empty() {
        return Ok(Vec::new());
    }
    let found = dialled.iter().filter(|dialled| is_fastcgi(dialled));
    let found = found.filter_map(|dialled| {
        let address = literal(dialled.address)?;
        let pass = dialled.pass?;
        let is_set = pools.iter().any(|pool| pool.listens_on(&address));
        if is_set || !is_php(subject, pass, &address) {
            return None;
        }
        if subject.settle(is_answered(host, pass, &address))? {
            return None;
        }
        mismatch(subject, dialled, &address, &pools)
    });
    Ok(found.collect())
}

fn mismatch(
    subject: &Subject<'_>,
    dialled: &Dialled<'_>,
    address: &PeerAddress,
    pools: &[Pool],
) -> Option<Found> {
    const NAMED: usize = 4;
    let named: Vec<String> = pools.iter().take(NAMED).filter_map(Pool::place).collect();
    let more = pools.len().saturating_sub(NAMED);
    let more = if more > 0 {
        format!(", and {more} more")
    } else {
        String::new()
    };
    let reason = format!(
        "no pool of php-fpm is set to listen on {address}: {}{more}",
        named.join(", ")
    );
    let found = Found::at(subject.span(dialled.at, Some(0))?, "no pool is here", reason);
    let only = match pools {
        [only] => only.address(),
        _ => None,
    };
    let edits = only
        .as_ref()
        .and_then(|address| subject.set_argument(dialled.at, 0, address));
    Some(found.could("dial the only pool", edits))
}

/// Whether what is dialled is meant to be PHP's: fcgiwrap and others speak FastCGI too.
fn is_php(subject: &Subject<'_>, pass: &Pass, address: &PeerAddress) -> bool {
    let says_php = |text: &[u8]| {
        let text = text.to_ascii_lowercase();
        text.contains_str("php") || text.contains_str("fpm")
    };
    let by_path = match address {
        PeerAddress::Unix(path) => says_php(path.to_string_lossy().as_bytes()),
        PeerAddress::Tcp(_) => false,
    };
    let index = subject.value(pass.context, "fastcgi_index");
    let model = subject.model;
    by_path
        || index.is_some_and(|(index, _)| index.contains("php"))
        || model
            .location_pattern(pass.context)
            .is_some_and(|(_, pattern)| pattern.to_ascii_lowercase().contains_str("php"))
}

/// Whether something answers there, or another host may.
fn is_answered(host: Host<'_>, pass: &Pass, address: &PeerAddress) -> Result<bool, Gap> {
    let peer = host.peer(address, pass.protocol);
    match address {
        PeerAddress::Tcp(tcp) => {
            if !host.case.is_local(&peer, *tcp)? {
                return Ok(true);
            }
            Ok(listener_on(&host.case.listeners(&peer)?, *tcp)?.is_some())
        }
        PeerAddress::Unix(path) => {
            let Some(file) = host.case.walk_as_worker(&peer, path)?.file() else {
                return Ok(false);
            };
            let listeners = host.case.unix_listeners(&peer)?;
            Ok(listeners
                .iter()
                .any(|listener| listener.is_file(file.device, file.inode, path)))
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::lints::tests::{found, silent};

    const ID: &str = "php-socket-mismatch";
    const POOL: &str = "
        //- file /etc/php-fpm.conf
        [www]
        listen = /run/php/php8.2-fpm.sock
    ";

    #[test]
    fn found_where_the_socket_is_of_another_version() {
        insta::assert_snapshot!(found(ID, [POOL, "
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server {
                location ~ \\.php$ { fastcgi_pass unix:/run/php/php8.1-fpm.sock; }
            } }
        "]), @"
        2:34: error: no pool of php-fpm is set to listen on unix:/run/php/php8.1-fpm.sock: pool [www] has listen = unix:/run/php/php8.2-fpm.sock (/etc/php-fpm.conf)
          `unix:/run/php/php8.1-fpm.sock` no pool is here
          unsafe: dial the only pool
            + location ~ \\.php$ { fastcgi_pass unix:/run/php/php8.2-fpm.sock; }
        ");
    }

    #[test]
    fn found_where_the_pool_listens_on_a_socket_and_nginx_dials_a_port() {
        insta::assert_snapshot!(found(ID, [POOL, "
            [admin]
            listen = 127.0.0.1:9001
            //- nginx
            //- file /etc/nginx/nginx.conf
            http {
                upstream php { server 127.0.0.1:9000; }
                server { location ~ \\.php$ { fastcgi_pass php; } }
            }
        "]), @"
        2:23: error: no pool of php-fpm is set to listen on 127.0.0.1:9000: pool [www] has listen = unix:/run/php/php8.2-fpm.sock (/etc/php-fpm.conf), pool [admin] has listen = 127.0.0.1:9001 (/etc/php-fpm.conf)
          `127.0.0.1:9000` no pool is here
        ");
    }

    #[test]
    fn silent_where_a_pool_or_another_program_is_there() {
        silent(ID, [POOL, "
            //- nginx
            //- file /etc/nginx/nginx.conf
            http { server {
                location ~ \\.php$ { fastcgi_pass unix:/run/php/php8.2-fpm.sock; }
                location /cgi-bin/ { fastcgi_pass unix:/run/fcgiwrap.socket; }
                location ~ \\.php5$ { fastcgi_pass unix:/run/hhvm-php.sock; }
                location ~ \\.php7$ { fastcgi_pass 10.0.0.9:9000; }
                location /rpc { fastcgi_pass 127.0.0.1:9001; }
            } }
            //- process 50
            hhvm
            //- listen unix /run/hhvm-php.sock pid=50 dev=1 ino=2
        "]);
        silent(ID, ["
            http { server { location ~ \\.php$ { fastcgi_pass unix:/run/php/php8.1-fpm.sock; } } }
        "]);
    }
}
