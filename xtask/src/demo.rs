//! `cargo xtask demo`: a real outage on loopback, what `why502` says of it, and how it mends it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use why502_lab::{Gunicorn, Lab};

use crate::{packages, run};

const SITE: &str = "\
upstream shopfront {
    server unix:@socket;
}

server {
    listen @listen;
    server_name shop.example.com;

    location / {
        proxy_pass http://shopfront;
    }
}
";

/// Breaks a shop, shows what its clients see, asks `why502`, has it mend the shop; leaves nothing behind.
pub(crate) fn run() -> Result<()> {
    packages::ensure_installed(&[packages::DEMO])?;
    run::cargo(&[
        "build",
        "--quiet",
        "--package",
        "why502",
        "--package",
        "why502-lab",
        "--bins",
    ])?;
    let lab = Lab::new()?;
    let socket = lab.path("shop.sock");
    run::say(&format!(
        "\nnginx dials gunicorn at {}, which a deployment has closed to all but root.\n",
        socket.display()
    ));
    let _gunicorn = lab.gunicorn(&format!("unix:{}", socket.display()), &Gunicorn::default())?;
    fs::set_permissions(&socket, Permissions::from_mode(0o600)).context("close the socket")?;
    let nginx = lab.nginx(SITE, &[("socket", &socket.display())])?;
    lab.settle();
    nginx.expect(5, "GET", "/cart", 502)?;

    let url = format!("http://127.0.0.1:{}/cart", nginx.port());
    ask(&url)?;
    let flags = [
        "--config".to_owned(),
        nginx.config().display().to_string(),
        "--error-log".to_owned(),
        nginx.error_log().display().to_string(),
        "--pid".to_owned(),
        nginx.pid().to_string(),
    ];
    let found = why502(&[], &flags)?;
    ensure!(
        found == Some(1),
        "why502 did not prove the outage: exit status {found:?}"
    );
    let state = lab.path("state").display().to_string();
    let fix = ["fix", "--yes", "--allow-unsafe", "--state", &state];
    let mended = why502(&fix, &flags)?;
    ensure!(
        mended == Some(0),
        "why502 did not mend it: exit status {mended:?}"
    );
    ask(&url)?;
    nginx.expect(1, "GET", "/cart", 200)
}

/// What a client sees.
fn ask(url: &str) -> Result<()> {
    run::say(&format!("\n$ curl -i {url}\n"));
    run::visibly(Command::new("curl").args(["-sS", "-i", url]))
}

/// Runs `why502` for all to see; its exit status.
fn why502(command: &[&str], flags: &[String]) -> Result<Option<i32>> {
    run::say(&format!(
        "\n$ why502 {} {}\n",
        command.join(" "),
        flags.join(" ")
    ));
    let mut why502 = Command::new(why502_lab::why502()?);
    let status = why502.args(command).args(flags).status();
    Ok(status.context("run why502")?.code())
}
