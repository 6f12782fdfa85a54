/// MurmurHash2 with Kafka's seed, as its Java client hashes keys: the key's partition among `n` is
/// `(murmur2(key) & 0x7fffffff) % n`.
///
/// Source: `org.apache.kafka.common.utils.Utils.murmur2`, Apache Kafka 4.1 (2025-09).
pub fn murmur2(key: &[u8]) -> i32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    const R: u32 = 24;
    let mut hash = SEED ^ key.len() as u32;
    let mut words = key.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes([word[0], word[1], word[2], word[3]]).wrapping_mul(M);
        k ^= k >> R;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        for (nth, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * nth);
        }
        hash = hash.wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^= hash >> 15;
    hash as i32
}

#[cfg(test)]
mod tests {
    use super::murmur2;

    /// Computed by Kafka's Java client.
    #[test]
    fn hashes_as_java_does() {
        for (key, hash) in [
            ("", 275_646_681),
            ("a", -1_563_381_124),
            ("user-1", 1_404_122_828),
            ("user-42", 1_459_644_460),
            ("tweet", -560_545_781),
            ("@alice", 154_035_566),
            ("ключ", 2_122_343_024),
            ("💡", 113_596_517),
        ] {
            assert_eq!(murmur2(key.as_bytes()), hash, "{key}");
        }
    }
}
