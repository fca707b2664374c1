//! SELinux forbids nginx to use a unix socket.

use anyhow::Result;

use crate::Expectation;
use crate::vm::Vm;

const CAUSE: &str = "selinux-denies-socket";

/// An application that answers on the unix socket that it is told of. Who connects and leaves does not end it.
const SHOP: &str = "\
import os, socket, sys
path = sys.argv[1]
if os.path.exists(path):
    os.unlink(path)
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
os.chmod(path, 0o666)
listener.listen(16)
while True:
    client, _ = listener.accept()
    try:
        client.recv(4096)
        client.sendall(b'HTTP/1.0 200 OK\\r\\nContent-Length: 3\\r\\n\\r\\nok\\n')
    except OSError:
        pass
    client.close()
";

/// php-fpm's socket lost its label, as it does when it is moved from elsewhere.
pub fn label_was_changed(vm: &Vm<'_>) -> Result<()> {
    let socket = "/run/php/php8.2-fpm.sock";
    vm.run(&format!("systemctl start php8.2-fpm; chcon -t var_run_t {socket}"))?;
    vm.put("/var/www/html/index.php", b"<?php echo 'ok';")?;
    let site = format!(
        "server {{\n    listen 80;\n    location / {{\n        include fastcgi_params;\n        fastcgi_param SCRIPT_FILENAME /var/www/html/index.php;\n        fastcgi_pass unix:{socket};\n    }}\n}}\n"
    );
    denied(vm, &site, socket)?;
    let truth = Expectation::confirmed(CAUSE).of_peer(format!("unix:{socket}")).naming("var_run_t");
    vm.diagnose(&[truth
        .fixed_by(&["restorecon", "-v", "/run/php/php8.2-fpm.sock"])
        .rules_out("socket-permission-denied")
        .rules_out("selinux-denies-connect")])?;
    vm.apply(CAUSE, 0)?;
    vm.expect("http://127.0.0.1/", "200")?;
    vm.diagnose(&[Expectation::confirmed(CAUSE).over()])
}

/// An application without a policy of its own: its socket's label and its domain are both closed to nginx.
pub fn label_and_domain(vm: &Vm<'_>) -> Result<()> {
    let socket = "/run/shop.sock";
    serve(vm, socket)?;
    denied(vm, &through(socket), socket)?;
    let truth = Expectation::confirmed(CAUSE).of_peer(format!("unix:{socket}"));
    vm.diagnose(&[truth
        .naming("initrc_runtime_t")
        .naming("connectto")
        .fixed_by(&["semanage", "fcontext", "-a", "-t", "httpd_var_run_t", "/run/shop\\.sock"])
        .rules_out("socket-permission-denied")])?;
    vm.apply(CAUSE, 0)?;
    vm.expect("http://127.0.0.1/", "200")?;
    vm.mended()
}

/// The socket's label is right, and the application's domain is closed to nginx.
pub fn domain_alone(vm: &Vm<'_>) -> Result<()> {
    let socket = "/run/shop.sock";
    serve(vm, socket)?;
    vm.run(&format!("chcon -t httpd_var_run_t {socket}"))?;
    denied(vm, &through(socket), socket)?;
    let truth = Expectation::confirmed(CAUSE).of_peer(format!("unix:{socket}"));
    vm.diagnose(&[truth
        .naming("connectto on the socket of the application that listens there (initrc_t)")
        .naming("(allow httpd_t initrc_t (unix_stream_socket (connectto)))")
        .fixed_by(&["semodule", "-i", "nginx_local.cil"])
        .rules_out("socket-permission-denied")
        .needs_root()])?;
    vm.apply(CAUSE, 0)?;
    vm.expect("http://127.0.0.1/", "200")?;
    vm.mended()
}

fn serve(vm: &Vm<'_>, socket: &str) -> Result<()> {
    vm.put("/opt/shop/shop.py", SHOP.as_bytes())?;
    vm.service("shop", &format!("/usr/bin/python3 /opt/shop/shop.py {socket}"), &format!("[ -S {socket} ]"))
}

fn through(socket: &str) -> String {
    format!("server {{\n    listen 80;\n    location / {{\n        proxy_pass http://unix:{socket};\n    }}\n}}\n")
}

fn denied(vm: &Vm<'_>, site: &str, socket: &str) -> Result<()> {
    vm.nginx_site(site)?;
    vm.expect("http://127.0.0.1/", "502")?;
    vm.logged(&format!("connect() to unix:{socket} failed (13: Permission denied)"))
}
