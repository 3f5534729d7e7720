//! The scripts and commands that the platform's handbook names: what stands in for each here, what is different, and
//! what has no counterpart in this version.
//!
//! What is said about a script describes its published text; where none is published under the handbook's path, only the
//! handbook's own words are used.

/// One script or command of the handbook.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Script {
    /// Its name as the handbook writes it, without arguments. A path matches by its file name as well.
    pub name: &'static str,
    /// Other words, lower-case, that a pasted command line is recognised by.
    pub keywords: &'static [&'static str],
    /// What the handbook uses it for.
    pub purpose: &'static str,
    /// The command lines that stand in for it; empty means that there is no replacement in this version.
    pub replaced_by: &'static [&'static str],
    /// What is different, and what is measured: full sentences.
    pub differs: &'static [&'static str],
    /// What it does that nothing here does in this version: full sentences, with what to do instead.
    pub not_covered: &'static [&'static str],
}

/// All of them, in the handbook's order.
pub const SCRIPTS: &[Script] = &[
    Script {
        name: "make bootstrap",
        keywords: &[],
        purpose: "installs the Python and pnpm tools of a fresh clone",
        replaced_by: &[],
        differs: &[
            "`summitctl doctor` installs nothing; it says which tools are there, in which version, and what mends what is missing.",
        ],
        not_covered: &["Installing tools: go on using `make bootstrap`."],
    },
    Script {
        name: "make up",
        keywords: &["docker compose up", "docker-compose up"],
        purpose: "builds and starts the Compose stack",
        replaced_by: &[],
        differs: &[
            "`summitctl sandbox up` starts a throw-away stack of real datastores with a stand-in for the platform, to practise on; it is not the platform.",
        ],
        not_covered: &[
            "Starting the platform: go on using `make up`, then `summitctl smoke --wait 2m` says whether it works.",
        ],
    },
    Script {
        name: "make smoke",
        keywords: &[],
        purpose: "waits a fixed time, then asks the page and the gateway's health once each",
        replaced_by: &["summitctl smoke --wait 2m"],
        differs: &[
            "It waits until everything passes and no longer, instead of a fixed time that is too short on a slow machine and lost on a fast one.",
            "The script asks two addresses for a status 200. Here readiness, the detailed health and each datastore directly are measured as well, with latency and attempts; with `--data-plane`, so is a marked write that is read back from Postgres and Neo4j.",
            "A gateway that answers 200 to any path is reported as a stub.",
            "The script starts the stack itself (the published target runs `bootstrap` and `up` first); this starts nothing.",
        ],
        not_covered: &[],
    },
    Script {
        name: "make logs",
        keywords: &["docker compose logs", "docker-compose logs", "kubectl logs"],
        purpose: "shows the services' logs",
        replaced_by: &[],
        differs: &[],
        not_covered: &[
            "Logs of the platform: go on using `docker compose logs SERVICE` or `kubectl logs -n NAMESPACE deploy/SERVICE`.",
        ],
    },
    Script {
        name: "make down",
        keywords: &["docker compose down", "docker-compose down"],
        purpose: "stops the Compose stack and resets it",
        replaced_by: &[],
        differs: &[
            "The published target runs `docker compose down -v`, which deletes the volumes and with them the data of Postgres, Neo4j and Redis. Run `summitctl backup create` before it if the data matters.",
            "`summitctl sandbox down` removes the practice stack only, by its own label.",
        ],
        not_covered: &["Stopping the platform: use `docker compose stop`, which keeps the data."],
    },
    Script {
        name: "make k6",
        keywords: &["k6 run", "ops/k6/smoke.sh"],
        purpose: "a small load test before a release",
        replaced_by: &[],
        differs: &[
            "The published script sets no threshold, and k6 ends with exit code 0 when a check without a threshold fails: read its summary, not its exit code.",
        ],
        not_covered: &["Load tests: there is no replacement in this version."],
    },
    Script {
        name: "docker compose ps",
        keywords: &["docker-compose ps"],
        purpose: "shows that all services are `Up`",
        replaced_by: &["summitctl smoke"],
        differs: &[
            "`Up` says that a process runs. The smoke test asks whether it answers, and whether what it needs answers.",
        ],
        not_covered: &["Container states and restart counts are not looked at in this version."],
    },
    Script {
        name: "curl",
        keywords: &[
            "/healthz",
            "/health/ready",
            "/health/detailed",
            "/health",
            "localhost:3000",
            "localhost:8080",
            "/queues/health",
            "/graphql",
        ],
        purpose: "asks the page and the health endpoints one by one",
        replaced_by: &["summitctl smoke", "summitctl smoke --data-plane"],
        differs: &[
            "All endpoints are asked in parallel and their bodies are read: `status`, `failures` and the state of each dependency count, not the status code alone.",
            "`/health` says only that the process runs. Readiness (`/health/ready`) and the datastores, asked directly, decide.",
            "With `summitctl smoke --data-plane` the sample GraphQL query becomes a marked write that is read back from Postgres and Neo4j themselves and then removed; it needs a `data-plane` section in the configuration, and without one it is reported as not evaluated.",
        ],
        not_covered: &[],
    },
    Script {
        name: "cp .env.example .env",
        keywords: &[".env.example"],
        purpose: "starts a configuration from the example",
        replaced_by: &["summitctl config check"],
        differs: &[
            "The check holds the handbook's variables as data: which are missing, which are weak or still an example's value, which contradict each other, and where each one comes from. It never shows a value.",
        ],
        not_covered: &["Filling in the file stays with you."],
    },
    Script {
        name: "scripts/backup/backup.sh",
        keywords: &["backup.sh --env"],
        purpose: "the handbook's standard backup of Postgres, Neo4j and Redis with `--verify --cleanup`",
        replaced_by: &[
            "summitctl backup create",
            "summitctl backup verify --level 2",
        ],
        differs: &[
            "The backup exists when its manifest does, which is written last: a capture that broke off is never listed as a backup.",
            "Verified is a level: 1, every object is there and authentic; 2, every row is decoded and counted again; 3, restored to scratch servers and compared row for row. Plain \"verified\" means 3.",
            "It is encrypted before it is written, to keys that the backup host does not hold, and its three points in time and the distance between them are stated.",
            "`--env=production` becomes `--context production`, whose targets are pinned by what they are and not by their names.",
        ],
        not_covered: &[
            "`--cleanup`: nothing is deleted by age in this version.",
            "`--component=all`: the three datastores are captured; configuration files and uploads are not.",
        ],
    },
    Script {
        name: "scripts/ops/backup_postgres.sh",
        keywords: &["backup_postgres"],
        purpose: "an encrypted dump of Postgres alone",
        replaced_by: &["summitctl backup create --stores postgres"],
        differs: &[
            "The published script pipes `pg_dump` into `openssl` without `pipefail`: when the dump fails halfway, the script still says that the backup was created. Here every row that was read is counted and fingerprinted, and a capture that fails is no backup.",
            "It deletes whatever is older than 7 days, also when nothing newer is any good. Nothing is deleted here by age.",
            "It encrypts with a passphrase that the backup host knows, so who takes over the host reads every backup. Here a backup host can write backups and not read them.",
        ],
        not_covered: &[],
    },
    Script {
        name: "scripts/backup/neo4j_backup.sh",
        keywords: &[
            "neo4j_backup",
            "neo4j-admin dump",
            "neo4j-admin database dump",
        ],
        purpose: "a dump of Neo4j in the development stack",
        replaced_by: &["summitctl backup create --stores neo4j"],
        differs: &[
            "The published script calls `neo4j-admin dump`, which is Neo4j 4's form; Neo4j 5 has `neo4j-admin database dump`, and both want a stopped database.",
            "The capture here reads over Bolt while the database runs, and measures by bookmarks whether anything was committed meanwhile; if so, it tries again and then labels the result as not one point in time.",
            "`summitctl backup create --offline` stops the server, dumps it, and brings it back whatever happens, where the context's `neo4j.offline` section says how.",
        ],
        not_covered: &[],
    },
    Script {
        name: "scripts/db/restore.sh",
        keywords: &["restore.sh --env", "--backup-path", "--confirm-production"],
        purpose: "restores Postgres, Neo4j and Redis from a backup folder",
        replaced_by: &[
            "summitctl restore BACKUP --plan-only",
            "summitctl restore BACKUP",
        ],
        differs: &[
            "The published script drops the database first and then restores over it, and takes no notice of how `pg_restore` ends. Here Postgres is restored beside the live database, compared row for row, and only then swapped, and the old one stays; Neo4j and Redis have no place beside, so they are replaced after a safety backup and compared afterwards.",
            "Its safety backup may fail and the restore goes on. Here that stops the restore.",
            "It verifies by counting tables and nodes; more than none is a success. Here every table, label and key is compared with what was captured.",
            "`--confirm-production` becomes the context's name, typed or given with `--confirm`, and without a terminal the digest of the plan that was shown.",
        ],
        not_covered: &[
            "`--sanitize`: nothing masks personal data in this version. Do not restore production data to another tier with it in mind.",
            "`--tenant`: a backup is restored as a whole.",
            "Its backup folders cannot be read: a restore needs a backup made by `summitctl backup create`.",
        ],
    },
    Script {
        name: "scripts/restore/postgres_restore.sh",
        keywords: &["postgres_restore"],
        purpose: "restores Postgres from a plain SQL file",
        replaced_by: &["summitctl restore BACKUP --stores postgres"],
        differs: &[
            "The published script does not run: a `}` stands where a `fi` must.",
            "It would remove the database's volume before it looks at the file. Here nothing is removed, and nothing is swapped before the restored data was compared.",
        ],
        not_covered: &["Plain SQL files: load them with `psql -v ON_ERROR_STOP=1 -f FILE`."],
    },
    Script {
        name: "scripts/restore/neo4j_restore.sh",
        keywords: &[
            "neo4j_restore",
            "neo4j-admin load",
            "neo4j-admin database load",
        ],
        purpose: "restores Neo4j from a dump file",
        replaced_by: &["summitctl restore BACKUP --stores neo4j"],
        differs: &[
            "The published script stops Neo4j, deletes its data, and only then calls `neo4j-admin load` inside the container that it has stopped: if that fails, the data is gone. Here a safety backup comes first and must succeed; what is restored is compared with what was captured.",
        ],
        not_covered: &[
            "Dump files of `neo4j-admin` by themselves: take them in with `summitctl backup import FILE`, or load them with `neo4j-admin database load --from-path=FOLDER neo4j` on a stopped server.",
        ],
    },
    Script {
        name: "scripts/restore/redis_restore.sh",
        keywords: &["redis_restore"],
        purpose: "restores Redis from an RDB file",
        replaced_by: &["summitctl restore BACKUP --stores redis"],
        differs: &[
            "The published script wants a partition (`default`, `cache` or `dist`) before the file, which the handbook leaves out.",
            "It copies the file under a stopped server. If the append-only file is on, Redis loads that instead and the restore does nothing, silently. Here the keys are written over the protocol and compared afterwards.",
        ],
        not_covered: &["RDB files made by other tools cannot be restored in this version."],
    },
    Script {
        name: "scripts/ops/backup_restore_drill.sh",
        keywords: &["backup_restore_drill", "dr drill"],
        purpose: "the disaster recovery drill",
        replaced_by: &["summitctl drill run"],
        differs: &[
            "The published script makes a new backup with a key it has just invented, and restores that: it proves neither that last night's backup is good nor that anybody still has its key. Here the newest backup is restored with the real key.",
            "It drills Postgres only, into the server it backs up, and says success after counting tables; `psql` goes on after errors. Here all three stores are restored to scratch servers and compared row for row.",
            "Recovery time is measured by phase and compared with the policy, and so is the age of the data.",
        ],
        not_covered: &[],
    },
    Script {
        name: "scripts/gates/production-gate-witness.sh",
        keywords: &["production-gate-witness", "gate-witness"],
        purpose: "the evidence for a go or no-go",
        replaced_by: &["summitctl gate run", "summitctl evidence verify"],
        differs: &[
            "The published script writes finished texts as evidence: its recovery times, its canary analysis, its resilience drills and its paging timeline are typed into it, and where a tool is missing it \"simulates\" the result and counts it as passed.",
            "The gate here reads signed records of what was run: the age of the backup, the level it was verified to, the last drill and its times, the configuration, a smoke test. What was not measured is not evaluated, and a required check that was not evaluated is a no-go.",
            "Somebody else can verify the records offline, and an edited one is named.",
        ],
        not_covered: &[
            "Image signatures and digests, admission policies, rollouts, SLO burn rates and paging are not looked at in this version, and so do not count as passed.",
        ],
    },
    Script {
        name: "kubectl get",
        keywords: &["kubectl get nodes", "kubectl get pods", "kubectl rollout"],
        purpose: "shows that nodes and pods are ready",
        replaced_by: &[],
        differs: &["`summitctl smoke` asks the platform's endpoints, wherever they run."],
        not_covered: &[
            "The cluster's own view (pods, restarts, rollouts): there is no replacement in this version.",
        ],
    },
    Script {
        name: "kubectl port-forward",
        keywords: &["port-forward"],
        purpose: "makes the gateway reachable for a health check",
        replaced_by: &[],
        differs: &["With the port forwarded, `summitctl smoke` can ask the gateway there."],
        not_covered: &["Forwarding ports: go on using `kubectl port-forward`."],
    },
    Script {
        name: "kubectl run",
        keywords: &["curlimages/curl", "svc.cluster.local"],
        purpose: "asks a service's health from inside the cluster",
        replaced_by: &[],
        differs: &[],
        not_covered: &[
            "Checks from inside the cluster: there is no replacement in this version. `summitctl smoke` run in a pod sees what that pod sees.",
        ],
    },
    Script {
        name: "helm upgrade",
        keywords: &["helm show", "helm install", "helm upgrade"],
        purpose: "installs or upgrades the charts",
        replaced_by: &[],
        differs: &[
            "Run `summitctl backup create` before it and `summitctl smoke --wait 10m` after it.",
        ],
        not_covered: &["Deployments: there is no replacement, and none is meant."],
    },
    Script {
        name: "UPDATE DATABASECHANGELOGLOCK",
        keywords: &["databasechangeloglock"],
        purpose: "clears the lock of a migration that failed",
        replaced_by: &[
            "summitctl migrate lock show",
            "summitctl migrate lock clear",
        ],
        differs: &[
            "The statement asks nobody whether the holder is still at work: clearing the lock of a live migration lets a second one run into it.",
            "As written, with `LOCKED=0`, it fails on Postgres, where Liquibase's column is a boolean.",
        ],
        not_covered: &[
            "A process on another machine cannot be seen to have ended: there the verdict is `unknown`, unless a session of it is seen.",
        ],
    },
    Script {
        name: "npm run db:migrate",
        keywords: &["db:migrate", "db-migrate"],
        purpose: "migrates the database's schema",
        replaced_by: &[],
        differs: &[
            "Run `summitctl backup create` before it: a restore is the only way back from a migration that broke the schema.",
        ],
        not_covered: &["Running migrations: there is no replacement, and none is meant."],
    },
    Script {
        name: "prometheus",
        keywords: &["localhost:9090", "localhost:3001", "grafana"],
        purpose: "shows metrics, targets and dashboards",
        replaced_by: &["summitctl smoke"],
        differs: &[
            "If Prometheus is configured, its targets are asked for and one that is down is a finding.",
        ],
        not_covered: &["Grafana's dashboards and alert rules are not looked at in this version."],
    },
];

/// Every command line named as a replacement: a test holds them against the commands there are.
pub fn commands() -> impl Iterator<Item = &'static str> {
    SCRIPTS.iter().flat_map(|s| s.replaced_by.iter().copied())
}

/// The scripts a topic may mean: one if it names it in full, several if only a file name or a word is given.
pub fn find(topic: &str) -> Vec<&'static Script> {
    let topic = normal(topic);
    let first = topic.split(' ').next().unwrap_or("");
    let exact: Vec<&Script> = SCRIPTS
        .iter()
        .filter(|s| starts(&topic, &s.name.to_lowercase()))
        .collect();
    if !exact.is_empty() {
        return longest(exact);
    }
    let file: Vec<&Script> = SCRIPTS
        .iter()
        .filter(|s| {
            let name = s.name.rsplit('/').next().unwrap_or("");
            s.name.contains('/')
                && (name == first.rsplit('/').next().unwrap_or("")
                    || name.strip_suffix(".sh") == Some(first))
        })
        .collect();
    if !file.is_empty() {
        return file;
    }
    SCRIPTS
        .iter()
        .filter(|s| s.keywords.iter().any(|k| topic.contains(k)))
        .collect()
}

/// Lower-case, single spaces, no shell decoration in front.
fn normal(topic: &str) -> String {
    let words: Vec<&str> = topic.split_whitespace().collect();
    let text = words.join(" ").to_lowercase();
    let text = text
        .trim_start_matches("$ ")
        .trim_start_matches("sudo ")
        .trim_start_matches("bash ")
        .trim_start_matches("sh ");
    text.trim_start_matches("./").to_owned()
}

fn starts(topic: &str, name: &str) -> bool {
    topic
        .strip_prefix(name)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', ';']))
}

/// `make up` is meant by `make up`, and not by the shorter `make` of another entry.
fn longest(found: Vec<&'static Script>) -> Vec<&'static Script> {
    let best = found.iter().map(|s| s.name.len()).max().unwrap_or(0);
    found.into_iter().filter(|s| s.name.len() == best).collect()
}
