//! What a container's runtime does for nginx's logs, without the runtime: a control group that bears the container's id,
//! and a pipe for each standard stream, from which a program of the lab's writes lines in the runtime's form.
//!
//! Of the paths that runtimes write to, only a link into the lab's directory is made, which the guard removes.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::built;
use crate::lab::Lab;
use crate::systemd::cgroup;

/// A container that nginx can be started in.
pub struct Container {
    id: String,
    groups: Vec<PathBuf>,
    form: &'static str,
    log: PathBuf,
}

impl Lab {
    /// A container of Docker's, whose `json-file` driver keeps its log.
    ///
    /// # Errors
    /// Where control groups or the link to its log cannot be made.
    pub fn docker_container(&self) -> Result<Container> {
        let container = self.container("docker", "docker")?;
        let id = &container.id;
        let place = Path::new("/var/lib/docker/containers").join(id);
        self.link(
            &place,
            container.log.parent().context("a log has a folder")?,
        )?;
        Ok(container)
    }

    /// A container of a pod's, to whose log the kubelet has made a link.
    ///
    /// # Errors
    /// Where control groups or the link to its log cannot be made.
    pub fn pod_container(&self) -> Result<Container> {
        let container = self.container("kubepods/burstable/pod7", "cri")?;
        let name = format!("web-1_shop_nginx-{}.log", container.id);
        self.link(&Path::new("/var/log/containers").join(name), &container.log)?;
        Ok(container)
    }

    fn container(&self, above: &str, form: &'static str) -> Result<Container> {
        let name = self.unique("why502-lab");
        let digits = name.bytes().flat_map(|byte| [byte >> 4, byte & 15]);
        let digits = digits.filter_map(|digit| char::from_digit(digit.into(), 16));
        let id: String = digits
            .collect::<Vec<char>>()
            .into_iter()
            .cycle()
            .take(64)
            .collect();
        let groups: Vec<PathBuf> = cgroup::make(&name, false, self.guard())?
            .iter()
            .map(|group| group.join(above).join(&id))
            .collect();
        for group in &groups {
            fs::create_dir_all(group)
                .with_context(|| format!("make the cgroup {}", group.display()))?;
        }
        let folder = self.directory(&format!("containers/{id}"))?;
        let log = folder.join(format!("{id}-json.log"));
        Ok(Container {
            id,
            groups,
            form,
            log,
        })
    }

    /// A link from a path of the machine's into the lab's directory.
    fn link(&self, path: &Path, target: &Path) -> Result<()> {
        let folder = path.parent().context("a link has a folder")?;
        let missing = folder.ancestors().take_while(|folder| !folder.exists());
        for folder in missing {
            self.guard().watch_folder(folder)?;
        }
        self.guard().watch_link(path)?;
        fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
        symlink(target, path).with_context(|| format!("make the link {}", path.display()))
    }
}

impl Container {
    /// The file that the runtime writes to.
    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// A script for bash that becomes the command given to it, in the container.
    pub(crate) fn script(&self) -> Result<String> {
        let runtime = built::program("why502-lab-runtime")?;
        let writer = |stream: &str| {
            let (runtime, log) = (runtime.display(), self.log.display());
            format!(">('{runtime}' {} {stream} '{log}')", self.form)
        };
        let mut script = format!("exec > {} 2> {}\n", writer("stdout"), writer("stderr"));
        for group in &self.groups {
            script.extend(["echo $$ > '", &group.to_string_lossy(), "/cgroup.procs'\n"]);
        }
        script.push_str("exec \"$@\"\n");
        Ok(script)
    }
}
