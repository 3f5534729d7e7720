//! The ingress's TLS files: readable, kept private, one pair, valid now and for the hosts they serve.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::prelude::{FromDer as _, GeneralName, SubjectPublicKeyInfo, X509Certificate};

use crate::check::Finding;
use crate::config::source::{Provenance, Sourced};
use crate::time::Instant;

/// A certificate with fewer days left is a finding: the usual renewal, 30 days before the end, did not happen.
pub const DAYS_LEFT: i64 = 21;

/// The files that `TLS_KEY_PATH` and `TLS_CERT_PATH` name.
#[derive(Debug, Clone)]
pub(super) struct Files {
    pub key: Sourced<PathBuf>,
    pub cert: Sourced<PathBuf>,
}

/// Both files are here, hold what they should, and the key is kept private.
pub(super) fn files(files: &Files) -> Finding {
    for file in [&files.key, &files.cert] {
        if let Some(finding) = unreadable(file) {
            return finding;
        }
    }
    if let Err(what) = chain(&files.cert.value) {
        return Finding::failed(format!("`TLS_CERT_PATH`: {what}")).settled();
    }
    if let Err(what) = key(&files.key.value) {
        return Finding::failed(format!("`TLS_KEY_PATH`: {what}")).settled();
    }
    let mode = std::fs::metadata(&files.key.value)
        .map(|m| m.permissions().mode() & 0o777)
        .unwrap_or_default();
    let shown = format!("{mode:04o}");
    if mode & 0o044 != 0 {
        return Finding::degraded(format!(
            "the private key `{}` can be read by others (mode {shown})",
            files.key.value.display()
        ))
        .fact("key-mode", shown)
        .hint(format!("Run `chmod 600 {}`.", files.key.value.display()))
        .settled();
    }
    Finding::passed(format!("both readable, the key's mode is {shown}")).fact("key-mode", shown)
}

/// Nobody may read it, or it is not on this machine at all.
fn unreadable(file: &Sourced<PathBuf>) -> Option<Finding> {
    let error = match std::fs::File::open(&file.value) {
        Ok(_) => return None,
        Err(error) => error,
    };
    let path = file.value.display();
    // A path in a `.env` or Compose file is usually one inside the container.
    let elsewhere = matches!(file.source, Provenance::File { .. });
    if elsewhere && error.kind() == std::io::ErrorKind::NotFound {
        return Some(Finding::not_evaluated(format!(
            "`{path}` does not exist on this machine; run this check where the platform runs"
        )));
    }
    Some(Finding::failed(format!("`{path}` cannot be read: {error}")).settled())
}

/// The key is the one that the certificate certifies.
pub(super) fn pair(files: &Files) -> Finding {
    let read = chain(&files.cert.value).and_then(|c| Ok((c, key(&files.key.value)?)));
    let (chain, key) = match read {
        Ok(read) => read,
        Err(what) => return Finding::failed(what).settled(),
    };
    let Some(leaf) = chain.first() else {
        return Finding::failed("the file holds no certificate").settled();
    };
    let signer = match rustls::crypto::ring::sign::any_supported_type(&key) {
        Ok(signer) => signer,
        Err(_) => {
            return Finding::not_evaluated(
                "the private key is of a kind that cannot be compared here (RSA from 2048 bits, P-256, P-384 and Ed25519 can)",
            );
        }
    };
    let Some(public) = signer.public_key() else {
        return Finding::not_evaluated("the private key does not give its public key");
    };
    let certified = match X509Certificate::from_der(leaf) {
        Ok((_, certificate)) => certificate.public_key().subject_public_key.data.to_vec(),
        Err(_) => return Finding::failed("the certificate cannot be read").settled(),
    };
    match SubjectPublicKeyInfo::from_der(public.as_ref()) {
        Ok((_, own)) if own.subject_public_key.data.as_ref() == certified.as_slice() => {
            Finding::passed("the key fits the certificate")
        }
        Ok(_) => Finding::failed("the key is not the one of the certificate")
            .hint("Point `TLS_KEY_PATH` and `TLS_CERT_PATH` to files that were issued together.")
            .settled(),
        Err(_) => Finding::not_evaluated("the private key's public half cannot be read"),
    }
}

/// Every certificate of the chain is valid now, and for a while.
pub(super) fn expiry(files: &Files, now: Instant) -> Finding {
    let chain = match chain(&files.cert.value) {
        Ok(chain) => chain,
        Err(what) => return Finding::failed(what).settled(),
    };
    let now = now.millis() / 1_000;
    let mut first: Option<(i64, usize)> = None;
    for (place, der) in chain.iter().enumerate() {
        let Ok((_, certificate)) = X509Certificate::from_der(der) else {
            return Finding::failed(format!("certificate {} cannot be read", place + 1)).settled();
        };
        let validity = certificate.validity();
        if now < validity.not_before.timestamp() {
            return Finding::failed(format!(
                "certificate {} of {} is valid only from {}",
                place + 1,
                chain.len(),
                day(validity.not_before.timestamp())
            ))
            .settled();
        }
        let end = validity.not_after.timestamp();
        if first.is_none_or(|(earliest, _)| end < earliest) {
            first = Some((end, place));
        }
    }
    let Some((end, place)) = first else {
        return Finding::failed("the file holds no certificate").settled();
    };
    let days = (end - now).div_euclid(86_400);
    let which = if chain.len() == 1 {
        "the certificate".to_owned()
    } else {
        format!("certificate {} of {}", place + 1, chain.len())
    };
    let finding = if days < 0 {
        Finding::failed(format!("{which} expired on {}", day(end)))
    } else if days < DAYS_LEFT {
        Finding::degraded(format!("{which} expires in {days} days, on {}", day(end)))
    } else {
        Finding::passed(format!(
            "{which} is valid for {days} more days, until {}",
            day(end)
        ))
    };
    finding.fact("days-left", days).settled()
}

/// The chain is in order, and its first certificate names every host it serves.
pub(super) fn hosts(files: &Files, hosts: &[Sourced<String>]) -> Finding {
    let chain = match chain(&files.cert.value) {
        Ok(chain) => chain,
        Err(what) => return Finding::failed(what).settled(),
    };
    let parsed: Option<Vec<X509Certificate<'_>>> = chain
        .iter()
        .map(|der| X509Certificate::from_der(der).ok().map(|(_, c)| c))
        .collect();
    let Some(parsed) = parsed.filter(|p| !p.is_empty()) else {
        return Finding::failed("a certificate cannot be read").settled();
    };
    for (place, pair) in parsed.windows(2).enumerate() {
        if pair[0].issuer() != pair[1].subject() {
            return Finding::failed(format!(
                "certificate {} was not issued by certificate {}: the chain is out of order",
                place + 1,
                place + 2
            ))
            .hint("Write the server's certificate first, then the one that issued it, and so on.")
            .settled();
        }
    }
    let leaf = &parsed[0];
    let names = names(leaf);
    if hosts.is_empty() {
        return Finding::not_evaluated(
            "no host is known that it must serve; set `gateway.url` or `ui-url`",
        )
        .fact("names", names);
    }
    let missing: Vec<&str> = hosts
        .iter()
        .map(|h| h.value.as_str())
        .filter(|host| !names.iter().any(|name| covers(name, host)))
        .collect();
    if !missing.is_empty() {
        return Finding::failed(format!(
            "the certificate does not name {}",
            missing.join(", ")
        ))
        .fact("names", names)
        .settled();
    }
    if leaf.issuer() == leaf.subject() {
        return Finding::degraded("the certificate is signed by itself: clients do not trust it")
            .fact("names", names)
            .settled();
    }
    Finding::passed(format!(
        "names every host it serves; {} in the chain",
        parsed.len()
    ))
    .fact("names", names)
}

/// The DNS names and addresses a certificate is for (RFC 6125: the subject's common name does not count).
fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else {
        return Vec::new();
    };
    extension
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            GeneralName::IPAddress(bytes) => match bytes.len() {
                4 => <[u8; 4]>::try_from(*bytes)
                    .ok()
                    .map(|b| std::net::Ipv4Addr::from(b).to_string()),
                _ => <[u8; 16]>::try_from(*bytes)
                    .ok()
                    .map(|b| std::net::Ipv6Addr::from(b).to_string()),
            },
            _ => None,
        })
        .collect()
}

/// Whether a name of a certificate covers a host: a `*` stands for exactly one label.
fn covers(name: &str, host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    match name.strip_prefix("*.") {
        Some(rest) => host
            .split_once('.')
            .is_some_and(|(first, tail)| !first.is_empty() && tail == rest),
        None => name == host,
    }
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let bad = || format!("`{}` holds no PEM certificate", path.display());
    let chain: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(|_| bad())?
        .collect::<Result<_, _>>()
        .map_err(|_| bad())?;
    if chain.is_empty() {
        return Err(bad());
    }
    Ok(chain)
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_file(path).map_err(|_| {
        let text = zeroize::Zeroizing::new(std::fs::read_to_string(path).unwrap_or_default());
        if text.contains("ENCRYPTED") {
            format!(
                "`{}` is encrypted with a passphrase, which nobody can type at a server's start",
                path.display()
            )
        } else {
            format!("`{}` holds no PEM private key", path.display())
        }
    })
}

/// A day in UTC.
fn day(seconds: i64) -> String {
    Instant::from_millis(seconds.saturating_mul(1_000))
        .to_string()
        .chars()
        .take(10)
        .collect()
}

#[cfg(test)]
mod tests;
