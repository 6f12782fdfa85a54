//! What a user can put right: one clear line that says what to do.

/// A file, an option or a setting that can't be used. Its text is one line and needs no context.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadInput(String);

impl BadInput {
    /// Says `line`.
    pub fn new(line: impl Into<String>) -> Self {
        Self(line.into())
    }
}
