//! The `kubernetes` section of a context: which cluster, and what of it is looked at.

use super::build::File;
use super::context::Kubernetes;
use super::document::{self as written, At};
use crate::error::Result;
use crate::time::Span;

/// Reads the section.
///
/// # Errors
/// A namespace that cannot be one, an empty selector or context, and a job's time of zero.
pub(super) fn build(file: &File<'_>, at: &At<written::Kubernetes>) -> Result<Kubernetes> {
    let section = &at.value;
    for namespace in &section.namespaces {
        if !is_label(&namespace.value) {
            return Err(file
                .bad(namespace, format!("`{}` cannot be a namespace", namespace.value))
                .hint(
                    "Use up to 63 lower-case letters, digits and `-`, beginning and ending with a letter or digit; \
                     see those that exist with `kubectl get namespaces`.",
                ));
        }
    }
    if let Some((second, _)) = section
        .namespaces
        .iter()
        .enumerate()
        .map(|(n, at)| (at, &section.namespaces[..n]))
        .find(|(at, before)| before.iter().any(|b| b.value == at.value))
    {
        return Err(file.bad(second, format!("`{}` is named twice", second.value)));
    }
    for (name, text) in [
        ("context", &section.context),
        ("selector", &section.selector),
    ] {
        if let Some(at) = text
            && at.value.trim().is_empty()
        {
            return Err(file.bad(at, format!("`{name}` is empty: leave it out")));
        }
    }
    if let Some(at) = &section.longest_job
        && at.value == Span::secs(0)
    {
        return Err(file.bad(at, "a duration of zero can never be kept"));
    }
    Ok(Kubernetes {
        defined: file.at(at),
        kubeconfig: section.kubeconfig.as_ref().map(|p| file.path(p)),
        context: section.context.as_ref().map(|c| file.sourced(c)),
        namespaces: section.namespaces.iter().map(|n| file.sourced(n)).collect(),
        selector: section.selector.as_ref().map(|s| file.sourced(s)),
        longest_job: file.or(section.longest_job.as_ref(), Kubernetes::LONGEST_JOB),
        error_lines: file.or(section.error_lines.as_ref(), Kubernetes::ERROR_LINES),
    })
}

/// Whether a name is a label by RFC 1123, as namespaces are.
fn is_label(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() <= 63
        && name.starts_with(plain)
        && name.ends_with(plain)
        && name.chars().all(|c| plain(c) || c == '-')
}
