//! `manual`: asks whoever runs the runbook for an observation that no program can make, and writes the answer down.

use async_trait::async_trait;
use serde_json::{Value, json};

use super::world::World;
use crate::engine::step::{Look, Observed, ReadCx};
use crate::error::{Error, Result};
use crate::pid::{host_name, user_name};
use crate::reasons;
use crate::runbook::{Ask, AskType, MANUAL, ManualArgs};
use crate::time::Instant;

reasons! {
    /// A question and nobody to answer it.
    NOBODY = "manual.nobody", Refused,
        "A runbook asks for an observation, and there is no terminal, or `--no-input` forbids to ask. The run waits: resume it at a \
         terminal, and it goes on with the question.";
    /// The answers do not fit.
    NO_ANSWER = "manual.no-answer", Failed,
        "The answers given do not fit the question, several times over. The run waits and can be resumed.";
}

/// How often a question is asked before the step fails.
const TRIES: usize = 3;

/// The step kind `manual`.
pub struct Manual;

#[async_trait]
impl Look<World> for Manual {
    const KIND: &'static str = MANUAL;
    const SUMMARY: &'static str = "Asks a person for a typed observation and records it as `result.answer`, with whose process asked and when";
    type Args = ManualArgs;

    fn title(&self, args: &ManualArgs) -> String {
        format!("asks: {}", args.ask.prompt)
    }

    async fn look(&self, cx: &ReadCx<'_, World>, args: &ManualArgs) -> Result<Observed> {
        let (ask, person) = (&args.ask, &cx.world.person);
        if !person.present() {
            return Err(Error::new(
                &NOBODY,
                format!(
                    "step `{}` asks \"{}\" and nobody is there to answer",
                    cx.step, ask.prompt
                ),
            )
            .hint(format!(
                "Answer it at a terminal: `summitctl run resume {} --context {}`.",
                cx.run, cx.world.context
            )));
        }
        let question = format!("{}: {} {}", cx.step, ask.prompt, choices(ask));
        let mut last = String::new();
        for _ in 0..TRIES {
            let answer = tokio::select! {
                answer = person.answer(&question) => answer?,
                () = cx.cancel.asked() => {
                    cx.cancel.check()?;
                    continue;
                }
            };
            match read(ask, answer.trim()) {
                Ok(value) => {
                    return Ok(Observed::of(json!({
                        "answer": value,
                        "answered-by": format!("{}@{}", user_name(), host_name()),
                        "answered-at": Instant::now(),
                    })));
                }
                Err(wrong) => {
                    cx.events.note(wrong.clone());
                    last = wrong;
                }
            }
        }
        Err(Error::new(
            &NO_ANSWER,
            format!("step `{}` was not answered: {last}", cx.step),
        )
        .hint(format!(
            "Answer it later: `summitctl run resume {} --context {}`.",
            cx.run, cx.world.context
        )))
    }
}

/// What may be answered, as it stands behind a question.
fn choices(ask: &Ask) -> String {
    match ask.kind {
        AskType::Boolean => "[yes/no]".to_owned(),
        AskType::Integer => "[a whole number]".to_owned(),
        AskType::String => ">".to_owned(),
        AskType::Choice => format!("[{}]", ask.choices.join("/")),
    }
}

/// The typed value of an answer, or what is wrong with it.
fn read(ask: &Ask, answer: &str) -> std::result::Result<Value, String> {
    match ask.kind {
        AskType::Boolean => match answer.to_ascii_lowercase().as_str() {
            "y" | "yes" | "true" => Ok(json!(true)),
            "n" | "no" | "false" => Ok(json!(false)),
            _ => Err(format!("`{answer}` is neither yes nor no")),
        },
        AskType::Integer => answer
            .parse::<i64>()
            .map(|number| json!(number))
            .map_err(|_| format!("`{answer}` is not a whole number")),
        AskType::String if answer.is_empty() => Err("the answer is empty".to_owned()),
        AskType::String => Ok(json!(answer)),
        AskType::Choice => ask
            .choices
            .iter()
            .find(|choice| choice.eq_ignore_ascii_case(answer))
            .map(|choice| json!(choice))
            .ok_or_else(|| format!("`{answer}` is not one of {}", ask.choices.join(", "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(kind: AskType, choices: &[&str]) -> Ask {
        Ask {
            kind,
            prompt: "?".into(),
            choices: choices.iter().map(|c| (*c).to_owned()).collect(),
        }
    }

    #[test]
    fn answers_are_read_by_their_type() {
        let boolean = ask(AskType::Boolean, &[]);
        assert_eq!(read(&boolean, "Yes"), Ok(json!(true)));
        assert_eq!(read(&boolean, "n"), Ok(json!(false)));
        assert!(read(&boolean, "").is_err());
        assert_eq!(read(&ask(AskType::Integer, &[]), "-3"), Ok(json!(-3)));
        assert!(read(&ask(AskType::Integer, &[]), "3.5").is_err());
        assert!(read(&ask(AskType::String, &[]), "").is_err());
        let choice = ask(AskType::Choice, &["Green", "red"]);
        assert_eq!(read(&choice, "green"), Ok(json!("Green")));
        assert!(
            read(&choice, "blue")
                .expect_err("not a choice")
                .contains("Green, red")
        );
    }
}
