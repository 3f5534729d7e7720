//! A Kubernetes of the tests' own: etcd, API server, controllers and scheduler from one binary, and a kubelet that runs
//! containers as processes. The tests of a run share one, each in a namespace of its own; the last that holds it stops it.

use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Weak};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Node, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, Role, RoleBinding};
use kube::api::{Api, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use summitctl::error::Error;
use summitctl::providers::kubernetes::Namespaced;
use summitctl::sandbox::servers::free_port;
use summitctl::wait::{Deadline, Look, poll};
use tokio::sync::Mutex;

/// Generous: the machine may be busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(180);
/// The administrator's token: looked for in all that the program prints.
pub const ADMIN_TOKEN: &str = "canary-admin-token-5b1e77";
/// Controllers that the checks look at.
const CONTROLLERS: &str = "serviceaccount-controller,serviceaccount-token-controller,root-ca-certificate-publisher-controller,\
     namespace-controller,garbage-collector-controller,job-controller,cronjob-controller,deployment-controller,\
     replicaset-controller,statefulset-controller,daemonset-controller,endpointslice-controller,resourcequota-controller,\
     horizontal-pod-autoscaler-controller,persistentvolume-binder-controller,clusterrole-aggregation-controller";

pub struct Cluster {
    pub dir: PathBuf,
    pub server: String,
    children: Vec<(&'static str, Child)>,
}

static SHARED: Mutex<Weak<Cluster>> = Mutex::const_new(Weak::new());

impl Cluster {
    /// The cluster of this run of tests, started by whoever asks first.
    pub async fn shared() -> Arc<Cluster> {
        let mut shared = SHARED.lock().await;
        if let Some(running) = shared.upgrade() {
            return running;
        }
        let started = Arc::new(Cluster::start("shared").await);
        *shared = Arc::downgrade(&started);
        started
    }

    pub async fn start(name: &str) -> Cluster {
        let mut last = String::new();
        // A port can be taken between its choice and its use.
        for _ in 0..3 {
            match Cluster::try_start(&folder(name)).await {
                Ok(cluster) => return cluster,
                Err(error) => last = error,
            }
        }
        panic!("no cluster: {last}");
    }

    async fn try_start(dir: &Path) -> Result<Cluster, String> {
        certificates(dir);
        let port = || free_port().unwrap();
        let (api, etcd, peer) = (port(), port(), port());
        let mut cluster = Cluster {
            dir: dir.to_owned(),
            server: format!("https://127.0.0.1:{api}"),
            children: Vec::new(),
        };
        cluster.write_kubeconfig();
        let (etcd, peer) = (
            format!("http://127.0.0.1:{etcd}"),
            format!("http://127.0.0.1:{peer}"),
        );
        let args = |text: String| {
            text.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        cluster.run("control-plane", args(format!(
            "etcd --data-dir=etcd --listen-client-urls={etcd} --advertise-client-urls={etcd} --listen-peer-urls={peer} \
             --initial-advertise-peer-urls={peer} --initial-cluster=default={peer} --unsafe-no-fsync --log-level=error"
        )));
        cluster.run("control-plane", args(format!(
            "kube-apiserver --etcd-servers={etcd} --bind-address=127.0.0.1 --secure-port={api} --tls-cert-file=server.crt \
             --tls-private-key-file=server.key --client-ca-file=ca.crt --token-auth-file=tokens.csv \
             --service-account-issuer=https://kubernetes.default.svc --service-account-key-file=accounts.pub \
             --service-account-signing-key-file=accounts.key --service-cluster-ip-range=10.0.0.0/24 \
             --authorization-mode=Node,RBAC --endpoint-reconciler-type=none --kubelet-preferred-address-types=InternalIP \
             --kubelet-certificate-authority=ca.crt --disable-admission-plugins=TaintNodesByCondition"
        )));
        let client = cluster.client("admin").await;
        cluster
            .until("the API server and its own roles", || async {
                let bindings: Api<ClusterRoleBinding> = Api::all(client.clone());
                let of_everybody = bindings.get("system:basic-user").await;
                of_everybody.map(drop).map_err(|e| e.to_string())
            })
            .await?;
        cluster.run("control-plane", args(format!(
            "kube-controller-manager --kubeconfig=kubeconfig --leader-elect=false --bind-address=127.0.0.1 --secure-port={} \
             --service-account-private-key-file=accounts.key --root-ca-file=ca.crt --controllers={CONTROLLERS}",
            port()
        )));
        cluster.run("control-plane", args(format!(
            "kube-scheduler --kubeconfig=kubeconfig --leader-elect=false --bind-address=127.0.0.1 --secure-port={}",
            port()
        )));
        cluster.run("process-kubelet", args(format!(
            "-kubeconfig kubeconfig -listen 127.0.0.1:{} -cert server.crt -key server.key -dir pods",
            port()
        )));
        let nodes: Api<Node> = Api::all(client.clone());
        let accounts: Api<ServiceAccount> = Api::namespaced(client, "default");
        cluster
            .until("the node and the controllers", || async {
                let node = nodes.get("node-0").await.map_err(|e| e.to_string())?;
                accounts.get("default").await.map_err(|e| e.to_string())?;
                let up = node
                    .status
                    .and_then(|s| s.conditions)
                    .is_some_and(|c| c.iter().any(|c| c.type_ == "Ready"));
                if up {
                    Ok(())
                } else {
                    Err("the node has no status".to_owned())
                }
            })
            .await?;
        Ok(cluster)
    }

    fn run(&mut self, program: &str, args: Vec<String>) {
        let name = match (program, args[0].as_str()) {
            ("process-kubelet", _) => "kubelet",
            (_, "etcd") => "etcd",
            (_, "kube-apiserver") => "apiserver",
            (_, "kube-scheduler") => "scheduler",
            _ => "controllers",
        };
        let log = std::fs::File::create(self.dir.join(format!("{name}.log"))).unwrap();
        let child = Command::new(servers().join(program))
            .args(args)
            .current_dir(&self.dir)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.children.push((name, child));
    }

    /// Waits; ends early if one of the processes has.
    async fn until<F: Future<Output = Result<(), String>>>(
        &mut self,
        what: &str,
        look: impl Fn() -> F,
    ) -> Result<(), String> {
        let children = std::cell::RefCell::new(&mut self.children);
        let dir = &self.dir;
        poll(
            what,
            Deadline::after(PATIENCE),
            Duration::from_millis(100),
            || async {
                let ended = children.borrow_mut().iter_mut().find_map(|(name, child)| {
                    child
                        .try_wait()
                        .ok()
                        .flatten()
                        .map(|status| (*name, status))
                });
                if let Some((name, status)) = ended {
                    let log = std::fs::read_to_string(dir.join(format!("{name}.log")))
                        .unwrap_or_default();
                    let end: String = log.lines().rev().take(5).collect::<Vec<_>>().join("\n");
                    return Err(Error::input(format!("{name} ended with {status}: {end}")));
                }
                Ok(match look().await {
                    Ok(()) => Look::Ready(()),
                    Err(status) => Look::NotYet(status),
                })
            },
        )
        .await
        .map_err(|e| e.to_string())
    }

    fn write_kubeconfig(&self) {
        let users = [
            ("admin", ADMIN_TOKEN),
            ("alice", "alice-token"),
            ("stranger", "no-such-token"),
        ];
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "admin",
            "clusters": [{"name": "c", "cluster": {"server": self.server, "certificate-authority": self.dir.join("ca.crt")}}],
            "users": users.map(|(name, token)| json!({"name": name, "user": {"token": token}})),
            "contexts": users.map(|(name, _)| json!({"name": name, "context": {"cluster": "c", "user": name}})),
        });
        std::fs::write(self.dir.join("kubeconfig"), config.to_string()).unwrap();
        let tokens =
            format!("{ADMIN_TOKEN},admin,1,\"system:masters\"\nalice-token,alice,2,\"devs\"\n");
        std::fs::write(self.dir.join("tokens.csv"), tokens).unwrap();
    }

    /// A client for the test's own runtime.
    pub async fn client(&self, context: &str) -> kube::Client {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let file = Kubeconfig::read_from(self.dir.join("kubeconfig")).unwrap();
        let options = KubeConfigOptions {
            context: Some(context.into()),
            ..KubeConfigOptions::default()
        };
        let config = kube::Config::from_custom_kubeconfig(file, &options)
            .await
            .unwrap();
        kube::Client::try_from(config).unwrap()
    }

    /// Makes a namespace, and waits until pods can be made in it.
    pub async fn namespace(&self, name: &str) -> Space {
        let client = self.client("admin").await;
        let api: Api<Namespace> = Api::all(client.clone());
        let object = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
        api.create(&PostParams::default(), &object).await.unwrap();
        let space = Space {
            client,
            name: name.to_owned(),
            dir: folder(name),
            server: self.dir.clone(),
        };
        let accounts: Api<ServiceAccount> = space.api();
        space
            .until("the service account", async || {
                accounts
                    .get("default")
                    .await
                    .map(drop)
                    .map_err(|e| e.to_string())
            })
            .await;
        space.configure("admin", &[name]);
        space
    }

    /// Stops the API server, as a failure would.
    pub fn stop_api(&mut self) {
        let (_, child) = self
            .children
            .iter_mut()
            .find(|(name, _)| *name == "apiserver")
            .unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // What the kubelet started has groups of its own.
        end_containers(&self.dir);
        for (_, child) in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        end_containers(&self.dir);
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}

/// Ends the processes whose working folder is a pod's of this cluster.
fn end_containers(dir: &Path) {
    let pods = dir.join("pods");
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Ok(cwd) = std::fs::read_link(entry.path().join("cwd")) else {
            continue;
        };
        let id = entry
            .file_name()
            .to_str()
            .and_then(|n| n.parse::<i32>().ok());
        if cwd.starts_with(&pods)
            && let Some(pid) = id.and_then(rustix::process::Pid::from_raw)
        {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}

/// One test's namespace, and a folder with a configuration that names it.
pub struct Space {
    pub client: kube::Client,
    pub name: String,
    pub dir: PathBuf,
    server: PathBuf,
}

impl Space {
    pub fn api<K: Namespaced>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), &self.name)
    }

    pub async fn make<K>(&self, object: Value) -> K
    where
        K: Namespaced + Clone + Debug + DeserializeOwned + Serialize,
    {
        let object = serde_json::from_value(object).unwrap();
        self.api::<K>()
            .create(&PostParams::default(), &object)
            .await
            .unwrap()
    }

    /// Makes a Role, and gives it to a user.
    pub async fn grant(&self, role: &Value, user: &str) {
        self.make::<Role>(role.clone()).await;
        let name = &role["metadata"]["name"];
        self.make::<RoleBinding>(json!({
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "User", "name": user, "apiGroup": "rbac.authorization.k8s.io"}],
        }))
        .await;
    }

    /// Writes `summitctl.toml`: the cluster as this user sees it.
    pub fn configure(&self, user: &str, namespaces: &[&str]) {
        let kubeconfig = self.server.join("kubeconfig");
        let text = format!(
            "version = 1\n[contexts.k]\ntier = \"development\"\n[contexts.k.kubernetes]\nkubeconfig = {kubeconfig:?}\n\
             context = {user:?}\nnamespaces = {namespaces:?}\n"
        );
        std::fs::write(self.dir.join("summitctl.toml"), text).unwrap();
    }

    /// The program, as its user runs it.
    pub fn run(&self, args: &[&str]) -> Output {
        let output = Command::new(env!("CARGO_BIN_EXE_summitctl"))
            .args(args)
            .current_dir(&self.dir)
            .env("SUMMITCTL_STATE_DIR", self.dir.join("state"))
            .env_remove("KUBECONFIG")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        for text in [&output.stdout, &output.stderr] {
            let text = String::from_utf8_lossy(text);
            assert!(!text.contains(ADMIN_TOKEN), "a token shows: {text}");
        }
        output
    }

    /// The checks of a command, by id.
    pub fn checks(&self, args: &[&str]) -> Checks {
        let output = self.run(&[args, &["--output", "json"]].concat());
        let json: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| {
            panic!(
                "{e}: {} {}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            )
        });
        Checks(json)
    }

    pub async fn until(&self, what: &str, look: impl AsyncFn() -> Result<(), String>) {
        poll(
            what,
            Deadline::after(PATIENCE),
            Duration::from_millis(250),
            async || {
                Ok(match look().await {
                    Ok(()) => Look::Ready(()),
                    Err(status) => Look::NotYet(status),
                })
            },
        )
        .await
        .unwrap();
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}

/// A command's report.
pub struct Checks(pub Value);

impl Checks {
    pub fn find(&self, id: &str) -> &Value {
        fn search<'v>(value: &'v Value, id: &str) -> Option<&'v Value> {
            match value {
                Value::Object(map) if map.get("id").and_then(Value::as_str) == Some(id) => {
                    Some(value)
                }
                Value::Object(map) => map.values().find_map(|v| search(v, id)),
                Value::Array(items) => items.iter().find_map(|v| search(v, id)),
                _ => None,
            }
        }
        search(&self.0, id).unwrap_or_else(|| panic!("no check `{id}` in {}", self.0))
    }

    pub fn outcome(&self, id: &str) -> &str {
        self.find(id)["outcome"].as_str().unwrap()
    }

    pub fn detail(&self, id: &str) -> &str {
        self.find(id)["detail"].as_str().unwrap()
    }

    /// Whether a check has this outcome and its detail all of these words; else what it says.
    pub fn says(&self, id: &str, outcome: &str, words: &[&str]) -> Result<(), String> {
        let (is, detail) = (self.outcome(id), self.detail(id));
        match words.iter().find(|w| !detail.contains(**w)) {
            None if is == outcome => Ok(()),
            missing => Err(format!("{id} is {is}, misses {missing:?}: {detail}")),
        }
    }
}

fn folder(name: &str) -> PathBuf {
    let mut bytes = [0_u8; 5];
    getrandom::fill(&mut bytes).unwrap();
    let tag: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    let dir = std::env::temp_dir().join(format!("summitctl-kube-{name}-{tag}"));
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

/// Where `.ci/setup` builds what `.ci/kube` holds: named by a hash of the files.
fn servers() -> PathBuf {
    fn files(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files(&path, found)
            } else {
                found.push(path)
            }
        }
    }
    let mut found = Vec::new();
    files(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join(".ci/kube"),
        &mut found,
    );
    found.sort_by(|a, b| a.as_os_str().cmp(b.as_os_str()));
    let mut hash = Sha256::new();
    for file in found {
        hash.update(std::fs::read(file).unwrap());
    }
    let hash: String = hash
        .finalize()
        .iter()
        .take(8)
        .map(|b| format!("{b:02x}"))
        .collect();
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| Path::new(&std::env::var("HOME").unwrap()).join(".cache"));
    let dir = cache.join(format!("summitctl/servers/kube-{hash}"));
    assert!(
        dir.join("control-plane").is_file(),
        "`{}` is missing: run `make setup`",
        dir.display()
    );
    dir
}

/// An authority, one certificate for both servers, and the key of the service accounts' tokens.
fn certificates(dir: &Path) {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::default();
    ca.distinguished_name
        .push(DnType::CommonName, "test authority");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_cert = ca.self_signed(&ca_key).unwrap();
    let issuer = Issuer::new(ca, ca_key);
    let key = KeyPair::generate().unwrap();
    let mut server =
        CertificateParams::new(["127.0.0.1", "10.0.0.1", "localhost"].map(str::to_owned)).unwrap();
    server.distinguished_name.push(DnType::CommonName, "server");
    server.extended_key_usages = vec![
        ExtendedKeyUsagePurpose::ServerAuth,
        ExtendedKeyUsagePurpose::ClientAuth,
    ];
    let cert = server.signed_by(&key, &issuer).unwrap();
    let accounts = KeyPair::generate().unwrap();
    for (name, text) in [
        ("ca.crt", ca_cert.pem()),
        ("server.crt", cert.pem()),
        ("server.key", key.serialize_pem()),
        ("accounts.key", accounts.serialize_pem()),
        ("accounts.pub", accounts.public_key_pem()),
    ] {
        std::fs::write(dir.join(name), text).unwrap();
    }
}
