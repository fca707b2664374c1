//! A redacted capture of a real outage holds nothing of what its owner would not show.

use anyhow::{Context as _, Result, ensure};
use why502_lab::{Expectation, Gunicorn, Lab};

const SITE: &str = "\
upstream storefront {
    server 127.0.0.1:@dialled;
}

server {
    listen @listen;
    server_name zanzibar-shop.example.com *.balthazar.de;
    root /home/melchior/www;
    allow 81.2.69.142;
    allow 2a02:8010:dead::/48;
    allow all;

    location /api {
        proxy_set_header Authorization \"Bearer hush-hush-then\";
        proxy_set_header X-Contact @contact;
        proxy_pass http://storefront;
    }
}
";

const PLANTED: [&str; 12] = [
    "zanzibar",
    "balthazar",
    "storefront",
    "melchior",
    "81.2.69.142",
    "2a02:8010",
    "hush-hush",
    "owner@",
    "mallory",
    "basket",
    "0815-4711",
    "wilma",
];

#[test]
fn nothing_planted_is_left_and_the_answer_is_the_same() -> Result<()> {
    let lab = Lab::new()?;
    let dialled = lab.neighbouring_ports(2)?;
    let how = Gunicorn {
        name: Some("storefront"),
        ..Gunicorn::default()
    };
    let _gunicorn = lab.gunicorn(&format!("127.0.0.1:{}", dialled + 1), &how)?;
    let nginx = lab.nginx(
        SITE,
        &[("dialled", &dialled), ("contact", &"owner@mallory.org")],
    )?;
    lab.settle();
    nginx.expect(4, "GET", "/api/basket/0815-4711?of=wilma@mallory.org", 502)?;
    lab.diagnose(
        &nginx,
        &[Expectation::confirmed("peer-not-listening").also("peer-port-mismatch")],
    )?;

    let holds = |name: &str, text: &str| -> Result<bool> {
        let archive =
            std::fs::File::open(lab.path("captures").join(name)).context("open a capture")?;
        let bytes = zstd::decode_all(archive).context("unpack a capture")?;
        let text = text.as_bytes();
        Ok(bytes
            .windows(text.len())
            .any(|window| window.eq_ignore_ascii_case(text)))
    };
    for planted in PLANTED {
        ensure!(!holds("redacted.tar.zst", planted)?, "{planted} is left");
    }
    for planted in ["zanzibar", "melchior", "81.2.69.142", "0815-4711"] {
        ensure!(
            holds("capture.tar.zst", planted)?,
            "{planted} was not there to be redacted"
        );
    }
    for kept in ["server_name", "location /api", "GET /api/"] {
        ensure!(holds("redacted.tar.zst", kept)?, "{kept} is gone");
    }
    Ok(())
}
