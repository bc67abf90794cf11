//! The formats of parameters and fields. A name means the same everywhere, so its format is defined once here
//! and not at each operation.
//!
//! JSON Schema is used where it suffices. Other formats are our own, see [`FORMATS`]: generators and
//! validators that do not know them ignore them, so they exclude nothing that is accepted.

use std::collections::BTreeMap;

use utoipa::Number;
use utoipa::openapi::path::{Operation, Parameter, ParameterIn};
use utoipa::openapi::request_body::RequestBody;
use utoipa::openapi::schema::{AdditionalProperties, ArrayItems, SchemaType, Type};
use utoipa::openapi::{KnownFormat, Object, OpenApi, RefOr, Required, Schema, SchemaFormat};
use warden_api::limit::{
    COMMENT_MAX, ITEM_ID_MAX, LABEL_NAME_MAX, LABEL_VALUE_MAX, NAME_MAX, PAGE_MAX, PERSON_MAX,
};
use warden_api::word::{
    CloseOutcome, DeliveryStatus, IncidentKind, IncidentOrder, IncidentStatus, ItemOrder, ItemState,
    OnSuccess, ReplayStatus, SilenceStatus,
};

pub const FORMATS: &str = "\
Some strings have a format of their own: `humantime` is a duration such as `15m` or `1h 30m`, in whole \
milliseconds and at most ten years; `deadline` is such a duration from now, or an RFC 3339 instant; \
`cursor` is the `next_cursor` of an earlier response.";

const PLAIN_ORDERS: [&str; 2] = [ItemOrder::Created.as_str(), ItemOrder::Deadline.as_str()];
const RECOVERABLE: [&str; 3] = {
    let [first, second, third] = ItemState::RECOVERABLE;
    [first.as_str(), second.as_str(), third.as_str()]
};

const NAME: &str = "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$";
const GLOB: &str = "^[A-Za-z0-9._*?-]{1,256}$";
const ITEM_ID: &str = "^[^\\u0000-\\u001f\\u007f-\\u009f]{1,256}$";
const PLAIN: &str = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$";
const COMMENT: &str = "^[^\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f]*$";
const LABEL: &str = "^[A-Za-z0-9._/-]{1,63}:[^\\u0000-\\u001f\\u007f-\\u009f]{0,255}$";
const LABEL_NAME: &str = "^[A-Za-z0-9._/-]{1,63}$";

/// The constraints of a value.
#[derive(Clone, Copy)]
enum Form {
    Words(&'static [&'static str]),
    /// A string with this pattern, and its minimum and maximum length in characters.
    Text(&'static str, usize, usize),
    /// A format of our own.
    Format(&'static str),
    /// RFC 3339.
    Instant,
    /// Minimum and maximum.
    Number(f64, f64),
    /// Minimum and maximum.
    Count(usize, usize),
    /// Labels by name.
    Labels,
}

fn of_parameter(operation: &str, parameter: &Parameter) -> Option<Form> {
    let is_create = matches!(operation, "create_item" | "post_item");
    let statuses = match operation {
        "list_deliveries" => Some(Form::Words(DeliveryStatus::WORDS)),
        "list_incidents" => Some(Form::Words(IncidentStatus::WORDS)),
        "list_silences" => Some(Form::Words(SilenceStatus::WORDS)),
        "list_replays" => Some(Form::Words(ReplayStatus::WORDS)),
        _ => None,
    };
    Some(match (&parameter.parameter_in, parameter.name.as_str()) {
        (ParameterIn::Path, "workflow") => Form::Text(NAME, 1, NAME_MAX),
        (ParameterIn::Path, "id") if operation.ends_with("_item") || operation.ends_with("_payload") => {
            Form::Text(ITEM_ID, 1, ITEM_ID_MAX)
        }
        (ParameterIn::Path, "id") if operation == "report_error" => Form::Text(ITEM_ID, 1, ITEM_ID_MAX),
        (ParameterIn::Query, "limit") => Form::Count(1, PAGE_MAX),
        (ParameterIn::Query, "cursor") => Form::Format("cursor"),
        (ParameterIn::Query, "deadline") => Form::Format("deadline"),
        (ParameterIn::Query, "label") if is_create => {
            Form::Text(LABEL, 2, LABEL_NAME_MAX + 1 + LABEL_VALUE_MAX)
        }
        (ParameterIn::Query, "label") => Form::Text(":", 1, 4096),
        (ParameterIn::Query, "step") if is_create => Form::Text(NAME, 1, NAME_MAX),
        (ParameterIn::Query, "state") => Form::Words(ItemState::WORDS),
        (ParameterIn::Query, "status") => return statuses,
        (ParameterIn::Query, "order") => match operation {
            "list_incidents" => Form::Words(IncidentOrder::WORDS),
            "list_items" => Form::Words(ItemOrder::WORDS),
            _ => Form::Words(&PLAIN_ORDERS),
        },
        (ParameterIn::Query, "outcome") => Form::Words(CloseOutcome::WORDS),
        (ParameterIn::Query, name) if is_bound(name) => Form::Instant,
        (ParameterIn::Header, "idempotency-key") => Form::Text("^[!-~]+$", 1, 255),
        (ParameterIn::Header, "if-match") => Form::Text("^(\"[0-9]+\"|\\*)$", 1, 22),
        _ => return None,
    })
}

/// The description of a parameter, where the operation has none of its own.
fn description_of(operation: &str, parameter: &Parameter) -> Option<&'static str> {
    Some(match (&parameter.parameter_in, parameter.name.as_str()) {
        (ParameterIn::Path, "workflow") => "The name of the workflow",
        (ParameterIn::Path, "name") => "The name of the receiver",
        (ParameterIn::Path, "id") => match operation {
            "heartbeat" | "complete" | "fail" | "release" => "The id of the lease, as returned by the claim",
            "resend_delivery" => "The id of the delivery",
            _ if operation.contains("incident") => "The id of the incident",
            _ if operation.contains("silence") => "The id of the silence",
            _ if operation.contains("replay") => "The id of the replay",
            _ => "The id of the item; write a slash within it as %2F",
        },
        (ParameterIn::Query, "step") if matches!(operation, "create_item" | "post_item") => {
            "The step to start at; the workflow's first by default"
        }
        (ParameterIn::Query, "step") => "The name of a step",
        (ParameterIn::Query, "status") => "The status; any by default",
        (ParameterIn::Query, "limit") => "The most entries of the page; 50 by default",
        (ParameterIn::Query, "cursor") => "Continue after a page: the `next_cursor` of its response",
        (ParameterIn::Query, name) if is_bound(name) => "An RFC 3339 instant; in a query write + as %2B",
        (ParameterIn::Header, "range") => "A range of bytes (RFC 9110); several ranges are ignored",
        _ => return None,
    })
}

fn is_bound(name: &str) -> bool {
    matches!(name, "created_before" | "created_after" | "deadline_before" | "deadline_after")
}

fn of_field(document: &str, field: &str) -> Option<Form> {
    Some(match (document, field) {
        (_, "deadline") => Form::Format("deadline"),
        (_, "ttl" | "wait" | "delay" | "retry_after" | "for" | "ramp_up" | "timeout") => {
            Form::Format("humantime")
        }
        (_, "cursor") => Form::Format("cursor"),
        (_, "starts_at" | "ends_at") => Form::Instant,
        (_, name) if is_bound(name) => Form::Instant,
        (_, "states") => Form::Words(&RECOVERABLE),
        (_, "kind") => Form::Words(IncidentKind::WORDS),
        (_, "on_success") => Form::Words(OnSuccess::WORDS),
        (_, "step") => Form::Text(NAME, 1, NAME_MAX),
        ("ReplayFilterRequest", "workflows") | (_, "workflow") => Form::Text(GLOB, 1, 256),
        (_, "labels") => Form::Labels,
        (_, "by" | "author" | "worker") => Form::Text(PLAIN, 1, PERSON_MAX),
        ("CommentRequest", "comment") => Form::Text(COMMENT, 1, COMMENT_MAX),
        (_, "comment") => Form::Text(COMMENT, 0, COMMENT_MAX),
        (_, "name") => Form::Text(PLAIN, 0, 128),
        (_, "type") => Form::Text("", 1, 128),
        (_, "message") => Form::Text("", 0, 2048),
        (_, "max") => Form::Count(1, 1000),
        (_, "concurrency") => Form::Count(1, 256),
        (_, "max_per_second") => Form::Number(0.01, 10_000.0),
        _ => return None,
    })
}

/// Adds the constraints of every parameter and every field of a request.
pub fn add(api: &mut OpenApi) {
    for item in api.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
        operations.into_iter().flatten().for_each(tell_of_operation);
    }
    let Some(components) = &mut api.components else { return };
    WHOLE.iter().for_each(|name| make_whole(&mut components.schemas, name));
    for name in CLOSED {
        if let Some(RefOr::T(Schema::Object(object))) = components.schemas.get_mut(name) {
            object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
        }
    }
    for (name, schema) in &mut components.schemas {
        if name.ends_with("Request") || name == "ItemFilter" {
            tell_of_document(name, schema);
        }
    }
}

/// Documents composed of others that reject unknown fields, which a composed schema cannot express.
const WHOLE: [&str; 2] = ["ClaimRequest", "ReplayFilterRequest"];

/// Response variants that are recognized by having no further fields.
const CLOSED: [&str; 1] = ["ItemReceipt"];

/// Merges the parts of a composed document into one object.
fn make_whole(schemas: &mut BTreeMap<String, RefOr<Schema>>, name: &str) {
    let Some(RefOr::T(Schema::AllOf(parts))) = schemas.get(name) else { return };
    let mut whole = Object::with_type(Type::Object);
    whole.description = parts.description.clone();
    for part in &parts.items {
        let part = match part {
            RefOr::Ref(reference) => {
                reference.ref_location.rsplit('/').next().and_then(|name| schemas.get(name))
            }
            RefOr::T(_) => Some(part),
        };
        if let Some(RefOr::T(Schema::Object(part))) = part {
            whole.properties.extend(part.properties.clone());
        }
    }
    whole.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
    schemas.insert(name.to_owned(), RefOr::T(Schema::Object(whole)));
}

fn tell_of_operation(operation: &mut Operation) {
    let name = operation.operation_id.clone().unwrap_or_default();
    for parameter in operation.parameters.iter_mut().flatten() {
        let RefOr::T(parameter) = parameter else { continue };
        if parameter.description.is_none() {
            parameter.description = description_of(&name, parameter).map(str::to_owned);
        }
        let form = of_parameter(&name, parameter);
        let Some(schema) = &mut parameter.schema else { continue };
        // Parameters are omitted, never null.
        never_null(schema);
        if let Some(form) = form {
            form.tell(schema);
        }
    }
    if let Some(RefOr::T(body)) = &mut operation.request_body {
        leave_out(body);
    }
}

/// An optional body is described as nullable by utoipa; make it optional instead.
fn leave_out(body: &mut RequestBody) {
    for content in body.content.values_mut() {
        let RefOr::T(content) = content else { continue };
        if let Some(schema) = &mut content.schema
            && never_null(schema)
        {
            body.required = Some(Required::False);
        }
        let Some(RefOr::T(Schema::OneOf(choice))) = &mut content.schema else { continue };
        let null = SchemaType::Type(Type::Null);
        let is_null = |schema: &RefOr<Schema>| match schema {
            RefOr::T(Schema::Object(object)) => object.schema_type == null,
            _ => false,
        };
        choice.items.retain(|schema| !is_null(schema));
        if let (Some(only), true) = (choice.items.pop(), choice.items.is_empty()) {
            content.schema = Some(only);
            body.required = Some(Required::False);
        }
    }
}

fn tell_of_document(name: &str, schema: &mut RefOr<Schema>) {
    let RefOr::T(Schema::Object(object)) = schema else { return };
    for (field, schema) in &mut object.properties {
        if let Some(form) = of_field(name, field) {
            form.tell(schema);
        }
    }
}

/// Makes a schema not nullable. Returns whether it was.
fn never_null(schema: &mut RefOr<Schema>) -> bool {
    let RefOr::T(Schema::Object(object)) = schema else { return false };
    let found = match &object.schema_type {
        SchemaType::Array(types) => match types.as_slice() {
            [found, Type::Null] | [Type::Null, found] => found.clone(),
            _ => return false,
        },
        _ => return false,
    };
    object.schema_type = SchemaType::Type(found);
    true
}

impl Form {
    /// Adds the constraints; for a list, to its elements.
    fn tell(self, schema: &mut RefOr<Schema>) {
        match schema {
            RefOr::T(Schema::Array(array)) => {
                if let ArrayItems::RefOrSchema(items) = &mut array.items {
                    self.tell(items);
                }
            }
            RefOr::T(Schema::Object(object)) => self.tell_of(object),
            _ => {}
        }
    }

    fn tell_of(self, object: &mut Object) {
        match self {
            Self::Words(words) => {
                let mut values: Vec<serde_json::Value> = words.iter().map(|word| (*word).into()).collect();
                if matches!(&object.schema_type, SchemaType::Array(types) if types.contains(&Type::Null)) {
                    values.push(serde_json::Value::Null);
                }
                object.enum_values = Some(values);
            }
            Self::Text(pattern, least, most) => {
                object.pattern = Some(pattern.to_owned()).filter(|pattern| !pattern.is_empty());
                object.min_length = Some(least).filter(|least| *least > 0);
                object.max_length = Some(most);
            }
            Self::Format(format) => object.format = Some(SchemaFormat::Custom(format.to_owned())),
            Self::Instant => object.format = Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)),
            Self::Number(least, most) => {
                object.minimum = Some(Number::Float(least));
                object.maximum = Some(Number::Float(most));
            }
            Self::Count(least, most) => {
                object.minimum = Some(Number::UInt(least));
                object.maximum = Some(Number::UInt(most));
            }
            Self::Labels => {
                let mut names = Object::with_type(Type::String);
                Self::Text(LABEL_NAME, 1, LABEL_NAME_MAX).tell_of(&mut names);
                object.property_names = Some(Box::new(Schema::Object(names)));
                if let Some(AdditionalProperties::RefOr(values)) = object.additional_properties.as_deref_mut()
                {
                    Self::Text(PLAIN, 0, LABEL_VALUE_MAX).tell(values);
                }
            }
        }
    }
}
