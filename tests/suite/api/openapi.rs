//! The description of the API. That every status is declared is checked wherever a test reads an answer.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::Value;

use crate::support::{TestDaemon, whole_responses};

#[tokio::test]
async fn the_description_lists_every_path_with_its_methods() {
    let daemon = TestDaemon::start().await;
    let answer = daemon.ask(Method::GET, "/openapi.json").await;
    let document = answer.json(200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."), "{}", document["openapi"]);
    assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    let expected = [
        ("/v1/workflows/{workflow}/items/{id}", "delete get patch put"),
        ("/v1/workflows/{workflow}/items", "post"),
        ("/v1/workflows/{workflow}/items/{id}/payload", "get"),
        ("/v1/workflows/{workflow}/items/{id}/errors", "post"),
        ("/v1/batch", "post"),
        ("/v1/items", "get"),
        ("/v1/items/summary", "get"),
        ("/v1/export", "get"),
        ("/v1/workflows", "get"),
        ("/v1/workflows/{workflow}", "delete get put"),
        ("/v1/workflows/{workflow}/stats", "get"),
        ("/v1/incidents", "get"),
        ("/v1/incidents/{id}", "get"),
        ("/v1/incidents/{id}/deliveries", "get"),
        ("/healthz", "get"),
        ("/readyz", "get"),
        ("/metrics", "get"),
        ("/openapi.json", "get"),
    ];
    for (path, methods) in expected {
        let mut found: Vec<&str> =
            document["paths"][path].as_object().unwrap().keys().map(String::as_str).collect();
        found.sort_unstable();
        assert_eq!(found.join(" "), methods, "{path}");
    }
}

#[tokio::test]
async fn the_paths_that_clients_are_given_are_those_of_the_description() {
    let document = TestDaemon::start().await.get("/openapi.json").await;
    let described: BTreeSet<&str> =
        document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    let given: BTreeSet<&str> = warden_api::path::ALL.iter().copied().collect();
    assert_eq!(described, given);
}

/// Every operation of the description, with its path.
fn operations(document: &Value) -> Vec<(&str, &Value)> {
    let paths = document["paths"].as_object().expect("paths");
    paths
        .iter()
        .flat_map(|(path, item)| {
            item.as_object().expect("operations").values().map(move |one| (path.as_str(), one))
        })
        .collect()
}

#[tokio::test]
async fn every_operation_declares_its_success_its_problems_and_its_parameters() {
    let daemon = TestDaemon::start().await;
    let document = whole_responses(daemon.get("/openapi.json").await);
    for (path, operation) in operations(&document) {
        let responses = operation["responses"].as_object().unwrap();
        assert!(responses.keys().any(|status| status.starts_with('2')), "{path}");
        assert!(!operation["summary"].as_str().unwrap_or_default().is_empty(), "{path} {operation}");
        for (status, response) in responses.iter().filter(|(status, _)| status.starts_with(['4', '5'])) {
            let schema = &response["content"]["application/problem+json"]["schema"]["$ref"];
            assert_eq!(schema, "#/components/schemas/ProblemDocument", "{path} {status}");
            let examples = response["content"]["application/problem+json"]["examples"].as_object();
            for (slug, example) in examples.expect("an example of each problem") {
                let place = example["$ref"].as_str().and_then(|place| place.strip_prefix('#'));
                let problem = &document.pointer(place.expect("a reference")).expect("an example")["value"];
                assert_eq!(problem["type"], format!("/problems/{slug}"), "{path} {status}");
                assert_eq!(problem["status"].to_string(), *status, "{path} {slug}");
                assert!(response["description"].as_str().is_some_and(|text| text.contains(slug)), "{path}");
            }
        }
        assert!(
            responses.keys().all(|status| status.parse::<u16>().is_ok()),
            "{path}: every status is exact"
        );
        if path.starts_with("/v1/") {
            for status in ["400", "401", "403", "421", "500", "503"] {
                assert!(responses.contains_key(status), "{path} {status}");
            }
        }
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        for name in path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
            assert!(
                parameters.iter().any(|found| found["name"] == name && found["in"] == "path"),
                "{path} {name}"
            );
        }
    }
}

#[tokio::test]
async fn every_operation_has_a_name_of_its_own() {
    let document = TestDaemon::start().await.get("/openapi.json").await;
    let operations = operations(&document);
    let names: BTreeSet<_> =
        operations.iter().map(|(path, operation)| operation["operationId"].as_str().expect(path)).collect();
    assert_eq!(names.len(), operations.len(), "generated clients make methods of them: {names:?}");
}

#[tokio::test]
async fn every_reference_of_the_description_leads_somewhere() {
    fn check(document: &Value, value: &Value) {
        match value {
            Value::Object(members) => {
                if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                    let pointer = reference.strip_prefix('#').expect("a place in this document");
                    assert!(document.pointer(pointer).is_some(), "{reference} leads nowhere");
                }
                members.values().for_each(|member| check(document, member));
            }
            Value::Array(elements) => elements.iter().for_each(|element| check(document, element)),
            _ => {}
        }
    }
    let document = TestDaemon::start().await.get("/openapi.json").await;
    check(&document, &document);
}

#[tokio::test]
async fn the_description_says_which_paths_need_a_token() {
    let daemon = TestDaemon::start().await;
    let document = daemon.get("/openapi.json").await;
    let scheme = &document["components"]["securitySchemes"]["bearer"];
    assert_eq!((&scheme["type"], &scheme["scheme"]), (&"http".into(), &"bearer".into()));
    for (path, operation) in operations(&document) {
        let security = operation.get("security").unwrap_or(&document["security"]).to_string();
        let open = ["/healthz", "/readyz", "/openapi.json"].contains(&path);
        assert_eq!(!security.contains("bearer"), open, "{path}: {security}");
    }
}

#[tokio::test]
async fn an_item_has_exactly_the_fields_that_are_declared() {
    let daemon = TestDaemon::start().await;
    let document = daemon.get("/openapi.json").await;
    let item = daemon.create("uploads", "file-1", "", "hello").await;
    let fields = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let declared = fields(&document["components"]["schemas"]["Item"]["properties"]);
    assert_eq!(fields(&item), declared);
}

#[tokio::test]
async fn what_requests_hold_is_described_by_its_form() {
    let daemon = TestDaemon::start().await;
    let document = daemon.get("/openapi.json").await;
    let parameter = |path: &str, method: &str, name: &str| {
        let parameters = document["paths"][path][method]["parameters"].as_array().unwrap();
        parameters.iter().find(|parameter| parameter["name"] == name).unwrap()["schema"].clone()
    };
    let limit = parameter("/v1/items", "get", "limit");
    assert_eq!((&limit["minimum"], &limit["maximum"]), (&1.into(), &1000.into()));
    let states = parameter("/v1/items", "get", "state");
    assert_eq!(states["items"]["enum"].as_array().unwrap().len(), 6);
    let item = "/v1/workflows/{workflow}/items/{id}";
    assert_eq!(parameter(item, "put", "deadline")["format"], "deadline");
    assert_eq!(parameter(item, "patch", "if-match")["type"], "string", "a header is left out and never null");
    let field = |document_name: &str, name: &str| {
        document["components"]["schemas"][document_name]["properties"][name].clone()
    };
    assert_eq!(field("ClaimRequest", "ttl")["format"], "humantime");
    assert_eq!(field("ClaimRequest", "created_before")["format"], "date-time");
    assert_eq!(document["components"]["schemas"]["ClaimRequest"]["additionalProperties"], false);
    assert_eq!(field("PatchRequest", "deadline")["type"], "string");
    assert_eq!(field("ItemError", "data").get("type"), None, "it may be any JSON");
    for path in ["/v1/leases", "/v1/leases/{id}/release", "/v1/incidents/{id}/ack", "/v1/batch"] {
        assert_eq!(document["paths"][path]["post"]["requestBody"]["required"], false, "{path}");
    }
}

#[tokio::test]
async fn every_link_of_the_description_leads_to_an_operation_that_takes_what_it_brings() {
    let daemon = TestDaemon::start().await;
    let document = daemon.get("/openapi.json").await;
    let operations = operations(&document);
    let mut links = 0;
    for (path, operation) in &operations {
        for response in operation["responses"].as_object().unwrap().values() {
            for link in response["links"].as_object().into_iter().flat_map(|links| links.values()) {
                links += 1;
                let found = operations.iter().find(|(_, other)| other["operationId"] == link["operationId"]);
                let (_, target) = found.unwrap_or_else(|| panic!("{path}: {link} leads nowhere"));
                for name in link["parameters"].as_object().unwrap().keys() {
                    let parameters = target["parameters"].as_array().unwrap();
                    assert!(parameters.iter().any(|parameter| parameter["name"] == **name), "{path}: {link}");
                }
            }
        }
    }
    assert_eq!(links, 10, "none is passed over");
}
