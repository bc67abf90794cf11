//! The settings of `config/warden.toml` beside the reference of them.

use std::collections::BTreeMap;

use crate::finding::Finding;

const CONFIGURATION: &str = "config/warden.toml";
pub const REFERENCE: &str = "docs/reference/configuration.md";

/// Tables whose names people choose, and what the reference has for the name.
const NAMED: &[&str] = &["receivers", "workflows"];

/// What is known of a setting: its line, and its default as TOML writes it, unless it has none.
type Settings = BTreeMap<String, (usize, Option<String>)>;

/// The settings of the configuration, examples included, by `table.key`; those of a table that people name by
/// `workflows.NAME.key`.
pub fn of_configuration(text: &str) -> Settings {
    let mut settings = Settings::new();
    let mut table = String::new();
    let mut in_text = false;
    for (number, line) in (1..).zip(text.lines()) {
        let (line, is_example) = match line.strip_prefix('#') {
            Some(example) if example.starts_with(' ') || example.is_empty() => continue,
            Some(example) => (example, true),
            None => (line, false),
        };
        let begins = line.matches("\"\"\"").count() == 1 && !in_text;
        if in_text {
            in_text = !line.contains("\"\"\"");
        } else if let Some(name) = line.strip_prefix('[') {
            table = table_name(name.trim_end().trim_matches(['[', ']']));
        } else if let Some((key, value)) = line.split_once(" = ") {
            in_text = begins;
            let default = (!is_example).then(|| value.trim().to_owned());
            settings.entry(format!("{table}.{key}")).or_insert((number, default));
        }
    }
    settings
}

fn table_name(written: &str) -> String {
    match written.split_once('.') {
        // Of such a table every second part is a name that the user chooses.
        Some((table, _)) if NAMED.contains(&table) => {
            let part = |(place, part)| if place % 2 == 1 { "NAME" } else { part };
            written.split('.').enumerate().map(part).collect::<Vec<_>>().join(".")
        }
        _ => written.to_owned(),
    }
}

/// The settings that the reference describes: under a heading with the table's name in code, a row for each,
/// whose first cell is its name in code and whose third one its default, in code as well.
fn of_reference(text: &str) -> Settings {
    let code = |cell: &str| Some(cell.trim().strip_prefix('`')?.strip_suffix('`')?.to_owned());
    let mut settings = Settings::new();
    let mut table = String::new();
    for (number, line) in (1..).zip(text.lines()) {
        if let Some((_, name)) = line.strip_prefix('#').and_then(|heading| heading.split_once("`[")) {
            table = name.split(']').next().unwrap_or_default().trim_start_matches('[').to_owned();
        } else if let Some(row) = line.strip_prefix("| `") {
            let cells: Vec<&str> = row.split(" | ").collect();
            let name = cells[0].trim_end_matches('`');
            let default = cells.get(2).and_then(|cell| code(cell));
            settings.insert(format!("{table}.{name}"), (number, default));
        }
    }
    settings
}

/// Settings that one of the two lacks, and defaults that differ.
pub fn differences(configuration: &Settings, reference: &str) -> Vec<Finding> {
    let reference = of_reference(reference);
    let mut findings = Vec::new();
    for (name, (line, default)) in configuration {
        match reference.get(name) {
            None => {
                findings.push(Finding::new(CONFIGURATION, *line, format!("{name} is not in {REFERENCE}")))
            }
            Some((line, shown)) if shown != default => {
                let [default, shown] = [default, shown].map(|value| value.as_deref().unwrap_or("none"));
                let message = format!("{name} has the default {default}, not {shown}");
                findings.push(Finding::new(REFERENCE, *line, message));
            }
            Some(_) => {}
        }
    }
    let unknown = reference.iter().filter(|(name, _)| !configuration.contains_key(*name));
    findings.extend(
        unknown.map(|(name, (line, _))| Finding::new(REFERENCE, *line, format!("{name} is no setting"))),
    );
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# About `x = 1` in prose.\n[server]\n# What it is.\nlisten = \"a\"\n\n\
                        #[receivers.a]\n#body = \"\"\"\n#{\"b = c\"}\n#d = e\n#\"\"\"\n#url = \"f\"\n\
                        #[receivers.b]\n#url = \"g\"\n#[[tokens]]\n#name = \"h\"\n";

    const PAGE: &str = "### `[server]`\n\n| setting | type | default | meaning |\n|---|---|---|---|\n| \
                        `listen` | text | `\"a\"` | x |\n\n### `[receivers.NAME]`\n\n| `body` | text | none \
                        | y |\n| `url` | text | required | z |\n\n### `[[tokens]]`\n\n| `name` | text | \
                        required | w |\n";

    #[test]
    fn settings_and_examples_are_found_and_prose_and_texts_are_not() {
        let names: Vec<String> = of_configuration(FILE).into_keys().collect();
        assert_eq!(names, ["receivers.NAME.body", "receivers.NAME.url", "server.listen", "tokens.name"]);
    }

    #[test]
    fn a_reference_of_the_same_settings_passes() {
        assert_eq!(differences(&of_configuration(FILE), PAGE), []);
    }

    #[test]
    fn what_one_of_them_lacks_and_another_default_are_found() {
        let page = PAGE.replace("\"a\"", "\"b\"").replace("`url`", "`uri`");
        let messages: Vec<_> =
            differences(&of_configuration(FILE), &page).into_iter().map(|f| f.message).collect();
        assert_eq!(
            messages,
            [
                format!("receivers.NAME.url is not in {REFERENCE}"),
                "server.listen has the default \"a\", not \"b\"".to_owned(),
                "receivers.NAME.uri is no setting".to_owned(),
            ]
        );
    }
}
