//! The part of JSON Schema that the description of the API uses.

use serde_json::Value;

/// Fails unless the value is as its schema says, and has no member that the schema does not know.
pub fn check(document: &Value, schema: &Value, value: &Value, place: &str) {
    if let Err(reason) = fits(document, schema, value) {
        panic!("{place}: {reason}");
    }
}

fn fits(document: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = document.pointer(&reference[1..]).ok_or(format!("{reference} leads nowhere"))?;
        return fits(document, target, value);
    }
    if let Some(choices) = schema["oneOf"].as_array() {
        let fitting = choices.iter().filter(|choice| fits(document, choice, value).is_ok()).count();
        return if fitting == 1 { Ok(()) } else { Err(format!("{value} fits {fitting} of {choices:?}")) };
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
        // Any value is welcome.
        _ => return Ok(()),
    };
    if !types.iter().any(|kind| is(kind, value)) {
        return Err(format!("{value} is none of {types:?}"));
    }
    if let Some(words) = schema["enum"].as_array()
        && !words.contains(value)
    {
        return Err(format!("{value} is none of {words:?}"));
    }
    match value {
        Value::Array(elements) => elements.iter().try_for_each(|one| fits(document, &schema["items"], one)),
        Value::Object(members) => {
            for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                members.get(name).ok_or(format!("{name} is missing in {value}"))?;
            }
            let Some(properties) = schema["properties"].as_object() else {
                let others = &schema["additionalProperties"];
                return members.values().try_for_each(|member| fits(document, others, member));
            };
            members.iter().try_for_each(|(name, member)| {
                let property = properties.get(name).ok_or(format!("{name} is not declared"))?;
                fits(document, property, member).map_err(|reason| format!("{name}: {reason}"))
            })
        }
        _ => Ok(()),
    }
}

fn is(kind: &str, value: &Value) -> bool {
    match kind {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("no value is of type {other}"),
    }
}
