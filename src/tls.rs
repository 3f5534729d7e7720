//! TLS as a client, once for every provider: whom to trust, and what is still checked when nobody is.

use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};

use crate::error::{Error, Result};

/// What a server's certificate must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// Anything, as the user asked for; the server must still hold its key, so that the stream is whole.
    Nothing,
    /// Signed by a trusted authority, whatever name it carries.
    Authority,
    /// Signed by a trusted authority for the name that was connected to.
    Name,
}

/// A client's configuration. The authorities are those of a PEM file, else the system's (`SSL_CERT_FILE` and
/// `SSL_CERT_DIR` are honoured).
pub fn client(check: Check, authorities: Option<&Path>) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::bug("the TLS provider has no protocol versions").caused_by(e))?;
    let chain = match check {
        Check::Name => {
            let roots = roots(authorities)?;
            return Ok(builder.with_root_certificates(roots).with_no_client_auth());
        }
        Check::Nothing => None,
        Check::Authority => {
            let roots = Arc::new(roots(authorities)?);
            let verifier =
                WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
                    .build()
                    .map_err(|e| Error::input("the authorities cannot be used").caused_by(e))?;
            Some(verifier)
        }
    };
    Ok(builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyName { provider, chain }))
        .with_no_client_auth())
}

fn roots(authorities: Option<&Path>) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let Some(path) = authorities else {
        // Certificates that cannot be read are left out; a chain that needs one fails with a TLS error.
        let found = rustls_native_certs::load_native_certs();
        let (usable, _) = roots.add_parsable_certificates(found.certs);
        if usable == 0 {
            return Err(Error::input(
                "this system has no certificate authorities to check the server's certificate with",
            )
            .hint("Install them with `apt-get install ca-certificates`, or set `SSL_CERT_FILE`."));
        }
        return Ok(roots);
    };
    let bytes = std::fs::read(path).map_err(|e| Error::io("read", path, e))?;
    let mut certificates = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(&bytes) {
        certificates.push(certificate.map_err(|e| {
            Error::input(format!(
                "`{}` is not a PEM file of certificates",
                path.display()
            ))
            .caused_by(e)
        })?);
    }
    let (added, _) = roots.add_parsable_certificates(certificates);
    if added == 0 {
        return Err(Error::input(format!(
            "`{}` holds no certificate",
            path.display()
        )));
    }
    Ok(roots)
}

/// Accepts any name, and without a chain to check any certificate; the server must hold its key all the same.
#[derive(Debug)]
struct AnyName {
    provider: Arc<CryptoProvider>,
    chain: Option<Arc<WebPkiServerVerifier>>,
}

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(chain) = &self.chain else {
            return Ok(ServerCertVerified::assertion());
        };
        // The name is compared after everything else, so that nothing else hides behind it.
        match chain.verify_server_cert(certificate, intermediates, name, ocsp, now) {
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}
