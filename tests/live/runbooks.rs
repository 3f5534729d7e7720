//! The built-in runbooks on real servers: each is planned, those whose servers are here are run, and a newcomer gets from the
//! list to a finished run by what is on the screen alone.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use summitctl::runbook::Library;
use summitctl::sandbox::servers::free_port;

use crate::program::{Program, said};

/// The program with its own folder first on the path, so that a runbook's `summitctl` is the one under test.
fn path() -> String {
    let own = Path::new(env!("CARGO_BIN_EXE_summitctl")).parent().unwrap();
    format!(
        "{}:{}",
        own.display(),
        std::env::var("PATH").unwrap_or_default()
    )
}

/// Runs a runbook on the sandbox: its exit code, and its report.
fn run(program: &Program, id: &str, more: &[&str]) -> (i32, Value) {
    let mut args = vec![
        "runbook",
        "run",
        id,
        "--context",
        "sandbox",
        "--output",
        "json",
    ];
    args.extend(more);
    let output = program.command(&args).env("PATH", path()).output().unwrap();
    let output = program.keep(output);
    let document: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("{id}: {e}: {}", said(&output)));
    let report = document["result"]["report"].clone();
    assert!(!report.is_null(), "{id}: {document:#}");
    (output.status.code().unwrap_or(-1), report)
}

fn step<'r>(report: &'r Value, id: &str) -> &'r Value {
    let steps = report["steps"].as_array().unwrap();
    let found = steps.iter().find(|s| s["id"] == id);
    found.unwrap_or_else(|| panic!("no step `{id}`: {report:#}"))
}

fn ended(report: &Value, id: &str, end: &str) {
    assert_eq!(
        step(report, id)["end"],
        end,
        "`{id}`: {:#}",
        step(report, id)
    );
}

fn gateway(program: &Program) -> u16 {
    program.server("platform").port
}

#[tokio::test]
async fn the_runbooks_run_on_the_sandbox() {
    let program = Program::start("runbooks");
    program.ok(&["backup", "create", "--context", "sandbox", "--yes"]);
    every_runbook_is_planned(&program);
    probes_measure_what_they_say(&program);
    services_are_looked_at_one_by_one(&program);
    verified_after_a_deployment(&program);
    the_gate_asks_people_too(&program);
    a_rotation_waits_for_a_person(&program);
    one_store_is_restored(&program).await;
    for store in ["redis", "postgres", "neo4j"] {
        an_outage_is_seen_and_mended(&program, store);
    }
    the_graph_is_served(&program);
    a_name_is_moved(&program);
}

/// What a person would give, for parameters that have no default.
fn sample(program: &Program, name: &str) -> String {
    match name {
        "backup" => program.backups()[0].clone(),
        "url" => format!("http://127.0.0.1:{}/health", gateway(program)),
        "prov-ledger" | "policy-lac" | "nl2cypher" | "report-studio" | "maestro" => "none".into(),
        "tag" => "0123abc".into(),
        "registry" => "123456789012.dkr.ecr.us-east-1.amazonaws.com".into(),
        other => format!("the-{other}"),
    }
}

/// Tools of a cloud that is not here: a `check` of theirs finds nothing.
fn absent_tools(program: &Program) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let bin = program.dir.join("absent");
    std::fs::create_dir_all(&bin).unwrap();
    for tool in ["aws", "docker", "kubectl", "helm", "terraform"] {
        let file = bin.join(tool);
        std::fs::write(&file, "#!/bin/sh\nexit 1\n").unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    bin
}

fn every_runbook_is_planned(program: &Program) {
    let bin = absent_tools(program);
    let library = Library::new([]);
    let mut planned = 0;
    for listed in library.list() {
        let book = listed.runbook;
        let mut args: Vec<String> = ["runbook", "plan", &book.id, "--context", "sandbox"]
            .map(str::to_owned)
            .to_vec();
        for param in book.missing(&BTreeMap::new()) {
            let value = match param.choices.first() {
                Some(first) => first.clone(),
                None => sample(program, &param.name),
            };
            args.push("--param".into());
            args.push(format!("{}={value}", param.name));
        }
        let words: Vec<&str> = args.iter().map(String::as_str).collect();
        let output = program
            .command(&words)
            .env("PATH", format!("{}:{}", bin.display(), path()))
            .output()
            .unwrap();
        assert_eq!(
            output.status.code(),
            Some(0),
            "{}: {}",
            book.id,
            said(&output)
        );
        for step in book.steps() {
            assert!(said(&output).contains(&step.id), "{}: {}", book.id, step.id);
        }
        planned += 1;
    }
    assert!(planned > 20, "{planned}");
}

/// A runbook of one step, beside the others.
fn one_step(program: &Program, step: &str) -> String {
    let text = format!(
        "---\nrunbook: one\ntitle: One\nplatform: summit\nwhen: Now.\n---\n\n# One\n\nLook.\n\n```yaml step\nid: one\n{step}\n```\n"
    );
    let file = program.dir.join("one.md");
    std::fs::write(&file, text).unwrap();
    file.display().to_string()
}

fn probes_measure_what_they_say(program: &Program) {
    let url = format!("http://127.0.0.1:{}", gateway(program));
    let named = format!("http://gateway.example.test:{}/health", gateway(program));
    let closed = free_port().unwrap();
    for (probe, code, says) in [
        (format!("uses: http.probe\nwith: {{ url: '{url}/health', json: {{ /status: ok }}, within: 10s }}\nexpect: [\"result.status == 200 && result.document.status == 'ok' && result.bytes > 2\"]"), 0, ""),
        (format!("uses: http.probe\nwith: {{ url: '{url}/nowhere', status: 404 }}"), 0, ""),
        (format!("uses: http.probe\nwith: {{ url: '{named}', at: localhost }}"), 0, ""),
        (format!("uses: http.probe\nwith: {{ url: '{url}/nowhere', impact: Nobody gets in. }}"), 1, "answers HTTP 404, not 200"),
        (format!("uses: http.probe\nwith: {{ url: '{url}/nowhere', impact: Nobody gets in. }}"), 1, "What it means: Nobody gets in."),
        (format!("uses: http.probe\nwith: {{ url: '{url}/health', json: {{ /status: ready }} }}"), 1, "says \"ok\" at `/status`, not \"ready\""),
        (format!("uses: http.probe\nwith: {{ url: '{url}/health', json: {{ /nothing: 1 }} }}"), 1, "says nothing at `/nothing`"),
        (format!("uses: http.probe\nwith: {{ url: '{url}/health', contains: zebra }}"), 1, "does not say `zebra`"),
        (format!("uses: http.probe\nwith: {{ url: '{url}/health', max-bytes: 3 }}"), 1, "more than 3"),
        (format!("uses: http.probe\nwith: {{ url: 'http://127.0.0.1:{closed}', wait: 1s }}"), 7, "times in 1s"),
        (format!("uses: port.probe\nwith: {{ host: localhost, port: {} }}\nexpect: [size(result.addresses) > 0]", gateway(program)), 0, ""),
        (format!("uses: port.probe\nwith: {{ host: 127.0.0.1, port: {closed} }}"), 7, "accepts no connection"),
        ("uses: config.check\nwith: { env-file: weak.env }".to_owned(), 1, "checks of the variables did not pass"),
        ("uses: store.health\nwith: { store: postgres }\nexpect: [result.answers && result.connections > 0]".to_owned(), 0, ""),
    ] {
        std::fs::write(program.dir.join("weak.env"), "JWT_SECRET=changeme\n").unwrap();
        let file = one_step(program, &probe);
        let (got, report) = run(program, &file, &[]);
        assert_eq!(got, code, "{probe}: {report:#}");
        assert!(report.to_string().replace("\\\"", "\"").contains(says), "{probe}: {says}: {report:#}");
        assert!(!report.to_string().contains("changeme"), "{report:#}");
    }
}

fn services_are_looked_at_one_by_one(program: &Program) {
    let page = format!("http://127.0.0.1:{}/health", gateway(program));
    let closed = format!("http://127.0.0.1:{}/health", free_port().unwrap());
    let params = |policy: &str| -> Vec<String> {
        let of = |name: &str, url: &str| ["--param".to_owned(), format!("{name}={url}")];
        [
            of("prov-ledger", &page),
            of("policy-lac", policy),
            of("nl2cypher", "none"),
            of("report-studio", &page),
            of("maestro", &page),
            of("wait", "2s"),
        ]
        .concat()
    };
    let given = params(&page);
    let words: Vec<&str> = given.iter().map(String::as_str).collect();
    let (code, report) = run(program, "services-health", &words);
    assert_eq!(code, 0, "{report:#}");
    ended(&report, "prov-ledger__page", "observed");
    ended(&report, "maestro__postgres", "observed");
    ended(&report, "nl2cypher__page", "skipped");
    assert_eq!(
        step(&report, "prov-ledger")["observed"]["neo4j"]["answers"],
        true
    );
    // One that fails does not hide those after it.
    let given = params(&closed);
    let words: Vec<&str> = given.iter().map(String::as_str).collect();
    let (code, report) = run(program, "services-health", &words);
    assert_eq!(code, 1, "{report:#}");
    ended(&report, "policy-lac__page", "failed");
    ended(&report, "policy-lac__neo4j", "observed");
    ended(&report, "maestro__page", "observed");

    let port = format!("port={}", gateway(program));
    let maestro = ["--param", "host=127.0.0.1", "--param", &port];
    let (code, report) = run(program, "maestro/maestro-health", &maestro);
    assert_eq!(code, 0, "{report:#}");
    assert!(step(&report, "port")["observed"]["latency-ms"].is_number());
}

fn verified_after_a_deployment(program: &Program) {
    let (code, report) = run(program, "verification-after-deployment", &["--yes"]);
    assert_eq!(code, 0, "{report:#}");
    ended(&report, "write", "changed");
    ended(&report, "grafana", "skipped");
    let (code, report) = run(program, "scaling-knobs", &["--yes"]);
    assert_eq!(code, 0, "{report:#}");
    assert!(step(&report, "postgres")["observed"]["max-connections"].is_number());
    ended(&report, "scale", "skipped");
    let (code, report) = run(
        program,
        "scaling-knobs",
        &["--yes", "--param", "connections=0"],
    );
    assert_eq!(code, 1, "{report:#}");
    ended(&report, "postgres", "failed");
}

/// Runs the program on a terminal of 80 columns, with everything typed that it will ask.
pub fn at_a_terminal(program: &Program, args: &str, typed: &str) -> Child {
    let line = format!("stty cols 80; {} {args}", env!("CARGO_BIN_EXE_summitctl"));
    let mut child = Command::new("script")
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .env("SUMMITCTL_STATE_DIR", &program.dir)
        .env("PATH", path())
        .env_remove("COLUMNS")
        .current_dir(&program.dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let keyboard = child.stdin.as_mut().unwrap();
    keyboard.write_all(typed.as_bytes()).unwrap();
    child
}

fn the_gate_asks_people_too(program: &Program) {
    let typed = "yes\nyes\nin October, and again in January\nyes\n";
    let args = "runbook run ga-gate --context sandbox --param variables=false --yes";
    let output = at_a_terminal(program, args, typed)
        .wait_with_output()
        .unwrap();
    // No drill was made yet: the gate says so, whatever people say.
    assert_eq!(output.status.code(), Some(5), "{}", said(&output));
    let record = program.ok(&["run", "show", "--format", "markdown"]);
    let text = said(&record);
    for part in [
        "> **answered**",
        "in October, and again in January",
        "answered-by",
        "no-go",
        "gate.run",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

fn a_rotation_waits_for_a_person(program: &Program) {
    let (code, report) = run(
        program,
        "secrets-rotation",
        &["--param", "variables=false", "--yes"],
    );
    assert_eq!(code, 3, "{report:#}");
    ended(&report, "before", "observed");
    assert!(
        step(&report, "rotate")["error"]["message"]
            .as_str()
            .unwrap()
            .contains("nobody is there")
    );
    assert_eq!(report["resumable"], true);
    let run = report["run"].as_str().unwrap();
    program.ok(&["run", "abort", run, "--context", "sandbox"]);
}

async fn one_store_is_restored(program: &Program) {
    let backup = format!("backup={}", program.backups()[0]);
    let _: String = program.redis(&["SET", "made-after-the-backup", "1"]).await;
    let before = program.number("SELECT count(*) FROM accounts").await;
    let restore = |store: &str| {
        let store = format!("store={store}");
        let given = [
            "--param",
            &store,
            "--param",
            &backup,
            "--confirm",
            "sandbox",
        ];
        let (code, report) = run(program, "restore-one-service", &given);
        assert_eq!(code, 0, "{report:#}");
        report
    };
    let report = restore("redis");
    ended(&report, "redis", "changed");
    ended(&report, "load", "skipped");
    let there: i64 = program.redis(&["EXISTS", "made-after-the-backup"]).await;
    assert_eq!(there, 0);

    let mut session = program.postgres().await;
    sqlx::query("TRUNCATE accounts CASCADE")
        .execute(&mut session)
        .await
        .unwrap();
    drop(session);
    let report = restore("postgres");
    ended(&report, "postgres", "changed");
    assert_eq!(
        program.number("SELECT count(*) FROM accounts").await,
        before
    );
}

/// What a store that is down means stands in the record, and the runbook's own way of starting it brings it back.
fn an_outage_is_seen_and_mended(program: &Program, store: &str) {
    program.ok(&["sandbox", "break", store]);
    let (code, report) = run(program, "smoke", &["--param", "wait=3s"]);
    assert_eq!(code, 1, "{report:#}");
    let book = format!("{store}-outage");
    let (code, report) = run(
        program,
        &book,
        &["--yes", "--param", "start=sandbox", "--param", "wait=120s"],
    );
    assert_eq!(code, 0, "{report:#}");
    let seen = &step(&report, "seen")["observed"];
    assert_eq!(seen["answers"], false, "{seen:#}");
    assert!(
        seen["reason"].as_str().unwrap().starts_with(store),
        "{seen:#}"
    );
    assert!(!seen["impact"].as_str().unwrap().is_empty(), "{seen:#}");
    ended(&report, "sandbox", "changed");
    ended(&report, "compose", "skipped");
    assert_eq!(step(&report, "back")["observed"]["answers"], true);
    ended(&report, "smoke", "observed");
    // With nothing to mend it only looks.
    let (code, report) = run(program, &book, &["--yes", "--param", "start=sandbox"]);
    assert_eq!(code, 0, "{report:#}");
    ended(&report, "sandbox", "skipped");
}

/// A Community server tells of its databases and of no cluster, and nothing is made up for it.
fn the_graph_is_served(program: &Program) {
    let (code, report) = run(program, "neo4j-cluster-health", &[]);
    assert_eq!(code, 0, "{report:#}");
    let seen = &step(&report, "databases")["observed"];
    assert_eq!(seen["edition"], "community", "{seen:#}");
    assert!(
        seen["servers"].is_null() && seen["servers-unknown"].is_string(),
        "{seen:#}"
    );
    let databases = seen["databases"].as_array().unwrap();
    let names: Vec<&str> = databases
        .iter()
        .map(|d| d["database"].as_str().unwrap())
        .collect();
    assert!(
        names.contains(&"neo4j") && names.contains(&"system"),
        "{names:?}"
    );
    for database in databases {
        assert_eq!(
            (&database["current"], &database["writer"]),
            (&"online".into(), &true.into()),
            "{database}"
        );
    }
    let (code, report) = run(
        program,
        "neo4j-cluster-health",
        &["--param", "servers=3", "--param", "wait=1s"],
    );
    assert_eq!(code, 1, "{report:#}");
    assert!(
        step(&report, "servers")
            .to_string()
            .contains("does not tell of any"),
        "{report:#}"
    );
}

/// A name server of the test's own: `dnsmasq` of the distribution, answering from a file.
struct Names {
    child: Child,
    hosts: PathBuf,
    port: u16,
}

impl Names {
    fn start(dir: &Path, hosts: &str) -> Names {
        let (file, port) = (dir.join("hosts"), free_port().unwrap());
        std::fs::write(&file, hosts).unwrap();
        let found = [
            "/usr/sbin/dnsmasq",
            "/usr/bin/dnsmasq",
            "/usr/local/sbin/dnsmasq",
        ];
        let program = found.into_iter().find(|p| Path::new(p).exists());
        let child = Command::new(program.expect("dnsmasq is missing: run `make setup`"))
            .args([
                "--keep-in-foreground",
                "--conf-file=/dev/null",
                "--no-resolv",
                "--no-hosts",
                "--bind-interfaces",
            ])
            .args([
                "--listen-address=127.0.0.1",
                "--local-ttl=60",
                "--user=root",
                "--pid-file=",
                "--no-poll",
            ])
            .args([
                "--cname=alias.example.test,app.example.test",
                "--local=/test/",
            ])
            .args(["--txt-record=text.example.test,one two", "--log-facility=-"])
            .arg(format!("--port={port}"))
            .arg(format!("--addn-hosts={}", file.display()))
            .stderr(std::fs::File::create(dir.join("dnsmasq.log")).unwrap())
            .spawn()
            .unwrap();
        let names = Names {
            child,
            hosts: file,
            port,
        };
        let deadline = Instant::now() + Duration::from_secs(10);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            let log = std::fs::read_to_string(dir.join("dnsmasq.log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "dnsmasq does not start: {log}");
            std::thread::park_timeout(Duration::from_millis(20));
        }
        names
    }

    fn change(&self, hosts: &str) {
        std::fs::write(&self.hosts, hosts).unwrap();
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::HUP).unwrap();
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const BEFORE: &str = "192.0.2.7 app.example.test\n127.0.0.1 localhost\n";
const AFTER: &str = "127.0.0.1 app.example.test localhost\n";

fn a_name_is_moved(program: &Program) {
    let names = Names::start(&program.dir, BEFORE);
    let server = format!("127.0.0.1:{}", names.port);
    let long: String = (1..=60)
        .map(|n| format!("192.0.2.{n} many.example.test\n"))
        .collect();
    names.change(&format!("{BEFORE}{long}"));
    for (look, code, says) in [
        (
            "name: app.example.test, values: [192.0.2.7]",
            0,
            "\"ttl\":60",
        ),
        (
            "name: alias.example.test, values: [192.0.2.7]",
            0,
            "\"kind\":\"CNAME\"",
        ),
        (
            "name: localhost, same-as: localhost",
            0,
            "\"expected\":[\"127.0.0.1\"]",
        ),
        (
            "name: text.example.test, type: TXT, values: [one two]",
            0,
            "",
        ),
        ("name: no.example.test", 0, "\"exists\":false"),
        (
            "name: app.example.test, values: [192.0.2.8]",
            1,
            "is `192.0.2.7` at",
        ),
        ("name: many.example.test, wait: 5s", 0, "192.0.2.60"),
        ("name: a..b", 2, "is not a domain name"),
    ] {
        let file = one_step(
            program,
            &format!("uses: dns.look-up\nwith: {{ server: '{server}', {look} }}"),
        );
        let (got, report) = run(program, &file, &[]);
        assert_eq!(got, code, "{look}: {report:#}");
        assert!(
            report.to_string().contains(says),
            "{look}: {says}: {report:#}"
        );
    }
    let silent = free_port().unwrap();
    let file = one_step(
        program,
        &format!(
            "uses: dns.look-up\nwith: {{ server: '127.0.0.1:{silent}', name: app.example.test, wait: 1s }}"
        ),
    );
    assert_eq!(run(program, &file, &[]).0, 7);

    // The whole cut-over, with a person who makes the change.
    let events = program.dir.join("cutover.ndjson");
    let args = format!(
        "runbook run dns-cutover --context sandbox --param by=by-hand --param name=app.example.test --param to=localhost \
         --param url=http://localhost:{}/health --param zone=none --param change=none --param undo=none --param server={server} \
         --param wait=60s --events {}",
        gateway(program),
        events.display()
    );
    let child = at_a_terminal(program, &args, "yes\n");
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let heard = std::fs::read_to_string(&events).unwrap_or_default();
        // It has seen the old address.
        if heard.contains("is `192.0.2.7` at") {
            break;
        }
        assert!(
            Instant::now() < deadline,
            "it never looked for the change: {heard}"
        );
        std::thread::park_timeout(Duration::from_millis(20));
    }
    names.change(AFTER);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

/// The first command on the screen that begins so, whole, as somebody copies it.
pub fn on_screen(screen: &str, begins: &str) -> String {
    let found = screen.lines().find_map(|line| {
        let command = line[line.find(begins)?..].trim_end();
        Some(command.split("  ").next().unwrap_or(command).to_owned())
    });
    found.unwrap_or_else(|| panic!("`{begins}` is not on the screen:\n{screen}"))
}

/// Copies a command from the screen and runs it at a terminal of 80 columns.
fn copied(program: &Program, command: &str, typed: &str) -> String {
    let words = command.strip_prefix("summitctl ").unwrap();
    let output = at_a_terminal(program, words, typed)
        .wait_with_output()
        .unwrap();
    let screen = said(&output).replace('\r', "\n");
    assert_eq!(output.status.code(), Some(0), "`{command}`:\n{screen}");
    for line in screen.lines().filter(|_| !command.contains(" show ")) {
        // A line of progress is padded to the screen's end; only what cannot be broken is longer than the screen.
        for part in line.split("   ") {
            let whole = part.split(' ').any(|word| word.chars().count() > 40);
            assert!(part.chars().count() <= 80 || whole, "`{command}`: {line}");
        }
    }
    screen
}

#[test]
fn a_newcomer_gets_from_the_list_to_a_finished_run_by_what_is_on_the_screen() {
    let program = Program::bare("newcomer");
    let list = copied(&program, "summitctl runbook list", "");
    assert!(
        list.contains("golden-path") && list.contains("After a start"),
        "{list}"
    );
    let show = on_screen(&list, "summitctl runbook show").replace("NAME", "smoke");
    let page = copied(&program, &show, "");
    assert!(page.contains("--param wait=…"), "{page}");
    // Nothing is configured yet, and the screen says how to practise.
    copied(&program, &on_screen(&page, "summitctl sandbox up"), "");
    let planned = copied(
        &program,
        &on_screen(&page, "summitctl runbook plan smoke"),
        "",
    );
    let ran = copied(
        &program,
        &on_screen(&planned, "summitctl runbook run smoke"),
        "",
    );
    assert!(ran.contains("on `sandbox`"), "{ran}");
    let record = copied(&program, &on_screen(&ran, "summitctl run show"), "");
    assert!(record.contains("# Smoke test: record of a run"), "{record}");
    assert!(record.contains("> **seen**"), "{record}");
    let runs = program.runs();
    assert_eq!(runs[0]["state"], "finished", "{runs:?}");
}
