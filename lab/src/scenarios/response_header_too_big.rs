//! The response header does not fit into nginx's buffer for it.

use anyhow::{Result, ensure};

use crate::{Expectation, Lab, Nginx, Pool};

const TOO_BIG: &str = "upstream sent too big header while reading response header from upstream";

/// Nothing is set but where it leads.
const SITE: &str = "\
server {
    listen @listen;
    location / {
        proxy_pass http://127.0.0.1:@peer;
    }
}
";

/// `/big` answers with nine kilobytes of cookies, the rest is small.
const MANY_COOKIES: &str = "\
require('http').createServer((request, response) => {
    const cookie = i => `c${i}=${'x'.repeat(1000)}`;
    if (request.url === '/big') response.setHeader('Set-Cookie', [...Array(9).keys()].map(cookie));
    response.end('ok\\n');
}).listen(process.argv[2], '127.0.0.1');
";

/// Nothing is set, and nothing but the header's buffer has to be larger.
pub fn node_sends_many_cookies(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let _node = lab.node(peer, MANY_COOKIES)?;
    let mut nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    lab.settle();
    nginx.expect(2, "GET", "/", 200)?;
    nginx.expect(3, "GET", "/big", 502)?;
    nginx.logged(&["[error]", TOO_BIG])?;
    let truth = Expectation::confirmed("response-header-too-big").times(3);
    lab.diagnose(&nginx, &[truth.naming("proxy_buffer_size").rules_out("response-header-invalid")])?;
    mend(lab, &mut nginx, "/big")
}

/// The buffer has been made larger, and the same client's requests are answered since.
pub fn answered_since(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let _node = lab.node(peer, MANY_COOKIES)?;
    let mut nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    lab.settle();
    nginx.expect(3, "GET", "/big", 502)?;
    nginx.logged(&["[error]", TOO_BIG])?;
    lab.settle();
    nginx.edit("location / {", "location / { proxy_buffer_size 16k; proxy_buffers 8 16k;")?;
    nginx.reload()?;
    lab.settle();
    nginx.expect(3, "GET", "/big", 200)?;
    lab.diagnose(&nginx, &[Expectation::at_most("response-header-too-big").over()])
}

/// Nothing passes requests there any more by the time it is looked at.
pub fn no_longer_passed_to(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let _node = lab.node(peer, MANY_COOKIES)?;
    let mut nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    lab.settle();
    nginx.expect(3, "GET", "/big", 502)?;
    nginx.logged(&["[error]", TOO_BIG])?;
    lab.settle();
    nginx.edit(&format!("proxy_pass http://127.0.0.1:{peer};"), "return 204;")?;
    nginx.reload()?;
    lab.diagnose(&nginx, &[Expectation::at_most("response-header-too-big").over()])
}

/// Nobody has failed yet; why502 asks by itself, and straight the application answers well.
pub fn shows_only_when_asked(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let _node = lab.node(peer, MANY_COOKIES)?;
    let nginx = lab.nginx(SITE, &[("peer", &peer)])?;
    lab.settle();
    nginx.expect(1, "GET", "/", 200)?;
    lab.diagnose(&nginx, &[])?;
    let truth = Expectation::confirmed("response-header-too-big").naming("proxy_buffer_size");
    let request = lab.diagnose_request(&nginx, "/big", &[Some(502), Some(200)], &[truth])?;
    let said = request.to_string();
    ensure!(said.contains("set-cookie: 90") && said.contains("answers 200"), "{said}");
    nginx.logged(&["[error]", TOO_BIG, "GET /big"])
}

/// php-fpm, with sizes that have to agree with a larger header.
pub fn php_sends_a_long_header(lab: &Lab) -> Result<()> {
    let socket = lab.path("php.sock");
    let pool = Pool { name: "www", listen: &socket.display().to_string(), extra: "" };
    let _php = lab.php_fpm(&pool)?;
    lab.file("php/big.php", "<?php header('X-Long: ' . str_repeat('x', 9000)); echo \"ok\\n\";\n")?;
    let site = "\
fastcgi_max_temp_file_size 8k;
server {
    listen @listen;
    location / {
        fastcgi_buffers 2 8k;
        include /etc/nginx/fastcgi_params;
        fastcgi_param SCRIPT_FILENAME @php$uri;
        fastcgi_busy_buffers_size 8k;
        fastcgi_temp_file_write_size 8k;
        fastcgi_pass unix:@socket;
    }
}
";
    let php = lab.path("php");
    let mut nginx = lab.nginx(site, &[("php", &php.display()), ("socket", &socket.display())])?;
    lab.settle();
    nginx.expect(1, "GET", "/ok.php", 200)?;
    nginx.expect(2, "GET", "/big.php", 502)?;
    nginx.logged(&["[error]", TOO_BIG])?;
    lab.diagnose(&nginx, &[Expectation::confirmed("response-header-too-big").naming("fastcgi_buffer_size")])?;
    mend(lab, &mut nginx, "/big.php")
}

/// The buffer stands in the server, and another location depends on that: only the failing one is changed.
pub fn beside_a_location_with_sizes_of_its_own(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let _node = lab.node(peer, MANY_COOKIES)?;
    let site = "\
server {
    listen @listen;
    proxy_buffer_size 2k;
    location /files {
        proxy_buffers 2 2k;
        proxy_busy_buffers_size 2k;
        root /nonexistent;
    }
    location / {
        if ($request_method = GET) {
            proxy_pass http://127.0.0.1:@peer;
        }
    }
}
";
    let mut nginx = lab.nginx(site, &[("peer", &peer)])?;
    lab.settle();
    nginx.expect(2, "GET", "/big", 502)?;
    nginx.logged(&["[error]", TOO_BIG])?;
    lab.diagnose(&nginx, &[Expectation::confirmed("response-header-too-big").naming("2k")])?;
    mend(lab, &mut nginx, "/big")
}

/// Does what the answer says; nginx takes it, and it helps.
fn mend(lab: &Lab, nginx: &mut Nginx, path: &str) -> Result<()> {
    for (old, new) in lab.edits(nginx)? {
        nginx.edit(&old, &new)?;
    }
    nginx.reload()?;
    nginx.expect(2, "GET", path, 200)
}
