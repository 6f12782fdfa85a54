//! Free ports on loopback.

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;

use crate::Error;

/// Below the range that outgoing connections take their ports from (32768 and up on Linux, 49152 on macOS): while a server is
/// down, no client can be given its port, and none that keeps trying to reach it can connect to itself.
const RANGE: std::ops::Range<u16> = 10_240..32_768;

/// The loopback address of a port.
pub(crate) fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// True if nothing listens on the port.
pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind(loopback(port)).is_ok()
}

/// A port that is free now, as [`pick`] does.
pub(crate) fn pick_one() -> Result<u16, Error> {
    let picked = pick(1, &[])?;
    Ok(picked.first().copied().unwrap_or_default())
}

/// Picks `count` ports that are free now and not among `taken`. Another process may still take one before it is used: be
/// ready to pick anew.
pub(crate) fn pick(count: usize, taken: &[u16]) -> Result<Vec<u16>, Error> {
    let mut seen: HashSet<u16> = taken.iter().copied().collect();
    let mut ports = Vec::with_capacity(count);
    for _ in 0..10_000 {
        if ports.len() == count {
            return Ok(ports);
        }
        let offset = random() % u64::from(RANGE.end - RANGE.start);
        let port = RANGE.start + u16::try_from(offset).unwrap_or_default();
        if seen.insert(port) && is_free(port) {
            ports.push(port);
        }
    }
    let message = format!("none is free from {} to {}", RANGE.start, RANGE.end - 1);
    let error = io::Error::new(io::ErrorKind::AddrInUse, message);
    Err(Error::io(
        "picking a port on",
        Path::new("127.0.0.1"),
        error,
    ))
}

/// A number that no other process draws: the standard library seeds its hash maps from the operating system.
pub(crate) fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::time::{Duration, Instant};

    #[test]
    fn picks_distinct_free_ports_outside_of_the_ephemeral_range() {
        let ports = pick(50, &[]).unwrap();
        let distinct: HashSet<_> = ports.iter().collect();
        assert_eq!(distinct.len(), 50);
        assert!(ports.iter().all(|p| RANGE.contains(p)));
        let again = pick(50, &ports).unwrap();
        assert!(again.iter().all(|p| !ports.contains(p)));
    }

    #[test]
    fn a_port_in_use_is_not_free() {
        let listener = TcpListener::bind(loopback(0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(!is_free(port));
        drop(listener);
        // A child that another test starts just now shares the socket until it runs its own program.
        let deadline = Instant::now() + Duration::from_secs(10);
        while !is_free(port) {
            assert!(Instant::now() < deadline);
        }
    }
}
