//! What of a change to an OpenAPI description would break a client that was written for the earlier one.
//!
//! A request that was taken must be taken, and an answer must be one that was to be reckoned with. Beyond
//! that answers may have more fields and more words, since clients pass over the ones and show the others as
//! they come. Statuses may be added, but none may go; a class of statuses may become some of that class.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::support::whole_responses;

/// Which way a value goes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// From the client: what was taken must be taken.
    Request,
    /// To the client: what is sent must have been possible.
    Answer,
}

/// What would break, each in a line that begins with its place.
pub fn breakages(earlier: &Value, later: &Value) -> Vec<String> {
    let [earlier, later] = [earlier, later].map(|document| whole_responses(document.clone()));
    let (earlier, later) = (&earlier, &later);
    let mut comparison = Comparison { earlier, later, compared: BTreeSet::new(), found: Vec::new() };
    comparison.paths();
    comparison.found
}

struct Comparison<'a> {
    earlier: &'a Value,
    later: &'a Value,
    /// The pairs of references that were followed, for types may hold themselves.
    compared: BTreeSet<(String, String, bool)>,
    found: Vec<String>,
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn words(value: &Value) -> BTreeSet<String> {
    value.as_array().into_iter().flatten().map(ToString::to_string).collect()
}

fn is_true(value: &Value) -> bool {
    value.as_bool().unwrap_or(false)
}

/// The answers with this status. A class such as `4XX` may have become statuses of that class: a client has
/// to expect each of them already, and each must have the content of the class.
fn statuses_in<'a>(status: &str, answers: &'a Value) -> Vec<&'a Value> {
    let same = answers.get(status);
    let class = status.strip_suffix("XX").filter(|_| same.is_none());
    let is_in = |class: &str, found: &str| found.len() == 3 && found.starts_with(class);
    let in_class = members(answers)
        .filter(|(found, _)| class.is_some_and(|class| is_in(class, found)))
        .map(|(_, answer)| answer);
    same.into_iter().chain(in_class).collect()
}

/// Follows references until there is none.
fn resolved<'a>(document: &'a Value, mut schema: &'a Value) -> &'a Value {
    while let Some(reference) = schema["$ref"].as_str() {
        schema = document.pointer(reference.trim_start_matches('#')).unwrap_or(&Value::Null);
    }
    schema
}

/// One of what a value may be.
#[derive(Clone, Copy)]
struct Alternative<'a> {
    schema: &'a Value,
    /// Its type; nothing for any.
    kind: Option<&'a str>,
}

/// What a value may be by a schema: one alternative for each type, and for each schema that it is put
/// together of.
fn alternatives<'a>(document: &'a Value, schema: &'a Value) -> Vec<Alternative<'a>> {
    let schema = resolved(document, schema);
    if let Some(choices) = schema["oneOf"].as_array().or(schema["anyOf"].as_array()) {
        return choices.iter().flat_map(|choice| alternatives(document, choice)).collect();
    }
    match &schema["type"] {
        Value::Array(kinds) => kinds.iter().map(|kind| Alternative { schema, kind: kind.as_str() }).collect(),
        kind => vec![Alternative { schema, kind: kind.as_str() }],
    }
}

impl Alternative<'_> {
    /// Whether a value of this one may be one of the other, as far as the type goes.
    fn may_be(self, other: Self) -> bool {
        match (self.kind, other.kind) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(this), Some(other)) => this == other || (this, other) == ("integer", "number"),
        }
    }
}

impl<'a> Comparison<'a> {
    fn say(&mut self, place: &str, what: impl AsRef<str>) {
        self.found.push(format!("{place}: {}", what.as_ref()));
    }

    fn paths(&mut self) {
        for (path, earlier) in members(&self.earlier["paths"]) {
            let later = &self.later["paths"][path];
            for (method, operation) in members(earlier) {
                let place = format!("{} {path}", method.to_uppercase());
                match &later[method] {
                    Value::Null => self.say(&place, "the operation is gone"),
                    later => self.operation(&place, operation, later),
                }
            }
        }
    }

    fn operation(&mut self, place: &str, earlier: &'a Value, later: &'a Value) {
        if earlier["operationId"] != later["operationId"] {
            self.say(place, "the operation has another name, which generated clients call it by");
        }
        let is_open = |document: &Value, operation: &Value| {
            let ways = operation.get("security").unwrap_or(&document["security"]);
            ways.as_array().is_none_or(|ways| {
                ways.is_empty() || ways.iter().any(|way| way.as_object().is_some_and(Map::is_empty))
            })
        };
        if is_open(self.earlier, earlier) && !is_open(self.later, later) {
            self.say(place, "a token is required that was not");
        }
        self.parameters(place, earlier, later);
        self.body(place, &earlier["requestBody"], &later["requestBody"]);
        for (status, answer) in members(&earlier["responses"]) {
            let place = format!("{place} {status}");
            let named = statuses_in(status, &later["responses"]);
            if named.is_empty() {
                self.say(&place, "the status is gone");
            }
            for later in named {
                self.content(&place, &answer["content"], &later["content"], Way::Answer);
            }
        }
    }

    fn parameters(&mut self, place: &str, earlier: &'a Value, later: &'a Value) {
        let of = |operation: &'a Value| operation["parameters"].as_array().into_iter().flatten();
        let same = |left: &Value, right: &Value| left["name"] == right["name"] && left["in"] == right["in"];
        for parameter in of(earlier) {
            let place = format!("{place} parameter {}", parameter["name"]);
            match of(later).find(|other| same(parameter, other)) {
                None => self.say(&place, "it is gone"),
                Some(other) => self.schemas(&place, &parameter["schema"], &other["schema"], Way::Request),
            }
        }
        for parameter in of(later).filter(|parameter| is_true(&parameter["required"])) {
            if !of(earlier).any(|other| same(parameter, other) && is_true(&other["required"])) {
                self.say(&format!("{place} parameter {}", parameter["name"]), "it is required and was not");
            }
        }
    }

    fn body(&mut self, place: &str, earlier: &'a Value, later: &'a Value) {
        let place = format!("{place} body");
        if is_true(&later["required"]) && !is_true(&earlier["required"]) {
            self.say(&place, "it is required and was not");
        }
        match (earlier, later) {
            (Value::Null, _) => {}
            (_, Value::Null) => self.say(&place, "it is not taken any more"),
            _ => self.content(&place, &earlier["content"], &later["content"], Way::Request),
        }
    }

    fn content(&mut self, place: &str, earlier: &'a Value, later: &'a Value, way: Way) {
        for (kind, content) in members(earlier) {
            match &later[kind] {
                Value::Null => self.say(place, format!("the type {kind} is gone")),
                later => self.schemas(place, &content["schema"], &later["schema"], way),
            }
        }
    }

    fn schemas(&mut self, place: &str, earlier: &'a Value, later: &'a Value, way: Way) {
        if let (Some(left), Some(right)) = (earlier["$ref"].as_str(), later["$ref"].as_str())
            && !self.compared.insert((left.to_owned(), right.to_owned(), way == Way::Request))
        {
            return;
        }
        let (earlier, later) = (alternatives(self.earlier, earlier), alternatives(self.later, later));
        // Whatever one side allows has to be one of what the other does.
        let (those, others) = if way == Way::Request { (earlier, later) } else { (later, earlier) };
        for one in those {
            let fitting: Vec<_> = others.iter().filter(|other| one.may_be(**other)).collect();
            let mut tried = fitting.into_iter().map(|other| {
                let compared = self.compared.clone();
                let mut comparison = Comparison { compared, found: Vec::new(), ..*self };
                let (left, right) = if way == Way::Request { (one, *other) } else { (*other, one) };
                // Null has neither form nor fields.
                if one.kind != Some("null") {
                    comparison.schema(place, left.schema, right.schema, way);
                }
                comparison.found
            });
            let Some(mut nearest) = tried.next() else {
                let kind = one.kind.unwrap_or("of any value");
                let verb = if way == Way::Request { "is not taken any more" } else { "is sent and was not" };
                self.say(place, format!("the type {kind} {verb}"));
                continue;
            };
            for found in tried {
                if found.len() < nearest.len() {
                    nearest = found;
                }
            }
            self.found.extend(nearest);
        }
    }

    /// Compares two schemas that are put together of no others, of which the types fit.
    fn schema(&mut self, place: &str, earlier: &'a Value, later: &'a Value, way: Way) {
        if way == Way::Request {
            self.limits(place, earlier, later);
        } else if !earlier["format"].is_null() && earlier["format"] != later["format"] {
            self.say(place, format!("its format was {}", earlier["format"]));
        }
        self.fields(place, earlier, later, way);
        for (part, name) in [("items", "[]"), ("additionalProperties", "{}"), ("propertyNames", "{name}")] {
            if earlier[part].is_object() && later[part].is_object() {
                self.schemas(&format!("{place}{name}"), &earlier[part], &later[part], way);
            }
        }
    }

    /// What a request may hold in one place.
    fn limits(&mut self, place: &str, earlier: &Value, later: &Value) {
        let allowed = words(&later["enum"]);
        if !later["enum"].is_null() {
            if earlier["enum"].is_null() {
                self.say(place, "any word was taken, and now some are");
            }
            for word in words(&earlier["enum"]).difference(&allowed) {
                self.say(place, format!("the word {word} is gone"));
            }
        }
        for (limit, is_least) in [
            ("minimum", true),
            ("minLength", true),
            ("maximum", false),
            ("maxLength", false),
            ("maxItems", false),
        ] {
            let narrower = match (earlier[limit].as_f64(), later[limit].as_f64()) {
                (_, None) => false,
                (None, Some(bound)) => !is_least || bound > 0.0,
                (Some(before), Some(now)) => {
                    if is_least {
                        now > before
                    } else {
                        now < before
                    }
                }
            };
            if narrower {
                self.say(place, format!("{limit} was {} and is {}", earlier[limit], later[limit]));
            }
        }
        for form in ["pattern", "format"] {
            if !later[form].is_null() && earlier[form] != later[form] {
                self.say(place, format!("its {form} was {} and is {}", earlier[form], later[form]));
            }
        }
    }

    fn fields(&mut self, place: &str, earlier: &'a Value, later: &'a Value, way: Way) {
        for (name, schema) in members(&earlier["properties"]) {
            let place = format!("{place}.{name}");
            match &later["properties"][name] {
                Value::Null => self.say(&place, "the field is gone"),
                later => self.schemas(&place, schema, later, way),
            }
        }
        let (left, right) = (words(&earlier["required"]), words(&later["required"]));
        let (those, others, what) = match way {
            Way::Request => (right, left, "is required and was not"),
            Way::Answer => (left, right, "was always there and may be missing"),
        };
        for name in those.difference(&others) {
            self.say(place, format!("the field {name} {what}"));
        }
        let refuses = |schema: &Value| schema["additionalProperties"] == false;
        if way == Way::Request && refuses(later) && !refuses(earlier) {
            self.say(place, "fields that are not described are refused and were not");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn success() -> Value {
        json!({"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Pet"}}}})
    }

    fn problem() -> Value {
        json!({"content": {"application/problem+json": {"schema": {"type": "object"}}}})
    }

    fn description() -> Value {
        json!({
            "security": [{}, {"bearer": []}],
            "paths": {"/v1/pets/{id}": {
                "get": {"operationId": "get_pet",
                    "parameters": [
                        {"name": "id", "in": "path", "required": true, "schema": {"type": "string"}},
                        {"name": "order", "in": "query",
                            "schema": {"type": "string", "enum": ["name", "age"], "maxLength": 10}}],
                    "responses": {"200": success(), "4XX": problem()}},
                "post": {"operationId": "make_pet",
                    "requestBody": {"required": false, "content": {"application/json": {"schema":
                        {"oneOf": [{"$ref": "#/components/schemas/NewPet"}, {"type": "null"}]}}}},
                    "responses": {"201": {"content": {"application/json": {"schema": {"oneOf": [
                        {"$ref": "#/components/schemas/Pet"}, {"$ref": "#/components/schemas/Receipt"}]}}}}}},
            }},
            "components": {"schemas": {
                "Pet": {"type": "object", "required": ["name", "kind"], "properties": {
                    "name": {"type": "string"}, "kind": {"$ref": "#/components/schemas/Kind"},
                    "born": {"oneOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]},
                    "parents": {"type": "array", "items": {"$ref": "#/components/schemas/Pet"}},
                    "weights": {"type": "object", "additionalProperties": {"type": "integer"}}}},
                "Kind": {"type": "string", "enum": ["cat", "dog"]},
                "Receipt": {"type": "object", "required": ["name"],
                    "properties": {"name": {"type": "string"}}},
                "NewPet": {"type": "object", "required": ["name"], "properties": {
                    "name": {"type": "string", "maxLength": 10}, "weight": {"type": "number", "minimum": 0},
                    "kind": {"type": "string", "enum": ["cat", "dog"]},
                    "tags": {"type": "array", "items": {"type": "string"}}}},
            }},
        })
    }

    const GET: &str = "/paths/~1v1~1pets~1{id}/get";
    const POST: &str = "/paths/~1v1~1pets~1{id}/post";
    const SCHEMAS: &str = "/components/schemas";

    /// What is found when the value at this place becomes another; null takes it away.
    fn found(place: &str, value: Value) -> Vec<String> {
        let (before, mut after) = (description(), description());
        let (parent, name) = place.rsplit_once('/').unwrap();
        let parent = after.pointer_mut(parent).unwrap_or_else(|| panic!("{place}"));
        match (parent, value) {
            (Value::Object(members), Value::Null) => drop(members.remove(&name.replace("~1", "/")).unwrap()),
            (Value::Object(members), value) => drop(members.insert(name.replace("~1", "/"), value)),
            (Value::Array(elements), value) if name == "-" => elements.push(value),
            (Value::Array(elements), Value::Null) => drop(elements.remove(name.parse().unwrap())),
            (Value::Array(elements), value) => elements[name.parse::<usize>().unwrap()] = value,
            (other, _) => panic!("{other}"),
        }
        assert_ne!(before, after, "{place}");
        breakages(&before, &after)
    }

    #[test]
    fn what_would_break_a_client_is_found() {
        let pet = |rest: &str| format!("{SCHEMAS}/Pet{rest}");
        let new = |rest: &str| format!("{SCHEMAS}/NewPet{rest}");
        for (place, value, told) in [
            ("/paths/~1v1~1pets~1{id}".to_owned(), Value::Null, "is gone"),
            (POST.to_owned(), Value::Null, "the operation is gone"),
            (format!("{GET}/operationId"), json!("fetch_pet"), "another name"),
            (format!("{GET}/security"), json!([{"bearer": []}]), "a token is required"),
            (format!("{GET}/responses/4XX"), Value::Null, "the status is gone"),
            (
                format!("{GET}/responses"),
                json!({"200": success(), "404": {"content": {"text/plain": {}}}}),
                "application/problem+json is gone",
            ),
            (format!("{GET}/responses"), json!({"200": success(), "500": problem()}), "the status is gone"),
            (format!("{GET}/responses/200/content"), json!({"text/plain": {}}), "application/json is gone"),
            (format!("{GET}/parameters/1"), Value::Null, "it is gone"),
            (format!("{GET}/parameters/1/required"), json!(true), "is required and was not"),
            (
                format!("{GET}/parameters/-"),
                json!({"name": "zoo", "in": "query", "required": true, "schema": {"type": "string"}}),
                "is required and was not",
            ),
            (format!("{GET}/parameters/1/schema/enum"), json!(["name"]), "\"age\" is gone"),
            (format!("{GET}/parameters/1/schema/maxLength"), json!(5), "maxLength was 10 and is 5"),
            (format!("{GET}/parameters/0/schema/type"), json!("integer"), "string is not taken"),
            (format!("{GET}/parameters/0/schema/pattern"), json!("^a"), "its pattern was null"),
            (format!("{POST}/requestBody/required"), json!(true), "is required and was not"),
            (format!("{POST}/requestBody"), Value::Null, "not taken any more"),
            (
                format!("{POST}/requestBody/content/application~1json/schema"),
                json!({"$ref": "#/components/schemas/NewPet"}),
                "null is not taken",
            ),
            (pet("/properties/name"), Value::Null, "the field is gone"),
            (pet("/properties/name/type"), json!(["string", "null"]), "null is sent and was not"),
            (pet("/required"), json!(["name"]), "\"kind\" was always there"),
            (pet("/properties/born/oneOf/0/format"), Value::Null, "its format was"),
            (pet("/properties/parents/items"), json!({"type": "string"}), "string is sent and was not"),
            (pet("/properties/weights/additionalProperties/type"), json!("number"), "number is sent"),
            (new("/properties/weight"), Value::Null, "the field is gone"),
            (new("/properties/weight/type"), json!("integer"), "number is not taken"),
            (new("/properties/weight/minimum"), json!(1), "minimum was 0 and is 1"),
            (new("/properties/kind/enum"), json!(["cat"]), "\"dog\" is gone"),
            (new("/properties/name/enum"), json!(["Tom"]), "any word was taken"),
            (new("/required"), json!(["name", "weight"]), "\"weight\" is required"),
            (new("/additionalProperties"), json!(false), "are refused and were not"),
            (new("/properties/tags/items/format"), json!("date-time"), "its format was null"),
        ] {
            let found = found(&place, value);
            assert!(found.iter().any(|found| found.contains(told)), "{place}: {told}: {found:?}");
        }
    }

    #[test]
    fn what_clients_do_not_notice_is_allowed() {
        let pet = |rest: &str| format!("{SCHEMAS}/Pet{rest}");
        let new = |rest: &str| format!("{SCHEMAS}/NewPet{rest}");
        for (place, value) in [
            ("/paths/~1v2".to_owned(), json!({"get": {"operationId": "new", "responses": {}}})),
            (format!("{GET}/summary"), json!("words")),
            (format!("{GET}/responses/304"), json!({})),
            (
                format!("{GET}/responses"),
                json!({"200": success(), "400": problem(), "404": problem(), "503": problem()}),
            ),
            (
                format!("{GET}/parameters/-"),
                json!({"name": "zoo", "in": "query", "schema": {"type": "string"}}),
            ),
            (format!("{GET}/parameters/1/schema/enum"), json!(["name", "age", "weight"])),
            (format!("{GET}/parameters/1/schema/maxLength"), json!(20)),
            (format!("{GET}/parameters/1/schema/maxLength"), Value::Null),
            (pet("/properties/colour"), json!({"type": "string"})),
            (pet("/properties/name/description"), json!("What it is called")),
            (pet("/required"), json!(["name", "kind", "parents"])),
            (pet("/properties/born"), json!({"type": "string", "format": "date-time"})),
            (format!("{SCHEMAS}/Kind/enum"), json!(["cat", "dog", "fox"])),
            (format!("{SCHEMAS}/Kind/enum"), json!(["cat"])),
            (new("/properties/colour"), json!({"type": "string"})),
            (new("/properties/weight/type"), json!(["number", "null"])),
            (new("/required"), json!([])),
            (new("/properties/kind/enum"), Value::Null),
        ] {
            let found = found(&place, value);
            assert!(found.is_empty(), "{place}: {found:?}");
        }
        assert_eq!(breakages(&description(), &description()), Vec::<String>::new());
        let mut written_otherwise = description();
        *written_otherwise.pointer_mut("/components/schemas/Pet/properties/born").unwrap() =
            json!({"type": ["string", "null"], "format": "date-time"});
        assert_eq!(breakages(&description(), &written_otherwise), Vec::<String>::new());
        assert_eq!(breakages(&written_otherwise, &description()), Vec::<String>::new());
    }
}
