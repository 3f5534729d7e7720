//! The environment that a Compose file gives to a service: `environment` as a map or a list, `env_file`, and
//! `${NAME:-default}` filled in from the process environment and the project's `.env`, as Compose does.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, de};
use serde_saphyr::Spanned;
use zeroize::Zeroizing;

use super::BAD_VALUE;
use super::document::without_values;
use super::environment::Environment;
use super::excerpt::{Text, nearest, redact};
use super::interpolate::interpolate;
use super::source::{Provenance, Sourced};
use super::values::Values;
use crate::error::{Error, NOT_FOUND, Result};

/// Reads what `service` gets from the Compose file at `path`: `environment` over `env_file`; names without a value come
/// from the process environment or the `.env` beside the file.
///
/// # Errors
/// A file that is no Compose file, an unknown service with the nearest name, a required variable that is not set, an
/// `env_file` that is missing. Values are never shown.
pub fn read(path: &Path, service: &str, environment: &Environment) -> Result<Values> {
    let text =
        Zeroizing::new(std::fs::read_to_string(path).map_err(|e| Error::io("read", path, e))?);
    let place = Text::names_only(path, &text);
    let file: File = serde_saphyr::from_str(&text).map_err(|e| explain(place, &e))?;
    let Some(found) = file.services.get(service) else {
        let names: Vec<&str> = file.services.keys().map(String::as_str).collect();
        let mut error = Error::new(
            &NOT_FOUND,
            format!("there is no service `{service}` in `{}`", path.display()),
        );
        if let Some(meant) = nearest(service, names.iter().copied()) {
            error = error.hint(format!("Did you mean `{meant}`?"));
        }
        return Err(error.hint(format!("Its services are: {}.", names.join(", "))));
    };
    let folder = path.parent().unwrap_or(Path::new(""));
    let project = folder.join(".env");
    let defaults = if project.is_file() {
        Values::of_dotenv(&project, environment)?
    } else {
        Values::default()
    };
    let reader = Reader {
        place,
        environment,
        defaults: &defaults,
    };
    let own = reader.environment(found.environment.as_ref())?;
    let files = reader.env_files(folder, found.env_file.as_ref())?;
    Ok(own.below(files))
}

/// Only what matters here; the rest of a Compose file is not ours to judge.
#[derive(Deserialize)]
struct File {
    #[serde(default)]
    services: BTreeMap<String, Service>,
}

#[derive(Deserialize, Default)]
struct Service {
    #[serde(default)]
    environment: Option<Block>,
    #[serde(default)]
    env_file: Option<Spanned<EnvFiles>>,
}

/// Names with values, or without: then the value comes from outside.
struct Block(Vec<(Spanned<String>, Option<String>)>);

enum EnvFiles {
    One(String),
    Many(Vec<Spanned<EnvFile>>),
}

#[derive(Clone)]
struct EnvFile {
    path: String,
    required: bool,
}

struct Reader<'a> {
    place: Text<'a>,
    environment: &'a Environment,
    defaults: &'a Values,
}

impl Reader<'_> {
    fn outside(&self, name: &str) -> Option<Sourced<String>> {
        if let Some(value) = self.environment.get(name) {
            let source = Provenance::environment(name);
            return Some(Sourced::new(value.to_owned(), source));
        }
        let default = self.defaults.get(name)?;
        let value = default.value.expose().to_owned();
        Some(Sourced::new(value, default.source.clone()))
    }

    fn source(&self, line: u64) -> Provenance {
        Provenance::File {
            path: self.place.path.to_owned(),
            line: usize::try_from(line).unwrap_or(usize::MAX),
        }
    }

    fn fill(&self, at: &Spanned<String>, text: &str, values: &mut Values) -> Result<String> {
        let lookup = |name: &str| self.outside(name).map(|v| v.value);
        let done = interpolate(text, &lookup).map_err(|what| {
            let offset = offset(
                self.place.text,
                at.referenced.line(),
                at.referenced.column(),
            );
            self.place.error(&BAD_VALUE, offset..offset + 1, what)
        })?;
        for name in done.unset {
            let source = self.source(at.referenced.line());
            values.unset.push(Sourced::new(name, source));
        }
        Ok(done.text)
    }

    fn environment(&self, block: Option<&Block>) -> Result<Values> {
        let mut values = Values::default();
        for (name, value) in block.map_or(&[][..], |b| &b.0) {
            match value {
                Some(text) => {
                    let text = self.fill(name, text, &mut values)?;
                    let source = self.source(name.referenced.line());
                    values.put(&name.value, &text, source);
                }
                None => {
                    if let Some(found) = self.outside(&name.value) {
                        values.put(&name.value, &found.value, found.source);
                    }
                }
            }
        }
        Ok(values)
    }

    /// Later files win over earlier ones.
    fn env_files(&self, folder: &Path, files: Option<&Spanned<EnvFiles>>) -> Result<Values> {
        let mut values = Values::default();
        let list = match files {
            None => return Ok(values),
            Some(at) => match &at.value {
                EnvFiles::Many(list) => list.clone(),
                EnvFiles::One(path) => {
                    let file = EnvFile::required(path);
                    vec![Spanned::new(file, at.referenced, at.defined)]
                }
            },
        };
        for file in list {
            let at = Spanned::new(file.value.path.clone(), file.referenced, file.defined);
            let name = self.fill(&at, &at.value, &mut values)?;
            let path = folder.join(&name);
            if path.is_file() {
                values = Values::of_dotenv(&path, self.environment)?.below(values);
            } else if file.value.required {
                let offset = offset(
                    self.place.text,
                    at.referenced.line(),
                    at.referenced.column(),
                );
                return Err(self.place.error(
                    &NOT_FOUND,
                    offset..offset + name.len(),
                    format!("there is no file `{}`, which is named", path.display()),
                ));
            }
        }
        Ok(values)
    }
}

/// The byte offset of a line and column, both counted from 1.
fn offset(text: &str, line: u64, column: u64) -> usize {
    let skip = usize::try_from(line.saturating_sub(1)).unwrap_or(usize::MAX);
    let start: usize = text.split_inclusive('\n').take(skip).map(str::len).sum();
    let column = usize::try_from(column.saturating_sub(1)).unwrap_or(usize::MAX);
    let within = text[start..]
        .char_indices()
        .nth(column)
        .map_or(text.len() - start, |(at, _)| at);
    start + within
}

fn explain(place: Text<'_>, error: &serde_saphyr::Error) -> Error {
    let message = error.without_snippet().to_string();
    let message = without_values(message.lines().next().unwrap_or_default());
    // The place is said already.
    let message = redact(message.split(" at line ").next().unwrap_or_default());
    match error.location() {
        Some(at) => {
            let offset = offset(place.text, at.line(), at.column());
            place.error(
                &BAD_VALUE,
                offset..offset + 1,
                "this is no Compose file that can be read",
            )
        }
        None => Error::new(
            &BAD_VALUE,
            format!(
                "`{}` is no Compose file that can be read",
                place.path.display()
            ),
        ),
    }
    .caused_by(Error::new(&BAD_VALUE, message))
}

impl<'de> Deserialize<'de> for Block {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Block;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map or a list of variables")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Block, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry::<Spanned<String>, Option<String>>()? {
                    pairs.push(pair);
                }
                Ok(Block(pairs))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Block, A::Error> {
                let mut pairs = Vec::new();
                while let Some(mut item) = seq.next_element::<Spanned<String>>()? {
                    let text = std::mem::take(&mut item.value);
                    let (name, value) = match text.split_once('=') {
                        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
                        None => (text, None),
                    };
                    item.value = name;
                    pairs.push((item, value));
                }
                Ok(Block(pairs))
            }

            fn visit_unit<E: de::Error>(self) -> Result<Block, E> {
                Ok(Block(Vec::new()))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl<'de> Deserialize<'de> for EnvFiles {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = EnvFiles;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a path or a list of paths")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<EnvFiles, E> {
                Ok(EnvFiles::One(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<EnvFiles, A::Error> {
                let mut files = Vec::new();
                while let Some(file) = seq.next_element()? {
                    files.push(file);
                }
                Ok(EnvFiles::Many(files))
            }

            fn visit_unit<E: de::Error>(self) -> Result<EnvFiles, E> {
                Ok(EnvFiles::Many(Vec::new()))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

impl EnvFile {
    fn required(path: &str) -> Self {
        EnvFile {
            path: path.to_owned(),
            required: true,
        }
    }
}

impl<'de> Deserialize<'de> for EnvFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = EnvFile;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a path, or a table with `path` and `required`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<EnvFile, E> {
                Ok(EnvFile::required(text))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<EnvFile, A::Error> {
                let (mut path, mut required) = (None, true);
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "path" => path = Some(map.next_value()?),
                        "required" => required = map.next_value()?,
                        _ => {
                            map.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                let path = path.ok_or_else(|| de::Error::missing_field("path"))?;
                Ok(EnvFile { path, required })
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let dir = std::env::temp_dir()
                .join(format!("summitctl-compose-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&dir).unwrap();
            Folder(dir)
        }

        fn write(&self, name: &str, text: &str) -> PathBuf {
            let path = self.0.join(name);
            std::fs::write(&path, text).unwrap();
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    const FILE: &str = r#"
x-common: &common
  LOG_LEVEL: info
  AI_ENABLED: true
services:
  gateway:
    image: gateway
    ports: ["8080:8080"]
    env_file:
      - base.env
      - path: missing.env
        required: false
    environment:
      <<: *common
      PORT: 08080
      DATABASE_URL: postgres://app:${DB_PASSWORD:-canary}@db:5432/app
      JWT_SECRET:
      SESSION_SECRET: ${NOWHERE}
      PRICE: 5$$
  worker:
    env_file: base.env
    environment:
      - LOG_LEVEL=debug=yes
      - JWT_SECRET
  plain: {}
"#;

    fn value(values: &Values, name: &str) -> Option<(String, Provenance)> {
        values
            .get(name)
            .map(|v| (v.value.expose().to_owned(), v.source.clone()))
    }

    #[test]
    fn both_forms_files_and_references() {
        let folder = Folder::new("forms");
        let path = folder.write("compose.yaml", FILE);
        let base = folder.write("base.env", "LOG_LEVEL=error\nFROM_FILE=1\n");
        let project = folder.write(
            ".env",
            "JWT_SECRET=from-project\nDB_PASSWORD=from-project\n",
        );
        let environment: Environment = [("DB_PASSWORD", "from-shell")].into_iter().collect();
        let gateway = read(&path, "gateway", &environment).unwrap();
        let at = |path: &Path, line| Provenance::File {
            path: path.to_owned(),
            line,
        };
        assert_eq!(
            value(&gateway, "DATABASE_URL"),
            Some((
                "postgres://app:from-shell@db:5432/app".into(),
                at(&path, 16)
            ))
        );
        assert_eq!(
            value(&gateway, "JWT_SECRET"),
            Some(("from-project".into(), at(&project, 1)))
        );
        assert_eq!(value(&gateway, "LOG_LEVEL").unwrap().0, "info");
        assert_eq!(value(&gateway, "AI_ENABLED").unwrap().0, "true");
        assert_eq!(value(&gateway, "PORT").unwrap().0, "08080");
        assert_eq!(value(&gateway, "PRICE").unwrap().0, "5$");
        assert_eq!(
            value(&gateway, "FROM_FILE"),
            Some(("1".into(), at(&base, 2)))
        );
        assert_eq!(value(&gateway, "SESSION_SECRET"), None);
        assert!(gateway.is_assigned("SESSION_SECRET"));
        assert_eq!(gateway.unset[0].value, "NOWHERE");
        let worker = read(&path, "worker", &environment).unwrap();
        assert_eq!(
            value(&worker, "LOG_LEVEL"),
            Some(("debug=yes".into(), at(&path, 23)))
        );
        assert!(format!("{gateway:?}").contains("DATABASE_URL"));
        assert!(!format!("{gateway:?}").contains("from-shell"));
        assert_eq!(
            read(&path, "plain", &environment).unwrap(),
            Values::default()
        );
    }

    #[test]
    fn wrong_files_are_explained_without_values() {
        let folder = Folder::new("wrong");
        for (text, expected) in [
            (
                "services:\n  gateway:\n    environment: \"canary\"\n",
                "line 3",
            ),
            (
                "services:\n  gateway:\n    environment:\n      JWT_SECRET: [canary]\n",
                "line 4",
            ),
            (
                "services:\n  gateway:\n    environment:\n      JWT_SECRET: \"canary\n",
                "line",
            ),
            (
                "services:\n  gateway:\n    environment:\n      JWT_SECRET: ${JWT_SECRET:?canary}\n",
                "`JWT_SECRET` is required",
            ),
            (
                "services:\n  gateway:\n    env_file:\n      - none.env\n",
                "line 4",
            ),
            ("services:\n  gatway: {}\n", "Did you mean `gatway`?"),
            ("just text", "no Compose file"),
        ] {
            let path = folder.write("compose.yaml", text);
            let error = read(&path, "gateway", &Environment::empty()).expect_err(text);
            let all = format!(
                "{error}\n{}\n{}\n{}",
                error.causes().join("\n"),
                error.hints().join("\n"),
                error.innermost_excerpt().unwrap_or_default()
            );
            assert!(all.contains(expected), "{text}\n{all}");
            assert!(!all.contains("canary"), "{all}");
        }
    }
}
