//! CPU seconds of a command and of a server, medians, and the report.

use std::process::{Command, Stdio};
use std::time::Instant;

use serde::Serialize;

/// Clock ticks a second in `/proc` (`getconf CLK_TCK`, 100 on every Linux that Rust runs on).
const TICKS: f64 = 100.0;

/// What one run cost.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    /// Seconds from start to end.
    pub wall: f64,
    /// CPU seconds of the client and what it started.
    pub client: f64,
    /// CPU seconds of the server.
    pub server: f64,
    /// Bytes on disk, if the run made any.
    pub bytes: u64,
    /// Largest resident memory of the client, in bytes.
    pub memory: u64,
    /// Bytes that it moved, where that is what counts.
    pub moved: u64,
}

impl Cost {
    /// Both sides' CPU seconds.
    pub fn cpu(&self) -> f64 {
        self.client + self.server
    }

    /// MiB a second, where it is known what was moved.
    pub fn throughput(&self) -> Option<f64> {
        let mib = self.moved as f64 / f64::from(1 << 20);
        (self.moved > 0).then(|| mib / self.wall)
    }
}

/// Fields of `/proc/<pid>/stat` after the command's name: proc(5).
fn stat(pid: &str) -> Option<Vec<u64>> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let rest = text.rsplit_once(')')?.1;
    Some(
        rest.split_whitespace()
            .map(|f| f.parse().unwrap_or(0))
            .collect(),
    )
}

/// CPU seconds that a process, its living descendants and its reaped ones have used.
pub fn cpu_of_tree(root: u32) -> f64 {
    let mut parents = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.bytes().all(|b| b.is_ascii_digit())
            && let Some(fields) = stat(&name)
        {
            parents.push((name.parse::<u32>().unwrap(), fields));
        }
    }
    let mut family = vec![root];
    let mut ticks = 0;
    let mut at = 0;
    while at < family.len() {
        let pid = family[at];
        at += 1;
        for (child, fields) in &parents {
            if *child == pid {
                // utime, stime, cutime, cstime are fields 14 to 17; the first two were cut off with the name.
                ticks += fields[11] + fields[12] + fields[13] + fields[14];
            }
            if fields[1] == u64::from(pid) && *child != pid {
                family.push(*child);
            }
        }
    }
    ticks as f64 / TICKS
}

/// Runs a command to its end; it must succeed.
pub fn run(command: &mut Command, server: u32) -> Cost {
    let children = || {
        let fields = stat("self").unwrap();
        (fields[13] + fields[14]) as f64 / TICKS
    };
    let (before, server_before) = (children(), cpu_of_tree(server));
    let began = Instant::now();
    let mut child = command.stdin(Stdio::null()).spawn().unwrap();
    let pid = child.id();
    let mut memory = 0;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        memory = memory.max(peak(pid));
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    let wall = began.elapsed().as_secs_f64();
    assert!(status.success(), "{command:?} failed");
    Cost {
        wall,
        client: children() - before,
        server: cpu_of_tree(server) - server_before,
        bytes: 0,
        memory,
        moved: 0,
    }
}

/// The most memory a process ever had: `VmHWM`.
fn peak(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    let kib = line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// The run whose CPU seconds are in the middle.
pub fn median(mut costs: Vec<Cost>) -> Cost {
    costs.sort_by(|a, b| a.cpu().total_cmp(&b.cpu()));
    costs[costs.len() / 2]
}

/// The run whose wall time is in the middle.
pub fn median_wall(mut costs: Vec<Cost>) -> Cost {
    costs.sort_by(|a, b| a.wall.total_cmp(&b.wall));
    costs[costs.len() / 2]
}

/// One comparison.
#[derive(Debug, Serialize)]
pub struct Comparison {
    /// What was compared.
    pub name: String,
    /// Whom with.
    pub peer: String,
    /// What the numbers are.
    pub metric: String,
    /// Our number.
    pub ours: f64,
    /// Theirs.
    pub theirs: f64,
    /// How many times better we are: theirs through ours.
    pub ratio: f64,
    /// MiB a second, ours and theirs, where bytes were moved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throughput: Option<(f64, f64)>,
}

/// Compares CPU seconds, and says the rest.
pub fn compare(name: &str, peer: &str, ours: Cost, theirs: Cost) -> Comparison {
    say(name, peer, ours, theirs);
    Comparison {
        name: name.to_owned(),
        peer: peer.to_owned(),
        metric: "CPU seconds, client and server".to_owned(),
        ours: ours.cpu(),
        theirs: theirs.cpu(),
        ratio: theirs.cpu() / ours.cpu(),
        throughput: ours.throughput().zip(theirs.throughput()),
    }
}

/// Compares wall time, and says the rest.
pub fn compare_wall(name: &str, peer: &str, ours: Cost, theirs: Cost) -> Comparison {
    say(name, peer, ours, theirs);
    Comparison {
        name: name.to_owned(),
        peer: peer.to_owned(),
        metric: "seconds from start to end".to_owned(),
        ours: ours.wall,
        theirs: theirs.wall,
        ratio: theirs.wall / ours.wall,
        throughput: ours.throughput().zip(theirs.throughput()),
    }
}

fn say(name: &str, peer: &str, ours: Cost, theirs: Cost) {
    for (who, cost) in [("summitctl", ours), (peer, theirs)] {
        println!(
            "{name:<22} {who:<26} {:>6.2} CPU s ({:.2} client + {:.2} server), {:>6.2} s wall, {} MiB on disk, {} MiB resident",
            cost.cpu(),
            cost.client,
            cost.server,
            cost.wall,
            cost.bytes >> 20,
            cost.memory >> 20
        );
    }
}

/// The table, and the file.
pub fn report(results: &[Comparison]) {
    println!();
    for result in results {
        println!(
            "{:<22} {:>5.2} times against {} ({:.2} : {:.2}, {})",
            result.name, result.ratio, result.peer, result.ours, result.theirs, result.metric
        );
        if let Some((ours, theirs)) = result.throughput {
            println!("{:<22} {ours:.0} MiB/s : {theirs:.0} MiB/s", "");
        }
    }
    let text = serde_json::to_string_pretty(results).unwrap();
    std::fs::create_dir_all("target").unwrap();
    std::fs::write("target/bench.json", text + "\n").unwrap();
    println!("\nWrote target/bench.json.");
}

/// Bytes of a folder.
pub fn bytes_in(dir: &std::path::Path) -> u64 {
    let mut sum = 0;
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        sum += if path.is_dir() {
            bytes_in(&path)
        } else {
            entry.metadata().map_or(0, |m| m.len())
        };
    }
    sum
}

/// Nobody else's server may have the port: it would be measured instead of ours.
pub fn must_be_free(port: u16) {
    let taken = std::net::TcpListener::bind(("127.0.0.1", port)).err();
    assert!(
        taken.is_none(),
        "port {port} is taken: end what listens there and run again ({taken:?})"
    );
}
