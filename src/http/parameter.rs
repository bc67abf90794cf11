//! The parameters of operations. Each is declared once, and a route names those that it takes.

use warden_api::limit::{
    IDEMPOTENCY_KEY_MAX, ITEM_ID_MAX, LABEL_NAME_MAX, LABEL_VALUE_MAX, NAME_MAX, PAGE_MAX,
};
use warden_api::word::{
    CloseOutcome, DateStyle, DeliveryStatus, IncidentOrder, IncidentStatus, ItemOrder, ItemState,
    ParamsFormat, ProgressOperation, ReplayStatus, RunStatus, SilenceStatus,
};

use super::openapi::{Form, ITEM_ID, LABEL, NAME};
use super::question::COUNT_MAX;

/// Where a parameter is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Query,
    Header,
}

/// A parameter of the query or a header. Those in the path are known from it.
#[derive(Clone, Copy)]
pub struct Parameter {
    pub place: Place,
    pub name: &'static str,
    pub about: &'static str,
    pub kind: Kind,
    /// Whether a request without it is refused, by the handler.
    pub is_required: bool,
}

#[derive(Clone, Copy)]
pub enum Kind {
    Text(Option<Form>),
    /// Repeatable.
    Texts(Option<Form>),
    Flag,
    /// Minimum and maximum.
    Count(usize, usize),
}

const fn query(name: &'static str, kind: Kind, about: &'static str) -> Parameter {
    Parameter { place: Place::Query, name, about, kind, is_required: false }
}

const fn header(name: &'static str, form: Option<Form>, about: &'static str) -> Parameter {
    Parameter { place: Place::Header, name, about, kind: Kind::Text(form), is_required: false }
}

const fn words(name: &'static str, words: &'static [&'static str], about: &'static str) -> Parameter {
    query(name, Kind::Text(Some(Form::Words(words))), about)
}

const fn texts_of(name: &'static str, words: &'static [&'static str], about: &'static str) -> Parameter {
    query(name, Kind::Texts(Some(Form::Words(words))), about)
}

const fn instant(name: &'static str) -> Parameter {
    query(name, Kind::Text(Some(Form::Instant)), "An RFC 3339 instant; in a query write + as %2B")
}

/// Of a create.
pub const TERMS: &[Parameter] = &[
    query(
        "deadline",
        Kind::Text(Some(Form::Format("deadline"))),
        "A duration from now, or an RFC 3339 instant; a step's own deadline may be earlier. The default is \
        the deadline of the step or workflow",
    ),
    query(
        "label",
        Kind::Texts(Some(Form::Text(LABEL, 2, LABEL_NAME_MAX + 1 + LABEL_VALUE_MAX))),
        "A label as name:value; repeatable",
    ),
    query(
        "step",
        Kind::Text(Some(Form::Text(NAME, 1, NAME_MAX))),
        "The step to start at; the first by default",
    ),
    query(
        "steps",
        Kind::Texts(Some(Form::Text(NAME, 1, NAME_MAX))),
        "A step that the item has of its own, instead of those of its workflow; repeatable, in order",
    ),
    query(
        "not_before",
        Kind::Text(Some(Form::Format("deadline"))),
        "A duration from now, or an RFC 3339 instant, before which the item cannot be claimed",
    ),
];
pub const PREFER: Parameter =
    header("prefer", None, "`return=minimal` for a response without a body (RFC 7240)");
pub const OUTCOME: Parameter =
    words("outcome", CloseOutcome::WORDS, "success (default), discarded or failed");
pub const IF_MATCH: Parameter =
    header("if-match", Some(Form::Text("^(\"[0-9]+\"|\\*)$", 1, 22)), "Require this to be the current ETag");
pub const RANGE: Parameter = header("range", None, "A range of bytes (RFC 9110); several ranges are ignored");

const fn idempotency_key(about: &'static str) -> Parameter {
    header("idempotency-key", Some(Form::Text("^[!-~]+$", 1, IDEMPOTENCY_KEY_MAX)), about)
}

pub const KEY_OF_ITEM: Parameter =
    idempotency_key("Repeating a request with the same key returns the first item");
pub const KEY_OF_ERROR: Parameter =
    idempotency_key("Repeating a request with the same key reports the error once");
pub const KEY_OF_SILENCE: Parameter =
    idempotency_key("Repeating a request with the same key returns the first silence");
pub const KEY_OF_REPLAY: Parameter =
    idempotency_key("Repeating a request with the same key returns the first replay");

pub const PROGRESS_OPERATION: Parameter = words(
    "op",
    &[ProgressOperation::Merge.as_str(), ProgressOperation::Assign.as_str()],
    "merge (default), the merge patch of RFC 7396; or assign, which replaces members at the top level and \
    keeps null",
);

pub const ENDED_AT: Parameter = query(
    "at",
    Kind::Text(Some(Form::Instant)),
    "When a run ended, if that is past: an RFC 3339 instant; in a query write + as %2B",
);
pub const STATUS_OF_RUNS: Parameter = texts_of("status", RunStatus::WORDS, "Repeatable; all by default");
pub const SINCE: Parameter = instant("since");
pub const UNTIL: Parameter = instant("until");
/// Filters of runs by their lineage.
pub const LINEAGE: &[Parameter] = &[
    query("source", Kind::Texts(None), "Runs with this source; repeatable, all must be there"),
    query("target", Kind::Texts(None), "Runs with this target; repeatable, all must be there"),
    query("actor", Kind::Text(None), "Runs by this actor"),
    query("tool", Kind::Text(None), "Runs with this tool"),
    query("process_type", Kind::Text(None), "Runs of processes of this type"),
];
pub const FORMAT_OF_PARAMS: Parameter =
    words("format", ParamsFormat::WORDS, "json (default), yaml, env for a shell, or infa");
pub const DATES: Parameter =
    words("dates", DateStyle::WORDS, "How format=infa writes instants: iso (default) or powercenter");
pub const RUN: Parameter = query(
    "run",
    Kind::Text(Some(Form::Text(ITEM_ID, 1, ITEM_ID_MAX))),
    "The id of a run; by default the latest that has begun",
);
pub const SINCE_OF_WAIT: Parameter = query(
    "since",
    Kind::Text(Some(Form::Format("since"))),
    "When the run must have ended at the earliest: `today`, or an RFC 3339 instant; by default at any time",
);
pub const TIMEZONE: Parameter =
    query("timezone", Kind::Text(Some(Form::Format("timezone"))), "Where today is; UTC by default");
pub const COVERS: Parameter = query(
    "covers",
    Kind::Text(Some(Form::Instant)),
    "An instant that the successful runs of every job must cover; in a query write + as %2B",
);
pub const RUN_TIMEOUT: Parameter = query(
    "timeout",
    Kind::Text(Some(Form::Format("humantime"))),
    "How long to wait; at most 60s, by default not at all",
);
pub const FAIL_FAST: Parameter =
    query("fail_fast", Kind::Flag, "Whether a failed run ends the wait; false by default");
pub const WAITED_WORKFLOWS: Parameter = Parameter {
    is_required: true,
    ..query(
        "workflow",
        Kind::Texts(Some(Form::Text(NAME, 1, NAME_MAX))),
        "A workflow; repeatable, at most 32",
    )
};
pub const WORKFLOWS: Parameter =
    query("workflow", Kind::Texts(None), "A glob over workflow names; repeatable");
pub const REQUIRED_WORKFLOWS: Parameter = Parameter {
    is_required: true,
    about: "A glob over workflow names, such as * for all; repeatable",
    ..WORKFLOWS
};
pub const STATES: Parameter = texts_of("state", ItemState::WORDS, "Repeatable");
pub const STATES_BUT_CLOSED: Parameter =
    texts_of("state", ItemState::WORDS, "Repeatable; all but closed by default");
pub const STATES_OF_RETRY: Parameter =
    texts_of("state", ItemState::WORDS, "failed (default), interrupted, open or overdue; repeatable");

/// The filters of items beside workflows and states.
pub const FILTERS: &[Parameter] = &[
    query("label", Kind::Texts(Some(Form::Text(":", 1, 4096))), "name:value; repeatable, all must match"),
    query("step", Kind::Text(None), "The name of a step"),
    query(
        "step_retries_min",
        Kind::Count(0, COUNT_MAX as usize),
        "Items with at least so many retryable errors at their step",
    ),
    instant("created_before"),
    instant("created_after"),
    instant("deadline_before"),
    instant("deadline_after"),
];
pub const ORDER_OF_LIST: Parameter = words(
    "order",
    ItemOrder::WORDS,
    "By creation (default) or by deadline, oldest first; or trouble: failed, held, overdue, open and closed \
    items, each by deadline",
);
pub const ORDER_OF_EXPORT: Parameter = words(
    "order",
    &[ItemOrder::Created.as_str(), ItemOrder::Deadline.as_str()],
    "created (default) or deadline",
);
pub const ORDER_OF_INCIDENTS: Parameter =
    words("order", IncidentOrder::WORDS, "newest (default), or severity, which lists open incidents");

pub const PAGING: &[Parameter] = &[
    query("limit", Kind::Count(1, PAGE_MAX), "The most entries of the page; 50 by default"),
    cursor("Continue after a page: the `next_cursor` of its response"),
];

const fn cursor(about: &'static str) -> Parameter {
    query("cursor", Kind::Text(Some(Form::Format("cursor"))), about)
}

pub const CURSOR_OF_EXPORT: Parameter = cursor("Continue after this line or page");
/// The paging of changes of many items.
pub const CONTINUING: &[Parameter] = &[
    query("limit", Kind::Count(1, PAGE_MAX), "The most items that the request reads; 1000 by default"),
    cursor("Continue where the request before ended: the `next_cursor` of its response"),
];
pub const HISTORY: Parameter = query("history", Kind::Flag, "Include the items' history; true by default");
pub const END: Parameter = query("end", Kind::Flag, "Add the final line; false by default");

const ANY_STATUS: &str = "The status; any by default";
pub const STATUS_OF_INCIDENTS: Parameter = words("status", IncidentStatus::WORDS, ANY_STATUS);
pub const STATUS_OF_DELIVERIES: Parameter = words("status", DeliveryStatus::WORDS, ANY_STATUS);
pub const STATUS_OF_SILENCES: Parameter =
    texts_of("status", SilenceStatus::WORDS, "Repeatable; pending and active by default");
pub const STATUS_OF_REPLAYS: Parameter =
    texts_of("status", ReplayStatus::WORDS, "Repeatable; all by default");
pub const RECEIVER: Parameter = query("receiver", Kind::Text(None), "The name of a receiver");

/// The filters of artifacts beside workflows.
pub const OF_ARTIFACTS: &[Parameter] = &[
    query("location", Kind::Text(None), "A glob over locations"),
    query("name", Kind::Text(None), "A glob over names"),
    query("status", Kind::Texts(None), "A status; repeatable, any by default"),
    words("order", &["registered"], "registered (default): the oldest registration first"),
];
