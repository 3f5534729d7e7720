//! Helm's releases, from the Secrets in which Helm 3 keeps them: base64 of gzip of JSON under `release`, with name, revision
//! and status as labels. Values, manifests and templates are skipped while reading, and never kept.

use std::collections::BTreeMap;
use std::io::Read as _;

use base64::Engine as _;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ListParams};
use serde::Deserialize;

use super::look::asked;
use super::target::Cluster;
use super::{Ask, SERVER};
use crate::error::{Error, Result};
use crate::wait::Deadline;

/// A release whose JSON is larger is not read.
const LARGEST: u64 = 64 << 20;

/// How many releases of a namespace are opened.
const MOST: usize = 200;

/// The newest revision of a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its revision, counted from 1.
    pub revision: u32,
    /// Helm's word: `deployed`, `failed`, `pending-upgrade` and so on.
    pub status: String,
    /// The chart and its version, such as `gateway-1.2.3`.
    pub chart: String,
    /// What Helm says of the last attempt.
    pub description: String,
}

/// The newest revision of every release in a namespace; and whether there are more than are opened.
pub async fn releases(
    cluster: &Cluster,
    namespace: &str,
    deadline: Deadline,
) -> Result<(Vec<Release>, bool)> {
    let api: Api<Secret> = Api::namespaced(cluster.client.clone(), namespace);
    let ask = Ask::of::<Secret>("list", Some(namespace));
    let mut params = ListParams::default().labels("owner=helm").limit(200);
    let mut newest: BTreeMap<String, (u32, String)> = BTreeMap::new();
    loop {
        // The labels say which revision is the newest; the contents of the others are not even sent.
        let page = asked(cluster, &ask, deadline, api.list_metadata(&params)).await?;
        for object in page.items {
            let labels = object.metadata.labels.unwrap_or_default();
            let revision = labels.get("version").and_then(|v| v.parse().ok());
            let (Some(name), Some(revision), Some(secret)) =
                (labels.get("name"), revision, object.metadata.name)
            else {
                continue;
            };
            let known = newest.entry(name.clone()).or_default();
            if revision > known.0 {
                *known = (revision, secret);
            }
        }
        params.continue_token = page.metadata.continue_.filter(|t| !t.is_empty());
        if params.continue_token.is_none() {
            break;
        }
    }
    let more = newest.len() > MOST;
    let mut found = Vec::new();
    for (revision, secret) in newest.into_values().take(MOST) {
        let ask = Ask::of::<Secret>("get", Some(namespace));
        let object = asked(cluster, &ask, deadline, api.get(&secret)).await?;
        let payload = object
            .data
            .unwrap_or_default()
            .remove("release")
            .unwrap_or_default();
        let release = read(&payload.0).map_err(|e| {
            Error::new(
                &SERVER,
                format!("the Helm release in Secret `{namespace}/{secret}` cannot be read"),
            )
            .caused_by(e)
        })?;
        found.push(Release {
            namespace: namespace.to_owned(),
            name: release.name,
            revision,
            status: release.info.status,
            chart: format!(
                "{}-{}",
                release.chart.metadata.name, release.chart.metadata.version
            ),
            description: release.info.description.chars().take(300).collect(),
        });
    }
    Ok((found, more))
}

#[derive(Deserialize)]
struct Stored {
    name: String,
    info: Info,
    chart: Chart,
}

#[derive(Deserialize)]
struct Info {
    status: String,
    #[serde(default)]
    description: String,
}

#[derive(Deserialize)]
struct Chart {
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    version: String,
}

fn read(payload: &[u8]) -> Result<Stored> {
    let bad = |what: &str| Error::new(&SERVER, what.to_owned());
    let packed = base64::engine::general_purpose::STANDARD
        .decode(payload)
        .map_err(|_| bad("it is not base64"))?;
    // Its text is not repeated: it holds the values. Helm's own reader takes what is not compressed, too.
    let unreadable = |_: serde_json::Error| bad("it is no release of Helm 3");
    if packed.starts_with(&[0x1f, 0x8b]) {
        let plain = flate2::read::GzDecoder::new(packed.as_slice()).take(LARGEST);
        serde_json::from_reader(std::io::BufReader::new(plain)).map_err(unreadable)
    } else {
        serde_json::from_slice(&packed).map_err(unreadable)
    }
}
