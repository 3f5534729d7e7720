//! Which variables an expression reads, and with which fields, so that a runbook can be checked before it runs.

use std::fmt;
use std::ops::Range;

use cel::IdedExpr;
use cel::common::ast::{EntryExpr, Expr as Node, LiteralValue, SourceInfo, operators};

use super::Fault;

/// The deepest nesting of `map`, `filter`, `all` and `exists`: each multiplies the work.
const MAX_LOOPS: usize = 3;

/// A variable and the fields that follow it, as far as they are fixed in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// `["steps", "lock", "out", "holder"]` for `steps.lock.out.holder` and for `steps["lock"].out.holder`.
    pub path: Vec<String>,
    /// Where it stands in the expression's text, in bytes.
    pub range: Range<usize>,
}

impl Reference {
    /// The variable's name.
    pub fn root(&self) -> &str {
        self.path.first().map_or("", String::as_str)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&dotted(&self.path))
    }
}

/// A path as an expression would write it.
pub(super) fn dotted(path: &[String]) -> String {
    let mut out = String::new();
    for (at, part) in path.iter().enumerate() {
        let plain = part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
        match (at, plain) {
            (0, _) => out.push_str(part),
            (_, true) => {
                out.push('.');
                out.push_str(part);
            }
            (_, false) => out.push_str(&format!("[{part:?}]")),
        }
    }
    out
}

/// Every reference of a tree, in the order of the text.
pub(super) fn collect(
    tree: &IdedExpr,
    places: &SourceInfo,
    origin: &[usize],
    source: &str,
) -> Result<Vec<Reference>, Fault> {
    let mut walk = Walk {
        places,
        origin,
        source,
        bound: Vec::new(),
        found: Vec::new(),
    };
    walk.visit(tree)?;
    walk.found.sort_by_key(|r| (r.range.start, r.path.clone()));
    walk.found.dedup();
    Ok(walk.found)
}

struct Walk<'a> {
    places: &'a SourceInfo,
    origin: &'a [usize],
    source: &'a str,
    /// The names that enclosing loops bind.
    bound: Vec<String>,
    found: Vec<Reference>,
}

impl Walk<'_> {
    fn visit(&mut self, node: &IdedExpr) -> Result<(), Fault> {
        if let Some((path, root)) = static_path(node) {
            self.add(path, root);
            return Ok(());
        }
        match &node.expr {
            Node::Call(call) => {
                if let Some(target) = &call.target {
                    // `strings.quote(x)` is a call by a qualified name, not a reference to `strings`.
                    let qualified = matches!(&target.expr, Node::Ident(n) if n == "strings");
                    if !qualified {
                        self.visit(target)?;
                    }
                }
                call.args.iter().try_for_each(|arg| self.visit(arg))
            }
            Node::Comprehension(comp) => {
                self.visit(&comp.iter_range)?;
                self.visit(&comp.accu_init)?;
                let depth = self.bound.len();
                self.bound.push(comp.iter_var.clone());
                self.bound.extend(comp.iter_var2.clone());
                self.bound.push(comp.accu_var.clone());
                if self.bound.len() > MAX_LOOPS * 3
                    || self.bound.iter().filter(|n| n.starts_with('@')).count() > MAX_LOOPS
                {
                    return Err(Fault::new(
                        0..self.source.len(),
                        format!("more than {MAX_LOOPS} loops stand inside each other"),
                    ));
                }
                self.visit(&comp.loop_cond)?;
                self.visit(&comp.loop_step)?;
                self.visit(&comp.result)?;
                self.bound.truncate(depth);
                Ok(())
            }
            Node::List(list) => list.elements.iter().try_for_each(|e| self.visit(e)),
            Node::Map(map) => map.entries.iter().try_for_each(|e| self.entry(&e.expr)),
            Node::Struct(strct) => Err(self.fault(
                node.id,
                format!("there is no type `{}` to make a value of", strct.type_name),
            )),
            Node::Select(select) => self.visit(&select.operand),
            Node::Unspecified => Err(self.fault(node.id, "this is not an expression")),
            Node::Ident(_) | Node::Literal(_) => Ok(()),
        }
    }

    fn entry(&mut self, entry: &EntryExpr) -> Result<(), Fault> {
        match entry {
            EntryExpr::StructField(field) => self.visit(&field.value),
            EntryExpr::MapEntry(entry) => {
                self.visit(&entry.key)?;
                self.visit(&entry.value)
            }
        }
    }

    fn add(&mut self, mut path: Vec<String>, root: u64) {
        let name = path[0].trim_start_matches('.').to_owned();
        if name.starts_with('@') || self.bound.contains(&name) || is_type(&name) {
            return;
        }
        path[0] = name;
        let start = self.offset(root);
        let end = self.source[start..]
            .char_indices()
            .find(|(_, c)| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')))
            .map_or(self.source.len(), |(at, _)| start + at);
        self.found.push(Reference {
            path,
            range: start..end,
        });
    }

    /// The byte of the source where a node starts.
    fn offset(&self, id: u64) -> usize {
        let at = self.places.offset_for(id).map_or(0, |(start, _)| start) as usize;
        let at = self.origin.get(at).copied().unwrap_or(0);
        super::floor_boundary(self.source, at)
    }

    fn fault(&self, id: u64, message: impl Into<String>) -> Fault {
        let start = self.offset(id);
        Fault::new(start..self.source.len(), message)
    }
}

/// CEL's names for types, which `type(x) == string` uses as values.
fn is_type(name: &str) -> bool {
    matches!(
        name,
        "bool"
            | "bytes"
            | "double"
            | "dyn"
            | "int"
            | "list"
            | "map"
            | "null_type"
            | "string"
            | "type"
            | "uint"
    )
}

/// The path of a chain of fields on a variable, and the id of the variable's node.
fn static_path(node: &IdedExpr) -> Option<(Vec<String>, u64)> {
    match &node.expr {
        Node::Ident(name) => Some((vec![name.clone()], node.id)),
        Node::Select(select) => {
            let (mut path, root) = static_path(&select.operand)?;
            path.push(select.field.clone());
            Some((path, root))
        }
        Node::Call(call) if call.func_name == operators::INDEX && call.args.len() == 2 => {
            let Node::Literal(LiteralValue::String(key)) = &call.args[1].expr else {
                return None;
            };
            let (mut path, root) = static_path(&call.args[0])?;
            path.push(key.inner().to_owned());
            Some((path, root))
        }
        _ => None,
    }
}
