use std::cmp::Ordering;

/// Which of two positions of one partition comes first, where positions are numbers, or numbers
/// joined by other characters: runs of digits compare as numbers of any length, the rest as text.
///
/// ```
/// use anyhub_leases::natural_order;
/// assert!(natural_order("9", "10").is_lt());
/// assert!(natural_order("49590338271490256608559692538361571095921575989136588898:2",
///                       "49590338271490256608559692538361571095921575989136588898:10").is_lt());
/// ```
pub fn natural_order(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        match (a.first(), b.first()) {
            (Some(x), Some(y)) if x.is_ascii_digit() && y.is_ascii_digit() => {
                let (number, other) = (digits(&mut a), digits(&mut b));
                let order = number.len().cmp(&other.len()).then(number.cmp(other));
                if order.is_ne() {
                    return order;
                }
            }
            (Some(x), Some(y)) if x == y => (a, b) = (&a[1..], &b[1..]),
            (x, y) => return x.cmp(&y),
        }
    }
}

/// Takes the digits at the front, and answers them without leading zeros.
fn digits<'a>(text: &mut &'a [u8]) -> &'a [u8] {
    let end = text.iter().position(|byte| !byte.is_ascii_digit());
    let (digits, rest) = text.split_at(end.unwrap_or(text.len()));
    *text = rest;
    let zeros = digits.iter().take_while(|&&byte| byte == b'0').count();
    &digits[zeros..]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn as_numbers_compare(a: u128, b: u128, sub: u32, other: u32) {
            prop_assert_eq!(natural_order(&a.to_string(), &b.to_string()), a.cmp(&b));
            let texts = (format!("{a}:{sub}"), format!("{b}:{other}"));
            prop_assert_eq!(natural_order(&texts.0, &texts.1), (a, sub).cmp(&(b, other)));
        }

        #[test]
        fn either_way_round(a: String, b: String) {
            prop_assert_eq!(natural_order(&a, &b), natural_order(&b, &a).reverse());
        }
    }
}
