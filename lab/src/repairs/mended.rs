//! Broken, `why502 fix`, 200.

use std::process::Command;
use std::{fs, thread};

use anyhow::{Context as _, Result, ensure};

use crate::lab::set_mode;
use crate::process::run_to_end;
use crate::{Gunicorn, Lab, Network, Nginx, Process, Values, client};

/// A site that dials one peer.
pub(super) const SITE: &str = "\
server {
    listen @listen;
    server_name shop.example.com;
    location / {
        proxy_pass http://@peer;
    }
}
";

/// `/big` answers with nine kilobytes of cookies, the rest is small.
pub(super) const MANY_COOKIES: &str = "\
require('http').createServer((request, response) => {
    const cookie = i => `c${i}=${'x'.repeat(1000)}`;
    response.setHeader('Set-Cookie', [...Array(9).keys()].map(cookie));
    response.end('ok\\n');
}).listen(process.argv[2], '127.0.0.1');
";

/// The socket is root's alone.
pub fn mode_of_a_socket(lab: &Lab) -> Result<()> {
    let socket = lab.path("shop.sock");
    let _application = lab.application(&["ok"], &socket.display().to_string())?;
    set_mode(&socket, 0o600)?;
    let nginx = lab.nginx(SITE, &[("peer", &format!("unix:{}", socket.display()))])?;
    nginx.expect(2, "GET", "/", 502)?;
    lab.mends(&nginx, "GET", "/")
}

/// An entry of the socket's access list denies nginx's user.
pub fn acl_of_a_socket(lab: &Lab) -> Result<()> {
    let socket = lab.path("shop.sock");
    let _application = lab.application(&["ok"], &socket.display().to_string())?;
    let mut command = Command::new("setfacl");
    run_to_end(command.args(["-m", "u:www-data:---"]).arg(&socket))?;
    let nginx = lab.nginx(SITE, &[("peer", &format!("unix:{}", socket.display()))])?;
    nginx.expect(2, "GET", "/", 502)?;
    lab.mends(&nginx, "GET", "/")
}

/// The response's header is larger than nginx's buffer for it.
pub fn buffer_for_a_header(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let _node = lab.node(peer, MANY_COOKIES)?;
    let nginx = lab.nginx(SITE, &[("peer", &format!("127.0.0.1:{peer}"))])?;
    nginx.expect(2, "GET", "/", 502)?;
    lab.mends(&nginx, "GET", "/")
}

/// The peer serves by name, and nginx does not say which.
pub fn name_for_a_peer_that_serves_by_name(lab: &Lab) -> Result<()> {
    let site = "\
upstream app.internal {
    server 127.0.0.1:@peer;
}
server {
    listen @listen;
    location / {
        proxy_pass https://app.internal;
    }
}
server {
    listen 127.0.0.1:@peer ssl default_server;
    ssl_reject_handshake on;
}
server {
    listen 127.0.0.1:@peer ssl;
    server_name app.internal;
    ssl_certificate @certificate;
    ssl_certificate_key @key;
    return 200 ok;
}
";
    lab.mends(&behind_tls(lab, site)?, "GET", "/")
}

/// A site whose peer is a server of the same nginx, which speaks TLS at `@peer`.
fn behind_tls(lab: &Lab, site: &str) -> Result<Nginx> {
    let (peer, made) = (lab.port()?, lab.certificate("app.internal")?);
    let (certificate, key) = (made.certificate.display(), made.key.display());
    let values: &Values<'_> = &[
        ("peer", &peer),
        ("certificate", &certificate),
        ("key", &key),
    ];
    let nginx = lab.nginx(site, values)?;
    nginx.expect(2, "GET", "/", 502)?;
    Ok(nginx)
}

/// The peer wants TLS 1.3, and nginx is set to offer TLS 1.2 alone.
pub fn version_of_tls(lab: &Lab) -> Result<()> {
    let site = "\
server {
    listen @listen;
    location / {
        proxy_ssl_protocols TLSv1.2;
        proxy_pass https://127.0.0.1:@peer;
    }
}
server {
    listen 127.0.0.1:@peer ssl;
    ssl_protocols TLSv1.3;
    ssl_certificate @certificate;
    ssl_certificate_key @key;
    return 200 ok;
}
";
    lab.mends(&behind_tls(lab, site)?, "GET", "/")
}

/// A few clients take all the connections that a worker may have.
pub fn connections_of_a_worker(lab: &Lab) -> Result<()> {
    let peer = format!("127.0.0.1:{}", lab.port()?);
    let _application = lab.application(&["slow", "2"], &peer)?;
    let nginx = lab
        .nginx_setup()
        .connections(21)
        .start(SITE, &[("peer", &peer)])?;
    lab.settle();
    let failed = nginx.gathering(12, "/slow", 500)?;
    ensure!(failed > 0, "every client was served:\n{}", nginx.log());
    let state = lab.path("state");
    // Its clients have gone, so no request shows that it helps: it is applied, and said to be unverified.
    let report = lab.repaired(&nginx, "unverified", 3)?;
    ensure!(state.exists(), "nothing was kept:\n{report:#}");
    let failed = nginx.gathering(12, "/slow", 500)?;
    ensure!(
        failed == 0,
        "{failed} clients were not served:\n{}",
        nginx.log()
    );
    Ok(())
}

/// The address was put right on disk and nobody reloaded.
pub fn configuration_not_in_force(lab: &Lab) -> Result<()> {
    let (old, new) = (lab.port()?, lab.port()?);
    let _application = lab.application(&["ok"], &format!("127.0.0.1:{new}"))?;
    let nginx = lab.nginx(SITE, &[("peer", &format!("127.0.0.1:{old}"))])?;
    lab.settle();
    nginx.edit(&format!("127.0.0.1:{old};"), &format!("127.0.0.1:{new};"))?;
    lab.settle();
    nginx.expect(2, "GET", "/", 502)?;
    lab.mends(&nginx, "GET", "/")
}

/// A rule of nftables rejects what nginx's workers send.
pub fn rule_of_nftables(lab: &Lab) -> Result<()> {
    let network = lab.network()?;
    let _inside = network.enter()?;
    let (nginx, _application) = behind_a_rule(lab, &network)?;
    nginx.expect(2, "GET", "/", 502)?;
    lab.mends(&nginx, "GET", "/")
}

/// An application that a rule of nftables keeps nginx's workers from.
pub(super) fn behind_a_rule(lab: &Lab, network: &Network) -> Result<(Nginx, Process)> {
    let port = lab.port()?;
    let peer = format!("127.0.0.1:{port}");
    let application = lab.application(&["ok"], &peer)?;
    network.nft(&format!(
        "table inet guard {{\n chain out {{ type filter hook output priority filter; policy accept;\n \
         meta skuid www-data tcp dport {port} counter reject with tcp reset\n }}\n}}"
    ))?;
    let nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    Ok((nginx, application))
}

/// iptables rejects on the way in.
pub fn rule_of_iptables(lab: &Lab) -> Result<()> {
    let network = lab.network()?;
    let _inside = network.enter()?;
    let port = lab.port()?;
    let peer = format!("127.0.0.1:{port}");
    let _application = lab.application(&["ok"], &peer)?;
    network.run(&format!(
        "iptables -A INPUT -p tcp --dport {port} -j REJECT"
    ))?;
    let nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    nginx.expect(2, "GET", "/", 502)?;
    lab.mends(&nginx, "GET", "/")
}

/// All of an application that answered is stopped by a signal.
pub fn processes_that_are_stopped(lab: &Lab) -> Result<()> {
    let peer = format!("127.0.0.1:{}", lab.port()?);
    let gunicorn = lab.gunicorn(&peer, &Gunicorn::default())?;
    let site = SITE.replace("proxy_pass", "proxy_read_timeout 1s;\n        proxy_pass");
    let nginx = lab.nginx(&site, &[("peer", &peer)])?;
    nginx.expect(1, "GET", "/", 200)?;
    gunicorn.pause()?;
    nginx.expect(2, "GET", "/", 504)?;
    lab.mends(&nginx, "GET", "/")
}

/// nginx's directory for bodies belongs to somebody else since it started.
pub fn directory_for_bodies(lab: &Lab) -> Result<()> {
    let peer = format!("127.0.0.1:{}", lab.port()?);
    let _application = lab.application(&["ok"], &peer)?;
    let site = SITE.replace(
        "proxy_pass",
        "client_body_in_file_only on;\n        proxy_pass",
    );
    let nginx = lab.nginx(&site, &[("peer", &peer)])?;
    let folder = lab.path("nginx/body");
    std::os::unix::fs::chown(&folder, Some(0), Some(0)).context("take nginx's directory away")?;
    nginx.expect(2, "POST", "/", 500)?;
    lab.mends(&nginx, "POST", "/")
}

/// A drop-in moved the unit to another port.
pub fn unit_on_another_port(lab: &Lab) -> Result<()> {
    moved(lab, "127.0.0.1:8001")
}

/// A drop-in moved the unit to a unix socket.
pub fn unit_on_another_path(lab: &Lab) -> Result<()> {
    moved(lab, "/run/shop/shop.sock")
}

fn moved(lab: &Lab, to: &str) -> Result<()> {
    let machine = lab.machine()?;
    let gunicorn = "/usr/bin/gunicorn --chdir /srv/shop --bind 127.0.0.1:8000 shop:application";
    let bind = to.replace("/run/", "unix:/run/");
    let start = gunicorn.replace("127.0.0.1:8000", &bind);
    machine.unit(
        "shop.service",
        &format!("[Service]\nRuntimeDirectory=shop\nExecStart={gunicorn}\n"),
    )?;
    machine.run("systemctl start shop.service")?;
    machine.accepting("127.0.0.1:8000")?;
    machine
        .nginx_site("server { listen 80; location / { proxy_pass http://127.0.0.1:8000; } }\n")?;
    machine.expect(1, "GET", "/", 200)?;
    machine.unit(
        "shop.service.d/override.conf",
        &format!("[Service]\nExecStart=\nExecStart={start}\n"),
    )?;
    machine.run("systemctl restart shop.service")?;
    machine.accepting(to)?;
    machine.journalled("shop.service", "Listening at: http://127.0.0.1:8000")?;
    machine.settle();
    machine.expect(2, "GET", "/", 502)?;
    machine.mends()
}

/// The unit that listens there was stopped.
pub fn unit_that_is_stopped(lab: &Lab) -> Result<()> {
    let machine = lab.machine()?;
    let gunicorn = "/usr/bin/gunicorn --chdir /srv/shop --bind 127.0.0.1:8000 shop:application";
    machine.service("shop.service", gunicorn, "127.0.0.1:8000")?;
    machine
        .nginx_site("server { listen 80; location / { proxy_pass http://127.0.0.1:8000; } }\n")?;
    machine.expect(1, "GET", "/", 200)?;
    machine.run("systemctl stop shop.service")?;
    machine.settle();
    machine.expect(2, "GET", "/", 502)?;
    machine.mends()
}

/// nginx itself was stopped.
pub fn nginx_that_is_stopped(lab: &Lab) -> Result<()> {
    let machine = lab.machine()?;
    machine.service(
        "shop.service",
        "/usr/local/bin/shopd 127.0.0.1:8000 ok",
        "127.0.0.1:8000",
    )?;
    machine
        .nginx_site("server { listen 80; location / { proxy_pass http://127.0.0.1:8000; } }\n")?;
    machine.expect(1, "GET", "/", 200)?;
    machine.run("systemctl stop nginx.service")?;
    machine.settle();
    machine.mends()
}

/// The only server that is up is marked down in the upstream.
pub fn server_that_is_marked_down(lab: &Lab) -> Result<()> {
    let (name, first) = (lab.unique("shop"), lab.neighbouring_ports(2)?);
    let _application = lab.application(&["ok"], &format!("127.0.0.1:{first}"))?;
    let site = "\
upstream @name {
    server 127.0.0.1:@one down;
    server 127.0.0.1:@other down;
}
server {
    listen @listen;
    location / {
        proxy_pass http://@name;
    }
}
";
    let other = first + 1;
    let nginx = lab.nginx(site, &[("name", &name), ("one", &first), ("other", &other)])?;
    nginx.expect(2, "GET", "/", 502)?;
    lab.mends(&nginx, "GET", "/")
}

/// Eight local ports are all there are, and slow requests keep them.
pub fn ports_of_the_host(lab: &Lab) -> Result<()> {
    let network = lab.network()?;
    let _inside = network.enter()?;
    network.run("sysctl -qw net.ipv4.ip_local_port_range='40000 40007'")?;
    let peer = format!("127.0.0.1:{}", lab.port()?);
    let _application = lab.application(&["slow", "40"], &peer)?;
    // A client takes a port for each address of nginx's too: so it has two.
    let other = lab.port()?;
    let site = SITE.replace(
        "listen @listen;",
        "listen @listen;\n    listen 127.0.0.1:@other;",
    );
    let nginx = lab.nginx(&site, &[("peer", &peer), ("other", &other)])?;
    for port in [nginx.port(), other] {
        for _ in 0..6 {
            // Those that are let through wait until nginx ends.
            thread::spawn(move || client::request(port, "GET", "/slow").ok());
        }
    }
    nginx.logged_times(
        4,
        &["(99: Cannot assign requested address) while connecting to upstream"],
    )?;
    // The ports are held on, so what says that it was mended is the request alone.
    lab.repaired(&nginx, "fixed", 0)?;
    let range = fs::read_to_string(format!(
        "/proc/{}/root/proc/sys/net/ipv4/ip_local_port_range",
        network.pid()
    ))?;
    ensure!(range.trim() != "40000\t40007", "the range is what it was");
    nginx.expect(2, "GET", "/", 200)
}

/// The name that nginx looked up when it started has another address since.
pub fn address_of_a_name(lab: &Lab) -> Result<()> {
    let machine = lab.machine()?;
    machine.service(
        "shop.service",
        "/usr/local/bin/shopd 127.0.0.3:8000 ok",
        "127.0.0.3:8000",
    )?;
    machine.run("echo '127.0.0.2 shop.lab' >> /etc/hosts")?;
    machine
        .nginx_site("server { listen 80; location / { proxy_pass http://shop.lab:8000; } }\n")?;
    machine.run("sed -i 's/^127.0.0.2 shop.lab$/127.0.0.3 shop.lab/' /etc/hosts")?;
    machine.settle();
    machine.expect(2, "GET", "/", 502)?;
    machine.mends()
}

/// The unit was moved to another address.
pub fn unit_on_another_address(lab: &Lab) -> Result<()> {
    moved(lab, "127.0.0.2:8000")
}

/// Two sites of one nginx fail for the same reason: the reload for the first must not hide the second.
pub fn two_faults_of_one_nginx(lab: &Lab) -> Result<()> {
    let (one, other) = (lab.port()?, lab.port()?);
    let (_one, _other) = (lab.node(one, MANY_COOKIES)?, lab.node(other, MANY_COOKIES)?);
    let site = "\
server {
    listen @listen;
    location / {
        proxy_pass http://127.0.0.1:@one;
    }
    location /other {
        proxy_pass http://127.0.0.1:@other;
    }
}
";
    let nginx = lab.nginx(site, &[("one", &one), ("other", &other)])?;
    nginx.expect(2, "GET", "/", 502)?;
    nginx.expect(2, "GET", "/other", 502)?;
    lab.mends(&nginx, "GET", "/other")?;
    nginx.expect(2, "GET", "/", 200)
}
