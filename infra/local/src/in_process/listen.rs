//! A listener on a port that was asked for, or on a free one.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;

use crate::{Error, ports};

/// Ports tried before it is given up: between picking one and listening another process may take it.
const TRIES: usize = 3;

/// From here on the kernel takes connections in; they are served as soon as the threads run.
///
/// # Errors
/// Invalid for port 0; PortInUse; Io if no port can be had.
pub(crate) fn listen(
    port: Option<u16>,
    bind: impl Fn(SocketAddr) -> io::Result<TcpListener>,
) -> Result<TcpListener, Error> {
    if let Some(port) = port {
        if port == 0 {
            return Err(Error::Invalid(
                "port 0 can't be asked for: choose one from 1 to 65535".into(),
            ));
        }
        return bind(ports::loopback(port)).map_err(|_| Error::PortInUse { port });
    }
    let mut tries = 1;
    loop {
        match bind(ports::loopback(ports::pick_one()?)) {
            Err(e) if e.kind() != io::ErrorKind::AddrInUse || tries == TRIES => {
                return Err(failed(e));
            }
            Err(_) => tries += 1,
            Ok(listener) => return Ok(listener),
        }
    }
}

/// A server that can't start.
pub(crate) fn failed(source: io::Error) -> Error {
    Error::io("starting a server on", Path::new("127.0.0.1"), source)
}
