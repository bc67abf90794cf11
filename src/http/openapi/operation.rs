//! The description of one operation.

use axum::http::Method;
use utoipa::ToSchema;
use utoipa::openapi::path::{
    HttpMethod, Operation, OperationBuilder, Parameter as Described, ParameterBuilder, ParameterIn,
};
use utoipa::openapi::request_body::{RequestBody, RequestBodyBuilder};
use utoipa::openapi::schema::{Components, Type};
use utoipa::openapi::{
    Array, ContentBuilder, KnownFormat, Object, Ref, RefOr, Required, ResponseBuilder, Schema, SchemaFormat,
    SecurityRequirement,
};
use warden_api::Page;
use warden_api::limit::{ITEM_ID_MAX, NAME_MAX};

use super::forms::ITEM_ID;
use super::{Form, NAME, add_schema, refusals};
use crate::http::parameter::{Kind, Parameter, Place};
use crate::http::route::{Exposure, Operation as Declared, Route};

/// The type of JSON, and of everything that is not said to be something else.
const JSON: &str = "application/json";
const MERGE_PATCH: &str = "application/merge-patch+json";

/// A request body. It decides which problems of reading one the operation can have.
#[derive(Default)]
pub enum Body {
    #[default]
    None,
    /// A JSON document of at most `limit::DOCUMENT_MAX` bytes.
    Document(Content),
    /// The same, or nothing.
    OptionalDocument(Content),
    /// Bytes of any type, of at most `limits.payload_max`.
    Payload(Content),
    /// Lines of JSON, of at most `limits.batch_max` bytes.
    Lines(Content),
}

/// What a successful response contains: one entry for each content type.
pub type Answer = Vec<Content>;

/// A content type with its schema.
pub struct Content {
    kind: &'static str,
    schema: RefOr<Schema>,
    /// Adds the schemas that it refers to.
    components: fn(&mut Components),
}

fn named<T: ToSchema>(kind: &'static str) -> Content {
    Content {
        kind,
        schema: Ref::from_schema_name(T::name()).into(),
        components: |components| add_schema::<T>(&T::name(), components),
    }
}

/// A JSON document that must be sent.
pub fn document<T: ToSchema>() -> Body {
    Body::Document(named::<T>(JSON))
}

/// Any JSON object.
pub fn any_object() -> Body {
    Body::Document(plain(JSON, Type::Object))
}

/// A JSON merge patch (RFC 7396) of any object.
pub fn merge_patch_of_any() -> Body {
    Body::Document(plain(MERGE_PATCH, Type::Object))
}

/// A JSON merge patch (RFC 7396).
pub fn merge_patch<T: ToSchema>() -> Body {
    Body::Document(named::<T>(MERGE_PATCH))
}

/// A JSON document that may be left out.
pub fn optional_document<T: ToSchema>() -> Body {
    Body::OptionalDocument(named::<T>(JSON))
}

/// A payload. The warden does not interpret it.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
struct PayloadBytes(#[expect(dead_code, reason = "for the API description only")] Vec<u8>);

pub fn payload() -> Body {
    Body::Payload(named::<PayloadBytes>("*/*"))
}

pub fn lines() -> Body {
    Body::Lines(plain("application/x-ndjson", Type::String))
}

fn plain(kind: &'static str, schema: Type) -> Content {
    Content { kind, schema: Object::with_type(schema).into(), components: |_| {} }
}

/// A JSON document.
pub fn json<T: ToSchema>() -> Answer {
    vec![named::<T>(JSON)]
}

/// A page of documents.
pub fn page<T: ToSchema>() -> Answer
where
    Page<T>: ToSchema,
{
    fn name<T: ToSchema>() -> String {
        format!("Page_{}", T::name())
    }
    vec![Content {
        kind: JSON,
        schema: Ref::from_schema_name(name::<T>()).into(),
        components: |components| {
            add_schema::<T>(&T::name(), components);
            add_schema::<Page<T>>(&name::<T>(), components);
        },
    }]
}

/// Any JSON object.
pub fn object() -> Answer {
    vec![plain(JSON, Type::Object)]
}

/// Text of each of these types.
pub fn text(kinds: &[&'static str]) -> Answer {
    kinds.iter().map(|kind| plain(kind, Type::String)).collect()
}

/// A JSON object, or text of one of these types.
pub fn object_or_text(kinds: &[&'static str]) -> Answer {
    object().into_iter().chain(text(kinds)).collect()
}

/// Stored bytes, of the stored type.
pub fn file() -> Answer {
    vec![named::<PayloadBytes>("*/*")]
}

pub fn no_body() -> Answer {
    Vec::new()
}

pub fn method(method: &Method) -> HttpMethod {
    match method.as_str() {
        "PUT" => HttpMethod::Put,
        "POST" => HttpMethod::Post,
        "PATCH" => HttpMethod::Patch,
        "DELETE" => HttpMethod::Delete,
        _ => HttpMethod::Get,
    }
}

/// The description of a route's operation. The schemas that it refers to are added to the components.
pub fn of(route: Route, components: &mut Components) -> Operation {
    let refused = refusals::responses(&route, components);
    let Route { path, operation: Declared { exposure, parameters, .. }, description, .. } = route;
    let (summary, rest) = description.about.split_once("\n\n").unwrap_or((description.about, ""));
    let parameters = parameters.iter().copied().flatten().copied().map(parameter);
    let parameters: Vec<Described> = path_parameters(path).chain(parameters).collect();
    let mut operation = OperationBuilder::new()
        .tag(description.tag)
        .summary(Some(summary))
        .description(Some(rest).filter(|rest| !rest.is_empty()))
        .operation_id(Some(description.name))
        .parameters(Some(parameters).filter(|parameters| !parameters.is_empty()))
        .request_body(body(description.body, components));
    if !matches!(exposure, Exposure::Token(_)) {
        operation = operation.security(SecurityRequirement::default());
    }
    for (status, text, answer) in description.answers {
        let mut response = ResponseBuilder::new().description(text);
        for Content { kind, schema, components: add } in answer {
            add(components);
            response = response.content(kind, ContentBuilder::new().schema(Some(schema)).build());
        }
        operation = operation.response(status.to_string(), response);
    }
    refused
        .into_iter()
        .fold(operation, |operation, (status, response)| operation.response(status.to_string(), response))
        .build()
}

fn body(body: Body, components: &mut Components) -> Option<RequestBody> {
    let (content, required) = match body {
        Body::None => return None,
        Body::Document(content) | Body::Payload(content) => (content, Required::True),
        Body::OptionalDocument(content) | Body::Lines(content) => (content, Required::False),
    };
    (content.components)(components);
    let described = ContentBuilder::new().schema(Some(content.schema)).build();
    Some(RequestBodyBuilder::new().content(content.kind, described).required(Some(required)).build())
}

/// The parameters in a path. An id is that of what the collection holds.
fn path_parameters(path: &str) -> impl Iterator<Item = Described> {
    let collection = path.split('/').nth(2).unwrap_or_default();
    let names = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    names.map(move |name| {
        let (about, form) = match (name, collection) {
            ("workflow", _) => ("The name of the workflow".into(), Some(Form::Text(NAME, 1, NAME_MAX))),
            ("id", "workflows") => {
                let form = Form::Text(ITEM_ID, 1, ITEM_ID_MAX);
                ("The id of the item; write a slash within it as %2F".into(), Some(form))
            }
            ("step", _) => ("The name of the step".to_owned(), Some(Form::Text(NAME, 1, NAME_MAX))),
            ("id", "leases") => ("The id of the lease, as returned by the claim".to_owned(), None),
            (name, _) => (format!("The {name} of the {}", singular(collection)), None),
        };
        ParameterBuilder::new()
            .name(name)
            .parameter_in(ParameterIn::Path)
            .description(Some(about))
            .required(Required::True)
            .schema(Some(text_schema(form)))
            .build()
    })
}

fn singular(collection: &str) -> String {
    match collection.strip_suffix("ies") {
        Some(stem) => format!("{stem}y"),
        None => collection.trim_end_matches('s').to_owned(),
    }
}

fn text_schema(form: Option<Form>) -> RefOr<Schema> {
    let mut schema = RefOr::T(Schema::Object(Object::with_type(Type::String)));
    if let Some(form) = form {
        form.add_to(&mut schema);
    }
    schema
}

fn parameter(parameter: Parameter) -> Described {
    let schema = match parameter.kind {
        Kind::Text(form) => text_schema(form),
        Kind::Texts(form) => RefOr::T(Schema::Array(Array::new(text_schema(form)))),
        Kind::Flag => RefOr::T(Schema::Object(Object::with_type(Type::Boolean))),
        Kind::Count(least, most) => {
            let mut number = Object::with_type(Type::Integer);
            number.format = Some(SchemaFormat::KnownFormat(KnownFormat::Int32));
            let mut schema = RefOr::T(Schema::Object(number));
            Form::Count(least, most).add_to(&mut schema);
            schema
        }
    };
    let place = match parameter.place {
        Place::Query => ParameterIn::Query,
        Place::Header => ParameterIn::Header,
    };
    ParameterBuilder::new()
        .name(parameter.name)
        .parameter_in(place)
        .description(Some(parameter.about))
        .required(if parameter.is_required { Required::True } else { Required::False })
        .schema(Some(schema))
        .build()
}
