"""What /openapi.json cannot express: custom formats, and constraints between fields."""

import json
import os

import schemathesis
from hypothesis import strategies as st

# Short, since some are waited for.
durations = st.sampled_from(["1s", "20s", "1m", "30s 500ms", "0h 1m", "1minute"])
schemathesis.openapi.format("humantime", durations)
schemathesis.openapi.format(
    "deadline",
    durations | st.sampled_from(["0s", "2h", "2020-02-29T23:59:59Z", "2027-01-01T00:00:00.123+01:00"]),
)
schemathesis.openapi.format("since", st.sampled_from(["today", "2020-02-29T23:59:59Z"]))
schemathesis.openapi.format("timezone", st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"]))
# After an item, and before the first one.
schemathesis.openapi.format("cursor", st.sampled_from(["MTc2NzIyNTYwMDAwMDo3", "MDow"]))


@schemathesis.serializer("application/x-ndjson")
def lines(context, value):
    """The body of a batch."""
    return value if isinstance(value, (bytes, str)) else json.dumps(value)


@schemathesis.hook
def map_case(context, case):
    """Applies constraints that the description states in prose."""
    operation = case.operation.definition.raw.get("operationId")
    if operation in ("create_item", "post_item") and case.media_type is not None:
        # A payload comes back with its own type, and would be parsed as that.
        case.media_type = "application/octet-stream"
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return case
    for place in (case.path_parameters, case.query):
        for name, value in (place or {}).items():
            place[name] = whole(value) if name in ("id", "label") else value
    if case.query and isinstance(case.query.get("label"), list):
        # Label names are unique.
        case.query["label"] = list({label.split(":")[0]: label for label in case.query["label"]}.values())
    if case.query and "steps" in case.query:
        # The first step is one of the item's own, and their names are unique.
        case.query.pop("step", None)
        if isinstance(case.query["steps"], list):
            case.query["steps"] = list(dict.fromkeys(case.query["steps"]))
    if operation == "export_items" and "closed" in (case.query or {}).get("state", []):
        # Without its history a closed item would look open.
        case.query.pop("history", None)
    if operation in ("list_items", "list_incidents") and (case.query or {}).get("order") in ("trouble", "severity"):
        # A cursor belongs to another order.
        case.query.pop("cursor", None)
    if case.query and operation in ("wait_for_workflow", "wait_for_workflows"):
        # The test would wait.
        case.query.pop("timeout", None)
    if case.query and operation == "close_item":
        # What has ended has not ended in the future.
        case.query.pop("at", None)
    if operation in ("list_artifacts", "list_runs"):
        # A cursor is a number here, and the status of an artifact one that is configured.
        left_out = ("cursor", "status") if operation == "list_artifacts" else ("cursor",)
        case.query = {name: value for name, value in (case.query or {}).items() if name not in left_out}
    if operation == "register_artifacts":
        case.body = [artifact(operation, new) for new in case.body] if isinstance(case.body, list) else artifact(operation, case.body)
        case.body = case.body or {"workflow": "uploads", "location": "/in", "name": "a"}
    if operation in ("change_artifact", "change_artifacts", "claim_artifacts"):
        case.body = artifact(operation, case.body)
        if operation == "change_artifacts":
            case.body = {"ids": ["art_0"], "status": "ready", **{n: v for n, v in case.body.items() if n == "run"}}
    if isinstance(case.body, dict):
        case.body = whole(case.body)
        if operation in ("report_error", "close_current_run", "fail_current_run"):
            case.body.pop("at", None)
        if operation == "open_run":
            # A backfill is for workflows with jobs; names of steps are unique; one payload of any type.
            for name in ("from", "to", "steps", "payload_base64", "content_type"):
                case.body.pop(name, None)
        for document in (case.body, case.body.get("repeat")):
            # Either a duration or an instant; a step that was skipped is not repeated.
            if isinstance(document, dict) and operation in ("retry_item", "retry_items", "report_step", "complete"):
                document.pop("at", None)
        if operation in ("report_step", "complete"):
            if case.body.get("status") == "skipped":
                case.body.pop("repeat", None)
            if case.body.get("close") and case.body.get("status") == "interrupted":
                case.body.pop("close")
            if case.body.get("progress") is not None:
                case.body.pop("progress_change", None)
        if operation == "create_silence":
            # Either an end or a duration; an end is in the future; labels are those of group_by.
            for name in ("starts_at", "ends_at", "labels"):
                case.body.pop(name, None)
            case.body["for"] = "1m"
        if operation == "start_replay":
            # No outside address is called; the form of a secret is not expressible as a pattern.
            case.body["target"] = {"url": os.environ["REPLAY_TARGET"]}
        if operation == "claim":
            # The test would wait for it; an id needs the name of its workflow.
            for name in ("wait", "id"):
                case.body.pop(name, None)
    return case


def artifact(operation, document):
    """A request about artifacts, with statuses, runs and dependencies that can be."""
    if not isinstance(document, dict):
        return document
    document = {name: value for name, value in document.items() if name not in ("status", "to", "low", "high")}
    if document.get("run") is not None:
        document["run"] = "run-1"
    if document.get("use") == "run":
        document.pop("use")
    if operation == "register_artifacts":
        document["workflow"] = document.get("workflow") or "uploads"
    if document.get("depends_on"):
        document["depends_on"] = []
    if document.get("size") is not None:
        document["size"] = 7
    if document.get("records") is not None:
        document["records"] = {"written": 7}
    return whole(document)


def whole(value):
    """85.0 is a whole number to JSON Schema and to the daemon none, and the one counts characters, the other bytes."""
    if isinstance(value, dict):
        return {name: whole(member) for name, member in value.items()}
    if isinstance(value, list):
        return [whole(element) for element in value]
    if isinstance(value, str):
        return value.encode(errors="replace")[: len(value)].decode(errors="ignore") or "x"[: len(value)]
    return int(value) if isinstance(value, float) and value.is_integer() else value


@schemathesis.hook
def filter_case(context, case):
    """Schemathesis takes null for a violation of a format where it is allowed beside texts."""
    operation = case.operation.definition.raw.get("operationId")
    if operation == "create_silence" and case.meta is not None and case.meta.generation.mode.is_negative:
        return not (isinstance(case.body, dict) and None in (case.body.get("ends_at", ""), case.body.get("starts_at", "")))
    return True
