//! What a run leaves behind: report.json and the pictures and tables drawn from it.

mod charts;
mod folder;
mod host;
mod html;
mod json;
mod markdown;
#[cfg(test)]
pub(crate) mod sample;
mod schema;
mod tables;
mod terminal;
mod write;

pub(crate) use folder::FAILED_EVENTS;
pub use folder::{Folder, FolderError};
pub use host::host;
pub use html::html;
pub use json::{ReadError, json, read};
pub use markdown::markdown;
pub use schema::*;
pub use terminal::terminal;
pub use write::{WriteError, redraw, write};
