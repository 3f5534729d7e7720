//! Leases: one holder, dead ones replaced, lost ones noticed.

use summitctl::engine::lease::{FileLeases, HELD, Holder, LOST, Lease as _};

use crate::fakes::TempDir;

#[tokio::test]
async fn one_run_holds_it_and_dropping_releases_it() {
    let dir = TempDir::new("lease");
    let leases = FileLeases::at(&dir.0);
    let names = ["postgres a".to_owned(), "redis a".to_owned()];
    let held = leases.acquire(&names, "run-1", "restore").unwrap();
    held.check().await.unwrap();
    assert_eq!(leases.list().unwrap().len(), 2);
    let refused = leases
        .acquire(&names[1..], "run-2", "backup create")
        .unwrap_err();
    assert_eq!(refused.reason(), &HELD);
    assert!(refused.to_string().contains("run-1"), "{refused}");
    drop(held);
    assert!(leases.list().unwrap().is_empty());
    leases.acquire(&names, "run-2", "backup create").unwrap();
}

#[tokio::test]
async fn a_dead_holder_is_replaced_and_another_host_never_is() {
    let dir = TempDir::new("dead");
    let leases = FileLeases::at(&dir.0);
    let name = ["t".to_owned()];
    let lease = leases.acquire(&name, "run-1", "x").unwrap();
    let path = std::fs::read_dir(&dir.0)
        .unwrap()
        .flatten()
        .next()
        .unwrap()
        .path();
    let mut holder: Holder = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    holder.process.start_ticks += 1;
    std::fs::write(&path, serde_json::to_vec(&holder).unwrap()).unwrap();
    assert_eq!(lease.check().await.unwrap_err().reason(), &LOST);
    drop(leases.acquire(&name, "run-2", "x").unwrap());
    holder.host = "elsewhere".into();
    std::fs::write(&path, serde_json::to_vec(&holder).unwrap()).unwrap();
    assert_eq!(
        leases.acquire(&name, "run-2", "x").unwrap_err().reason(),
        &HELD
    );
    assert_eq!(leases.break_lease("t").unwrap().unwrap().host, "elsewhere");
    leases.acquire(&name, "run-2", "x").unwrap();
}

#[test]
fn of_many_takers_exactly_one_wins() {
    let dir = TempDir::new("race");
    for round in 0..20 {
        let leases = FileLeases::at(dir.0.join(round.to_string()));
        let wins: usize = std::thread::scope(|scope| {
            let takers: Vec<_> = (0..8)
                .map(|n| {
                    let leases = leases.clone();
                    scope.spawn(move || {
                        let lease = leases.acquire(&["t".to_owned()], &format!("run-{n}"), "x");
                        let won = usize::from(lease.is_ok());
                        std::mem::forget(lease);
                        won
                    })
                })
                .collect();
            takers.into_iter().map(|t| t.join().unwrap()).sum()
        });
        assert_eq!(wins, 1, "round {round}");
    }
}
