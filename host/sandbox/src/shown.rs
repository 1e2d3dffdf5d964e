//! A plugin's words as they may be shown: of bounded length, and with nothing that a terminal would obey.

/// The most bytes of a plugin's words in an error or a note.
const SHOWN_BYTES: usize = 2048;

/// Appends text up to `allowed` bytes in all: lines become one, control characters and direction marks go.
pub(crate) fn push_shown(out: &mut String, text: &str, allowed: usize) {
    for c in text.chars() {
        if out.len() + c.len_utf8() > allowed {
            return;
        }
        match c {
            '\n' | '\t' => out.push(' '),
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
}

/// The text as it may be shown.
pub(crate) fn shown(text: &str) -> String {
    let mut out = String::new();
    push_shown(&mut out, text, SHOWN_BYTES);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_text_stays_and_what_a_terminal_obeys_goes() {
        assert_eq!(shown("größer als 3 – „ja“"), "größer als 3 – „ja“");
        assert_eq!(shown("\u{1b}[2J\u{202e}a\r\nb"), "[2Ja b");
        assert_eq!(shown(&"é".repeat(5000)).len(), SHOWN_BYTES);
    }
}
