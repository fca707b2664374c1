//! Ruby's applications behind the peers: Unicorn and Puma, as Debian packages them.

use std::ffi::OsString;
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use crate::lab::Lab;
use crate::process::{Process, children_of};

/// `/slow` outlasts every timeout of the lab; `/segv` crashes Ruby; `/stop` stops the worker, as a debugger would; `/close`
/// closes the connection unanswered, and the worker lives on.
const RACK: &str = "\
run lambda { |env|
  case env['PATH_INFO']
  when '/slow' then sleep 6
  when '/segv' then Process.kill(:SEGV, Process.pid) && sleep(1)
  when '/stop' then Process.kill(:STOP, Process.pid) && sleep(30)
  when '/close' then env['rack.hijack'].call.close
  end
  [200, { 'Content-Type' => 'text/plain', 'Content-Length' => '3' }, [\"ok\\n\"]]
}
";

impl Lab {
    /// Unicorn with two workers that may take three seconds, the least that it allows. Its log is `log`.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn unicorn(&self, port: u16, log: &str) -> Result<Process> {
        let text = format!(
            "listen '127.0.0.1:{port}'\nworker_processes 2\ntimeout 3\nstderr_path '{}'\n",
            self.path(log).display()
        );
        let file = self.file(&format!("unicorn.{port}.rb"), &text)?;
        self.rack("unicorn", file, port, &["-E", "none", "-c"])
    }

    /// Puma with two workers that have to check in within six seconds, the least that it allows. Its log is `puma.log`.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn puma(&self, port: u16) -> Result<Process> {
        let log = self.path("puma.log").display().to_string();
        let text = format!(
            "bind 'tcp://127.0.0.1:{port}'\nworkers 2\nthreads 1, 1\nworker_timeout 6\nstdout_redirect '{log}', '{log}', true\n"
        );
        let file = self.file("puma.rb", &text)?;
        self.rack("puma", file, port, &["-e", "production", "-C"])
    }

    /// A server with this configuration file, once it accepts and both its workers run.
    fn rack(&self, program: &str, file: PathBuf, port: u16, options: &[&str]) -> Result<Process> {
        let app = self.file("config.ru", RACK)?;
        let mut args: Vec<OsString> = options.iter().map(Into::into).collect();
        args.extend([file.into(), app.into()]);
        let mut process = self.start(program, format!("/usr/bin/{program}"), args)?;
        let master = process.pid();
        // A busy machine takes its time over so many files.
        let patience = Duration::from_mins(1);
        let accepts = || TcpStream::connect(("127.0.0.1", port)).ok().map(drop);
        process.await_ready_for(patience, accepts)?;
        process.await_ready_for(patience, || {
            children_of(master)
                .ok()
                .filter(|workers| workers.len() == 2)
        })?;
        Ok(process)
    }
}
