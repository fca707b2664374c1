//! What made texts have to pass before anything is written. The one place for checks of the whole output.

use anyhow::bail;

use super::plan::Planned;
use super::syntax::Syntax;

/// Refuses texts that nginx could not read. Of other syntaxes nothing is known here.
pub(crate) fn verify(planned: &[Planned]) -> anyhow::Result<()> {
    for file in planned.iter().filter(|file| file.syntax == Syntax::Nginx) {
        let tree = conf::Tree::parse(file.text.clone().into_bytes());
        if let Some(trouble) = tree.troubles().first() {
            bail!(
                "{} would be no configuration of nginx, line {}: {}",
                file.what(),
                trouble.line,
                trouble.message
            );
        }
    }
    Ok(())
}
