//! Our side of `make interop`, whatever the hub: the events that we send, the files of infra/interop/README.md, and which of
//! the events that were sent a reader has found. Each backend brings its commands as `examples/interop`.

mod files;
mod left;
mod made;

pub use files::{read_events, read_lines, write_events, write_lines};
pub use left::{Left, Whose, shown};
pub use made::events;

/// The first thing that differs.
pub type Told<T> = Result<T, String>;
