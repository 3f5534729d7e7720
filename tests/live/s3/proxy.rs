//! A proxy between the program and a real server, which cuts, refuses, slows down, or undoes what a condition protects.

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What the proxy does to connections.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Cuts a connection after so many bytes to the server; so many connections.
    CutUp(u64, i64),
    /// The same for bytes from the server.
    CutDown(u64, i64),
    /// Answers so many requests that the server is too busy.
    Busy(i64),
    /// Answers so many requests whose first line holds a word itself: with this head's end, and this body.
    Says(&'static str, i64, String, String),
    /// Changes a byte of so many bodies.
    Garble(i64),
    /// Only looks on.
    None,
    /// Waits before every 64 KiB.
    Slow(Duration),
    /// The same in both directions.
    SlowBoth(Duration),
    /// After so many bytes to the server, lets a byte a tenth of a second through; so many connections.
    StallUp(u64, i64),
    /// The same for bytes from the server.
    StallDown(u64, i64),
    /// Removes the object that a conditional request of this method names, below this folder, before the server sees the
    /// request: to the client, the server ignores the condition.
    Forgetful(PathBuf, &'static str),
    /// Says of a write under `If-Match` that it was done, whatever is there.
    Heedless,
}

pub struct Proxy {
    pub port: u16,
    pub bytes_up: Arc<AtomicU64>,
    /// The head of each request.
    pub heads: Arc<Mutex<Vec<String>>>,
    /// When each came.
    pub times: Arc<Mutex<Vec<Instant>>>,
    /// The most parts of an upload that were on their way at once.
    pub most_parts: Arc<AtomicU64>,
    left: Arc<AtomicI64>,
    task: tokio::task::JoinHandle<()>,
}

impl Proxy {
    pub async fn start(to: u16, fault: Fault) -> Proxy {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let left = match fault {
            Fault::CutUp(_, n) | Fault::CutDown(_, n) | Fault::Busy(n) | Fault::Garble(n) => n,
            Fault::StallUp(_, n) | Fault::StallDown(_, n) => n,
            Fault::Says(_, n, ..) => n,
            Fault::Slow(_) | Fault::SlowBoth(_) => i64::MAX,
            Fault::Forgetful(..) | Fault::Heedless | Fault::None => i64::MAX,
        };
        let left = Arc::new(AtomicI64::new(left));
        let bytes_up = Arc::new(AtomicU64::new(0));
        let watch = Watch {
            bytes_up: Arc::clone(&bytes_up),
            ..Watch::default()
        };
        let (heads, most_parts) = (Arc::clone(&watch.heads), Arc::clone(&watch.most_parts));
        let times = Arc::clone(&watch.times);
        let shared = Arc::clone(&left);
        let task = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (fault, left) = (fault.clone(), Arc::clone(&shared));
                let watch = watch.clone();
                tokio::spawn(async move {
                    // A connection that ends early is what this proxy is for.
                    let _ = carry(client, to, fault, &left, &watch).await;
                });
            }
        });
        Proxy {
            port,
            bytes_up,
            heads,
            times,
            most_parts,
            left,
            task,
        }
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Whether every fault was met.
    pub fn spent(&self) -> bool {
        self.left.load(Ordering::SeqCst) <= 0
    }
}

/// What the proxy sees, over all connections.
#[derive(Clone, Default)]
struct Watch {
    bytes_up: Arc<AtomicU64>,
    heads: Arc<Mutex<Vec<String>>>,
    times: Arc<Mutex<Vec<Instant>>>,
    parts: Arc<AtomicU64>,
    most_parts: Arc<AtomicU64>,
}

impl Watch {
    /// Whether a part of an upload begins here.
    fn request(&self, bytes: &[u8]) -> bool {
        let text = String::from_utf8_lossy(bytes);
        let head = text.split("\r\n\r\n").next().unwrap_or_default();
        self.heads.lock().unwrap().push(head.to_ascii_lowercase());
        self.times.lock().unwrap().push(Instant::now());
        let is_part = first_line(head).contains("partNumber=");
        if is_part {
            let now = self.parts.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_parts.fetch_max(now, Ordering::SeqCst);
        }
        is_part
    }
}

fn first_line(head: &str) -> &str {
    head.lines().next().unwrap_or_default()
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(
    mut client: TcpStream,
    to: u16,
    fault: Fault,
    left: &AtomicI64,
    watch: &Watch,
) -> std::io::Result<()> {
    let mut server = TcpStream::connect(("127.0.0.1", to)).await?;
    let (mut up, mut down) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    let (mut sent, mut received) = (0, 0);
    let mut part = false;
    loop {
        tokio::select! {
            read = client.read(&mut up) => {
                let count = read?;
                if count == 0 {
                    return Ok(());
                }
                let bytes = &mut up[..count];
                sent += count as u64;
                watch.bytes_up.fetch_add(count as u64, Ordering::SeqCst);
                let begins = is_request(bytes);
                if begins {
                    part = watch.request(bytes);
                }
                match &fault {
                    Fault::CutUp(limit, _) if sent > *limit && spend(left) => return Ok(()),
                    Fault::Busy(_) if begins && spend(left) => {
                        let body = "<?xml version=\"1.0\"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";
                        let answer = format!(
                            "HTTP/1.1 503 Slow Down\r\nContent-Type: application/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                            body.len()
                        );
                        client.write_all(answer.as_bytes()).await?;
                        return client.shutdown().await;
                    }
                    Fault::Says(word, _, head, body)
                        if begins && first_line(&String::from_utf8_lossy(bytes)).contains(word) && spend(left) =>
                    {
                        let answer = format!(
                            "HTTP/1.1 {head}\r\nContent-Type: application/xml\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                            body.len()
                        );
                        client.write_all(answer.as_bytes()).await?;
                        return client.shutdown().await;
                    }
                    // The end of a large piece of a body.
                    Fault::Garble(_) if !begins && count > 1_000 && spend(left) => bytes[count - 1] ^= 1,
                    // Nothing else happens on this connection meanwhile.
                    Fault::Slow(pause) | Fault::SlowBoth(pause) => wait(*pause).await,
                    Fault::StallUp(limit, _) if sent > *limit && spend(left) => {
                        return trickle(bytes, &mut server).await;
                    }
                    Fault::Heedless if begins && String::from_utf8_lossy(bytes).to_ascii_lowercase().contains("\r\nif-match: ") => {
                        let answer = "HTTP/1.1 200 OK\r\nETag: \"00\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                        client.write_all(answer.as_bytes()).await?;
                        return client.shutdown().await;
                    }
                    Fault::Forgetful(folder, method) => forget(folder, method, bytes),
                    _ => {}
                }
                server.write_all(bytes).await?;
            }
            read = server.read(&mut down) => {
                let count = read?;
                if count == 0 {
                    return Ok(());
                }
                received += count as u64;
                if std::mem::take(&mut part) {
                    watch.parts.fetch_sub(1, Ordering::SeqCst);
                }
                if let Fault::CutDown(limit, _) = &fault
                    && received > *limit
                    && spend(left)
                {
                    return Ok(());
                }
                if let Fault::StallDown(limit, _) = &fault
                    && received > *limit
                    && spend(left)
                {
                    return trickle(&down[..count], &mut client).await;
                }
                if let Fault::SlowBoth(pause) = &fault {
                    wait(*pause).await;
                }
                client.write_all(&down[..count]).await?;
            }
        }
    }
}

async fn wait(pause: Duration) {
    let _ = tokio::time::timeout(pause, std::future::pending::<()>()).await;
}

/// Hands bytes on one by one. Nobody gets to the end of it.
async fn trickle(bytes: &[u8], to: &mut TcpStream) -> std::io::Result<()> {
    for byte in bytes {
        wait(Duration::from_millis(100)).await;
        to.write_all(std::slice::from_ref(byte)).await?;
    }
    Ok(())
}

fn spend(left: &AtomicI64) -> bool {
    left.fetch_sub(1, Ordering::SeqCst) > 0
}

fn is_request(bytes: &[u8]) -> bool {
    ["GET ", "PUT ", "POST ", "HEAD ", "DELETE "]
        .iter()
        .any(|m| bytes.starts_with(m.as_bytes()))
}

fn forget(folder: &std::path::Path, method: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).to_ascii_lowercase();
    if !bytes.starts_with(method.as_bytes()) || !text.contains("\r\nif-none-match: *") {
        return;
    }
    let path = text.split(' ').nth(1).and_then(|p| p.split('?').next());
    let path = path.unwrap_or_default().trim_start_matches('/');
    let _ = std::fs::remove_file(folder.join(path));
}
