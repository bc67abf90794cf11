//! The table of results, and the notes below it.

use std::fmt::Write;

use comfy_table::presets::ASCII_MARKDOWN;
use comfy_table::{CellAlignment, Table};

use super::rows::Row;
use super::trial::{Account, Ending};

/// How many losses of a row are told in words.
const LOST_SHOWN: usize = 5;

/// A row that was tried, or was not.
pub struct Line {
    pub name: &'static str,
    what: &'static str,
    account: Account,
    ending: Ending,
}

impl Line {
    /// What became of the row.
    pub fn new(row: &Row, account: Account, ending: Ending) -> Self {
        Self { name: row.name, what: row.what, account, ending }
    }

    /// Whether nothing was lost and nothing went otherwise than it must.
    pub fn is_good(&self) -> bool {
        self.account.lost.is_empty() && !matches!(self.ending, Ending::Failed(_))
    }

    /// The row in a line, for whoever watches.
    pub fn brief(&self) -> String {
        let Account { times, took, .. } = &self.account;
        format!("fault {} ... {} ({times} times, {:.1} s)", self.name, self.verdict(), took.as_secs_f64())
    }

    fn verdict(&self) -> &'static str {
        match &self.ending {
            Ending::Skipped(_) => "skipped",
            Ending::Tried if self.is_good() => "ok",
            Ending::Tried | Ending::Failed(_) => "FAILED",
        }
    }

    fn cells(&self) -> Vec<String> {
        let Account { times, held, lost, ready, took, .. } = &self.account;
        let mut cells = vec![self.name.to_owned(), self.what.to_owned()];
        match self.ending {
            Ending::Skipped(_) => cells.extend(std::array::from_fn::<_, 5, _>(|_| "-".to_owned())),
            Ending::Tried | Ending::Failed(_) => cells.extend([
                times.to_string(),
                held.to_string(),
                lost.len().to_string(),
                format!("{} ms", ready.as_millis()),
                format!("{:.1} s", took.as_secs_f64()),
            ]),
        }
        cells.push(self.verdict().to_owned());
        cells
    }

    /// What the table has no room for, a line each.
    fn remarks(&self) -> Vec<String> {
        let mut remarks = self.account.notes.clone();
        remarks.extend(self.account.lost.iter().take(LOST_SHOWN).map(|lost| format!("LOST: {lost}")));
        if let Some(more) = self.account.lost.len().checked_sub(LOST_SHOWN).filter(|more| *more > 0) {
            remarks.push(format!("LOST: {more} more"));
        }
        match &self.ending {
            Ending::Tried => {}
            Ending::Skipped(reason) => remarks.push(format!("skipped: {reason}")),
            Ending::Failed(reason) => remarks.push(format!("FAILED: {reason}")),
        }
        remarks
    }
}

/// The whole, as text that is a table in Markdown too.
pub fn render(lines: &[Line]) -> String {
    let mut table = Table::new();
    table.load_style(ASCII_MARKDOWN);
    table.set_header(["fault", "what is done", "times", "held to", "lost", "ready within", "took", "result"]);
    lines.iter().for_each(|line| {
        table.add_row(line.cells());
    });
    for column in 2..7 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut text = table.trim_fmt();
    text.push_str("\n\nheld to: acknowledged creates and closes that the daemon was held to afterwards\n");
    for line in lines {
        for remark in line.remarks() {
            let _ = writeln!(text, "{}: {remark}", line.name);
        }
    }
    text
}
