//! Repositories on object stores: versitygw always, MinIO where `SUMMITCTL_TEST_MINIO` asks for it, and where `SUMMITCTL_TEST_GARAGE`
//! does, Garage as one that is refused.

mod contract;
mod faults;
mod fetched;
mod flow;
mod healed;
mod keys;
mod killed;
mod memory;
mod places;
mod posture;
mod proxy;
mod pruned;
mod server;
mod wire;
