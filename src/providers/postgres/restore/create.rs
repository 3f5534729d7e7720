//! A new database with the properties of the captured one: encoding, locale, owner, settings and grants, which
//! `pg_dump` leaves out unless it creates the database itself.

use sqlx::postgres::PgConnection;

use super::super::capture::DatabaseFacts;
use super::super::session::{run, run_as};
use super::super::sql::{ident, literal};
use super::super::{NOT_EMPTY, Target, session};
use super::place::{Named, exists, roles_at_hand};
use super::roles::Carried;
use super::{MissingRoles, SchemaMeta};
use crate::capture::PartSource;
use crate::error::{Error, Result};

/// Settings whose value is a list that is quoted already (src/bin/pg_dump/dumputils.c, `variable_is_guc_list_quote`).
const QUOTED_LISTS: [&str; 6] = [
    "local_preload_libraries",
    "search_path",
    "session_preload_libraries",
    "shared_preload_libraries",
    "temp_tablespaces",
    "unix_socket_directories",
];

/// Creates the database `name` for the captured database `captured`, from `template0`. `server` is any other database
/// of the server. Returns what is not as it was. An existing database is refused, even an empty one.
pub async fn create_database(
    server: &Target,
    name: &str,
    source: &dyn PartSource,
    captured: &str,
    roles: MissingRoles,
) -> Result<Vec<String>> {
    let facts = SchemaMeta::of(source, captured)?.database;
    if exists(server, name).await? {
        return Err(Error::new(
            &NOT_EMPTY,
            format!(
                "Postgres at `{}` already has a database `{name}`",
                server.endpoint()
            ),
        ));
    }
    let carried = Carried::read(source, captured).await?;
    let place = Place {
        server,
        name,
        carried: &carried,
        roles,
    };
    // Copying a template takes the time that the server's disk takes.
    let mut session = session::open_unlimited(server).await?;
    let outcome = create(&place, &mut session, &facts).await;
    session::close_unlimited(server, session).await;
    outcome
}

async fn create(
    place: &Place<'_>,
    session: &mut PgConnection,
    facts: &DatabaseFacts,
) -> Result<Vec<String>> {
    let Place {
        server,
        name,
        roles,
        ..
    } = *place;
    let major = session::major(server, session).await?;
    let mut notes = Vec::new();
    let wanted = format!("CREATE DATABASE {} {}", ident(name), locale(facts, major));
    if let Err(e) = run(server, session, &wanted).await {
        if roles != MissingRoles::Create {
            return Err(e.hint(
                "If the server's system lacks the locale, install it there (`locale-gen`) and restart Postgres.",
            ));
        }
        // A scratch server proves the data; sort order is a property of its system.
        let plain = format!(
            "CREATE DATABASE {} TEMPLATE template0 ENCODING {} LOCALE 'C'",
            ident(name),
            literal(&facts.encoding)
        );
        run(server, session, &plain).await?;
        notes.push(format!(
            "the scratch server does not have the locale `{}`: text sorts by code point there",
            facts.locale.as_ref().unwrap_or(&facts.collate)
        ));
    }
    describe(place, session, facts, &mut notes).await?;
    Ok(notes)
}

fn locale(facts: &DatabaseFacts, major: u32) -> String {
    let mut clauses = vec![
        "TEMPLATE template0".to_owned(),
        format!("ENCODING {}", literal(&facts.encoding)),
        format!("LC_COLLATE {}", literal(&facts.collate)),
        format!("LC_CTYPE {}", literal(&facts.ctype)),
    ];
    let locale = facts.locale.as_deref().map(literal);
    match (facts.locale_provider.as_str(), locale) {
        ("i", Some(locale)) => {
            clauses.push(format!("LOCALE_PROVIDER icu ICU_LOCALE {locale}"));
            if let Some(rules) = &facts.icu_rules {
                clauses.push(format!("ICU_RULES {}", literal(rules)));
            }
        }
        ("b", Some(locale)) => {
            clauses.push(format!("LOCALE_PROVIDER builtin BUILTIN_LOCALE {locale}"));
        }
        // Servers before 15 know no other provider, and no word for this one.
        _ if major >= 15 => clauses.push("LOCALE_PROVIDER libc".to_owned()),
        _ => {}
    }
    clauses.join(" ")
}

/// Where a database is made, and with which roles.
struct Place<'a> {
    server: &'a Target,
    name: &'a str,
    carried: &'a Carried,
    roles: MissingRoles,
}

async fn describe(
    place: &Place<'_>,
    session: &mut PgConnection,
    facts: &DatabaseFacts,
    notes: &mut Vec<String>,
) -> Result<()> {
    let server = place.server;
    let quoted = ident(place.name);
    for setting in &facts.settings {
        let alter = format!("ALTER DATABASE {quoted} {}", set_clause(setting));
        if let Err(e) = run_as(server, session, "set it", &alter).await {
            let key = setting_key(setting);
            notes.push(format!(
                "the setting `{key}` was left out: {}",
                without_value(&e.one_line(), setting)
            ));
        }
    }
    if let Some(comment) = &facts.comment {
        let sql = format!("COMMENT ON DATABASE {quoted} IS {}", literal(comment));
        run(server, session, &sql).await?;
    }
    if at_hand(server, session, facts, place.carried, place.roles, notes).await? {
        own(server, session, &quoted, facts).await?;
    }
    Ok(())
}

/// Whether the roles that own the database and may use it are there, or are made.
pub(super) async fn at_hand(
    server: &Target,
    session: &mut PgConnection,
    facts: &DatabaseFacts,
    carried: &Carried,
    missing: MissingRoles,
    notes: &mut Vec<String>,
) -> Result<bool> {
    let mut named = vec![facts.owner.clone()];
    for grant in facts.grants.iter().flatten() {
        if !grant.grantee.is_empty() && !named.contains(&grant.grantee) {
            named.push(grant.grantee.clone());
        }
    }
    let named = Named {
        all: &named,
        acting: std::slice::from_ref(&facts.owner),
    };
    roles_at_hand(server, session, named, carried, missing, notes).await
}

/// Owner and grants of the database itself.
async fn own(
    server: &Target,
    session: &mut PgConnection,
    quoted: &str,
    facts: &DatabaseFacts,
) -> Result<()> {
    let owner = ident(&facts.owner);
    run(
        server,
        session,
        &format!("ALTER DATABASE {quoted} OWNER TO {owner}"),
    )
    .await?;
    let Some(grants) = &facts.grants else {
        return Ok(());
    };
    let mut statements = vec![
        "BEGIN".to_owned(),
        format!("REVOKE ALL ON DATABASE {quoted} FROM PUBLIC, {owner}"),
    ];
    for grant in grants {
        let grantee = if grant.grantee.is_empty() {
            "PUBLIC".to_owned()
        } else {
            ident(&grant.grantee)
        };
        // Privileges are keywords of the server's own; anything else is not granted.
        if grant.privilege.chars().all(|c| c.is_ascii_uppercase()) {
            let option = if grant.grantable {
                " WITH GRANT OPTION"
            } else {
                ""
            };
            statements.push(format!(
                "GRANT {} ON DATABASE {quoted} TO {grantee}{option}",
                grant.privilege
            ));
        }
    }
    statements.push("COMMIT".to_owned());
    run(server, session, &statements.join("; ")).await
}

/// `SET "name" = value` of `name=value` as the catalogue has it. The value may be a secret.
pub(super) fn set_clause(setting: &str) -> String {
    let (key, value) = setting.split_once('=').unwrap_or((setting, ""));
    let value = if QUOTED_LISTS.contains(&key.to_lowercase().as_str()) {
        value.to_owned()
    } else {
        literal(value)
    };
    format!("SET {} = {value}", setting_name(key))
}

/// What the server said of a setting, without the value, which it repeats in quotes.
pub(super) fn without_value(words: &str, setting: &str) -> String {
    let (_, value) = setting.split_once('=').unwrap_or((setting, ""));
    words.replace(&format!("\"{value}\""), "\"…\"")
}

/// `name` of `name=value`.
pub(super) fn setting_key(setting: &str) -> &str {
    setting.split_once('=').map_or(setting, |(key, _)| key)
}

/// A setting's name, each of its words quoted: extensions' settings have two.
fn setting_name(key: &str) -> String {
    key.split('.').map(ident).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_said_as_the_server_takes_them() {
        assert_eq!(
            set_clause("app.key=a'b=c"),
            "SET \"app\".\"key\" = 'a''b=c'"
        );
        assert_eq!(
            set_clause("search_path=a, \"b\""),
            "SET \"search_path\" = a, \"b\""
        );
        assert_eq!(setting_key("app.key=a=b"), "app.key");
    }

    #[test]
    fn values_of_refused_settings_are_not_repeated() {
        let words = "the server said: invalid value for parameter \"app.key\": \"canary\"";
        assert_eq!(
            without_value(words, "app.key=canary"),
            "the server said: invalid value for parameter \"app.key\": \"…\""
        );
    }

    #[test]
    fn names_of_settings_are_quoted_word_by_word() {
        assert_eq!(setting_name("app.tenant"), "\"app\".\"tenant\"");
    }
}
