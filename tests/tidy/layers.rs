//! Which layer uses which. The table in `src/lib.rs` lists the layers from the top down; a layer uses only
//! those below.
//!
//! Read are paths that begin with `crate::`. Crates of the workspace are below all layers. A layer may be
//! divided into layers.

use crate::finding::Finding;
use crate::tree::Tree;

const LIBRARY: &str = "src/lib.rs";

/// What is above all layers: it names their parts for tests and for `fuzz/`.
const ABOVE: &[&str] = &["fuzzing"];

/// Layers within a layer, from the top down. What is beside them is above them.
const INNER: &[(&str, &[&str])] = &[("cli", &["commands", "daemon", "terminal"])];

/// Modules that few may name: the module, the beginnings of the paths that may, and why. Tests may too.
const RESERVED: &[(&str, &[&str], &str)] = &[(
    "store::engine",
    &["src/app.rs", "src/app/", "src/store/engine/", "src/fuzzing.rs"],
    "all but app take a Store",
)];

/// Uses that are allowed although they point up: the file, the layer that it uses, and why.
const ALLOWED: &[(&str, &str, &str)] = &[
    (
        "src/warden/census/accounts/tests.rs",
        "config",
        "a test reads its policies from TOML, as the daemon does",
    ),
    ("src/warden/census/properties.rs", "config", "a test reads its policies from TOML, as the daemon does"),
];

/// Uses that point up, uses and files of modules that are no layer, and allowed uses that are not there.
pub fn findings(tree: &Tree) -> Vec<Finding> {
    let layers = layers(tree.text(LIBRARY));
    let mut findings = undocumented(tree.text(LIBRARY), &layers);
    let mut used = Vec::new();
    for (path, text) in tree.texts().filter(|(path, _)| path.starts_with("src/") && path.ends_with(".rs")) {
        let module = path["src/".len()..].trim_end_matches(".rs").split('/').next().unwrap_or_default();
        if ["lib", "main"].contains(&module) || ABOVE.contains(&module) {
            continue;
        }
        findings.extend(inner_findings(path, text, module));
        for (line, target) in uses(text, "crate::") {
            if !is_upward(&layers, module, target) {
                continue;
            }
            match ALLOWED.iter().find(|(file, layer, _)| *file == path && *layer == target) {
                Some(allowed) => used.push(allowed),
                None => findings.push(Finding::new(
                    path,
                    line,
                    format!("{module} uses {target}, which is above it"),
                )),
            }
        }
    }
    let gone = ALLOWED.iter().filter(|allowed| tree.has(LIBRARY) && !used.contains(allowed));
    findings.extend(gone.map(|(path, layer, _)| {
        Finding::new(path, 0, format!("does not use {layer}: remove it from ALLOWED"))
    }));
    findings
}

/// Uses that point up within a layer.
fn inner_findings(path: &str, text: &str, layer: &str) -> Vec<Finding> {
    let Some((_, inner)) = INNER.iter().find(|(outer, _)| *outer == layer) else { return Vec::new() };
    let own = path.split('/').nth(2).unwrap_or_default();
    if !inner.contains(&own) {
        return Vec::new();
    }
    let uses = uses(text, &format!("crate::{layer}::"));
    let upward = uses.into_iter().filter(|(_, target)| is_upward(inner, own, target));
    let message = |target| format!("{layer}::{own} uses {layer}::{target}, which is above it");
    upward.map(|(line, target)| Finding::new(path, line, message(target))).collect()
}

/// Uses of a module that is reserved for others.
pub fn reserved(path: &str, text: &str) -> Vec<Finding> {
    let is_test = path.ends_with("/tests.rs") || path.contains("/tests/");
    if !path.starts_with("src/") || !path.ends_with(".rs") || is_test {
        return Vec::new();
    }
    let closed = RESERVED.iter().filter(|(_, users, _)| !users.iter().any(|user| path.starts_with(user)));
    closed.flat_map(|(module, _, reason)| naming(path, text, module, reason)).collect()
}

/// The uses of `outer::inner`, also from within `outer`.
fn naming(path: &str, text: &str, module: &str, reason: &str) -> Vec<Finding> {
    let (outer, inner) = module.split_once("::").expect("a module within a layer");
    let mut prefixes = vec![format!("crate::{outer}::")];
    if path.starts_with(&format!("src/{outer}/")) {
        prefixes.extend(["super::".to_owned(), "self::".to_owned()]);
    }
    let uses = prefixes.iter().flat_map(|prefix| uses(text, prefix));
    uses.filter(|(_, target)| *target == inner)
        .map(|(line, _)| Finding::new(path, line, format!("names {module}: {reason}")))
        .collect()
}

/// The layers that the table names, from the top down.
fn layers(library: &str) -> Vec<&str> {
    let rows = library.lines().filter_map(|line| line.strip_prefix("//! | [`"));
    rows.filter_map(|row| row.split_once('`')).map(|(name, _)| name).collect()
}

/// Modules of the library that its table does not name, and the other way round.
fn undocumented(library: &str, layers: &[&str]) -> Vec<Finding> {
    let modules: Vec<(usize, &str)> = (1..)
        .zip(library.lines())
        .filter_map(|(number, line)| Some((number, line.strip_prefix("pub mod ")?.strip_suffix(';')?)))
        .filter(|(_, module)| !ABOVE.contains(module))
        .collect();
    let missing = modules.iter().filter(|(_, module)| !layers.contains(module));
    let gone = layers.iter().filter(|layer| !modules.iter().any(|(_, module)| module == *layer));
    missing
        .map(|(line, module)| Finding::new(LIBRARY, *line, format!("{module} is not in the table of layers")))
        .chain(gone.map(|layer| Finding::new(LIBRARY, 0, format!("{layer} is in the table and no module"))))
        .collect()
}

/// Whether a module of the library uses one above it. A name that is no layer is a macro or an item of the
/// root.
fn is_upward(layers: &[&str], module: &str, target: &str) -> bool {
    let place = |name| layers.iter().position(|layer| *layer == name);
    match (place(module), place(target)) {
        (Some(own), Some(other)) => other < own,
        (None, Some(_)) => true,
        _ => ABOVE.contains(&target),
    }
}

/// The modules that paths with this prefix name, each with its line; those in comments do not count.
fn uses<'a>(text: &'a str, prefix: &str) -> Vec<(usize, &'a str)> {
    let mut uses = Vec::new();
    for (at, prefix) in text.match_indices(prefix) {
        let before = &text[..at];
        let line_begin = before.rfind('\n').map_or(0, |at| at + 1);
        let is_comment = before[line_begin..].contains("//");
        let is_other = before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$');
        if is_comment || is_other {
            continue;
        }
        let line = before.matches('\n').count() + 1;
        let rest = &text[at + prefix.len()..];
        match rest.strip_prefix('{') {
            Some(group) => uses.extend(heads(group).into_iter().map(|name| (line, name))),
            None => uses.push((line, identifier(rest))),
        }
    }
    uses
}

fn identifier(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

/// The first names of the paths in a group, up to the brace that closes it.
fn heads(group: &str) -> Vec<&str> {
    let mut heads = Vec::new();
    let (mut depth, mut begins) = (0_usize, true);
    for (at, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => begins = true,
            _ if begins && (character.is_alphanumeric() || character == '_') => {
                heads.push(identifier(&group[at..]));
                begins = false;
            }
            _ => {}
        }
    }
    heads
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "//! | module | what |\n//! |---|---|\n//! | [`http`] | a |\n//! | [`store`] | b |\n\
                         //! | [`model`] | c |\n\npub mod fuzzing;\npub mod http;\npub mod model;\npub mod \
                         store;\n";

    fn found(path: &str, text: &str) -> Vec<String> {
        let tree = Tree::of(&[(LIBRARY, TABLE), (path, text)]);
        let findings = findings(&tree).into_iter().filter(|finding| finding.path == path);
        findings.map(|finding| format!("{}: {}", finding.line, finding.message)).collect()
    }

    #[test]
    fn a_use_of_a_layer_above_is_found_wherever_it_stands() {
        let text = "use crate::model::Item;\n\nfn a() { crate::http::b() }\n";
        assert_eq!(found("src/store/a.rs", text), ["3: store uses http, which is above it"]);
        assert_eq!(found("src/model.rs", "use crate::{\n    model::a,\n    store::{b, http},\n};").len(), 1);
        assert_eq!(found("src/store/a.rs", "use crate::fuzzing::Target;").len(), 1);
    }

    #[test]
    fn uses_of_layers_below_and_of_itself_pass() {
        let text = "use crate::{model, store::{self, http}};\nuse crate::http::a;\nuse super::b;\n";
        assert_eq!(found("src/http/a.rs", text), [""; 0]);
    }

    #[test]
    fn a_use_of_an_inner_layer_above_is_found() {
        let up = "use crate::cli::commands::list;\nuse crate::cli::{commands::a, terminal};\n";
        let messages = |path| inner_findings(path, up, "cli").into_iter().map(|finding| finding.message);
        assert_eq!(
            messages("src/cli/daemon/client.rs").collect::<Vec<_>>(),
            ["cli::daemon uses cli::commands, which is above it"; 2]
        );
        assert_eq!(messages("src/cli/commands/list.rs").count(), 0);
        assert_eq!(messages("src/cli/mod.rs").count(), 0);
    }

    #[test]
    fn a_reserved_module_is_named_by_its_users_and_tests_alone() {
        let text = "use crate::store::Store;\nuse crate::store::{StoreError, engine::{self, memory}};\n";
        let found = reserved("src/warden/a.rs", text);
        let messages: Vec<_> = found.iter().map(|finding| (finding.line, finding.message.as_str())).collect();
        assert_eq!(messages, [(2, "names store::engine: all but app take a Store")]);
        assert_eq!(reserved("src/store/feed.rs", "use super::engine::memory::MemoryStore;\n").len(), 1);
        for path in ["src/app/storage.rs", "src/store/engine/sled/mod.rs", "src/notifier/service/tests.rs"] {
            assert!(reserved(path, text).is_empty(), "{path}");
        }
    }

    #[test]
    fn comments_other_crates_and_macros_pass() {
        let text = "//! See [`crate::http`].\nlet a = b; // crate::http\nmy_crate::http::c();\n\
                    $crate::http::d!();\n";
        assert_eq!(found("src/store/a.rs", text), [""; 0]);
    }

    #[test]
    fn a_module_is_in_the_table_and_what_is_in_the_table_is_a_module() {
        let undocumented = undocumented("//! | [`a`] | x |\npub mod b;\npub mod fuzzing;\n", &["a"]);
        let messages: Vec<_> = undocumented.iter().map(|finding| finding.message.as_str()).collect();
        assert_eq!(messages, ["b is not in the table of layers", "a is in the table and no module"]);
    }

    #[test]
    fn a_folder_that_is_no_layer_may_use_none() {
        assert_eq!(found("src/other/a.rs", "use crate::model::Item;").len(), 1);
    }
}
