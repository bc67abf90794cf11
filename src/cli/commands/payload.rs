//! `warden payload`: writes a stored payload.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use reqwest::Method;
use reqwest::header::HeaderName;
use sha2::{Digest, Sha256};
use warden_client::Query;

use super::args::ItemKey;
use super::error::CliError;
use crate::cli::daemon::connection::Connection;
use crate::cli::terminal::Format;
use crate::cli::terminal::console::Console;
use crate::cli::terminal::count::counted;
use crate::cli::terminal::sink::Sink;

const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");

/// Write the payload of an item, byte for byte
///
/// The bytes are verified against the digest that the daemon computed when it received them.
#[derive(Args)]
pub struct Payload {
    #[command(flatten)]
    item: ItemKey,
    /// The file to write, replacing its content [default: stdout]
    #[arg(long, value_name = "PATH")]
    file: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

impl Payload {
    pub async fn run(self, console: &mut Console<'_>) -> Result<(), CliError> {
        let client = self.connection.open()?;
        let request = client.item_request(
            Method::GET,
            (&self.item.workflow, &self.item.id),
            "/payload",
            &Query::new(),
        )?;
        let mut answer = client.send(request).await?;
        let expected = answer.header(&REPR_DIGEST).map(str::to_owned);
        let mut sink = Sink::open(self.file.as_deref(), console.out)?;
        let (mut size, mut digest) = (0_u64, Sha256::new());
        while let Some(bytes) = answer.chunk().await? {
            size += bytes.len() as u64;
            digest.update(&bytes);
            sink.write(&bytes)?;
        }
        sink.finish()?;
        let digest = format!("sha-256=:{}:", STANDARD.encode(digest.finalize()));
        if expected.is_some_and(|expected| expected != digest) {
            return Err(CliError::Data(format!(
                "the payload arrived damaged: its digest {digest} is not the stored one; fetch it again"
            )));
        }
        if let (Some(path), Format::Table) = (&self.file, self.connection.output) {
            console.message(format_args!("wrote {} to {}", counted(size, "byte"), path.display()));
        }
        Ok(())
    }
}
