//! A large nginx configuration: two thousand servers in five hundred files, as a hosting company has them.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

/// The files beside the main one.
pub(crate) const FILES: u16 = 500;
/// The servers in each of them.
pub(crate) const SERVERS: u16 = 4;

/// Where everything listens. Each server has an address and port of its own.
#[derive(Clone, Copy)]
pub(crate) struct Ports {
    /// The first of [`FILES`] ports.
    pub(crate) first: u16,
}

impl Ports {
    /// Where nginx listens for the server with this number.
    pub(crate) fn listen(self, file: u16, server: u16) -> String {
        format!("127.0.0.{}:{}", 2 + server, self.first + file)
    }

    /// Where the application of that server listens.
    pub(crate) fn application(self, file: u16, server: u16) -> String {
        format!("127.0.0.{}:{}", 10 + server, self.first + file)
    }

    /// The peer of the first server, where nothing listens.
    pub(crate) fn dead(self) -> String {
        format!("127.0.0.20:{}", self.first)
    }
}

const MAIN: &str = "\
user www-data;
worker_processes 2;
worker_rlimit_nofile 8192;
pid @prefix/nginx.pid;
error_log @prefix/error.log;

events {
    worker_connections 4096;
}

http {
    client_body_temp_path @prefix/body;
    proxy_temp_path @prefix/proxy;
    fastcgi_temp_path @prefix/fastcgi;
    uwsgi_temp_path @prefix/uwsgi;
    scgi_temp_path @prefix/scgi;
    server_names_hash_max_size 16384;
    server_names_hash_bucket_size 128;

    log_format timed '$remote_addr - $remote_user [$time_local] \"$request\" $status $body_bytes_sent '
        '\"$http_referer\" \"$http_user_agent\" $upstream_addr $upstream_status $upstream_response_time';
    access_log @prefix/access.log timed;

    sendfile on;
    keepalive_timeout 65s;
    gzip on;

    include @prefix/sites/*.conf;
}
";

const SERVER: &str = r#"
# @name: moved to its own pool in spring, see the runbook.
upstream @name {
    server @application max_fails=3 fail_timeout=10s;
    server @second backup;
    keepalive 16;
}

server {
    listen @listen;
    server_name @name.example.com www.@name.example.com;

    client_max_body_size 16m;
    error_page 502 503 504 /sorry.html;

    location / {
        proxy_pass http://@name;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
        proxy_set_header Host $host;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        proxy_set_header X-Forwarded-Proto $scheme;
        proxy_connect_timeout 5s;
        proxy_read_timeout 30s;
        proxy_next_upstream error timeout http_502;
    }

    location /api/ {
        proxy_pass http://@name/v2/;
        proxy_set_header Host $host;
        proxy_set_header X-Request-Id $request_id;
        proxy_buffering off;
    }

    location ~* \.(?:css|js|png|jpe?g|svg|woff2?)$ {
        root /srv/www/@name;
        expires 7d;
        add_header Cache-Control "public, max-age=604800";
        access_log off;
    }

    location = /sorry.html {
        root /srv/www/errors;
        internal;
    }
}
"#;

/// The name of a server's upstream.
pub(crate) fn name(file: u16, server: u16) -> String {
    format!("shop{:04}", file * SERVERS + server)
}

/// Writes the configuration under `prefix`; gives the main file.
pub(crate) fn write(prefix: &Path, ports: Ports) -> Result<PathBuf> {
    let sites = prefix.join("sites");
    fs::create_dir_all(&sites).context("make the directory of sites")?;
    for file in 0..FILES {
        let mut text = String::new();
        for server in 0..SERVERS {
            text.push_str(&server_text(file, server, ports));
        }
        let path = sites.join(format!("customer{file:03}.conf"));
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    }
    let main = prefix.join("nginx.conf");
    let text = MAIN.replace("@prefix", &prefix.to_string_lossy());
    fs::write(&main, text).context("write nginx.conf")?;
    Ok(main)
}

fn server_text(file: u16, server: u16, ports: Ports) -> String {
    let application = match (file, server) {
        (0, 0) => ports.dead(),
        _ => ports.application(file, server),
    };
    let second = ports.application((file + 1) % FILES, server);
    let values = [
        ("name", name(file, server)),
        ("application", application),
        ("second", second),
        ("listen", ports.listen(file, server)),
    ];
    values
        .iter()
        .fold(SERVER.to_owned(), |text, (place, value)| {
            text.replace(&format!("@{place}"), value)
        })
}
