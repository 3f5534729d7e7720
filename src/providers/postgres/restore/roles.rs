//! The captured roles on another server: made where that was asked for, and their settings in the database.

use std::collections::BTreeMap;

use sqlx::postgres::PgConnection;

use super::super::capture::{FOR_SUPERUSERS, format, prefix};
use super::super::enumerate::listed;
use super::super::roles::{Line, Member, Role};
use super::super::session::{self, failed, run, run_as, scalar};
use super::super::sql::{ident, literal};
use super::super::{BAD_PART, Target};
use super::create::{set_clause, setting_key, without_value};
use super::place::without;
use super::{each_line, part_named};
use crate::capture::PartSource;
use crate::error::{Error, Result};

/// What a backup carries of roles; empty if it is older than that.
#[derive(Default)]
pub(super) struct Carried {
    pub(super) roles: BTreeMap<String, Role>,
    pub(super) members: Vec<Member>,
    settings: Vec<(String, String)>,
    /// What only a superuser may see in a listing, by the part's name.
    for_superusers: BTreeMap<String, Vec<String>>,
}

impl Carried {
    pub(super) async fn read(source: &dyn PartSource, captured: &str) -> Result<Carried> {
        let name = format!("{}roles", prefix(captured));
        let mut carried = Carried::default();
        for part in source.parts(&prefix(captured)) {
            if let Some(hidden) = part.meta.get(FOR_SUPERUSERS) {
                let hidden = serde_json::from_value(hidden.clone()).map_err(|e| {
                    let what = format!("the description of part `{}` is damaged", part.name);
                    Error::new(&BAD_PART, what).caused_by(e)
                })?;
                carried.for_superusers.insert(part.name, hidden);
            }
        }
        let Some(part) = part_named(source, &name)? else {
            return Ok(carried);
        };
        if part.format != format::ROLES {
            return Err(Error::new(
                &BAD_PART,
                format!("part `{name}` has the unknown format `{}`", part.format),
            ));
        }
        let mut reader = source.open(&name).await?;
        each_line(reader.as_mut(), |line: Line| {
            match line {
                Line::Role(role) => {
                    carried.roles.insert(role.name.clone(), role);
                }
                Line::Member(member) => carried.members.push(member),
                Line::Setting { role, setting } => carried.settings.push((role, setting)),
            }
            Ok(())
        })
        .await?;
        Ok(carried)
    }

    /// The names of all of them.
    pub(super) fn names(&self) -> Vec<String> {
        self.roles.keys().cloned().collect()
    }

    /// Listings that this role cannot compare, and why: it does not see all that was captured.
    pub(super) async fn unseen(
        &self,
        target: &Target,
        session: &mut PgConnection,
    ) -> Result<Vec<(String, String)>> {
        if self.for_superusers.is_empty() {
            return Ok(Vec::new());
        }
        let all: String = scalar("SELECT current_setting('is_superuser')")
            .fetch_one(session)
            .await
            .map_err(|e| failed(target, "ask for the role's rights", e))?;
        let hidden = self.for_superusers.iter().filter(|_| all != "on");
        let hidden = hidden.map(|(part, what)| {
            let why = format!("`{}` may not see all of it: {}", target.user, listed(what));
            (part.clone(), why)
        });
        Ok(hidden.collect())
    }

    /// Roles with settings in the database that cannot be set there: the role is missing, or more rights are needed than
    /// the restore has. Those in `made` will have been made by then, if they are missing.
    pub(super) async fn unsettable(
        &self,
        target: &Target,
        session: &mut PgConnection,
        made: &[String],
    ) -> Result<Vec<String>> {
        let (roles, keys): (Vec<&str>, Vec<&str>) = self
            .settings
            .iter()
            .map(|(role, setting)| (role.as_str(), setting_key(setting)))
            .unzip();
        scalar(
            "SELECT DISTINCT u.role FROM unnest($1::text[], $2::text[]) u(role, key)
                  LEFT JOIN pg_roles p ON p.rolname = u.role, pg_roles me
             WHERE me.rolname = current_user AND (p.oid IS NULL AND u.role <> ALL ($3::text[]) OR NOT me.rolsuper AND (
                   EXISTS (SELECT FROM pg_settings s WHERE s.name = u.key AND s.context IN ('superuser', 'superuser-backend'))
                   -- Of an extension that is not loaded.
                   OR strpos(u.key, '.') > 0 AND NOT EXISTS (SELECT FROM pg_settings s WHERE s.name = u.key)
                   OR p.oid IS NOT NULL AND NOT (p.oid = me.oid OR me.rolcreaterole AND NOT p.rolsuper
                           -- From 16 on, the right to make roles is not one to alter those of others.
                           AND (current_setting('server_version_num')::int4 < 160000
                                OR pg_has_role(p.oid, 'MEMBER WITH ADMIN OPTION')))))
             ORDER BY 1",
        )
        .bind(roles)
        .bind(keys)
        .bind(made)
        .fetch_all(session)
        .await
        .map_err(|e| failed(target, "look for the roles with settings", e))
    }

    /// Makes roles, never with login or a password: nobody is to get in by what a backup says. Memberships follow as soon
    /// as both sides are there.
    pub(super) async fn make(
        &self,
        target: &Target,
        session: &mut PgConnection,
        names: &[String],
        notes: &mut Vec<String>,
    ) -> Result<()> {
        if names.is_empty() {
            return Ok(());
        }
        for name in names {
            let role = self.roles.get(name);
            let mut statements = vec![format!(
                "CREATE ROLE {} NOLOGIN{}",
                ident(name),
                role.map(attributes).unwrap_or_default()
            )];
            if let Some(comment) = role.and_then(|role| role.comment.as_ref()) {
                let comment = literal(comment);
                statements.push(format!("COMMENT ON ROLE {} IS {comment}", ident(name)));
            }
            for statement in statements {
                run(target, session, &statement).await?;
            }
            for setting in role.iter().flat_map(|role| &role.settings) {
                let alter = format!("ALTER ROLE {} {}", ident(name), set_clause(setting));
                if let Err(e) = run_as(target, session, "set it", &alter).await {
                    let key = setting_key(setting);
                    notes.push(format!(
                        "the setting `{key}` of role `{name}` was left out: {}",
                        without_value(&e.one_line(), setting)
                    ));
                }
            }
        }
        let major = session::major(target, session).await?;
        for member in &self.members {
            let ends = [member.role.clone(), member.member.clone()];
            let new = ends.iter().any(|end| names.contains(end));
            if new && absent(target, session, &ends).await?.is_empty() {
                run(target, session, &grant(member, major)).await?;
            }
        }
        notes.push(format!(
            "made the missing roles {} without login or password, to carry owners and grants",
            listed(names)
        ));
        Ok(())
    }

    /// Sets what roles had set in the database; what cannot be set is said. Returns whether all of it is there.
    pub(super) async fn set(
        &self,
        target: &Target,
        session: &mut PgConnection,
        notes: &mut Vec<String>,
    ) -> Result<bool> {
        let beyond = self.unsettable(target, session, &[]).await?;
        if !beyond.is_empty() {
            notes.push(settings_left_out(target, &beyond));
        }
        let mut all = beyond.is_empty();
        for (role, setting) in &self.settings {
            if beyond.contains(role) {
                continue;
            }
            let alter = format!(
                "ALTER ROLE {} IN DATABASE {} {}",
                ident(role),
                ident(&target.database),
                set_clause(setting)
            );
            if let Err(e) = run_as(target, session, "set it", &alter).await {
                all = false;
                notes.push(format!(
                    "the setting `{}` of role `{role}` in the database was left out: {}",
                    setting_key(setting),
                    without_value(&e.one_line(), setting)
                ));
            }
        }
        Ok(all)
    }
}

/// Why settings of roles in the database are not there.
pub(super) fn settings_left_out(target: &Target, roles: &[String]) -> String {
    format!(
        "settings in the database were left out: the server lacks these roles, or `{}` may not set them: {}",
        target.user,
        listed(roles)
    )
}

/// Those of these roles that the server does not have.
pub(super) async fn absent(
    target: &Target,
    session: &mut PgConnection,
    roles: &[String],
) -> Result<Vec<String>> {
    without(
        target,
        session,
        roles,
        "SELECT r FROM unnest($1::text[]) r WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = r) ORDER BY r COLLATE \"C\"",
    )
    .await
}

fn attributes(role: &Role) -> String {
    let mut words = String::new();
    for (has, word) in [
        (role.superuser, "SUPERUSER"),
        (role.inherit, "INHERIT"),
        (role.create_role, "CREATEROLE"),
        (role.create_db, "CREATEDB"),
        (role.replication, "REPLICATION"),
        (role.bypass_rls, "BYPASSRLS"),
    ] {
        words.push_str(if has { " " } else { " NO" });
        words.push_str(word);
    }
    words.push_str(&format!(" CONNECTION LIMIT {}", role.connection_limit));
    if let Some(until) = &role.valid_until {
        words.push_str(&format!(" VALID UNTIL {}", literal(until)));
    }
    words
}

pub(super) fn grant(member: &Member, major: u32) -> String {
    let mut options = vec![("ADMIN", Some(member.admin))];
    if major >= 16 {
        options.extend([("INHERIT", member.inherit), ("SET", member.set)]);
    }
    let options: Vec<String> = options
        .into_iter()
        .filter_map(|(word, on)| Some((word, on?)))
        // Before 16 there is one option, which can be given and not refused.
        .filter(|(_, on)| major >= 16 || *on)
        .map(|(word, on)| match (major >= 16, on) {
            (true, true) => format!("{word} TRUE"),
            (true, false) => format!("{word} FALSE"),
            _ => format!("{word} OPTION"),
        })
        .collect();
    let with = if options.is_empty() {
        String::new()
    } else {
        format!(" WITH {}", options.join(", "))
    };
    format!(
        "GRANT {} TO {}{with}",
        ident(&member.role),
        ident(&member.member)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memberships_are_spelled_for_the_version() {
        let member = Member {
            role: "a".into(),
            member: "b".into(),
            admin: true,
            inherit: Some(false),
            set: Some(true),
        };
        assert_eq!(grant(&member, 15), "GRANT \"a\" TO \"b\" WITH ADMIN OPTION");
        assert_eq!(
            grant(&member, 16),
            "GRANT \"a\" TO \"b\" WITH ADMIN TRUE, INHERIT FALSE, SET TRUE"
        );
        let plain = Member {
            admin: false,
            inherit: None,
            set: None,
            ..member
        };
        assert_eq!(grant(&plain, 14), "GRANT \"a\" TO \"b\"");
        assert_eq!(grant(&plain, 16), "GRANT \"a\" TO \"b\" WITH ADMIN FALSE");
    }
}
