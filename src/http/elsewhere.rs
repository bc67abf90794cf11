//! Paths at which there is nothing, and what was probably meant.

use super::problem::Problem;

/// What lies below an item, and how many parts of a path that has.
const BELOW_ITEM: [&str; 3] = ["payload", "errors", "retry"];

/// The problem of a path at which there is nothing.
pub fn nothing_at(path: &str) -> Problem {
    let hint = hint(path).unwrap_or_default();
    Problem::not_found(format!("there is nothing at this path{hint}; /openapi.json lists what there is"))
}

fn hint(path: &str) -> Option<&'static str> {
    let parts: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
    match &parts[..] {
        ["v1", "v1", ..] => Some(": the address of the daemon ends before /v1"),
        ["v1", "workflows", _, "items", id @ ..] if id.len() > 1 && !is_below(id) => {
            Some(": a slash within the id of an item is written %2F, as in /v1/workflows/W/items/a%2Fb")
        }
        [.., ""] if parts.len() > 1 => Some(": it does without the slash at its end"),
        [
            "workflows" | "items" | "incidents" | "leases" | "batch" | "replays" | "silences" | "receivers"
            | "export",
            ..,
        ] => Some(": it begins with /v1"),
        _ => None,
    }
}

/// Whether it is a whole id and the slash at the end of its path.
fn is_below(id: &[&str]) -> bool {
    matches!(id, [_, ""]) || matches!(id, [_, below, ""] if BELOW_ITEM.contains(below))
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
            ("/items", Some("begins with /v1")),
            ("/", None),
            ("/favicon.ico", None),
        ] {
            let hint = hint(path);
            assert_eq!(hint.is_some(), words.is_some(), "{path}: {hint:?}");
            assert!(hint.unwrap_or_default().contains(words.unwrap_or_default()), "{path}: {hint:?}");
        }
    }
}
