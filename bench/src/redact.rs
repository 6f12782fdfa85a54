//! What may stand in a URL and must not stand on a screen.

/// `line` with what follows the `?` of every URL in it, and whoever stands before an `@`, replaced by
/// `***`: a URL may have been typed where none belongs.
pub(crate) fn redact(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        let end = after
            .find(|c: char| c.is_whitespace() || matches!(c, '\'' | '"' | '`'))
            .unwrap_or(after.len());
        let (url, left) = after.split_at(end);
        out.push_str(before);
        let (place, query) = match url.split_once('?') {
            Some((place, _)) => (place, "?***"),
            None => (url, ""),
        };
        match place.rsplit_once('@') {
            Some((_, place)) => out.extend(["***@", place]),
            None => out.push_str(place),
        }
        out.push_str(query);
        rest = left;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_left_and_all_else_is() {
        for (line, due) in [
            ("no URL at all?", "no URL at all?"),
            ("at kafka://a:1,b:2/t", "at kafka://a:1,b:2/t"),
            (
                "no hub 'kafka://a:1/t?sasl.password=hunter2', did you mean 'kafka'?",
                "no hub 'kafka://a:1/t?***', did you mean 'kafka'?",
            ),
            (
                "x=kafka://me:hunter2@a/t y://b?c d",
                "x=kafka://***@a/t y://b?*** d",
            ),
        ] {
            assert_eq!(redact(line), due);
        }
    }
}
