//! Shortening of text for messages.

pub use warden_api::quote::quote;

/// Shortens a text of more than `most` bytes in its middle, as the end of a message matters as much as its
/// begin.
pub fn shorten(text: &mut String, most: usize) {
    const GAP: &str = " … ";
    if text.len() <= most {
        return;
    }
    let kept = most.saturating_sub(GAP.len());
    let end = text.len() - kept / 3;
    let range = text.floor_char_boundary(kept - kept / 3)..text.ceil_char_boundary(end);
    text.replace_range(range, GAP);
    text.shrink_to_fit();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_message_keeps_its_beginning_and_its_end() {
        for most in [8, 9, 10, 11, 100] {
            let mut text = "début".to_owned() + &"é".repeat(1000) + "fin";
            shorten(&mut text, most);
            assert!(text.len() <= most && text.starts_with('d') && text.ends_with('n'), "{most}: {text}");
        }
        let mut short = "short".to_owned();
        shorten(&mut short, 5);
        assert_eq!(short, "short");
    }
}
