//! A test for each scenario of the lab. Each has a lab of its own, so they run side by side.

/// Writes the tests from the lab's one list.
macro_rules! tests {
    ($($cause:ident: [$($scenario:ident),* $(,)?]),* $(,)?) => {
        $(mod $cause {
            $(#[test]
            fn $scenario() -> anyhow::Result<()> {
                let lab = why502_lab::Lab::new()?;
                why502_lab::scenarios::$cause::$scenario(&lab)
            })*
        })*
    };
}
why502_lab::scenarios!(tests);
