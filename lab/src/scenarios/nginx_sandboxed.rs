//! nginx's own unit forbids what the connection needs.

use anyhow::{Result, ensure};

use crate::{Expectation, Lab, Machine};

/// `ProtectHome=yes`, and the application's socket is below /home.
pub fn home_is_protected(lab: &Lab) -> Result<()> {
    let machine = lab.machine()?;
    let socket = "/home/shop/run/shop.sock";
    dials(&machine, socket, "ProtectHome=yes", 13)?;
    diagnosed(&machine, truth(socket).naming("ProtectHome=yes").needs_root())?;
    mended(&machine, "ProtectHome=tmpfs\nBindReadOnlyPaths=/home/shop/run")
}

/// `InaccessiblePaths=` names the socket itself: nginx sees one of mode 000.
pub fn socket_is_inaccessible(lab: &Lab) -> Result<()> {
    let machine = lab.machine()?;
    let socket = "/run/shop/shop.sock";
    machine.run("mkdir -p /srv/private")?;
    dials(&machine, socket, "InaccessiblePaths=/run/shop/shop.sock /srv/private", 13)?;
    diagnosed(&machine, truth(socket).naming("InaccessiblePaths").naming("InaccessiblePaths=/srv/private"))?;
    mended(&machine, "InaccessiblePaths=\nInaccessiblePaths=/srv/private")
}

/// `TemporaryFileSystem=` puts an empty file system over the socket's directory.
pub fn directory_is_empty_for_it(lab: &Lab) -> Result<()> {
    let machine = lab.machine()?;
    let socket = "/srv/shop/run/shop.sock";
    dials(&machine, socket, "TemporaryFileSystem=/srv:ro", 2)?;
    diagnosed(&machine, truth(socket).also("socket-hidden-by-namespace").naming("TemporaryFileSystem=/srv:ro"))?;
    mended(&machine, "BindReadOnlyPaths=/srv/shop/run")
}

/// `PrivateTmp=yes`, and the application's socket is in /tmp.
pub fn tmp_is_private(lab: &Lab) -> Result<()> {
    let machine = lab.machine()?;
    let socket = "/tmp/shop.sock";
    dials(&machine, socket, "PrivateTmp=yes", 2)?;
    diagnosed(&machine, truth(socket).also("socket-hidden-by-namespace").naming("PrivateTmp=yes"))?;
    mended(&machine, "PrivateTmp=no")
}

/// `RestrictAddressFamilies=` forgets IPv6: the client sees 500.
pub fn inet_is_restricted(lab: &Lab) -> Result<()> {
    let machine = lab.machine()?;
    let peer = "[::1]:8000";
    machine.service("shop.service", &format!("/usr/local/bin/shopd {peer} ok"), peer)?;
    restrict(&machine, "RestrictAddressFamilies=AF_UNIX AF_INET")?;
    machine.nginx_site("server { listen 80; location / { proxy_pass http://[::1]:8000; } }\n")?;
    machine.settle();
    machine.expect(2, "GET", "/", 500)?;
    machine.logged(&["socket() failed (97: Address family not supported by protocol)"])?;
    let truth = Expectation::confirmed("nginx-sandboxed").of_peer(peer).naming("AF_INET6");
    diagnosed(&machine, truth)?;
    mended(&machine, "RestrictAddressFamilies=AF_INET6")
}

/// `PrivateNetwork=yes`: the application listens on the loopback of the host.
pub fn network_is_private(lab: &Lab) -> Result<()> {
    let machine = lab.machine()?;
    let peer = "127.0.0.1:8000";
    machine.service("shop.service", &format!("/usr/local/bin/shopd {peer} ok"), peer)?;
    restrict(&machine, "PrivateNetwork=yes")?;
    machine.nginx_site("server { listen 80; location / { proxy_pass http://127.0.0.1:8000; } }\n")?;
    machine.settle();
    let status = machine.run(
        "pid=$(systemctl show --property=MainPID --value nginx.service)\n\
        nsenter --target \"$pid\" --net python3 -c 'if True:\n\
        \x20   import http.client\n\
        \x20   connection = http.client.HTTPConnection(\"127.0.0.1\", 80)\n\
        \x20   connection.request(\"GET\", \"/\")\n\
        \x20   print(connection.getresponse().status)'",
    )?;
    ensure!(status.trim() == "502", "nginx gave {status}");
    machine.logged(&["connect() failed (111: Connection refused)"])?;
    let truth = Expectation::confirmed("nginx-sandboxed").of_peer(peer).naming("PrivateNetwork");
    let truth = truth.also("peer-in-other-netns").also("peer-not-listening");
    diagnosed(&machine, truth.naming("shopd"))?;
    mended(&machine, "PrivateNetwork=no")
}

/// `IPAddressDeny=` drops what nginx sends, and leaves no trace of it: it is named and not proven.
pub fn addresses_are_denied(lab: &Lab) -> Result<()> {
    let machine = lab.machine_that_filters()?;
    let peer = "192.0.2.7:8000";
    machine.run("ip address add 192.0.2.7/32 dev lo")?;
    machine.service("shop.service", &format!("/usr/local/bin/shopd {peer} ok"), peer)?;
    restrict(&machine, "IPAddressDeny=192.0.2.0/24")?;
    machine.nginx_site(
        "server { listen 80; location / { proxy_connect_timeout 1s; proxy_pass http://192.0.2.7:8000; } }\n",
    )?;
    machine.settle();
    machine.expect(2, "GET", "/", 504)?;
    machine.logged(&["upstream timed out (110: Connection timed out) while connecting to upstream"])?;
    machine.diagnose(&[Expectation::at_most("nginx-sandboxed").of_peer(peer).rules_out("peer-not-listening")])?;
    mended(&machine, "IPAddressDeny=")
}

/// The unit has all of these, and what denies is the socket's own mode.
pub fn same_settings_that_do_not_hinder(lab: &Lab) -> Result<()> {
    let machine = lab.machine()?;
    let socket = "/run/shop/shop.sock";
    machine.run("mkdir -p /srv/private")?;
    let settings = "ProtectHome=yes\nPrivateTmp=yes\nInaccessiblePaths=/srv/private\nTemporaryFileSystem=/srv/empty\n\
        RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6";
    serve(&machine, socket, "600")?;
    restrict(&machine, settings)?;
    fails(&machine, socket, 13)?;
    let truth = Expectation::confirmed("socket-permission-denied").of_peer(format!("unix:{socket}"));
    machine.diagnose(&[truth.rules_out("nginx-sandboxed")])
}

fn truth(socket: &str) -> Expectation {
    Expectation::confirmed("nginx-sandboxed").of_peer(format!("unix:{socket}"))
}

/// nginx, restricted so, dials a socket that all may write to.
fn dials(machine: &Machine<'_>, socket: &str, settings: &str, errno: u32) -> Result<()> {
    serve(machine, socket, "666")?;
    restrict(machine, settings)?;
    fails(machine, socket, errno)
}

fn serve(machine: &Machine<'_>, socket: &str, mode: &str) -> Result<()> {
    machine.run(&format!("mkdir -p $(dirname {socket})"))?;
    machine.service("shop.service", &format!("/usr/local/bin/shopd {socket} ok"), socket)?;
    machine.run(&format!("chmod {mode} {socket}")).map(drop)
}

fn restrict(machine: &Machine<'_>, settings: &str) -> Result<()> {
    machine.unit("nginx.service.d/sandbox.conf", &format!("[Service]\n{settings}\n"))
}

fn fails(machine: &Machine<'_>, socket: &str, errno: u32) -> Result<()> {
    machine.nginx_site(&format!("server {{ listen 80; location / {{ proxy_pass http://unix:{socket}; }} }}\n"))?;
    machine.settle();
    machine.expect(2, "GET", "/", 502)?;
    machine.logged(&[&format!("connect() to unix:{socket} failed ({errno}: ")])
}

fn diagnosed(machine: &Machine<'_>, truth: Expectation) -> Result<()> {
    machine.diagnose(&[truth.fixed_by(&["systemctl", "restart", "nginx.service"])])
}

/// What the fix says does help, and is no more than that.
fn mended(machine: &Machine<'_>, settings: &str) -> Result<()> {
    machine.unit("nginx.service.d/zz-fix.conf", &format!("[Service]\n{settings}\n"))?;
    machine.run("systemctl restart nginx.service")?;
    machine.expect(1, "GET", "/", 200)
}
