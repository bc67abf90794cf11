//! Flags of the commands that open runs, and of the list of runs.

use clap::Args;
use warden_api::run::{Lineage, RunRequest};
use warden_client::Query;

use super::args::{deadline, instant, label, labels};
use super::error::CliError;
use crate::model::Timestamp;

/// What a run begins with.
#[derive(Args)]
pub struct RunFlags {
    /// When the run must have ended: a duration from its beginning such as 2h, or a time such as
    /// 2026-01-31T12:00:00Z [default: that of the workflow]
    #[arg(long, value_parser = deadline)]
    deadline: Option<String>,
    /// A label; repeatable
    #[arg(long = "label", value_name = "NAME:VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    #[command(flatten)]
    lineage: LineageFlags,
    /// Beginning of the window of a backfill, which leaves the watermarks alone; with --to
    #[arg(long, value_name = "TIME", value_parser = instant, requires = "to")]
    from: Option<Timestamp>,
    /// End of the window of a backfill
    #[arg(long, value_name = "TIME", value_parser = instant, requires = "from")]
    to: Option<Timestamp>,
}

impl RunFlags {
    /// Without an id and a payload.
    pub fn request(&self) -> Result<RunRequest, CliError> {
        let instant = |at: Option<Timestamp>| at.map(|at| at.to_string());
        Ok(RunRequest {
            deadline: self.deadline.clone(),
            labels: labels(&self.labels)?,
            lineage: self.lineage.clone().document(),
            from: instant(self.from),
            to: instant(self.to),
            ..RunRequest::default()
        })
    }
}

/// The lineage of a run.
#[derive(Args, Clone)]
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
