//! Owners and grants of large objects, which `pg_dump --schema-only` leaves out.

use serde::Deserialize;
use serde_json::Value;

use super::super::capture::{Grant, prefix};
use super::super::session::{close, run};
use super::super::sql::ident;
use super::super::{BAD_PART, Target};
use super::{each_line, open_loader, part_named};
use crate::capture::PartSource;
use crate::error::{Error, Result};

/// Each statement locks its object until the transaction ends, and the server has room for some thousands of locks.
const BATCH: usize = 200;

/// A line of the listing: objects that have one owner and the same grants.
#[derive(Deserialize)]
struct Objects {
    owner: String,
    grants: Vec<Grant>,
    oids: Vec<u32>,
}

/// Gives the objects to their owners, with their grants. Returns how many the backup names.
pub(super) async fn own_large_objects(
    target: &Target,
    source: &dyn PartSource,
    captured: &str,
) -> Result<usize> {
    let found = listed(source, captured).await?;
    if found.is_empty() {
        return Ok(0);
    }
    let mut count = 0;
    let mut session = open_loader(target).await?;
    for objects in &found {
        count += objects.oids.len();
        for batch in objects.oids.chunks(BATCH) {
            let statements: Vec<String> = batch.iter().map(|oid| own(*oid, objects)).collect();
            let all = format!("BEGIN; {}; COMMIT", statements.join("; "));
            run(target, &mut session, &all).await?;
        }
    }
    close(session).await;
    Ok(count)
}

/// Whose the large objects were.
pub(super) async fn owners_of_large_objects(
    source: &dyn PartSource,
    captured: &str,
) -> Result<Vec<String>> {
    let found = listed(source, captured).await?;
    Ok(found.into_iter().map(|objects| objects.owner).collect())
}

async fn listed(source: &dyn PartSource, captured: &str) -> Result<Vec<Objects>> {
    let name = format!("{}ownership", prefix(captured));
    let mut found: Vec<Objects> = Vec::new();
    if part_named(source, &name)?.is_none() {
        return Ok(found);
    }
    let mut reader = source.open(&name).await?;
    each_line(reader.as_mut(), |line: Value| {
        if line["kind"] == "large objects" {
            let objects = serde_json::from_value(line).map_err(|e| {
                Error::new(&BAD_PART, "a line about large objects is damaged").caused_by(e)
            })?;
            found.push(objects);
        }
        Ok(())
    })
    .await?;
    Ok(found)
}

fn own(oid: u32, objects: &Objects) -> String {
    let owner = ident(&objects.owner);
    let mut statements = vec![
        format!("ALTER LARGE OBJECT {oid} OWNER TO {owner}"),
        format!("REVOKE ALL ON LARGE OBJECT {oid} FROM {owner}"),
    ];
    for grant in &objects.grants {
        let grantee = if grant.grantee.is_empty() {
            "PUBLIC".to_owned()
        } else {
            ident(&grant.grantee)
        };
        let option = if grant.grantable {
            " WITH GRANT OPTION"
        } else {
            ""
        };
        // Keywords of the server's own; anything else is not granted.
        if grant.privilege.chars().all(|c| c.is_ascii_uppercase()) {
            statements.push(format!(
                "GRANT {} ON LARGE OBJECT {oid} TO {grantee}{option}",
                grant.privilege
            ));
        }
    }
    statements.join("; ")
}
