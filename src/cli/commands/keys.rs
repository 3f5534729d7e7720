//! `keys …`

use schemars::JsonSchema;
use serde::Serialize;

use super::backup::carry_out;
use super::world;
use crate::cli::Session;
use crate::cli::args::KeysCommand;
use crate::cli::output::{Answer, table};
use crate::error::{Error, NOT_FOUND, Result};
use crate::exit::Exit;
use crate::ops::keys as plans;
use crate::repository::{Operator, SignerDoc, WRONG_IDENTITY};
use crate::steps::keys::{Named, last_proof};
use crate::steps::world::{NOT_CONFIGURED, World};
use crate::time::{Instant, Span};

/// What `keys list` gives.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Keys {
    /// Where the repository is.
    pub repository: String,
    /// The epoch that is written to.
    pub epoch: u32,
    /// When each epoch began, oldest first.
    pub epochs: Vec<Instant>,
    /// Who can read the backups; null without an operator's identity.
    pub operators: Option<Vec<Named>>,
    /// The hosts whose signatures the repository lists.
    pub signers: Vec<SignerDoc>,
    /// When an identity was last seen to open a backup of this epoch; null if never.
    pub last_proof: Option<Instant>,
}

/// `keys …`
pub async fn keys(session: &Session, command: KeysCommand) -> Result<Answer> {
    let world = world::world(session).await?;
    match command {
        KeysCommand::List => list(&world).await,
        KeysCommand::Add { name, recipient } => {
            let mut operators = operators(&world).await?;
            let added = Named::from(&Operator::new(&name, &recipient)?);
            let recipient = world::quoted(&added.recipient);
            let command = format!("keys add {} {recipient}", world::quoted(&added.name));
            operators.push(added);
            change(session, &world, "keys add", &operators, command).await
        }
        KeysCommand::Remove { operator } => {
            let mut operators = operators(&world).await?;
            let at = find(&operators, &operator)?;
            operators.remove(at);
            let command = format!("keys remove {}", world::quoted(&operator));
            change(session, &world, "keys remove", &operators, command).await
        }
        KeysCommand::Rotate {
            operator,
            recipient,
        } => {
            let mut operators = operators(&world).await?;
            let at = find(&operators, &operator)?;
            let rotated = Operator::new(&operators[at].name, &recipient)?;
            operators[at].recipient = rotated.recipient;
            let recipient = world::quoted(&operators[at].recipient);
            let command = format!("keys rotate {} {recipient}", world::quoted(&operator));
            change(session, &world, "keys rotate", &operators, command).await
        }
        KeysCommand::NewEpoch { secret_file } => {
            let secret_file = std::path::absolute(&secret_file)
                .map_err(|e| Error::io("find", &secret_file, e))?;
            let spec = plans::new_epoch(&world, &secret_file).await?;
            let file = secret_file.display().to_string();
            let command = format!("keys new-epoch --secret-file {}", world::quoted(&file));
            carry_out(session, &world, spec, command, |report| {
                let seen = report.observed("new-epoch").cloned().unwrap_or_default();
                format!(
                    "epoch     {}\nnext      set `secret = \"file:{file}\"` on every backup host, and make a backup\n",
                    seen["epoch"]
                )
            })
            .await
        }
    }
}

async fn change(
    session: &Session,
    world: &World,
    words: &str,
    operators: &[Named],
    command: String,
) -> Result<Answer> {
    let spec = plans::operators(world, words, operators).await?;
    let removes = words != "keys add";
    carry_out(session, world, spec, command, |_| {
        let mut text = String::new();
        for operator in operators {
            text.push_str(&format!("reads     {} {}\n", operator.recipient, operator.name));
        }
        if removes {
            text.push_str("note      this takes back nothing that was read before: after a compromise, see `summitctl keys new-epoch --help`\n");
        }
        text
    })
    .await
}

async fn operators(world: &World) -> Result<Vec<Named>> {
    let repository = world.readable_repository().await?;
    Ok(repository.operators().iter().map(Named::from).collect())
}

fn find(operators: &[Named], wanted: &str) -> Result<usize> {
    // As in a `.pub` file: with a comment, or without.
    let is_key =
        |n: &Named| wanted == n.recipient || wanted.starts_with(&format!("{} ", n.recipient));
    let fits = |n: &Named| n.name == wanted || is_key(n);
    let found: Vec<usize> = (0..operators.len())
        .filter(|at| fits(&operators[*at]))
        .collect();
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err(
            Error::new(&NOT_FOUND, format!("there is no operator `{wanted}`"))
                .hint("See them with `summitctl keys list`."),
        ),
        _ => Err(
            Error::input(format!("several operators are called `{wanted}`")).hint(
                "Name the one that is meant by the recipient; `summitctl keys list` shows it.",
            ),
        ),
    }
}

async fn list(world: &World) -> Result<Answer> {
    let mut why = "only an operator's identity opens the list";
    let (repository, operators) = match world.readable_repository().await {
        Ok(repository) => {
            let operators = repository.operators().iter().map(Named::from).collect();
            (repository, Some(operators))
        }
        // A backup host has no identity, and need not know who reads.
        Err(e) if e.reason() == &NOT_CONFIGURED => (world.repository().await?, None),
        Err(e) if e.reason() == &WRONG_IDENTITY => {
            why =
                "the identity that is configured is none of the operators', or no identity at all";
            (world.repository().await?, None)
        }
        Err(e) => return Err(e),
    };
    let keys = Keys {
        repository: repository.place(),
        epoch: repository.epoch(),
        epochs: repository.epochs().into_iter().map(|(_, at)| at).collect(),
        operators,
        signers: repository.signers().to_vec(),
        last_proof: last_proof(&repository).await?,
    };
    let began = keys.epochs.last().map_or(String::new(), |at| at.human());
    let mut text = format!("epoch     {}, since {began}\n", keys.epoch);
    text.push_str(&match keys.last_proof {
        Some(at) => format!(
            "proven    an identity opened a backup of this epoch {} ago\n",
            Span(Instant::now().since(at))
        ),
        None => format!(
            "proven    never: no identity was seen to open a backup of this epoch\nnext      summitctl backup verify --key-check --context {}\n",
            world.context
        ),
    });
    match &keys.operators {
        None => {
            text.push_str(&format!("reads     unknown here: {why}\n"));
        }
        Some(operators) => {
            let rows = operators
                .iter()
                .map(|o| vec![o.name.clone(), o.recipient.clone()]);
            text.push('\n');
            text.push_str(&table(&["operator", "recipient"], rows));
            text.push('\n');
        }
    }
    let rows = keys
        .signers
        .iter()
        .map(|s| vec![s.name.clone(), s.key.to_string()]);
    text.push('\n');
    text.push_str(&table(&["signer", "key"], rows));
    Ok(Answer::new(Exit::Ok, text, keys))
}
