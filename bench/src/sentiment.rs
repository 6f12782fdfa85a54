//! Scores texts with VADER (Hutto and Gilbert, ICWSM 2014).

use std::{
    num::NonZeroUsize,
    thread,
    time::{Duration, Instant},
};

use vader_sentimental::SentimentIntensityAnalyzer;

/// Longer texts are cut here before they are scored, at a character's boundary: the scorer's time
/// grows with the square of the length (2.7 s at 70 KB).
pub const SCORED_BYTES: usize = 4_096;

/// A compound score in steps of 0.0001, from -10,000 to 10,000: scores are compared at 4 decimals.
pub type Score = i16;

const STEPS: f64 = 10_000.0;
/// VADER's own thresholds for positive and negative: 0.05.
const THRESHOLD: Score = 500;

/// Scores one text after another. Every text is scored anew: nothing is looked up.
#[derive(Debug)]
pub struct Scorer(SentimentIntensityAnalyzer<'static>);

impl Default for Scorer {
    fn default() -> Self {
        Self::new()
    }
}

impl Scorer {
    /// A scorer; the first one of a process reads the lexicon, which takes some milliseconds.
    pub fn new() -> Self {
        Self(SentimentIntensityAnalyzer::new())
    }

    /// The compound score of a text.
    pub fn score(&self, text: &str) -> Score {
        let compound = self.0.polarity_scores(capped(text)).compound;
        (compound * STEPS).round() as Score
    }
}

/// The part of a text that is scored.
fn capped(text: &str) -> &str {
    &text[..text.floor_char_boundary(SCORED_BYTES)]
}

/// What a number of scores come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Texts scored.
    pub scored: u64,
    /// 0.05 or more.
    pub positive: u64,
    /// Between.
    pub neutral: u64,
    /// -0.05 or less.
    pub negative: u64,
    sum: i64,
}

impl Tally {
    /// Adds one score.
    pub fn add(&mut self, score: Score) {
        self.scored += 1;
        self.sum += i64::from(score);
        match score {
            THRESHOLD.. => self.positive += 1,
            ..=-500 => self.negative += 1,
            _ => self.neutral += 1,
        }
    }

    /// Adds all scores of another one.
    pub fn merge(&mut self, other: &Self) {
        self.scored += other.scored;
        self.positive += other.positive;
        self.neutral += other.neutral;
        self.negative += other.negative;
        self.sum += other.sum;
    }

    /// The mean compound score, -1 to 1; 0 without scores.
    pub fn mean(&self) -> f64 {
        if self.scored == 0 {
            0.0
        } else {
            self.sum as f64 / STEPS / self.scored as f64
        }
    }
}

/// How well the scores agree with people.
#[derive(Debug, Clone, Copy)]
pub struct Agreement {
    /// Pearson's correlation of the scores with the mean human ratings.
    pub correlation: f64,
    /// Texts scored.
    pub texts: usize,
    /// Texts scored in a second, on all cores.
    pub texts_per_s: f64,
}

/// Scores `texts` on all cores and compares with `ratings`, the human ones. None if there are
/// fewer than two, or all are alike.
pub fn agreement<T: AsRef<str> + Sync>(texts: &[T], ratings: &[f64]) -> Option<Agreement> {
    // The lexicon is read before the clock starts.
    Scorer::new().score("warm");
    let begun = Instant::now();
    let scores = score_all(texts);
    let took = begun.elapsed().max(Duration::from_nanos(1));
    let scores: Vec<f64> = scores.into_iter().map(f64::from).collect();
    Some(Agreement {
        correlation: pearson(&scores, ratings)?,
        texts: texts.len(),
        texts_per_s: texts.len() as f64 / took.as_secs_f64(),
    })
}

/// The scores of `texts` in their order, by as many threads as there are cores.
pub fn score_all<T: AsRef<str> + Sync>(texts: &[T]) -> Vec<Score> {
    let share = texts.len().div_ceil(cores()).max(1);
    let score = |part: &[T]| -> Vec<Score> {
        let scorer = Scorer::new();
        part.iter()
            .map(|text| scorer.score(text.as_ref()))
            .collect()
    };
    thread::scope(|scope| {
        let threads: Vec<_> = texts
            .chunks(share)
            .map(|part| scope.spawn(move || score(part)))
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    })
}

/// Processors that this process may use.
pub(crate) fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// Pearson's product-moment correlation. None where it is not defined.
fn pearson(left: &[f64], right: &[f64]) -> Option<f64> {
    if left.len() != right.len() || left.len() < 2 {
        return None;
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (mean_left, mean_right) = (mean(left), mean(right));
    let (mut both, mut squares_left, mut squares_right) = (0.0, 0.0, 0.0);
    for (one, other) in left.iter().zip(right) {
        let (one, other) = (one - mean_left, other - mean_right);
        both += one * other;
        squares_left += one * one;
        squares_right += other * other;
    }
    let spread = (squares_left * squares_right).sqrt();
    (spread > 0.0).then(|| both / spread)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn scores_what_people_mean() {
        let scorer = Scorer::new();
        // From the scorer's own documentation of the method: a plain positive, negative and
        // neutral sentence.
        assert!(scorer.score("VADER is smart, handsome, and funny!") > 8_000);
        assert!(scorer.score("Today SUX!") < -3_000);
        assert_eq!(scorer.score("The book was on the table."), 0);
        assert_eq!(scorer.score(""), 0);
    }

    #[test]
    fn tallies_by_the_thresholds() {
        let mut tally = Tally::default();
        [500, 499, 0, -499, -500, 10_000]
            .into_iter()
            .for_each(|score| tally.add(score));
        assert_eq!(
            (tally.scored, tally.positive, tally.neutral, tally.negative),
            (6, 2, 3, 1)
        );
        assert!((tally.mean() - 10_000.0 / 6.0 / 10_000.0).abs() < 1e-12);
        assert_eq!(Tally::default().mean(), 0.0);
    }

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        let text = format!("{}é and more", "x".repeat(SCORED_BYTES - 1));
        assert_eq!(capped(&text).len(), SCORED_BYTES - 1);
        let begun = Instant::now();
        Scorer::new().score(&"great ".repeat(100_000));
        assert!(begun.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn many_threads_keep_the_order() {
        let texts: Vec<String> = (0..1_000)
            .map(|number| format!("{} day {number}", ["good", "bad", "some"][number % 3]))
            .collect();
        let scorer = Scorer::new();
        let one_by_one: Vec<Score> = texts.iter().map(|text| scorer.score(text)).collect();
        assert_eq!(score_all(&texts), one_by_one);
        assert!(score_all::<&str>(&[]).is_empty());
    }

    #[test]
    fn correlation_is_pearsons() {
        assert_eq!(pearson(&[1.0, 2.0, 3.0], &[2.0, 4.0, 6.0]), Some(1.0));
        assert_eq!(pearson(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]), Some(-1.0));
        // By hand: the products of the deviations sum to 3, their squares to 2 and 14/3.
        let expected = 3.0 / (2.0f64 * 14.0 / 3.0).sqrt();
        assert!((pearson(&[1.0, 2.0, 3.0], &[1.0, 2.0, 4.0]).unwrap() - expected).abs() < 1e-12);
        assert_eq!(pearson(&[1.0, 1.0], &[1.0, 2.0]), None);
        assert_eq!(pearson(&[1.0], &[1.0]), None);
    }
}
