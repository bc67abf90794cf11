//! `warden replay list`: lists replays.

use clap::Args;
use clap::builder::PossibleValuesParser;
use warden_api::word::ReplayStatus;
use warden_api::{Replay, path};

use super::text::progress;
use crate::cli::commands::error::CliError;
use crate::cli::commands::list::{Extent, Row};
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::age::relative;
use crate::cli::terminal::console::Console;
use crate::model::Timestamp;

/// List replays, the newest first
#[derive(Args)]
pub struct List {
    /// Only replays with this status; repeatable [default: all]
    #[arg(long = "status", value_name = "STATUS", value_delimiter = ',',
        value_parser = PossibleValuesParser::new(ReplayStatus::WORDS))]
    statuses: Vec<String>,
    #[command(flatten)]
    extent: Extent,
    #[command(flatten)]
    connection: Connection,
}

impl List {
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let query = self.statuses.into_iter().map(|status| ("status", status)).collect();
        self.extent.print::<Replay>(&self.connection, (path::REPLAYS, &query), console).await
    }
}

impl Row for Replay {
    const HEADER: &'static [&'static str] = &["ID", "STATUS", "NAME", "TARGET", "STARTED", "PROGRESS"];
    const NOUN: &'static str = "replay";

    fn cells(&self, now: Timestamp) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.status.to_string(),
            self.name.to_string(),
            self.target.url.clone(),
            relative(self.created_at, now),
            progress(self, now),
        ]
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::commands::sample::{now, replay};
    use crate::cli::terminal::table::table;

    #[test]
    fn a_line_says_where_it_stands_and_how_far_it_has_come() {
        let done = json!({"id": "rpl_2", "name": "", "status": "completed", "succeeded": 4996, "failed": 4,
            "skipped": 0, "eta": null});
        let expected = "\
ID     STATUS     NAME    TARGET                      STARTED  PROGRESS
rpl_1  running    monday  https://target.internal/in  15m ago  1236 of 5000, 4 failed, 2 skipped, 50/s, done in 1m 16s
rpl_2  completed          https://target.internal/in  15m ago  5000 of 5000, 4 failed";
        let cells = [replay(json!({})), replay(done)].map(|replay| replay.cells(now()));
        assert_eq!(table(Replay::HEADER, cells), expected);
    }
}
