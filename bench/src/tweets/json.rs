//! Tweets as a JSON array, or one object a line. Read piece by piece, never as a whole tree.

use std::{fmt, io::BufRead};

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{
    Texts,
    read::{LONGEST_TEXT, Source, TEXT_NAMES, no_text, too_long, unreadable},
};

/// `[{"text": "..."}, ...]` or `["...", ...]`.
pub(super) fn array(source: &mut Source, texts: &mut Texts) -> Result<(), String> {
    let mut parser = serde_json::Deserializer::from_reader(source);
    let result = parser.deserialize_seq(Array(texts));
    result.map_err(|error| explain_array(&error, texts.len()))?;
    parser.end().map_err(|error| match error.classify() {
        serde_json::error::Category::Io => explain_array(&error, texts.len()),
        _ => format!(
            "line {}, byte {}: there is something after the array",
            error.line(),
            error.column()
        ),
    })
}

fn explain_array(error: &serde_json::Error, tweets: usize) -> String {
    let (line, column) = (error.line(), error.column());
    match error.classify() {
        serde_json::error::Category::Eof => {
            format!(
                "is cut off after {tweets} tweets (line {line}, byte {column}): the array never ends"
            )
        }
        serde_json::error::Category::Io => unreadable(&std::io::Error::new(
            error.io_error_kind().unwrap_or(std::io::ErrorKind::Other),
            error.to_string(),
        )),
        serde_json::error::Category::Data => plain(error),
        serde_json::error::Category::Syntax => {
            format!(
                "after {tweets} tweets, line {line}, byte {column}: {}",
                plain(error)
            )
        }
    }
}

/// `{"text": "..."}` and a line feed, again and again. Blank lines are allowed.
pub(super) fn lines(source: &mut Source, texts: &mut Texts) -> Result<(), String> {
    source.get_mut().limit_lines(LONGEST_TEXT as u64);
    let mut line = String::new();
    for number in 1u64.. {
        line.clear();
        if source
            .read_line(&mut line)
            .map_err(|error| unreadable(&error))?
            == 0
        {
            break;
        }
        if line.trim().is_empty() {
            continue;
        }
        let mut parser = serde_json::Deserializer::from_str(&line);
        let what = format!("line {number}");
        let result = Tweet { texts, what: &what }
            .deserialize(&mut parser)
            .and_then(|()| parser.end());
        result.map_err(|error| match error.classify() {
            serde_json::error::Category::Eof => {
                format!("{what} is cut off at byte {}", error.column())
            }
            serde_json::error::Category::Data => plain(&error),
            _ => format!("{what}, byte {}: {}", error.column(), plain(&error)),
        })?;
    }
    Ok(())
}

/// serde_json's words without the place, which is said before.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

struct Array<'a>(&'a mut Texts);

impl<'de> Visitor<'de> for Array<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of tweets")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut tweets: A) -> Result<(), A::Error> {
        let mut number = 0u64;
        loop {
            number += 1;
            let what = Numbered(number);
            let tweet = Tweet {
                texts: &mut *self.0,
                what: &what,
            };
            if tweets.next_element_seed(tweet)?.is_none() {
                return Ok(());
            }
        }
    }
}

struct Numbered(u64);

impl fmt::Display for Numbered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tweet {}", self.0)
    }
}

/// One tweet, an object or a string, whose text goes to `texts`. `what` names it in an error.
struct Tweet<'a, D> {
    texts: &'a mut Texts,
    what: &'a D,
}

impl<'de, D: fmt::Display> DeserializeSeed<'de> for Tweet<'_, D> {
    type Value = ();

    fn deserialize<P: Deserializer<'de>>(self, parser: P) -> Result<(), P::Error> {
        parser.deserialize_any(self)
    }
}

impl<'de, D: fmt::Display> Visitor<'de> for Tweet<'_, D> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} as an object with a text, or as a string", self.what)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        if let Some(wrong) = too_long(text.len()) {
            return Err(E::custom(format!("{} {wrong}", self.what)));
        }
        self.texts.push(text);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let mut best: Option<(usize, String)> = None;
        let mut others = Vec::new();
        while let Some(name) = fields.next_key::<String>()? {
            let rank = TEXT_NAMES
                .iter()
                .position(|known| name.trim().eq_ignore_ascii_case(known));
            match rank {
                Some(rank) if best.as_ref().is_none_or(|(best, _)| rank < *best) => {
                    let Text(text) = fields.next_value()?;
                    let text = text.ok_or_else(|| {
                        A::Error::custom(format!("{}: the field `{name}` is no string", self.what))
                    })?;
                    best = Some((rank, text));
                }
                _ => {
                    fields.next_value::<IgnoredAny>()?;
                    others.push(name);
                }
            }
        }
        match best {
            Some((_, text)) => self.visit_str(&text),
            None if others.is_empty() => Err(A::Error::custom(format!(
                "{} has no fields, and so no text",
                self.what
            ))),
            None => Err(A::Error::custom(no_text(
                &format!("{} has the fields", self.what),
                &others,
            ))),
        }
    }
}

/// A string, or None for anything else.
struct Text(Option<String>);

impl<'de> serde::Deserialize<'de> for Text {
    fn deserialize<P: Deserializer<'de>>(parser: P) -> Result<Self, P::Error> {
        struct Strings;
        impl<'de> Visitor<'de> for Strings {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
                Ok(Text(Some(text.to_owned())))
            }

            fn visit_string<E: Error>(self, text: String) -> Result<Text, E> {
                Ok(Text(Some(text)))
            }

            fn visit_unit<E: Error>(self) -> Result<Text, E> {
                Ok(Text(None))
            }

            fn visit_bool<E: Error>(self, _: bool) -> Result<Text, E> {
                Ok(Text(None))
            }

            fn visit_i64<E: Error>(self, _: i64) -> Result<Text, E> {
                Ok(Text(None))
            }

            fn visit_u64<E: Error>(self, _: u64) -> Result<Text, E> {
                Ok(Text(None))
            }

            fn visit_f64<E: Error>(self, _: f64) -> Result<Text, E> {
                Ok(Text(None))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Text, A::Error> {
                while items.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Text(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Text, A::Error> {
                while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Text(None))
            }
        }
        parser.deserialize_any(Strings)
    }
}
