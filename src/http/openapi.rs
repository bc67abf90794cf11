//! The description of the API: what all operations share. Each says for itself what it does and what its success is.

mod forms;
mod links;

use utoipa::OpenApi;
use utoipa::openapi::path::Operation;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};
use warden_api::ProblemDocument;

use super::operation;

#[derive(OpenApi)]
#[openapi(
    info(title = "Process Warden", description = "Hand items in before the work starts, delete them when it is done."),
    tags((name = "items", description = "Create, close, read, list"),
        (name = "recovery", description = "Claim items, retry them, have them replayed"),
        (name = "workflows", description = "Policies and figures"),
        (name = "alerts", description = "Incidents, silences, deliveries and receivers"),
        (name = "operation", description = "Health, metrics, this description")),
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

/// What is known of the API before its operations.
pub fn document() -> utoipa::openapi::OpenApi {
    let mut api = Api::openapi();
    api.info.description = api.info.description.map(|text| format!("{text}\n\n{}", forms::FORMATS));
    api
}

/// Adds to what the operations say of themselves what is the same for all of them.
pub fn complete(api: &mut utoipa::openapi::OpenApi) {
    forms::tell(api);
    links::tell(api);
    tell_problems(api);
}

/// Adds to each operation how it is refused, and to those that a token opens how they fail.
fn tell_problems(api: &mut utoipa::openapi::OpenApi) {
    for (path, item) in &mut api.paths.paths {
        let operations = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
        for operation in operations.into_iter().flatten() {
            tell_problems_of(operation, operation::is_open(path));
        }
    }
}

fn tell_problems_of(operation: &mut Operation, is_open: bool) {
    let problems = [("4XX", "Refused"), ("5XX", "Not done")];
    for (statuses, description) in problems.into_iter().take(if is_open { 1 } else { 2 }) {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("ProblemDocument"))).build();
        let response =
            ResponseBuilder::new().description(description).content("application/problem+json", content);
        operation.responses.responses.insert(statuses.to_owned(), RefOr::T(response.build()));
    }
}
