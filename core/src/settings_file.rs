use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::Path,
};

/// A file that a setting names, as text and without a byte order mark. At most `most` bytes, and a regular
/// file: a device has no end, and a pipe may never have a beginning. InvalidData for anything else; it may
/// block as any file does.
pub fn read_settings_file(path: &Path, most: u64) -> io::Result<String> {
    let refused = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    // Before it is opened: that alone would wait for the other end of a pipe.
    if !fs::metadata(path)?.is_file() {
        return Err(refused("it is no regular file".to_owned()));
    }
    let mut bytes = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        return Err(refused(format!("it is larger than {most} bytes")));
    }
    let text = String::from_utf8(bytes).map_err(|_| refused("it is no UTF-8 text".to_owned()))?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(&text).to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn refused(path: &Path, says: &str) {
        let error = read_settings_file(path, 8).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }

    #[test]
    fn a_file_is_read_as_far_as_settings_go() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("settings");
        fs::write(&file, "\u{feff}a=b\n").unwrap();
        assert_eq!(read_settings_file(&file, 8).unwrap(), "a=b\n");
        fs::write(&file, "123456789").unwrap();
        refused(&file, "larger than 8 bytes");
        fs::write(&file, b"\xff\xfea\0").unwrap();
        refused(&file, "no UTF-8");
        refused(folder.path(), "no regular file");
        let missing = read_settings_file(&folder.path().join("nowhere"), 8).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }

    #[cfg(unix)]
    #[test]
    fn what_has_no_end_is_not_begun() {
        refused(Path::new("/dev/zero"), "no regular file");
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        refused(&pipe, "no regular file");
    }
}
