//! The runbook `database-migration-failed` from its beginning to its end, beside the real Liquibase that it is for: what each stop
//! shows is all that somebody has who was woken for it.

use super::*;
use crate::runbooks::{at_a_terminal, on_screen};

/// The platform's migration, on the sandbox.
struct Platform {
    program: Program,
    folder: PathBuf,
}

const HELD: &str = "SELECT locked::text FROM databasechangeloglock";

impl Platform {
    fn migration(&self, second: &str) -> Command {
        let text = format!(
            "--liquibase formatted sql\n--changeset me:1\nCREATE TABLE first (n int);\n--changeset me:2\n{second};\n"
        );
        fs::write(self.folder.join("changelog.sql"), text).unwrap();
        let server = self.program.server("postgres");
        let root = "changelog.sql";
        let mut command = liquibase(
            server.port,
            "app",
            &server.user,
            &self.folder,
            root,
            &["update"],
        );
        let password = self.program.secret("postgres/password");
        command.env("LIQUIBASE_COMMAND_PASSWORD", password);
        command
    }

    async fn asked(&self, query: &str) -> String {
        let mut session = self.program.postgres().await;
        sqlx::query_scalar(sqlx::AssertSqlSafe(query))
            .fetch_one(&mut session)
            .await
            .unwrap()
    }

    async fn until(&self, what: &str, query: &str, wanted: &str) {
        let deadline = Deadline::after(Duration::from_secs(120));
        poll(what, deadline, Duration::from_millis(200), async || {
            let seen = self.asked(query).await;
            Ok(match seen == wanted {
                true => Look::Ready(()),
                false => Look::NotYet(seen),
            })
        })
        .await
        .unwrap();
    }

    /// Runs a command that stood on the screen.
    fn copied(&self, command: &str) -> (i32, String) {
        let words = command.strip_prefix("summitctl ").unwrap();
        let words: Vec<&str> = words.split(' ').collect();
        let output = self.program.call(&words, None);
        (output.status.code().unwrap_or(-1), said(&output))
    }

    /// Runs it at a terminal, with an answer.
    fn answered(&self, command: &str, answer: &str) -> (i32, String) {
        let words = command.strip_prefix("summitctl ").unwrap();
        let child = at_a_terminal(&self.program, words, answer);
        let output = child.wait_with_output().unwrap();
        let screen = said(&output).replace('\r', "\n");
        (output.status.code().unwrap_or(-1), screen)
    }
}

/// The next command that the screen names, whole.
fn next(screen: &str, begins: &str) -> String {
    let lines = screen.lines().filter_map(|l| l.strip_prefix("next "));
    let mut commands = lines.map(|l| l.trim().split("  ").next().unwrap_or_default());
    let found = commands.find(|c| c.starts_with(begins));
    found
        .unwrap_or_else(|| panic!("`{begins}` is not next:\n{screen}"))
        .to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_that_was_killed_is_brought_to_its_end_by_the_runbook() {
    let program = Program::start("migration-failed");
    let folder = program.dir.join("liquibase");
    fs::create_dir_all(&folder).unwrap();
    let platform = Platform { program, folder };
    let pin = ["context", "pin", "--context", "sandbox", "--yes"];
    platform.program.ok(&pin);
    // A connection to the server's port may be anybody's: while the platform is at work nobody is proved dead.
    let gateway = platform.program.server("platform").process.unwrap();
    let ended = Command::new("kill").arg(gateway.pid.to_string()).status();
    assert!(ended.unwrap().success());

    let holder = platform.migration(SLEEP).spawn().unwrap();
    let sleeps = "SELECT count(*)::text FROM pg_stat_activity WHERE query ILIKE 'select pg_sleep(%' AND state = 'active'";
    platform.until("a migration that sleeps", sleeps, "1").await;
    let run = "summitctl runbook run database-migration-failed --yes";
    let (code, screen) = platform.copied(run);
    assert_eq!(code, 3, "{screen}");
    assert!(screen.contains("is alive"), "{screen}");
    killed(holder);
    let end = format!("SELECT count(*)::text FROM ({END}) AS ended");
    platform.asked(&end).await;
    platform.until("the end of its session", sleeps, "0").await;
    assert_eq!(platform.asked(HELD).await, "true");

    let (at, screen) = platform.stops_at_retry(run).await;
    let show = on_screen(&screen, "summitctl run show");
    assert!(platform.copied(&show).1.contains("Did it succeed?"));
    assert_eq!(platform.asked(HELD).await, "false");
    let resume = next(&screen, "summitctl run resume");
    // Nobody is there to answer, still.
    let (code, screen) = platform.copied(&resume);
    assert_eq!(code, 3, "{screen}");
    assert_eq!(next(&screen, "summitctl run resume"), resume);

    // Started again before its cause was mended: the question stays.
    let failed = platform.migration("SELECT no_such_thing").status();
    assert!(!failed.unwrap().success());
    let (code, screen) = platform.answered(&resume, "no\n");
    assert_eq!(code, 1, "{screen}");
    assert_eq!(next(&screen, "summitctl run resume"), resume);

    // Its cause is mended, and the platform is up again, and answers.
    let done = platform.migration("CREATE TABLE second (n int)").status();
    assert!(done.unwrap().success());
    platform.program.ok(&["sandbox", "up"]);
    let (code, screen) = platform.answered(&resume, "yes\n");
    assert_eq!(code, 0, "{screen}");
    assert!(screen.contains("seen smoke"), "{screen}");
    let tables =
        "SELECT (to_regclass('first') IS NOT NULL AND to_regclass('second') IS NOT NULL)::text";
    assert_eq!(platform.asked(tables).await, "true");
    platform.ended_well(&at);
}

impl Platform {
    /// Runs the runbook until it has cleared the lock and asks for what only a person can do: the run, and the screen.
    async fn stops_at_retry(&self, run: &str) -> (String, String) {
        let screen = poll(
            "the runbook's question",
            Deadline::after(Duration::from_secs(180)),
            Duration::from_millis(500),
            async || {
                let (code, screen) = self.copied(run);
                assert_eq!(code, 3, "{screen}");
                // Refused while something else on this machine might be the holder, and where nobody can prove it.
                if screen.contains("nobody is there to answer") {
                    return Ok(Look::Ready(screen));
                }
                assert!(screen.contains("nothing proves"), "{screen}");
                if !all_seen() {
                    let (code, screen) =
                        self.copied("summitctl migrate lock clear --confirm sandbox");
                    assert_eq!(code, 0, "{screen}");
                }
                Ok(Look::NotYet(screen))
            },
        )
        .await
        .unwrap();
        let open = self.program.open_runs();
        let [run] = open.as_slice() else {
            panic!("{open:?}")
        };
        (run.clone(), screen)
    }

    /// The record: what cleared the lock, what was answered, and that it ended well.
    fn ended_well(&self, run: &str) {
        let listed = self.program.runs();
        let listed = listed.iter().find(|r| r["run"] == run).unwrap();
        assert_eq!(
            (&listed["state"], &listed["exit-code"]),
            (&"finished".into(), &0.into()),
            "{listed:#}"
        );
        let end = |run: &str, id: &str| {
            let shown = self.program.json(&["run", "show", run]);
            let steps = shown["steps"].as_array().unwrap();
            let step = steps.iter().find(|s| s["id"] == id).unwrap().clone();
            (
                step["end"].as_str().unwrap().to_owned(),
                step["observed"].clone(),
            )
        };
        let (cleared, seen) = end(run, "clear");
        assert_eq!(
            cleared,
            if all_seen() { "changed" } else { "already-so" },
            "{seen:#}"
        );
        let (retry, answer) = end(run, "retry");
        assert_eq!(
            (retry.as_str(), &answer["answer"]),
            ("observed", &true.into()),
            "{answer:#}"
        );
        let (smoke, probes) = end(run, "smoke");
        assert_eq!(
            (smoke.as_str(), &probes["outcome"]),
            ("observed", &"passed".into()),
            "{probes:#}"
        );
        for skipped in ["check", "load", "swap", "pin"] {
            assert_eq!(end(run, skipped).0, "skipped");
        }
        let verify = ["evidence", "verify", "--context", "sandbox"];
        self.program.ok(&verify);
    }
}
