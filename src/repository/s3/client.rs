//! The client: credentials, region, TLS by rustls on ring, and how long and how often a request is tried.

use std::fmt;
use std::time::Duration;

use aws_config::BehaviorVersion;
use aws_config::meta::region::RegionProviderChain;
use aws_config::{
    environment::EnvironmentVariableRegionProvider, profile::ProfileFileRegionProvider,
};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{Builder, http::HttpResponse};
use aws_sdk_s3::config::{
    Credentials, ProvideCredentials, Region, RequestChecksumCalculation,
    ResponseChecksumValidation, SharedCredentialsProvider, StalledStreamProtectionConfig,
};
use aws_sdk_s3::error::SdkError;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore};

use super::S3Place;
use super::clock::StoreClock;
use crate::error::{Error, Result};
use crate::secret::Secret;

/// How often a request is sent before its failure is reported, with pauses of random length between that grow from 0.3 to
/// 10 seconds.
pub(super) const ATTEMPTS: u32 = 6;
/// No object is larger than one of the largest parts.
const LARGEST: u64 = 5 << 30;

/// How long a request is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// What an attempt may take beside the time for its bytes.
    pub beside: Duration,
    /// The slowest link that is worked on, in bytes a second: an attempt gets the time that its bytes take on it.
    pub slowest: u64,
    /// A transfer that does not move for so long is given up and tried again.
    pub stalled: Duration,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            beside: Duration::from_secs(30),
            slowest: 32 << 10,
            stalled: Duration::from_secs(20),
        }
    }
}

impl Patience {
    /// What one attempt to move so many bytes may take.
    pub(super) fn whole(self, bytes: u64) -> Duration {
        self.beside + Duration::from_secs(bytes.min(LARGEST) / self.slowest.max(1))
    }

    fn timeouts(self, bytes: u64) -> TimeoutConfig {
        let whole = self.whole(bytes);
        TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(5))
            .read_timeout(whole)
            .operation_attempt_timeout(whole)
            .build()
    }

    /// For one operation: the time that its bytes need.
    pub(super) fn of(self, bytes: u64) -> Builder {
        Builder::new().timeout_config(self.timeouts(bytes))
    }
}

/// The region of stores that do not know regions.
const NO_REGION: &str = "us-east-1";

impl S3Place {
    pub(super) async fn client(&self, clock: &StoreClock, patience: Patience) -> Result<Client> {
        let retries = RetryConfig::standard()
            .with_max_attempts(ATTEMPTS)
            .with_initial_backoff(Duration::from_millis(300))
            .with_max_backoff(Duration::from_secs(10));
        let stalled = StalledStreamProtectionConfig::enabled()
            .grace_period(patience.stalled)
            .build();
        let region = RegionProviderChain::first_try(self.region.clone().map(Region::new))
            .or_else(EnvironmentVariableRegionProvider::new())
            .or_else(ProfileFileRegionProvider::new())
            .or_else(Region::new(NO_REGION));
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(self.http_client()?)
            .region(region)
            .retry_config(retries)
            .timeout_config(patience.timeouts(0))
            .stalled_stream_protection(stalled)
            // We send a SHA-256 with everything, and check what we get against the one that we sent with it.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        if let Some(endpoint) = &self.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        if let Some(keys) = &self.keys {
            let token = keys.session_token.as_ref().map(|t| t.expose().to_owned());
            loader = loader.credentials_provider(Credentials::new(
                keys.id.expose(),
                keys.secret.expose(),
                token,
                None,
                "configured",
            ));
        }
        let shared = loader.load().await;
        let mut builder = Builder::from(&shared)
            .time_source(clock.clone())
            .retry_classifier(clock.clone())
            .force_path_style(self.path_style.unwrap_or(self.endpoint.is_some()));
        if let Some(provider) = shared.credentials_provider() {
            builder = builder.credentials_provider(Masked(provider));
        }
        Ok(Client::from_conf(builder.build()))
    }

    fn http_client(&self) -> Result<aws_sdk_s3::config::SharedHttpClient> {
        let mut roots = TrustStore::default();
        if let Some(pem) = &self.tls_ca {
            roots.add_pem_certificate(pem.clone());
        }
        let context = TlsContext::builder()
            .with_trust_store(roots)
            .build()
            .map_err(|e| {
                Error::input("the CA file holds no certificate in PEM form").caused_by(e)
            })?;
        Ok(aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .tls_context(context)
            .build_https())
    }
}

/// Whether a condition of the request did not hold.
pub(super) fn unmet<E>(error: &SdkError<E, HttpResponse>) -> bool {
    super::error::is_status(error, 412)
}

/// Credentials, whoever gives them: the masker learns them before they are used.
struct Masked(SharedCredentialsProvider);

impl fmt::Debug for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Masked(***)")
    }
}

impl ProvideCredentials for Masked {
    fn provide_credentials<'a>(
        &'a self,
    ) -> aws_credential_types::provider::future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        aws_credential_types::provider::future::ProvideCredentials::new(async {
            let found = self.0.provide_credentials().await?;
            Secret::new(found.secret_access_key());
            if let Some(token) = found.session_token() {
                Secret::new(token);
            }
            Ok(found)
        })
    }
}
