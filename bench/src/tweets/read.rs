//! Files of tweets: which format, and what is said of a bad one.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use super::{Texts, checked::Checked, json, table};
use crate::{bad_input::BadInput, nearest};

/// What a field or column of texts may be called, in any case; the first of these that is there
/// is taken.
pub const TEXT_NAMES: [&str; 8] = [
    "full_text",
    "text",
    "tweet",
    "tweet_text",
    "content",
    "message",
    "body",
    "sentence",
];

/// A longer text, and a longer line where a line is a tweet, is refused: 1 MiB.
pub const LONGEST_TEXT: usize = 1 << 20;

/// What a file held.
#[derive(Debug)]
pub(super) struct FileTexts {
    pub(super) texts: Texts,
    pub(super) sha256: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Array,
    Lines,
    Csv,
    Tsv,
}

/// A file under the checks, buffered.
pub(super) type Source = BufReader<Checked<Box<dyn Read>>>;

pub(super) fn file(path: &Path) -> Result<FileTexts, BadInput> {
    let say = |what: String| BadInput::new(format!("the tweets file {}: {what}", path.display()));
    let open = || -> io::Result<Box<dyn Read>> {
        if std::fs::metadata(path)?.is_dir() {
            return Err(io::Error::new(
                io::ErrorKind::IsADirectory,
                "is a folder: name a file in it",
            ));
        }
        Ok(Box::new(File::open(path)?))
    };
    let file = open().map_err(|error| {
        say(match error.kind() {
            io::ErrorKind::NotFound => "is not there".into(),
            io::ErrorKind::IsADirectory => error.to_string(),
            _ => format!("can't be read: {error}"),
        })
    })?;
    parse(
        file,
        path.extension().and_then(|extension| extension.to_str()),
    )
    .map_err(say)
}

/// Reads a whole file; an error is the part of the line after the file's name.
fn parse(file: Box<dyn Read>, extension: Option<&str>) -> Result<FileTexts, String> {
    let mut source = BufReader::with_capacity(256 << 10, Checked::new(file));
    skip_mark(&mut source)?;
    let first = first_byte(&mut source)?.ok_or("is empty: it has to hold at least one tweet")?;
    let mut texts = Texts::default();
    let format = format(extension, first, &mut source)?;
    match format {
        Format::Array => json::array(&mut source, &mut texts)?,
        Format::Lines => json::lines(&mut source, &mut texts)?,
        Format::Csv => table::rows(&mut source, b',', &mut texts)?,
        Format::Tsv => table::rows(&mut source, b'\t', &mut texts)?,
    }
    if texts.iter().all(|text| text.trim().is_empty()) {
        return Err(format!(
            "holds no texts: {} tweets, all of them without a word",
            texts.len()
        ));
    }
    let sha256 = source
        .into_inner()
        .sha256()
        .map_err(|error| unreadable(&error))?;
    Ok(FileTexts { texts, sha256 })
}

/// A mark of byte order before the text, as some Windows programs write.
fn skip_mark(source: &mut Source) -> Result<(), String> {
    let bytes = source.fill_buf().map_err(|error| unreadable(&error))?;
    if bytes.starts_with(b"\xef\xbb\xbf") {
        source.consume(3);
    }
    Ok(())
}

/// The first byte that is not blank; what is blank before it is not consumed.
fn first_byte(source: &mut Source) -> Result<Option<u8>, String> {
    let bytes = source.fill_buf().map_err(|error| unreadable(&error))?;
    Ok(bytes
        .iter()
        .copied()
        .find(|byte| !byte.is_ascii_whitespace()))
}

fn format(extension: Option<&str>, first: u8, source: &mut Source) -> Result<Format, String> {
    let extension = extension.map(str::to_ascii_lowercase);
    Ok(match (extension.as_deref(), first) {
        (Some("csv"), _) => Format::Csv,
        (Some("tsv" | "tab"), _) => Format::Tsv,
        (_, b'[') => Format::Array,
        (_, b'{') => Format::Lines,
        (Some("json" | "ndjson" | "jsonl"), _) => {
            return Err(
                "is no JSON: it has to begin with [ (an array of tweets) or { (a tweet a line)"
                    .into(),
            );
        }
        _ => {
            let bytes = source.fill_buf().map_err(|error| unreadable(&error))?;
            let line = bytes
                .split(|byte| *byte == b'\n')
                .next()
                .unwrap_or_default();
            if line.contains(&b'\t') {
                Format::Tsv
            } else {
                Format::Csv
            }
        }
    })
}

/// The words for a file that can't be read on, whatever parser met it.
pub(super) fn unreadable(error: &io::Error) -> String {
    match error.kind() {
        // Said by `Checked`, in full.
        io::ErrorKind::InvalidData => error.to_string(),
        _ => format!("can't be read: {error}"),
    }
}

/// Where the text is among these names.
pub(super) fn text_place<S: AsRef<str>>(names: &[S]) -> Option<usize> {
    TEXT_NAMES.iter().find_map(|known| {
        names
            .iter()
            .position(|name| name.as_ref().trim().eq_ignore_ascii_case(known))
    })
}

/// The words for names among which is none of a text.
pub(super) fn no_text<S: AsRef<str>>(what: &str, names: &[S]) -> String {
    const SHOWN: usize = 10;
    let shown: Vec<String> = names
        .iter()
        .take(SHOWN)
        .map(|name| format!("`{}`", name.as_ref().chars().take(40).collect::<String>()))
        .collect();
    let more = if names.len() > SHOWN { ", ..." } else { "" };
    let near = names.iter().find_map(|name| {
        nearest::nearest(&name.as_ref().to_lowercase(), TEXT_NAMES)
            .map(|known| (name.as_ref(), known))
    });
    let advice = match near {
        Some((name, known)) => format!("rename `{name}` to `{known}`"),
        None => format!(
            "call the one with the texts `text` (also taken: {})",
            TEXT_NAMES.join(", ")
        ),
    };
    format!("{what} {}{more}, and no texts: {advice}", shown.join(", "))
}

/// A text that is too long for one.
pub(super) fn too_long(bytes: usize) -> Option<String> {
    (bytes > LONGEST_TEXT).then(|| format!("has {bytes} bytes, the limit is {LONGEST_TEXT}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(extension: &str, text: impl Into<Vec<u8>>) -> Result<Vec<String>, String> {
        let file = Box::new(io::Cursor::new(text.into()));
        let extension = Some(extension).filter(|extension| !extension.is_empty());
        let read = parse(file, extension)?;
        Ok(read.texts.iter().map(str::to_owned).collect())
    }

    const THREE: [&str; 3] = ["so happy", "a \"bad\" day,\nreally", "日本 👩‍💻"];

    #[test]
    fn each_format_is_read() {
        let array = serde_json::json!([
            {"id": 1, "text": THREE[0], "user": {"text": "not this"}},
            {"text": THREE[1]},
            THREE[2],
        ]);
        assert_eq!(read("json", array.to_string()).unwrap(), THREE);
        assert_eq!(
            read("", serde_json::to_string_pretty(&array).unwrap()).unwrap(),
            THREE
        );
        let lines: String = THREE
            .iter()
            .map(|text| format!("{}\n", serde_json::json!({"tweet": text})))
            .collect();
        assert_eq!(read("ndjson", lines.clone()).unwrap(), THREE);
        assert_eq!(
            read("json", format!("\n{}", lines.trim_end())).unwrap(),
            THREE
        );
        let csv = "id,Full_Text\r\n1,so happy\r\n2,\"a \"\"bad\"\" day,\nreally\"\r\n3,日本 👩‍💻\r\n";
        assert_eq!(read("csv", csv).unwrap(), THREE);
        assert_eq!(read("", csv).unwrap(), THREE);
        let tsv = "text\tid\nso happy\t1\na \"bad\tx\n日本 👩‍💻\t3";
        assert_eq!(read("tsv", tsv).unwrap(), [THREE[0], "a \"bad", THREE[2]]);
        assert_eq!(read("", tsv).unwrap().len(), 3);
        assert_eq!(read("csv", "\u{feff}text\nhello\n").unwrap(), ["hello"]);
    }

    #[test]
    fn the_longer_name_wins() {
        assert_eq!(
            read("csv", "text,full_text\nshort,whole\n").unwrap(),
            ["whole"]
        );
        assert_eq!(
            read("ndjson", r#"{"text":"short","full_text":"whole"}"#).unwrap(),
            ["whole"]
        );
    }

    #[test]
    fn every_bad_file_gets_one_clear_line() {
        let long = "x".repeat(10 << 20);
        let cases: [(&str, Vec<u8>, &str); 19] = [
            ("json", b"".to_vec(), "is empty"),
            ("csv", b" \n \n".to_vec(), "is empty"),
            (
                "json",
                b"hello".to_vec(),
                "is no JSON: it has to begin with [",
            ),
            ("json", b"[]".to_vec(), "holds no texts"),
            (
                "json",
                br#"[{"text":"a"},{"text":"b"},{"te"#.to_vec(),
                "cut off after 2 tweets (line 1, byte 31)",
            ),
            (
                "json",
                br#"[{"text":"a"},{"text":"b"}"#.to_vec(),
                "cut off after 2 tweets",
            ),
            (
                "json",
                br#"[{"text":"a"},{"txet":"b"}]"#.to_vec(),
                "tweet 2 has the fields `txet`, and no texts: rename `txet` to `text`",
            ),
            (
                "json",
                br#"[{"text":7}]"#.to_vec(),
                "tweet 1: the field `text` is no string",
            ),
            (
                "json",
                br#"[{"text":"a"}] trailing"#.to_vec(),
                "after the array",
            ),
            ("json", br#"[{"text":"a"} {"text":"b"}]"#.to_vec(), "line 1"),
            (
                "ndjson",
                b"{\"text\":\"a\"}\n{\"text\":\"b\"".to_vec(),
                "line 2 is cut off",
            ),
            (
                "ndjson",
                b"{\"text\":\"a\"}\n{\"id\":1,\"msg\":\"b\"}".to_vec(),
                "line 2 has the fields `id`, `msg`, and no texts",
            ),
            ("ndjson", b"{\"text\":\"a\"}\nnope\n".to_vec(), "line 2"),
            (
                "ndjson",
                format!("{{\"text\":\"{long}\"}}").into_bytes(),
                "line 1 is longer than 1048576 bytes",
            ),
            (
                "csv",
                format!("text\n{long}\n").into_bytes(),
                "line 2 is longer than 1048576 bytes",
            ),
            (
                "json",
                format!("[{{\"text\":\"{long}\"}}]").into_bytes(),
                "tweet 1 has 10485760 bytes, the limit is 1048576",
            ),
            (
                "csv",
                b"id,tweeet\n1,hello\n".to_vec(),
                "has the columns `id`, `tweeet`, and no texts: rename `tweeet` to `tweet`",
            ),
            (
                "csv",
                b"id,text\n1,hello\n2\n".to_vec(),
                "line 3 has 1 field where the header has 2",
            ),
            (
                "csv",
                b"text\nhello\n\"cut off in the mid".to_vec(),
                "cut off",
            ),
        ];
        for (extension, bytes, says) in cases {
            let error = read(extension, bytes).unwrap_err();
            assert!(error.contains(says), "expected {says:?} in {error:?}");
            assert_eq!(error.lines().count(), 1, "{error}");
            assert!(error.len() < 300, "{error}");
        }
        for (extension, before) in [
            ("json", "[{\"text\":\"a\"},\n{\"text\":\""),
            ("ndjson", "{\"text\":\"a\"}\n{\"text\":\""),
            ("csv", "text\nhell "),
            ("tsv", "text\tid\nhell "),
        ] {
            let mut bytes: Vec<u8> = before.chars().map(|c| c as u8).collect();
            bytes.extend_from_slice(b"\xff\n");
            let error = read(extension, bytes).unwrap_err();
            assert!(
                error.contains("line 2, byte ") && error.contains("is not UTF-8"),
                "{extension}: {error}"
            );
        }
    }

    #[test]
    fn a_file_that_is_not_there_and_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let error = file(&folder.path().join("none.csv"))
            .unwrap_err()
            .to_string();
        assert!(error.ends_with("none.csv: is not there"), "{error}");
        let error = file(folder.path()).unwrap_err().to_string();
        assert!(error.ends_with("is a folder: name a file in it"), "{error}");
    }
}
