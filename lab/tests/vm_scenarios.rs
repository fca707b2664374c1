//! A test for each scenario that needs a kernel of its own. Each has a machine of its own.

/// Writes the tests from the lab's one list.
macro_rules! tests {
    ($($cause:ident in $module:ident: [$($scenario:ident),* $(,)?]),* $(,)?) => {
        $(mod $cause {
            $(#[test]
            fn $scenario() -> anyhow::Result<()> {
                let lab = why502_lab::Lab::new()?;
                let vm = lab.vm(why502_lab::vm::Module::$module)?;
                why502_lab::vm_scenarios::$cause::$scenario(&vm)
            })*
        })*
    };
}
why502_lab::vm_scenarios!(tests);
