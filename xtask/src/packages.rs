//! The Debian packages that the lab and the test of the HTML page need, and their installation.
//!
//! Installing must neither ask anything nor start a service: the lab starts its own.

use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail, ensure};

use crate::run;

/// One thing that is needed: how to see that it is there, and the package that brings it.
pub(crate) struct Need {
    package: &'static str,
    is_there: fn() -> bool,
}

/// What the demonstration needs.
pub(crate) const DEMO: &[Need] = &[
    Need {
        package: "nginx",
        is_there: || Path::new("/usr/sbin/nginx").exists(),
    },
    Need {
        package: "python3-venv",
        is_there: || run::succeeds("python3", &["-c", "import ensurepip, venv"]),
    },
    Need {
        package: "curl",
        is_there: || run::succeeds("curl", &["--version"]),
    },
];

/// What the lab needs beyond that.
pub(crate) const LAB: &[Need] = &[
    Need {
        package: "acl",
        is_there: || Path::new("/usr/bin/setfacl").exists(),
    },
    Need {
        package: "php8.2-fpm",
        is_there: || Path::new("/usr/sbin/php-fpm8.2").exists(),
    },
    Need {
        package: "uwsgi-core",
        is_there: || Path::new("/usr/bin/uwsgi").exists(),
    },
    Need {
        package: "uwsgi-plugin-python3",
        is_there: || Path::new("/usr/lib/uwsgi/plugins/python3_plugin.so").exists(),
    },
    Need {
        package: "dnsmasq-base",
        is_there: || Path::new("/usr/sbin/dnsmasq").exists(),
    },
    Need {
        package: "mmdebstrap",
        is_there: || Path::new("/usr/bin/mmdebstrap").exists(),
    },
    Need {
        package: "systemd-container",
        is_there: || Path::new("/usr/bin/systemd-nspawn").exists(),
    },
    Need {
        package: "iproute2",
        is_there: || run::succeeds("ip", &["-V"]),
    },
    Need {
        package: "nftables",
        is_there: || Path::new("/usr/sbin/nft").exists(),
    },
    Need {
        package: "iptables",
        is_there: || Path::new("/usr/sbin/iptables-legacy").exists(),
    },
    // Kills a repair at each of its writes.
    Need {
        package: "strace",
        is_there: || Path::new("/usr/bin/strace").exists(),
    },
    Need {
        package: "puma",
        is_there: || Path::new("/usr/bin/puma").exists(),
    },
    Need {
        package: "unicorn",
        is_there: || Path::new("/usr/bin/unicorn").exists(),
    },
    Need {
        package: "default-jre-headless",
        is_there: || run::succeeds("java", &["-version"]),
    },
    // Tomcat without its service.
    Need {
        package: "tomcat10-user",
        is_there: || Path::new("/usr/share/tomcat10/bin/bootstrap.jar").exists(),
    },
    Need {
        package: "ufw",
        is_there: || Path::new("/usr/sbin/ufw").exists(),
    },
    Need {
        package: "firewalld",
        is_there: || Path::new("/usr/sbin/firewalld").exists(),
    },
    Need {
        package: "dbus-daemon",
        is_there: || Path::new("/usr/bin/dbus-daemon").exists(),
    },
    // Any node will do, be it the distribution's or another.
    Need {
        package: "nodejs",
        is_there: || run::succeeds("node", &["--version"]),
    },
];

/// What shows the HTML page of logs to its test.
pub(crate) const BROWSER: &[Need] = &[Need {
    package: "chromium",
    is_there: || Path::new("/usr/bin/chromium").exists(),
}];

/// What logs are searched and grouped with.
pub(crate) const LOGS: &[Need] = &[
    Need {
        package: "ripgrep",
        is_there: || run::succeeds("rg", &["--version"]),
    },
    Need {
        package: "mawk",
        is_there: || Path::new("/usr/bin/mawk").exists(),
    },
    Need {
        package: "goaccess",
        is_there: || run::succeeds("goaccess", &["--version"]),
    },
];

/// What virtual machines need; QEMU they bring themselves.
pub(crate) const VM: &[Need] = &[
    Need {
        package: "mmdebstrap",
        is_there: || Path::new("/usr/bin/mmdebstrap").exists(),
    },
    Need {
        package: "e2fsprogs",
        is_there: || Path::new("/usr/sbin/mke2fs").exists() || Path::new("/sbin/mke2fs").exists(),
    },
    Need {
        package: "openssh-client",
        is_there: || {
            Path::new("/usr/bin/ssh-keygen").exists() && Path::new("/usr/bin/ssh").exists()
        },
    },
];

/// A package's scripts ask `policy-rc.d` before they start a service; 101 forbids it. The shell
/// takes the file away however apt ends, and leaves one of the host's own alone.
const INSTALL: &str = r#"
policy=/usr/sbin/policy-rc.d
if ! [ -e "$policy" ] || grep -q 'by cargo xtask' "$policy"; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\n# by cargo xtask, while it installs\nexit 101\n' > "$policy"
    chmod 755 "$policy"
fi
apt-get update -q
apt-get install -q -y --no-install-recommends "$@"
"#;

/// Installs what is missing and says what that is. Without root it says how, and stops.
pub(crate) fn ensure_installed(needs: &[&[Need]]) -> Result<()> {
    let missing = || -> Vec<_> {
        needs
            .iter()
            .copied()
            .flatten()
            .filter(|need| !(need.is_there)())
            .map(|need| need.package)
            .collect()
    };
    let wanted = missing();
    let is_root = run::succeeds("sh", &["-c", "[ \"$(id -u)\" = 0 ]"]);
    if !is_root {
        let line = format!(
            "sudo apt-get install --no-install-recommends {}",
            wanted.join(" ")
        );
        let first = if wanted.is_empty() {
            String::new()
        } else {
            format!("\n  {line}")
        };
        bail!("the lab runs a real nginx and needs root:{first}\n  then run this command as root");
    }
    if wanted.is_empty() {
        run::say("Debian packages: all there\n");
        return Ok(());
    }
    run::say(&format!(
        "Debian packages: installing {}\n",
        wanted.join(" ")
    ));
    let mut apt = Command::new("sh");
    apt.args(["-e", "-c", INSTALL, "sh"])
        .args(&wanted)
        .env("DEBIAN_FRONTEND", "noninteractive");
    run::visibly(&mut apt)?;
    ensure!(
        missing().is_empty(),
        "installed, and still not there: {}",
        missing().join(" ")
    );
    Ok(())
}
