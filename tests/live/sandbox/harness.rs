//! A practice stack of a test: how it is started, looked at, and ended even if the test fails.

use std::path::{Path, PathBuf};
use std::time::Duration;

use age::secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use sqlx::Connection as _;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};

use summitctl::error::Result;
use summitctl::event::{Event, Events, Listener, Stamped};
use summitctl::pid::Process;
use summitctl::sandbox::platform::{Launch, ask};
use summitctl::sandbox::servers::Record;
use summitctl::sandbox::stack::{Seen, Up};
use summitctl::sandbox::{Keys, Layout, Part, Sandbox};
use summitctl::sign::SigningKey;
use summitctl::wait::{Cancel, Deadline, Look, poll};

use super::SERVE;

struct Aloud;

impl Listener for Aloud {
    fn hear(&self, event: &Stamped) {
        if let Event::Note { message, .. } = &event.event {
            println!("{} {message}", event.at);
        }
    }
}

pub fn events() -> Events {
    Events::new(vec![Box::new(Aloud)])
}

/// Ends and removes the sandbox even if the test fails.
pub struct Stack {
    pub root: PathBuf,
    pub sandbox: Sandbox,
}

pub fn sandbox(root: &Path) -> Stack {
    let program = std::env::current_exe().unwrap();
    let arguments = ["sandbox::serve_platform", "--exact", "--nocapture"];
    let launch = Launch {
        program,
        arguments: arguments.map(Into::into).to_vec(),
        environment: vec![(SERVE.into(), root.join("platform").into())],
    };
    let sandbox = Sandbox::at(root).launching(launch).with_keys(keys);
    Stack {
        root: root.to_owned(),
        sandbox,
    }
}

/// As the keys' real owners make them: what exists is kept.
fn keys(layout: &Layout) -> Result<Keys> {
    if !layout.signing_key().exists() {
        let key = SigningKey::generate()?;
        std::fs::write(layout.trusted_key(), key.public().to_pem()).unwrap();
        let identity = age::x25519::Identity::generate();
        let recipient = identity.to_public().to_string();
        let identity = identity.to_string();
        let write = summitctl::durable::write_private;
        write(&layout.identity(), identity.expose_secret().as_bytes())?;
        write(&layout.keys().join("recipient"), recipient.as_bytes())?;
        write(&layout.repository_secret(), "0123456789abcdef".as_bytes())?;
        key.save(&layout.signing_key())?;
    }
    let recipient = std::fs::read_to_string(layout.keys().join("recipient")).unwrap();
    Ok(Keys {
        recipients: vec![recipient],
    })
}

impl Stack {
    pub async fn up_quietly(self) {
        let _ = self.sandbox.up(&events(), &Cancel::new()).await;
    }

    pub async fn up(&self) -> Up {
        self.sandbox.up(&events(), &Cancel::new()).await.unwrap()
    }

    pub async fn seen(&self) -> Vec<Seen> {
        let status = self.sandbox.status().await.unwrap();
        for part in &status.parts {
            println!("{part:?}");
        }
        status.parts.iter().map(|p| p.seen).collect()
    }

    pub fn record(&self, part: Part) -> Record {
        Record::load(&self.root.join(part.name())).unwrap().unwrap()
    }

    pub fn processes(&self) -> Vec<Process> {
        Part::ALL
            .iter()
            .filter_map(|part| self.record(*part).process)
            .collect()
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        let answer = ask(self.record(Part::Platform).port, path).await.unwrap();
        let body = serde_json::from_str(&answer.body).unwrap_or(Value::Null);
        (answer.status, body)
    }

    /// The gateway's connections come back by themselves; how soon is not part of its contract.
    pub async fn becomes(&self, path: &str, status: u16) -> Value {
        poll(
            path,
            Deadline::after(Duration::from_secs(20)),
            Duration::from_millis(100),
            async || {
                let (seen, body) = self.get(path).await;
                Ok(if seen == status {
                    Look::Ready(body)
                } else {
                    Look::NotYet(format!("{seen} {body}"))
                })
            },
        )
        .await
        .unwrap()
    }

    pub async fn graphql(&self, query: &str, variables: Value) -> (u16, Value) {
        let body = json!({"query": query, "variables": variables});
        self.post(&body.to_string()).await
    }

    pub async fn post(&self, body: &str) -> (u16, Value) {
        let url = format!(
            "http://127.0.0.1:{}/graphql",
            self.record(Part::Platform).port
        );
        let output = tokio::process::Command::new("curl")
            .args(["-sS", "-w", "\n%{http_code}", "-d", body])
            .args(["-H", "content-type: application/json", &url])
            .output()
            .await
            .expect("curl is installed");
        let text = String::from_utf8(output.stdout).unwrap();
        let (body, status) = text.rsplit_once('\n').unwrap();
        (
            status.parse().unwrap(),
            serde_json::from_str(body).unwrap_or(Value::Null),
        )
    }

    pub async fn sql(&self) -> PgConnection {
        let secret = self.root.join("secrets/operator/password");
        let options = PgConnectOptions::new()
            .host("127.0.0.1")
            .port(self.record(Part::Postgres).port)
            .username("operator")
            .password(std::fs::read_to_string(secret).unwrap().trim())
            .database("app")
            .ssl_mode(PgSslMode::Disable);
        PgConnection::connect_with(&options).await.unwrap()
    }

    pub async fn rows(&self, query: &'static str, marker: &str) -> i64 {
        let mut session = self.sql().await;
        sqlx::query_scalar(query)
            .bind(marker)
            .fetch_one(&mut session)
            .await
            .unwrap()
    }

    pub async fn nodes(&self, query: &str) -> i64 {
        let record = self.record(Part::Neo4j);
        let secret = std::fs::read_to_string(self.root.join("neo4j/password")).unwrap();
        let uri = format!("bolt://127.0.0.1:{}", record.port);
        let graph = neo4rs::Graph::new(uri, "neo4j", secret.trim()).unwrap();
        let mut rows = graph.execute(neo4rs::query(query)).await.unwrap();
        rows.next().await.unwrap().unwrap().get("n").unwrap()
    }

    pub async fn redis<T: redis::FromRedisValue>(&self, words: &[&str]) -> T {
        let secret = std::fs::read_to_string(self.root.join("redis/password")).unwrap();
        let port = self.record(Part::Redis).port;
        let client =
            redis::Client::open(format!("redis://:{}@127.0.0.1:{port}/0", secret.trim())).unwrap();
        let mut connection = client
            .get_multiplexed_async_connection_with_config(&crate::program::patient())
            .await
            .unwrap();
        let mut command = redis::cmd(words[0]);
        command.arg(&words[1..]);
        command.query_async(&mut connection).await.unwrap()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        let processes: Vec<Process> = Part::ALL
            .iter()
            .filter_map(|part| Record::load(&self.root.join(part.name())).ok()??.process)
            .collect();
        for process in processes {
            process.signal(rustix::process::Signal::KILL);
        }
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.root);
        }
    }
}

pub fn root(name: &str) -> PathBuf {
    let root = std::env::temp_dir().join(format!("summitctl-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&root);
    root
}
