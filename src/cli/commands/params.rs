//! `warden params`: prints the parameters of a run.

use clap::Args;
use clap::builder::PossibleValuesParser;
use warden_api::word::{DateStyle, ParamsFormat};
use warden_client::ParamsRequest;

use super::args::{item_id, workflow};
use super::error::CliError;
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::console::Console;
use crate::model::{ItemId, WorkflowName};

const HELP: &str = "\
For a shell:
  eval \"$(warden params nightly --format env)\"
  echo \"$WARDEN_RUN_NUMBER: $WARDEN_JOB_ORDERS_FROM to $WARDEN_JOB_ORDERS_TO\"";

/// Print the parameters of a run: windows of its jobs, and what its workflow declares
///
/// By default they are those of the latest run that has begun.
#[derive(Args)]
#[command(after_help = HELP)]
pub struct Params {
    /// The workflow
    #[arg(value_parser = workflow)]
    workflow: WorkflowName,
    /// How they are written: env is assignments for a shell, infa a parameter file of Informatica
    #[arg(long, value_name = "FORMAT", default_value = ParamsFormat::Json.as_str(),
        value_parser = PossibleValuesParser::new(ParamsFormat::WORDS))]
    format: String,
    /// The id of the run [default: the latest that has begun]
    #[arg(long, value_name = "ID", value_parser = item_id)]
    run: Option<ItemId>,
    /// How infa writes instants [default: iso]
    #[arg(long, value_name = "STYLE", value_parser = PossibleValuesParser::new(DateStyle::WORDS))]
    dates: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

impl Params {
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let client = self.connection.open()?;
        let which = ParamsRequest {
            run: self.run.map(|run| run.to_string()),
            format: self.format.parse().ok(),
            dates: self.dates.and_then(|dates| dates.parse().ok()),
        };
        let text = client.runs(&self.workflow)?.params(&which).await?;
        // As they are: they are for a program.
        console.out.write_all(&text)?;
        if self.format == ParamsFormat::Json.as_str() {
            writeln!(console.out)?;
        }
        Ok(())
    }
}
