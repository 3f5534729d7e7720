//! Repositories on object stores: versitygw always, MinIO where `SUMMITCTL_TEST_MINIO` asks for it, and where `SUMMITCTL_TEST_GARAGE`
//! does, Garage as one that is refused.

mod contract;
mod faults;
mod flow;
mod proxy;
mod server;
mod wire;
