//! How the bucket is set up: what decides whether backups survive a mistake, an intruder or a rule that tidies up.
//!
//! A call that the store does not implement, or that the key may not make, is *not measured*: it never reads as good.

use std::fmt;

use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::types::{
    BucketVersioningStatus, ExpirationStatus, LifecycleRule, LifecycleRuleFilter,
    ReplicationRuleStatus,
};

use super::S3Store;
use super::error::{code, is_unimplemented};

/// A fact, or why it could not be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Measured<T> {
    /// What the store says.
    Is(T),
    /// Why it could not be measured.
    Not(Why),
}

/// Why a fact could not be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// The store has no such thing.
    Unimplemented,
    /// The access key may not ask.
    Denied,
    /// The store did not answer, or with this.
    Unanswered(String),
}

impl<T> Measured<T> {
    /// Why it was not measured, if so.
    pub fn unmeasured(&self) -> Option<&Why> {
        match self {
            Measured::Is(_) => None,
            Measured::Not(why) => Some(why),
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Why::Unimplemented => "this store does not implement the question",
            Why::Denied => "the access key may not ask",
            Why::Unanswered(how) => how,
        })
    }
}

/// The bucket's set-up.
#[derive(Debug, Clone)]
pub struct Posture {
    /// Whether an overwritten or deleted object can be had back.
    pub versioning: Measured<bool>,
    /// How the store encrypts by default; `None` if it does not.
    pub encryption: Measured<Option<String>>,
    /// Whether every kind of public access is blocked.
    pub public_blocked: Measured<bool>,
    /// Whether a bucket policy makes it public; `false` without a policy.
    pub public_policy: Measured<bool>,
    /// Rules of the lifecycle that touch our prefix.
    pub rules: Measured<Vec<Rule>>,
    /// Whether uploads that were never completed may be listed.
    pub uploads_listed: Measured<bool>,
    /// Whether objects are copied elsewhere.
    pub replicated: Measured<bool>,
    /// Whether Object Lock is on, and the retention that objects get by default.
    pub lock: Measured<Option<String>>,
}

/// What a lifecycle rule does to objects below our prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its id.
    pub id: String,
    /// What it does.
    pub does: Does,
}

/// What a lifecycle rule does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Does {
    /// Deletes what is in use, after so many days or at a date.
    Expires(String),
    /// Moves what is in use to a class that must be thawed before it can be read.
    Freezes(String),
    /// Ends uploads that were never completed.
    EndsUploads,
}

impl S3Store {
    /// Asks for everything; a call that fails only leaves its own fact out.
    pub async fn posture(&self) -> Posture {
        let bucket = &self.place.bucket;
        let (versioning, encryption, block, policy, lifecycle, uploads, replication, lock) = tokio::join!(
            self.client.get_bucket_versioning().bucket(bucket).send(),
            self.client.get_bucket_encryption().bucket(bucket).send(),
            self.client.get_public_access_block().bucket(bucket).send(),
            self.client.get_bucket_policy_status().bucket(bucket).send(),
            self.client
                .get_bucket_lifecycle_configuration()
                .bucket(bucket)
                .send(),
            self.client
                .list_multipart_uploads()
                .bucket(bucket)
                .prefix(&self.place.prefix)
                .max_uploads(1)
                .send(),
            self.client.get_bucket_replication().bucket(bucket).send(),
            self.client
                .get_object_lock_configuration()
                .bucket(bucket)
                .send(),
        );
        Posture {
            versioning: measured(versioning, &[], |v| {
                v.is_some_and(|v| v.status() == Some(&BucketVersioningStatus::Enabled))
            }),
            encryption: measured(
                encryption,
                &["ServerSideEncryptionConfigurationNotFoundError"],
                |e| {
                    let rules = e?.server_side_encryption_configuration?.rules;
                    let by = rules.first()?.apply_server_side_encryption_by_default()?;
                    Some(by.sse_algorithm().as_str().to_owned())
                },
            ),
            public_blocked: measured(block, &["NoSuchPublicAccessBlockConfiguration"], |b| {
                b.and_then(|b| b.public_access_block_configuration)
                    .is_some_and(|b| {
                        [
                            b.block_public_acls,
                            b.ignore_public_acls,
                            b.block_public_policy,
                            b.restrict_public_buckets,
                        ] == [Some(true); 4]
                    })
            }),
            public_policy: measured(policy, &["NoSuchBucketPolicy"], |p| {
                p.and_then(|p| p.policy_status)
                    .and_then(|p| p.is_public)
                    .unwrap_or(false)
            }),
            rules: measured(lifecycle, &["NoSuchLifecycleConfiguration"], |l| {
                let rules = l.and_then(|l| l.rules).unwrap_or_default();
                rules.iter().flat_map(|rule| self.touches(rule)).collect()
            }),
            uploads_listed: measured(uploads, &["AccessDenied", "403"], |found| found.is_some()),
            replicated: measured(
                replication,
                &["ReplicationConfigurationNotFoundError"],
                |r| {
                    let rules = r.and_then(|r| r.replication_configuration).map(|r| r.rules);
                    rules
                        .unwrap_or_default()
                        .iter()
                        .any(|r| r.status() == &ReplicationRuleStatus::Enabled)
                },
            ),
            lock: measured(
                lock,
                &[
                    "ObjectLockConfigurationNotFoundError",
                    "NoSuchObjectLockConfiguration",
                ],
                |l| {
                    let found = l?.object_lock_configuration?;
                    found.object_lock_enabled()?;
                    let default = found.rule().and_then(|r| r.default_retention());
                    Some(default.map_or("no default retention".to_owned(), |d| {
                        let span = d.days().map(|d| format!("{d} days"));
                        let span = span.or_else(|| d.years().map(|y| format!("{y} years")));
                        let mode = d.mode().map_or("unknown", |m| m.as_str());
                        format!("{} for {}", mode.to_lowercase(), span.unwrap_or_default())
                    }))
                },
            ),
        }
    }

    /// What a rule does to our objects.
    fn touches(&self, rule: &LifecycleRule) -> Vec<Rule> {
        if rule.status() != &ExpirationStatus::Enabled || !self.covers(rule) {
            return Vec::new();
        }
        let mut does = Vec::new();
        if let Some(end) = rule.expiration() {
            if let Some(days) = end.days() {
                does.push(Does::Expires(format!("after {days} days")));
            } else if let Some(date) = end.date() {
                does.push(Does::Expires(format!("on {date}")));
            }
        }
        for transition in rule.transitions() {
            if let Some(class) = transition.storage_class()
                && ["GLACIER", "DEEP_ARCHIVE"].contains(&class.as_str())
            {
                let days = transition.days().unwrap_or_default();
                does.push(Does::Freezes(format!(
                    "to {} after {days} days",
                    class.as_str()
                )));
            }
        }
        if rule.abort_incomplete_multipart_upload().is_some() {
            does.push(Does::EndsUploads);
        }
        let id = rule.id().unwrap_or("unnamed").to_owned();
        does.into_iter()
            .map(|does| Rule {
                id: id.clone(),
                does,
            })
            .collect()
    }

    /// Whether the rule is for objects of ours. They carry no tags, so a rule for tagged ones is not.
    fn covers(&self, rule: &LifecycleRule) -> bool {
        let ours = if self.place.prefix.is_empty() {
            String::new()
        } else {
            format!("{}/", self.place.prefix)
        };
        let meets = |prefix: Option<&str>| {
            let prefix = prefix.unwrap_or_default();
            prefix.starts_with(&ours) || ours.starts_with(prefix)
        };
        #[expect(deprecated, reason = "rules of old still carry their prefix there")]
        let old = rule.prefix();
        match rule.filter() {
            None => meets(old),
            Some(LifecycleRuleFilter { tag: Some(_), .. }) => false,
            Some(LifecycleRuleFilter { and: Some(and), .. }) => {
                and.tags().is_empty() && meets(and.prefix())
            }
            Some(filter) => meets(filter.prefix()),
        }
    }
}

/// The fact in an answer; `absent` are the codes by which a store says that nothing is set up.
fn measured<O, E: ProvideErrorMetadata, T>(
    answer: Result<O, SdkError<E, HttpResponse>>,
    absent: &[&str],
    fact: impl FnOnce(Option<O>) -> T,
) -> Measured<T> {
    let error = match answer {
        Ok(answer) => return Measured::Is(fact(Some(answer))),
        Err(error) => error,
    };
    let SdkError::ServiceError(said) = &error else {
        return Measured::Not(Why::Unanswered("the store did not answer".to_owned()));
    };
    let code = code(said.err(), said.raw().status().as_u16());
    if absent.contains(&code.as_str()) {
        return Measured::Is(fact(None));
    }
    Measured::Not(if is_unimplemented(&error) {
        Why::Unimplemented
    } else if code == "AccessDenied" || code == "403" {
        Why::Denied
    } else {
        Why::Unanswered(format!("the store answers `{code}`"))
    })
}
