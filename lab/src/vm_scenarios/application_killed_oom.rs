//! The kernel killed the application's process for lack of memory.

use anyhow::Result;

use crate::Expectation;
use crate::vm::Vm;

const CAUSE: &str = "application-killed-oom";
const FRONT: &str = "http://127.0.0.1/";

/// Takes so many MiB as it is asked for before it answers.
const SHOP: &str = "\
from http.server import BaseHTTPRequestHandler, HTTPServer

class Shop(BaseHTTPRequestHandler):
    def do_GET(self):
        taken = b'x' * (int(self.path[1:] or 0) << 20)
        self.send_response(200)
        self.send_header('Content-Length', '0')
        self.end_headers()

HTTPServer(('127.0.0.1', 8000), Shop).serve_forever()
";

/// The unit's `MemoryMax=` is a limit of control groups of the second kind: systemd itself says `oom-kill`.
pub fn by_the_units_limit(vm: &Vm<'_>) -> Result<()> {
    vm.put("/opt/shop/shop.py", SHOP.as_bytes())?;
    limit(vm, "64M")?;
    vm.nginx_site("server {\n    listen 80;\n    location / {\n        proxy_pass http://127.0.0.1:8000;\n    }\n}\n")?;
    vm.expect(FRONT, "200")?;
    vm.expect("http://127.0.0.1/256", "502")?;
    vm.logged("upstream prematurely closed connection while reading response header from upstream")?;
    vm.await_ready("journalctl -u shop | grep -q \"result 'oom-kill'\"")?;
    // What answers again is the unit's: the address stands in none of its files.
    vm.await_ready("curl -s -o /dev/null http://127.0.0.1:8000/")?;
    let truth = Expectation::confirmed(CAUSE).of_peer("127.0.0.1:8000").also("application-crashed");
    vm.diagnose(&[truth.naming("/system.slice/shop.service").naming("64 MiB").naming("systemctl edit shop.service")])?;
    limit(vm, "512M")?;
    vm.expect("http://127.0.0.1/256", "200")?;
    // It only shows that nothing more fails after a minute.
    vm.run("sleep 61")?;
    vm.mended()
}

fn limit(vm: &Vm<'_>, most: &str) -> Result<()> {
    vm.put("/etc/systemd/system/shop.service.d/limit.conf", format!("[Service]\nMemoryMax={most}\nRestart=always\n").as_bytes())?;
    vm.service("shop", "/usr/bin/python3 /opt/shop/shop.py", "curl -s -o /dev/null http://127.0.0.1:8000/")
}
