//! The checks that `explain` knows, whatever they found; and every reason code of the program.

mod probes;

use self::probes::SMOKE;
use super::explain::FindingInfo;
use crate::check::Category;
use crate::config::check;
use crate::error::Reason;
use crate::identity::Store;
use crate::steps::smoke;

/// Every module's reasons. A module that declares some and is not here fails a test.
pub fn reasons() -> Vec<&'static [&'static Reason]> {
    vec![
        crate::error::REASONS,
        crate::consent::REASONS,
        crate::expr::REASONS,
        crate::sign::REASONS,
        crate::config::REASONS,
        crate::config::pins::REASONS,
        crate::config::reference::REASONS,
        crate::engine::executor::REASONS,
        crate::engine::journal::REASONS,
        crate::engine::lease::REASONS,
        crate::engine::runs::REASONS,
        crate::evidence::REASONS,
        crate::providers::dns::REASONS,
        crate::providers::http::REASONS,
        crate::providers::kubernetes::REASONS,
        crate::providers::neo4j::REASONS,
        crate::providers::postgres::REASONS,
        crate::providers::postgres::foreign::REASONS,
        crate::providers::postgres::migrations::REASONS,
        crate::providers::redis::REASONS,
        crate::repository::REASONS,
        crate::repository::s3::REASONS,
        crate::runbook::REASONS,
        crate::runbook::expand::REASONS,
        crate::sandbox::faults::REASONS,
        crate::sandbox::folder::REASONS,
        crate::sandbox::servers::REASONS,
        crate::steps::config_check::REASONS,
        crate::steps::cross::REASONS,
        crate::steps::dns::REASONS,
        crate::steps::drill::REASONS,
        crate::steps::exec::REASONS,
        crate::steps::gate::REASONS,
        crate::steps::health::REASONS,
        crate::steps::import::REASONS,
        crate::steps::load::REASONS,
        crate::steps::offline::REASONS,
        crate::steps::manual::REASONS,
        crate::steps::mend::REASONS,
        crate::steps::restore::REASONS,
        crate::steps::probe::REASONS,
        crate::steps::roles::REASONS,
        crate::providers::postgres::BACK_REASONS,
        crate::steps::unblock::REASONS,
        crate::steps::smoke::REASONS,
        crate::steps::smoke::data_plane::REASONS,
        crate::steps::verify::REASONS,
        crate::steps::world::REASONS,
        super::restore::REASONS,
    ]
}

/// A check that looks the same on every context: id, what is checked, where reports show it, what its failure means, and
/// what mends it.
type Known = (
    &'static str,
    &'static str,
    Category,
    Option<&'static str>,
    Option<&'static str>,
);

const CREATE: Option<&str> = Some("Make a backup with `summitctl backup create`.");
const DRILL: Option<&str> = Some("Run a drill with `summitctl drill run`.");
const CONNECTION: Option<&str> = Some("Run `summitctl doctor` to see how far the connection gets.");

/// The checks of `smoke` on a context that names a cluster.
const KUBERNETES: &[Known] = &[
    (
        "kubernetes.api",
        "The Kubernetes API server answers, says its version and who we are",
        Category::Kubernetes,
        Some("Nothing can be said of what runs in the cluster."),
        Some("Compare the address with `kubectl cluster-info`."),
    ),
    (
        "kubernetes.namespaces",
        "The context's namespaces exist",
        Category::Kubernetes,
        None,
        Some("See those that exist with `kubectl get namespaces`."),
    ),
    (
        "kubernetes.nodes",
        "Every node is ready, under no pressure and not cordoned",
        Category::Kubernetes,
        None,
        Some("Look at one with `kubectl describe node NAME`."),
    ),
    (
        "kubernetes.pods",
        "Every pod is ready or has done its work",
        Category::Kubernetes,
        Some("What runs in these pods does not serve."),
        Some("Look at one with `kubectl describe pod NAME`."),
    ),
    (
        "kubernetes.deployments",
        "Deployments have all their pods, of the newest template, and are neither stuck nor paused",
        Category::Kubernetes,
        None,
        Some("Follow one with `kubectl rollout status deployment/NAME`."),
    ),
    (
        "kubernetes.statefulsets",
        "StatefulSets have all their pods, of the newest template",
        Category::Kubernetes,
        None,
        Some("Follow one with `kubectl rollout status statefulset/NAME`."),
    ),
    (
        "kubernetes.daemonsets",
        "DaemonSets have a ready pod on every node that is meant to have one",
        Category::Kubernetes,
        None,
        Some("Follow one with `kubectl rollout status daemonset/NAME`."),
    ),
    (
        "kubernetes.jobs",
        "No Job failed, runs longer than `longest-job` or is suspended; of a CronJob's, the newest counts",
        Category::Kubernetes,
        None,
        Some("Read its log with `kubectl logs job/NAME`."),
    ),
    (
        "kubernetes.cronjobs",
        "No CronJob is suspended, or was last scheduled longer ago than its schedule is ever silent",
        Category::Kubernetes,
        None,
        Some(
            "Let one go on with `kubectl patch cronjob NAME -p '{\"spec\":{\"suspend\":false}}'`.",
        ),
    ),
    (
        "kubernetes.volumes",
        "Volume claims are bound",
        Category::Kubernetes,
        Some("Pods that need the volume do not start."),
        Some("Look at one with `kubectl describe pvc NAME`."),
    ),
    (
        "kubernetes.autoscalers",
        "Autoscalers can measure, and are below their limit",
        Category::Kubernetes,
        None,
        Some("Look at one with `kubectl describe hpa NAME`."),
    ),
    (
        "kubernetes.services",
        "Services that select pods have a ready endpoint",
        Category::Kubernetes,
        Some("Requests to these services are refused."),
        Some("Compare a service's selector with the pods' labels: `kubectl get endpointslices`."),
    ),
    (
        "kubernetes.helm",
        "The newest revision of every Helm release is deployed",
        Category::Kubernetes,
        None,
        Some("See the revisions with `helm history NAME`, and go back with `helm rollback NAME`."),
    ),
    (
        "kubernetes.logs",
        "No container's log of the last ten minutes has more lines that tell of errors than `error-lines` allows",
        Category::Kubernetes,
        None,
        Some("Read one with `kubectl logs POD -c CONTAINER --since 10m`."),
    ),
    (
        "kubernetes.certificates",
        "Every Certificate of cert-manager, where there are such, is ready and was renewed when it was to be",
        Category::Kubernetes,
        Some("Clients refuse the connection once one has expired."),
        Some(
            "See what stops one with `cmctl status certificate NAME`, or `kubectl describe certificate NAME`.",
        ),
    ),
    (
        "kubernetes.external-secrets",
        "Every ExternalSecret, where there are such, is ready and was refreshed within two of its intervals",
        Category::Kubernetes,
        Some("Secrets stay as they were last, or are not made."),
        Some("See what stops one with `kubectl describe externalsecret NAME`."),
    ),
];

/// The checks of `config check` on a workload of a cluster, besides those of the variables.
const WORKLOAD: &[Known] = &[
    (
        "workload.container",
        "The container is there, and what it gets comes from where it says",
        Category::Kubernetes,
        None,
        None,
    ),
    (
        "workload.references",
        "Every ConfigMap, Secret and key that the container's environment needs is there",
        Category::Kubernetes,
        Some("A new pod does not start (CreateContainerConfigError)."),
        Some("Make what is missing, or mark it `optional: true` where it may be."),
    ),
    (
        "workload.expansion",
        "Every `$(NAME)` in a value leads to a variable that was set before",
        Category::Kubernetes,
        Some("The container gets the reference itself instead of a value."),
        Some("Put the variable that is used above the one that uses it."),
    ),
    (
        "workload.service-links",
        "No Service sets a variable of the platform, as one named `redis` sets `REDIS_PORT`",
        Category::Kubernetes,
        None,
        Some(
            "Set the variable yourself, or set `enableServiceLinks: false` in the pod's template.",
        ),
    ),
    (
        "workload.pods",
        "The pods that run were started after the newest change of what they are given",
        Category::Kubernetes,
        Some("They work with other values than those that are checked here."),
        Some("Start them anew with `kubectl rollout restart deployment/NAME`."),
    ),
];

/// The checks of `gate run`.
const GATE: &[Known] = &[
    (
        "backup.fresh",
        "The newest backup's data are younger than the policy's freshness",
        Category::Backups,
        Some("A disaster now would lose more than the policy allows."),
        CREATE,
    ),
    (
        "backup.none-missing",
        "Every backup that this host has seen is there, or somebody stated its removal",
        Category::Backups,
        None,
        Some(
            "Put it back from a copy, or say that it was removed on purpose: `summitctl backup forget BACKUP`.",
        ),
    ),
    (
        "backup.verified",
        "The newest backup was proved to the policy's level, by the signed ledger",
        Category::Backups,
        None,
        Some("Prove it with `summitctl backup verify`."),
    ),
    (
        "backup.consistent",
        "Each store of the newest backup shows one moment",
        Category::Backups,
        None,
        None,
    ),
    (
        "stores.must-agree",
        "The cross-store checks declared `must` hold, by the newest restore of the newest backup",
        Category::Backups,
        Some("A recovery brings the disagreement back as it is."),
        None,
    ),
    (
        "stores.agree",
        "The other cross-store checks hold, by the newest restore of the newest backup",
        Category::Backups,
        None,
        None,
    ),
    (
        "drill.recent",
        "A signed drill passed within the policy's interval",
        Category::Drills,
        Some("Nobody knows that the backups can be restored."),
        DRILL,
    ),
    (
        "drill.times",
        "The last drill kept RTO and RPO",
        Category::Drills,
        None,
        DRILL,
    ),
    (
        "evidence.sound",
        "Every record is signed and chained, and no run stayed open",
        Category::Evidence,
        None,
        Some("See the findings with `summitctl evidence verify`."),
    ),
    (
        "config.variables",
        "The platform's variables are present, strong and consistent",
        Category::Configuration,
        None,
        Some("See each with `summitctl config check`."),
    ),
    (
        "smoke",
        "Smoke passes now",
        Category::Platform,
        None,
        Some("See each probe with `summitctl smoke`."),
    ),
];

/// The checks of `doctor`, besides those of smoke that it shares.
const DOCTOR: &[Known] = &[
    (
        "machine.state-folder",
        "The state folder can be written",
        Category::Machine,
        Some("No run can be journalled, so nothing can be changed."),
        Some("Name a folder that you may write to with `--state-dir DIR`."),
    ),
    (
        "machine.space-state",
        "At least 1 GiB is free where the state folder is",
        Category::Machine,
        Some("A drill restores to scratch servers there, and may run out of space."),
        Some("Free space there, or put the folder elsewhere with `--state-dir DIR`."),
    ),
    (
        "machine.scratch",
        super::doctor::SCRATCH,
        Category::Machine,
        Some("Servers run on with restored data in the clear."),
        Some(
            "Go on with the run that left them, `summitctl run resume RUN`, or end it with `summitctl run abort RUN`.",
        ),
    ),
    (
        "machine.space-repository",
        "At least 1 GiB is free where the repository is",
        Category::Machine,
        Some("A backup may run out of space; what is half-written does not count."),
        Some("Free space there."),
    ),
    (
        "machine.clock",
        "This clock and the Postgres server's are at most 5 seconds apart",
        Category::Machine,
        Some("Recovery points and signatures carry doubtful times."),
        Some("Let both machines keep time with NTP: `timedatectl set-ntp true`."),
    ),
    (
        "tools.redis-server",
        "`redis-server` or `valkey-server` is on this machine",
        Category::Tools,
        Some("A drill cannot start a scratch Redis here."),
        Some("Install it, on Debian with `apt-get install redis-server`."),
    ),
    (
        "tools.java",
        "A Java runtime is on this machine",
        Category::Tools,
        Some("A drill cannot start a scratch Neo4j here."),
        Some("Install it, on Debian with `apt-get install default-jre-headless`."),
    ),
    (
        "postgres.tools",
        "`pg_dump` and `pg_restore` are here, in a version that fits the server",
        Category::Tools,
        Some("Postgres can be neither backed up nor restored from this machine."),
        Some("Install the client of the server's version, on Debian `postgresql-client-VERSION`."),
    ),
    (
        "postgres.sees-everything",
        "The Postgres role may read every row, whatever row-level security says",
        Category::Datastores,
        Some("A backup of a table that the role sees in part is refused."),
        Some(
            "As an administrator: `GRANT pg_read_all_data TO role;` and `ALTER ROLE role BYPASSRLS;`.",
        ),
    ),
    (
        "context.resolves",
        "The context and every secret that it refers to can be read",
        Category::Configuration,
        Some("No command can work on the context."),
        Some("See each setting and where it came from with `summitctl config show`."),
    ),
    (
        "repository.opens",
        "The backup repository opens, and this host's key may sign for it",
        Category::Backups,
        Some("No backup can be made."),
        None,
    ),
    (
        "repository.key",
        "An identity on this machine opens the repository's keys",
        Category::Secrets,
        Some("No backup can be restored from this machine."),
        None,
    ),
    (
        "bucket.versioning",
        "The repository's bucket keeps older versions of objects",
        Category::Backups,
        Some("A deleted or overwritten object is gone."),
        Some("Turn on the bucket's versioning."),
    ),
    (
        "bucket.lifecycle",
        "No lifecycle rule of the repository's bucket deletes or freezes what is in use",
        Category::Backups,
        Some(
            "Backups share objects of any age: a rule that expires old ones damages every backup.",
        ),
        Some("Keep such rules away from the repository's prefix."),
    ),
    (
        "bucket.public-access",
        "The repository's bucket cannot be reached by everybody",
        Category::Backups,
        Some(
            "Backups are encrypted, but their sizes, times and number can be read, or more than that be changed.",
        ),
        Some("Block public access of the bucket."),
    ),
    (
        "bucket.object-lock",
        "Objects of the repository cannot be deleted before their time",
        Category::Backups,
        Some("Whoever takes over this host can delete its backups."),
        Some(
            "Use a bucket with Object Lock, and set `object-lock` and `retain-for` in the context's `repository.s3` section.",
        ),
    ),
    (
        "bucket.encryption",
        "The repository's bucket encrypts by default",
        Category::Backups,
        None,
        None,
    ),
    (
        "bucket.replication",
        "The repository's bucket is copied elsewhere",
        Category::Backups,
        None,
        None,
    ),
    (
        "repository.key-proven",
        "An identity was seen to open a backup lately",
        Category::Secrets,
        Some("The backups may be unreadable, and nobody would know."),
        Some("Where an operator's identity is, run `summitctl backup verify --key-check`."),
    ),
    (
        "evidence.verifies",
        "The evidence is signed by trusted keys, and its chains are whole",
        Category::Evidence,
        Some("What was done cannot be proved."),
        Some("See the findings with `summitctl evidence verify`."),
    ),
];

/// The checks of `restore --can-i`, besides those of smoke that it shares.
const RESTORE: &[Known] = &[
    (
        "restore.reads-backup",
        "The keys on this machine open the backup",
        Category::Backups,
        Some("The backup cannot be restored from this machine."),
        Some("Set `identity` in the context's `repository` section to an operator's age identity."),
    ),
    (
        "restore.verified",
        "The signed ledger holds a level for the backup",
        Category::Backups,
        None,
        Some("Prove it with `summitctl backup verify`."),
    ),
    (
        "restore.safety",
        "The target's present state can be saved before it is replaced",
        Category::Backups,
        Some("The restore is refused."),
        Some("Give the context a repository, or restore with `--without-safety-backup REASON`."),
    ),
    (
        "restore.server",
        "The Postgres server takes writes and is not older than the captured one",
        Category::Datastores,
        Some("The backup cannot be loaded there."),
        Some("Restore to another server with `--into CONTEXT`."),
    ),
    (
        "restore.tools",
        "`pg_restore` is here, in a version that fits the server and the backup",
        Category::Tools,
        Some("Postgres cannot be restored from this machine."),
        Some("Install the client of the server's version, on Debian `postgresql-client-VERSION`."),
    ),
    (
        "restore.extensions",
        "Every captured extension can be made on the server",
        Category::Datastores,
        Some("The schema cannot be restored."),
        Some("Install the extension's package on the server."),
    ),
    (
        "restore.roles",
        "Every role that the backup names is on the server, and is ours to give objects to",
        Category::Datastores,
        Some("Owners and grants are left out of the restore."),
        Some("Create the roles, and make the one that restores a member of each."),
    ),
    (
        "restore.creates",
        "The role that restores may create databases",
        Category::Datastores,
        Some("There is no place to load the backup into."),
        Some("As an administrator: `ALTER ROLE role CREATEDB;`."),
    ),
    (
        "restore.name",
        "No database has the name that `--as` gives",
        Category::Datastores,
        Some("The restore is refused."),
        Some("Choose another name."),
    ),
    (
        "restore.renames",
        "The role that restores may rename the live database",
        Category::Datastores,
        Some("The restored database cannot be swapped in."),
        Some("As an administrator: `GRANT owner TO role;`."),
    ),
    (
        "restore.sessions",
        "Every session of the live database can be ended, and no prepared transaction holds it",
        Category::Datastores,
        Some("The restored database cannot be swapped in."),
        Some("As an administrator: `GRANT pg_signal_backend TO role;`."),
    ),
    (
        "restore.space",
        "The server's disk has room for what is loaded, where that can be measured",
        Category::Datastores,
        Some("The load may fill the server's disk."),
        Some("Free space there first."),
    ),
];

/// The checks of smoke, gate, doctor, `restore --can-i` and `config check`, each once.
pub fn all() -> Vec<FindingInfo> {
    let stores = Store::ALL.into_iter().map(|store| FindingInfo {
        id: smoke::store_check(store).to_owned(),
        title: format!("{store} answers, asked directly"),
        category: Category::Datastores.title().to_owned(),
        impact: Some(smoke::impact(store).to_owned()),
        hint: CONNECTION.map(str::to_owned),
    });
    let pins = Store::ALL.into_iter().map(|store| FindingInfo {
        id: format!("pin.{store}"),
        title: format!("The {store} target is the one that was pinned"),
        category: Category::Configuration.title().to_owned(),
        impact: Some("Every change on the context is refused.".to_owned()),
        hint: Some(
            "If the target is right, pin it with `summitctl context pin`, or with `--replace` if it was pinned before."
                .to_owned(),
        ),
    });
    let known = SMOKE
        .iter()
        .chain(KUBERNETES)
        .chain(WORKLOAD)
        .chain(GATE)
        .chain(DOCTOR)
        .chain(RESTORE);
    let fixed = known.map(|(id, title, category, impact, hint)| FindingInfo {
        id: (*id).to_owned(),
        title: (*title).to_owned(),
        category: category.title().to_owned(),
        impact: impact.map(str::to_owned),
        hint: hint.map(str::to_owned),
    });
    let configured = check::catalog().into_iter().map(|check| FindingInfo {
        id: check.id,
        title: sentence(&check.title),
        category: check.category.title().to_owned(),
        impact: check.impact,
        hint: check
            .hint
            .or_else(|| Some("See what was found with `summitctl config check`.".to_owned())),
    });
    let access = smoke::kubernetes::access::catalog().map(|(id, title)| FindingInfo {
        id,
        title,
        category: Category::Kubernetes.title().to_owned(),
        impact: Some(smoke::kubernetes::access::IMPACT.to_owned()),
        hint: Some("Print a Role with all that is needed with `summitctl kube rbac`.".to_owned()),
    });
    stores
        .chain(fixed)
        .chain(access)
        .chain(pins)
        .chain(configured)
        .collect()
}

/// A title as the others begin theirs.
pub fn sentence(title: &str) -> String {
    let mut letters = title.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(letters).collect()
    })
}
