//! The received texts of a throughput phase, kept until it is over and they are scored.
//!
//! What is scored is what was received: not the texts that were sent, and not a second read of the
//! topic, which a hub need not keep. The texts stand in memory up to [`IN_MEMORY`] bytes for each
//! consumer and beyond that in an unnamed temporary file, so that a run of any length takes the
//! same memory. Copying a text costs about 10 ns; writing it out is left to a thread.

use std::{
    fs::File,
    io::{self, Read, Seek, Write},
    thread,
};

use tokio::sync::mpsc;

/// Bytes of texts that stay in memory, for each consumer.
pub(super) const IN_MEMORY: usize = 64 << 20;
const CHUNK: usize = 1 << 20;
/// Room for the rest of the batch in which a chunk becomes full.
const BEYOND: usize = 128 << 10;
/// Chunks on their way to the file, at most.
const IN_FLIGHT: usize = 8;
/// Index and length, before each text.
const PREFIX: usize = 12;

#[derive(Debug, Default)]
pub(super) struct Spool {
    chunk: Vec<u8>,
    full: Vec<Vec<u8>>,
    file: Option<Writer>,
}

#[derive(Debug)]
struct Writer {
    chunks: mpsc::Sender<Vec<u8>>,
    thread: thread::JoinHandle<io::Result<File>>,
}

impl Spool {
    /// Keeps the text of the event that stands at `index` in the ledger.
    #[inline]
    pub(super) fn add(&mut self, index: usize, text: &[u8]) {
        if self.chunk.capacity() == 0 {
            self.chunk.reserve(CHUNK + BEYOND);
        }
        self.chunk.extend_from_slice(&(index as u64).to_le_bytes());
        self.chunk
            .extend_from_slice(&(text.len() as u32).to_le_bytes());
        self.chunk.extend_from_slice(text);
    }

    /// A full chunk that has to go to the file: the caller hands it to [`Spill::go`], which may
    /// wait.
    #[inline]
    pub(super) fn spill(&mut self) -> Option<Spill> {
        if self.chunk.len() < CHUNK - PREFIX {
            return None;
        }
        let chunk = std::mem::take(&mut self.chunk);
        if self.full.len() * CHUNK < IN_MEMORY {
            self.full.push(chunk);
            return None;
        }
        let writer = self.file.get_or_insert_with(Writer::start);
        Some(Spill {
            chunk,
            to: writer.chunks.clone(),
        })
    }

    /// Hands every chunk to `score`, those in memory first; blocks. An error is the file's.
    pub(super) fn drain(mut self, mut score: impl FnMut(Vec<u8>)) -> io::Result<()> {
        self.full.drain(..).for_each(&mut score);
        score(std::mem::take(&mut self.chunk));
        let Some(Writer { chunks, thread }) = self.file else {
            return Ok(());
        };
        drop(chunks);
        let mut file = thread
            .join()
            .map_err(|_| io::Error::other("the writer of texts broke off"))??;
        file.rewind()?;
        let mut length = [0; 8];
        loop {
            match file.read_exact(&mut length) {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                read => read?,
            }
            let mut chunk = vec![0; u64::from_le_bytes(length) as usize];
            file.read_exact(&mut chunk)?;
            score(chunk);
        }
    }
}

impl Writer {
    fn start() -> Self {
        let (chunks, mut waiting) = mpsc::channel::<Vec<u8>>(IN_FLIGHT);
        let thread = thread::spawn(move || {
            let mut file = tempfile::tempfile()?;
            while let Some(chunk) = waiting.blocking_recv() {
                file.write_all(&(chunk.len() as u64).to_le_bytes())?;
                file.write_all(&chunk)?;
            }
            Ok(file)
        });
        Self { chunks, thread }
    }
}

/// A chunk on its way to the file.
#[derive(Debug)]
pub(super) struct Spill {
    chunk: Vec<u8>,
    to: mpsc::Sender<Vec<u8>>,
}

impl Spill {
    /// Waits while the disk is behind. Where the file failed, the chunk goes nowhere, and the
    /// reader is told so by [`Spool::drain`].
    pub(super) async fn go(self) {
        let _ = self.to.send(self.chunk).await;
    }
}

/// The (index, text) pairs of a chunk.
pub(super) fn texts(chunk: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut rest = chunk;
    std::iter::from_fn(move || {
        let (index, after) = rest.split_first_chunk::<8>()?;
        let (length, after) = after.split_first_chunk::<4>()?;
        let (text, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        rest = after;
        Some((u64::from_le_bytes(*index) as usize, text))
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn gives_back_what_it_was_given_from_memory_and_file() {
        let text = "x".repeat(10_000);
        let count = 2 * IN_MEMORY / text.len();
        let mut spool = Spool::default();
        for index in 0..count {
            spool.add(index, &text.as_bytes()[..index % text.len()]);
            if let Some(spill) = spool.spill() {
                spill.go().await;
            }
        }
        assert!(spool.full.len() * CHUNK <= IN_MEMORY);
        // Half of the lengths on average: one in memory, the rest may fit; more makes the file.
        for index in count..2 * count {
            spool.add(index, text.as_bytes());
            if let Some(spill) = spool.spill() {
                spill.go().await;
            }
        }
        assert!(spool.file.is_some());
        let mut seen = vec![false; 2 * count];
        spool
            .drain(|chunk| {
                for (index, bytes) in texts(&chunk) {
                    let expected = if index < count {
                        index % text.len()
                    } else {
                        text.len()
                    };
                    assert_eq!(bytes.len(), expected);
                    assert!(!std::mem::replace(&mut seen[index], true));
                }
            })
            .unwrap();
        assert!(seen.into_iter().all(|seen| seen));
    }
}
