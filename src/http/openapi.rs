//! The parts of the API description that operations share. Each operation describes itself and its success.

mod forms;
mod links;

use utoipa::OpenApi;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};
use warden_api::ProblemDocument;

use super::operation;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Process Warden",
        description = "Create an item before its work starts, and close it when the work is done."
    ),
    tags((name = "items", description = "Create, close, read, list and export items"),
        (name = "recovery", description = "Claim, retry and replay items"),
        (name = "workflows", description = "Policies and counts"),
        (name = "alerts", description = "Incidents, silences, deliveries and receivers"),
        (name = "operation", description = "Health, metrics and this description")),
    security((), ("bearer" = [])),
    components(schemas(ProblemDocument)),
    modifiers(&BearerScheme),
)]
struct Api;

struct BearerScheme;

impl utoipa::Modify for BearerScheme {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
        let components = api.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    }
}

/// The description without operations.
pub fn document() -> utoipa::openapi::OpenApi {
    let mut api = Api::openapi();
    api.info.description = api.info.description.map(|text| format!("{text}\n\n{}", forms::FORMATS));
    api
}

/// Adds what all operations have in common.
pub fn complete(api: &mut utoipa::openapi::OpenApi) {
    forms::add(api);
    links::add(api);
    add_problems(api);
}

/// Adds the error responses: 4XX to all operations, 5XX to those that need a token.
fn add_problems(api: &mut utoipa::openapi::OpenApi) {
    for (path, item) in &mut api.paths.paths {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
        for operation in operations.into_iter().flatten() {
            add_problems_to(operation, operation::is_open(path));
        }
    }
}

fn add_problems_to(operation: &mut Operation, is_open: bool) {
    let problems = [("4XX", "The request was rejected"), ("5XX", "The request failed")];
    for (statuses, description) in problems.into_iter().take(if is_open { 1 } else { 2 }) {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("ProblemDocument"))).build();
        let response =
            ResponseBuilder::new().description(description).content("application/problem+json", content);
        operation.responses.responses.insert(statuses.to_owned(), RefOr::T(response.build()));
    }
}
