//! `warden incidents`: lists incidents.

use clap::Args;
use clap::builder::PossibleValuesParser;
use warden_api::word::{IncidentOrder, IncidentStatus};
use warden_api::{Incident, path};
use warden_client::Query;

use super::args::glob;
use super::error::CliError;
use super::incident::{next_told, status_word};
use crate::cli::commands::list::{Extent, Row};
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::age::relative;
use crate::cli::terminal::console::Console;
use crate::cli::terminal::table::label_list;
use crate::model::Timestamp;

const OPEN: &str = IncidentStatus::Open.as_str();
/// Selects every status.
const ANY: &str = "any";

/// List incidents: open ones by severity, then the oldest first
///
/// With another --status the newest are listed first.
#[derive(Args)]
pub struct Incidents {
    /// Only incidents with this status
    #[arg(long, value_parser = PossibleValuesParser::new([OPEN, IncidentStatus::Resolved.as_str(), ANY]),
    default_value = OPEN)]
    status: String,
    /// Only incidents of workflows whose name matches; repeatable
    #[arg(long = "workflow", value_name = "GLOB", value_parser = glob)]
    workflows: Vec<String>,
    #[command(flatten)]
    extent: Extent,
    #[command(flatten)]
    connection: Connection,
}

impl Incidents {
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let mut query = Query::new();
        query.extend((self.status == OPEN).then(|| ("order", IncidentOrder::Severity.to_string())));
        query.extend(Some(("status", self.status)).filter(|(_, status)| status != ANY));
        query.extend(self.workflows.into_iter().map(|glob| ("workflow", glob)));
        self.extent.print::<Incident>(&self.connection, (path::INCIDENTS, &query), console).await
    }
}

impl Row for Incident {
    const HEADER: &'static [&'static str] = &[
        "ID",
        "WORKFLOW",
        "KIND",
        "GROUP",
        "STATUS",
        "SEVERITY",
        "COUNT",
        "PEAK",
        "OPENED",
        "OLDEST",
        "NEXT NOTIFIED",
    ];
    const NOUN: &'static str = "incident";

    fn cells(&self, now: Timestamp) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.workflow.to_string(),
            self.kind.to_string(),
            label_list(&self.group),
            status_word(self, now).to_owned(),
            self.severity.to_string(),
            self.count.to_string(),
            self.peak.to_string(),
            relative(self.opened_at, now),
            self.oldest_deadline.map(|deadline| relative(deadline, now)).unwrap_or_default(),
            next_told(self, |at| relative(at, now)).unwrap_or_default(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::sample::{incident, now};
    use super::*;
    use crate::cli::terminal::table::table;

    #[test]
    fn a_line_says_what_is_wrong_with_how_many_and_who_knows() {
        let incidents = [
            incident(json!({"acknowledged": true, "waiting_for": "silence"})),
            incident(json!({"id": "inc_2", "workflow": "a\u{1b}[2J", "group": {"region": null}, "count": 0,
                "peak": 7,
                "kind": "failed", "status": "resolved", "oldest_deadline": null, "next_told_at": null})),
        ];
        let expected = "\
ID     WORKFLOW    KIND     GROUP      STATUS        SEVERITY  COUNT  PEAK  OPENED   OLDEST   NEXT NOTIFIED
inc_1  uploads     overdue  region:eu  acknowledged  critical  312    400   15m ago  16m ago  \
in 3h 45m (silence)
inc_2  a\\u{1b}[2J  failed              resolved      critical  0      7     15m ago";
        let rows = incidents.map(|incident| incident.cells(now()));
        assert_eq!(table(Incident::HEADER, rows), expected);
    }
}
