//! A reader that notices what is wrong with a text file on the way, and takes its SHA-256.

use std::io::{self, Read};

use sha2::{Digest, Sha256};

use super::hex;

/// Passes bytes on as long as they are UTF-8; the first that is not ends it with an error that
/// says where.
#[derive(Debug)]
pub(super) struct Checked<R> {
    inner: R,
    hash: Sha256,
    /// The beginning of a character whose end has not been read yet.
    partial: Vec<u8>,
    line: u64,
    /// Bytes of the current line before this one.
    column: u64,
    longest_line: Option<u64>,
    quotes: u64,
    last: Option<u8>,
}

impl<R: Read> Checked<R> {
    pub(super) fn new(inner: R) -> Self {
        Self {
            inner,
            hash: Sha256::new(),
            partial: Vec::new(),
            line: 1,
            column: 0,
            longest_line: None,
            quotes: 0,
            last: None,
        }
    }

    /// Refuses a line of more than `bytes`.
    pub(super) fn limit_lines(&mut self, bytes: u64) {
        self.longest_line = Some(bytes);
    }

    /// Whether the text ends within double quotes, and not at the end of a line.
    pub(super) fn ends_in_quotes(&self) -> bool {
        self.quotes % 2 == 1 && self.last != Some(b'\n')
    }

    /// The SHA-256 of all that was read; reads the rest first.
    pub(super) fn sha256(mut self) -> io::Result<String> {
        let mut rest = [0; 8_192];
        while self.read(&mut rest)? > 0 {}
        Ok(hex(&self.hash.finalize()))
    }

    fn check(&mut self, bytes: &[u8]) -> io::Result<()> {
        for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
            if index > 0 {
                self.line += 1;
                self.column = 0;
            }
            self.column += line.len() as u64;
            if let Some(longest) = self.longest_line.filter(|longest| self.column > *longest) {
                return Err(wrong(format!(
                    "line {} is longer than {longest} bytes, the limit: is it a file of tweets, one a line?",
                    self.line
                )));
            }
        }
        self.quotes += bytes.iter().filter(|byte| **byte == b'"').count() as u64;
        self.last = bytes.last().copied().or(self.last);
        Ok(())
    }

    fn not_utf8(&self, good: &[u8]) -> io::Error {
        let feeds = good.iter().filter(|byte| **byte == b'\n').count() as u64;
        let after = good.iter().rev().take_while(|byte| **byte != b'\n').count() as u64;
        let column = if feeds > 0 {
            after
        } else {
            self.column + after
        };
        wrong(format!(
            "line {}, byte {} is not UTF-8: save the file as UTF-8",
            self.line + feeds,
            column + 1
        ))
    }
}

impl<R: Read> Read for Checked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let bytes = &buffer[..read];
        self.hash.update(bytes);
        let held = self.partial.len();
        // Nearly always nothing is held back and nothing is copied.
        let joined;
        let all = if held == 0 {
            bytes
        } else {
            joined = [std::mem::take(&mut self.partial).as_slice(), bytes].concat();
            joined.as_slice()
        };
        match std::str::from_utf8(all) {
            Ok(_) => self.check(all)?,
            Err(error) => {
                let (good, bad) = all.split_at(error.valid_up_to());
                if error.error_len().is_some() || read == 0 {
                    return Err(self.not_utf8(good));
                }
                self.check(good)?;
                self.partial = bad.to_vec();
            }
        }
        Ok(read)
    }
}

fn wrong(line: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, line)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::io::BufReader;

    fn drain(bytes: &[u8], step: usize) -> Result<String, String> {
        let mut checked = Checked::new(BufReader::with_capacity(step, bytes));
        let mut out = Vec::new();
        let mut buffer = vec![0; step];
        loop {
            match checked.read(&mut buffer) {
                Ok(0) => return Ok(String::from_utf8(out).unwrap()),
                Ok(read) => out.extend_from_slice(&buffer[..read]),
                Err(error) => return Err(error.to_string()),
            }
        }
    }

    #[test]
    fn characters_may_straddle_reads() {
        let text = "naïve\n日本 👩‍💻\nend";
        for step in 1..text.len() {
            assert_eq!(drain(text.as_bytes(), step).unwrap(), text, "step {step}");
        }
    }

    #[test]
    fn says_where_it_is_not_utf8() {
        for step in [1, 2, 3, 100] {
            let error = drain(b"one\ntw\xc3\xb6 \xff\n", step).unwrap_err();
            assert_eq!(
                error, "line 2, byte 6 is not UTF-8: save the file as UTF-8",
                "step {step}"
            );
            let error = drain(b"one\ncut \xe6\x97", step).unwrap_err();
            assert!(
                error.starts_with("line 2, byte 5 is not UTF-8"),
                "step {step}: {error}"
            );
        }
    }

    #[test]
    fn refuses_a_line_over_the_limit_without_holding_it() {
        let mut checked = Checked::new(std::io::repeat(b'x'));
        checked.limit_lines(1_000);
        let mut buffer = [0; 300];
        let error = (0..10)
            .find_map(|_| checked.read(&mut buffer).err())
            .unwrap();
        assert!(
            error
                .to_string()
                .starts_with("line 1 is longer than 1000 bytes"),
            "{error}"
        );
    }

    #[test]
    fn takes_the_sum_of_all_bytes() {
        let sum = Checked::new(&b"abc"[..]).sha256().unwrap();
        // FIPS 180-2, appendix B.1.
        assert_eq!(
            sum,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
