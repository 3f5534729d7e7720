//! Repositories on object stores: versitygw always, and MinIO where `SUMMITCTL_TEST_MINIO` asks for it.

mod contract;
mod faults;
mod flow;
mod proxy;
mod server;
