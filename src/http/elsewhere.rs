//! Unknown paths, with a hint at the probable mistake.

use warden_api::path;

use super::problem::Problem;

pub fn nothing_at(path: &str) -> Problem {
    let hint = hint(path).unwrap_or_default();
    Problem::not_found(format!("unknown path{hint}; /openapi.json lists all paths"))
}

fn hint(path: &str) -> Option<&'static str> {
    let parts: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
    match &parts[..] {
        ["v1", "v1", ..] => Some(": the base address of the daemon ends before /v1"),
        ["v1", "workflows", _, "items", id @ ..] if id.len() > 1 && !is_below(id) => {
            Some(": write a slash within the id of an item as %2F, as in /v1/workflows/W/items/a%2Fb")
        }
        [.., ""] if parts.len() > 1 => Some(": omit the slash at its end"),
        [first, ..] if is_in_api(first) => Some(": API paths begin with /v1"),
        _ => None,
    }
}

/// Whether it is a complete item path with a trailing slash.
fn is_below(id: &[&str]) -> bool {
    let is_resource = |name: &str| path::ALL.iter().any(|path| part(path, path::ITEM) == Some(name));
    matches!(id, [_, ""]) || matches!(id, [_, below, ""] if is_resource(below))
}

/// Whether a part of a path follows `/v1`.
fn is_in_api(name: &str) -> bool {
    path::ALL.iter().any(|path| part(path, "/v1") == Some(name))
}

/// The part of a path that follows a prefix.
fn part(path: &'static str, prefix: &str) -> Option<&'static str> {
    path.strip_prefix(prefix)?.strip_prefix('/')?.split('/').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_probably_meant_is_said() {
        for (path, words) in [
            ("/v1/workflows/w/items/a/b", Some("%2F")),
            ("/v1/workflows/w/items/a/b/c", Some("%2F")),
            ("/v1/workflows/w/items/a/b/payload", Some("%2F")),
            ("/v1/workflows/w/items//a", Some("%2F")),
            ("/v1/workflows/w/items/a/", Some("slash at its end")),
            ("/v1/workflows/w/items/a/payload/", Some("slash at its end")),
            ("/v1/items/", Some("slash at its end")),
            ("/v1/v1/items", Some("ends before /v1")),
            ("/items", Some("begin with /v1")),
            ("/", None),
            ("/favicon.ico", None),
        ] {
            let hint = hint(path);
            assert_eq!(hint.is_some(), words.is_some(), "{path}: {hint:?}");
            assert!(hint.unwrap_or_default().contains(words.unwrap_or_default()), "{path}: {hint:?}");
        }
    }
}
