//! "Did you mean": the known name closest to a mistyped one.

/// The candidate within a third of the name's length in edits, or None.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = name.chars().count().div_ceil(3).max(2);
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(edits, _)| *edits <= allowed)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// `, did you mean `x`?` or nothing, to end a message with.
pub fn hint<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    match nearest(name, known) {
        Some(candidate) => format!(", did you mean `{candidate}`?"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::{hint, nearest};

    #[test]
    fn a_slip_is_found_and_a_stranger_is_not() {
        let known = ["memory", "kafka"];
        assert_eq!(nearest("kafak", known), Some("kafka"));
        assert_eq!(nearest("rabbitmq", known), None);
        assert_eq!(hint("memroy", known), ", did you mean `memory`?");
    }
}
