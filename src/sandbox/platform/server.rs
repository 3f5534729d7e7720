//! The stand-in's two listeners: the gateway with health and GraphQL, and the page that stands for the UI.
//! What is not offered is answered with 404 or 405, because a gateway that says 200 to anything proves nothing.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant as Clock};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

use super::stores::Stores;
use super::{Config, health, schema};
use crate::error::{Error, Result};

/// A GraphQL document of these operations is a few hundred bytes.
const LARGEST_BODY: usize = 64 * 1024;

/// A client that sends no complete header within this time is cut off.
const HEADER_LIMIT: Duration = Duration::from_secs(10);

/// The header that names the answering process by pid.
pub const INSTANCE: &str = "x-sandbox-instance";

/// A bound stand-in.
pub struct Server {
    gateway: TcpListener,
    ui: TcpListener,
    state: Arc<State>,
}

struct State {
    stores: Stores,
    started: Clock,
    gateway_port: u16,
}

#[derive(Clone, Copy)]
enum Face {
    Gateway,
    Ui,
}

impl Server {
    /// Takes both ports. The stores need not run: health says so then.
    pub async fn bind(dir: &Path, config: &Config) -> Result<Server> {
        let listen = async |port: u16| {
            TcpListener::bind((Ipv4Addr::LOCALHOST, port))
                .await
                .map_err(|e| Error::io("listen on", format!("127.0.0.1:{port}"), e))
        };
        Ok(Server {
            gateway: listen(config.gateway_port).await?,
            ui: listen(config.ui_port).await?,
            state: Arc::new(State {
                stores: Stores::new(dir, config)?,
                started: Clock::now(),
                gateway_port: config.gateway_port,
            }),
        })
    }

    /// Serves until the future is dropped.
    pub async fn run(self) {
        let Server { gateway, ui, state } = self;
        tokio::join!(
            accept(gateway, Face::Gateway, Arc::clone(&state)),
            accept(ui, Face::Ui, state),
        );
    }
}

async fn accept(listener: TcpListener, face: Face, state: Arc<State>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(serve(stream, face, Arc::clone(&state)));
            }
            // Out of descriptors, for example: the next connection may find some.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn serve(stream: TcpStream, face: Face, state: Arc<State>) {
    let service = service_fn(|request| {
        let state = Arc::clone(&state);
        async move {
            let response = match face {
                Face::Gateway => gateway(request, &state).await,
                Face::Ui => ui(&request, &state),
            };
            Ok::<_, std::convert::Infallible>(response)
        }
    });
    // A client that goes away in the middle is its own affair.
    let _ = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_LIMIT)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn gateway(request: Request<Incoming>, state: &State) -> Response<Full<Bytes>> {
    let path = request.uri().path().to_owned();
    let allowed: &[Method] = match path.as_str() {
        "/health" | "/healthz" | "/health/detailed" | "/health/ready" | "/queues/health" => {
            &[Method::GET, Method::HEAD]
        }
        "/graphql" => &[Method::POST],
        _ => return document(404, &json!({"error": "not found", "path": path})),
    };
    if !allowed.contains(request.method()) {
        let mut response = document(405, &json!({"error": "method not allowed"}));
        let list: Vec<&str> = allowed.iter().map(Method::as_str).collect();
        if let Ok(list) = HeaderValue::from_str(&list.join(", ")) {
            response.headers_mut().insert(ALLOW, list);
        }
        return response;
    }
    let (status, body) = match path.as_str() {
        "/health/detailed" => health::detailed(&state.stores, state.started).await,
        "/health/ready" => health::ready(&state.stores).await,
        "/queues/health" => health::queues(&state.stores).await,
        "/graphql" => graphql(request, state).await,
        _ => health::live(state.started),
    };
    document(status, &body)
}

async fn graphql(request: Request<Incoming>, state: &State) -> (u16, Value) {
    let kind = request.headers().get(CONTENT_TYPE);
    let is_json = kind
        .and_then(|v| v.to_str().ok())
        .is_some_and(|v| v.trim_start().starts_with("application/json"));
    if !is_json {
        return (
            415,
            json!({"errors": [{"message": "send `application/json`"}]}),
        );
    }
    match Limited::new(request.into_body(), LARGEST_BODY)
        .collect()
        .await
    {
        Ok(body) => schema::execute(&state.stores, &body.to_bytes()).await,
        Err(e) => (413, json!({"errors": [{"message": e.to_string()}]})),
    }
}

fn ui(request: &Request<Incoming>, state: &State) -> Response<Full<Bytes>> {
    let reads = [Method::GET, Method::HEAD].contains(request.method());
    match (request.uri().path(), reads) {
        ("/", true) => respond(200, "text/html; charset=utf-8", page(state.gateway_port)),
        ("/", false) => respond(
            405,
            "text/plain; charset=utf-8",
            "method not allowed".into(),
        ),
        _ => respond(404, "text/plain; charset=utf-8", "not found".into()),
    }
}

fn page(gateway: u16) -> String {
    let links: String = [
        "/health",
        "/health/detailed",
        "/health/ready",
        "/queues/health",
    ]
    .iter()
    .map(|path| format!("<li><a href=\"http://127.0.0.1:{gateway}{path}\">{path}</a></li>"))
    .collect();
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>Summit (sandbox)</title></head>\
         <body><h1>Summit</h1><p>A stand-in for the platform's user interface, run by <code>summitctl sandbox</code>. \
         Its gateway answers:</p><ul>{links}</ul></body></html>\n"
    )
}

fn document(status: u16, body: &Value) -> Response<Full<Bytes>> {
    respond(status, "application/json", format!("{body}\n"))
}

fn respond(status: u16, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Whoever waits for this process must not take another's answer on the same port for ours.
    headers.insert(INSTANCE, HeaderValue::from(std::process::id()));
    response
}
