//! The texts that events carry: a file, the real tweets, or generated ones.

mod cache;
mod checked;
mod fetch;
mod generate;
mod json;
mod read;
mod table;

use std::{path::Path, sync::Arc};

use sha2::{Digest, Sha256};

pub use cache::folder as cache_folder;
pub use fetch::{CITATION, Fetched, fetch};
pub use generate::GENERATED;
pub use read::{LONGEST_TEXT, TEXT_NAMES};

use crate::bad_input::BadInput;

/// Texts in the order of their source; never empty. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Tweets {
    texts: Arc<Texts>,
    ratings: Option<Arc<[f64]>>,
    source: String,
    sha256: String,
}

impl Tweets {
    /// `file` if there is one, else the real tweets if they were fetched, else generated ones.
    pub fn choose(file: Option<&Path>, seed: u64) -> Result<Self, BadInput> {
        match file {
            Some(path) => Self::read(path),
            None => Ok(Self::fetched()?.unwrap_or_else(|| Self::generated(seed))),
        }
    }

    /// The tweets of a file: a JSON array, NDJSON, CSV or TSV, by its extension, else by how it
    /// begins. The texts are those of the first of [`TEXT_NAMES`] that is there.
    pub fn read(path: &Path) -> Result<Self, BadInput> {
        let read = read::file(path)?;
        let source = format!("file {}", path.display());
        Ok(Self {
            texts: Arc::new(read.texts),
            ratings: None,
            source,
            sha256: read.sha256,
        })
    }

    /// The real tweets, if [`fetch`] put them into the cache. Asks the network for nothing.
    pub fn fetched() -> Result<Option<Self>, BadInput> {
        let Some(real) = fetch::cached()? else {
            return Ok(None);
        };
        Ok(Some(Self {
            texts: Arc::new(real.texts),
            ratings: Some(real.ratings.into()),
            source: fetch::SOURCE.into(),
            sha256: fetch::TEXT_SHA256.into(),
        }))
    }

    /// [`GENERATED`] made-up tweets, the same for the same seed.
    pub fn generated(seed: u64) -> Self {
        let texts = generate::texts(seed, GENERATED);
        let mut hash = Sha256::new();
        for text in texts.iter() {
            hash.update(text);
            hash.update(b"\n");
        }
        let source = format!(
            "generated, seed {seed} (the real tweets were not fetched: `anyhub-bench tweets fetch` does it)"
        );
        Self {
            texts: Arc::new(texts),
            ratings: None,
            source,
            sha256: hex(&hash.finalize()),
        }
    }

    /// Number of texts; 1 or more.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Never.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A text; `index` is below [`len`](Self::len).
    pub fn text(&self, index: usize) -> &str {
        self.texts.at(index)
    }

    /// All texts.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.texts.iter()
    }

    /// What people thought of each text, -4 to 4; the real tweets have it.
    pub fn ratings(&self) -> Option<&[f64]> {
        self.ratings.as_deref()
    }

    /// Where they come from, for the report.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// SHA-256 of the file, or of the generated texts with a line feed after each.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// Median and largest length of the texts in bytes.
    pub fn lengths(&self) -> (usize, usize) {
        let mut lengths: Vec<usize> = self.iter().map(str::len).collect();
        lengths.sort_unstable();
        (
            lengths[lengths.len() / 2],
            lengths.last().copied().unwrap_or_default(),
        )
    }
}

/// Many texts in one allocation.
#[derive(Debug, Default, PartialEq, Eq)]
struct Texts {
    all: String,
    ends: Vec<usize>,
}

impl Texts {
    fn push(&mut self, text: &str) {
        self.all.push_str(text);
        self.ends.push(self.all.len());
    }

    fn len(&self) -> usize {
        self.ends.len()
    }

    fn at(&self, index: usize) -> &str {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.all[start..self.ends[index]]
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|index| self.at(index))
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
