//! Completions, manual pages and schemas: generated from what the program is, so that they cannot drift.

use std::path::{Path, PathBuf};

use clap::CommandFactory as _;
use schemars::JsonSchema;
use serde::Serialize;

use crate::cli::args::{Cli, CompletionsArgs, ManArgs};
use crate::cli::output::Answer;
use crate::error::{Error, Result};
use crate::exit::Exit;

/// Runbooks and their parameters, which the generated script cannot know.
const RUNBOOKS: &str = include_str!("runbooks.bash");

/// What `completions` gives.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Completions {
    /// The shell: `bash`, `elvish`, `fish`, `powershell` or `zsh`.
    pub shell: String,
    /// The script to source.
    pub script: String,
}

/// What `man` and `schemas` give.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Written {
    /// The files that were written, each below the folder as it was named.
    pub files: Vec<PathBuf>,
}

/// `completions SHELL`
pub fn completions(args: &CompletionsArgs) -> Result<Answer> {
    let mut bytes = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "summitctl", &mut bytes);
    let mut text = String::from_utf8(bytes)
        .map_err(|e| Error::bug("a completion script is not UTF-8").caused_by(e))?;
    if args.shell == clap_complete::Shell::Bash {
        text.push_str(RUNBOOKS);
    }
    let made = Completions {
        shell: args.shell.to_string(),
        script: text.clone(),
    };
    Ok(Answer::new(Exit::Ok, text, made).verbatim())
}

/// `man FOLDER`
pub fn man(args: &ManArgs) -> Result<Answer> {
    make(&args.folder)?;
    let mut command = Cli::command();
    command.build();
    let mut files = Vec::new();
    pages(&command, "summitctl", &args.folder, &mut files)?;
    Ok(Answer::new(
        Exit::Ok,
        format!("Wrote {} pages to {}.", files.len(), args.folder.display()),
        Written { files },
    ))
}

fn pages(
    command: &clap::Command,
    name: &str,
    folder: &Path,
    files: &mut Vec<PathBuf>,
) -> Result<()> {
    if command.is_hide_set() {
        return Ok(());
    }
    let path = folder.join(format!("{name}.1"));
    let mut bytes = Vec::new();
    clap_mangen::Man::new(command.clone().name(name.to_owned()))
        .render(&mut bytes)
        .and_then(|()| std::fs::write(&path, &bytes))
        .map_err(|e| Error::io("write", &path, e))?;
    files.push(path);
    for sub in command.get_subcommands().filter(|s| s.get_name() != "help") {
        pages(sub, &format!("{name}-{}", sub.get_name()), folder, files)?;
    }
    Ok(())
}

/// `schemas FOLDER`
pub fn schemas(args: &ManArgs) -> Result<Answer> {
    make(&args.folder)?;
    let mut files = Vec::new();
    for (name, schema) in super::schema::all() {
        let path = args.folder.join(format!("{name}.json"));
        let text = serde_json::to_string_pretty(&schema)
            .map_err(|e| Error::bug("a schema does not serialise").caused_by(e))?;
        std::fs::write(&path, format!("{text}\n")).map_err(|e| Error::io("write", &path, e))?;
        files.push(path);
    }
    Ok(Answer::new(
        Exit::Ok,
        format!(
            "Wrote {} schemas to {}.",
            files.len(),
            args.folder.display()
        ),
        Written { files },
    ))
}

fn make(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|e| Error::io("create", folder, e))
}
