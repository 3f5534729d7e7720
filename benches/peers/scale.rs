//! A large repository in a folder: how long its backups take to be listed, and judged by a prune that changes nothing.

use std::process::{Command, Stdio};

use super::measure::{median_wall, run};
use super::stock::{CONTEXT, fill};

pub const NAME: &str = "scale";
const ROUNDS: usize = 5;
const BACKUPS: u64 = 1_000;
const SEGMENTS: u64 = 100;

/// No process has this id.
const NO_SERVER: u32 = u32::MAX;

/// Each command, and the seconds that it should take less than.
const CLAIMS: [(&[&str], f64); 2] = [
    (&["backup", "list"], 1.0),
    (
        &["backup", "prune", "--dry-run", "--keep-monthly", "24"],
        5.0,
    ),
];

pub fn claims() {
    let folder = std::env::temp_dir().join("summitctl-bench-scale");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    fill(&folder, BACKUPS, SEGMENTS);
    println!(
        "{NAME}: {BACKUPS} backups of {} segments in a folder",
        BACKUPS * SEGMENTS
    );
    for (words, claim) in CLAIMS {
        let costs = (0..ROUNDS).map(|_| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_summitctl"));
            command
                .args(words)
                .args(["--context", CONTEXT])
                .current_dir(&folder)
                .env("SUMMITCTL_STATE_DIR", folder.join("state"))
                .stdout(Stdio::null());
            run(&mut command, NO_SERVER)
        });
        let cost = median_wall(costs.collect());
        let holds = if cost.wall < claim { "holds" } else { "fails" };
        println!(
            "{NAME:<22} `{}`: {:.2} s wall, {:.2} CPU s, {} MiB resident; under {claim} s: {holds}",
            words.join(" "),
            cost.wall,
            cost.client,
            cost.memory >> 20
        );
    }
    std::fs::remove_dir_all(&folder).unwrap();
}
