//! The constraints of parameters, and those of the fields of requests. A field means the same everywhere, so
//! its constraints are defined once here and not at each document.
//!
//! JSON Schema is used where it suffices. Other formats are our own, see [`FORMATS`]: generators and
//! validators that do not know them ignore them, so they exclude nothing that is accepted.

use std::collections::BTreeMap;

use utoipa::Number;
use utoipa::openapi::schema::{AdditionalProperties, ArrayItems, SchemaType, Type};
use utoipa::openapi::{KnownFormat, Object, OpenApi, RefOr, Schema, SchemaFormat};
use warden_api::limit::{
    ARTIFACT_NAME_MAX, ARTIFACT_WORD_MAX, CLAIM_MAX, COMMENT_MAX, ERROR_MESSAGE_MAX, ERROR_STACK_MAX,
    ERROR_TYPE_MAX, ITEM_ID_MAX, LABEL_NAME_MAX, LABEL_VALUE_MAX, NAME_MAX, PERSON_MAX, REPLAY_NAME_MAX,
    STEP_MESSAGE_MAX,
};
use warden_api::word::{IncidentKind, ItemState, OnSuccess};

pub const FORMATS: &str = "\
Some strings have a format of their own: `humantime` is a duration such as `15m` or `1h 30m`, in whole \
milliseconds and at most ten years; `deadline` is such a duration from now, or an RFC 3339 instant; \
`cursor` is the `next_cursor` of an earlier response.";

const RECOVERABLE: [&str; 3] = {
    let [first, second, third] = ItemState::RECOVERABLE;
    [first.as_str(), second.as_str(), third.as_str()]
};

pub const NAME: &str = "^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$";
const GLOB: &str = "^[A-Za-z0-9._*?-]{1,256}$";
const PLAIN: &str = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$";
const COMMENT: &str = "^[^\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f]*$";
pub const ITEM_ID: &str = "^[^\\u0000-\\u001f\\u007f-\\u009f]{1,256}$";
pub const LABEL: &str = "^[A-Za-z0-9._/-]{1,63}:[^\\u0000-\\u001f\\u007f-\\u009f]{0,255}$";
const LABEL_NAME: &str = "^[A-Za-z0-9._/-]{1,63}$";

/// The constraints of a value.
#[derive(Clone, Copy)]
pub enum Form {
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

fn is_bound(name: &str) -> bool {
    matches!(name, "created_before" | "created_after" | "deadline_before" | "deadline_after")
}

fn of_field(document: &str, field: &str) -> Option<Form> {
    Some(match (document, field) {
        ("RegisterRequest", "location" | "name") => Form::Text(PLAIN, 1, ARTIFACT_NAME_MAX),
        ("RegisterRequest" | "ChangeRequest", "alias" | "format" | "compression") => {
            Form::Text(PLAIN, 1, ARTIFACT_WORD_MAX)
        }
        ("RegisterRequest", "workflow") => Form::Text(NAME, 1, NAME_MAX),
        // Globs.
        ("ArtifactClaimRequest", "location" | "name") => return None,
        (_, "deadline" | "not_before") => Form::Format("deadline"),
        (_, "ttl" | "wait" | "delay" | "retry_after" | "for" | "ramp_up" | "timeout") => {
            Form::Format("humantime")
        }
        (_, "cursor") => Form::Format("cursor"),
        (_, "starts_at" | "ends_at") | ("RunRequest", "started_at") => Form::Instant,
        (_, "at") | ("RunRequest", "from" | "to") => Form::Instant,
        ("RunRequest", "id") => Form::Text(ITEM_ID, 1, ITEM_ID_MAX),
        ("RetryRequest" | "RepeatRequest", "after") => Form::Format("humantime"),
        ("RetryRequest", "from") => Form::Text(NAME, 1, NAME_MAX),
        ("RepeatRequest", "max") => Form::Count(1, u32::MAX as usize),
        ("StepRequest" | "CompleteRequest", "message") => Form::Text("", 0, STEP_MESSAGE_MAX),
        (_, "stack") => Form::Text("", 0, ERROR_STACK_MAX),
        (_, name) if is_bound(name) => Form::Instant,
        (_, "states") => Form::Words(&RECOVERABLE),
        (_, "kind") => Form::Words(IncidentKind::WORDS),
        (_, "on_success") => Form::Words(OnSuccess::WORDS),
        (_, "step") | ("ClaimRequest", "steps") => Form::Text(NAME, 1, NAME_MAX),
        ("ReplayFilterRequest", "workflows") | (_, "workflow") => Form::Text(GLOB, 1, 256),
        (_, "labels") => Form::Labels,
        (_, "by" | "author" | "worker") => Form::Text(PLAIN, 1, PERSON_MAX),
        ("CommentRequest", "comment") => Form::Text(COMMENT, 1, COMMENT_MAX),
        (_, "comment") => Form::Text(COMMENT, 0, COMMENT_MAX),
        (_, "name") => Form::Text(PLAIN, 0, REPLAY_NAME_MAX),
        (_, "type") => Form::Text("", 1, ERROR_TYPE_MAX),
        (_, "message") => Form::Text("", 0, ERROR_MESSAGE_MAX),
        (_, "max") => Form::Count(1, CLAIM_MAX),
        (_, "concurrency") => Form::Count(1, 256),
        (_, "max_per_second") => Form::Number(0.01, 10_000.0),
        _ => return None,
    })
}

/// Adds the constraints of every field of a request.
pub fn add(api: &mut OpenApi) {
    let Some(components) = &mut api.components else { return };
    WHOLE.iter().for_each(|name| make_whole(&mut components.schemas, name));
    for name in CLOSED {
        if let Some(RefOr::T(Schema::Object(object))) = components.schemas.get_mut(name) {
            object.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
        }
    }
    for (name, schema) in &mut components.schemas {
        if name.ends_with("Request") || name == "ItemFilter" {
            add_to_document(name, schema);
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

fn add_to_document(name: &str, schema: &mut RefOr<Schema>) {
    let RefOr::T(Schema::Object(object)) = schema else { return };
    for (field, schema) in &mut object.properties {
        if let Some(form) = of_field(name, field) {
            form.add_to(schema);
        }
    }
}

impl Form {
    /// Adds the constraints; for a list, to its elements.
    pub fn add_to(self, schema: &mut RefOr<Schema>) {
        match schema {
            RefOr::T(Schema::Array(array)) => {
                if let ArrayItems::RefOrSchema(items) = &mut array.items {
                    self.add_to(items);
                }
            }
            RefOr::T(Schema::Object(object)) => self.add_to_object(object),
            _ => {}
        }
    }

    fn add_to_object(self, object: &mut Object) {
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
                Self::Text(LABEL_NAME, 1, LABEL_NAME_MAX).add_to_object(&mut names);
                object.property_names = Some(Box::new(Schema::Object(names)));
                if let Some(AdditionalProperties::RefOr(values)) = object.additional_properties.as_deref_mut()
                {
                    Self::Text(PLAIN, 0, LABEL_VALUE_MAX).add_to(values);
                }
            }
        }
    }
}
