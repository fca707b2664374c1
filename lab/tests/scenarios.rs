//! A test for each scenario of the lab. Each has a lab of its own, so they run side by side.

/// Writes the tests from the lab's one list.
macro_rules! tests {
    ($($cause:ident: [$($scenario:ident),* $(,)?]),* $(,)?) => {
        $(mod $cause {
            $(#[test]
            fn $scenario() -> anyhow::Result<()> {
                why502_lab::attempt(why502_lab::scenarios::$cause::$scenario)
            })*
        })*
    };
}
why502_lab::scenarios!(tests);
