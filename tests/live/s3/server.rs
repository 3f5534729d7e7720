//! An S3 server of a test's own, and the client that sets its buckets up.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::types::{
    BucketLifecycleConfiguration, BucketVersioningStatus, ExpirationStatus, LifecycleExpiration,
    LifecycleRule, LifecycleRuleFilter, VersioningConfiguration,
};
use summitctl::repository::S3Place;
use summitctl::repository::s3::AccessKeys;
use summitctl::sandbox::servers::free_port;
use summitctl::secret::Secret;

pub const KEY: &str = "summitctl-test";
/// Looked for in everything that the program prints and writes.
pub const SECRET: &str = "canary-bucket-secret-7f3a9c";
/// The key that MinIO encrypts with where it is asked to.
pub const KMS_KEY: &str = "test-key";
/// Asks for MinIO in the environment.
const MINIO: &str = "SUMMITCTL_TEST_MINIO";
/// Asks for Garage.
const GARAGE: &str = "SUMMITCTL_TEST_GARAGE";

/// Whether this run tests Garage too.
pub fn garage_wanted() -> bool {
    std::env::var_os(GARAGE).is_some()
}

/// The servers that this run tests and that may hold a repository.
pub fn kinds() -> Vec<Kind> {
    let mut kinds = vec![Kind::Versity];
    if std::env::var_os(MINIO).is_some() {
        kinds.push(Kind::Minio);
    }
    kinds
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Versity,
    Minio,
    /// Which knows no condition on a write.
    Garage,
}

pub struct Server {
    child: Child,
    pub dir: PathBuf,
    pub port: u16,
    setup: Setup,
}

/// Whom versitygw lets in, and what it takes itself for.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    pub key: &'static str,
    pub secret: &'static str,
    pub region: &'static str,
    /// The name below which each bucket has one.
    pub domain: Option<&'static str>,
    /// Whether it knows versions. Without them it refuses to delete what is locked.
    pub versions: bool,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            key: KEY,
            secret: SECRET,
            region: "us-east-1",
            domain: None,
            versions: true,
        }
    }
}

/// A program on `PATH`, or where `make setup` put it.
fn program(name: &str) -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| Path::new(&std::env::var("HOME").unwrap()).join(".cache"));
    let ours = cache.join("summitctl/servers/s3");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.push(ours);
    let found = folders
        .iter()
        .map(|folder| folder.join(name))
        .find(|path| path.is_file());
    found.unwrap_or_else(|| {
        panic!("`{name}` is missing: run `make setup`, for minio with {MINIO}=1, for garage with {GARAGE}=1")
    })
}

pub fn folder(name: &str) -> PathBuf {
    let mut bytes = [0_u8; 5];
    getrandom::fill(&mut bytes).unwrap();
    let tag: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    let dir = std::env::temp_dir().join(format!("summitctl-s3-{name}-{tag}"));
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

impl Server {
    pub async fn start(kind: Kind) -> Server {
        Server::start_as(kind, Setup::default()).await
    }

    pub async fn start_as(kind: Kind, setup: Setup) -> Server {
        let dir = folder("server");
        let port = free_port().unwrap();
        let at = format!("127.0.0.1:{port}");
        let data = dir.join("data");
        std::fs::create_dir(&data).unwrap();
        let mut command = match kind {
            Kind::Versity => {
                let (versions, users) = (dir.join("versions"), dir.join("users"));
                std::fs::create_dir(&versions).unwrap();
                std::fs::create_dir(&users).unwrap();
                let mut command = Command::new(program("versitygw"));
                command
                    .args(["--port", &at, "--quiet", "--region", setup.region])
                    .arg("--iam-dir")
                    .arg(users);
                if let Some(domain) = setup.domain {
                    command.args(["--virtual-domain", domain]);
                }
                command.arg("posix");
                if setup.versions {
                    command.arg("--versioning-dir").arg(versions);
                }
                command.arg(&data);
                command
                    .env("ROOT_ACCESS_KEY", setup.key)
                    .env("ROOT_SECRET_KEY", setup.secret);
                command
            }
            Kind::Minio => {
                let mut command = Command::new(program("minio"));
                command
                    .args(["server", "--quiet", "--address", &at])
                    .arg(&data);
                command
                    .env("MINIO_ROOT_USER", KEY)
                    .env("MINIO_ROOT_PASSWORD", SECRET);
                command.env("MINIO_BROWSER", "off");
                // A key service of one key, for SSE-KMS.
                let key = format!("{KMS_KEY}:{}", "A".repeat(43) + "=");
                command.env("MINIO_KMS_SECRET_KEY", key);
                command
            }
            Kind::Garage => {
                let (config, rpc) = (dir.join("garage.toml"), free_port().unwrap());
                let text = format!(
                    "metadata_dir = {:?}\ndata_dir = {data:?}\ndb_engine = \"sqlite\"\nreplication_factor = 1\n\
                     rpc_bind_addr = \"127.0.0.1:{rpc}\"\nrpc_public_addr = \"127.0.0.1:{rpc}\"\nrpc_secret = \"{}\"\n\
                     [s3_api]\napi_bind_addr = \"{at}\"\ns3_region = \"us-east-1\"\n",
                    dir.join("metadata"),
                    "ab".repeat(32),
                );
                std::fs::write(&config, text).unwrap();
                let mut command = Command::new(program("garage"));
                command.arg("--config").arg(config);
                command.args(["server", "--single-node", "--default-access-key"]);
                command.env("GARAGE_DEFAULT_ACCESS_KEY", KEY);
                command.env("GARAGE_DEFAULT_SECRET_KEY", SECRET);
                command
            }
        };
        let log = std::fs::File::create(dir.join("log")).unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let server = Server {
            child,
            dir,
            port,
            setup,
        };
        let deadline = Instant::now() + Duration::from_secs(30);
        while server.admin().list_buckets().send().await.is_err() {
            let log = std::fs::read_to_string(server.dir.join("log")).unwrap();
            assert!(Instant::now() < deadline, "{kind:?} does not answer: {log}");
            std::thread::park_timeout(Duration::from_millis(20));
        }
        server
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The file that holds an object of versitygw.
    pub fn file(&self, key: &str) -> PathBuf {
        self.dir.join("data").join(key)
    }

    pub fn admin(&self) -> Client {
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .endpoint_url(self.endpoint())
            .region(Region::new(self.setup.region))
            .force_path_style(true)
            .credentials_provider(Credentials::new(
                self.setup.key,
                self.setup.secret,
                None,
                None,
                "test",
            ));
        Client::from_conf(config.build())
    }

    pub async fn bucket(&self, name: &str) {
        self.admin()
            .create_bucket()
            .bucket(name)
            .send()
            .await
            .unwrap();
    }

    /// Changes a bit of some object behind the repository's back.
    pub async fn flip(&self, bucket: &str, prefix: &str) {
        let admin = self.admin();
        let list = admin.list_objects_v2().bucket(bucket).prefix(prefix);
        let listed = list.send().await.unwrap();
        let key = listed.contents()[0].key().unwrap();
        let object = admin
            .get_object()
            .bucket(bucket)
            .key(key)
            .send()
            .await
            .unwrap();
        let mut bytes = object.body.collect().await.unwrap().to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        let put = admin.put_object().bucket(bucket).key(key);
        put.body(bytes.into()).send().await.unwrap();
    }

    /// Has everything expire after a month; `false` if the store knows no such rules.
    pub async fn expire(&self, bucket: &str) -> bool {
        let rule = LifecycleRule::builder()
            .id("tidy")
            .status(ExpirationStatus::Enabled)
            .filter(LifecycleRuleFilter::builder().prefix("").build())
            .expiration(LifecycleExpiration::builder().days(30).build())
            .build()
            .unwrap();
        let rules = BucketLifecycleConfiguration::builder().rules(rule).build();
        let put = self.admin().put_bucket_lifecycle_configuration();
        let put = put.bucket(bucket).lifecycle_configuration(rules.unwrap());
        put.send().await.is_ok()
    }

    pub async fn expire_nothing(&self, bucket: &str) {
        let _ = self
            .admin()
            .delete_bucket_lifecycle()
            .bucket(bucket)
            .send()
            .await;
    }

    /// A bucket with Object Lock.
    pub async fn locking(&self, name: &str) {
        let made = self.admin().create_bucket().bucket(name);
        let made = made.object_lock_enabled_for_bucket(true).send().await;
        made.unwrap();
    }

    pub async fn versioned(&self, name: &str) {
        let on = VersioningConfiguration::builder()
            .status(BucketVersioningStatus::Enabled)
            .build();
        let put = self.admin().put_bucket_versioning().bucket(name);
        put.versioning_configuration(on).send().await.unwrap();
    }

    /// A user who may do nothing yet.
    pub fn user(&self, key: &str, secret: &str) {
        let made = Command::new(program("versitygw"))
            .args(["admin", "--access", KEY, "--secret", SECRET])
            .args(["--endpoint-url", &self.endpoint(), "create-user"])
            .args(["--access", key, "--secret", secret, "--role", "user"])
            .output()
            .unwrap();
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
    }

    pub fn place(&self, bucket: &str, prefix: &str) -> S3Place {
        place(&self.endpoint(), bucket, prefix)
    }
}

pub fn place(endpoint: &str, bucket: &str, prefix: &str) -> S3Place {
    S3Place {
        bucket: bucket.to_owned(),
        prefix: prefix.to_owned(),
        region: Some("us-east-1".to_owned()),
        endpoint: Some(endpoint.to_owned()),
        path_style: None,
        storage_class: None,
        kms_key: None,
        lock: None,
        keys: Some(keys(KEY, SECRET)),
        tls_ca: None,
    }
}

pub fn keys(id: &str, secret: &str) -> AccessKeys {
    AccessKeys {
        id: Secret::new(id),
        secret: Secret::new(secret),
        session_token: None,
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
