//! A real nginx of the lab's own: its prefix, logs, ports and workers, in the foreground.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fmt::Display;
use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::Signal;

use crate::client;
use crate::container::Container;
use crate::lab::{Lab, set_mode};
use crate::process::{Process, children_of, command_line, until, user_of};

const PROGRAM: &str = "/usr/sbin/nginx";

const MAIN: &str = "\
user www-data;
worker_processes 1;
@main
pid @prefix/nginx.pid;
error_log @prefix/error.log @level;

events {
    worker_connections @connections;
}

http {
    client_body_temp_path @prefix/body;
    proxy_temp_path @prefix/proxy;
    fastcgi_temp_path @prefix/fastcgi;
    uwsgi_temp_path @prefix/uwsgi;
    scgi_temp_path @prefix/scgi;

    log_format upstreams '$remote_addr [$time_local] \"$request\" $status '
        'us=$upstream_status ua=$upstream_addr uct=$upstream_connect_time '
        'uht=$upstream_header_time urt=$upstream_response_time';
    access_log @prefix/access.log upstreams;

    include @prefix/conf.d/*.conf;
}
";

/// Values for the `@name` places of a configuration.
pub type Values<'a> = [(&'a str, &'a dyn Display)];

/// How an nginx is to be started.
pub struct Setup<'a> {
    lab: &'a Lab,
    level: &'a str,
    hosts: Option<&'a str>,
    before: &'a str,
    main: &'a str,
    connections: u32,
    container: Option<&'a Container>,
    hides_site: bool,
}

/// A running nginx, or one that was stopped.
pub struct Nginx {
    process: Process,
    prefix: PathBuf,
    port: u16,
    is_running: bool,
    /// Where a container's runtime keeps its logs.
    kept: Option<PathBuf>,
}

impl Lab {
    /// Starts nginx with `body` inside `http`; `@listen` in it is the address clients use, any
    /// other `@name` comes from `values`.
    ///
    /// # Errors
    /// When nginx does not come up with this configuration.
    pub fn nginx(&self, body: &str, values: &Values<'_>) -> Result<Nginx> {
        self.nginx_setup().start(body, values)
    }

    /// An nginx with other settings than usual.
    pub fn nginx_setup(&self) -> Setup<'_> {
        Setup {
            lab: self,
            level: "warn",
            hosts: None,
            before: "",
            main: "",
            connections: 256,
            container: None,
            hides_site: false,
        }
    }
}

impl<'a> Setup<'a> {
    /// The level of nginx's error log.
    #[must_use]
    pub fn level(self, level: &'a str) -> Self {
        Self { level, ..self }
    }

    /// What nginx sees as `/etc/hosts`, in a mount namespace of its own.
    #[must_use]
    pub fn hosts(self, hosts: &'a str) -> Self {
        Self {
            hosts: Some(hosts),
            ..self
        }
    }

    /// A command run before nginx starts, in the mount namespace that is then nginx's alone; `$PREFIX` is its directory.
    #[must_use]
    pub fn before(self, before: &'a str) -> Self {
        Self { before, ..self }
    }

    /// Further directives of the main context.
    #[must_use]
    pub fn main(self, main: &'a str) -> Self {
        Self { main, ..self }
    }

    /// `worker_connections`.
    #[must_use]
    pub fn connections(self, connections: u32) -> Self {
        Self {
            connections,
            ..self
        }
    }

    /// Only root may read the scenario's part of the configuration, as where it holds secrets.
    #[must_use]
    pub fn hidden(self) -> Self {
        Self {
            hides_site: true,
            ..self
        }
    }

    /// Starts it in a container, its logs led to the standard streams as in nginx's official image.
    #[must_use]
    pub fn container(self, container: &'a Container) -> Self {
        Self {
            container: Some(container),
            ..self
        }
    }

    /// Starts it; returns when its workers run and clients are let in.
    ///
    /// # Errors
    /// When nginx does not come up with this configuration.
    pub fn start(self, body: &str, values: &Values<'_>) -> Result<Nginx> {
        let port = self.lab.port()?;
        let prefix = self.lab.directory("nginx")?;
        self.lab.directory("nginx/conf.d")?;
        let main = fill(
            MAIN,
            &[
                ("prefix", &prefix.display()),
                ("level", &self.level),
                ("main", &self.main),
                ("connections", &self.connections),
            ],
        )?;
        let listen = format!("127.0.0.1:{port}");
        let mut all: Vec<(&str, &dyn Display)> = vec![("listen", &listen)];
        all.extend(values);
        let config = self.lab.file("nginx/nginx.conf", &main)?;
        let site = self
            .lab
            .file("nginx/conf.d/site.conf", &fill(body, &all)?)?;
        if self.hides_site {
            set_mode(&site, 0o600)?;
        }

        let log = prefix.join("error.log");
        let args: Vec<OsString> = vec![
            "-p".into(),
            prefix.clone().into(),
            "-c".into(),
            config.into(),
            "-e".into(),
            log.into(),
            "-g".into(),
            "daemon off;".into(),
        ];
        let process = if let Some(container) = self.container {
            symlink("/dev/stderr", prefix.join("error.log")).context("lead the error log away")?;
            symlink("/dev/stdout", prefix.join("access.log"))
                .context("lead the access log away")?;
            let mut all: Vec<OsString> = vec!["-ec".into(), container.script()?.into()];
            all.extend(["bash".into(), PROGRAM.into()]);
            all.extend(args);
            self.lab.start("nginx", "bash", all)?
        } else if self.hosts.is_none() && self.before.is_empty() {
            self.lab.start("nginx", PROGRAM, args)?
        } else {
            self.lab
                .start("nginx", "unshare", self.apart(&prefix, args)?)?
        };
        let mut nginx = Nginx {
            process,
            prefix,
            port,
            is_running: true,
            kept: self.container.map(|container| container.log().to_owned()),
        };
        nginx.await_up()?;
        Ok(nginx)
    }
}

impl Setup<'_> {
    /// The arguments of `unshare` that start nginx in a mount namespace of its own.
    fn apart(&self, prefix: &Path, args: Vec<OsString>) -> Result<Vec<OsString>> {
        let mut script = vec![format!("PREFIX='{}'", prefix.display())];
        if let Some(hosts) = self.hosts {
            let hosts = self.lab.file("hosts", hosts)?;
            script.push(format!("mount --bind '{}' /etc/hosts", hosts.display()));
        }
        if !self.before.is_empty() {
            script.push(self.before.to_owned());
        }
        script.push("exec \"$@\"".to_owned());
        let mut all: Vec<OsString> = ["-m", "--propagation", "private", "sh", "-c"]
            .map(Into::into)
            .into();
        all.extend([script.join(" && ").into(), "sh".into(), PROGRAM.into()]);
        all.extend(args);
        Ok(all)
    }
}

impl Nginx {
    /// The master's process id.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// Whether it was left running.
    pub fn is_running(&self) -> bool {
        self.is_running
    }

    /// The port clients use.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The main configuration file.
    pub fn config(&self) -> PathBuf {
        self.prefix.join("nginx.conf")
    }

    /// The included file that holds the scenario's part.
    pub fn site(&self) -> PathBuf {
        self.prefix.join("conf.d/site.conf")
    }

    /// Where the error log is kept.
    pub fn error_log(&self) -> PathBuf {
        match &self.kept {
            Some(kept) => kept.clone(),
            None => self.prefix.join("error.log"),
        }
    }

    /// Whether a container's runtime keeps its logs.
    pub(crate) fn is_contained(&self) -> bool {
        self.kept.is_some()
    }

    /// What the error log holds now.
    pub fn log(&self) -> String {
        read(&self.error_log())
    }

    /// Ids of the workers that take new connections.
    ///
    /// # Errors
    /// When `/proc` cannot be read.
    pub fn workers(&self) -> Result<Vec<u32>> {
        Ok(workers_of(self.pid())?.into_iter().collect())
    }

    /// One GET; gives the status.
    ///
    /// # Errors
    /// When nginx gives no HTTP answer.
    pub fn get(&self, path: &str) -> Result<u16> {
        client::request(self.port, "GET", path)
    }

    /// One GET with a referrer, which nginx logs as it came.
    ///
    /// # Errors
    /// When nginx gives no HTTP answer.
    pub fn get_from(&self, path: &str, referrer: &str) -> Result<u16> {
        client::request_with(self.port, "GET", path, &format!("Referer: {referrer}\r\n"))
    }

    /// Sends `count` requests and requires the same status for each.
    ///
    /// # Errors
    /// When one has another status; the error log is shown.
    pub fn expect(&self, count: u32, method: &str, path: &str, status: u16) -> Result<()> {
        for _ in 0..count {
            let given = client::request(self.port, method, path)?;
            ensure!(
                given == status,
                "{method} {path} gave {given} where {status} was meant:\n{}",
                self.log()
            );
        }
        Ok(())
    }

    /// As many GETs at once, of clients who are all let in before the first has asked; gives how many were answered with
    /// this status.
    ///
    /// # Errors
    /// When a client is not let in.
    pub fn gathering(&self, count: u32, path: &str, status: u16) -> Result<usize> {
        let clients = (0..count).map(|_| client::begin(self.port, path));
        let clients = clients.collect::<Result<Vec<_>>>()?;
        std::thread::sleep(Duration::from_millis(300));
        let asking = std::thread::scope(|scope| {
            let answers: Vec<_> = clients
                .into_iter()
                .map(|client| scope.spawn(move || client::finish(client).ok()))
                .collect();
            let answers = answers
                .into_iter()
                .map(|answer| answer.join().ok().flatten());
            answers.filter(|answer| *answer == Some(status)).count()
        });
        Ok(asking)
    }

    /// A client that reads nothing for a while, and then all.
    ///
    /// # Errors
    /// When nginx does not let it in.
    pub fn linger(&self, path: &str, pause: Duration) -> Result<()> {
        client::linger(self.port, path, pause)
    }

    /// A client that goes away without an answer.
    ///
    /// # Errors
    /// When nginx does not let it in.
    pub fn abandon(&self, path: &str, patience: Duration) -> Result<()> {
        client::abandon(self.port, path, patience)
    }

    /// Requires a line in the error log that holds all of `parts`.
    ///
    /// # Errors
    /// When there is none after two seconds; the log is shown.
    pub fn logged(&self, parts: &[&str]) -> Result<()> {
        self.logged_times(1, parts)
    }

    /// Requires `count` such lines, or more.
    ///
    /// # Errors
    /// When there are fewer after two seconds; the log is shown.
    pub fn logged_times(&self, count: usize, parts: &[&str]) -> Result<()> {
        let found = || {
            let log = self.log();
            let lines = log
                .lines()
                .filter(|line| parts.iter().all(|part| line.contains(part)));
            (lines.count() >= count).then_some(())
        };
        until(Duration::from_secs(2), found).with_context(|| {
            format!(
                "fewer than {count} lines with {parts:?} in the error log:\n{}",
                self.log()
            )
        })
    }

    /// Requires that no line of the error log holds `part`.
    ///
    /// # Errors
    /// When one does; the log is shown.
    pub fn not_logged(&self, part: &str) -> Result<()> {
        ensure!(
            !self.log().contains(part),
            "{part:?} is in the error log:\n{}",
            self.log()
        );
        Ok(())
    }

    /// Edits the site's file, which must hold `old` once.
    ///
    /// # Errors
    /// When it does not, or cannot be written.
    pub fn edit(&self, old: &str, new: &str) -> Result<()> {
        let text = read(&self.site());
        ensure!(
            text.matches(old).count() == 1,
            "{old:?} does not stand once in:\n{text}"
        );
        fs::write(self.site(), text.replacen(old, new, 1)).context("edit the site's file")
    }

    /// Reloads; returns when only new workers are left.
    ///
    /// # Errors
    /// When nginx keeps the old ones.
    pub fn reload(&mut self) -> Result<()> {
        let old = workers_of(self.pid())?;
        self.process.signal(Signal::HUP)?;
        let renewed = until(Duration::from_secs(10), || {
            let alive: BTreeSet<u32> = children_of(self.pid()).ok()?.into_iter().collect();
            let new = workers_of(self.pid()).ok()?;
            (!new.is_empty() && new.is_disjoint(&old) && alive.is_disjoint(&old)).then_some(())
        });
        renewed.with_context(|| format!("nginx did not reload:\n{}", self.log()))
    }

    /// Changes what nginx sees as `/etc/hosts`, where it was given its own.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn change_hosts(&self, lab: &Lab, hosts: &str) -> Result<()> {
        // In place: the mount shows this very file.
        fs::write(lab.path("hosts"), hosts).context("change nginx's hosts file")
    }

    /// Tries to start a stopped nginx whose configuration it must refuse.
    ///
    /// # Errors
    /// When it starts.
    pub fn start_refused(&self, lab: &Lab) -> Result<()> {
        let args: Vec<OsString> = vec![
            "-p".into(),
            self.prefix.clone().into(),
            "-c".into(),
            self.config().into(),
            "-e".into(),
            self.error_log().into(),
        ];
        let status = lab.start("nginx", PROGRAM, args)?.wait()?;
        ensure!(
            !status.success(),
            "nginx took a configuration it should refuse"
        );
        Ok(())
    }

    /// Asks for a reload that nginx must refuse, keeping its workers.
    ///
    /// # Errors
    /// When it takes the new configuration.
    pub fn reload_refused(&self) -> Result<()> {
        let old = workers_of(self.pid())?;
        self.process.signal(Signal::HUP)?;
        self.logged(&["[emerg]", &format!("{}#", self.pid())])?;
        ensure!(
            workers_of(self.pid())? == old,
            "nginx took a configuration it should refuse"
        );
        Ok(())
    }

    /// Stops it; its files stay.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop(&mut self) -> Result<()> {
        self.is_running = false;
        self.process.stop().map(drop)
    }

    fn await_up(&mut self) -> Result<()> {
        let (master, port) = (self.process.pid(), self.port);
        self.process
            .await_ready(|| {
                let has_workers = workers_of(master).is_ok_and(|workers| !workers.is_empty());
                (has_workers && TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok())
                    .then_some(())
            })
            .with_context(|| format!("nginx did not come up\n{}", self.log()))
    }
}

/// Puts values into the `@name` places of a configuration.
fn fill(text: &str, values: &Values<'_>) -> Result<String> {
    let mut filled = String::with_capacity(text.len() * 2);
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('@') {
        let end = after
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(after.len());
        let (name, tail) = after.split_at(end);
        let Some((_, value)) = values.iter().find(|(known, _)| *known == name) else {
            bail!("no value for @{name} in the configuration");
        };
        filled.push_str(before);
        filled.push_str(&value.to_string());
        rest = tail;
    }
    filled.push_str(rest);
    Ok(filled)
}

/// The master's workers that are not shutting down and have given up root.
fn workers_of(master: u32) -> Result<BTreeSet<u32>> {
    let is_worker = |pid: &u32| {
        command_line(*pid) == "nginx: worker process" && user_of(*pid).is_some_and(|user| user != 0)
    };
    Ok(children_of(master)?.into_iter().filter(is_worker).collect())
}

fn read(path: &Path) -> String {
    fs::read(path)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_place_is_filled_and_none_is_forgotten() {
        assert_eq!(
            fill(
                "proxy_pass http://@host:@port/;",
                &[("port", &80), ("host", &"a")]
            )
            .unwrap(),
            "proxy_pass http://a:80/;"
        );
        assert!(fill("listen @listen;", &[]).is_err());
    }
}
