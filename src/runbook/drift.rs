//! A local copy of a built-in runbook against the text it was made from and the text that is built in now.
//!
//! A copy says in its front matter which text it was made from: `based-on: ID@sha256:…`. That line, and the id if the copy
//! has one of its own, are all that `runbook new ID --from BUILT-IN` changes, so that taking them back gives the text again
//! unless somebody edited it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use super::Runbook;

/// More cells than this are not compared line by line.
const MAX_CELLS: usize = 4_000_000;
/// Lines shown around a change.
const AROUND: usize = 3;

/// How a copy stands to the built-in text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Drift {
    /// It is the built-in text.
    Same,
    /// The copy was changed; the built-in text is the one it was made from.
    Edited,
    /// The built-in text changed since; the copy was not changed.
    Outdated,
    /// The copy was changed, and so was the built-in text.
    Diverged,
    /// The copy differs, and does not say which text it was made from.
    Unknown,
}

impl Drift {
    /// What it means, after the copy's name.
    pub fn words(self) -> &'static str {
        match self {
            Drift::Same => "is the built-in text",
            Drift::Edited => {
                "was changed here; the built-in text is still the one it was made from"
            }
            Drift::Outdated => {
                "was not changed here, but the built-in text changed since it was copied"
            }
            Drift::Diverged => {
                "was changed here, and the built-in text changed too since it was copied"
            }
            Drift::Unknown => {
                "differs from the built-in text, and does not say which text it was made from"
            }
        }
    }

    /// A word or two for tables.
    pub fn short(self) -> &'static str {
        match self {
            Drift::Same => "same text",
            Drift::Edited => "edited",
            Drift::Outdated => "built-in is newer",
            Drift::Diverged => "edited, built-in is newer",
            Drift::Unknown => "differs",
        }
    }
}

/// Which text a copy was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// The built-in runbook's id.
    pub id: String,
    /// The digest of its text then.
    pub digest: String,
}

impl std::str::FromStr for Base {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parsed = text.split_once('@').filter(|(id, digest)| {
            let hex = digest.strip_prefix("sha256:").unwrap_or_default();
            super::decode::is_kebab(id)
                && hex.len() == 64
                && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        });
        let Some((id, digest)) = parsed else {
            return Err(format!(
                "`based-on` names a built-in runbook and its digest, as in `smoke@sha256:…`, not `{text}`"
            ));
        };
        Ok(Base {
            id: id.to_owned(),
            digest: digest.to_owned(),
        })
    }
}

/// How `copy` stands to the built-in text it was made from, or stands in for.
pub fn drift(copy: &Runbook, built_in: &Runbook) -> Drift {
    let now = built_in.digest();
    let own = digest(&original(copy, &built_in.id));
    let base = copy.based_on.as_ref().map(|b| b.digest.as_str());
    match base {
        _ if own == now => Drift::Same,
        None => Drift::Unknown,
        Some(base) if base == now => Drift::Edited,
        Some(base) if base == own => Drift::Outdated,
        Some(_) => Drift::Diverged,
    }
}

fn digest(text: &str) -> String {
    format!("sha256:{:x}", sha2::Sha256::digest(text))
}

/// The copy's text as it would be without what copying adds.
fn original(copy: &Runbook, id: &str) -> String {
    lines(copy, |line| {
        if line.starts_with("based-on:") {
            None
        } else if line.starts_with("runbook:") {
            Some(renamed(line, id))
        } else {
            Some(line.to_owned())
        }
    })
}

/// The text of a copy of `built_in` under the name `id`.
pub fn copy(built_in: &Runbook, id: &str) -> String {
    let mark = format!("based-on: {}@{}\n", built_in.id, built_in.digest());
    lines(built_in, |line| {
        Some(if line.starts_with("runbook:") {
            format!("{}{mark}", renamed(line, id))
        } else {
            line.to_owned()
        })
    })
}

fn renamed(line: &str, id: &str) -> String {
    let end = &line[line.trim_end().len()..];
    format!("runbook: {id}{end}")
}

/// The text with each line of its front matter replaced.
fn lines(book: &Runbook, mut change: impl FnMut(&str) -> Option<String>) -> String {
    let text = book.source().text();
    let body = book.marks.body.min(text.len());
    let mut out = String::with_capacity(text.len());
    for line in text[..body].split_inclusive('\n') {
        out.extend(change(line));
    }
    out.push_str(&text[body..]);
    out
}

/// The lines that differ, with some around them: ` ` in both, `-` in `old` only, `+` in `new` only.
pub fn unified(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let edits = edits(&old, &new);
    let mut near = vec![false; edits.len()];
    for (at, (sign, _)) in edits.iter().enumerate() {
        if *sign != ' ' {
            let to = (at + AROUND + 1).min(edits.len());
            near[at.saturating_sub(AROUND)..to].fill(true);
        }
    }
    let (mut out, mut a, mut b, mut open) = (String::new(), 0, 0, false);
    for ((sign, line), near) in edits.iter().zip(near) {
        if near {
            if !open {
                out.push_str(&format!("@@ line {} → line {} @@\n", a + 1, b + 1));
            }
            out.push_str(&format!("{sign}{line}\n"));
        }
        open = near;
        a += usize::from(*sign != '+');
        b += usize::from(*sign != '-');
    }
    out
}

/// Each line of both texts once, by the longest common subsequence.
fn edits<'t>(old: &[&'t str], new: &[&'t str]) -> Vec<(char, &'t str)> {
    let same = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let mut edits: Vec<(char, &str)> = old[..same].iter().map(|line| (' ', *line)).collect();
    let (old, new) = (&old[same..], &new[same..]);
    let (n, m) = (old.len(), new.len());
    if n.saturating_mul(m) > MAX_CELLS {
        edits.extend(old.iter().map(|line| ('-', *line)));
        edits.extend(new.iter().map(|line| ('+', *line)));
        return edits;
    }
    let mut longest = vec![0_u32; (n + 1) * (m + 1)];
    let at = |i: usize, j: usize| i * (m + 1) + j;
    for i in (0..n).rev() {
        for j in (0..m).rev() {
            longest[at(i, j)] = if old[i] == new[j] {
                longest[at(i + 1, j + 1)] + 1
            } else {
                longest[at(i + 1, j)].max(longest[at(i, j + 1)])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    while i < n || j < m {
        if i < n && j < m && old[i] == new[j] {
            edits.push((' ', old[i]));
            i += 1;
            j += 1;
        } else if i < n && (j == m || longest[at(i + 1, j)] >= longest[at(i, j + 1)]) {
            edits.push(('-', old[i]));
            i += 1;
        } else {
            edits.push(('+', new[j]));
            j += 1;
        }
    }
    edits
}
