//! Which partition a key goes to: Jenkins' lookup3 (hashlittle2) over UTF-8, as in Microsoft's clients, whose
//! `PartitionResolver` in azure-sdk-for-net says that it is the service's own (2026-11). The clients' documentation warns that
//! the service may choose otherwise.

/// The partition of a key among `count`: the remainder is cut off towards zero and loses its sign, as in the Rust, .NET, Java
/// and JavaScript clients; Python's floors it, and differs for some keys.
pub(super) fn partition(key: &str, count: usize) -> usize {
    let count = i32::try_from(count).unwrap_or(i32::MAX).max(1);
    let index = (i32::from(of(key)) % count).unsigned_abs();
    index as usize
}

/// Both halves of lookup3, folded into 16 bits.
fn of(key: &str) -> i16 {
    let (b, c) = lookup3(key.as_bytes());
    #[allow(clippy::cast_possible_truncation)] // the low 16 bits are what is meant
    let low = (b ^ c) as u16;
    low.cast_signed()
}

/// Bob Jenkins, lookup3.c, hashlittle2 with both seeds zero (2006, public domain).
fn lookup3(key: &[u8]) -> (u32, u32) {
    let length = u32::try_from(key.len()).unwrap_or(u32::MAX);
    let start = 0xdead_beef_u32.wrapping_add(length);
    let mut state = [start; 3];
    if key.is_empty() {
        return (state[1], state[2]);
    }
    let mut rest = key;
    while rest.len() > 12 {
        let (block, after) = rest.split_at(12);
        add(&mut state, block);
        mix(&mut state);
        rest = after;
    }
    add(&mut state, rest);
    finish(&mut state);
    (state[1], state[2])
}

/// Adds up to twelve bytes, four to each word; those that are missing count as zero.
fn add(state: &mut [u32; 3], bytes: &[u8]) {
    for (word, four) in state.iter_mut().zip(bytes.chunks(4)) {
        let value = four
            .iter()
            .rev()
            .fold(0, |value, byte| value << 8 | u32::from(*byte));
        *word = word.wrapping_add(value);
    }
}

fn mix([a, b, c]: &mut [u32; 3]) {
    let step = |x: &mut u32, y: &mut u32, z: &u32, turn| {
        // x takes from y, then y from z.
        *x = x.wrapping_sub(*y) ^ y.rotate_left(turn);
        *y = y.wrapping_add(*z);
    };
    step(a, c, b, 4);
    step(b, a, c, 6);
    step(c, b, a, 8);
    step(a, c, b, 16);
    step(b, a, c, 19);
    step(c, b, a, 4);
}

fn finish([a, b, c]: &mut [u32; 3]) {
    let step = |x: &mut u32, y: &u32, turn| *x = (*x ^ *y).wrapping_sub(y.rotate_left(turn));
    step(c, b, 14);
    step(a, c, 11);
    step(b, a, 25);
    step(c, b, 16);
    step(a, c, 4);
    step(b, a, 14);
    step(c, b, 24);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From azure-sdk-for-net, PartitionResolverTests.cs; keys of lengths that are and aren't multiples of four and twelve.
    #[test]
    fn hashes_as_the_net_client() {
        for (key, hash) in [
            ("7", -15263),
            ("131", 30562),
            ("7149583486996073602", 12977),
            ("FWfAT", -22341),
            ("sOdeEAsyQoEuEFPGerWO", -6503),
            ("!c*_!I@1^c", 15372),
            ("p4*!jioeO/z-!-;w:dh", -3104),
            ("$0cb", 26269),
            ("-4189260826195535198", 453),
        ] {
            assert_eq!(of(key), hash, "{key}");
        }
    }

    /// Seen from the JavaScript client; the Python client says 1 and 2.
    #[test]
    fn a_negative_remainder_loses_its_sign() {
        assert_eq!((of("zz"), partition("zz", 5)), (-2804, 4));
        assert_eq!((of("device-42"), partition("device-42", 5)), (-21548, 3));
    }

    #[test]
    fn every_partition_gets_keys() {
        let mut counts = [0; 32];
        for n in 0..3_200 {
            counts[partition(&format!("key-{n}"), 32)] += 1;
        }
        assert!(
            counts.iter().all(|count| (50..200).contains(count)),
            "{counts:?}"
        );
    }
}
