//! Validates answers against `/openapi.json`: the status must be declared for the path and method, JSON must
//! match its schema, and problems must have their form and be declared for their status.

use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use tokio::sync::OnceCell;

use super::{client, schema};

/// What came back, whole.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

/// Sends a request and reads the answer.
pub async fn ask(request: RequestBuilder) -> Answer {
    let (http, request) = request.build_split();
    let request = request.expect("a request that can be sent");
    let (method, url) = (request.method().clone(), request.url().clone());
    let response = http.execute(request).await.expect("an answer");
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = response.bytes().await.expect("a whole body").into();
    let answer = Answer { status, headers, body };
    let contract = Contract::of(&url.origin().ascii_serialization()).await;
    contract.check(&method, url.path(), &answer);
    answer
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    /// Expects a status, and gives the JSON that came with it.
    #[track_caller]
    pub fn json(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// Expects a status, and gives the lines of JSON that came with it.
    #[track_caller]
    pub fn lines(&self, status: u16) -> Vec<Value> {
        assert_eq!(self.status, status, "{}", String::from_utf8_lossy(&self.body));
        assert_eq!(self.header("content-type"), "application/x-ndjson");
        let line = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.text().lines().map(line).collect()
    }

    /// Expects a problem, and gives what it says was wrong.
    #[track_caller]
    pub fn refused(&self, status: u16, slug: &str) -> String {
        let problem = self.json(status);
        assert_eq!(problem["type"], format!("/problems/{slug}"), "{problem}");
        problem["detail"].as_str().expect("a detail").to_owned()
    }

    /// A header's text; empty when there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("a text"))
    }
}

/// What the daemon says about itself.
pub struct Contract(Value);

impl Contract {
    /// The contract of the program under test, asked of the first daemon that comes along: it is the same for
    /// all.
    pub async fn of(origin: &str) -> &'static Self {
        static CONTRACT: OnceCell<Contract> = OnceCell::const_new();
        let url = format!("{origin}/openapi.json");
        CONTRACT
            .get_or_init(|| async {
                let response = client().get(url).send().await.expect("an answer");
                Self(whole_responses(response.json().await.expect("an OpenAPI document")))
            })
            .await
    }

    /// Holds an answer against the contract.
    pub fn check(&self, method: &Method, path: &str, answer: &Answer) {
        let Answer { status, headers, body } = answer;
        let place = format!("{method} {path} -> {status}");
        let request_id = answer.header("x-request-id");
        assert!(!request_id.is_empty(), "{place}: without a request id");
        if let Some(operation) = self.operation(method, path) {
            // A body that is not there has no type either.
            let declared = operation["responses"].as_object().expect("responses");
            let response = declared.get(&status.to_string());
            let response = response.unwrap_or_else(|| panic!("{place}: not declared in {declared:?}"));
            let found = headers
                .get(CONTENT_TYPE)
                .filter(|_| !body.is_empty())
                .map(|value| value.to_str().expect("a text"));
            if let Some(found) = found {
                let types = response["content"].as_object().unwrap_or_else(|| panic!("{place}: a body"));
                let declared = types.iter().find(|(known, _)| admits(known, found));
                let (known, declared) =
                    declared.unwrap_or_else(|| panic!("{place}: {found} is not among {types:?}"));
                if ["application/json", "application/problem+json"].contains(&known.as_str()) {
                    let value =
                        serde_json::from_slice(body).unwrap_or_else(|error| panic!("{place}: {error}"));
                    schema::check(&self.0, &declared["schema"], &value, &place);
                }
            }
        }
        if *status >= 400 && method != Method::HEAD {
            assert_eq!(answer.header("content-type"), "application/problem+json", "{place}");
            let problem: Value =
                serde_json::from_slice(body).unwrap_or_else(|error| panic!("{place}: {error}"));
            let text = |name: &str| problem[name].as_str().unwrap_or_default();
            assert!(text("type").starts_with("/problems/"), "{place}: {problem}");
            assert!(!text("title").is_empty() && !text("detail").is_empty(), "{place}: {problem}");
            assert_eq!(problem["status"], *status, "{place}: {problem}");
            assert_eq!(text("instance"), request_id, "{place}: {problem}");
            self.check_problem(method, path, &place, &problem);
        }
    }

    /// A problem must be one of those that the operation declares for its status.
    fn check_problem(&self, method: &Method, path: &str, place: &str, problem: &Value) {
        let Some(operation) = self.operation(method, path) else { return };
        let status = problem["status"].to_string();
        let examples = &operation["responses"][&status]["content"]["application/problem+json"]["examples"];
        let slug = problem["type"].as_str().unwrap_or_default().trim_start_matches("/problems/");
        assert!(examples.get(slug).is_some(), "{place}: {slug} is not declared in {examples}");
    }

    /// What is declared for a method on a path; `HEAD` is served wherever `GET` is.
    fn operation(&self, method: &Method, path: &str) -> Option<&Value> {
        let paths = self.0["paths"].as_object().expect("paths");
        let (_, methods) = paths.iter().find(|(template, _)| matches(template, path))?;
        let method = if method == Method::HEAD { "get".to_owned() } else { method.as_str().to_lowercase() };
        methods.get(method)
    }
}

/// The description with every response in its operation, instead of a reference to one of the components.
pub fn whole_responses(mut description: Value) -> Value {
    let shared = description["components"]["responses"].clone();
    let paths = description["paths"].as_object_mut().into_iter().flat_map(|paths| paths.values_mut());
    let operations = paths.filter_map(Value::as_object_mut).flat_map(|path| path.values_mut());
    let responses = operations.filter_map(|operation| operation["responses"].as_object_mut());
    for response in responses.flat_map(|responses| responses.values_mut()) {
        let place = response["$ref"].as_str().and_then(|place| place.rsplit_once('/'));
        if let Some(whole) = place.map(|(_, name)| shared[name].clone()) {
            assert!(whole.is_object(), "{response} leads nowhere");
            *response = whole;
        }
    }
    description
}

fn matches(template: &str, path: &str) -> bool {
    let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    let same = |(part, found): (&&str, &&str)| part == found || (part.starts_with('{') && !found.is_empty());
    template.len() == path.len() && template.iter().zip(&path).all(same)
}

/// Whether a declared content type covers one that came.
fn admits(declared: &str, found: &str) -> bool {
    declared == "*/*" || found.split(';').next().map(str::trim) == declared.split(';').next().map(str::trim)
}
