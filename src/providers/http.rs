//! HTTP as a probe needs it: one bounded request with its latency, and what lies under it (name, port, certificate).
//!
//! Nothing follows redirects silently, nothing reads more than 1 MiB, and every failure says how far it got.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::Value;

use crate::error::{Error, Result};
use crate::reasons;
use crate::secret::Secret;
use crate::wait::Deadline;

pub mod tls;

reasons! {
    /// The name does not resolve.
    NO_SUCH_HOST = "http.no-such-host", Unreachable, "The host name does not resolve. Check the name, and the DNS of this machine.";
    /// Nothing listens.
    REFUSED = "http.refused", Unreachable, "Nothing accepts connections there. The service is down, or the port or a firewall is wrong.";
    /// No answer in time.
    SLOW = "http.timeout", Unreachable, "The service did not answer within the deadline.";
    /// The TLS handshake failed.
    TLS = "http.tls", Unreachable, "The TLS handshake failed: an unknown issuer, a wrong name, or an expired certificate. The message says which.";
    /// The exchange broke.
    BROKEN = "http.broken", Unreachable, "The connection broke in the middle of the request or the answer.";
    /// Not a URL.
    BAD_URL = "http.bad-url", Usage, "The address is not an http or https URL.";
}

/// How much of a body is read: health documents are small, and a probe must not be flooded.
const MAX_BODY: usize = 1 << 20;

/// A client for probes; cheap to clone.
#[derive(Clone)]
pub struct Client {
    inner: reqwest::Client,
    token: Option<Secret>,
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The content type, empty if none was said.
    pub content_type: String,
    /// The body, at most 1 MiB of it.
    pub body: Vec<u8>,
    /// From the request's first byte to the body's last.
    pub latency: Duration,
}

impl Answer {
    /// The body as JSON, if it is.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The beginning of the body on one line, for messages.
    pub fn excerpt(&self) -> String {
        let text = String::from_utf8_lossy(&self.body[..self.body.len().min(160)])
            .replace(['\n', '\r'], " ");
        text.trim().to_owned()
    }
}

impl Client {
    /// A client that trusts the system's roots, and `ca` (PEM) as well if given; `token` is sent as a bearer.
    pub fn new(ca: Option<&[u8]>, token: Option<Secret>) -> Result<Client> {
        Self::build(ca, token, None)
    }

    /// The same, but connections to `host` go to these addresses instead of those that its name leads to: a load balancer is
    /// tried under the name that will lead to it, certificate included.
    pub fn by_way_of(ca: Option<&[u8]>, host: &str, addresses: &[SocketAddr]) -> Result<Client> {
        Self::build(ca, None, Some((host, addresses)))
    }

    fn build(
        ca: Option<&[u8]>,
        token: Option<Secret>,
        way: Option<(&str, &[SocketAddr])>,
    ) -> Result<Client> {
        let mut builder = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("summitctl/", env!("CARGO_PKG_VERSION")))
            .no_proxy();
        if let Some((host, addresses)) = way {
            builder = builder.resolve_to_addrs(host, addresses);
        }
        if let Some(ca) = ca {
            let roots = reqwest::Certificate::from_pem_bundle(ca).map_err(|e| {
                Error::input("the CA file holds no certificate in PEM form").caused_by(e)
            })?;
            for root in roots {
                builder = builder.add_root_certificate(root);
            }
        }
        let inner = builder
            .build()
            .map_err(|e| Error::bug("the HTTP client cannot be built").caused_by(e))?;
        Ok(Client { inner, token })
    }

    /// GET.
    pub async fn get(&self, url: &str, deadline: Deadline) -> Result<Answer> {
        self.send(Method::GET, url, None, deadline).await
    }

    /// Any method; a body is JSON text.
    pub async fn request(
        &self,
        method: &str,
        url: &str,
        body: Option<String>,
        deadline: Deadline,
    ) -> Result<Answer> {
        let method = Method::from_bytes(method.as_bytes())
            .map_err(|e| Error::input(format!("`{method}` is not an HTTP method")).caused_by(e))?;
        self.send(method, url, body, deadline).await
    }

    async fn send(
        &self,
        method: Method,
        url: &str,
        body: Option<String>,
        deadline: Deadline,
    ) -> Result<Answer> {
        let parsed = parse_url(url)?;
        let began = Instant::now();
        let mut request = self
            .inner
            .request(method, parsed)
            .timeout(deadline.left().max(Duration::from_millis(1)));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose());
        }
        if let Some(body) = body {
            request = request
                .header(reqwest::header::CONTENT_TYPE, "application/json")
                .body(body);
        }
        let mut response = request.send().await.map_err(|e| explain(url, e))?;
        let status = response.status().as_u16();
        let content_type = response
            .headers()
            .get(reqwest::header::CONTENT_TYPE)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| explain(url, e))? {
            let room = MAX_BODY - bytes.len();
            bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if bytes.len() == MAX_BODY {
                break;
            }
        }
        Ok(Answer {
            status,
            content_type,
            body: bytes,
            latency: began.elapsed(),
        })
    }
}

/// An http or https URL with a host.
pub fn parse_url(text: &str) -> Result<url::Url> {
    let bad = |why: &str| {
        Error::new(
            &BAD_URL,
            format!("`{text}` is not an address that can be probed: {why}"),
        )
        .hint("Write it as in `https://api.example.org` or `http://127.0.0.1:8080`.")
    };
    let url = url::Url::parse(text).map_err(|e| bad(&e.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad("its scheme is neither http nor https"));
    }
    if url.host_str().is_none() {
        return Err(bad("it has no host"));
    }
    Ok(url)
}

/// Resolves a name; gives every address.
pub async fn resolve(host: &str, port: u16, deadline: Deadline) -> Result<Vec<SocketAddr>> {
    let work = async {
        let found = tokio::net::lookup_host((host, port)).await;
        let found: Vec<SocketAddr> = found
            .map_err(|e| {
                Error::new(&NO_SUCH_HOST, format!("`{host}` does not resolve")).caused_by(e)
            })?
            .collect();
        Ok(found)
    };
    deadline.run(&format!("resolving `{host}`"), work).await
}

/// Opens a TCP connection and closes it; gives the address that answered and how long it took.
pub async fn connect(host: &str, port: u16, deadline: Deadline) -> Result<(SocketAddr, Duration)> {
    let began = Instant::now();
    let work = async {
        let stream = tokio::net::TcpStream::connect((host, port)).await;
        let stream = stream.map_err(|e| {
            Error::new(&REFUSED, format!("`{host}:{port}` accepts no connection")).caused_by(e)
        })?;
        stream.peer_addr().map_err(|e| {
            Error::new(&BROKEN, format!("`{host}:{port}` closed at once")).caused_by(e)
        })
    };
    let address = deadline
        .run(&format!("connecting to `{host}:{port}`"), work)
        .await?;
    Ok((address, began.elapsed()))
}

fn explain(url: &str, error: reqwest::Error) -> Error {
    // The library's text repeats the URL, which may hold credentials.
    let error = error.without_url();
    let mut chain = Vec::new();
    let mut next: Option<&dyn std::error::Error> = Some(&error);
    while let Some(layer) = next {
        chain.push(layer.to_string());
        next = layer.source();
    }
    let text = chain.join(": ");
    let shown = display_url(url);
    let (reason, what) = if error.is_timeout() {
        (&SLOW, "did not answer in time")
    } else if text.contains("dns error") || text.contains("failed to lookup") {
        (&NO_SUCH_HOST, "has a host name that does not resolve")
    } else if text.contains("certificate") || text.contains("handshake") {
        (&TLS, "cannot be trusted")
    } else if error.is_connect() {
        (&REFUSED, "accepts no connection")
    } else {
        (&BROKEN, "broke off")
    };
    Error::new(reason, format!("`{shown}` {what}")).caused_by(chain.last().cloned().unwrap_or(text))
}

/// The URL without user, password and query.
pub fn display_url(url: &str) -> String {
    let Ok(mut parsed) = url::Url::parse(url) else {
        return "the address".to_owned();
    };
    let _ = parsed.set_username("");
    let _ = parsed.set_password(None);
    parsed.set_query(None);
    parsed.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_web_addresses_are_probed() {
        assert!(parse_url("http://127.0.0.1:8080").is_ok());
        for bad in ["ftp://x", "127.0.0.1:8080", "http://", ""] {
            assert_eq!(parse_url(bad).expect_err(bad).reason(), &BAD_URL);
        }
        assert_eq!(
            display_url("https://u:hush@h.example/p?q=1"),
            "https://h.example/p"
        );
    }
}
