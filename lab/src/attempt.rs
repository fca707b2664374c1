//! Tries a scenario again whose fault did not come about.
//!
//! Some faults are races: whether nginx meets them hangs on who runs when. Where a scenario fails before `why502` was
//! asked anything, nothing was learnt about it. What fails after that is never tried again.

use std::cell::Cell;
use std::io::{self, Write as _};

use anyhow::Result;

use crate::Lab;

/// So often a fault may fail to come about.
const ATTEMPTS: u32 = 3;

thread_local! {
    static IS_JUDGED: Cell<bool> = const { Cell::new(false) };
}

/// Notes that `why502` is asked from here on.
pub(crate) fn judge() {
    IS_JUDGED.set(true);
}

/// Runs a scenario in a lab of its own, and in a new one where its fault did not come about.
///
/// # Errors
/// Where an answer of `why502` is not what is true, or the fault never comes about.
pub fn attempt(scenario: impl Fn(&Lab) -> Result<()>) -> Result<()> {
    for _ in 1..ATTEMPTS {
        IS_JUDGED.set(false);
        match scenario(&Lab::new()?) {
            Err(error) if !IS_JUDGED.get() => {
                writeln!(io::stderr(), "the fault did not come about: {error:#}")?;
            }
            done => return done,
        }
    }
    scenario(&Lab::new()?)
}

#[cfg(test)]
mod tests {
    use anyhow::bail;

    use super::*;

    #[test]
    fn a_fault_that_does_not_come_about_is_tried_again() -> Result<()> {
        let tries = Cell::new(0);
        let outcome = attempt(|_| {
            tries.set(tries.get() + 1);
            if tries.get() == 2 {
                return Ok(());
            }
            bail!("no fault")
        });
        outcome?;
        assert_eq!(tries.get(), 2);
        Ok(())
    }

    #[test]
    fn a_fault_that_never_comes_about_fails() {
        let tries = Cell::new(0);
        let outcome = attempt(|_| {
            tries.set(tries.get() + 1);
            bail!("no fault")
        });
        assert!(outcome.is_err());
        assert_eq!(tries.get(), ATTEMPTS);
    }

    #[test]
    fn a_wrong_answer_is_never_tried_again() {
        let tries = Cell::new(0);
        let outcome = attempt(|_| {
            tries.set(tries.get() + 1);
            judge();
            bail!("a wrong answer")
        });
        assert!(outcome.is_err());
        assert_eq!(tries.get(), 1);
    }
}
