//! Tweets as CSV (RFC 4180) or as tab-separated lines, with a header that names the columns.

use std::io;

use csv::{ErrorKind, ReaderBuilder, StringRecord};

use super::{
    Texts,
    read::{LONGEST_TEXT, Source, no_text, text_place, too_long, unreadable},
};

pub(super) fn rows(source: &mut Source, delimiter: u8, texts: &mut Texts) -> Result<(), String> {
    source.get_mut().limit_lines(LONGEST_TEXT as u64);
    let mut reader = ReaderBuilder::new()
        .delimiter(delimiter)
        // A tab-separated line has no quotes: they are part of the text.
        .quoting(delimiter == b',')
        .from_reader(&mut *source);
    let header = reader.headers().map_err(|error| explain(&error))?;
    let names: Vec<&str> = header.iter().collect();
    let column = text_place(&names).ok_or_else(|| no_text("has the columns", &names))?;
    let mut row = StringRecord::new();
    while reader
        .read_record(&mut row)
        .map_err(|error| explain(&error))?
    {
        let text = row.get(column).unwrap_or_default();
        if let Some(wrong) = too_long(text.len()) {
            let line = row.position().map_or(0, csv::Position::line);
            return Err(format!(
                "the tweet that begins on line {line} {wrong}: is a quote missing?"
            ));
        }
        texts.push(text);
    }
    drop(reader);
    if delimiter == b',' && source.get_ref().ends_in_quotes() {
        return Err(format!(
            "is cut off in tweet {}: its quotes are never closed",
            texts.len()
        ));
    }
    Ok(())
}

fn explain(error: &csv::Error) -> String {
    match error.kind() {
        ErrorKind::Io(error) => unreadable(error),
        ErrorKind::UnequalLengths {
            pos,
            expected_len,
            len,
        } => {
            let line = pos.as_ref().map_or(0, csv::Position::line);
            let fields = if *len == 1 { "field" } else { "fields" };
            format!(
                "line {line} has {len} {fields} where the header has {expected_len}: is the file cut off, or a quote missing?"
            )
        }
        _ => unreadable(&io::Error::other(error.to_string())),
    }
}
