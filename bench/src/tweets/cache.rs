//! Where what was fetched is kept from one run to the next.

use std::{
    env,
    path::{Path, PathBuf},
};

use crate::bad_input::BadInput;

/// `$ANYHUB_CACHE`, else `$XDG_CACHE_HOME/anyhub`, else `~/Library/Caches/anyhub` on macOS and
/// `~/.cache/anyhub` elsewhere.
pub fn folder() -> Result<PathBuf, BadInput> {
    let set = |name| {
        env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    if let Some(own) = set("ANYHUB_CACHE") {
        return Ok(own);
    }
    // The specification has a relative path ignored.
    if let Some(base) = set("XDG_CACHE_HOME").filter(|path| path.is_absolute()) {
        return Ok(base.join("anyhub"));
    }
    let home = set("HOME").ok_or_else(|| {
        BadInput::new("there is no cache folder: set ANYHUB_CACHE to one, or HOME")
    })?;
    let base = if cfg!(target_os = "macos") {
        Path::new("Library/Caches")
    } else {
        Path::new(".cache")
    };
    Ok(home.join(base).join("anyhub"))
}
