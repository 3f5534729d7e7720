//! Backups, restores and drills as plans: which steps, in which order, needing what.

use serde_json::{Value, json};

use crate::engine::plan::{Spec, StepSpec};
use crate::error::{Error, Result};
use crate::identity::Store;
use crate::reasons;
use crate::repository::BackupId;
use crate::steps::world::World;

reasons! {
    /// The reason for going without a safety backup is empty.
    NO_REASON = "restore.no-reason", Usage, "Going without a safety backup needs a reason, which stands in the evidence.";
}

/// A request about some stores of a world; looks at their identities.
async fn spec(
    world: &World,
    operation: &str,
    title: String,
    stores: &[Store],
    steps: Vec<StepSpec>,
) -> Result<Spec> {
    Ok(Spec {
        operation: operation.to_owned(),
        title,
        context: world.context.clone(),
        tier: world.tier,
        identities: world.identities(stores).await?,
        params: Value::Object(Default::default()),
        steps,
    })
}

fn named(stores: &[Store]) -> String {
    stores
        .iter()
        .map(|s| s.name())
        .collect::<Vec<_>>()
        .join(", ")
}

/// The steps that capture stores and publish the backup. All captures side by side; the manifest last.
fn capture_steps(
    stores: &[Store],
    labels: &[String],
    prefix: &str,
    needs: &[&str],
) -> Vec<StepSpec> {
    let id = |store: &Store| format!("{prefix}{store}");
    let mut steps: Vec<StepSpec> = stores
        .iter()
        .map(|store| {
            StepSpec::new(
                id(store),
                "backup.capture",
                json!({"store": store, "backup": "${ run.id }"}),
                needs,
            )
        })
        .collect();
    let needs: Vec<String> = stores.iter().map(id).collect();
    let needs: Vec<&str> = needs.iter().map(String::as_str).collect();
    let args = json!({"backup": "${ run.id }", "stores": stores, "labels": labels});
    steps.push(StepSpec::new(
        format!("{prefix}commit"),
        "backup.commit",
        args,
        &needs,
    ));
    steps
}

/// `backup create`: pin, capture, publish, and prove that every object is whole.
pub async fn create(world: &World, stores: &[Store], labels: &[String]) -> Result<Spec> {
    let stores = world.stores(stores)?;
    if stores.is_empty() {
        return Err(world.lacks("postgres"));
    }
    let mut steps = vec![StepSpec::new(
        "pin",
        "context.pin",
        json!({"stores": stores}),
        &[],
    )];
    steps.extend(capture_steps(&stores, labels, "", &["pin"]));
    steps.push(StepSpec::new(
        "verify",
        "backup.verify",
        json!({"backup": "${ run.id }", "level": 1}),
        &["commit"],
    ));
    spec(
        world,
        "backup create",
        format!("back up {}", named(&stores)),
        &stores,
        steps,
    )
    .await
}

/// `backup verify`.
pub async fn verify(world: &World, backup: &BackupId, level: u8) -> Result<Spec> {
    let steps = vec![StepSpec::new(
        "verify",
        "backup.verify",
        json!({"backup": backup, "level": level}),
        &[],
    )];
    spec(
        world,
        "backup verify",
        format!("verify backup {backup} to level {level}"),
        &[],
        steps,
    )
    .await
}

/// `drill run`.
pub async fn drill(world: &World, backup: &BackupId) -> Result<Spec> {
    let steps = vec![StepSpec::new(
        "drill",
        "drill.run",
        json!({"backup": backup}),
        &[],
    )];
    spec(
        world,
        "drill run",
        format!("drill the recovery of backup {backup}"),
        &[],
        steps,
    )
    .await
}

/// `context pin`.
pub async fn pin(world: &World, replace: bool) -> Result<Spec> {
    let stores = world.stores(&[])?;
    let steps = vec![StepSpec::new(
        "pin",
        "context.pin",
        json!({"stores": stores, "replace": replace}),
        &[],
    )];
    spec(
        world,
        "context pin",
        "pin the targets".to_owned(),
        &stores,
        steps,
    )
    .await
}

/// `smoke --data-plane`.
pub async fn data_plane(world: &World) -> Result<Spec> {
    let steps = vec![StepSpec::new(
        "data-plane",
        "smoke.data-plane",
        json!({}),
        &[],
    )];
    let stores = world.stores(&[])?;
    spec(
        world,
        "smoke data-plane",
        "follow a write through the platform".to_owned(),
        &stores,
        steps,
    )
    .await
}

/// `restore`: check the backup, save the present state, load beside and compare, then put it in place, and pin anew.
pub async fn restore(
    world: &World,
    backup: &BackupId,
    held: &[Store],
    wanted: &[Store],
    without_safety: Option<&str>,
) -> Result<Spec> {
    if without_safety.is_some_and(|reason| reason.trim().len() < 3) {
        return Err(Error::new(
            &NO_REASON,
            "`--without-safety-backup` needs a reason",
        ));
    }
    let mut stores = world.stores(wanted)?;
    if let Some(missing) = wanted.iter().find(|s| !held.contains(s)) {
        return Err(
            Error::input(format!("backup `{backup}` holds no {missing}")).hint(format!(
                "See what it holds with `summitctl backup show {backup} --context {}`.",
                world.context
            )),
        );
    }
    stores.retain(|s| held.contains(s));
    let mut steps = vec![
        StepSpec::new("pinned", "context.pin", json!({"stores": stores}), &[]),
        StepSpec::new(
            "check",
            "backup.verify",
            json!({"backup": backup, "level": 2}),
            &["pinned"],
        ),
    ];
    let ready = match without_safety {
        Some(_) => "check",
        None => {
            let labels = vec!["safety".to_owned(), format!("before-{backup}")];
            steps.extend(capture_steps(&stores, &labels, "safety-", &["check"]));
            "safety-commit"
        }
    };
    let mut swaps = Vec::new();
    // Postgres first: it is the one that can be compared before anything is touched, and swapped back.
    let mut previous = ready.to_owned();
    for store in &stores {
        let mut args = json!({"store": store, "backup": backup});
        if *store == Store::Postgres {
            steps.push(StepSpec::new(
                "load-postgres",
                "restore.load",
                json!({"backup": backup}),
                &[&previous],
            ));
            args["aside"] = json!("${ steps['load-postgres'].out.aside }");
            previous = "load-postgres".to_owned();
        }
        let id = format!("swap-{store}");
        steps.push(StepSpec::new(
            id.clone(),
            "restore.swap",
            args,
            &[&previous],
        ));
        previous.clone_from(&id);
        swaps.push(id);
    }
    steps.push(StepSpec::new(
        "pin",
        "context.pin",
        json!({"stores": stores, "replace": true}),
        &[&previous],
    ));
    let mut spec = spec(
        world,
        "restore",
        format!("restore {} from backup {backup}", named(&stores)),
        &stores,
        steps,
    )
    .await?;
    spec.params = json!({"without-safety-backup": without_safety});
    Ok(spec)
}
