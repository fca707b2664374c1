//! nginx's own test of a configuration, where the user asked for it: `nginx -t` creates files, binds ports and resolves
//! names, so nothing else here runs it.

use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use diagnose::{Gate, GateTrouble};

/// Names that do not resolve keep it waiting, each for some seconds.
const LIMIT: Duration = Duration::from_mins(1);
const LOOK: Duration = Duration::from_millis(10);

/// Has nginx test the configuration; what it refuses is one of the gate's troubles.
pub(crate) fn test(gate: &mut Gate) -> anyhow::Result<()> {
    let Some(argv) = gate.test.as_deref() else {
        bail!(
            "--nginx-t: nginx runs in a file system of its own; test it there: docker exec ... nginx -t"
        );
    };
    let [program, args @ ..] = argv else {
        return Ok(());
    };
    is_roots(Path::new(program))?;
    let said = run(program, args).with_context(|| format!("{program} -t"))?;
    if let Some(said) = said
        && !gate
            .troubles
            .iter()
            .any(|trouble| said.contains(&trouble.text))
    {
        gate.troubles.push(trouble(&said, gate.config.as_deref()));
    }
    Ok(())
}

/// Who may write the program decides what root would run.
fn is_roots(program: &Path) -> anyhow::Result<()> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let found = std::fs::metadata(program)
        .with_context(|| format!("--nginx-t: cannot look at {}", program.display()))?;
    ensure!(
        found.uid() == 0 && found.mode() & 0o022 == 0,
        "--nginx-t: {} can be written by others than root, so root does not run it",
        program.display()
    );
    Ok(())
}

/// What it complains of; none where it is content.
fn run(program: &str, args: &[String]) -> anyhow::Result<Option<String>> {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let stderr = child.stderr.take();
    let reader = thread::spawn(move || {
        let mut said = Vec::new();
        if let Some(stderr) = stderr {
            // What it says is shown, however much of it could be read.
            stderr.take(64 << 10).read_to_end(&mut said).ok();
        }
        String::from_utf8_lossy(&said).into_owned()
    });
    let start = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if start.elapsed() > LIMIT {
            child.kill()?;
            child.wait()?;
            bail!("it took more than {} seconds", LIMIT.as_secs());
        }
        thread::sleep(LOOK);
    };
    let said = reader.join().unwrap_or_default();
    Ok((!status.success()).then_some(said))
}

/// `nginx: [emerg] MESSAGE in FILE:LINE` and what follows it, as a trouble.
fn trouble(said: &str, config: Option<&Path>) -> GateTrouble {
    let worst = said
        .lines()
        .find(|line| line.contains("[emerg]"))
        .or_else(|| said.lines().next())
        .unwrap_or("nginx -t failed and said nothing");
    let text = worst
        .trim_start_matches("nginx: ")
        .trim_start_matches("[emerg] ");
    let place = text.rsplit_once(" in ").and_then(|(text, place)| {
        let (file, line) = place.rsplit_once(':')?;
        Some((text, PathBuf::from(file), line.parse().ok()?))
    });
    let (text, file, line) = place.unwrap_or_else(|| {
        let file = config.map(Path::to_owned).unwrap_or_default();
        (text, file, 0)
    });
    GateTrouble {
        file,
        line,
        text: text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_is_read_with_its_place() {
        let said = "nginx: [emerg] host not found in upstream \"app\" in /etc/nginx/nginx.conf:12\nnginx: configuration file /etc/nginx/nginx.conf test failed\n";
        let read = trouble(said, None);
        assert_eq!(read.text, "host not found in upstream \"app\"");
        assert_eq!((read.file, read.line), ("/etc/nginx/nginx.conf".into(), 12));
        let said = "nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)\n";
        let read = trouble(said, Some(Path::new("/etc/nginx/nginx.conf")));
        assert_eq!(read.line, 0);
        assert_eq!(
            read.text,
            "bind() to 0.0.0.0:80 failed (98: Address already in use)"
        );
    }
}
