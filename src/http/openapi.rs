//! The description of the API, made of the routes.

mod details;
mod examples;
mod forms;
mod links;
mod operation;
mod refusals;

use utoipa::openapi::schema::Components;
use utoipa::openapi::{OpenApi as Document, PathItem};
use utoipa::{OpenApi, PartialSchema, ToSchema};
use warden_api::ProblemDocument;

pub use self::forms::{Form, ITEM_ID, LABEL, NAME};
pub use self::operation::{
    Answer, Body, any_object, document, file, json, lines, merge_patch, merge_patch_of_any, no_body, object,
    object_or_text, optional_document, page, payload, text,
};
use super::route::Route;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Process Warden",
        description = "Create an item before its work starts, and close it when the work is done."
    ),
    tags((name = "items", description = "Create, close, read, list and export items"),
        (name = "recovery", description = "Claim, retry and replay items"),
        (name = "workflows", description = "Policies and counts"),
        (name = "runs", description = "Runs of workflows: the ledger, windows, holds, waiting"),
        (name = "alerts", description = "Incidents, silences, deliveries and receivers"),
        (name = "artifacts", description = "Files that runs write or read"),
        (name = "operation", description = "Health, metrics and this description")),
    security((), ("bearer" = [])),
    components(schemas(ProblemDocument)),
    modifiers(&BearerScheme),
)]
struct Api;

struct BearerScheme;

impl utoipa::Modify for BearerScheme {
    fn modify(&self, api: &mut Document) {
        use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
        let components = api.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    }
}

/// The description of these routes.
pub fn describe(routes: Vec<Route>) -> Document {
    let mut api = Api::openapi();
    api.info.description = api.info.description.map(|text| format!("{text}\n\n{}", forms::FORMATS));
    let components = api.components.get_or_insert_default();
    for route in routes {
        let (path, method) = (route.path, operation::method(&route.method));
        let operation = operation::of(route, components);
        let item = api.paths.paths.entry(path.to_owned()).or_default();
        item.merge_operations(PathItem::new(method, operation));
    }
    components.examples.extend(refusals::examples());
    forms::add(&mut api);
    links::add(&mut api);
    examples::add(&mut api);
    api
}

/// Adds the schema of a document and of those that it contains.
fn add_schema<T: ToSchema>(name: &str, components: &mut Components) {
    let mut schemas = Vec::new();
    T::schemas(&mut schemas);
    components.schemas.extend(schemas);
    components.schemas.entry(name.to_owned()).or_insert_with(<T as PartialSchema>::schema);
}
