//! Kubernetes: what `smoke` and `doctor` see of a real API server, scheduler and controllers.

mod acts;
mod cluster;
mod config;
mod extension;
mod holder;
mod reach;
mod smoke;
