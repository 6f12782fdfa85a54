//! The documented exit codes.

use std::process::ExitCode;

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: all as it should be.
    Ok,
    /// 1: a verdict or an assertion failed, a hub failed on the way, or the report could not be written.
    Failed,
    /// 2: something that was typed, or a file that was named, can't be used.
    Usage,
    /// 3: a hub that was asked for by name could not be started or reached.
    Unavailable,
    /// 130: interrupted, as a shell reports SIGINT (128 + 2).
    Interrupted,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Unavailable => 3,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
