//! Files that are fetched once and serve every later start: a folder for each thing, complete or not there at all.

use std::env;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::Error;

const MANIFEST: &str = "manifest.txt";

/// The cache folder: `ANYHUB_CACHE`, else `~/Library/Caches/anyhub` on macOS, else `$XDG_CACHE_HOME/anyhub`, else
/// `~/.cache/anyhub` (freedesktop.org, XDG Base Directory Specification 0.8).
pub fn cache_dir() -> Result<PathBuf, Error> {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty());
    let folder = choose(
        set("ANYHUB_CACHE").map(PathBuf::from),
        set("XDG_CACHE_HOME").map(PathBuf::from),
        env::home_dir().filter(|home| home.is_absolute()),
        cfg!(target_os = "macos"),
    )
    .ok_or_else(|| {
        Error::Invalid(
            "there is no home folder to keep fetched files in: set ANYHUB_CACHE to a folder".into(),
        )
    })?;
    std::path::absolute(&folder).map_err(|e| Error::io("finding", &folder, e))
}

fn choose(
    own: Option<PathBuf>,
    xdg: Option<PathBuf>,
    home: Option<PathBuf>,
    mac: bool,
) -> Option<PathBuf> {
    own.or_else(|| match home {
        Some(home) if mac => Some(home.join("Library/Caches/anyhub")),
        home => xdg
            .filter(|xdg| xdg.is_absolute())
            .or_else(|| home.map(|home| home.join(".cache")))
            .map(|cache| cache.join("anyhub")),
    })
}

/// One thing in the cache, built by a recipe: another recipe, another thing.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    root: PathBuf,
    name: String,
    recipe: String,
}

/// How thoroughly an entry is looked over before it is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Check {
    /// Every file is there in its full size: 1 ms.
    Sizes,
    /// Every file has the contents that were fetched.
    Contents,
}

impl Entry {
    pub(crate) fn new(root: PathBuf, name: &str, recipe: &str) -> Self {
        Entry {
            root,
            name: name.to_owned(),
            recipe: format!("recipe {}", hex(&Sha256::digest(recipe))),
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.root.join(&self.name)
    }

    /// A file beside the entry, for instance the log of its making.
    pub(crate) fn beside(&self, ending: &str) -> PathBuf {
        self.root.join(format!("{}{ending}", self.name))
    }

    pub(crate) fn is_complete(&self, check: Check) -> bool {
        let folder = self.path();
        let Ok(manifest) = fs::read_to_string(folder.join(MANIFEST)) else {
            return false;
        };
        let mut lines = manifest.lines();
        lines.next() == Some(&self.recipe)
            && lines.next_back() == Some("complete")
            && lines.all(|line| fits(&folder, line, check))
    }

    /// Gives the entry's folder, first building it where it isn't complete: `build` fills a new folder, which takes the
    /// entry's place only when that has succeeded. Of several processes one builds and the others wait; `waiting` is called
    /// before that.
    pub(crate) fn get(
        &self,
        check: Check,
        waiting: impl FnOnce(),
        build: impl FnOnce(&Path) -> Result<(), Error>,
    ) -> Result<PathBuf, Error> {
        if self.is_complete(check) {
            return Ok(self.path());
        }
        let at = |action| move |e| Error::io(action, &self.root, e);
        fs::create_dir_all(&self.root).map_err(at("creating the cache folder"))?;
        let lock = File::create(self.beside(".lock")).map_err(at("writing to the cache folder"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                waiting();
                lock.lock().map_err(at("locking the cache folder"))?;
            }
            Err(TryLockError::Error(e)) => return Err(at("locking the cache folder")(e)),
        }
        if self.is_complete(check) {
            return Ok(self.path());
        }
        let prefix = format!(".{}-", self.name);
        self.remove_unfinished(&prefix)
            .map_err(at("clearing the cache folder"))?;
        let new = tempfile::Builder::new()
            .prefix(&prefix)
            .tempdir_in(&self.root)
            .map_err(at("writing to the cache folder"))?;
        build(new.path())?;
        self.publish(new.path())
            .map_err(at("writing to the cache folder"))?;
        Ok(self.path())
    }

    /// What a build that was cut off has left: whoever holds the lock is the only one that builds.
    fn remove_unfinished(&self, prefix: &str) -> io::Result<()> {
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(prefix) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }

    fn publish(&self, new: &Path) -> io::Result<()> {
        let mut manifest = format!("{}\n", self.recipe);
        let mut files = Vec::new();
        list(new, Path::new(""), &mut files)?;
        files.sort();
        for file in files {
            let path = new.join(&file);
            let (size, sum) = (fs::metadata(&path)?.len(), sum(&path)?);
            manifest += &format!("{sum} {size} {}\n", file.display());
        }
        fs::write(new.join(MANIFEST), manifest + "complete\n")?;
        match fs::remove_dir_all(self.path()) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        fs::rename(new, self.path())
    }
}

fn list(root: &Path, below: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            list(root, &path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

/// A manifest line is `SHA256 SIZE FILE`.
fn fits(folder: &Path, line: &str, check: Check) -> bool {
    let mut parts = line.splitn(3, ' ');
    let (Some(expected), Some(size), Some(file)) = (parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    let path = folder.join(file);
    let same_size = fs::metadata(&path).is_ok_and(|found| Ok(found.len()) == size.parse());
    same_size && (check == Check::Sizes || sum(&path).is_ok_and(|sum| sum == expected))
}

fn sum(path: &Path) -> io::Result<String> {
    let mut hasher = Sha256::new();
    io::copy(&mut File::open(path)?, &mut hasher)?;
    Ok(hex(&hasher.finalize()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::cell::Cell;

    fn fill(folder: &Path) -> Result<(), Error> {
        fs::create_dir(folder.join("lib")).unwrap();
        fs::write(folder.join("lib/a.jar"), "aaaa").unwrap();
        Ok(())
    }

    #[test]
    fn an_entry_is_built_once() {
        let root = tempfile::tempdir().unwrap();
        let entry = Entry::new(root.path().into(), "x-1", "recipe");
        let built = Cell::new(0);
        for _ in 0..3 {
            let path = entry
                .get(
                    Check::Sizes,
                    || {},
                    |folder| {
                        built.set(built.get() + 1);
                        fill(folder)
                    },
                )
                .unwrap();
            assert_eq!(fs::read_to_string(path.join("lib/a.jar")).unwrap(), "aaaa");
        }
        assert_eq!(built.get(), 1);
        let other = Entry::new(root.path().into(), "x-1", "another recipe");
        assert!(!other.is_complete(Check::Sizes));
    }

    #[test]
    fn what_is_cut_off_or_damaged_is_not_taken_for_complete() {
        let root = tempfile::tempdir().unwrap();
        let entry = Entry::new(root.path().into(), "x-1", "recipe");
        let cut_off = entry.get(
            Check::Sizes,
            || {},
            |folder| {
                fill(folder)?;
                Err(Error::Invalid("cut off".into()))
            },
        );
        assert!(cut_off.is_err());
        assert!(!entry.path().exists());
        // As a kill -9 leaves it.
        fs::create_dir(root.path().join(".x-1-abc")).unwrap();
        let path = entry.get(Check::Sizes, || {}, fill).unwrap();
        assert!(!root.path().join(".x-1-abc").exists());
        assert!(entry.is_complete(Check::Contents));

        fs::write(path.join("lib/a.jar"), "bbbb").unwrap();
        assert!(entry.is_complete(Check::Sizes));
        assert!(!entry.is_complete(Check::Contents));
        fs::write(path.join("lib/a.jar"), "aaa").unwrap();
        assert!(!entry.is_complete(Check::Sizes));
        entry.get(Check::Sizes, || {}, fill).unwrap();
        assert!(entry.is_complete(Check::Contents));

        let manifest = fs::read_to_string(path.join(MANIFEST)).unwrap();
        fs::write(path.join(MANIFEST), manifest.replace("complete\n", "")).unwrap();
        assert!(!entry.is_complete(Check::Sizes));
    }

    #[test]
    fn of_two_one_builds_and_the_other_waits() {
        let root = tempfile::tempdir().unwrap();
        let entry = Entry::new(root.path().into(), "x-1", "recipe");
        let (waits, waited) = std::sync::mpsc::channel();
        let other = entry.clone();
        let mut second = None;
        entry
            .get(
                Check::Sizes,
                || {},
                |folder| {
                    second = Some(std::thread::spawn(move || {
                        let waiting = || waits.send(()).unwrap();
                        other
                            .get(Check::Sizes, waiting, |_| panic!("built twice"))
                            .unwrap();
                    }));
                    waited.recv().unwrap();
                    fill(folder)
                },
            )
            .unwrap();
        second.unwrap().join().unwrap();
    }

    #[test]
    fn the_folder_is_chosen_as_documented() {
        let path = |text: &str| Some(PathBuf::from(text));
        let chosen = |own, xdg, mac| choose(own, xdg, path("/home/u"), mac);
        assert_eq!(chosen(path("/own"), path("/xdg"), false), path("/own"));
        assert_eq!(chosen(None, path("/xdg"), false), path("/xdg/anyhub"));
        assert_eq!(
            chosen(None, path("relative"), false),
            path("/home/u/.cache/anyhub")
        );
        assert_eq!(chosen(None, None, false), path("/home/u/.cache/anyhub"));
        assert_eq!(
            chosen(None, None, true),
            path("/home/u/Library/Caches/anyhub")
        );
        assert_eq!(choose(None, None, None, true), None);
    }
}
