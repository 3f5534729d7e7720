//! `evidence.verify`: checks every signature and chain of the context's evidence, offline.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::world::World;
use crate::engine::step::{Look, Observed, ReadCx};
use crate::error::Result;
use crate::evidence::{TrustedKeys, verify};

/// Arguments of `evidence.verify`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct EvidenceArgs {}

/// The step kind `evidence.verify`.
pub struct VerifyEvidence;

#[async_trait]
impl Look<World> for VerifyEvidence {
    const KIND: &'static str = "evidence.verify";
    const SUMMARY: &'static str =
        "Checks every signature, chain and pairing of the context's evidence, offline";
    type Args = EvidenceArgs;

    fn title(&self, _: &EvidenceArgs) -> String {
        "verify the evidence".to_owned()
    }

    async fn look(&self, cx: &ReadCx<'_, World>, _: &EvidenceArgs) -> Result<Observed> {
        let settings = cx
            .world
            .evidence
            .as_ref()
            .ok_or_else(|| cx.world.lacks("evidence"))?;
        let report = verify(&settings.dir, &trusted_keys(cx.world), None)?;
        report.check()?;
        Ok(Observed::of(json!({
            "sound": report.sound, "records": report.records, "freshness": report.freshness,
            "summary": report.summary, "dir": settings.dir,
        })))
    }
}

/// The keys whose evidence a world trusts: its own signer's, and those its configuration names.
pub fn trusted_keys(world: &World) -> TrustedKeys {
    let mut trusted = TrustedKeys::of([]);
    if let Some(settings) = &world.evidence {
        trusted.add(settings.key.public(), "this host's signing key");
    }
    if let Some(settings) = &world.repository {
        for key in &settings.trusted {
            trusted.add(key.clone(), "the context's trusted keys");
        }
    }
    trusted
}
