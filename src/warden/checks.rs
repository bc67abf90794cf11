//! Checks of what people say: globs, names, comments.

use super::WardenError;
use crate::model::incident::{COMMENT_MAX, PERSON_MAX};
use crate::model::quote;

/// The longest glob, in bytes: a workflow's name and a few wildcards.
const GLOB_MAX: usize = 256;

/// Checks a glob of workflows.
///
/// # Errors
/// When no workflow can have a name like that, or it is too long.
pub fn check_glob(glob: &str) -> Result<(), WardenError> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-*?".contains(&byte);
    if glob.is_empty() || glob.len() > GLOB_MAX || !glob.bytes().all(plain) {
        return Err(WardenError::Invalid(format!(
            "{} is no glob of workflows: it takes 1 to {GLOB_MAX} of A-Z a-z 0-9 . _ - * ?",
            quote(glob)
        )));
    }
    Ok(())
}

/// Checks the name of somebody who does something.
///
/// # Errors
/// When it is none.
pub fn check_person(name: &str) -> Result<(), WardenError> {
    if name.is_empty() || name.len() > PERSON_MAX || name.chars().any(char::is_control) {
        return Err(WardenError::Invalid(format!(
            "whoever does this has a name of 1 to {PERSON_MAX} bytes without control characters"
        )));
    }
    Ok(())
}

/// Checks what somebody says to something.
///
/// # Errors
/// When it is too long.
pub fn check_comment(comment: &str) -> Result<(), WardenError> {
    if comment.len() > COMMENT_MAX {
        let length = comment.len();
        return Err(WardenError::Invalid(format!(
            "a comment takes at most {COMMENT_MAX} bytes; this one has {length}"
        )));
    }
    // Each would take six bytes in the incident's record, whose size is bounded.
    if comment.chars().any(|character| character.is_control() && !matches!(character, '\n' | '\t')) {
        return Err(WardenError::Invalid(
            "a comment holds no control characters but line breaks and tabs".into(),
        ));
    }
    Ok(())
}
