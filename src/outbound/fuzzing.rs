//! Fuzz checks of configured secrets, and of responses. See [`crate::fuzzing`].

use std::fmt::{Debug, Display};
use std::str::from_utf8;
use std::time::Duration;

use super::transport::{ClientIdentity, Roots};
use super::{EXCERPT_MAX, Endpoint, Rate, SigningKey, retry_after, shown, signature};
use crate::model::Timestamp;

/// Stands for a secret: no input contains it by chance.
const MARK: &str = "VerySecretIndeed";

/// Keys, certificates, URLs and rates: no secret is shown, whether it can be parsed or not.
pub fn secrets(bytes: &[u8]) {
    if let Err(error) = Roots::parse(bytes) {
        assert!(!error.to_string().is_empty());
    }
    // Both in one file, as is common.
    match ClientIdentity::parse(bytes, bytes) {
        Ok(identity) => assert_eq!(format!("{identity:?}"), "ClientIdentity(…)"),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    let Ok(text) = from_utf8(bytes) else { return };
    if let Ok(key) = text.parse::<SigningKey>() {
        let signed = |body: &[u8]| signature::sign(&[key.clone(), key.clone()], "dlv_1", 7, body);
        assert_eq!(signed(bytes), signed(bytes));
        assert_ne!(signed(bytes), signed(b""), "it depends on the body");
        let keys = [key];
        let headers = signature::headers(&keys, "dlv_1", Timestamp::from_millis(7_000), bytes);
        assert_eq!(headers.len(), 3);
    }
    for secret in [format!("whsec_{MARK}{text}"), format!("{text}{MARK}")] {
        hides(&secret.parse::<SigningKey>());
    }
    if let Ok(endpoint) = text.parse::<Endpoint>() {
        assert_eq!(endpoint.to_string(), endpoint.origin());
        assert!(endpoint.url().as_str().parse::<Endpoint>().is_ok_and(|again| again == endpoint));
    }
    // A text that ends the user information would turn the rest into a host, and hosts are shown.
    let named = [format!("http://{MARK}:{text}@a.example/"), format!("http://a:{text}{MARK}@a.example/")];
    let is_name = !text.contains(['/', '\\', '?', '#', '@', ':']);
    let below = [format!("http://a.example/{MARK}/{text}"), format!("http://a.example/?{text}={MARK}")];
    for address in named.iter().filter(|_| is_name).chain(&below) {
        hides(&address.parse::<Endpoint>());
    }
    if let Ok(rate) = text.parse::<Rate>() {
        assert_eq!(rate.to_string().parse(), Ok(rate));
    }
}

fn hides<T: Debug, E: Debug + Display>(read: &Result<T, E>) {
    let shown = match read {
        Ok(secret) => format!("{secret:?}"),
        Err(error) => format!("{error:?} {error}"),
    };
    assert!(!shown.to_lowercase().contains(&MARK.to_lowercase()), "{shown}");
}

/// Responses: the wait that one asks for is capped, and the excerpt of its body is short and has no control
/// characters.
pub fn answers(bytes: &[u8]) {
    let kept = shown(bytes);
    assert!(kept.len() <= EXCERPT_MAX);
    assert!(kept.chars().all(|character| !character.is_control() || matches!(character, '\t' | '\n')));
    let Ok(text) = from_utf8(bytes) else { return };
    for now in [0, 784_111_777_000, i64::MIN, i64::MAX] {
        let Some(wait) = retry_after::parse(text, now) else { continue };
        assert!(retry_after::granted(wait) <= Duration::from_secs(60 * 60));
        let seconds = text.trim().parse::<u64>();
        assert!(seconds.is_err() || seconds == Ok(wait.as_secs()), "seconds are seconds: {wait:?}");
    }
}
