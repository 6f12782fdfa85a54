//! Amounts as people write them: `1KB`, `2000/s`, `30s`, `1_000_000`, `2M`. Read and printed in one place.
//!
//! Sizes are bytes (`KB` is 1,000, `KiB` 1,024), rates events per second, counts plain numbers. A duration always carries its
//! unit, so that `10` is never taken for the wrong one.

use std::time::Duration;

use serde::{Deserialize, Deserializer, de};

const COUNT_FORMS: &str = "a whole number such as 200000, 200_000, 200k or 2M";
const SIZE_FORMS: &str = "a size such as 512, 512B, 1KB (1,000 bytes), 1KiB (1,024) or 2MiB";
const RATE_FORMS: &str = "events per second such as 1000, 1000/s, 5k/s or 90000/min";
const DURATION_FORMS: &str = "a time with its unit such as 250ms, 30s, 1.5s, 2m or 1h";

/// A number of things.
pub fn parse_count(text: &str) -> Result<u64, String> {
    let scale = |unit: &str| match unit {
        "" => Some(1.0),
        "k" | "K" => Some(1e3),
        "m" | "M" => Some(1e6),
        "g" | "G" => Some(1e9),
        _ => None,
    };
    whole(text, scale).ok_or_else(|| not(text, COUNT_FORMS))
}

/// A size in bytes.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let scale = |unit: &str| match unit.to_ascii_lowercase().as_str() {
        "" | "b" => Some(1.0),
        "k" | "kb" => Some(1e3),
        "kib" => Some(1024.0),
        "m" | "mb" => Some(1e6),
        "mib" => Some(1_048_576.0),
        "g" | "gb" => Some(1e9),
        "gib" => Some(1_073_741_824.0),
        _ => None,
    };
    whole(text, scale).ok_or_else(|| not(text, SIZE_FORMS))
}

/// Events per second, above zero.
pub fn parse_rate(text: &str) -> Result<f64, String> {
    let (amount, per) = match text.split_once('/') {
        None => (text, 1.0),
        Some((amount, "s" | "sec" | "second")) => (amount, 1.0),
        Some((amount, "m" | "min" | "minute")) => (amount, 60.0),
        Some((amount, "h" | "hour")) => (amount, 3600.0),
        Some(_) => return Err(not(text, RATE_FORMS)),
    };
    let scale = |unit: &str| match unit {
        "" => Some(1.0),
        "k" | "K" => Some(1e3),
        "m" | "M" => Some(1e6),
        _ => None,
    };
    let rate = scaled(amount, scale).ok_or_else(|| not(text, RATE_FORMS))? / per;
    if rate > 0.0 {
        Ok(rate)
    } else {
        Err("a rate of 0 sends nothing: give one above 0".into())
    }
}

/// A time.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let seconds = scaled(text, |unit| match unit {
        "us" | "µs" | "μs" => Some(1e-6),
        "ms" => Some(1e-3),
        "s" | "sec" => Some(1.0),
        "m" | "min" => Some(60.0),
        "h" => Some(3600.0),
        _ => None,
    });
    let seconds = match seconds {
        Some(seconds) => seconds,
        // A bare 0 is 0 in every unit.
        None if text.trim() == "0" => 0.0,
        None => return Err(not(text, DURATION_FORMS)),
    };
    Duration::try_from_secs_f64(seconds).map_err(|_| not(text, DURATION_FORMS))
}

/// For `#[serde(deserialize_with)]`: a number, or a string as [`parse_count`] reads it.
pub fn deserialize_count<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    match Amount::deserialize(from)? {
        Amount::Whole(n) => Ok(n),
        Amount::Text(text) => parse_count(&text).map_err(de::Error::custom),
        Amount::Real(n) => Err(de::Error::custom(not(&n.to_string(), COUNT_FORMS))),
    }
}

/// For `#[serde(deserialize_with)]`: a number, or a string as [`parse_bytes`] reads it.
pub fn deserialize_bytes<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    match Amount::deserialize(from)? {
        Amount::Whole(n) => Ok(n),
        Amount::Text(text) => parse_bytes(&text).map_err(de::Error::custom),
        Amount::Real(n) => Err(de::Error::custom(not(&n.to_string(), SIZE_FORMS))),
    }
}

/// For `#[serde(deserialize_with)]`: a number, or a string as [`parse_rate`] reads it.
pub fn deserialize_rate<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
    let text = match Amount::deserialize(from)? {
        Amount::Whole(n) => n.to_string(),
        Amount::Real(n) => n.to_string(),
        Amount::Text(text) => text,
    };
    parse_rate(&text).map_err(de::Error::custom)
}

/// For `#[serde(deserialize_with)]`: a string as [`parse_duration`] reads it.
pub fn deserialize_duration<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let text = match Amount::deserialize(from)? {
        Amount::Whole(n) => n.to_string(),
        Amount::Real(n) => n.to_string(),
        Amount::Text(text) => text,
    };
    parse_duration(&text).map_err(de::Error::custom)
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a number or a string with a unit")]
enum Amount {
    Whole(u64),
    Real(f64),
    Text(String),
}

/// `1234567` as `1,234,567`.
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Microseconds to three significant digits in the unit that reads best: `4.21 ms`.
pub fn micros(us: u64) -> String {
    match us {
        0..=999 => format!("{us} µs"),
        1_000..=999_499 => format!("{} ms", three_digits(us as f64 / 1e3)),
        _ => format!("{} s", three_digits(us as f64 / 1e6)),
    }
}

/// A size in the unit that reads best: `140 B`, `1.5 MiB`.
pub fn bytes(n: u64) -> String {
    const STEP: f64 = 1024.0;
    let mut value = n as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < STEP {
            return if unit == "B" {
                format!("{n} B")
            } else {
                format!("{} {unit}", three_digits(value))
            };
        }
        value /= STEP;
    }
    format!("{} TiB", three_digits(value))
}

/// A number in the fewest signs that keep three significant digits: `1.25 M`, `940 k`, `87`.
pub fn short(value: f64) -> String {
    if value >= 999_500.0 {
        format!("{} M", three_digits(value / 1e6))
    } else if value >= 9_995.0 {
        format!("{} k", three_digits(value / 1e3))
    } else {
        count(value.round().max(0.0) as u64)
    }
}

fn three_digits(value: f64) -> String {
    let places = match value {
        v if v >= 99.95 => 0,
        v if v >= 9.995 => 1,
        _ => 2,
    };
    format!("{value:.places$}")
}

/// The number before the unit, times the unit.
fn scaled(text: &str, scale: impl Fn(&str) -> Option<f64>) -> Option<f64> {
    let text = text.trim();
    let end = text
        .find(|c: char| !c.is_ascii_digit() && !matches!(c, '.' | '_'))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    if !number.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let number: f64 = number.replace('_', "").parse().ok()?;
    Some(number * scale(unit.trim())?)
}

/// As [`scaled`], and a whole number that f64 holds exactly.
fn whole(text: &str, scale: impl Fn(&str) -> Option<f64>) -> Option<u64> {
    let value = scaled(text, scale)?;
    (value.fract() == 0.0 && value <= 9_007_199_254_740_992.0).then_some(value as u64)
}

fn not(text: &str, forms: &str) -> String {
    format!("'{text}' is not {forms}")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn counts() {
        for (text, n) in [
            ("0", 0),
            ("1_000_000", 1_000_000),
            ("200k", 200_000),
            ("1.5M", 1_500_000),
        ] {
            assert_eq!(parse_count(text).unwrap(), n, "{text}");
        }
        for text in [
            "",
            "k",
            "-1",
            "1.5",
            "1x",
            "_1",
            "NaN",
            "inf",
            "99999999999999999999",
        ] {
            let told = parse_count(text).unwrap_err();
            assert!(told.contains("200k"), "{told}");
        }
    }

    #[test]
    fn sizes() {
        for (text, n) in [
            ("512", 512),
            ("1KB", 1_000),
            ("1KiB", 1_024),
            ("1 MiB", 1 << 20),
            ("2mb", 2_000_000),
        ] {
            assert_eq!(parse_bytes(text).unwrap(), n, "{text}");
        }
        assert!(parse_bytes("1 parsec").unwrap_err().contains("1KiB"));
    }

    #[test]
    fn rates() {
        for (text, n) in [
            ("2000/s", 2000.0),
            ("2000", 2000.0),
            ("5k/s", 5000.0),
            ("60/min", 1.0),
            ("0.5", 0.5),
        ] {
            assert_eq!(parse_rate(text).unwrap(), n, "{text}");
        }
        assert!(parse_rate("0").unwrap_err().contains("above 0"));
        assert!(parse_rate("5/fortnight").unwrap_err().contains("1000/s"));
    }

    #[test]
    fn durations_carry_their_unit() {
        for (text, ms) in [
            ("250ms", 250),
            ("30s", 30_000),
            ("1.5s", 1_500),
            ("2m", 120_000),
            ("0", 0),
        ] {
            assert_eq!(parse_duration(text).unwrap().as_millis(), ms, "{text}");
        }
        for text in ["10", "s", "1d", "1e400h", "-1s"] {
            assert!(parse_duration(text).unwrap_err().contains("30s"), "{text}");
        }
    }

    #[test]
    fn prints_three_digits() {
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(
            [0, 999, 4_210, 42_100, 999_499, 999_500, 61_000_000]
                .map(micros)
                .join("; "),
            "0 µs; 999 µs; 4.21 ms; 42.1 ms; 999 ms; 1.00 s; 61.0 s"
        );
        assert_eq!(
            [140, 1_536, 5 << 20].map(bytes).join("; "),
            "140 B; 1.50 KiB; 5.00 MiB"
        );
        assert_eq!(
            [87.4, 9_400.0, 94_000.0, 1_250_000.0].map(short).join("; "),
            "87; 9,400; 94.0 k; 1.25 M"
        );
    }
}
