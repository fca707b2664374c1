//! What `why502 lint` does around the lints: where files stand here, and the edits of `--fix`.

pub(crate) mod fix;
pub(crate) mod mapped;
