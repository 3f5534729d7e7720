//! Against `redis-cli --rdb` and RESTORE commands through `redis-cli --pipe`, on a Redis with the settings it ships with. Our
//! side encrypts, compresses and fingerprints as well; theirs only writes what it gets.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::measure::{Comparison, Cost, bytes_in, compare, compare_wall, median, median_wall, run};

/// How often each side runs.
const ROUNDS: usize = 3;
/// The one backup of a repository.
const BACKUP: &str = "20260101T000000Z-0001";

/// Strings as sessions have them, hashes, queues and sorted sets; values that compress as JSON does.
const FILL: &str = "local scale = tonumber(ARGV[1]) \
    local word = function(n) return string.format('%x', (n * 2654435761) % 4294967296) end \
    for n = 1, scale * 600 do \
      redis.call('SET', 'session:' .. n, '{\"user\":' .. n .. ',\"token\":\"' .. word(n) .. word(n * 7) .. word(n * 13) .. '\",\"roles\":[\"reader\",\"editor\"],\"path\":\"/v1/items/' .. n .. '\",\"agent\":\"Mozilla/5.0 (X11; Linux x86_64)\",\"ok\":true}') \
    end \
    for n = 1, scale * 100 do \
      redis.call('HSET', 'user:' .. n, 'name', 'user-' .. word(n), 'mail', word(n) .. '@example.org', 'logins', n % 977, 'plan', 'standard') \
      redis.call('ZADD', 'score:' .. n % 97, n, 'member-' .. word(n)) \
      redis.call('RPUSH', 'list:' .. n % 53, '{\"job\":' .. n .. ',\"state\":\"waiting\",\"payload\":\"' .. word(n) .. '\"}') \
    end";

/// A server in a folder of its own, ended when it is dropped.
struct Server {
    process: Child,
    port: u16,
    folder: PathBuf,
}

impl Server {
    fn start(name: &str, port: u16) -> Server {
        crate::measure::must_be_free(port);
        let folder = std::env::temp_dir().join(format!("summitctl-bench-{name}"));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let mut command = Command::new("redis-server");
        command
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(["--save", "", "--dir", folder.to_str().unwrap()])
            .stdout(Stdio::null());
        let server = Server {
            process: command.spawn().unwrap(),
            port,
            folder,
        };
        let began = Instant::now();
        // Somebody else's server may have the port.
        let ours = format!("process_id:{}\r", server.pid());
        while !server.ask(&["INFO", "server"]).contains(&ours) {
            assert!(began.elapsed() < Duration::from_secs(10), "no Redis");
            std::thread::sleep(Duration::from_millis(20));
        }
        server
    }

    fn client(&self) -> Command {
        let mut command = Command::new("redis-cli");
        command.args(["-p", &self.port.to_string()]);
        command
    }

    fn ask(&self, words: &[&str]) -> String {
        let output = self.client().args(words).output().unwrap();
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn fill(&self, scale: usize) {
        self.ask(&["EVAL", FILL, "0", &scale.to_string()]);
        let keys: usize = self.ask(&["DBSIZE"]).parse().unwrap();
        assert!(keys > scale * 600, "the filling failed");
    }

    fn pid(&self) -> u32 {
        self.process.id()
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// What `redis-cli` on the PATH calls itself: `redis-cli 7.0.15`.
fn peer() -> String {
    let output = Command::new("redis-cli").arg("--version").output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn ours(words: &[&str]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("--ours").args(words);
    command
}

/// Every comparison whose name was asked for.
pub fn all(wanted: &[&String]) -> Vec<Comparison> {
    let is_wanted =
        |name: &str| wanted.is_empty() || wanted.iter().any(|w| name.starts_with(w.as_str()));
    let mut results = Vec::new();
    if is_wanted("redis-backup-small") {
        results.push(backups("redis-backup-small", 10));
    }
    if is_wanted("redis-backup-large") {
        results.push(backups("redis-backup-large", 4_000));
    }
    if is_wanted("redis-restore") {
        results.extend(restores("redis-restore", 1_500));
    }
    results
}

fn our_backup(server: &Server) -> (PathBuf, Cost) {
    let folder = server.at("ours");
    let _ = std::fs::remove_dir_all(&folder);
    let path = folder.to_str().unwrap();
    run(&mut ours(&["make", path]), server.pid());
    let words = ["redis-dump", path, &server.url(), BACKUP];
    let mut cost = run(&mut ours(&words), server.pid());
    cost.bytes = bytes_in(&folder);
    (folder, cost)
}

fn backups(name: &str, scale: usize) -> Comparison {
    let server = Server::start("backup", 54_079);
    server.fill(scale);
    println!("{name}: {} keys", server.ask(&["DBSIZE"]));
    let (mut our_costs, mut their_costs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        our_costs.push(our_backup(&server).1);
        let file = server.at("theirs.rdb");
        let mut dump = server.client();
        dump.args(["--rdb", file.to_str().unwrap()])
            .stdout(Stdio::null());
        let mut cost = run(dump.stderr(Stdio::null()), server.pid());
        cost.bytes = std::fs::metadata(&file).unwrap().len();
        their_costs.push(cost);
    }
    compare_wall(
        name,
        &format!("{} --rdb", peer()),
        median_wall(our_costs),
        median_wall(their_costs),
    )
}

/// The load alone, in wall time and in CPU seconds; and with the comparison of what is there, which the peer does not make.
fn restores(name: &str, scale: usize) -> Vec<Comparison> {
    let (from, to) = (Server::start("from", 54_080), Server::start("to", 54_081));
    from.fill(scale);
    println!("{name}: {} keys", from.ask(&["DBSIZE"]));
    let (folder, _) = our_backup(&from);
    let path = folder.to_str().unwrap();
    let commands = from.at("commands");
    write_commands(&from, &commands);
    let (mut load_costs, mut our_costs, mut their_costs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        for (how, costs) in [
            ("redis-load", &mut load_costs),
            ("redis-restore", &mut our_costs),
        ] {
            to.ask(&["FLUSHALL"]);
            let words = [how, path, &to.url(), BACKUP];
            costs.push(run(&mut ours(&words), to.pid()));
        }
        to.ask(&["FLUSHALL"]);
        let mut pipe = Command::new("sh");
        let line = "exec redis-cli -p \"$0\" --pipe <\"$1\" >/dev/null";
        pipe.args(["-c", line, &to.port.to_string()]).arg(&commands);
        their_costs.push(run(&mut pipe, to.pid()));
        assert_eq!(to.ask(&["DBSIZE"]), from.ask(&["DBSIZE"]));
    }
    let peer = &format!("RESTORE through {} --pipe", peer());
    let theirs = median_wall(their_costs.clone());
    vec![
        compare_wall(
            &format!("{name}-load"),
            peer,
            median_wall(load_costs.clone()),
            theirs,
        ),
        compare(
            &format!("{name}-load-cpu"),
            peer,
            median(load_costs),
            median(their_costs),
        ),
        compare_wall(name, peer, median_wall(our_costs), theirs),
    ]
}

/// Every key as a RESTORE command, as a script would make them beforehand.
fn write_commands(server: &Server, file: &Path) {
    let client = redis::Client::open(server.url()).unwrap();
    let mut conn = client.get_connection().unwrap();
    let mut out = std::io::BufWriter::new(std::fs::File::create(file).unwrap());
    let mut cursor = 0_u64;
    loop {
        let (next, keys): (u64, Vec<Vec<u8>>) = redis::cmd("SCAN")
            .arg(cursor)
            .arg("COUNT")
            .arg(1_000)
            .query(&mut conn)
            .unwrap();
        let mut dumps = redis::pipe();
        for key in &keys {
            dumps.cmd("DUMP").arg(key);
        }
        let dumps: Vec<Vec<u8>> = dumps.query(&mut conn).unwrap();
        for (key, dump) in keys.iter().zip(&dumps) {
            let mut restore = redis::cmd("RESTORE");
            restore.arg(key).arg(0).arg(dump).arg("REPLACE");
            out.write_all(&restore.get_packed_command()).unwrap();
        }
        cursor = next;
        if cursor == 0 {
            return;
        }
    }
}
