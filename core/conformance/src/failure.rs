use anyhub_core::Error;
use std::fmt;

/// Why a trial failed: one line that names what was seen and what was due.
#[derive(Clone, PartialEq, Eq)]
pub struct Failure(String);

/// The result of a trial or of a step of it.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// A failure in these words.
    pub fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(format!("unexpected error: {error}"))
    }
}

/// Ends the trial with a [`Failure`] unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err($crate::failure::Failure::new(format!($($message)+)));
        }
    };
}

/// Ends the trial unless both are equal; the message begins with what was compared.
macro_rules! ensure_eq {
    ($left:expr, $right:expr, $($message:tt)+) => {
        match (&$left, &$right) {
            (left, right) => {
                if left != right {
                    return Err($crate::failure::Failure::new(format!(
                        "{}: {left:?}, expected {right:?}",
                        format_args!($($message)+)
                    )));
                }
            }
        }
    };
}

pub(crate) use {ensure, ensure_eq};
