/// The candidate that a mistyped name most likely meant, or None when all are far off.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_a_slip_and_refuses_a_stranger() {
        let known = ["linger", "deadline", "buffer_bytes"];
        assert_eq!(nearest("lingr", known), Some("linger"));
        assert_eq!(nearest("zzz", known), None);
    }
}
