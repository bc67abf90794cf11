//! The check of the data directory's `FORMAT`.

use std::fs;

use super::super::directory::{self, Contents, Held};
use super::super::layout;
use super::super::open_error::OpenError;
use super::{Check, is_damage};
use crate::store::CheckError;

impl Check<'_> {
    pub(super) fn format(&mut self) -> Result<(), CheckError> {
        const FORMAT: &str = directory::FORMAT;
        let path = || self.path.to_owned();
        let no_data = |problem: String| Err(CheckError::NoData { path: path(), problem });
        match directory::inspect(self.path) {
            Ok(Contents::Ours) => {}
            Ok(Contents::Empty) => return no_data("is empty".into()),
            Err(OpenError::NotOurs { found, .. }) => {
                return no_data(format!("holds no warden data (found {found:?})"));
            }
            Err(OpenError::Incomplete { remedy, .. }) => {
                self.tell(FORMAT, format!("is missing. {remedy}"));
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
        match directory::read_format(self.path) {
            Ok(Held::Current) => {}
            Ok(Held::Nothing) => {
                return no_data("was never completely created, and holds nothing yet".into());
            }
            Ok(Held::Before) => {
                let found = fs::read_to_string(self.path.join(FORMAT)).unwrap_or_default().trim().to_owned();
                let remedy = "the next start of the daemon migrates it to the format of this version, and \
                              then it can be checked";
                return Err(CheckError::Format { path: path(), found, remedy });
            }
            Err(OpenError::Format { found, .. }) => {
                if is_of_a_format(&found) {
                    let remedy = "check it with the version of warden that wrote it";
                    return Err(CheckError::Format { path: path(), found, remedy });
                }
                self.tell(FORMAT, format!("says {found:?}, which is no format"));
            }
            Err(OpenError::Incomplete { remedy, .. }) => self.tell(FORMAT, format!("is empty. {remedy}")),
            Err(OpenError::Unusable { error, .. }) if is_damage(&error) => {
                self.tell(FORMAT, format!("cannot be read: {error}"));
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }
}

/// Whether the text names a format, as every version writes it.
fn is_of_a_format(text: &str) -> bool {
    let number =
        text.strip_prefix(layout::FORMAT.trim_end().trim_end_matches(|last: char| last.is_ascii_digit()));
    number.is_some_and(|number| number.parse::<u32>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_that_is_not_known_is_told_from_none() {
        assert!(is_of_a_format("process-warden data, format 3"));
        assert!(is_of_a_format("process-warden data, format 17"));
        for text in ["", "process-warden data, format ", "process-warden dat\u{1}, format 4", "format 4"] {
            assert!(!is_of_a_format(text), "{text}");
        }
    }
}
