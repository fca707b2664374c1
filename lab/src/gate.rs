//! Holds `why502 gate` against the truth of a scenario: what fails there and can be seen without a request of a client's is
//! refused, what is healthy is let pass, and no cause is confirmed that is not so.

use std::ffi::OsString;
use std::net::TcpStream;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::lab::Lab;
use crate::nginx::Nginx;
use crate::verdict::{Asker, Expectation, causes, text};

/// Causes that a gate meets: the peer itself fails for whoever dials it as nginx does. The others hang on a client's
/// request, on nginx's own state, or on how long something has been so.
const SEEN: [&str; 18] = [
    "accept-queue-full",
    "firewall-drops-connect",
    "firewall-rejects-connect",
    "peer-address-mismatch",
    "peer-in-other-netns",
    "peer-not-listening",
    "peer-port-mismatch",
    "peer-speaks-other-protocol",
    "peer-transport-mismatch",
    "peer-unreachable",
    "socket-acl-denied",
    "socket-hidden-by-namespace",
    "socket-missing",
    "socket-path-mismatch",
    "socket-permission-denied",
    "socket-stale",
    "upstream-certificate-rejected",
    "upstream-sni-missing",
];

/// The one time-out for all peers.
const TIMEOUT: &str = "1s";

impl Lab {
    /// Runs the gate on the configuration in force.
    ///
    /// # Errors
    /// When its answer is not what is true; it is shown.
    pub(crate) fn gate(&self, nginx: &Nginx, expected: &[Expectation]) -> Result<Value> {
        if !nginx.is_running() || nginx.is_contained() {
            return Ok(Value::Null);
        }
        let args: Vec<OsString> = vec![
            "gate".into(),
            "--config".into(),
            nginx.config().into(),
            "--pid".into(),
            nginx.pid().to_string().into(),
            "--timeout".into(),
            TIMEOUT.into(),
            "--format".into(),
            "json".into(),
        ];
        let output = self.run(Asker::Root, &args)?;
        let shown = || {
            format!(
                "gate exits with {:?}\n{}\n{}",
                output.status.code(),
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            )
        };
        let answer: Value = serde_json::from_slice(&output.stdout).with_context(shown)?;
        check(&answer, output.status.code(), expected).with_context(shown)?;
        Ok(answer)
    }

    /// The gate lets the configuration in force pass, as it does where all is well.
    ///
    /// # Errors
    /// When it refuses; its answer is shown.
    pub fn passes_gate(&self, nginx: &Nginx) -> Result<()> {
        let answer = self.gate(nginx, &[])?;
        ensure!(
            text(&answer, "verdict") == "clean" && text(&answer, "schema") == "why502.gate/1",
            "what is healthy is refused: {answer:#}"
        );
        Ok(())
    }
}

fn check(answer: &Value, exit: Option<i32>, expected: &[Expectation]) -> Result<()> {
    let verdict = text(answer, "verdict");
    let right = i32::from(verdict == "refused");
    ensure!(
        exit == Some(right),
        "the exit code is {exit:?} where {right} is right"
    );
    let peers = answer.get("peers").and_then(Value::as_array);
    for peer in peers.into_iter().flatten() {
        let Some(incident) = peer.get("incident") else {
            continue;
        };
        let address = text(incident, "peer");
        for id in causes(incident, "confirmed").keys() {
            let mut truths = expected.iter().filter(|truth| truth.is_about(address));
            let is_true = truths.any(|truth| truth.lets_gate_tell(id));
            ensure!(
                is_true || id == "peer-not-listening" && is_refused(address),
                "the gate confirms {id} of {address}, and that is not so"
            );
        }
    }
    // Names that a resolver is asked for when a request comes are not tried.
    let is_tried = |peer: &&Value| text(peer, "outcome") != "not-tried";
    let tried: Vec<&Value> = peers.into_iter().flatten().filter(is_tried).collect();
    // What comes and goes may be there just now, as the lab itself finds.
    let is_back = || {
        let mut peers = tried.iter().map(|peer| text(peer, "peer"));
        peers.all(|peer| TcpStream::connect(peer).is_ok())
    };
    let is_seen = |truth: &Expectation| {
        let cause = truth.true_causes().into_iter().next();
        !truth.is_over()
            && cause.is_some_and(|cause| SEEN.contains(&cause))
            && !(cause == Some("peer-not-listening") && is_back())
    };
    if !tried.is_empty() && expected.iter().any(is_seen) {
        ensure!(verdict == "refused", "what fails is let pass");
    }
    Ok(())
}

/// Whether nothing takes a connection there, as the lab itself finds.
fn is_refused(address: &str) -> bool {
    let refused = std::io::ErrorKind::ConnectionRefused;
    TcpStream::connect(address).is_err_and(|error| error.kind() == refused)
}
