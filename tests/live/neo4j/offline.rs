//! Neo4j stopped, dumped and loaded by neo4j-admin, and always brought back.

use std::path::Path;

use summitctl::providers::neo4j::Target;
use summitctl::providers::neo4j::bolt::packstream::Value;
use summitctl::sandbox::servers::neo4j;
use summitctl::secret::Secret;

use super::query;
use crate::program::{Program, said};

/// The sandbox's server with programs that stop it, work on its files, and start it.
struct Host {
    program: Program,
    config: String,
}

impl Host {
    async fn start(name: &str) -> Host {
        let program = Program::start(name);
        let installed = neo4j::prepare().await.unwrap();
        let (dir, flag) = (program.dir.join("sandbox/neo4j"), program.dir.join("flag"));
        let stop = format!(
            "pid=$(sed -n 's/.*\"pid\": *\\([0-9]*\\).*/\\1/p' {0}/server.json); touch {1}; \
             if grep -qs {0}/home /proc/$pid/cmdline; then kill $pid; tail --pid=$pid -f /dev/null; fi",
            dir.display(),
            flag.display()
        );
        let home = dir.join("home");
        let admin = [
            "env".to_owned(),
            format!("NEO4J_HOME={}", home.display()),
            format!("NEO4J_CONF={}", home.join("conf").display()),
            installed.java.display().to_string(),
            "-Xmx256m".to_owned(),
            "--add-opens=java.base/java.nio=ALL-UNNAMED".to_owned(),
            "--add-opens=java.base/java.io=ALL-UNNAMED".to_owned(),
            "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED".to_owned(),
            "-cp".to_owned(),
            format!("{}/*", installed.lib.display()),
            "org.neo4j.cli.AdminTool".to_owned(),
        ];
        let section = format!(
            "\n[contexts.sandbox.neo4j.offline]\nstop = ['sh', '-c', '''{stop}''']\n\
             start = ['{}', 'sandbox', 'up']\nadmin = {admin:?}\nstart-within = '2m'\n",
            env!("CARGO_BIN_EXE_summitctl")
        );
        let file = program.dir.join("sandbox/summitctl.toml");
        let text = std::fs::read_to_string(&file).unwrap() + &section;
        let edited = program.dir.join("sandbox/edited.toml");
        std::fs::write(&edited, text).unwrap();
        let config = edited.to_string_lossy().into_owned();
        Host { program, config }
    }

    fn with<'a>(&'a self, words: &[&'a str]) -> Vec<&'a str> {
        let flags = [
            "--config",
            self.config.as_str(),
            "--sandbox-dir",
            "no-sandbox",
            "--context",
            "sandbox",
        ];
        [words, &flags].concat()
    }

    fn ok(&self, words: &[&str]) -> String {
        let words = self.with(words);
        tokio::task::block_in_place(|| said(&self.program.ok(&words)))
    }

    /// The same server with another program; one that starts nothing is not waited for.
    fn other(&self, name: &str, argv: &str) -> Elsewhere<'_> {
        let text = std::fs::read_to_string(&self.config).unwrap();
        let lines = text.lines().map(|line| {
            let is = |key: &str| line.starts_with(&format!("{key} = "));
            match line {
                _ if is(name) => format!("{name} = {argv}"),
                _ if name == "start" && is("start-within") => "start-within = '5s'".to_owned(),
                line => line.to_owned(),
            }
        });
        let config = Path::new(&self.config).with_file_name("other.toml");
        let lines: Vec<String> = lines.collect();
        std::fs::write(&config, lines.join("\n")).unwrap();
        let config = config.to_string_lossy().into_owned();
        Elsewhere { host: self, config }
    }

    /// Runs a command and kills it while neo4j-admin works on the server's files.
    fn killed(&self, words: &[&str], admin: &str) {
        let words = self.with(words);
        let killed =
            tokio::task::block_in_place(|| self.program.killed_when(&words, |_| self.works(admin)));
        assert!(killed, "{words:?}");
        assert!(!self.server_runs(), "it is stopped");
    }

    /// Whether neo4j-admin does this to the server's files.
    fn works(&self, admin: &str) -> bool {
        let home = format!(
            "NEO4J_HOME={}\0",
            self.program.dir.join("sandbox/neo4j/home").display()
        );
        processes("cmdline").any(|(pid, arguments)| {
            let arguments = arguments.replace('\0', " ");
            let environment = std::fs::read(pid.join("environ")).unwrap_or_default();
            arguments.contains(&format!("AdminTool database {admin}"))
                && String::from_utf8_lossy(&environment).contains(&home)
        })
    }

    fn server_runs(&self) -> bool {
        self.program.server("neo4j").alive()
    }

    fn target(&self) -> Target {
        Target {
            port: self.program.server("neo4j").port,
            password: Some(Secret::new(self.program.secret("neo4j/password"))),
            ..Target::parse("bolt://127.0.0.1", None, None).unwrap()
        }
    }

    async fn tally(&self) -> Vec<Vec<Value>> {
        let tally = "MATCH (n) WHERE NOT n:__SummitctlMarker OPTIONAL MATCH (n)-[r]->() \
             RETURN count(DISTINCT n), count(r), sum(coalesce(n.changed, 0))";
        query(&self.target(), tally).await
    }
}

/// The server as another configuration has it.
struct Elsewhere<'a> {
    host: &'a Host,
    config: String,
}

impl Elsewhere<'_> {
    fn fails(&self, words: &[&str], code: i32) -> String {
        let words = self.with(words);
        let output = tokio::task::block_in_place(|| self.host.program.call(&words, None));
        let text = said(&output);
        assert_eq!(output.status.code(), Some(code), "{text}");
        text
    }

    fn with<'a>(&'a self, words: &[&'a str]) -> Vec<&'a str> {
        let words = self.host.with(words);
        let ours = |word: &&str| *word == self.host.config;
        let word = |word: &&'a str| match ours(word) {
            true => self.config.as_str(),
            false => *word,
        };
        words.iter().map(word).collect()
    }
}

fn interrupt(child: &mut std::process::Child) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
}

fn processes(file: &'static str) -> impl Iterator<Item = (std::path::PathBuf, String)> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries.filter_map(move |entry| {
        let text = std::fs::read(entry.path().join(file)).ok()?;
        Some((entry.path(), String::from_utf8_lossy(&text).into_owned()))
    })
}

const CREATE: [&str; 6] = [
    "backup",
    "create",
    "--offline",
    "--stores",
    "neo4j",
    "--yes",
];

#[tokio::test(flavor = "multi_thread")]
async fn an_offline_backup_keeps_the_dump_and_brings_the_server_back() {
    let host = Host::start("offline").await;
    let before = host.tally().await;
    let plan = host.ok(&[&CREATE[..], &["--plan-only"]].concat());
    assert!(
        plan.contains("starts it again, also if something fails"),
        "{plan}"
    );
    let text = host.ok(&CREATE);
    println!("{text}");
    assert!(
        text.contains("dumped by neo4j-admin, stopped for"),
        "{text}"
    );
    assert_eq!(host.tally().await, before);
    let show = host.with(&["backup", "show", "newest"]);
    let shown = tokio::task::block_in_place(|| host.program.json(&show)).to_string();
    assert!(
        shown.contains("neo4j/neo4j/dump") && shown.contains("\"consistency\":\"point-in-time\""),
        "{shown}"
    );
    // The dump itself is loaded and compared; a drill restores the rows, as `restore` does.
    let verify = ["backup", "verify", "newest", "--level", "3", "--yes"];
    host.ok(&verify);
    let shown = tokio::task::block_in_place(|| host.program.json(&show)).to_string();
    assert!(
        shown.contains("by `neo4j-admin database load`, from the dump"),
        "{shown}"
    );
    host.ok(&["drill", "run", "newest", "--yes"]);

    // Killed while it dumps: the server stays down until somebody goes on, or takes it back.
    let held = host.program.backups().len();
    host.killed(&CREATE, "dump");
    host.ok(&["run", "resume"]);
    let text = host.ok(&["backup", "show", "newest"]);
    assert!(text.contains("dumped by neo4j-admin"), "{text}");
    assert_eq!(host.tally().await, before);
    assert_eq!(host.program.backups().len(), held + 1);
    host.killed(&CREATE, "dump");
    let text = host.ok(&["run", "abort"]);
    assert!(text.contains("starting Neo4j"), "{text}");
    assert!(!host.works("dump"), "what outlived us was ended");
    assert_eq!(host.tally().await, before);
    assert_eq!(host.program.backups().len(), held + 1);
    assert!(host.program.scratch().is_empty());

    // Whoever stops it, once, finds the server up when the program has ended.
    let words = host.with(&CREATE);
    let output = tokio::task::block_in_place(|| {
        host.program.when(&words, |_| host.works("dump"), interrupt)
    });
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    assert_eq!(host.tally().await, before);
    host.ok(&["run", "abort"]);

    // A dump that fails, or is no dump, fails the backup, and the server comes back.
    for (admin, why) in [("false", "ended with"), ("true", "wrote no dump")] {
        let other = host.other("admin", &format!("['{admin}']"));
        let output = other.fails(&CREATE, 1);
        assert!(output.contains(why), "{output}");
        assert_eq!(host.tally().await, before);
        host.ok(&["run", "abort"]);
    }
    // One that cannot be stopped goes on.
    let other = host.other("stop", "['no-such-program']");
    let output = other.fails(&CREATE, 1);
    assert!(
        output.contains("`no-such-program` cannot be started"),
        "{output}"
    );
    assert_eq!(host.tally().await, before);
    host.ok(&["run", "abort"]);
    // One that cannot be started is said to be down, and what to do; mended, it is brought back.
    for start in ["['false']", "['true']"] {
        let other = host.other("start", start);
        let output = other.fails(&CREATE, 1);
        assert!(
            output.contains("is not brought back by") && output.contains("summitctl run abort"),
            "{output}"
        );
        assert!(!host.server_runs());
        let text = host.ok(&["run", "abort"]);
        assert!(text.contains("starting Neo4j"), "{text}");
        assert_eq!(host.tally().await, before);
    }
    assert_eq!(host.program.backups().len(), held + 1);
    assert!(host.program.scratch().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offline_restore_loads_the_dump_and_its_safety_dump_is_the_way_back() {
    let host = Host::start("offline-restore").await;
    let before = host.tally().await;
    host.ok(&CREATE);
    let backup = host.program.backups().remove(0);
    let change = "MATCH (p:Person) WITH p LIMIT 7 SET p.changed = 1";
    query(&host.target(), change).await;
    query(&host.target(), "CREATE (:Later)").await;
    let changed = host.tally().await;
    assert_ne!(changed, before);

    let restore = [
        "restore",
        &backup,
        "--offline",
        "--stores",
        "neo4j",
        "--confirm",
        "sandbox",
    ];
    let plan = host.ok(&[&restore[..], &["--plan-only"]].concat());
    assert!(plan.contains("starts it again"), "{plan}");
    // Killed while it loads, and taken back: what was there before is there again.
    host.killed(&restore, "load");
    let text = host.ok(&["run", "abort"]);
    println!("{text}");
    assert_eq!(host.tally().await, changed);
    // Killed while it loads, and gone on with.
    host.killed(&restore, "load");
    host.ok(&["run", "resume"]);
    assert_eq!(host.tally().await, before);
    // The pin holds: the next change is no other target.
    host.ok(&["backup", "create", "--stores", "neo4j", "--yes"]);
    // Taken back as any restore is.
    let undo = [
        "restore",
        "--undo",
        "--stores",
        "neo4j",
        "--confirm",
        "sandbox",
    ];
    host.ok(&undo);
    assert_eq!(host.tally().await, changed);

    // A backup without a dump cannot be loaded so.
    let online = host.program.backups().remove(0);
    let words = ["restore", &online, "--offline", "--confirm", "sandbox"];
    let words = host.with(&words);
    let output = tokio::task::block_in_place(|| host.program.call(&words, None));
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("holds no dump"), "{}", said(&output));

    // A load that is stopped half way leaves another database, or none: it is said, and gone on with all the same.
    let (home, half) = (
        host.program.dir.join("sandbox/neo4j/home/data"),
        host.program.dir.join("half"),
    );
    let script = format!(
        "rm -r {0}/databases/neo4j {0}/transactions/neo4j; touch {1}; exec sleep 600",
        home.display(),
        half.display()
    );
    let other = host.other("admin", &format!("['sh', '-c', '{script}']"));
    let restore = ["--without-safety-backup", "a test", "--confirm", "sandbox"];
    let restore = [
        &["restore", &backup, "--offline", "--stores", "neo4j"][..],
        &restore,
    ]
    .concat();
    let words = other.with(&restore);
    let output =
        tokio::task::block_in_place(|| host.program.when(&words, |_| half.exists(), interrupt));
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    assert!(
        said(&output).contains("may hold nothing, or half of the dump"),
        "{}",
        said(&output)
    );
    assert_ne!(host.tally().await, before);
    host.ok(&["run", "resume"]);
    assert_eq!(host.tally().await, before);
    host.ok(&["backup", "create", "--stores", "neo4j", "--yes"]);
}
