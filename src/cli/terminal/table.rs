//! Tables for people, without borders, so that a cell can be copied.

use std::collections::BTreeMap;
use std::fmt::Display;

use comfy_table::Table;
use comfy_table::presets::NOTHING;

use crate::model::text::Plain;

/// An empty header is omitted. Columns are two spaces apart.
pub fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING);
    if !header.is_empty() {
        table.set_header(header);
    }
    for row in rows {
        table.add_row(row.iter().map(|cell| escaped(cell)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

/// Escapes control characters, so that stored text cannot control this terminal.
pub fn escaped(text: &str) -> String {
    Plain(text).to_string()
}

/// Labels in one cell: `region:eu size:large`.
pub fn label_list(labels: &BTreeMap<impl Display, impl Display>) -> String {
    let labels = labels.iter().map(|(name, value)| format!("{name}:{value}"));
    labels.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_they_must_be() {
        let rows =
            [vec!["uploads".to_owned(), "1".to_owned()], vec!["a".to_owned(), "\u{1b}[2J\n".to_owned()]];
        assert_eq!(table(&["NAME", "ID"], rows), "NAME     ID\nuploads  1\na        \\u{1b}[2J\\n");
    }
}
