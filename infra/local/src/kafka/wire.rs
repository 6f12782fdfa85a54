//! Asks a broker who is in its cluster, over the Kafka protocol (kafka.apache.org/protocol, 4.3): the oldest versions of
//! ApiVersions, SaslHandshake, SaslAuthenticate and Metadata that say what is needed here.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::settings::Sasl;

const METADATA: i16 = 3;
const SASL_HANDSHAKE: i16 = 17;
const API_VERSIONS: i16 = 18;
const SASL_AUTHENTICATE: i16 = 36;

/// A cluster of five with no topics asked for answers in a few hundred bytes; anything longer isn't a Kafka broker.
const LONGEST_ANSWER: usize = 1 << 20;

/// What a broker knows of its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Members {
    pub(crate) cluster: String,
    /// Node id and port of each broker that is alive.
    pub(crate) brokers: Vec<(i32, u16)>,
}

/// Asks the broker at `address`; each step must be answered within `timeout`.
pub(crate) fn members(
    address: SocketAddr,
    sasl: Option<&Sasl>,
    timeout: Duration,
) -> io::Result<Members> {
    let stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    stream.set_nodelay(true)?;
    let mut broker = Connection {
        stream,
        correlation: 0,
    };

    check(
        Answer(&broker.ask(API_VERSIONS, 0, &[])?).i16()?,
        "ApiVersions",
    )?;
    if let Some(sasl) = sasl {
        let mechanism = Request::default().string("PLAIN");
        check(
            Answer(&broker.ask(SASL_HANDSHAKE, 1, &mechanism.0)?).i16()?,
            "SaslHandshake",
        )?;
        // RFC 4616: authorization id (none), user and password, each after a zero byte.
        let token = format!("\0{}\0{}", sasl.user, sasl.password);
        let token = Request::default().bytes(token.as_bytes());
        check(
            Answer(&broker.ask(SASL_AUTHENTICATE, 0, &token.0)?).i16()?,
            "SaslAuthenticate",
        )?;
    }
    // No topics, and none created.
    let nothing = Request::default().i32(0).bool(false);
    read_members(&mut Answer(&broker.ask(METADATA, 4, &nothing.0)?))
}

/// Metadata response, version 4: throttle time, brokers (id, host, port, rack), cluster id, and what isn't needed here.
fn read_members(answer: &mut Answer<'_>) -> io::Result<Members> {
    answer.i32()?;
    let count = answer.i32()?;
    let mut brokers = Vec::new();
    for _ in 0..count {
        let id = answer.i32()?;
        answer.string()?;
        let port = answer.i32()?;
        answer.string()?;
        brokers.push((id, u16::try_from(port).map_err(|_| malformed())?));
    }
    brokers.sort_unstable();
    Ok(Members {
        cluster: answer.string()?.unwrap_or_default(),
        brokers,
    })
}

fn check(code: i16, request: &str) -> io::Result<()> {
    match code {
        0 => Ok(()),
        58 => Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "the broker refuses the user or the password",
        )),
        code => Err(io::Error::other(format!(
            "{request} is answered with error {code}"
        ))),
    }
}

fn malformed() -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        "what listens there isn't a Kafka broker",
    )
}

struct Connection {
    stream: TcpStream,
    correlation: i32,
}

impl Connection {
    /// Sends a request with header version 1 and gives the body of the answer to it.
    fn ask(&mut self, api: i16, version: i16, body: &[u8]) -> io::Result<Vec<u8>> {
        self.correlation += 1;
        let request = Request::default()
            .i16(api)
            .i16(version)
            .i32(self.correlation)
            .string("anyhub-local");
        let length = i32::try_from(request.0.len() + body.len()).map_err(|_| malformed())?;
        self.stream
            .write_all(&[&length.to_be_bytes(), request.0.as_slice(), body].concat())?;

        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = usize::try_from(i32::from_be_bytes(length)).map_err(|_| malformed())?;
        if length > LONGEST_ANSWER {
            return Err(malformed());
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer)?;
        match Answer(&answer).i32()? {
            id if id == self.correlation => Ok(answer.split_off(4)),
            _ => Err(malformed()),
        }
    }
}

#[derive(Default)]
struct Request(Vec<u8>);

impl Request {
    fn bool(mut self, value: bool) -> Self {
        self.0.push(u8::from(value));
        self
    }

    fn i16(mut self, value: i16) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    fn i32(mut self, value: i32) -> Self {
        self.0.extend(value.to_be_bytes());
        self
    }

    /// Its length in two bytes, then the text; only short texts of our own and checked ones come here.
    fn string(self, text: &str) -> Self {
        let mut request = self.i16(i16::try_from(text.len()).unwrap_or(i16::MAX));
        request.0.extend(text.as_bytes());
        request
    }

    fn bytes(self, bytes: &[u8]) -> Self {
        let mut request = self.i32(i32::try_from(bytes.len()).unwrap_or(i32::MAX));
        request.0.extend(bytes);
        request
    }
}

struct Answer<'a>(&'a [u8]);

impl Answer<'_> {
    fn take<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or_else(malformed)?;
        self.0 = rest;
        Ok(*head)
    }

    fn i16(&mut self) -> io::Result<i16> {
        self.take().map(i16::from_be_bytes)
    }

    fn i32(&mut self) -> io::Result<i32> {
        self.take().map(i32::from_be_bytes)
    }

    /// A nullable string: length -1 is none.
    fn string(&mut self) -> io::Result<Option<String>> {
        let Ok(length) = usize::try_from(self.i16()?) else {
            return Ok(None);
        };
        let (text, rest) = self.0.split_at_checked(length).ok_or_else(malformed)?;
        self.0 = rest;
        let text = std::str::from_utf8(text).map_err(|_| malformed())?;
        Ok(Some(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn metadata_is_read() {
        let mut bytes = Request::default().i32(0).i32(2).0;
        for (id, port) in [(1, 9093), (0, 9092)] {
            let broker = Request::default()
                .i32(id)
                .string("127.0.0.1")
                .i32(port)
                .i16(-1);
            bytes.extend(broker.0);
        }
        bytes.extend(Request::default().string("abc").i32(0).i32(0).0);
        let members = read_members(&mut Answer(&bytes)).unwrap();
        assert_eq!(members.cluster, "abc");
        assert_eq!(members.brokers, [(0, 9092), (1, 9093)]);
        for cut in 0..bytes.len() - 8 {
            assert!(
                read_members(&mut Answer(&bytes[..cut])).is_err(),
                "cut at {cut}"
            );
        }
    }

    #[test]
    fn another_server_is_not_taken_for_a_broker() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream
                .write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                .unwrap();
            // Until the other side hangs up.
            let _ = io::copy(&mut stream, &mut io::sink());
        });
        let error = members(address, None, Duration::from_secs(5)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
        server.join().unwrap();
    }
}
