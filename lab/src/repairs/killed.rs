//! `why502 fix` is killed at each of its writes: `--resume` finds the way back, or to the end.

use std::path::Path;

use anyhow::Result;

use super::mended::{MANY_COOKIES, SITE, behind_a_rule};
use crate::Lab;
use crate::lab::set_mode;

/// An edit, nginx's test, a reload.
pub fn while_it_edits(lab: &Lab) -> Result<()> {
    let peer = lab.port()?;
    let _node = lab.node(peer, MANY_COOKIES)?;
    let nginx = lab.nginx(SITE, &[("peer", &format!("127.0.0.1:{peer}"))])?;
    let file = nginx.site();
    // A failure in the second in which the file was put back could be one of either.
    let breaks = || {
        lab.settle();
        nginx.expect(1, "GET", "/", 502)
    };
    lab.survives_kills(&nginx, &[&file], &breaks)
}

/// Two commands that change what a socket has.
pub fn while_it_changes_modes(lab: &Lab) -> Result<()> {
    let socket = lab.path("shop.sock");
    let _application = lab.application(&["ok"], &socket.display().to_string())?;
    set_mode(&socket, 0o600)?;
    let nginx = lab.nginx(SITE, &[("peer", &format!("unix:{}", socket.display()))])?;
    lab.survives_kills(&nginx, &[&socket], &|| nginx.expect(1, "GET", "/", 502))
}

/// A rule of a firewall, which has to be found again.
pub fn while_it_adds_a_rule(lab: &Lab) -> Result<()> {
    let network = lab.network()?;
    let _inside = network.enter()?;
    let (nginx, _application) = behind_a_rule(lab, &network)?;
    let none: [&Path; 0] = [];
    lab.survives_kills(&nginx, &none, &|| nginx.expect(1, "GET", "/", 502))
}
