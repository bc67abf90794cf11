//! How much there may be of what clients send and are shown. Lengths are in bytes of UTF-8 unless a constant
//! says otherwise.

use std::time::Duration;

/// The longest name of a workflow or step.
pub const NAME_MAX: usize = 128;
/// The longest item id.
pub const ITEM_ID_MAX: usize = 256;
/// The longest content type of a payload.
pub const CONTENT_TYPE_MAX: usize = 255;
/// The longest list of content codings of a payload.
pub const CONTENT_ENCODING_MAX: usize = 127;
/// The most labels of an item.
pub const LABELS_MAX: usize = 32;
/// The longest name of a label.
pub const LABEL_NAME_MAX: usize = 63;
/// The longest value of a label.
pub const LABEL_VALUE_MAX: usize = 255;
/// The most that all names and values of an item's labels take together.
pub const LABELS_SIZE_MAX: usize = 2048;
/// The largest progress document, as JSON without spaces.
pub const PROGRESS_SIZE_MAX: usize = 32 * 1024;
/// How deep a progress document or the data of an error may be nested. It is kept, and shown, inside other
/// JSON, and readers of JSON give up at some depth: serde_json at 128.
pub const DEPTH_MAX: usize = 64;
/// How many of the latest errors an item keeps.
pub const ERRORS_KEPT: usize = 20;
/// How many of the latest steps an item remembers.
pub const STEPS_KEPT: usize = 64;
/// The longest name of a worker.
pub const WORKER_MAX: usize = 128;
/// How many of the latest actions of people an incident keeps.
pub const ACTIONS_KEPT: usize = 20;
/// The longest comment.
pub const COMMENT_MAX: usize = 512;
/// The longest name of a person.
pub const PERSON_MAX: usize = 128;
/// How many of the latest attempts a delivery keeps.
pub const ATTEMPTS_KEPT: usize = 10;
/// The longest name of a replay.
pub const REPLAY_NAME_MAX: usize = 128;
/// The most globs of workflows in the filter of a replay.
pub const GLOBS_MAX: usize = 32;
/// The longest address of a replay's target.
pub const TARGET_URL_MAX: usize = 2048;
/// The longest duration that is taken from anybody: 10 years of 365.25 days.
pub const DURATION_MAX: Duration = Duration::from_secs(10 * 31_557_600);
/// How many entries a page of a list holds unless `limit` says otherwise.
pub const PAGE_DEFAULT: usize = 50;
/// The most entries of a page.
pub const PAGE_MAX: usize = 1000;
/// The largest JSON document of a request, payloads and batches apart.
pub const DOCUMENT_MAX: u64 = 64 * 1024;
