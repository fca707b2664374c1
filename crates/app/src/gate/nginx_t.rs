//! nginx's own test of a configuration, where the user asked for it: `nginx -t` creates files, binds ports and resolves
//! names, so nothing else here runs it.

use std::path::Path;

use anyhow::bail;
use diagnose::{Gate, GateTrouble};
use host::Change;

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
    let ran = Change::new().test_by(Path::new(program), args)?;
    let said = String::from_utf8_lossy(&ran.stderr);
    let is_known = gate
        .troubles
        .iter()
        .any(|trouble| said.contains(&trouble.text));
    if !ran.is_success() && !is_known {
        gate.troubles
            .push(GateTrouble::of_nginx(&said, gate.config.as_deref()));
    }
    Ok(())
}
