//! The applications behind the peers: gunicorn, uvicorn, uWSGI, php-fpm, node and the lab's own.
//!
//! Each is returned when it accepts connections; what it then does to requests stands here or in
//! the lab's own program, so that a scenario reads as what was broken.

use std::ffi::OsString;
use std::fs;
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::built;
use crate::lab::Lab;
use crate::process::{Process, children_of};
use crate::python;

const PHP_FPM: &str = "/usr/sbin/php-fpm8.2";

/// `/slow` outlasts every timeout of the lab; `/segv` and `/kill` end the worker; `/memory` takes more than a lab's memory group may.
pub(crate) const WSGI: &str = "\
import os, time

def application(environ, start_response):
    path = environ['PATH_INFO']
    if path == '/slow':
        time.sleep(6)
    if path == '/segv':
        os.kill(os.getpid(), 11)
    if path == '/kill':
        os.kill(os.getpid(), 9)
    if path == '/memory':
        b'x' * (512 << 20)
    start_response('200 OK', [('Content-Length', '3')])
    return [b'ok\\n']
";

const ASGI: &str = "\
async def application(scope, receive, send):
    if scope['type'] != 'http':
        return
    while (await receive()).get('more_body'):
        pass
    headers = [(b'content-length', b'3')]
    await send({'type': 'http.response.start', 'status': 200, 'headers': headers})
    await send({'type': 'http.response.body', 'body': b'ok\\n'})
";

/// What a gunicorn is started with, beyond where it listens.
#[derive(Default)]
pub struct Gunicorn<'a> {
    /// `--name`.
    pub name: Option<&'a str>,
    /// `--timeout` in seconds.
    pub timeout: Option<u32>,
    /// The control group it is put into.
    pub group: Option<&'a Path>,
    /// `--backlog`.
    pub backlog: Option<u32>,
}

/// A php-fpm pool.
pub struct Pool<'a> {
    /// Its name, in brackets in the pool file.
    pub name: &'a str,
    /// `listen`.
    pub listen: &'a str,
    /// Further directives.
    pub extra: &'a str,
}

impl Lab {
    /// The lab's own application: `mode` and its arguments as `why502-lab-app` takes them, then
    /// where it listens.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn application(&self, mode: &[&str], address: &str) -> Result<Process> {
        let args = [&[address], mode].concat();
        let mut process = self.start("application", built::program("why502-lab-app")?, args)?;
        let output = process.output_path().to_path_buf();
        process.await_ready(|| {
            fs::read_to_string(&output)
                .ok()?
                .contains("ready")
                .then_some(())
        })?;
        Ok(process)
    }

    /// gunicorn with one sync worker and its own log file.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn gunicorn(&self, bind: &str, how: &Gunicorn<'_>) -> Result<Process> {
        let chdir = self.directory("gunicorn")?;
        self.file("gunicorn/shop.py", WSGI)?;
        let mut args: Vec<OsString> =
            vec!["--chdir".into(), chdir.into(), "--bind".into(), bind.into()];
        args.extend(["--workers".into(), "1".into()]);
        args.extend(["--error-logfile".into(), self.path("gunicorn.log").into()]);
        if let Some(name) = how.name {
            args.extend(["--name".into(), name.into()]);
        }
        if let Some(timeout) = how.timeout {
            args.extend(["--timeout".into(), timeout.to_string().into()]);
        }
        if let Some(backlog) = how.backlog {
            args.extend(["--backlog".into(), backlog.to_string().into()]);
        }
        args.push("shop:application".into());
        let program = python::program("gunicorn")?;
        let mut process = match how.group {
            Some(group) => self.start_in_group(group, "gunicorn", &program, args)?,
            None => self.start("gunicorn", program, args)?,
        };
        await_accepting(&mut process, bind)?;
        // The master accepts before the worker can answer.
        let master = process.pid();
        process.await_ready(|| {
            children_of(master)
                .ok()
                .filter(|workers| !workers.is_empty())
        })?;
        Ok(process)
    }

    /// uvicorn, which keeps idle connections for `keep_alive` seconds.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn uvicorn(&self, port: u16, keep_alive: u32) -> Result<Process> {
        let chdir = self.directory("uvicorn")?;
        self.file("uvicorn/shop.py", ASGI)?;
        let mut args: Vec<OsString> = vec!["--app-dir".into(), chdir.into()];
        args.extend(["--port".into(), port.to_string().into()]);
        args.extend(["--timeout-keep-alive".into(), keep_alive.to_string().into()]);
        args.push("shop:application".into());
        let mut process = self.start("uvicorn", python::program("uvicorn")?, args)?;
        await_accepting(&mut process, &format!("127.0.0.1:{port}"))?;
        Ok(process)
    }

    /// uWSGI with one worker, speaking the uwsgi protocol at `socket`.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn uwsgi(&self, socket: &str, extra: &[&str]) -> Result<Process> {
        let chdir = self.directory("uwsgi")?;
        self.file("uwsgi/shop.py", WSGI)?;
        let log = self.path("uwsgi.log");
        let mut args: Vec<OsString> = ["--plugin", "python3", "--master", "--processes", "1"]
            .map(Into::into)
            .into();
        args.extend([
            "--socket".into(),
            socket.into(),
            "--chmod-socket=666".into(),
            "--die-on-term".into(),
        ]);
        args.extend([
            "--chdir".into(),
            chdir.into(),
            "--wsgi".into(),
            "shop".into(),
        ]);
        args.extend(["--logto".into(), log.into()]);
        args.extend(extra.iter().map(Into::into));
        let mut process = self.start("uwsgi", "/usr/bin/uwsgi", args)?;
        await_accepting(&mut process, socket)?;
        Ok(process)
    }

    /// php-fpm with one pool of two children. Its scripts are `ok.php`, `slow.php` and `segv.php`,
    /// in the lab's directory `php`; its log is `php-fpm.log`.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn php_fpm(&self, pool: &Pool<'_>) -> Result<Process> {
        self.directory("php")?;
        self.file("php/ok.php", "<?php echo \"ok\\n\";\n")?;
        self.file("php/slow.php", "<?php sleep(6); echo \"ok\\n\";\n")?;
        self.file("php/segv.php", "<?php posix_kill(posix_getpid(), 11);\n")?;
        let Pool {
            name,
            listen,
            extra,
        } = pool;
        let log = self.path("php-fpm.log");
        let text = format!(
            "[global]\nerror_log = {}\ndaemonize = no\n\n[{name}]\nuser = www-data\ngroup = www-data\n\
             listen = {listen}\nlisten.owner = www-data\nlisten.group = www-data\nlisten.mode = 0660\n\
             pm = static\npm.max_children = 2\n{extra}\n",
            log.display()
        );
        let file = self.file("php-fpm.conf", &text)?;
        let args: Vec<OsString> = vec!["--fpm-config".into(), file.into(), "--nodaemonize".into()];
        let mut process = self.start("php-fpm", PHP_FPM, args)?;
        await_accepting(&mut process, listen)?;
        Ok(process)
    }

    /// node with an HTTP server on the port `process.argv[2]`, made by `script`.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn node(&self, port: u16, script: &str) -> Result<Process> {
        let file = self.file("shop.js", script)?;
        let args: [OsString; 2] = [file.into(), port.to_string().into()];
        let mut process = self.start("node", "node", args)?;
        await_accepting(&mut process, &format!("127.0.0.1:{port}"))?;
        Ok(process)
    }
}

impl Lab {
    /// dnsmasq with these records (`--host-record=...` and the like), answering on a port of 127.0.0.1; `.lab` is its own
    /// domain, and it refuses the rest.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn name_server(&self, records: &[&str]) -> Result<(Process, String)> {
        let address = format!("127.0.0.1:{}", self.port()?);
        let process = self.name_server_at(&address, records)?;
        Ok((process, address))
    }

    /// The same where one has been.
    ///
    /// # Errors
    /// As there.
    pub fn name_server_at(&self, address: &str, records: &[&str]) -> Result<Process> {
        let (_, port) = address.rsplit_once(':').context("an address has a port")?;
        let mut args: Vec<OsString> = [
            "--no-daemon",
            "--no-resolv",
            "--no-hosts",
            "--conf-file=/dev/null",
        ]
        .map(Into::into)
        .into();
        args.extend(
            [
                "--listen-address=127.0.0.1",
                "--bind-interfaces",
                "--user=root",
                "--pid-file=",
            ]
            .map(Into::into),
        );
        args.extend(["--local=/lab/".into(), format!("--port={port}").into()]);
        args.extend(records.iter().map(Into::into));
        let mut process = self.start("dnsmasq", "/usr/sbin/dnsmasq", args)?;
        await_accepting(&mut process, address)?;
        Ok(process)
    }
}

/// Waits until somebody accepts connections at a path or an `address:port`.
fn await_accepting(process: &mut Process, address: &str) -> Result<()> {
    let address = address.strip_prefix("unix:").unwrap_or(address);
    if address.starts_with('/') {
        return process.await_ready(|| UnixStream::connect(Path::new(address)).ok().map(drop));
    }
    let address: SocketAddr = address
        .parse()
        .with_context(|| format!("{address} is no address"))?;
    process.await_ready(|| TcpStream::connect(address).ok().map(drop))
}
