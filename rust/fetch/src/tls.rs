//! TLS 1.2 and 1.3, with validated certificates and, where pinned, with the keys that are pinned.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
    sync::Arc,
};

use rustix::fs::{Mode, OFlags};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
    client::{
        Resumption, WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms},
    pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime, pem::PemObject},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use url::Host;
use webpki::{EndEntityCert, KeyUsage, VerifiedPath};

use crate::{FetchError, Limits, Origin, Policy, error::shown, watch::Watch};

/// Longest file of certificates.
const LONGEST: u64 = 8 << 20;

/// Whose certificates are believed.
///
/// Mozilla's, as this version was built with them, and not the machine's own: what is trusted is
/// then the same everywhere, also where no certificates are installed, and nothing that intercepts
/// the machine's traffic is trusted silently. Certificates of one's own take their place, they
/// don't join them; the machine's are had by naming their file.
#[derive(Debug, Clone, Default)]
pub enum Roots {
    /// Mozilla's.
    #[default]
    Mozilla,
    /// These alone.
    Own(Vec<CertificateDer<'static>>),
}

impl Roots {
    /// Of a file of PEM certificates.
    ///
    /// # Errors
    /// [`FetchError::CaFile`] where there is none, or one of them isn't sound.
    pub fn from_file(path: &Path) -> Result<Self, FetchError> {
        let refuse = |reason: String| FetchError::CaFile {
            path: path.to_owned(),
            reason,
        };
        let read = || -> io::Result<Vec<u8>> {
            // Without NONBLOCK the opening of a FIFO would wait for a writer.
            let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
            let file = File::from(rustix::fs::open(path, flags, Mode::empty())?);
            if !file.metadata()?.is_file() {
                return Err(io::Error::other("it is not a regular file"));
            }
            let mut bytes = Vec::new();
            file.take(LONGEST + 1).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = read().map_err(|error| refuse(error.to_string()))?;
        if bytes.len() as u64 > LONGEST {
            return Err(refuse("it is too long".to_owned()));
        }
        let certificates = CertificateDer::pem_slice_iter(&bytes)
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| refuse(shown(&error.to_string())))?;
        if certificates.is_empty() {
            return Err(refuse("it holds no certificate".to_owned()));
        }
        let own = Self::Own(certificates);
        own.store()
            .map_err(|error| refuse(shown(&error.to_string())))?;
        Ok(own)
    }

    fn store(&self) -> Result<RootCertStore, Error> {
        let mut store = RootCertStore::empty();
        match self {
            Self::Mozilla => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Self::Own(certificates) => {
                for certificate in certificates {
                    store.add(certificate.clone())?;
                }
            }
        }
        Ok(store)
    }
}

/// Speaks TLS over `stream`, with the host that `origin` names and nobody else.
pub(crate) async fn handshake(
    stream: TcpStream,
    origin: &Origin,
    policy: &Policy,
    limits: &Limits,
    watch: &mut Watch<'_>,
) -> Result<TlsStream<TcpStream>, FetchError> {
    let config = config(policy, origin).map_err(|error| refused(origin, &error))?;
    let name = match origin.parsed() {
        Host::Domain(name) => ServerName::try_from(name.clone()).map_err(|_| FetchError::Tls {
            host: origin.host(),
            reason: "no certificate can be for such a name".to_owned(),
        })?,
        Host::Ipv4(address) => ServerName::IpAddress(std::net::IpAddr::V4(*address).into()),
        Host::Ipv6(address) => ServerName::IpAddress(std::net::IpAddr::V6(*address).into()),
    };
    let connector = TlsConnector::from(Arc::new(config));
    watch
        .within(
            limits.handshake,
            "agree on TLS",
            connector.connect(name, stream),
        )
        .await?
        .map_err(|error| {
            let inner = error
                .get_ref()
                .and_then(|inner| inner.downcast_ref::<Error>());
            match inner {
                Some(inner) => refused(origin, inner),
                None => FetchError::Tls {
                    host: origin.host(),
                    reason: format!("the connection ended: {error}"),
                },
            }
        })
}

fn config(policy: &Policy, origin: &Origin) -> Result<ClientConfig, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let roots = Arc::new(policy.roots().store()?);
    let verifier =
        WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
            .build()
            .map_err(|error| Error::General(error.to_string()))?;
    let verifier: Arc<dyn ServerCertVerifier> = match policy.pins_of(origin) {
        None => verifier,
        Some(keys) => Arc::new(Pinned {
            verifier,
            algorithms: provider.signature_verification_algorithms,
            roots,
            keys,
        }),
    };
    let mut config = builder(provider)?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Each handshake shows a certificate, and each is judged.
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn builder(
    provider: Arc<CryptoProvider>,
) -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, Error> {
    ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
}

/// Normal validation first; then one key of a valid chain must be among those pinned.
#[derive(Debug)]
struct Pinned {
    verifier: Arc<WebPkiServerVerifier>,
    algorithms: WebPkiSupportedAlgorithms,
    roots: Arc<RootCertStore>,
    keys: Vec<[u8; 32]>,
}

impl Pinned {
    fn holds(&self, key: &[u8]) -> bool {
        let digest = ring::digest::digest(&ring::digest::SHA256, key);
        self.keys.iter().any(|pinned| digest.as_ref() == pinned)
    }

    /// Only the keys of the path that was validated count: a peer may send any others along.
    fn on(&self, path: &VerifiedPath<'_>) -> bool {
        self.holds(&path.end_entity().subject_public_key_info())
            || path
                .intermediate_certificates()
                .any(|certificate| self.holds(&certificate.subject_public_key_info()))
            || self.holds(&key_of(path.anchor()))
    }
}

/// The key of a trust anchor, which is kept without the head of its SEQUENCE.
fn key_of(anchor: &TrustAnchor<'_>) -> Vec<u8> {
    let content = anchor.subject_public_key_info.as_ref();
    let length = content.len().to_be_bytes();
    let length = &length[length.iter().take_while(|&&byte| byte == 0).count()..];
    let mut der = vec![0x30];
    if let [short] = length
        && *short < 0x80
    {
        der.push(*short);
    } else {
        // At most eight bytes of length.
        der.push(0x80 | u8::try_from(length.len()).unwrap_or(0x7f));
        der.extend_from_slice(length);
    }
    der.extend_from_slice(content);
    der
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let valid = self.verifier.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        )?;
        let pinned_away =
            || Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure);
        let pinned = |path: &VerifiedPath<'_>| {
            if self.on(path) {
                Ok(())
            } else {
                Err(webpki::Error::UnknownIssuer)
            }
        };
        EndEntityCert::try_from(end_entity)
            .map_err(|_| pinned_away())?
            .verify_for_usage(
                self.algorithms.all,
                &self.roots.roots,
                intermediates,
                now,
                KeyUsage::server_auth(),
                None,
                Some(&pinned),
            )
            .map_err(|_| pinned_away())?;
        Ok(valid)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verifier
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

fn refused(origin: &Origin, error: &Error) -> FetchError {
    use CertificateError as Certificate;
    let host = origin.host();
    let reason = match error {
        Error::InvalidCertificate(Certificate::ApplicationVerificationFailure) => {
            return FetchError::Pin { host };
        }
        Error::InvalidCertificate(certificate) => match certificate {
            Certificate::Expired | Certificate::ExpiredContext { .. } => {
                "its certificate has expired".to_owned()
            }
            Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => {
                "its certificate is not valid yet".to_owned()
            }
            Certificate::UnknownIssuer => {
                "its certificate is from an authority that is not trusted".to_owned()
            }
            Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
                "its certificate is for another name".to_owned()
            }
            other => format!(
                "its certificate is refused: {}",
                shown(&format!("{other:?}"))
            ),
        },
        Error::PeerIncompatible(_) => {
            "it offers neither TLS 1.2 nor 1.3 with safe algorithms".to_owned()
        }
        Error::InvalidMessage(_) => "what it speaks is no TLS".to_owned(),
        other => shown(&other.to_string()),
    };
    FetchError::Tls { host, reason }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn the_key_of_an_anchor_is_that_of_its_certificate() {
        // A P-256 key is short, an RSA key takes a length of two bytes.
        for length in [20, 0x7f, 0x80, 0xff, 0x100, 550] {
            let anchor = TrustAnchor {
                subject: Vec::new().into(),
                subject_public_key_info: vec![7; length].into(),
                name_constraints: None,
            };
            let der = key_of(&anchor);
            let head: &[u8] = match length {
                20 => &[0x30, 20],
                0x7f => &[0x30, 0x7f],
                0x80 => &[0x30, 0x81, 0x80],
                0xff => &[0x30, 0x81, 0xff],
                0x100 => &[0x30, 0x82, 1, 0],
                _ => &[0x30, 0x82, 2, 0x26],
            };
            assert!(der.starts_with(head), "{length}");
            assert_eq!(der.len(), head.len() + length);
        }
    }
}
