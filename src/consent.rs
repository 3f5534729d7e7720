//! Consent is a type: whatever changes the outside takes a [`Consent`], and only [`obtain`] makes one, after the
//! flag, the prompt or the standing approval was checked against the plan that was shown.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::reasons;
use crate::time::Instant;

reasons! {
    /// Nobody agreed.
    NO_CONSENT = "consent.missing", Refused,
        "The operation changes something and nobody agreed to it. Answer the prompt, or pass the flag the message names: \
         `--yes` for a change, `--confirm CONTEXT` for a destructive act, and `--plan DIGEST` with it in production.";
    /// Somebody said no.
    DECLINED = "consent.declined", Refused, "The answer to the prompt was no. Nothing was changed.";
    /// The plan is not the one that was consented to.
    PLAN_CHANGED = "consent.plan-changed", Refused,
        "The world changed since the plan was shown, so the consent no longer covers it. Look at the new plan and consent again.";
}

/// What an operation may do to the world.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// Looks only.
    Read,
    /// Adds or alters; what was there can be had back.
    Change,
    /// Replaces or removes data.
    Destroy,
}

impl Effect {
    /// The word shown to people.
    pub fn word(self) -> &'static str {
        match self {
            Effect::Read => "read",
            Effect::Change => "change",
            Effect::Destroy => "destroy",
        }
    }
}

/// How much a mistake on a context costs.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    /// Throw-away.
    Development,
    /// Like production, without its users.
    Staging,
    /// The real thing; also what an unknown context counts as.
    Production,
}

/// How consent was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// Nothing to consent to: a read-only plan.
    NotNeeded,
    /// Answered at the prompt.
    Prompt,
    /// `--yes`.
    Yes,
    /// `--confirm NAME`, with or without `--plan DIGEST`.
    Confirm,
    /// A signed standing consent; the id names it.
    Standing(String),
}

/// Proof that somebody agreed to a plan. Cannot be built outside [`obtain`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Consent {
    effect: Effect,
    how: How,
    context: String,
    plan_digest: String,
    at: Instant,
}

impl Consent {
    /// The strongest effect agreed to.
    pub fn effect(&self) -> Effect {
        self.effect
    }
    /// How it was given.
    pub fn how(&self) -> &How {
        &self.how
    }
    /// The context it covers.
    pub fn context(&self) -> &str {
        &self.context
    }
    /// The plan it covers.
    pub fn plan_digest(&self) -> &str {
        &self.plan_digest
    }
    /// When it was given.
    pub fn at(&self) -> Instant {
        self.at
    }
}

/// What is to be consented to.
#[derive(Debug, Clone)]
pub struct Request<'a> {
    /// The strongest effect of the plan.
    pub effect: Effect,
    /// The context's name, which a destructive act must be confirmed with.
    pub context: &'a str,
    /// The context's tier.
    pub tier: Tier,
    /// The digest of the plan that was shown.
    pub plan_digest: &'a str,
    /// The command line to repeat, without consent flags, as in `summitctl restore 20261121T030405Z`.
    pub command: &'a str,
}

/// The consent flags of this invocation; they have no environment variables.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    /// `--yes`.
    pub yes: bool,
    /// `--confirm NAME`.
    pub confirm: Option<String>,
    /// `--plan DIGEST`, whole or a prefix of at least 12 characters after `sha256:`.
    pub plan: Option<String>,
    /// A standing consent that was verified for this context and operation: its id.
    pub standing: Option<String>,
}

/// Asks a person. Implemented by the terminal only.
pub trait Ask {
    /// Whether there is somebody to ask.
    fn interactive(&self) -> bool;
    /// A y/N question; the default is no.
    fn yes_no(&mut self, question: &str) -> Result<bool>;
    /// A question answered by typing a word.
    fn typed(&mut self, question: &str) -> Result<String>;
}

/// Nobody to ask: for schedulers, tests and `--no-input`.
pub struct Nobody;

impl Ask for Nobody {
    fn interactive(&self) -> bool {
        false
    }
    fn yes_no(&mut self, _: &str) -> Result<bool> {
        Ok(false)
    }
    fn typed(&mut self, _: &str) -> Result<String> {
        Ok(String::new())
    }
}

/// The only maker of [`Consent`].
///
/// `read` needs nothing; `change` y/N, `--yes` or a standing consent; `destroy` the context's name typed or in
/// `--confirm`, and in production without a terminal also `--plan` with the digest that was shown.
pub fn obtain(request: &Request<'_>, flags: &Flags, ask: &mut dyn Ask) -> Result<Consent> {
    if let Some(wanted) = &flags.plan
        && !digest_matches(wanted, request.plan_digest)
    {
        return Err(Error::new(
            &PLAN_CHANGED,
            format!(
                "the plan is `{}`, not `{wanted}` as `--plan` says",
                request.plan_digest
            ),
        )
        .hint(format!(
            "See what changed with `{} --plan-only`.",
            request.command
        )));
    }
    let how = match request.effect {
        Effect::Read => How::NotNeeded,
        Effect::Change => consent_to_change(request, flags, ask)?,
        Effect::Destroy => consent_to_destroy(request, flags, ask)?,
    };
    Ok(Consent {
        effect: request.effect,
        how,
        context: request.context.to_owned(),
        plan_digest: request.plan_digest.to_owned(),
        at: Instant::now(),
    })
}

/// Brings back a consent that a journal holds, to go on with exactly the plan it was given to. The journal's hash chain
/// and the plan's digest stand for it; nothing else can be consented to this way.
pub fn recall(recorded: &serde_json::Value, plan_digest: &str) -> Result<Consent> {
    let recalled: Recorded = serde_json::from_value(recorded.clone())
        .map_err(|e| Error::input("the journal's consent cannot be read").caused_by(e))?;
    if recalled.plan_digest != plan_digest {
        return Err(Error::new(
            &PLAN_CHANGED,
            "the journal's consent is to another plan than the one it holds",
        ));
    }
    let Recorded {
        effect,
        how,
        context,
        plan_digest,
        at,
    } = recalled;
    Ok(Consent {
        effect,
        how,
        context,
        plan_digest,
        at,
    })
}

/// A consent as it is journalled.
#[derive(Deserialize)]
struct Recorded {
    effect: Effect,
    how: How,
    context: String,
    plan_digest: String,
    at: Instant,
}

fn consent_to_change(request: &Request<'_>, flags: &Flags, ask: &mut dyn Ask) -> Result<How> {
    if flags.yes {
        return Ok(How::Yes);
    }
    if flags.confirm.as_deref() == Some(request.context) {
        return Ok(How::Confirm);
    }
    if let Some(id) = &flags.standing {
        return Ok(How::Standing(id.clone()));
    }
    if !ask.interactive() {
        return Err(Error::new(
            &NO_CONSENT,
            format!(
                "this changes context `{}` and nobody agreed to it",
                request.context
            ),
        )
        .hint(format!(
            "Look at the plan with `{} --plan-only`.",
            request.command
        ))
        .hint(format!("Agree to it with `{} --yes`.", request.command)));
    }
    if ask.yes_no(&format!(
        "Apply this plan to context `{}`?",
        request.context
    ))? {
        Ok(How::Prompt)
    } else {
        Err(declined())
    }
}

fn consent_to_destroy(request: &Request<'_>, flags: &Flags, ask: &mut dyn Ask) -> Result<How> {
    if let Some(name) = &flags.confirm {
        if name != request.context {
            return Err(Error::new(
                &NO_CONSENT,
                format!(
                    "`--confirm {name}` does not name the context, which is `{}`",
                    request.context
                ),
            ));
        }
        if request.tier == Tier::Production && !ask.interactive() && flags.plan.is_none() {
            return Err(Error::new(
                &NO_CONSENT,
                format!(
                    "this destroys data in production context `{}`; without a terminal it also needs `--plan`",
                    request.context
                ),
            )
            .hint(format!("Look at the plan with `{} --plan-only`.", request.command))
            .hint(format!(
                "Agree to exactly that plan with `{} --confirm {} --plan {}`.",
                request.command, request.context, request.plan_digest
            )));
        }
        return Ok(How::Confirm);
    }
    if !ask.interactive() {
        let plan = if request.tier == Tier::Production {
            format!(" --plan {}", request.plan_digest)
        } else {
            String::new()
        };
        return Err(Error::new(
            &NO_CONSENT,
            format!(
                "this destroys data in context `{}` and nobody confirmed it",
                request.context
            ),
        )
        .hint(format!(
            "Look at the plan with `{} --plan-only`.",
            request.command
        ))
        .hint(format!(
            "Confirm it with `{} --confirm {}{plan}`.",
            request.command, request.context
        )));
    }
    let typed = ask.typed(&format!(
        "This destroys data. Type the context's name, `{}`, to go on:",
        request.context
    ))?;
    if typed.trim() == request.context {
        Ok(How::Prompt)
    } else {
        Err(declined())
    }
}

fn declined() -> Error {
    Error::new(&DECLINED, "not confirmed; nothing was changed")
}

/// Whole digests match, and prefixes of at least 12 hex digits, as they are shown to people.
fn digest_matches(wanted: &str, actual: &str) -> bool {
    let strip = |s: &str| s.strip_prefix("sha256:").unwrap_or(s).to_owned();
    let (wanted, actual) = (strip(wanted), strip(actual));
    wanted.len() >= 12 && actual.starts_with(&wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn request(effect: Effect, tier: Tier) -> Request<'static> {
        Request {
            effect,
            context: "prod",
            tier,
            plan_digest: DIGEST,
            command: "summitctl restore x",
        }
    }

    #[test]
    fn reading_needs_nothing_and_changing_needs_yes() {
        assert!(
            obtain(
                &request(Effect::Read, Tier::Production),
                &Flags::default(),
                &mut Nobody
            )
            .is_ok()
        );
        let refused = obtain(
            &request(Effect::Change, Tier::Development),
            &Flags::default(),
            &mut Nobody,
        )
        .expect_err("refused");
        assert_eq!(refused.reason().code, "consent.missing");
        assert!(refused.hints().iter().any(|h| h.contains("--yes")));
        let yes = Flags {
            yes: true,
            ..Flags::default()
        };
        assert!(
            obtain(
                &request(Effect::Change, Tier::Production),
                &yes,
                &mut Nobody
            )
            .is_ok()
        );
    }

    #[test]
    fn yes_never_covers_destruction_and_production_wants_the_digest() {
        let yes = Flags {
            yes: true,
            ..Flags::default()
        };
        assert!(
            obtain(
                &request(Effect::Destroy, Tier::Development),
                &yes,
                &mut Nobody
            )
            .is_err()
        );
        let named = Flags {
            confirm: Some("prod".into()),
            ..Flags::default()
        };
        assert!(
            obtain(
                &request(Effect::Destroy, Tier::Staging),
                &named,
                &mut Nobody
            )
            .is_ok()
        );
        assert!(
            obtain(
                &request(Effect::Destroy, Tier::Production),
                &named,
                &mut Nobody
            )
            .is_err()
        );
        let exact = Flags {
            plan: Some(DIGEST[..20].into()),
            ..named.clone()
        };
        assert!(
            obtain(
                &request(Effect::Destroy, Tier::Production),
                &exact,
                &mut Nobody
            )
            .is_ok()
        );
        let other = Flags {
            plan: Some("sha256:ffffffffffffffff".into()),
            ..named
        };
        let refused = obtain(
            &request(Effect::Destroy, Tier::Production),
            &other,
            &mut Nobody,
        )
        .expect_err("refused");
        assert_eq!(refused.reason().code, "consent.plan-changed");
    }

    #[test]
    fn standing_consent_never_covers_destruction() {
        let standing = Flags {
            standing: Some("nightly".into()),
            ..Flags::default()
        };
        assert!(
            obtain(
                &request(Effect::Change, Tier::Production),
                &standing,
                &mut Nobody
            )
            .is_ok()
        );
        assert!(
            obtain(
                &request(Effect::Destroy, Tier::Development),
                &standing,
                &mut Nobody
            )
            .is_err()
        );
    }
}
