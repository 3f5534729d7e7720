//! What differs between captured listings and a restored database, in words; and which of it the place accounts for: a server
//! without a locale, a role that may not set a setting. The rest is a loss.

use std::collections::BTreeMap;

use serde_json::Value;
use sqlx::postgres::PgConnection;

use super::super::Target;
use super::super::capture::DatabaseFacts;
use super::super::catalogue::{self, Form, Listing, catalogue_differences};
use super::super::session::{self, Access, close, failed, open, run, scalar};
use super::create::{at_hand, setting_key};
use super::lesser::is_superuser;
use super::roles::Carried;
use super::{MissingRoles, SchemaMeta};
use crate::capture::PartSource;
use crate::error::Result;

/// Differences named of a database.
const NAMED: usize = 20;

/// What a second look at listings showed.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// What was lost, changed or added: `missing`, `unexpected` or `changed`, the kind and the name.
    pub named: Vec<String>,
    /// Of parts that differ in nothing but what the place cannot have: what that is, and why.
    pub excused: BTreeMap<String, String>,
}

/// What differs between captured listings, the parts of these names, and those of a database that `captured` was restored into:
/// the second look, once the sums have shown that something does. `missing` is how it was restored.
pub async fn survey(
    restored: &Target,
    source: &dyn PartSource,
    captured: &str,
    parts: &[&String],
    missing: MissingRoles,
) -> Result<Survey> {
    let mut survey = Survey::default();
    for part in parts {
        let held = source.parts(part).into_iter().find(|i| i.name == **part);
        let form = held.and_then(|info| Form::of(&info.format));
        let (Some(listing), Some(form)) = (listing_in(part), form) else {
            continue;
        };
        let bytes = source.open(part).await?.read_all().await?;
        let lines = String::from_utf8_lossy(&bytes);
        let expected: Vec<String> = lines.lines().map(str::to_owned).collect();
        let mut session = open(restored, Access::Read).await?;
        let seen = catalogue::list(restored, &mut session, listing, form).await?;
        let mut found = catalogue_differences(&expected, &seen);
        let mut place = Place {
            target: restored,
            session: &mut session,
            facts: &SchemaMeta::of(source, captured)?.database,
            carried: &Carried::read(source, captured).await?,
            missing,
        };
        let excuses = match listing {
            Listing::Objects => place.objects(&found, &seen).await?,
            Listing::Ownership => place.ownership(&found).await?,
        };
        close(session).await;
        found.retain(|difference| !excuses.contains_key(difference));
        if found.is_empty() && !excuses.is_empty() {
            let words: Vec<String> = excuses
                .iter()
                .map(|(d, why)| format!("{d} ({why})"))
                .collect();
            let why = format!("equal but for: {}", words.join(", "));
            survey.excused.insert((*part).clone(), why);
        }
        survey.named.extend(found);
    }
    let more = survey.named.len().saturating_sub(NAMED);
    survey.named.truncate(NAMED);
    if more > 0 {
        survey.named.push(format!("{more} more objects differ"));
    }
    Ok(survey)
}

/// The listing that a part holds.
fn listing_in(part: &str) -> Option<Listing> {
    match part.strip_prefix("postgres/")?.rsplit_once('/')?.1 {
        "catalogue" => Some(Listing::Objects),
        "ownership" => Some(Listing::Ownership),
        _ => None,
    }
}

/// Where a database was restored, and how.
struct Place<'a> {
    target: &'a Target,
    session: &'a mut PgConnection,
    facts: &'a DatabaseFacts,
    carried: &'a Carried,
    missing: MissingRoles,
}

const NOT_ALLOWED: &str = "which only a superuser may set";

impl Place<'_> {
    /// The differences in what objects are that are none of the restore's, and why.
    async fn objects(
        &mut self,
        found: &[String],
        seen: &[String],
    ) -> Result<BTreeMap<String, String>> {
        let mut excuses = BTreeMap::new();
        if let Some(locale) = found.iter().find(|d| *d == "changed database locale")
            && self.missing == MissingRoles::Create
            && seen.iter().any(|line| self.is_fallback(line))
        {
            let lacks = self.facts.locale.as_ref().unwrap_or(&self.facts.collate);
            let why = format!("the server lacks `{lacks}`, so that text sorts by code point");
            excuses.insert(locale.clone(), why);
        }
        if !found.iter().any(|d| d.starts_with(SETTING)) {
            return Ok(excuses);
        }
        let beyond = unsettable(self.target, self.session, &self.facts.settings).await?;
        for setting in &self.facts.settings {
            let key = setting_key(setting);
            let difference = format!("{SETTING}{key}");
            if !found.contains(&difference) {
                continue;
            }
            if beyond.iter().any(|b| b == key) {
                excuses.insert(difference, NOT_ALLOWED.to_owned());
            } else if self.refuses(setting).await? {
                excuses.insert(difference, "whose value the server refuses".to_owned());
            }
        }
        Ok(excuses)
    }

    /// Whether a line says what a database has whose locale the scratch server lacks.
    fn is_fallback(&self, line: &str) -> bool {
        let line: Value = serde_json::from_str(line).unwrap_or_default();
        line["kind"] == "database locale"
            && line["encoding"] == self.facts.encoding.as_str()
            && line["collate"] == "C"
            && line["ctype"] == "C"
    }

    /// Whether the server takes no such value. What can be set for sessions to come alone, it takes.
    async fn refuses(&mut self, setting: &str) -> Result<bool> {
        let (key, value) = setting.split_once('=').unwrap_or((setting, ""));
        run(self.target, self.session, "BEGIN READ ONLY").await?;
        let tried: sqlx::Result<Option<String>> =
            scalar("SELECT pg_catalog.set_config($1, $2, true)")
                .bind(key)
                .bind(value)
                .fetch_one(&mut *self.session)
                .await;
        run(self.target, self.session, "ROLLBACK").await?;
        match tried {
            Ok(_) => Ok(false),
            Err(sqlx::Error::Database(e)) => Ok(e.code().as_deref() != Some(CANNOT_CHANGE_NOW)),
            Err(e) => Err(failed(self.target, "try a setting", e)),
        }
    }

    /// The same of whose they are.
    async fn ownership(&mut self, found: &[String]) -> Result<BTreeMap<String, String>> {
        let mut excuses = BTreeMap::new();
        if let Some(database) = found.iter().find(|d| *d == "changed database")
            && self.missing != MissingRoles::Create
            && let Some(why) = without_owner(
                self.target,
                self.session,
                self.facts,
                self.carried,
                self.missing,
            )
            .await?
        {
            excuses.insert(database.clone(), why);
        }
        let granted: Vec<&String> = found
            .iter()
            .filter(|d| d.contains(" grants beside the initial ones "))
            .collect();
        if !granted.is_empty() && !is_superuser(self.target, self.session).await? {
            let why = "which only a superuser may grant";
            excuses.extend(granted.into_iter().map(|d| (d.clone(), why.to_owned())));
        }
        Ok(excuses)
    }
}

const SETTING: &str = "missing database setting ";

/// `cant_change_runtime_param` (PostgreSQL documentation, appendix A).
const CANNOT_CHANGE_NOW: &str = "55P02";

/// Why the owner and the grants of the database itself do not come back, if they do not.
pub(super) async fn without_owner(
    target: &Target,
    session: &mut PgConnection,
    facts: &DatabaseFacts,
    carried: &Carried,
    missing: MissingRoles,
) -> Result<Option<String>> {
    let mut notes = Vec::new();
    if at_hand(target, session, facts, carried, missing, &mut notes).await? {
        return Ok(None);
    }
    Ok(Some(notes.join("; ")))
}

/// Settings of the database that the connected role may not set: those of superusers, and those of extensions that are not
/// loaded.
pub(super) async fn unsettable(
    target: &Target,
    session: &mut PgConnection,
    settings: &[String],
) -> Result<Vec<String>> {
    if settings.is_empty() || is_superuser(target, session).await? {
        return Ok(Vec::new());
    }
    let keys: Vec<&str> = settings.iter().map(|s| setting_key(s)).collect();
    // From 15 on, such rights can be granted.
    let granted = match session::major(target, session).await? {
        15.. => "AND NOT pg_catalog.has_parameter_privilege(u.key, 'SET')",
        _ => "",
    };
    let sql = format!(
        "SELECT u.key FROM pg_catalog.unnest($1::text[]) u(key)
         LEFT JOIN pg_catalog.pg_settings s ON pg_catalog.lower(s.name) = pg_catalog.lower(u.key)
         WHERE CASE WHEN s.name IS NULL THEN pg_catalog.strpos(u.key, '.') > 0 ELSE s.context IN ('superuser', 'superuser-backend') END
           {granted} ORDER BY u.key COLLATE pg_catalog.\"C\""
    );
    scalar(sqlx::AssertSqlSafe(sql))
        .bind(keys)
        .fetch_all(session)
        .await
        .map_err(|e| failed(target, "look for settings that it may not set", e))
}
