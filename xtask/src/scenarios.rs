//! Holds the causes against the lab: each has a scenario of its name, on this host's kernel or in a virtual machine.

use std::collections::BTreeSet;

use diagnose::causes::ALL;
use why502_lab::{scenarios, vm_scenarios};

#[test]
fn every_cause_has_a_scenario_of_its_name() {
    let here = scenarios::SCENARIOS.iter().map(|(cause, _)| *cause);
    let elsewhere = vm_scenarios::SCENARIOS.iter().map(|(cause, _)| *cause);
    let made: BTreeSet<String> = here
        .chain(elsewhere)
        .map(|cause| cause.replace('_', "-"))
        .collect();
    for cause in ALL {
        assert!(
            made.contains(cause.id),
            "{} has no scenario in the lab",
            cause.id
        );
    }
}
