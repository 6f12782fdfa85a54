//! TLS with the server's own certificate.

use std::sync::Arc;

use anyhub_local::EventHubs;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::raw::SASL;

fn connector(trusted: &EventHubs) -> TlsConnector {
    let pem = trusted.certificate().unwrap().as_bytes();
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(pem).unwrap())
        .unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

#[tokio::test]
async fn one_who_trusts_the_certificate_gets_in() {
    let hubs = EventHubs::builder()
        .hub("tweets", 1)
        .tls(true)
        .start()
        .unwrap();
    let address = hubs.endpoint();
    let address = address.strip_prefix("amqps://").unwrap();
    assert!(
        !hubs
            .connection_string("tweets")
            .contains("UseDevelopmentEmulator")
    );
    for name in ["localhost", "127.0.0.1"] {
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from(name).unwrap();
        let mut stream = connector(&hubs).connect(name, stream).await.unwrap();
        stream.write_all(&SASL).await.unwrap();
        let mut answer = [0; 8];
        stream.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, SASL);
    }
    // Another server's certificate is another one, and plain AMQP is no TLS.
    let other = EventHubs::builder().tls(true).start().unwrap();
    let stream = TcpStream::connect(address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    assert!(connector(&other).connect(name, stream).await.is_err());
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&SASL).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert_ne!(answer.get(..8), Some(&SASL[..]));
    assert_eq!(hubs.counts().broken_connections, 0);
}
