//! The step kinds: one file each, and one line in [`registry`].

use crate::engine::registry::Registry;

pub mod capture;
pub mod choose;
pub mod config_check;
pub mod copies;
pub mod cross;
pub mod databases;
pub mod dns;
pub mod drill;
pub mod evidence;
pub mod exec;
pub mod export;
pub mod forget;
pub mod found;
pub mod gate;
pub mod health;
pub mod import;
pub mod keep;
pub mod keys;
pub mod kube;
pub mod load;
pub mod manual;
pub mod mend;
pub mod mend_graph;
pub mod mend_roles;
pub mod migrate;
pub mod migrate_job;
pub mod offline;
pub mod pin;
pub mod place;
pub mod posture;
pub mod preview;
pub mod probe;
pub mod restore;
pub mod roles;
pub mod smoke;
pub mod stores;
pub mod sub_runbook;
pub mod swap_back;
pub mod table;
pub mod unblock;
pub mod variables;
pub mod verify;
pub mod world;

use world::World;

/// Every step kind of this version.
pub fn registry() -> Registry<World> {
    Registry::default()
        .with(pin::Pin)
        .with_look(smoke::Smoke)
        .with(smoke::data_plane::DataPlaneProbe)
        .with(found::Init)
        .with(capture::Capture)
        .with(capture::Commit)
        .with(import::Import)
        .with(verify::Verify)
        .with(export::Export)
        .with(keep::Prune)
        .with(keep::Hold)
        .with(forget::Forget)
        .with(copies::CopyBackups)
        .with(keys::Operators)
        .with(keys::NewEpoch)
        .with(keys::CheckKey)
        .with(load::Load)
        .with(mend::MendCopy)
        .with(mend_graph::MendGraph)
        .with(mend_roles::MendRoles)
        .with(restore::Swap)
        .with(swap_back::SwapBack)
        .with(table::Table)
        .with(table::TableAway)
        .with(migrate::ClearLock)
        .with(unblock::Unblock)
        .with(drill::Drill)
        .with_look(migrate::ShowLock)
        .with_look(migrate::status::ShowStatus)
        .with_look(migrate_job::ShowJob)
        .with_look(gate::Gate)
        .with_look(evidence::VerifyEvidence)
        .with_look(manual::Manual)
        .with_look(sub_runbook::SubRunbook)
        .with_look(probe::HttpProbe)
        .with_look(probe::PortProbe)
        .with_look(dns::LookUp)
        .with_look(health::StoreHealth)
        .with_look(health::Neo4jTopology)
        .with_look(config_check::ConfigCheck)
        .with(kube::scale::KubeScale)
        .with(kube::rollout::RolloutUndo)
        .with(kube::set::KubeSet)
        .with(kube::job::RunJob)
        .with(exec::Exec)
}
