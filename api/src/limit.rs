//! Limits for requests and responses. Lengths are in bytes of UTF-8 unless stated otherwise.

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
/// All names and values of an item's labels together.
pub const LABELS_SIZE_MAX: usize = 2048;
/// All progress documents of an item together, as JSON without spaces.
pub const PROGRESS_SIZE_MAX: usize = 32 * 1024;
/// Nesting of a progress document or the data of an error. They are embedded in other JSON, and JSON parsers
/// limit the depth: serde_json to 128.
pub const DEPTH_MAX: usize = 64;
/// An item keeps its latest errors.
pub const ERRORS_KEPT: usize = 20;
/// An item keeps its latest runs of steps.
pub const STEPS_KEPT: usize = 64;
/// The longest type of an error.
pub const ERROR_TYPE_MAX: usize = 128;
/// The longest message of an error.
pub const ERROR_MESSAGE_MAX: usize = 2048;
/// The data of an error, as JSON without spaces.
pub const ERROR_DATA_MAX: usize = 4096;
/// The longest stack trace of an error; also the end of the output of a command.
pub const ERROR_STACK_MAX: usize = 10 * 1024;
/// The longest id of an error, in an import.
pub const ERROR_ID_MAX: usize = 64;
/// The longest idempotency key.
pub const IDEMPOTENCY_KEY_MAX: usize = 255;
/// The most items of a claim.
pub const CLAIM_MAX: usize = 1000;
/// The most steps of an item of its own.
pub const STEPS_MAX: usize = 64;
/// The longest message of a step.
pub const STEP_MESSAGE_MAX: usize = 512;
/// The most jobs of a workflow.
pub const JOBS_MAX: usize = 64;
/// The parameters of a workflow and its jobs together, as JSON without spaces.
pub const PARAMS_SIZE_MAX: usize = 32 * 1024;
/// The most workflows that a workflow requires.
pub const REQUIRES_MAX: usize = 64;
/// The most failed runs in a row that a workflow can ask for before it is on hold.
pub const HOLD_AFTER_MAX: u32 = 100;
/// The lineage of a run, as JSON without spaces.
pub const LINEAGE_SIZE_MAX: usize = 8 * 1024;
/// The most sources, and the most targets, of a run.
pub const LINEAGE_NAMES_MAX: usize = 128;
/// The most different counts of a run.
pub const COUNTS_MAX: usize = 32;
/// The most workflows that a request waits for.
pub const WAITED_MAX: usize = 32;
/// The longest name of a worker.
pub const WORKER_MAX: usize = 128;
/// An incident keeps the latest actions.
pub const ACTIONS_KEPT: usize = 20;
/// The longest comment.
pub const COMMENT_MAX: usize = 512;
/// The longest name of a person.
pub const PERSON_MAX: usize = 128;
/// A delivery keeps its latest attempts.
pub const ATTEMPTS_KEPT: usize = 10;
/// The longest name of a replay.
pub const REPLAY_NAME_MAX: usize = 128;
/// Workflow globs in the filter of a replay.
pub const GLOBS_MAX: usize = 32;
/// The longest URL of a replay's target.
pub const TARGET_URL_MAX: usize = 2048;
/// The longest duration in any setting or request: 10 years of 365.25 days.
pub const DURATION_MAX: Duration = Duration::from_secs(10 * 31_557_600);
/// The entries of a page without `limit`.
pub const PAGE_DEFAULT: usize = 50;
/// The largest `limit`.
pub const PAGE_MAX: usize = 1000;
/// The largest JSON document of a request, in bytes; not for payloads and batches.
pub const DOCUMENT_MAX: u64 = 64 * 1024;
/// The longest location of an artifact.
pub const ARTIFACT_LOCATION_MAX: usize = 1024;
/// The longest name of an artifact.
pub const ARTIFACT_NAME_MAX: usize = 1024;
/// The longest alias, format, compression or status of an artifact.
pub const ARTIFACT_WORD_MAX: usize = 64;
/// The longest low or high value of an artifact.
pub const ARTIFACT_BOUND_MAX: usize = 256;
/// The most artifacts that one depends on.
pub const DEPENDENCIES_MAX: usize = 64;
/// An artifact keeps the latest runs that used it.
pub const USES_KEPT: usize = 32;
/// The most artifacts that one request registers, changes or claims.
pub const ARTIFACTS_AT_ONCE: usize = 1000;
/// The largest JSON document that registers artifacts, in bytes.
pub const ARTIFACTS_DOCUMENT_MAX: u64 = 2 * 1024 * 1024;
