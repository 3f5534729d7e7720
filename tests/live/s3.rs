//! Repositories on object stores: versitygw always, MinIO where `SUMMITCTL_TEST_MINIO` asks for it, and where `SUMMITCTL_TEST_GARAGE`
//! does, Garage as one that is refused.

mod contract;
mod faults;
mod fetched;
mod flow;
mod memory;
mod places;
mod proxy;
mod server;
mod wire;
