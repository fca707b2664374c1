//! What the package managers say that they did: dpkg's log and dnf's. Reads text, decides nothing.

use std::path::PathBuf;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::{ProbeRequest, View};

/// More is not read: an upgrade of a whole release writes some hundred kilobytes.
const LIMIT: u64 = 1 << 20;

/// Something that a package manager did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PackageChange {
    /// When.
    pub at: Timestamp,
    /// `upgrade`, `install`, `remove` or `purge`.
    pub action: &'static str,
    /// The package, without its architecture.
    pub package: String,
    /// Its new version; the old one of a removal.
    pub version: String,
}

/// dpkg's log from a local time on (`2026-06-23 14:02:11`).
pub fn dpkg_since(stamp: &str) -> ProbeRequest {
    ProbeRequest::LinesSince {
        view: View::Host,
        path: PathBuf::from("/var/log/dpkg.log"),
        from: stamp.to_owned(),
        limit: LIMIT,
    }
}

/// dnf's log of packages from a time on (`2026-06-23T14:02:11`).
pub fn dnf_since(stamp: &str) -> ProbeRequest {
    ProbeRequest::LinesSince {
        view: View::Host,
        path: PathBuf::from("/var/log/dnf.rpm.log"),
        from: stamp.to_owned(),
        limit: LIMIT,
    }
}

/// Reads dpkg's log, whose times are local: `2026-06-23 14:02:11 upgrade php8.2-fpm:amd64 8.2.1-1 8.2.2-1`.
pub fn of_dpkg(bytes: &[u8], zone: &TimeZone) -> Vec<PackageChange> {
    let change = |line: &str| {
        let mut words = line.split(' ');
        let local: DateTime = format!("{}T{}", words.next()?, words.next()?)
            .parse()
            .ok()?;
        let action = match words.next()? {
            "upgrade" => "upgrade",
            "install" => "install",
            "remove" => "remove",
            "purge" => "purge",
            _ => return None,
        };
        let package = words.next()?.split(':').next()?.to_owned();
        let (old, new) = (words.next()?, words.next()?);
        let version = if new == "<none>" { old } else { new };
        let at = local.to_zoned(zone.clone()).ok()?.timestamp();
        Some(PackageChange {
            at,
            action,
            package,
            version: version.to_owned(),
        })
    };
    String::from_utf8_lossy(bytes)
        .lines()
        .filter_map(change)
        .collect()
}

/// Reads dnf's log of packages: `2026-06-23T14:02:11+0200 SUBDEBUG Upgrade: nginx-1:1.20.1-14.el9.x86_64`.
pub fn of_dnf(bytes: &[u8]) -> Vec<PackageChange> {
    let change = |line: &str| {
        let mut words = line.split(' ');
        let at = jiff::fmt::strtime::parse("%Y-%m-%dT%H:%M:%S%z", words.next()?)
            .ok()?
            .to_timestamp()
            .ok()?;
        let mut words = words.skip_while(|word| !word.ends_with(':'));
        let action = match words.next()? {
            "Upgrade:" => "upgrade",
            "Installed:" => "install",
            "Erase:" => "remove",
            _ => return None,
        };
        // Name, epoch:version, release.
        let mut parts = words.next()?.rsplitn(3, '-');
        let (release, version, package) = (parts.next()?, parts.next()?, parts.next()?);
        Some(PackageChange {
            at,
            action,
            package: package.to_owned(),
            version: format!("{version}-{release}"),
        })
    };
    String::from_utf8_lossy(bytes)
        .lines()
        .filter_map(change)
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// From a Debian 12 host.
    const DPKG: &[u8] = b"2026-06-23 14:01:58 startup archives unpack\n\
        2026-06-23 14:02:11 upgrade php8.2-fpm:amd64 8.2.28-1~deb12u1 8.2.29-1~deb12u1\n\
        2026-06-23 14:02:11 status half-configured php8.2-fpm:amd64 8.2.28-1~deb12u1\n\
        2026-06-23 14:02:12 install php8.3-fpm:amd64 <none> 8.3.1-1\n\
        2026-06-23 14:02:13 remove php8.1-fpm:amd64 8.1.2-1 <none>\n";

    /// As dnf 4 writes it.
    const DNF: &[u8] = b"2026-06-23T14:02:11+0200 INFO --- logging initialized ---\n\
        2026-06-23T14:02:12+0200 SUBDEBUG Upgrade: nginx-core-1:1.20.1-14.el9_2.1.x86_64\n\
        2026-06-23T14:02:12+0200 SUBDEBUG Upgraded: nginx-core-1:1.20.1-13.el9.x86_64\n";

    fn told(changes: &[PackageChange]) -> Vec<String> {
        let told = |change: &PackageChange| {
            format!(
                "{} {} {} {}",
                change.at, change.action, change.package, change.version
            )
        };
        changes.iter().map(told).collect()
    }

    #[test]
    fn dpkg_says_what_it_did() {
        assert_eq!(
            told(&of_dpkg(DPKG, &TimeZone::UTC)),
            [
                "2026-06-23T14:02:11Z upgrade php8.2-fpm 8.2.29-1~deb12u1",
                "2026-06-23T14:02:12Z install php8.3-fpm 8.3.1-1",
                "2026-06-23T14:02:13Z remove php8.1-fpm 8.1.2-1",
            ]
        );
    }

    #[test]
    fn dnf_says_what_it_did() {
        assert_eq!(
            told(&of_dnf(DNF)),
            ["2026-06-23T12:02:12Z upgrade nginx-core 1:1.20.1-14.el9_2.1.x86_64"]
        );
    }

    proptest! {
        #[test]
        fn junk_says_nothing(bytes: Vec<u8>) {
            of_dpkg(&bytes, &TimeZone::UTC);
            of_dnf(&bytes);
        }
    }
}
