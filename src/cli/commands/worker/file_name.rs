//! A safe file name for an item.
//!
//! Ids may contain slashes, dots and anything else, so that they are unsafe in paths. A name made here
//!
//! * is one path component that begins with a letter or digit: no hidden file, option or parent directory;
//! * consists of letters, digits, `.`, `_`, `-` and `@`, at most [`NAME_MAX`] bytes;
//! * is unique to its item, also on file systems that ignore case.
//!
//! Ordinary ids stay readable: `uploads@photo-1.jpg`. Others get a digest: `uploads@.._x@` and 32 digits.

use sha2::{Digest, Sha256};

/// In bytes. Encrypted file systems allow 143, and commands may append something.
pub const NAME_MAX: usize = 120;
/// Separates the parts of a name, which do not contain it.
const SEPARATOR: char = '@';
/// The bytes of the digest in a name; collisions are infeasible.
const DIGEST: usize = 16;
/// The bytes of the workflow and of the id that remain in a name with a digest.
const PARTS: (usize, usize) = (40, 46);

pub fn file_name(workflow: &str, id: &str) -> String {
    let whole = format!("{workflow}{SEPARATOR}{id}");
    let is_ordinary = whole.len() <= NAME_MAX
        && [workflow, id].iter().all(|part| part.chars().all(|c| is_kept(c) && !c.is_ascii_uppercase()))
        // Some systems drop a trailing dot.
        && !id.ends_with('.');
    if is_ordinary {
        return whole;
    }
    let mut digest = Sha256::new();
    // Names of workflows do not contain the separator.
    digest.update([workflow.as_bytes(), b"\0", id.as_bytes()].concat());
    let digest = digest.finalize();
    let part = |text: &str, most: usize| -> String {
        text.chars().map(|character| if is_kept(character) { character } else { '_' }).take(most).collect()
    };
    let (workflow, id) = (part(workflow, PARTS.0), part(id, PARTS.1));
    let digest = digest[..DIGEST].iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    format!("{workflow}{SEPARATOR}{id}{SEPARATOR}{digest}")
}

/// Whether the character is ordinary on every file system.
fn is_kept(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::{ItemId, WorkflowName};

    #[test]
    fn an_ordinary_id_stays_readable() {
        for (id, name) in [
            ("file-123", "uploads@file-123"),
            ("photo_1.jpg", "uploads@photo_1.jpg"),
            ("01920000-0000-7000-8000-000000000001", "uploads@01920000-0000-7000-8000-000000000001"),
        ] {
            assert_eq!(file_name("uploads", id), name);
        }
    }

    #[test]
    fn an_id_that_leads_elsewhere_does_not() {
        for (id, start) in [
            ("../x", "uploads@.._x@"),
            ("/etc/passwd", "uploads@_etc_passwd@"),
            ("...", "uploads@...@"),
            ("-rf", "uploads@-rf"),
            ("a@b", "uploads@a_b@"),
            ("ORDER-42", "uploads@ORDER-42@"),
            ("tür\\auf", "uploads@t_r_auf@"),
        ] {
            assert!(file_name("uploads", id).starts_with(start), "{}", file_name("uploads", id));
        }
    }

    #[test]
    fn ids_that_look_alike_to_a_file_system_have_names_that_do_not() {
        let names = [
            ("up", "a"),
            ("Up", "a"),
            ("up", "A"),
            ("uP", "A"),
            ("up", "a."),
            ("up", "a.."),
            ("up", "a/"),
            ("up", "a_"),
            ("up", "\u{e9}"),
            ("up", "e\u{301}"),
            ("up", "a@b"),
            ("up", "a_b"),
            ("up", "@"),
            ("up", "_"),
        ]
        .map(|(workflow, id)| file_name(workflow, id).to_lowercase());
        let different: std::collections::BTreeSet<&String> = names.iter().collect();
        assert_eq!(different.len(), names.len(), "{names:?}");
    }

    proptest! {
        #[test]
        fn whatever_the_id_is_the_name_is_one_safe_part_of_a_path(
            workflow in "[A-Za-z0-9][A-Za-z0-9._-]{0,127}",
            id in "[a-zA-Z.@/ \u{e9}\u{202e}_-]{1,85}",
            other in "[a-zA-Z.@/ \u{e9}\u{202e}_-]{1,85}",
        ) {
            prop_assume!(WorkflowName::new(&*workflow).is_ok() && ItemId::new(&*id).is_ok());
            let name = file_name(&workflow, &id);
            prop_assert!(name.len() <= NAME_MAX, "{}", name);
            let first = name.chars().next();
            prop_assert!(first.is_some_and(|first| first.is_ascii_alphanumeric()) && !name.ends_with('.'));
            prop_assert!(name.chars().all(|character| is_kept(character) || character == SEPARATOR));
            let same = name.to_lowercase() == file_name(&workflow, &other).to_lowercase();
            prop_assert_eq!(same, id == other);
        }
    }
}
