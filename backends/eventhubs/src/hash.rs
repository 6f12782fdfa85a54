//! Which partition a key goes to, as Microsoft's clients choose it.
//!
//! Bob Jenkins' lookup3 (hashlittle2, both seeds zero; 2006, public domain) over UTF-8, its halves
//! folded into 16 bits; the remainder is cut off towards zero and loses its sign. So the Rust, .NET,
//! Java and JavaScript clients have it; Python's floors, and differs for some keys (2026-11).

/// The partition of a key among so many, from 0, with [`Partitioning::Hash`](crate::Partitioning); 0
/// where there are none.
pub fn partition_of(key: &str, partitions: u32) -> u32 {
    partition(key.as_bytes(), partitions as usize) as u32
}

/// The partition of a key among `count`, from 0.
pub(crate) fn partition(key: &[u8], count: usize) -> usize {
    let count = i32::try_from(count).unwrap_or(i32::MAX).max(1);
    (i32::from(of(key)) % count).unsigned_abs() as usize
}

fn of(key: &[u8]) -> i16 {
    let (b, c) = lookup3(key);
    ((b ^ c) as u16).cast_signed()
}

fn lookup3(key: &[u8]) -> (u32, u32) {
    let start = 0xdead_beef_u32.wrapping_add(key.len() as u32);
    let (mut a, mut b, mut c) = (start, start, start);
    if key.is_empty() {
        return (b, c);
    }
    let mut rest = key;
    while rest.len() > 12 {
        a = a.wrapping_add(word(&rest[0..4]));
        b = b.wrapping_add(word(&rest[4..8]));
        c = c.wrapping_add(word(&rest[8..12]));
        rest = &rest[12..];
        a = a.wrapping_sub(c) ^ c.rotate_left(4);
        c = c.wrapping_add(b);
        b = b.wrapping_sub(a) ^ a.rotate_left(6);
        a = a.wrapping_add(c);
        c = c.wrapping_sub(b) ^ b.rotate_left(8);
        b = b.wrapping_add(a);
        a = a.wrapping_sub(c) ^ c.rotate_left(16);
        c = c.wrapping_add(b);
        b = b.wrapping_sub(a) ^ a.rotate_left(19);
        a = a.wrapping_add(c);
        c = c.wrapping_sub(b) ^ b.rotate_left(4);
        b = b.wrapping_add(a);
    }
    let part = |from: usize| word(rest.get(from..rest.len().min(from + 4)).unwrap_or_default());
    a = a.wrapping_add(part(0));
    b = b.wrapping_add(part(4));
    c = c.wrapping_add(part(8));
    c = (c ^ b).wrapping_sub(b.rotate_left(14));
    a = (a ^ c).wrapping_sub(c.rotate_left(11));
    b = (b ^ a).wrapping_sub(a.rotate_left(25));
    c = (c ^ b).wrapping_sub(b.rotate_left(16));
    a = (a ^ c).wrapping_sub(c.rotate_left(4));
    b = (b ^ a).wrapping_sub(a.rotate_left(14));
    c = (c ^ b).wrapping_sub(b.rotate_left(24));
    (b, c)
}

/// Up to four bytes, the least significant first; those that are missing count as zero.
fn word(bytes: &[u8]) -> u32 {
    let bytes = bytes.iter().rev();
    bytes.fold(0, |word, byte| word << 8 | u32::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From azure-sdk-for-net's PartitionResolverTests.cs, which the Rust SDK checks itself against.
    #[test]
    fn hashes_as_microsofts_clients() {
        for (key, hash) in [
            ("7", -15263),
            ("131", 30562),
            ("7149583486996073602", 12977),
            ("FWfAT", -22341),
            ("sOdeEAsyQoEuEFPGerWO", -6503),
            (
                "FAyAIctPeCgmiwLKbJcyswoHglHVjQdvtBowLACDNORsYvOcLddNJYDmhAVkbyLOrHTKLneMNcbgWVlasVywOByANjs",
                5226,
            ),
            (
                "1XYM6!(7(lF5wq4k4m*e$Nc!1ezLJv*1YK1Y-C^*&B$O)lq^iUkG(TNzXG;Zi#z2Og*Qq0#^*k):vXh$3,C7We7%W0meJ;b3,rQCg^J;^twXgs5E$$hWKxqp",
                23950,
            ),
            (
                "E(x;RRIaQcJs*P;D&jTPau-4K04oqr:lF6Z):ERpo&;9040qyV@G1_c9mgOs-8_8/10Fwa-7b7-yP!T-!IH&968)FWuI;(^g$2fN;)HJ^^yTn:",
                -29304,
            ),
            ("!c*_!I@1^c", 15372),
            ("p4*!jioeO/z-!-;w:dh", -3104),
            ("$0cb", 26269),
            ("-4189260826195535198", 453),
        ] {
            assert_eq!(of(key.as_bytes()), hash, "{key}");
        }
    }

    /// Seen from the JavaScript client.
    #[test]
    fn a_negative_remainder_loses_its_sign() {
        assert_eq!(partition(b"zz", 5), 4);
        assert_eq!(partition(b"device-42", 5), 3);
    }
}
