//! Programs and ports that serve no requests of a proxy's: stores, mail, shells, debuggers. Knows them by name only.

use bstr::ByteSlice as _;
use facts::process::Process;

/// Programs that stand beside an application and may bear its name, but never answer its requests.
const STORES: [&[u8]; 35] = [
    b"beam.smp",
    b"chronyd",
    b"cupsd",
    b"dnsmasq",
    b"dovecot",
    b"epmd",
    b"etcd",
    b"exim4",
    b"haproxy",
    b"mariadbd",
    b"master",
    b"memcached",
    b"mongod",
    b"mosquitto",
    b"mysqld",
    b"named",
    b"node_exporter",
    b"pgbouncer",
    b"postgres",
    b"proftpd",
    b"prometheus",
    b"redis-sentinel",
    b"redis-server",
    b"rpcbind",
    b"rsyslogd",
    b"slapd",
    b"smbd",
    b"squid",
    b"ssh",
    b"sshd",
    b"systemd-resolve",
    b"unbound",
    b"valkey-server",
    b"varnishd",
    b"vsftpd",
];

/// Ports on which something else than an application is at home.
const STORES_PORTS: [u16; 39] = [
    21, 22, 23, 25, 53, 88, 110, 111, 135, 139, 143, 389, 445, 465, 587, 631, 636, 873, 993, 995,
    1433, 1521, 1883, 2049, 2181, 2379, 2380, 3306, 4369, 5432, 5672, 6379, 9042, 9092, 9100,
    11211, 25672, 26379, 27017,
];

/// Whether one of these processes is such a program, by its name or by the title it gave itself.
pub(super) fn is_store(holders: &[Process]) -> bool {
    let is_known = |name: &[u8]| STORES.contains(&name);
    holders.iter().any(|holder| {
        let title = holder.args.first().map(Vec::as_slice).unwrap_or_default();
        let first = title.fields().next().unwrap_or_default();
        let name = first.rsplit_str("/").next().unwrap_or_default();
        is_known(&holder.comm) || is_known(name.trim_end_with(|char| char == ':'))
    })
}

/// Whether something else than an application is at home on a port.
pub(super) fn is_stores_port(port: u16) -> bool {
    STORES_PORTS.contains(&port)
}

/// Where a Node.js program opens its inspector, also when it is told to only while it runs; cluster workers count up.
pub(super) fn is_inspector(port: u16) -> bool {
    (9229..9245).contains(&port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_known_by_its_program_or_its_title() {
        let process = |comm: &str, args: &[&str]| Process {
            pid: 1,
            ppid: 1,
            start: jiff::Timestamp::UNIX_EPOCH,
            is_zombie: false,
            is_stopped: false,
            comm: comm.into(),
            args: args.iter().map(|&arg| arg.into()).collect(),
        };
        for (comm, args) in [
            (
                "redis-server",
                &["/usr/bin/redis-server 127.0.0.1:6379"][..],
            ),
            ("perl", &["sshd: /usr/sbin/sshd -D [listener]"]),
            (
                "x",
                &["/usr/lib/postgresql/15/bin/postgres", "-D", "/var/lib"],
            ),
        ] {
            assert!(is_store(&[process(comm, args)]), "{comm}");
        }
        assert!(!is_store(&[process(
            "gunicorn",
            &["gunicorn", "redis:app"]
        )]));
        assert!(!is_store(&[process("x", &[])]));
        assert!(STORES.is_sorted() && STORES_PORTS.is_sorted());
    }
}
