//! Who runs what, from where to where: flags of commands that open runs, and of their list.

use clap::Args;
use warden_api::run::Lineage;
use warden_client::Query;

/// The lineage of a run.
#[derive(Args, Default)]
pub struct LineageFlags {
    /// Where data comes from, such as crm or crm.orders.id; repeatable
    #[arg(long = "source", value_name = "NAME")]
    sources: Vec<String>,
    /// Where data goes; repeatable
    #[arg(long = "target", value_name = "NAME")]
    targets: Vec<String>,
    /// Who or what runs it
    #[arg(long, value_name = "NAME")]
    actor: Option<String>,
    /// What it runs with
    #[arg(long, value_name = "NAME")]
    tool: Option<String>,
    /// What it does, such as extract or load
    #[arg(long, value_name = "NAME")]
    process_type: Option<String>,
}

impl LineageFlags {
    /// `None` if nothing was said.
    pub fn document(self) -> Option<Lineage> {
        let Self { sources, targets, actor, tool, process_type } = self;
        let lineage = Lineage { process_type, actor, tool, sources, targets };
        (lineage != Lineage::default()).then_some(lineage)
    }

    /// As a filter of runs.
    pub fn query(self) -> Query {
        let single = [("actor", self.actor), ("tool", self.tool), ("process_type", self.process_type)];
        let sources = self.sources.into_iter().map(|name| ("source", name));
        let targets = self.targets.into_iter().map(|name| ("target", name));
        let single = single.into_iter().filter_map(|(name, value)| Some((name, value?)));
        sources.chain(targets).chain(single).collect()
    }
}
