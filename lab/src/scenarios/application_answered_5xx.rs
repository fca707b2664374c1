//! The application itself answered 502, 503 or 504.

use anyhow::{Result, ensure};

use crate::{Expectation, Lab, Nginx, Process};

/// The log that tells who made a status stands where nginx keeps its others.
const TELLING: &str = "\
log_format up '$remote_addr [$time_local] \"$request\" $status us=$upstream_status ua=$upstream_addr uht=$upstream_header_time';
server {
    listen @listen;
    access_log @log up;
    location / {
        proxy_pass http://127.0.0.1:@peer;
    }
    location /dead {
        proxy_pass http://127.0.0.1:@dead;
    }
}
";

/// Another location's lines in the same log have another time in that place.
const SHARED: &str = "\
log_format up '$remote_addr [$time_local] \"$request\" $status us=$upstream_status ua=$upstream_addr uht=$upstream_header_time';
log_format spent '$remote_addr [$time_local] \"$request\" $status us=$upstream_status ua=$upstream_addr uht=$upstream_response_time';
server {
    listen @listen;
    access_log @log up;
    location / {
        proxy_pass http://127.0.0.1:@peer;
    }
    location /dead {
        access_log @log spent;
        proxy_pass http://127.0.0.1:@dead;
    }
}
";

const COMBINED: &str = "\
server {
    listen @listen;
    access_log @log combined;
    location / {
        proxy_pass http://127.0.0.1:@peer;
    }
    location /dead {
        proxy_pass http://127.0.0.1:@dead;
    }
}
";

/// Answers with the status that the path names.
const SCRIPT: &str = "\
require('http').createServer((request, response) => {
    response.statusCode = Number(request.url.slice(1)) || 200;
    response.end('answered\\n');
}).listen(Number(process.argv[2]), '127.0.0.1');
";

/// node answers 502 and 503 itself; only the access log says so.
pub fn told_by_the_access_log(lab: &Lab) -> Result<()> {
    let (_node, nginx) = shop(lab, TELLING)?;
    nginx.expect(2, "GET", "/", 200)?;
    nginx.expect(3, "GET", "/502", 502)?;
    lab.written("up.log", "us=502 ua=127.0.0.1")?;
    lab.diagnose(&nginx, &[Expectation::confirmed("application-answered-5xx").times(3).naming("answered 502 itself")])
}

/// The same status by nginx, of a peer that nobody listens on: the error log has it.
pub fn made_by_nginx(lab: &Lab) -> Result<()> {
    let (_node, nginx) = shop(lab, TELLING)?;
    nginx.expect(2, "GET", "/503", 503)?;
    nginx.expect(3, "GET", "/dead", 502)?;
    lab.written("up.log", "us=503 ua=127.0.0.1")?;
    lab.written("up.log", "us=502 ua=127.0.0.1")?;
    lab.diagnose(
        &nginx,
        &[
            Expectation::confirmed("peer-not-listening").of_failure("connect-refused").times(3),
            Expectation::confirmed("application-answered-5xx").of_status(503).times(2).naming("answered 503 itself"),
        ],
    )
}

/// nginx's own 502 reads like an application's by the format of the place beside it: no line of that log is believed.
pub fn read_by_a_format_that_did_not_write_it(lab: &Lab) -> Result<()> {
    let (_node, nginx) = shop(lab, SHARED)?;
    nginx.expect(2, "GET", "/502", 502)?;
    nginx.expect(3, "GET", "/dead", 502)?;
    lab.written("up.log", "us=502 ua=127.0.0.1")?;
    lab.diagnose(&nginx, &[Expectation::confirmed("peer-not-listening").of_failure("connect-refused").times(3)])
}

/// `combined` does not tell who made the status: nothing is said of it but that it is not known.
pub fn not_told_by_combined(lab: &Lab) -> Result<()> {
    let (_node, nginx) = shop(lab, COMBINED)?;
    nginx.expect(3, "GET", "/502", 502)?;
    lab.written("up.log", "GET /502")?;
    lab.diagnose(&nginx, &[])
}

fn shop(lab: &Lab, site: &str) -> Result<(Process, Nginx)> {
    let (peer, dead) = (lab.port()?, lab.port()?);
    let node = lab.node(peer, SCRIPT)?;
    let log = lab.path("up.log");
    let nginx = lab.nginx(site, &[("peer", &peer), ("dead", &dead), ("log", &log.display())])?;
    lab.settle();
    Ok((node, nginx))
}

/// Asked straight, the application answers 502 as well: that is said, and that something fails.
pub fn asked_where_combined_does_not_tell(lab: &Lab) -> Result<()> {
    let (_node, nginx) = shop(lab, COMBINED)?;
    lab.settle();
    let request = lab.diagnose_request(&nginx, "/502", &[Some(502), Some(502)], &[])?;
    ensure!(request.to_string().contains("answers 502 itself: nginx passes it on"), "{request}");
    Ok(())
}
