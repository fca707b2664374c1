//! `cargo xtask demo`: a real outage on loopback, and what `why502` says of it.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use why502_lab::{Gunicorn, Lab};

use crate::{packages, run};

const SITE: &str = "\
upstream shopfront {
    server 127.0.0.1:@dialled;
}

server {
    listen @listen;
    server_name shop.example.com;

    location / {
        proxy_pass http://shopfront;
    }
}
";

/// Breaks a shop, shows what its clients see, asks `why502`; leaves nothing behind.
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
    let dialled = lab.neighbouring_ports_near(8000, 3)?;
    let (listens, stranger) = (dialled + 1, dialled + 2);
    run::say(&format!(
        "\nnginx dials 127.0.0.1:{dialled}; the shop's gunicorn was moved to {listens}; a stranger speaks HTTP on {stranger}.\n"
    ));
    let how = Gunicorn {
        name: Some("shopfront"),
        ..Gunicorn::default()
    };
    let _gunicorn = lab.gunicorn(&format!("127.0.0.1:{listens}"), &how)?;
    let _stranger = lab.application(&["ok"], &format!("127.0.0.1:{stranger}"))?;
    let nginx = lab.nginx(SITE, &[("dialled", &dialled)])?;
    lab.settle();
    nginx.expect(5, "GET", "/cart", 502)?;

    let url = format!("http://127.0.0.1:{}/cart", nginx.port());
    run::say(&format!("\n$ curl -i {url}\n"));
    run::visibly(Command::new("curl").args(["-sS", "-i", &url]))?;

    let (config, log, pid) = (nginx.config(), nginx.error_log(), nginx.pid().to_string());
    run::say(&format!(
        "\n$ why502 --config {} --error-log {} --pid {pid}\n",
        config.display(),
        log.display()
    ));
    let mut why502 = Command::new(why502_lab::why502()?);
    why502
        .arg("--config")
        .arg(config)
        .arg("--error-log")
        .arg(log)
        .args(["--pid", &pid]);
    let status = why502.status().context("run why502")?;
    // 1 and 3 tell that something is wrong, which is so.
    ensure!(
        matches!(status.code(), Some(1 | 3)),
        "why502 did not find the outage: {status}"
    );
    Ok(())
}
