//! The documents of [`warden_api`], built from the types of the layers below. A view gets all its data as
//! arguments.

mod alerts;
mod artifact;
mod item;
mod receivers;
mod replay;
mod run;
mod summary;
mod time;
mod workflow;

pub use self::alerts::{DeliveryFacts, IncidentFacts, SilenceFacts};
pub use self::artifact::ArtifactFacts;
pub use self::item::{ItemFacts, Sent, lease};
pub use self::receivers::{ReceiverFacts, withhold_answers};
pub use self::replay::ReplayFacts;
pub use self::run::{RunFacts, RunsFacts, params, waited, windows};
pub use self::time::{shown, told};
pub use self::workflow::{WorkflowFacts, stats};
use crate::model::Warning;

pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.push(digit(byte >> 4));
        text.push(digit(byte & 15));
    }
    text
}

/// With the message.
pub fn warning(warning: Warning) -> warden_api::health::Warning {
    warden_api::health::Warning { code: warning.code.as_str().into(), message: Some(warning.message) }
}

fn duration(duration: std::time::Duration) -> String {
    humantime::format_duration(duration).to_string()
}
