//! A test for each repair of the lab. Each has a lab of its own, so they run side by side.

/// Writes the tests from the lab's one list.
macro_rules! tests {
    ($($module:ident: [$($repair:ident),* $(,)?]),* $(,)?) => {
        $(mod $module {
            $(#[test]
            fn $repair() -> anyhow::Result<()> {
                why502_lab::attempt(why502_lab::repairs::$repair)
            })*
        })*
    };
}
why502_lab::repairs!(tests);
