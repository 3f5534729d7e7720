//! Looks at a server's certificate without trusting it: who it is for, who issued it, and when it expires.

use std::sync::Arc;

use rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::TlsConnector;

use super::{BROKEN, REFUSED, TLS};
use crate::error::{Error, Result};
use crate::time::Instant;
use crate::tls::{Check, client};
use crate::wait::Deadline;

/// A server's certificate, as it presents it.
#[derive(Debug, Clone)]
pub struct Certificate {
    /// The subject.
    pub subject: String,
    /// The issuer.
    pub issuer: String,
    /// The end of its validity.
    pub not_after: Instant,
}

/// Fetches the certificate. Whether it is trusted is judged by the requests that use it, not here.
pub async fn certificate(host: &str, port: u16, deadline: Deadline) -> Result<Certificate> {
    let work = async {
        let stream = tokio::net::TcpStream::connect((host, port)).await;
        let stream = stream.map_err(|e| {
            Error::new(&REFUSED, format!("`{host}:{port}` accepts no connection")).caused_by(e)
        })?;
        let name = ServerName::try_from(host.to_owned()).map_err(|e| {
            Error::input(format!("`{host}` cannot be a server's name")).caused_by(e)
        })?;
        // An expired certificate is just what is looked for, and nothing is ever sent over it.
        let config = client(Check::Nothing, None)?;
        let handshake = TlsConnector::from(Arc::new(config))
            .connect(name, stream)
            .await;
        let tls = handshake.map_err(|e| {
            Error::new(
                &TLS,
                format!("`{host}:{port}` does not complete a TLS handshake"),
            )
            .caused_by(e)
        })?;
        let (_, session) = tls.get_ref();
        let leaf = session.peer_certificates().and_then(|chain| chain.first());
        let leaf = leaf
            .ok_or_else(|| Error::new(&BROKEN, format!("`{host}:{port}` shows no certificate")))?;
        parse(leaf)
    };
    deadline
        .run(
            &format!("looking at the certificate of `{host}:{port}`"),
            work,
        )
        .await
}

fn parse(der: &CertificateDer<'_>) -> Result<Certificate> {
    let (_, parsed) = x509_parser::parse_x509_certificate(der)
        .map_err(|e| Error::new(&TLS, "the server's certificate cannot be parsed").caused_by(e))?;
    Ok(Certificate {
        subject: parsed.subject().to_string(),
        issuer: parsed.issuer().to_string(),
        not_after: Instant::from_millis(
            parsed.validity().not_after.timestamp().saturating_mul(1000),
        ),
    })
}
