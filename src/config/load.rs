//! Finding the configuration, and choosing a context.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::build::{self, Built};
use super::context::{Context, ENV_CONTEXT};
use super::environment::Environment;
use super::excerpt::nearest;
use super::from_env;
use super::source::{Provenance, Sourced};
use super::{AMBIGUOUS_CONTEXT, BAD_VALUE, NO_CONTEXT, UNKNOWN_CONTEXT};
use crate::error::{Error, NOT_FOUND, Result};

/// The name of the configuration file.
pub const FILE_NAME: &str = "summitctl.toml";

/// Where to look for the configuration.
#[derive(Debug, Clone)]
pub struct Locate<'a> {
    /// `--config`; must exist.
    pub flag: Option<PathBuf>,
    /// The working directory, where the search upward begins.
    pub start: PathBuf,
    /// Files that add their contexts, if they exist, such as the sandbox folder's.
    pub extra: Vec<PathBuf>,
    /// The process environment.
    pub environment: &'a Environment,
}

/// Everything that was configured.
#[derive(Debug, Clone)]
pub struct Config {
    /// The main file, if there is one, and what named it.
    pub file: Option<Sourced<PathBuf>>,
    /// The files that added contexts.
    pub extra: Vec<PathBuf>,
    /// The main file's `default-context`.
    pub default: Option<Sourced<String>>,
    /// By name; `env` is among them if the environment holds at least one target.
    pub contexts: BTreeMap<String, Context>,
    /// Where a file was looked for, in order.
    pub searched: Vec<PathBuf>,
}

impl Config {
    /// Finds and reads the configuration: `--config`, `SUMMITCTL_CONFIG`, `./summitctl.toml` and upward to the root of
    /// the repository, `${XDG_CONFIG_HOME:-~/.config}/summitctl/summitctl.toml`. No file at all is not an error.
    ///
    /// # Errors
    /// A named file that does not exist; a file that is wrong, with the line shown; two files that define the same
    /// context; a variable of the context `env` that is wrong.
    pub fn load(locate: &Locate<'_>) -> Result<Config> {
        let mut searched = Vec::new();
        let file = find(locate, &mut searched)?;
        let mut config = Config {
            file: None,
            extra: Vec::new(),
            default: None,
            contexts: BTreeMap::new(),
            searched,
        };
        if let Some(file) = file {
            let Built { default, contexts } = read(&file.value)?;
            config.default = default;
            config.contexts = contexts;
            config.file = Some(file);
        }
        for path in &locate.extra {
            let main = config.file.as_ref().map(|f| &f.value);
            if !path.is_file() || main.is_some_and(|m| same_file(m, path)) {
                continue;
            }
            for (name, context) in read(path)?.contexts {
                if let Some(first) = config.contexts.get(&name) {
                    return Err(Error::new(
                        &BAD_VALUE,
                        format!(
                            "the context `{name}` is defined at `{}` and at `{}`",
                            first.defined, context.defined
                        ),
                    )
                    .hint("Rename one of them."));
                }
                config.contexts.insert(name, context);
            }
            config.extra.push(path.clone());
        }
        if from_env::has_targets(locate.environment) {
            let context = from_env::from_environment(locate.environment)?;
            config.contexts.insert(ENV_CONTEXT.to_owned(), context);
        }
        Ok(config)
    }

    /// The context to work on: the one named by `--context` or `SUMMITCTL_CONTEXT`, else the file's default, else the
    /// file's only one. Without a file: `env` if the environment holds a target, else the only one there is.
    ///
    /// # Errors
    /// An unknown name, with the nearest; several contexts and nobody said which; none at all.
    pub fn choose(&self, named: Option<&Sourced<String>>) -> Result<&Context> {
        if let Some(name) = named.or(self.default.as_ref()) {
            return self.named(name);
        }
        let written: Vec<&Context> = self
            .contexts
            .values()
            .filter(|c| c.name != ENV_CONTEXT)
            .collect();
        let of_main: Vec<&&Context> = written.iter().filter(|c| self.is_main(c)).collect();
        let env = self.contexts.get(ENV_CONTEXT);
        match (&self.file, of_main.as_slice(), env, written.as_slice()) {
            (Some(_), [only], _, _) => Ok(only),
            (Some(_), [_, _, ..], _, _) => Err(self.ambiguous(&written)),
            (_, _, Some(env), _) => Ok(env),
            (_, _, None, [only]) => Ok(only),
            (_, _, None, []) => Err(self.nothing()),
            (_, _, None, _) => Err(self.ambiguous(&written)),
        }
    }

    fn named(&self, name: &Sourced<String>) -> Result<&Context> {
        if let Some(context) = self.contexts.get(&name.value) {
            return Ok(context);
        }
        if name.value == ENV_CONTEXT {
            return Err(Error::new(
                &NO_CONTEXT,
                "the context `env` is empty: none of the platform's variables is set",
            )
            .hint("Set `DATABASE_URL`, `NEO4J_URI`, `REDIS_URL` or `SUMMITCTL_GATEWAY_URL`."));
        }
        let mut error = Error::new(
            &UNKNOWN_CONTEXT,
            format!("there is no context `{}` ({})", name.value, name.source),
        );
        if let Some(meant) = nearest(&name.value, self.contexts.keys().map(String::as_str)) {
            error = error.hint(format!("Did you mean `{meant}`?"));
        }
        if self.contexts.is_empty() {
            error = error.hint(format!("No context exists: looked for {}.", self.places()));
        }
        Err(error.hint("See them with `summitctl context list`."))
    }

    fn is_main(&self, context: &Context) -> bool {
        match (&self.file, &context.defined) {
            (Some(main), Provenance::File { path, .. }) => *path == main.value,
            _ => false,
        }
    }

    fn ambiguous(&self, contexts: &[&Context]) -> Error {
        let names: Vec<String> = contexts.iter().map(|c| format!("`{}`", c.name)).collect();
        Error::new(
            &AMBIGUOUS_CONTEXT,
            format!("nobody said which context is meant: {}", names.join(", ")),
        )
        .hint("Name one with `--context NAME`.")
        .hint("Or set `default-context` in `summitctl.toml`.")
    }

    fn nothing(&self) -> Error {
        Error::new(
            &NO_CONTEXT,
            format!(
                "there is no context: looked for {}, and none of the platform's variables is set",
                self.places()
            ),
        )
        .hint("Start a practice stack with `summitctl sandbox up`.")
        .hint("Or describe your targets with `summitctl init`.")
    }

    fn places(&self) -> String {
        let places: Vec<String> = self
            .searched
            .iter()
            .map(|p| format!("`{}`", p.display()))
            .collect();
        places.join(", ")
    }
}

/// The main file, if there is one; notes every place that was looked at.
fn find(locate: &Locate<'_>, searched: &mut Vec<PathBuf>) -> Result<Option<Sourced<PathBuf>>> {
    let named = locate
        .flag
        .clone()
        .map(|path| Sourced::new(path, Provenance::flag("--config")))
        .or_else(|| {
            let path = locate.environment.get("SUMMITCTL_CONFIG")?;
            let source = Provenance::environment("SUMMITCTL_CONFIG");
            Some(Sourced::new(PathBuf::from(path), source))
        });
    if let Some(named) = named {
        let named = named.map(|path| locate.start.join(path));
        searched.push(named.value.clone());
        if !named.value.is_file() {
            return Err(Error::new(
                &NOT_FOUND,
                format!(
                    "there is no configuration file `{}` ({})",
                    named.value.display(),
                    named.source
                ),
            )
            .hint(format!(
                "Write one with `summitctl init --config {}`.",
                named.value.display()
            )));
        }
        return Ok(Some(named));
    }
    for folder in upward(&locate.start) {
        let path = folder.join(FILE_NAME);
        searched.push(path.clone());
        if path.is_file() {
            return Ok(Some(Sourced::default_of(path)));
        }
    }
    let home = match locate.environment.get("XDG_CONFIG_HOME") {
        Some(dir) => Some(PathBuf::from(dir)),
        None => locate
            .environment
            .get("HOME")
            .map(|home| Path::new(home).join(".config")),
    };
    if let Some(home) = home {
        let path = home.join("summitctl").join(FILE_NAME);
        searched.push(path.clone());
        if path.is_file() {
            return Ok(Some(Sourced::default_of(path)));
        }
    }
    Ok(None)
}

/// The folder and those above it up to the root of the repository that it lies in; only the folder itself outside of
/// one, so that nobody's file in a shared folder above is picked up.
fn upward(start: &Path) -> Vec<&Path> {
    let mut folders = Vec::new();
    for folder in start.ancestors() {
        folders.push(folder);
        if folder.join(".git").exists() {
            return folders;
        }
    }
    folders.truncate(1);
    folders
}

fn read(path: &Path) -> Result<Built> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::io("read", path, e))?;
    build::build(path, &text)
}

fn same_file(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    }
}
