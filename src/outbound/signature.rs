//! Signatures of notifications by the [Standard Webhooks] specification, version 1.0.0.
//!
//! HMAC-SHA256 over `{webhook-id}.{webhook-timestamp}.{body}`, byte for byte as sent. A signing key is never
//! shown, neither by `Debug` nor in an error.
//!
//! Deliberately absent: the asymmetric `v1a` scheme, and verification, which is up to the receiver.
//!
//! [Standard Webhooks]:
//! https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use sha2::Sha256;

use crate::model::Timestamp;

const SECRET_PREFIX: &str = "whsec_";
/// The key lengths that the specification allows, in bytes.
const KEY_LENGTHS: RangeInclusive<usize> = 24..=64;

/// A symmetric signing key of 24 to 64 bytes, parsed from `whsec_<base64>`.
#[derive(Clone)]
pub struct SigningKey(Vec<u8>);

/// Why a text is no [`SigningKey`]. The text is not repeated, since it may be a mistyped secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SigningKeyError {
    #[error("a signing secret starts with `whsec_`, followed by the key in base64")]
    MissingPrefix,
    /// The rest is not padded standard base64.
    #[error(
        "what follows `whsec_` in a signing secret has to be standard base64 with its padding \
         (as `openssl rand -base64 32` prints it), without spaces or line breaks"
    )]
    NotBase64,
    /// The key is too short to be safe, or longer than the specification allows.
    #[error("a signing key has 24 to 64 bytes, this one decodes to {0}")]
    Length(usize),
}

impl FromStr for SigningKey {
    type Err = SigningKeyError;

    fn from_str(secret: &str) -> Result<SigningKey, SigningKeyError> {
        let encoded = secret.strip_prefix(SECRET_PREFIX).ok_or(SigningKeyError::MissingPrefix)?;
        let key = STANDARD.decode(encoded).map_err(|_| SigningKeyError::NotBase64)?;
        if !KEY_LENGTHS.contains(&key.len()) {
            return Err(SigningKeyError::Length(key.len()));
        }
        Ok(SigningKey(key))
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SigningKey(…)")
    }
}

/// The headers `webhook-id`, `webhook-timestamp` and, if there are keys, `webhook-signature`. `now` is the
/// wall clock's time, with which receivers compare theirs.
pub fn headers(keys: &[SigningKey], id: &str, now: Timestamp, body: &[u8]) -> HeaderMap {
    let timestamp = now.as_seconds();
    let text = |text: &str| HeaderValue::from_str(text).expect("an id and base64 are plain ASCII");
    let mut headers = HeaderMap::new();
    headers.insert(HeaderName::from_static("webhook-id"), text(id));
    headers.insert(HeaderName::from_static("webhook-timestamp"), HeaderValue::from(timestamp));
    if !keys.is_empty() {
        let signature = sign(keys, id, timestamp, body);
        headers.insert(HeaderName::from_static("webhook-signature"), text(&signature));
    }
    headers
}

/// The value of `webhook-signature`: one `v1,<base64>` for each key, in order and separated by spaces, so
/// that a secret can be rotated without a gap. Empty without keys.
///
/// `webhook_id` and `timestamp_seconds` (Unix time of this attempt) are those of the headers. An id must not
/// contain a full stop, which separates the signed parts.
pub fn sign(keys: &[SigningKey], webhook_id: &str, timestamp_seconds: i64, body: &[u8]) -> String {
    debug_assert!(
        !webhook_id.contains('.'),
        "a full stop in a webhook id makes the signed content ambiguous"
    );
    let head = format!("{webhook_id}.{timestamp_seconds}.");
    let signatures: Vec<String> = keys.iter().map(|key| signature(key, head.as_bytes(), body)).collect();
    signatures.join(" ")
}

fn signature(key: &SigningKey, head: &[u8], body: &[u8]) -> String {
    let mut code = Hmac::<Sha256>::new_from_slice(&key.0).expect("HMAC takes a key of any length");
    code.update(head);
    code.update(body);
    format!("v1,{}", STANDARD.encode(code.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test vector of the specification's reference libraries.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const TIMESTAMP: i64 = 1_614_265_330;
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    /// The bytes 0 to 31, and the signature of the same message by the reference library for Python.
    const OTHER_SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const OTHER_SIGNATURE: &str = "v1,O4Gjv1HqPqsMrjmczoggs/sWA8gZD0VyHG+fLh4+ktI=";

    fn key(secret: &str) -> SigningKey {
        secret.parse().unwrap()
    }

    fn secret_of(length: usize) -> String {
        format!("whsec_{}", STANDARD.encode(vec![7; length]))
    }

    #[test]
    fn a_notification_is_signed_as_the_reference_libraries_sign_it() {
        assert_eq!(sign(&[key(SECRET)], ID, TIMESTAMP, BODY), SIGNATURE);
    }

    #[test]
    fn during_a_rotation_there_is_one_signature_for_each_key_in_their_order() {
        let signatures = sign(&[key(OTHER_SECRET), key(SECRET)], ID, TIMESTAMP, BODY);
        assert_eq!(signatures, format!("{OTHER_SIGNATURE} {SIGNATURE}"));
    }

    #[test]
    fn without_keys_there_is_nothing_to_send() {
        assert_eq!(sign(&[], ID, TIMESTAMP, BODY), "");
    }

    #[test]
    fn the_signature_depends_on_the_id_the_timestamp_and_the_body() {
        let keys = [key(SECRET)];
        assert_ne!(sign(&keys, "msg_other", TIMESTAMP, BODY), SIGNATURE);
        assert_ne!(sign(&keys, ID, TIMESTAMP + 1, BODY), SIGNATURE);
        assert_ne!(sign(&keys, ID, TIMESTAMP, br#"{"test":2432232314}"#), SIGNATURE);
    }

    #[test]
    fn a_key_has_24_to_64_bytes() {
        for length in [24, 32, 64] {
            assert!(secret_of(length).parse::<SigningKey>().is_ok(), "{length} bytes");
        }
        for length in [0, 23, 65, 1000] {
            let error = secret_of(length).parse::<SigningKey>().unwrap_err();
            assert_eq!(error, SigningKeyError::Length(length));
            assert!(error.to_string().contains("24 to 64 bytes"), "{error}");
        }
    }

    #[test]
    fn a_secret_without_its_prefix_or_in_another_encoding_is_refused() {
        for secret in ["", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsk_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] {
            assert_eq!(secret.parse::<SigningKey>().unwrap_err(), SigningKeyError::MissingPrefix);
        }
        let unpadded = OTHER_SECRET.trim_end_matches('=');
        let url_safe = "whsec_----9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        for secret in [unpadded, url_safe, "whsec_not base64!", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"] {
            assert_eq!(secret.parse::<SigningKey>().unwrap_err(), SigningKeyError::NotBase64, "{secret:?}");
        }
    }

    #[test]
    fn debug_output_does_not_show_the_key() {
        assert_eq!(format!("{:?}", key(SECRET)), "SigningKey(…)");
    }
}
