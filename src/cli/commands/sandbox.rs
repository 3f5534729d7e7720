//! `sandbox …`: a throw-away stack of real servers.

use schemars::JsonSchema;
use serde::Serialize;

use crate::cli::Session;
use crate::cli::args::SandboxCommand;
use crate::cli::output::{Answer, table};
use crate::config::pins::PinStore;
use crate::consent::{Effect, Request, Tier, obtain};
use crate::error::Result;
use crate::exit::Exit;
use crate::ops::sandbox::{CONTEXT, repository, sandbox as at};
use crate::sandbox::{Changed, Fault, Sandbox, Seen, Status, Up, platform};

/// What `sandbox break` gives, and what `sandbox mend` did about one fault.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Practised {
    /// What was broken or mended.
    pub fault: Fault,
    /// Whether that was done now.
    pub changed: Changed,
}

/// What `sandbox mend` gives.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Mended {
    /// The faults that were looked at.
    pub mended: Vec<Practised>,
}

/// `sandbox …`
pub async fn sandbox(session: &Session, command: SandboxCommand) -> Result<Answer> {
    let stack = at(&session.sandbox_dir());
    match command {
        SandboxCommand::Up => {
            let up = up(session, &stack).await?;
            Ok(Answer::new(Exit::Ok, up_text(&up), &up))
        }
        SandboxCommand::Status => {
            let status = stack.status().await?;
            let well = status.parts.iter().all(|p| p.seen == Seen::Answers) && status.exists;
            let exit = if well { Exit::Ok } else { Exit::Failed };
            Ok(Answer::new(exit, status_text(&status), &status))
        }
        SandboxCommand::Break { fault } => {
            let fault: Fault = fault.parse()?;
            let changed = stack.break_fault(fault, &session.events).await?;
            let word = if changed == Changed::Done {
                "Broke"
            } else {
                "Already broken:"
            };
            // Where it shows: the platform works on under a lock, and with an old backup.
            let look = match fault {
                Fault::MigrationLock => "migrate lock show",
                Fault::StaleBackup => "status",
                _ => "smoke",
            };
            let text = format!(
                "{word} `{}`: {}.\n\nnext      summitctl {look} --context {CONTEXT}\nmend      summitctl sandbox mend {}",
                fault.name(),
                fault.means(),
                fault.name()
            );
            Ok(Answer::new(Exit::Ok, text, Practised { fault, changed }))
        }
        SandboxCommand::Mend { fault } => {
            let faults = match fault {
                Some(name) => vec![name.parse()?],
                None => stack.status().await?.faults,
            };
            let mut lines = Vec::new();
            let mut mended = Vec::new();
            for fault in faults {
                let changed = stack.mend(fault, &session.events, &session.cancel).await?;
                lines.push(format!(
                    "{} `{}`",
                    if changed == Changed::Done {
                        "Mended"
                    } else {
                        "Was not broken:"
                    },
                    fault.name()
                ));
                mended.push(Practised { fault, changed });
            }
            let text = if lines.is_empty() {
                "Nothing is broken.".to_owned()
            } else {
                lines.join("\n")
            };
            Ok(Answer::new(Exit::Ok, text, Mended { mended }))
        }
        SandboxCommand::Down { purge } => {
            if purge {
                let command = "summitctl sandbox down --purge";
                let request = Request {
                    effect: Effect::Destroy,
                    context: CONTEXT,
                    tier: Tier::Development,
                    plan_digest: "",
                    command,
                };
                obtain(&request, &session.flags(), &mut session.terminal())?;
            }
            let down = stack.down(purge, &session.events).await?;
            let stopped: Vec<String> = down.stopped.iter().map(|p| p.name().to_owned()).collect();
            let mut text = if stopped.is_empty() {
                "Nothing ran.".to_owned()
            } else {
                format!("Stopped {}.", stopped.join(", "))
            };
            if down.purged {
                text.push_str(" Removed its data, backups and evidence.");
            }
            Ok(Answer::new(Exit::Ok, text, &down))
        }
        SandboxCommand::ServePlatform { dir } => {
            platform::serve(&dir).await?;
            Ok(Answer::new(Exit::Ok, String::new(), ()))
        }
    }
}

/// Brings the sandbox up with its repository. Starting servers on this machine is a change, though a harmless one.
pub async fn up(session: &Session, stack: &Sandbox) -> Result<Up> {
    // A sandbox made from nothing is another one: what an earlier one was pinned to is gone for good.
    if !stack.status().await?.exists {
        PinStore::forget(&session.state_dir(), CONTEXT)?;
    }
    let up = session
        .cancel
        .guard(stack.up(&session.events, &session.cancel))
        .await?;
    repository(stack).await?;
    Ok(up)
}

/// What runs where, and what to do next.
pub fn up_text(up: &Up) -> String {
    let head = if up.already {
        "The sandbox runs already."
    } else {
        "The sandbox is up."
    };
    let rows = up.parts.iter().map(|p| {
        let how = match (p.adopted, p.filled) {
            (true, _) => "ran already",
            (false, true) => "started and filled",
            (false, false) => "started",
        };
        vec![
            p.part.name().to_owned(),
            p.endpoint.clone(),
            how.to_owned(),
            format!("{:.1}s", p.seconds),
        ]
    });
    format!(
        "{head}\n\n{}\n\ngateway   {}\nUI        {}\nfolder    {}\ncontext   {CONTEXT}\n\nnext      summitctl smoke --context {CONTEXT}",
        table(&["part", "endpoint", "state", "time"], rows),
        up.gateway,
        up.ui,
        up.folder.display()
    )
}

fn status_text(status: &Status) -> String {
    if !status.exists {
        return format!(
            "There is no sandbox in {}.\n\nnext      summitctl sandbox up",
            status.folder.display()
        );
    }
    let rows = status.parts.iter().map(|p| {
        let seen = match p.seen {
            Seen::Answers => "✓ answers",
            Seen::Silent => "✗ silent",
            Seen::Stopped => "✗ stopped",
            Seen::Absent => "- absent",
        };
        vec![
            p.part.name().to_owned(),
            seen.to_owned(),
            p.endpoint.clone().unwrap_or_default(),
            p.pid.map_or(String::new(), |pid| format!("pid {pid}")),
            p.version
                .clone()
                .or_else(|| p.detail.clone())
                .unwrap_or_default(),
        ]
    });
    let mut text = table(&["part", "state", "endpoint", "process", "version"], rows);
    for fault in &status.faults {
        text.push_str(&format!(
            "\nbroken    {}: {}\nmend      summitctl sandbox mend {}",
            fault.name(),
            fault.means(),
            fault.name()
        ));
    }
    text
}
