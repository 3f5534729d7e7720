//! How the repository's bucket is set up, as findings of `doctor` and the gate: what would let a mistake or an intruder take the backups
//! away. Nothing is changed; each finding has the command that mends it.

use std::time::Duration;

use tokio::sync::OnceCell;

use crate::check::{Category, Check, Finding};
use crate::event::Outcome;
use crate::repository::s3::posture::{Does, Measured, Posture, Rule, Why};
use crate::repository::{S3Place, S3Store};

use super::place::RepositoryPlace;
use super::world::World;

#[cfg(test)]
mod tests;

/// The questions take so long at most, all together.
const DEADLINE: Duration = Duration::from_secs(30);

/// The bucket, asked once for all checks.
pub struct Asked {
    place: Option<S3Place>,
    posture: OnceCell<Result<Posture, String>>,
}

impl Asked {
    /// The bucket of a world, if its repository lies in one.
    pub fn of(world: &World) -> Asked {
        let place = world.repository.as_ref().map(|r| &r.place);
        Asked {
            place: match place {
                Some(RepositoryPlace::Bucket(place)) => Some((**place).clone()),
                _ => None,
            },
            posture: OnceCell::new(),
        }
    }

    async fn posture(&self, place: &S3Place) -> &Result<Posture, String> {
        let ask = async || {
            let store = S3Store::open(place.clone()).await;
            let store = store.map_err(|e| e.to_string())?;
            let asked = tokio::time::timeout(DEADLINE, store.posture()).await;
            asked.map_err(|_| "the store did not answer in time".to_owned())
        };
        self.posture.get_or_init(ask).await
    }
}

/// A question: its id, what it means, and how an answer is judged.
type Question = (
    &'static str,
    &'static str,
    fn(&S3Place, &Posture) -> Finding,
);

const QUESTIONS: &[Question] = &[
    (
        "bucket.versioning",
        "The bucket keeps what is overwritten or deleted",
        versioning,
    ),
    (
        "bucket.lifecycle",
        "No lifecycle rule takes backups away",
        lifecycle,
    ),
    (
        "bucket.public-access",
        "Nobody but its owner's users reaches the bucket",
        public,
    ),
    (
        "bucket.object-lock",
        "Backups cannot be deleted before their time",
        lock,
    ),
    (
        "bucket.encryption",
        "The bucket encrypts by default",
        encryption,
    ),
    (
        "bucket.replication",
        "The bucket is copied elsewhere",
        replication,
    ),
];

/// What could be better is advice; what takes backups away, or opens them to everybody, is not.
fn graded(finding: Finding) -> Finding {
    match finding.outcome {
        Outcome::Failed => finding.decisive(),
        _ => finding,
    }
}

/// The checks; none unless the repository lies in a bucket. Only a bad answer decides the verdict.
pub fn checks<'a>(asked: &'a Asked, checks: &mut Vec<Check<'a>>) {
    let Some(place) = &asked.place else {
        return;
    };
    for (id, title, judge) in QUESTIONS {
        checks.push(
            Check::new(*id, Category::Backups, *title, move |_| async move {
                match asked.posture(place).await {
                    Ok(posture) => graded(judge(place, posture)),
                    Err(why) => Finding::not_evaluated(why.clone()),
                }
            })
            .advisory()
            .within(DEADLINE),
        );
    }
}

/// The same for the gate: a bucket where backups are deleted by a rule, or that everybody may read, is no place to release
/// from, and neither is one whose key may not ask. What the store has no such thing of, and what only could be better, is
/// said beside it.
pub async fn gate<'a>(asked: &Asked, checks: &mut Vec<Check<'a>>) {
    let Some(place) = &asked.place else {
        return;
    };
    let posture = asked.posture(place).await;
    for (id, title, judge) in QUESTIONS {
        let finding = match posture {
            Ok(posture) => judge(place, posture),
            Err(why) => Finding::not_evaluated(why.clone()),
        };
        let must = match finding.outcome {
            Outcome::Failed => true,
            Outcome::NotEvaluated => match posture {
                Ok(posture) => decides(id, posture),
                Err(_) => MUST.contains(id),
            },
            _ => false,
        };
        let check = Check::known(*id, Category::Backups, *title, finding);
        checks.push(if must { check } else { check.advisory() });
    }
}

/// What must be known before a release.
const MUST: [&str; 2] = ["bucket.lifecycle", "bucket.public-access"];

/// Whether nobody can release without the answer to a question that was not answered: it could be a rule that deletes backups,
/// and the store knows such rules.
fn decides(id: &str, posture: &Posture) -> bool {
    let open = |why: Option<&Why>| why.is_some_and(|why| *why != Why::Unimplemented);
    match id {
        "bucket.lifecycle" => open(posture.rules.unmeasured()),
        "bucket.public-access" => open(posture.public_policy.unmeasured()),
        _ => false,
    }
}

/// Judges what was measured; what was not is said to be so.
fn judged<T>(measured: &Measured<T>, judge: impl FnOnce(&T) -> Finding) -> Finding {
    match measured {
        Measured::Is(fact) => judge(fact),
        Measured::Not(why) => Finding::not_evaluated(format!("not measured: {why}")),
    }
}

fn command(place: &S3Place, what: &str) -> String {
    let endpoint = place.endpoint.as_ref();
    let endpoint = endpoint.map_or(String::new(), |url| format!(" --endpoint-url {url}"));
    format!("aws s3api {what} --bucket {}{endpoint}", place.bucket)
}

fn versioning(place: &S3Place, posture: &Posture) -> Finding {
    judged(&posture.versioning, |on| {
        if *on {
            return Finding::passed("versioning is on");
        }
        Finding::degraded("versioning is off: a deleted or overwritten object is gone").hint(
            format!(
                "Turn it on: `{} --versioning-configuration Status=Enabled`.",
                command(place, "put-bucket-versioning")
            ),
        )
    })
}

fn encryption(place: &S3Place, posture: &Posture) -> Finding {
    judged(&posture.encryption, |by| match (by, &place.kms_key) {
        (_, Some(key)) => Finding::passed(format!("each object is encrypted with `{key}`")),
        (Some(by), None) => Finding::passed(format!(
            "by {by}; backups are encrypted before they leave this host as well"
        )),
        (None, None) => {
            Finding::skipped("not by default; backups are encrypted before they leave this host")
        }
    })
}

fn public(place: &S3Place, posture: &Posture) -> Finding {
    if posture.public_policy == Measured::Is(true) {
        return Finding::failed("a bucket policy lets everybody in").hint(format!(
            "Look at it with `{}`, and remove it with `{}`.",
            command(place, "get-bucket-policy"),
            command(place, "delete-bucket-policy")
        ));
    }
    if let Some(why) = posture.public_policy.unmeasured()
        && *why != Why::Unimplemented
        && posture.public_blocked != Measured::Is(true)
    {
        return Finding::not_evaluated(format!(
            "whether a policy lets everybody in was not measured: {why}"
        ))
        .hint("Let the access key use `s3:GetBucketPolicyStatus`.");
    }
    judged(&posture.public_blocked, |blocked| {
        if *blocked {
            return Finding::passed("every public access is blocked");
        }
        Finding::degraded("public access is not blocked: one wrong policy or ACL would open the bucket").hint(format!(
            "Block it: `{} --public-access-block-configuration BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true`.",
            command(place, "put-public-access-block")
        ))
    })
}

fn lifecycle(place: &S3Place, posture: &Posture) -> Finding {
    judged(&posture.rules, |rules| {
        let named = |rule: &Rule, what: &str| format!("rule `{}` {what}", rule.id);
        let mut worst = Vec::new();
        let mut slow = Vec::new();
        for rule in rules {
            match &rule.does {
                Does::Expires(when) => worst.push(named(rule, &format!("deletes objects {when}"))),
                Does::Freezes(how) => slow.push(named(rule, &format!("moves objects {how}"))),
                Does::EndsUploads => {}
            }
        }
        let look = format!(
            "See the rules with `{}`.",
            command(place, "get-bucket-lifecycle-configuration")
        );
        if !worst.is_empty() {
            return Finding::failed(format!(
                "{}: backups share objects of any age, so that every backup would be damaged",
                worst.join("; ")
            ))
            .hint(look)
            .hint("Keep the rule away from the repository's prefix.");
        }
        if !slow.is_empty() {
            return Finding::degraded(format!(
                "{}: what is moved must be thawed, for hours, before it can be restored",
                slow.join("; ")
            ))
            .hint(look);
        }
        if rules.iter().any(|r| r.does == Does::EndsUploads) {
            return Finding::passed("no rule deletes backups; unfinished uploads are ended");
        }
        let ends = "A rule `AbortIncompleteMultipartUpload` of a few days saves paying for uploads that were cut off.";
        if posture.uploads_listed == Measured::Is(false) {
            return Finding::degraded("no rule deletes backups; no rule ends uploads that were cut off either, and the access key may not list them to end them")
                .hint(ends)
                .hint("Or let the key use `s3:ListBucketMultipartUploads`: then each writer ends those older than a day.");
        }
        Finding::passed("no rule deletes backups").hint(ends)
    })
}

fn replication(_: &S3Place, posture: &Posture) -> Finding {
    judged(&posture.replicated, |on| {
        if *on {
            Finding::passed("replication is on")
        } else {
            Finding::skipped("replication is off: the bucket is the only copy of the backups")
        }
    })
}

fn lock(place: &S3Place, posture: &Posture) -> Finding {
    judged(&posture.lock, |on| {
        match (on, &place.lock) {
        (Some(default), Some(_)) => Finding::passed(format!("on ({default}), and each backup is written with a retention of its own")),
        (Some(default), None) if default == "no default retention" => {
            Finding::degraded("Object Lock is on, and nothing uses it: neither the bucket nor `repository.s3` sets a retention")
                .hint("Set `object-lock` and `retain-for` in the context's `repository.s3` section.")
        }
        (Some(default), None) => Finding::passed(format!("on ({default})")),
        (None, Some(_)) => Finding::failed("`repository.s3.object-lock` is set, and the bucket has no Object Lock: nothing can be written")
            .hint("Make a bucket with Object Lock, or remove `object-lock` and `retain-for`."),
        (None, None) => Finding::degraded("off: whoever holds the access key can delete the backups")
            .hint("Object Lock is turned on when a bucket is made; then set `object-lock` and `retain-for` in the context's `repository.s3` section."),
    }
    })
}
