//! Us and the tool people use now, in turn, on the same data: `make bench`. Prints the ratio with both sides' CPU seconds,
//! client and server, and wall time, and for buckets what goes over a second, and writes `target/bench.json`. Machines are noisy, so the median of several rounds
//! counts, and nothing here fails because it was slow.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark is read by a developer, and a panic is its error"
)]

mod measure;
mod neo4j;
mod ours;
mod postgres;
mod redis;
mod s3;
mod s3_dump;
mod scale;
mod server;
#[path = "../../tests/shared/scale.rs"]
mod stock;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    // Our own side runs as a process of its own, so that its CPU seconds can be told apart.
    if args.first().is_some_and(|a| a == "--ours") {
        ours::run(&args[1..]);
        return;
    }
    let wanted: Vec<&String> = args.iter().filter(|a| !a.starts_with("--")).collect();
    let all = wanted.is_empty();
    let mut results = Vec::new();
    if all || wanted.iter().any(|w| w.starts_with("pg")) {
        results.extend(postgres::all(&wanted));
    }
    if all || wanted.iter().any(|w| w.starts_with("redis")) {
        results.extend(redis::all(&wanted));
    }
    if all || wanted.iter().any(|w| w.starts_with("neo4j")) {
        results.extend(neo4j::all(&wanted));
    }
    if all || wanted.iter().any(|w| w.starts_with("s3")) {
        results.extend(s3::all(&wanted));
    }
    if all || wanted.iter().any(|w| scale::NAME.starts_with(w.as_str())) {
        scale::claims();
    }
    measure::report(&results);
}
