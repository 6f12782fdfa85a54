//! As much HTTP as it takes to ask a server that starts whether it is ready.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

/// No answer that is asked for here is longer.
const LONGEST: u64 = 1024 * 1024;

/// The status and the JSON of an answer; null where there is none.
pub(super) fn get(address: SocketAddr, path: &str, timeout: Duration) -> io::Result<(u16, Value)> {
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
    exchange(address, &request, timeout)
}

/// Calls an operation of Kinesis, signed as little as LocalStack lets pass.
pub(super) fn kinesis(
    address: SocketAddr,
    operation: &str,
    body: &Value,
    timeout: Duration,
) -> io::Result<(u16, Value)> {
    let body = body.to_string();
    let request = format!(
        "POST / HTTP/1.0\r\nHost: {address}\r\nX-Amz-Target: Kinesis_20131202.{operation}\r\n\
         Content-Type: application/x-amz-json-1.1\r\nX-Amz-Date: 20260101T000000Z\r\n\
         Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/kinesis/aws4_request, \
         SignedHeaders=host, Signature=0\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    exchange(address, &request, timeout)
}

fn exchange(address: SocketAddr, request: &str, timeout: Duration) -> io::Result<(u16, Value)> {
    let mut stream = TcpStream::connect_timeout(&address, timeout)?;
    stream.set_read_timeout(Some(timeout))?;
    stream.set_write_timeout(Some(timeout))?;
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer)?;
    parse(&String::from_utf8_lossy(&answer))
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no answer in HTTP"))
}

fn parse(answer: &str) -> Option<(u16, Value)> {
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let status = head
        .strip_prefix("HTTP/1.")?
        .split(' ')
        .nth(1)?
        .parse()
        .ok()?;
    Some((status, serde_json::from_str(body).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        let health = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"services\": {\"kinesis\": \"running\"}}";
        let (status, body) = parse(health).unwrap_or_default();
        assert_eq!(
            (status, &body["services"]["kinesis"]),
            (200, &Value::from("running"))
        );
        assert_eq!(
            parse("HTTP/1.0 404 Not Found\r\n\r\n"),
            Some((404, Value::Null))
        );
        assert_eq!(parse("SSH-2.0-OpenSSH\r\n\r\n"), None);
    }
}
