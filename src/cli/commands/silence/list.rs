//! `warden silence list`: lists silences.

use clap::Args;
use clap::builder::PossibleValuesParser;
use warden_api::word::SilenceStatus;
use warden_api::{Silence, path};

use crate::cli::commands::error::CliError;
use crate::cli::commands::label;
use crate::cli::commands::list::{Extent, Row};
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::age::relative;
use crate::cli::terminal::console::Console;
use crate::model::Timestamp;

/// List silences, the oldest first
#[derive(Args)]
pub struct List {
    /// Where they stand; repeatable [default: pending and active]
    #[arg(long = "status", value_name = "STATUS", value_delimiter = ',',
        value_parser = PossibleValuesParser::new(SilenceStatus::WORDS))]
    statuses: Vec<String>,
    #[command(flatten)]
    extent: Extent,
    #[command(flatten)]
    connection: Connection,
}

impl List {
    /// Prints the silences, page by page.
    ///
    /// # Errors
    /// When the daemon cannot be asked or refuses.
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let query = self.statuses.into_iter().map(|status| ("status", status)).collect();
        self.extent.print::<Silence>(&self.connection, (path::SILENCES, &query), console).await
    }
}

impl Row for Silence {
    const HEADER: &'static [&'static str] =
        &["ID", "STATUS", "WORKFLOW", "KIND", "LABELS", "BEGINS", "ENDS", "AUTHOR", "COMMENT"];
    const NONE: &'static str = "No silence is like that.";

    fn cells(&self, now: Timestamp) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.status.to_string(),
            self.workflow.to_string(),
            self.kind.as_ref().map(ToString::to_string).unwrap_or_default(),
            label::written(&self.labels),
            relative(self.starts_at, now),
            relative(self.ends_at, now),
            self.author.to_string(),
            self.comment.to_string(),
        ]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::commands::sample::now;
    use crate::cli::terminal::table::table;

    #[test]
    fn a_line_says_what_is_silenced_for_how_long_by_whom_and_why() {
        let silence = |id: &str, status: &str, kind: Option<&str>, labels, comment: &str| {
            let silence = json!({"id": id, "status": status, "workflow": "up*", "kind": kind, "labels": labels,
                "starts_at": "2026-01-31T12:00:00.000Z", "ends_at": "2026-01-31T14:00:00.000Z", "author": "kim",
                "comment": comment, "created_at": "2026-01-31T12:00:00.000Z"});
            serde_json::from_value::<Silence>(silence).unwrap()
        };
        let silences = [
            silence("sil_1", "active", None, json!({}), "moving the disks"),
            silence("sil_2", "pending", Some("failed"), json!({"region": "eu"}), "\u{7}"),
        ];
        let expected = "\
ID     STATUS   WORKFLOW  KIND    LABELS     BEGINS   ENDS       AUTHOR  COMMENT
sil_1  active   up*                          30m ago  in 1h 30m  kim     moving the disks
sil_2  pending  up*       failed  region:eu  30m ago  in 1h 30m  kim     \\u{7}";
        assert_eq!(table(Silence::HEADER, silences.map(|silence| silence.cells(now()))), expected);
    }
}
