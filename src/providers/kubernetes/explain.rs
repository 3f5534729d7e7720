//! The client's errors as ours: what was asked, where, why not, and what allows it.

use kube::Error as Theirs;
use kube::client::AuthError;

use super::{
    Ask, FORBIDDEN, NO_CREDENTIALS, NO_SUCH_KIND, NOT_FOUND, NOT_LOGGED_IN, SERVER, TLS,
    UNREACHABLE,
};
use crate::error::{Error, Reason};

/// An address without user, password and query.
pub fn shown(url: &str) -> String {
    let Ok(mut parsed) = url::Url::parse(url) else {
        return "the API server".to_owned();
    };
    let _ = parsed.set_username("");
    let _ = parsed.set_password(None);
    parsed.set_query(None);
    parsed.as_str().trim_end_matches('/').to_owned()
}

/// The error of a question that was not answered.
pub fn explain(server: &str, ask: &Ask, error: Theirs) -> Error {
    match error {
        Theirs::Api(status) => match status.code {
            401 => Error::new(
                &NOT_LOGGED_IN,
                format!("`{server}` does not accept the credentials"),
            )
            .caused_by(status.message)
            .hint("Log in to the cluster again, and see as whom with `kubectl auth whoami`."),
            403 => Error::new(&FORBIDDEN, format!("`{server}` does not let us {ask}"))
                .caused_by(status.message)
                .hint(format!("Add {} to {}.", ask.rule(), ask.role()))
                .hint("Print a Role with all that is needed with `summitctl kube rbac`."),
            404 if status.details.as_ref().is_none_or(|d| d.name.is_empty()) => Error::new(
                &NO_SUCH_KIND,
                format!("`{server}` does not serve `{}`", ask.kind()),
            )
            .caused_by(status.message),
            404 => {
                Error::new(&NOT_FOUND, format!("`{server}` cannot {ask}")).caused_by(status.message)
            }
            code => Error::new(&SERVER, format!("`{server}` could not {ask}: HTTP {code}"))
                .caused_by(status.message),
        },
        Theirs::Auth(error) => no_credentials(server, &error),
        Theirs::SerdeError(error) => Error::new(
            &SERVER,
            format!("what `{server}` answered to {ask} cannot be read"),
        )
        // Its text may quote the document.
        .caused_by(format!(
            "{:?} at column {}",
            error.classify(),
            error.column()
        )),
        Theirs::Service(error) => {
            if let Some(error) = error.downcast_ref::<AuthError>() {
                return no_credentials(server, error);
            }
            out_of_reach(server, error.as_ref())
        }
        Theirs::HyperError(error) => out_of_reach(server, &error),
        other => Error::new(&SERVER, format!("`{server}` could not be asked to {ask}"))
            .caused_by(other.to_string()),
    }
}

/// The error of a client that could not be made.
pub fn no_client(server: &str, error: Theirs) -> Error {
    match error {
        Theirs::Auth(error) => no_credentials(server, &error),
        Theirs::ProxyProtocolDisabled { .. } | Theirs::ProxyProtocolUnsupported { .. } => Error::new(
            &UNREACHABLE,
            format!("`{server}` is to be reached through a proxy, which this build cannot do"),
        )
        .hint("Remove `proxy-url` from the kubeconfig and unset `HTTPS_PROXY`, or run this inside the cluster's network."),
        other => Error::new(&NO_CREDENTIALS, format!("the kubeconfig's entries for `{server}` cannot be used"))
            .caused_by(other.to_string()),
    }
}

/// Nothing that a credential plugin printed is repeated: it may be the credential.
fn no_credentials(server: &str, error: &AuthError) -> Error {
    let why = match error {
        // Its arguments may hold a secret, too.
        AuthError::AuthExecRun { out, .. } => {
            format!("the credential plugin ended with {}", out.status)
        }
        AuthError::AuthExecParse(_) => {
            "what the credential plugin printed is no credential".to_owned()
        }
        other => other.to_string(),
    };
    Error::new(&NO_CREDENTIALS, format!("there are no credentials for `{server}`"))
        .caused_by(why)
        .hint("Run the kubeconfig's credential plugin by hand, or log in again; `kubectl auth whoami` needs the same.")
}

fn out_of_reach(server: &str, error: &(dyn std::error::Error + 'static)) -> Error {
    let mut chain = Vec::new();
    let mut next = Some(error);
    while let Some(layer) = next {
        chain.push(layer.to_string());
        next = layer.source();
    }
    let text = chain.join(": ");
    let (reason, what): (&'static Reason, _) =
        if text.contains("certificate") || text.contains("handshake") || text.contains("tls") {
            (&TLS, "cannot be trusted")
        } else {
            (&UNREACHABLE, "does not answer")
        };
    Error::new(reason, format!("the API server `{server}` {what}"))
        .caused_by(chain.last().cloned().unwrap_or(text))
        .hint("Compare the address with `kubectl cluster-info`; `summitctl config show` names the kubeconfig.")
}
