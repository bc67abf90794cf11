//! The problems of an operation, by status, each with an example.
//!
//! What follows from exposure, method and body is added here; a route declares the rest. Statuses are exact,
//! so that a client knows what it may get.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::Method;
use utoipa::openapi::example::{Example, ExampleBuilder};
use utoipa::openapi::schema::Components;
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};
use warden_api::problem::TYPE_PREFIX;
use warden_api::{Problem, ProblemDocument};

use super::Body;
use super::details::{OTHER_ARTIFACT, detail};
use crate::http::route::{Exposure, Route};

/// Malformed framing, paths and queries, and requests for another host.
const ANY: &[Problem] = &[Problem::InvalidRequest, Problem::UnknownHost, Problem::NotImplemented];
const OF_TOKENS: &[Problem] = &[
    Problem::Unauthorized,
    Problem::Forbidden,
    Problem::Overloaded,
    Problem::Unavailable,
    Problem::StoreFailed,
];
const OF_DOCUMENTS: &[Problem] = &[
    Problem::IncompleteBody,
    Problem::BodyTimeout,
    Problem::PayloadTooLarge,
    Problem::UnsupportedEncoding,
    Problem::UnsupportedMediaType,
];
const OF_PAYLOADS: &[Problem] = &[Problem::IncompleteBody, Problem::BodyTimeout, Problem::PayloadTooLarge];
const OF_LINES: &[Problem] = &[
    Problem::IncompleteBody,
    Problem::BodyTimeout,
    Problem::BatchTooLarge,
    Problem::UnsupportedEncoding,
    Problem::UnsupportedMediaType,
];

/// Every problem that the operation can have.
fn problems(route: &Route) -> BTreeSet<Problem> {
    let of_exposure: &[Problem] = match route.operation.exposure {
        Exposure::Health => &[],
        Exposure::Open => &[Problem::Overloaded],
        Exposure::Token(_) => OF_TOKENS,
    };
    let of_method: &[Problem] = match route.method {
        Method::GET => &[],
        Method::DELETE => &[Problem::ForeignOrigin],
        // HTTP/1.0 has to announce a body, even one that is empty.
        _ => &[Problem::ForeignOrigin, Problem::LengthRequired],
    };
    let of_body = match route.description.body {
        Body::None => &[],
        Body::Document(_) | Body::OptionalDocument(_) => OF_DOCUMENTS,
        Body::Payload(_) => OF_PAYLOADS,
        Body::Lines(_) => OF_LINES,
    };
    let own = route.description.refusals.iter();
    own.chain(ANY).chain(of_exposure).chain(of_method).chain(of_body).copied().collect()
}

/// The responses by status, as references: many operations have the same ones. Those are added to the
/// components, under the names of their problems.
pub fn responses(route: &Route, components: &mut Components) -> Vec<(u16, RefOr<Response>)> {
    let mut by_status: BTreeMap<u16, Vec<Problem>> = BTreeMap::new();
    for problem in problems(route) {
        by_status.entry(problem.status()).or_default().push(problem);
    }
    let shared = |(status, problems): (u16, Vec<Problem>)| {
        let name = problems.iter().map(|problem| problem.slug()).collect::<Vec<_>>().join(".");
        let place = Ref::new(format!("#/components/responses/{name}"));
        components.responses.entry(name).or_insert_with(|| RefOr::T(response(&problems)));
        (status, RefOr::Ref(place))
    };
    by_status.into_iter().map(shared).collect()
}

fn response(problems: &[Problem]) -> Response {
    let lines: Vec<String> =
        problems.iter().map(|problem| format!("`{}`: {}", problem.slug(), problem.title())).collect();
    let examples = problems.iter().map(|problem| {
        let place = Ref::new(format!("#/components/examples/{}", problem.slug()));
        (problem.slug().to_owned(), RefOr::Ref(place))
    });
    let mut content = ContentBuilder::new().schema(Some(Ref::from_schema_name("ProblemDocument"))).build();
    content.examples = examples.collect();
    let description = lines.join("\n\n");
    ResponseBuilder::new().description(description).content("application/problem+json", content).build()
}

/// An example of each problem, for the components.
pub fn examples() -> impl Iterator<Item = (String, RefOr<Example>)> {
    Problem::ALL.into_iter().map(|problem| {
        let document = ProblemDocument {
            kind: format!("{TYPE_PREFIX}{}", problem.slug()).into(),
            title: problem.title().into(),
            status: problem.status(),
            detail: detail(problem),
            instance: Some("019b76da-a800-7c3e-8f00-5b2d1c0a9e71".into()),
            dependencies: match problem {
                Problem::DependencyNotMet => vec![OTHER_ARTIFACT.into()],
                _ => Vec::new(),
            },
            ..ProblemDocument::default()
        };
        let value = serde_json::to_value(document).ok();
        let example = ExampleBuilder::new().summary(problem.title()).value(value).build();
        (problem.slug().to_owned(), RefOr::T(example))
    })
}
