//! `${NAME}` in Compose files and `.env` files, by the rules of the Compose specification ("Interpolation").

/// What came of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Interpolated {
    /// The text with every reference replaced.
    pub text: String,
    /// Names that were not set and had no default: they were replaced with nothing.
    pub unset: Vec<String>,
}

/// Replaces `$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME-default}`, `${NAME:?error}`, `${NAME?error}`, `${NAME:+other}`,
/// `${NAME+other}`; `$$` is a dollar sign. Defaults may hold references themselves.
///
/// # Errors
/// What is wrong with the text, or the name of a required variable that is not set; never a value.
pub(super) fn interpolate(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<Interpolated, String> {
    let mut unset = Vec::new();
    let text = replace(text, lookup, &mut unset, 0)?;
    Ok(Interpolated { text, unset })
}

/// Deeper nesting is refused: the reader recurses.
const DEEPEST: usize = 16;

fn replace(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
    unset: &mut Vec<String>,
    depth: usize,
) -> Result<String, String> {
    if depth > DEEPEST {
        return Err("references are nested too deeply".to_owned());
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(inside) = rest.strip_prefix('{') {
            let close = closing(inside).ok_or_else(|| "`${` is not closed with `}`".to_owned())?;
            out.push_str(&expand(&inside[..close], lookup, unset, depth)?);
            rest = &inside[close + 1..];
        } else {
            let end = name_end(rest);
            if end == 0 {
                // A lone dollar sign, as in a price or a shell's own variable.
                out.push('$');
                continue;
            }
            out.push_str(&value_or_nothing(&rest[..end], lookup, unset));
            rest = &rest[end..];
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// The place of the `}` that closes what begins at 0; braces inside belong to nested references.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    let mut previous = ' ';
    for (at, c) in text.char_indices() {
        match c {
            '{' if previous == '$' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
        previous = c;
    }
    None
}

fn name_end(text: &str) -> usize {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return 0;
    }
    text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(text.len())
}

fn expand(
    inside: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
    unset: &mut Vec<String>,
    depth: usize,
) -> Result<String, String> {
    let end = name_end(inside);
    let (name, operator) = inside.split_at(end);
    if name.is_empty() {
        return Err("`${` is not followed by a variable's name".to_owned());
    }
    if operator.is_empty() {
        return Ok(value_or_nothing(name, lookup, unset));
    }
    // With a colon, a variable that is set to nothing counts as not set.
    let (counts_empty, operator) = match operator.strip_prefix(':') {
        Some(rest) => (false, rest),
        None => (true, operator),
    };
    let value = lookup(name).filter(|v| counts_empty || !v.is_empty());
    let word = operator.get(1..).unwrap_or_default();
    match operator.as_bytes().first() {
        Some(b'-') => match value {
            Some(value) => Ok(value),
            None => replace(word, lookup, unset, depth + 1),
        },
        Some(b'+') => match value {
            Some(_) => replace(word, lookup, unset, depth + 1),
            None => Ok(String::new()),
        },
        Some(b'?') => value.ok_or_else(|| format!("the variable `{name}` is required and not set")),
        _ => Err(format!(
            "what follows the name `{name}` inside `${{…}}` cannot be understood"
        )),
    }
}

fn value_or_nothing(
    name: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
    unset: &mut Vec<String>,
) -> String {
    lookup(name).unwrap_or_else(|| {
        if !unset.iter().any(|n| n == name) {
            unset.push(name.to_owned());
        }
        String::new()
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn lookup(name: &str) -> Option<String> {
        match name {
            "SET" => Some("value".into()),
            "EMPTY" => Some(String::new()),
            _ => None,
        }
    }

    #[test]
    fn every_form_of_the_specification() {
        for (text, expected) in [
            ("$SET/${SET}", "value/value"),
            ("${NONE:-a}${NONE-b}${EMPTY:-c}${EMPTY-d}", "abc"),
            ("${SET:+x}${NONE:+y}${EMPTY+z}", "xz"),
            ("${NONE:-${SET}}-${NONE:-${NONE:-deep}}", "value-deep"),
            ("$$SET costs 5$ or $5", "$SET costs 5$ or $5"),
            ("${SET:?needed}", "value"),
            (
                "postgres://u:p@${NONE:-h}:5432/d",
                "postgres://u:p@h:5432/d",
            ),
        ] {
            assert_eq!(interpolate(text, &lookup).unwrap().text, expected, "{text}");
        }
        let partly = interpolate("a${NONE}b$NONE", &lookup).unwrap();
        assert_eq!((partly.text.as_str(), partly.unset.len()), ("ab", 1));
        for bad in ["${SET", "${}", "${NONE:?must}", "${SET=1}", "${1}"] {
            assert!(interpolate(bad, &lookup).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn it_never_panics(text in "[$\\{\\}:a-z?+ -]{0,60}") {
            let _ = interpolate(&text, &lookup);
        }

        #[test]
        fn text_without_dollars_stays(text in "[^$]{0,60}") {
            prop_assert_eq!(interpolate(&text, &lookup).unwrap().text, text);
        }
    }
}
