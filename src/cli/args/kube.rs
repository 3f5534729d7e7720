//! Arguments of the commands that look at the cluster.

use clap::Subcommand;

use crate::steps::smoke::kubernetes::access;

/// `kube …`
#[derive(Debug, Subcommand)]
pub enum KubeCommand {
    /// Which cluster the context names, who asks it, and as whom it sees us
    Show,
    /// The Roles and bindings that `smoke` and `doctor` need, as YAML for `kubectl apply -f -`; nothing is changed
    Rbac {
        /// The name of the Roles and bindings
        #[arg(long, value_name = "NAME", default_value = "summitctl")]
        name: String,
        /// The service account that gets them, in the first of the context's namespaces
        #[arg(long, value_name = "NAME", default_value = "summitctl")]
        service_account: String,
        /// With what this step kind needs, too; may be given several times
        #[arg(long, value_name = "KIND", value_parser = clap::builder::PossibleValuesParser::new(access::steps()))]
        step: Vec<String>,
    },
}

impl KubeCommand {
    /// The command's words.
    pub fn words(&self) -> &'static str {
        match self {
            KubeCommand::Show => "kube show",
            KubeCommand::Rbac { .. } => "kube rbac",
        }
    }
}
