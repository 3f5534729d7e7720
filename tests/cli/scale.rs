//! A repository of many segments in a folder: listed and judged rightly, in bounded memory. How long a thousand backups take, `make bench`
//! prints.

use std::fs::File;

use serde_json::Value;

use crate::bench::Bench;
use crate::memory::watched;
use crate::stock::fill;

const BACKUPS: u64 = 200;
const SEGMENTS: u64 = 100;
/// In so many months they are made, one a day.
const MONTHS: u64 = 7;

/// What a look at it may need, in MiB.
const MEMORY: u64 = 128;

/// What the program says, and the most memory that it ever had, in MiB.
fn looked(bench: &Bench, args: &[&str]) -> (Value, u64) {
    let (said, errors) = (bench.dir.join("said"), bench.dir.join("errors"));
    let mut command = bench.command(args);
    command.args(["--output", "json"]);
    command.stdout(File::create(&said).unwrap());
    command.stderr(File::create(&errors).unwrap());
    let mut child = command.spawn().unwrap();
    let (code, most) = watched(&mut child);
    let errors = std::fs::read_to_string(errors).unwrap();
    assert!(code.success(), "{args:?}: {errors}");
    let said = std::fs::read(said).unwrap();
    (serde_json::from_slice(&said).unwrap(), most)
}

#[test]
fn many_backups_are_listed_and_judged_in_bounded_memory() {
    let bench = Bench::new();
    fill(&bench.dir, BACKUPS, SEGMENTS);
    let (listed, most) = looked(&bench, &["backup", "list"]);
    let backups = listed["result"]["backups"].as_array().unwrap();
    assert_eq!(backups.len() as u64, BACKUPS);
    assert!(backups.iter().all(|b| b["problem"].is_null()));
    println!("{most} MiB for the list");
    assert!((5..MEMORY).contains(&most), "{most} MiB");
    let prune = ["backup", "prune", "--dry-run", "--keep-monthly", "24"];
    let (plan, most) = looked(&bench, &prune);
    let shown = &plan["result"]["plan"]["steps"][0]["forecast"]["shown"];
    let count = |word: &str| shown[word].as_array().unwrap().len() as u64;
    assert_eq!((count("stays"), count("goes")), (MONTHS, BACKUPS - MONTHS));
    let stored = std::fs::read_dir(bench.dir.join("repository/segments")).unwrap();
    let files = stored.flatten().flat_map(|folder| {
        let inside = std::fs::read_dir(folder.path()).unwrap();
        inside.flatten().map(|file| file.metadata().unwrap().len())
    });
    let sizes: Vec<u64> = files.collect();
    assert_eq!(sizes.len() as u64, BACKUPS * SEGMENTS);
    let freed = shown["frees-bytes"].as_u64().unwrap();
    let all: u64 = sizes.iter().sum();
    assert!(freed > all / 10 * 9 && freed < all, "{freed} of {all}");
    println!("{most} MiB for the plan");
    assert!((5..MEMORY).contains(&most), "{most} MiB");
}
