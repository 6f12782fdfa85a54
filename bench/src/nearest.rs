//! "Did you mean": what a message about an unknown name ends with.

pub use anyhub_core::nearest;

/// `, did you mean 'x'?` with the known name nearest to `name`, or nothing when all are far off.
pub fn hint<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    match nearest(name, known) {
        Some(candidate) => format!(", did you mean '{candidate}'?"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::hint;

    #[test]
    fn a_slip_is_found_and_a_stranger_is_not() {
        let known = ["memory", "kafka"];
        assert_eq!(hint("memroy", known), ", did you mean 'memory'?");
        assert_eq!(hint("zzz", known), "");
    }
}
