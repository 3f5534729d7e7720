//! What S3 said, as our errors: what was tried, where, why it failed, and which command says more.

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};

use super::S3Place;
use crate::error::{Error, Reason};
use crate::reasons;

reasons! {
    /// Nothing answers.
    UNREACHABLE = "repository.s3-unreachable", Unreachable,
        "The repository's object store does not answer: a wrong endpoint, no network, or the store is down. What was stored before is untouched; run the command again, or resume the run.";
    /// It asks for patience for too long.
    BUSY = "repository.s3-busy", Unreachable,
        "The object store refused requests as too many, or failed on its own side, after several attempts with growing pauses. Nothing half-written counts; resume the run later.";
    /// No credentials were found.
    NO_CREDENTIALS = "repository.s3-no-credentials", Usage,
        "No credentials for the object store: none are configured in `repository.s3`, and the usual chain (environment, profile, web identity, container and instance roles) gave none.";
    /// The key is not accepted.
    LOGIN_REFUSED = "repository.s3-login-refused", Unreachable,
        "The object store does not accept the access key: unknown, expired, or its secret is wrong.";
    /// The key may not do this.
    DENIED = "repository.s3-permission-denied", Refused,
        "The access key is known and may not do this. A backup host needs `s3:ListBucket`, `s3:GetObject`, `s3:PutObject`, `s3:DeleteObject` and `s3:AbortMultipartUpload` below the repository's prefix, `s3:ListBucketMultipartUploads` on the bucket to end uploads that were cut off, and the use of its KMS key. With Object Lock, also `s3:PutObjectRetention` and `s3:GetObjectRetention`.";
    /// It lies in an archive.
    ARCHIVED = "repository.s3-archived", Failed,
        "The object was moved to an archive class (Glacier Flexible Retrieval or Deep Archive), by a lifecycle rule or by hand, and must be restored there before it can be read, which takes hours. The key is not at fault.";
    /// The bucket does not exist.
    NO_BUCKET = "repository.s3-no-bucket", Unreachable,
        "The bucket does not exist at this endpoint. A bucket is never made by summitctl: who makes it decides about region, versioning, encryption and who may read it.";
    /// Another region.
    WRONG_REGION = "repository.s3-wrong-region", Usage,
        "The bucket lies in another region than the one requests are signed for. Set `region` in the context's `repository.s3` section.";
    /// The clocks are apart.
    CLOCK = "repository.s3-clock", Unreachable,
        "The object store refuses requests because this machine's clock is wrong, even after its own time was used to sign them.";
    /// It overwrites what must not be.
    UNSAFE = "repository.s3-unsafe-store", Refused,
        "The object store ignores `If-None-Match` or `If-Match`: of two writers of one name both would win, and a finished backup could be overwritten. Nothing is written there. Use a store that honours conditional writes, such as AWS S3, MinIO or versitygw.";
    /// The bytes changed on the way.
    GARBLED = "repository.s3-garbled", Failed,
        "The object store received other bytes than were sent: the checksum that went with them does not fit. Nothing was stored. Run the command again; if it goes on, look at what lies between here and there.";
    /// Anything else that the store refused.
    REFUSED = "repository.s3-refused", Failed,
        "The object store refused a request. The message holds its code and its words.";
}

/// Codes for a key that is not accepted.
const LOGIN: &[&str] = &[
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidToken",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "AuthFailure",
];

impl S3Place {
    /// The error of a request: `verb` is what was tried (`read`, `list`), `what` on which name below the prefix.
    pub(super) fn failed<E>(
        &self,
        verb: &str,
        what: &str,
        error: SdkError<E, HttpResponse>,
    ) -> Error
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let place = format!("{self}/{what}");
        let place = place.trim_end_matches('/');
        let (reason, why) = self.reason(&error);
        // The chain repeats itself; its last link is what the network or the system said.
        let deepest = deepest(&error);
        let said = match &error {
            SdkError::ServiceError(said) => {
                let code = code(said.err(), said.raw().status().as_u16());
                let words = said.err().message().unwrap_or_default().trim();
                let words = if words.is_empty() {
                    deepest
                } else {
                    words.to_owned()
                };
                format!("{code}: {words}")
            }
            _ => deepest,
        };
        let at = self.endpoint.as_deref().unwrap_or("AWS");
        let who = match &error {
            _ if reason == &NO_CREDENTIALS => "the chain of credentials says".to_owned(),
            SdkError::ServiceError(_) => format!("`{at}` says"),
            _ => format!("`{at}`"),
        };
        let error = Error::new(reason, format!("cannot {verb} `{place}`: {why}"))
            .caused_by(format!("{who}: {said}"));
        if reason == &ARCHIVED {
            let prefix = match self.prefix.as_str() {
                "" => String::new(),
                prefix => format!("{prefix}/"),
            };
            return error
                .hint(format!(
                    "Have it restored with `aws s3api restore-object --bucket {} --key {prefix}{what} --restore-request Days=7{}`, wait until `head-object` says that it is, and run the command again.",
                    self.bucket,
                    self.endpoint_option()
                ))
                .hint("`summitctl doctor` names the lifecycle rule that moves backups there.");
        }
        self.hints(reason, error)
    }

    fn reason<E>(&self, error: &SdkError<E, HttpResponse>) -> (&'static Reason, String)
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let plain = |reason, why: &str| (reason, why.to_owned());
        let said = match error {
            SdkError::TimeoutError(_) => {
                return plain(&UNREACHABLE, "there was no answer in time");
            }
            SdkError::ResponseError(_) => {
                return plain(&UNREACHABLE, "the answer broke off");
            }
            SdkError::DispatchFailure(failure) if failure.is_timeout() => {
                return plain(&UNREACHABLE, "there was no answer in time");
            }
            SdkError::DispatchFailure(failure) if failure.is_io() => {
                return plain(&UNREACHABLE, "the connection failed");
            }
            SdkError::ServiceError(said) => said,
            other => {
                let text = chain(other);
                return if ["credential", "identity"].iter().any(|w| text.contains(w)) {
                    plain(&NO_CREDENTIALS, "there are no credentials for it")
                } else if matches!(other, SdkError::ConstructionFailure(_)) {
                    plain(&REFUSED, "the request cannot be made")
                } else {
                    plain(&UNREACHABLE, "the request could not be sent")
                };
            }
        };
        let status = said.raw().status().as_u16();
        match code(said.err(), status).as_str() {
            "NoSuchBucket" => (&NO_BUCKET, format!("there is no bucket `{}`", self.bucket)),
            code if LOGIN.contains(&code) => {
                plain(&LOGIN_REFUSED, "the access key is not accepted")
            }
            "RequestTimeTooSkewed" => plain(&CLOCK, "this machine's clock is wrong"),
            "InvalidObjectState" => plain(&ARCHIVED, "it lies in an archive"),
            "PermanentRedirect"
            | "AuthorizationHeaderMalformed"
            | "IllegalLocationConstraintException"
            | "301" => plain(&WRONG_REGION, "the bucket lies in another region"),
            "BadDigest"
            | "XAmzContentChecksumMismatch"
            | "XAmzContentSHA256Mismatch"
            | "InvalidDigest" => plain(&GARBLED, "the bytes changed on the way"),
            "SlowDown" | "ServiceUnavailable" | "SlowDownRead" | "SlowDownWrite"
            | "RequestTimeout" => plain(&BUSY, "the store asks for fewer requests"),
            code if status == 403 || status == 401 || code.starts_with("KMS.") => {
                plain(&DENIED, "the access key may not do this")
            }
            _ if status >= 500 && status != 501 => plain(&BUSY, "the store failed on its own side"),
            code => (&REFUSED, format!("the store refuses it with `{code}`")),
        }
    }

    fn hints(&self, reason: &'static Reason, error: Error) -> Error {
        let endpoint = self.endpoint_option();
        let bucket = &self.bucket;
        let look =
            "Compare bucket, endpoint, region and key references with `summitctl context show`.";
        if reason == &NO_CREDENTIALS {
            error.hint("Set `access-key-id` and `secret-access-key` in the context's `repository.s3` section, or give the usual `AWS_…` variables or profile; `aws sts get-caller-identity` shows what the chain finds.")
        } else if reason == &NO_BUCKET {
            error.hint(look).hint(format!("If it is to be made: `aws s3 mb s3://{bucket}{endpoint}`, then `summitctl doctor` shows how it should be set up."))
        } else if reason == &LOGIN_REFUSED || reason == &WRONG_REGION {
            error.hint(look)
        } else if reason == &DENIED {
            error.hint("`summitctl explain repository.s3-permission-denied` lists what a backup host must be allowed to do.").hint(look)
        } else if reason == &UNREACHABLE {
            error.hint(format!(
                "See whether it answers with `aws s3 ls s3://{bucket}{endpoint}`. {look}"
            ))
        } else if reason == &CLOCK {
            error.hint("Let this machine keep time with NTP: `timedatectl set-ntp true`.")
        } else if reason == &BUSY || reason == &GARBLED {
            error.hint("Wait, then run the command again, or go on with `summitctl run resume`.")
        } else {
            error
        }
    }

    /// What the AWS command line needs beside the names to talk to this place.
    pub(super) fn endpoint_option(&self) -> String {
        self.endpoint
            .as_ref()
            .map(|url| format!(" --endpoint-url {url}"))
            .unwrap_or_default()
    }
}

/// The error's code; where an answer has no body, as to HEAD, its status.
pub(super) fn code(error: &impl ProvideErrorMetadata, status: u16) -> String {
    match error.code() {
        Some(code) if !code.is_empty() => code.to_owned(),
        _ => status.to_string(),
    }
}

/// Whether the store does not implement what was asked.
pub(super) fn is_unimplemented<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    let SdkError::ServiceError(said) = error else {
        return false;
    };
    let status = said.raw().status().as_u16();
    status == 501
        || status == 405
        || ["NotImplemented", "MethodNotAllowed", "UnsupportedOperation"]
            .contains(&code(said.err(), status).as_str())
}

/// Whether the answer has this status.
pub(super) fn is_status<E>(error: &SdkError<E, HttpResponse>, status: u16) -> bool {
    error
        .raw_response()
        .is_some_and(|raw| raw.status().as_u16() == status)
}

fn deepest(error: &(dyn std::error::Error + 'static)) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = String::new();
    let mut next = Some(error);
    while let Some(link) = next {
        text.push_str(&link.to_string().to_ascii_lowercase());
        text.push('\n');
        next = link.source();
    }
    text
}
