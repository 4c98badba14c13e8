use rustls::ServerConfig;
use rustls::pki_types::ServerName;
use rustls::server::WebPkiClientVerifier;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::*;

/// Certificates and keys that exist in tests only, made with OpenSSL: `server.pem` is of `ca.pem` and stands for `localhost`
/// and 127.0.0.1; `client.pem` is its own authority.
pub(crate) fn test_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tls/test_keys").join(name)
}

/// A server, which asks whoever calls for a certificate or does not.
pub(crate) fn acceptor(asks: bool) -> TlsAcceptor {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let certificate = CertificateDer::from_pem_file(test_file("server.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(test_file("server_key.pem")).unwrap();
    let callers = Arc::new(roots(Some(&test_file("client.pem"))).unwrap());
    let verifier = match asks {
        false => WebPkiClientVerifier::no_client_auth(),
        true => WebPkiClientVerifier::builder_with_provider(callers, provider.clone()).build().unwrap(),
    };
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate], key)
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

/// What either side says of a handshake.
async fn handshake(config: Arc<ClientConfig>, name: &str, asks: bool) -> Result<(), String> {
    let (ours, theirs) = tokio::io::duplex(16 * 1024);
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connecting = TlsConnector::from(config);
    let (client, server) = futures::join!(connecting.connect(name, ours), acceptor(asks).accept(theirs));
    client.map_err(|error| error.to_string())?;
    server.map(drop).map_err(|error| error.to_string())
}

#[tokio::test]
async fn only_an_authority_that_is_trusted_vouches_for_a_server() {
    let trusting = client_config(Some(&test_file("ca.pem")), None).unwrap();
    assert_eq!(handshake(trusting, "127.0.0.1", false).await, Ok(()));
    for other in [None, Some(test_file("client.pem"))] {
        let refused = handshake(client_config(other.as_deref(), None).unwrap(), "127.0.0.1", false).await;
        assert!(refused.as_ref().is_err_and(|error| error.contains("UnknownIssuer")), "{refused:?}");
    }
}

#[tokio::test]
async fn a_certificate_of_another_name_or_address_is_refused() {
    let trusting = client_config(Some(&test_file("ca.pem")), None).unwrap();
    assert_eq!(handshake(trusting.clone(), "localhost", false).await, Ok(()));
    for name in ["127.0.0.2", "::1", "example.org"] {
        let refused = handshake(trusting.clone(), name, false).await;
        assert!(refused.as_ref().is_err_and(|error| error.contains("not valid for name")), "{refused:?}");
    }
}

#[tokio::test]
async fn a_server_that_asks_sees_our_certificate() {
    let (certificate, key) = (test_file("client.pem"), test_file("client_key.pem"));
    let identity = Identity { certificate_file: &certificate, key_file: &key };
    let known = client_config(Some(&test_file("ca.pem")), Some(identity)).unwrap();
    assert_eq!(handshake(known, "localhost", true).await, Ok(()));
    let unknown = client_config(Some(&test_file("ca.pem")), None).unwrap();
    assert!(handshake(unknown, "localhost", true).await.is_err());
}

#[test]
fn files_without_what_they_should_have_are_named() {
    let (certificate, key, missing) = (test_file("client.pem"), test_file("client_key.pem"), Path::new("/nowhere"));
    let refused = |certificate_file: &Path, key_file: &Path| {
        client_config(None, Some(Identity { certificate_file, key_file })).unwrap_err()
    };
    assert!(matches!(refused(&key, &key), TlsError::NoCertificate(path) if path == key));
    assert!(matches!(refused(&certificate, &certificate), TlsError::NoKey(path) if path == certificate));
    assert!(matches!(refused(missing, &key), TlsError::File { path, .. } if path == missing));
    assert!(matches!(refused(&certificate, missing), TlsError::File { path, .. } if path == missing));
    let other = refused(&certificate, &test_file("server_key.pem"));
    assert!(matches!(&other, TlsError::Identity { .. }), "{other}");

    let file = tempfile::NamedTempFile::new().unwrap();
    for text in ["", "text", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        std::fs::write(file.path(), text).unwrap();
        let error = client_config(Some(file.path()), None).unwrap_err();
        assert!(matches!(error, TlsError::NoCertificates(_)), "{text}: {error}");
    }
    assert!(matches!(client_config(Some(missing), None), Err(TlsError::File { .. })));
}
