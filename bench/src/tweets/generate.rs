//! Made-up tweets: the same for the same seed, a fifth of them with emoji or other scripts.

use rand_pcg::{Pcg64, rand_core::SeedableRng};

use super::Texts;
use crate::keys::below;

/// How many are made: enough that few repeat in a short run.
pub const GENERATED: usize = 10_000;

const SUBJECTS: [&str; 16] = [
    "my train",
    "this coffee",
    "the new phone",
    "our team",
    "that film",
    "the weather",
    "this song",
    "my manager",
    "the match",
    "dinner",
    "the update",
    "their support",
    "the queue",
    "this city",
    "my cat",
    "the concert",
];
const GOOD: [&str; 16] = [
    "is amazing",
    "made me so happy",
    "was a great surprise",
    "is the best",
    "looks beautiful",
    "is really good",
    "was worth every penny",
    "is awesome",
    "made my day",
    "is so much fun",
    "was perfect",
    "is a joy",
    "won, what a success",
    "was lovely",
    "is brilliant",
    "made everyone smile",
];
const BAD: [&str; 16] = [
    "is terrible",
    "made me so angry",
    "was a sad disappointment",
    "is the worst",
    "looks awful",
    "is really bad",
    "was a waste of money",
    "is broken again",
    "ruined my day",
    "is so annoying",
    "was horrible",
    "is a nightmare",
    "lost, what a failure",
    "was rude",
    "is a disaster",
    "made everyone cry",
];
const PLAIN: [&str; 16] = [
    "starts at nine",
    "is on the table",
    "arrives on Tuesday",
    "has a new colour",
    "is near the station",
    "opens at ten",
    "was on the radio",
    "is in the next room",
    "costs twelve euros",
    "comes in two sizes",
    "moved to the second floor",
    "is number 7",
    "was in the paper",
    "runs on Linux",
    "ends in June",
    "is from Lisbon",
];
const OPENERS: [&str; 12] = [
    "",
    "",
    "",
    "ok so ",
    "honestly, ",
    "btw ",
    "just saw: ",
    "RT @reader: ",
    "today ",
    "well, ",
    "I think ",
    "not sure but ",
];
const ENDINGS: [&str; 12] = [
    "",
    "",
    ".",
    "!",
    "!!!",
    "...",
    " #monday",
    " #life",
    " lol",
    " tbh",
    " (again)",
    " https://example.org/p",
];
/// Joined by zero-width joiners, flags, skin tones, and plain ones.
const EMOJI: [&str; 16] = [
    "👩‍💻",
    "👨‍👩‍👧‍👦",
    "🏳️‍🌈",
    "👩🏽‍🚀",
    "🇵🇹",
    "🇯🇵",
    "🇧🇷",
    "👍🏿",
    "👋🏻",
    "🙏🏾",
    "😀",
    "😭",
    "❤️",
    "🔥",
    "💔",
    "🎉",
];
const SCRIPTS: [&str; 10] = [
    "日本語でつぶやく",
    "доброе утро",
    "مرحبا بالجميع",
    "καλημέρα",
    "שלום לכם",
    "오늘 날씨 좋다",
    "สวัสดีครับ",
    "नमस्ते दोस्तों",
    "Überraschung, naïve façade",
    "e\u{301}te\u{301} a\u{300} la plage",
];

pub(super) fn texts(seed: u64, count: usize) -> Texts {
    let mut random = Pcg64::seed_from_u64(seed ^ 0x7477_6565_7473);
    let mut texts = Texts::default();
    let mut text = String::new();
    for _ in 0..count {
        text.clear();
        one(&mut random, &mut text);
        texts.push(&text);
    }
    texts
}

fn one(random: &mut Pcg64, text: &mut String) {
    text.push_str(pick(random, &OPENERS));
    text.push_str(pick(random, &SUBJECTS));
    text.push(' ');
    // As in the real tweets, more are kind than not.
    text.push_str(match below(random, 10) {
        0..4 => pick(random, &GOOD),
        4..7 => pick(random, &BAD),
        _ => pick(random, &PLAIN),
    });
    if below(random, 4) == 0 {
        text.push_str(", and ");
        text.push_str(pick(random, &SUBJECTS));
        text.push(' ');
        text.push_str(pick(random, &PLAIN));
    }
    text.push_str(pick(random, &ENDINGS));
    if below(random, 5) == 0 {
        text.push(' ');
        if below(random, 3) == 0 {
            text.push_str(pick(random, &SCRIPTS));
        } else {
            for _ in 0..=below(random, 3) {
                text.push_str(pick(random, &EMOJI));
            }
        }
    }
    // Twitter's old measure, in characters; never within a joined emoji, which come last.
    debug_assert!(text.chars().count() <= 140, "{text}");
}

fn pick<'a>(random: &mut Pcg64, from: &[&'a str]) -> &'a str {
    from[below(random, from.len() as u64) as usize]
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::sentiment::{Tally, score_all};

    #[test]
    fn the_same_seed_gives_the_same_texts() {
        assert_eq!(texts(7, 100), texts(7, 100));
        assert_ne!(texts(7, 100), texts(8, 100));
    }

    #[test]
    fn a_fifth_has_emoji_or_another_script() {
        let texts = texts(7, GENERATED);
        let wide = texts.iter().filter(|text| !text.is_ascii()).count();
        assert!((1_800..=2_200).contains(&wide), "{wide}");
        for part in ["\u{200d}", "🇵🇹", "🏿", "日本"] {
            assert!(texts.iter().any(|text| text.contains(part)), "{part}");
        }
    }

    #[test]
    fn all_three_moods_are_there() {
        let texts = texts(7, 2_000);
        let all: Vec<&str> = texts.iter().collect();
        let mut tally = Tally::default();
        score_all(&all)
            .into_iter()
            .for_each(|score| tally.add(score));
        for part in [tally.positive, tally.neutral, tally.negative] {
            assert!(part > 300, "{tally:?}");
        }
    }
}
