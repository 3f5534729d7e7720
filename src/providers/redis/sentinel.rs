//! Asking Sentinels which server is the master now. Every connection asks anew, so that a failover is followed.

use std::borrow::Cow;

use ::redis::cmd;

use crate::error::{Error, Result};
use crate::wait::Deadline;

use super::connect::Conn;
use super::target::{Sentinels, Target};
use super::{LOGIN_REFUSED, NO_MASTER};

/// The server that a target means: itself, or the master that its Sentinels name.
///
/// # Errors
/// `redis.no-master` if no Sentinel names one, with what each of them said.
pub(super) async fn resolved(target: &Target, deadline: Deadline) -> Result<Cow<'_, Target>> {
    let Some(sentinels) = &target.sentinels else {
        return Ok(Cow::Borrowed(target));
    };
    let mut said = Vec::new();
    for (host, port) in &sentinels.nodes {
        let sentinel = Target {
            host: host.clone(),
            port: *port,
            user: None,
            password: None,
            database: 0,
            tls: target.tls.clone(),
            sentinels: None,
        };
        // One that is down must not take the time of the others.
        let share = deadline.left() / 2;
        match ask(&sentinel, target, sentinels, Deadline::after(share)).await {
            Ok(Some((host, port))) => {
                return Ok(Cow::Owned(Target {
                    host,
                    port,
                    sentinels: None,
                    ..target.clone()
                }));
            }
            Ok(None) => said.push(format!(
                "`{}` knows no master of this name",
                sentinel.endpoint()
            )),
            Err(e) => said.push(e.to_string()),
        }
    }
    Err(Error::new(
        &NO_MASTER,
        format!(
            "no Sentinel names the master of `{}`: {}",
            sentinels.master,
            said.join("; ")
        ),
    )
    .hint(
        "See `redis-cli -p 26379 SENTINEL masters`. The name is what `sentinel monitor` gives it.",
    ))
}

async fn ask(
    sentinel: &Target,
    target: &Target,
    sentinels: &Sentinels,
    deadline: Deadline,
) -> Result<Option<(String, u16)>> {
    // Boxed, because logging in is what asks.
    let mut conn = match Box::pin(Conn::login(sentinel, deadline)).await {
        // Most take anybody; where they want a password, it is that of the servers.
        Err(e) if e.reason() == &LOGIN_REFUSED && target.password.is_some() => {
            let known = Target {
                user: target.user.clone(),
                password: target.password.clone(),
                ..sentinel.clone()
            };
            Box::pin(Conn::login(&known, deadline)).await?
        }
        other => other?,
    };
    let mut question = cmd("SENTINEL");
    question
        .arg("GET-MASTER-ADDR-BY-NAME")
        .arg(&sentinels.master);
    conn.query(&question).await
}
