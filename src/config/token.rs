//! Tokens and their scopes. Only the hashes of tokens are configured.

use serde::Deserialize;
use warden_api::word::Scope;

use super::checks::Checks;
use super::path::SettingPath;

/// A token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenSettings {
    /// Unique. Used in logs.
    pub name: String,
    /// The SHA-256 of the token. Unique.
    pub sha256: [u8; 32],
    /// At least one.
    pub scopes: Vec<Scope>,
    /// Globs (`*`, `?`) of the workflows that it is limited to; `*` for all. At least one.
    pub workflows: Vec<String>,
}

/// One of `[[tokens]]` as written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WrittenToken {
    name: String,
    sha256: String,
    scopes: Vec<Scope>,
    pub workflows: Option<Vec<String>>,
}

/// Checks each token, and that names and hashes are unique.
pub(super) fn resolve(checks: &mut Checks<'_>, written: Vec<WrittenToken>) -> Vec<TokenSettings> {
    let mut tokens: Vec<TokenSettings> = Vec::with_capacity(written.len());
    for (index, written) in written.into_iter().enumerate() {
        let table = SettingPath::dotted("tokens").index(index);
        checks.name(&table.key("name"), &written.name);
        if tokens.iter().any(|token| token.name == written.name) {
            checks.problem(&table.key("name"), format!("a second token has the name {:?}", written.name));
        }
        // Not repeated in messages: some people put the token itself here.
        let sha256 = decode_sha256(&written.sha256);
        if sha256.is_none() {
            checks.problem(
                &table.key("sha256"),
                "must be 64 hexadecimal digits, the SHA-256 of the token: `warden token new` prints it",
            );
        } else if let Some(twin) = tokens.iter().find(|token| Some(token.sha256) == sha256) {
            let message = format!("is the same token as {:?}", twin.name);
            checks.problem(&table.key("sha256"), message);
        }
        if written.scopes.is_empty() {
            checks.problem(
                &table.key("scopes"),
                format!("allows nothing: give some of \"{}\"", Scope::WORDS.join("\", \"")),
            );
        }
        let workflows = written.workflows.unwrap_or_else(|| vec!["*".to_owned()]);
        check_globs(checks, &table.key("workflows"), &workflows);
        tokens.push(TokenSettings {
            name: written.name,
            // A problem was reported, so that this is never used.
            sha256: sha256.unwrap_or_default(),
            scopes: written.scopes,
            workflows,
        });
    }
    tokens
}

fn check_globs(checks: &mut Checks<'_>, path: &SettingPath, globs: &[String]) {
    if globs.is_empty() {
        checks.problem(path, "allows no workflow: leave it out to allow all");
    }
    for (index, glob) in globs.iter().enumerate() {
        // A glob with characters that no name contains would silently match nothing.
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-*?".contains(&byte);
        if glob.is_empty() || !glob.bytes().all(allowed) {
            let message = format!(
                "{glob:?} can match no workflow: besides * and ? only A-Z a-z 0-9 . _ - stand in names"
            );
            checks.problem(&path.index(index), message);
        }
    }
}

fn decode_sha256(text: &str) -> Option<[u8; 32]> {
    let digits: Vec<u8> =
        text.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect::<Option<_>>()?;
    let bytes: Vec<u8> =
        digits.chunks(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect();
    (digits.len() == 64).then(|| bytes.try_into().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_hash_is_read_in_either_case(hash in any::<[u8; 32]>()) {
            let text: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
            prop_assert_eq!(decode_sha256(&text), Some(hash));
            prop_assert_eq!(decode_sha256(&text.to_uppercase()), Some(hash));
            prop_assert_eq!(decode_sha256(&text[1..]), None);
            prop_assert_eq!(decode_sha256(&format!("{text}0")), None);
            prop_assert_eq!(decode_sha256(&text.replacen(|_: char| true, "g", 1)), None);
        }
    }
}
