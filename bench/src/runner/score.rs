//! Scores the texts of a throughput phase, after it, and takes the digest of all scores.
//!
//! While it runs it takes two bytes for each event of the phase, beside the texts.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI16, AtomicU64, Ordering::Relaxed},
        mpsc,
    },
    thread,
};

use sha2::{Digest, Sha256};

use super::{
    phase::{Phase, lock},
    spool::{Spool, texts},
};
use crate::sentiment::{Score, Scorer, Tally, cores};

/// No event has this score.
const UNSCORED: Score = Score::MIN;

/// What the texts said.
#[derive(Debug)]
pub(super) struct Scored {
    pub(super) tally: Tally,
    /// Over every planned event; None where one was not received, or not scored.
    pub(super) digest: Option<String>,
}

/// Progress and an early end, shared with whoever waits.
#[derive(Debug, Default)]
pub(super) struct Watch {
    pub(super) scored: AtomicU64,
    pub(super) stop: AtomicBool,
}

/// Scores every kept text on all cores; blocks. An error is that of the file in which texts waited.
pub(super) fn score(
    phase: &Phase,
    spools: Vec<Spool>,
    watch: &Arc<Watch>,
    name: impl Fn(u32) -> Vec<u8>,
) -> io::Result<Scored> {
    let scores: Arc<[AtomicI16]> = (0..phase.ledger.len())
        .map(|_| AtomicI16::new(UNSCORED))
        .collect();
    let (chunks, waiting) = mpsc::sync_channel::<Vec<u8>>(2 * cores());
    let waiting = Arc::new(Mutex::new(waiting));
    let workers: Vec<_> = (0..cores())
        .map(|_| {
            let (waiting, scores, watch) = (waiting.clone(), scores.clone(), watch.clone());
            thread::spawn(move || work(&waiting, &scores, &watch))
        })
        .collect();
    drop(waiting);
    let mut read = Ok(());
    for spool in spools {
        // Where all workers are gone, the join below says why.
        read = read.and(spool.drain(|chunk| drop(chunks.send(chunk))));
    }
    drop(chunks);
    let mut tally = Tally::default();
    for worker in workers {
        tally.merge(
            &worker
                .join()
                .map_err(|_| io::Error::other("the scorer broke off"))?,
        );
    }
    read?;
    let digest = digest(phase, &scores, name);
    Ok(Scored { tally, digest })
}

fn work(waiting: &Mutex<mpsc::Receiver<Vec<u8>>>, scores: &[AtomicI16], watch: &Watch) -> Tally {
    let scorer = Scorer::new();
    let mut tally = Tally::default();
    loop {
        let Ok(chunk) = lock(waiting).recv() else {
            return tally;
        };
        for (index, text) in texts(&chunk) {
            if watch.stop.load(Relaxed) {
                break;
            }
            let score = scorer.score(&String::from_utf8_lossy(text));
            tally.add(score);
            if let Some(place) = scores.get(index) {
                place.store(score, Relaxed);
            }
            watch.scored.fetch_add(1, Relaxed);
        }
    }
}

/// SHA-256 over a line for each event, in key and sequence order: the key, the sequence number and
/// the score at 4 decimals, separated by tabs. Keys are in order of their numbers.
fn digest(phase: &Phase, scores: &[AtomicI16], name: impl Fn(u32) -> Vec<u8>) -> Option<String> {
    let mut hash = Sha256::new();
    let mut line = Vec::new();
    let mut current = (u32::MAX, Vec::new());
    for ((key, sequence), score) in phase.ledger.ids().zip(scores) {
        let score = score.load(Relaxed);
        if score == UNSCORED {
            return None;
        }
        if key != current.0 {
            current = (key, name(key));
        }
        line.extend_from_slice(&current.1);
        write_line(&mut line, sequence, score);
        if line.len() > 32 << 10 {
            hash.update(&line);
            line.clear();
        }
    }
    hash.update(&line);
    Some(crate::tweets::hex(&hash.finalize()))
}

fn write_line(line: &mut Vec<u8>, sequence: u64, score: Score) {
    use io::Write;
    let sign = if score < 0 { "-" } else { "" };
    let steps = score.unsigned_abs();
    // Writing to a Vec can't fail.
    let _ = writeln!(
        line,
        "\t{sequence}\t{sign}{}.{:04}",
        steps / 10_000,
        steps % 10_000
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_score_is_written_at_four_decimals() {
        for (score, text) in [
            (0, "0.0000"),
            (6_249, "0.6249"),
            (-5, "-0.0005"),
            (10_000, "1.0000"),
            (-10_000, "-1.0000"),
        ] {
            let mut line = Vec::new();
            write_line(&mut line, 7, score);
            assert_eq!(String::from_utf8_lossy(&line), format!("\t7\t{text}\n"));
        }
    }
}
