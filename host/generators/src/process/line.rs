//! Lines of bounded length from a program that is not trusted.

use crate::limits::MAX_LINE;
use std::io::{BufRead, Read as _};

/// What came instead of a line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// More bytes than a line may have.
    TooLong,
    /// The program ended within a line.
    Half(String),
    /// The pipe cannot be read.
    Unreadable(String),
}

/// The next line without its end; nothing at the end.
pub(crate) fn next_line(from: &mut impl BufRead) -> Result<Option<String>, Broken> {
    let mut line = Vec::new();
    let most = MAX_LINE as u64 + 1;
    match from.take(most).read_until(b'\n', &mut line) {
        Ok(0) => Ok(None),
        Ok(_) if line.last() == Some(&b'\n') => {
            line.pop();
            Ok(Some(String::from_utf8_lossy(&line).into_owned()))
        }
        Ok(read) if read as u64 == most => Err(Broken::TooLong),
        Ok(_) => Err(Broken::Half(String::from_utf8_lossy(&line).into_owned())),
        Err(e) => Err(Broken::Unreadable(e.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_whole_and_of_bounded_length() {
        let mut from: &[u8] = b"one\n\ntw\xffo\nhalf";
        assert_eq!(next_line(&mut from), Ok(Some("one".into())));
        assert_eq!(next_line(&mut from), Ok(Some(String::new())));
        assert_eq!(next_line(&mut from), Ok(Some("tw\u{fffd}o".into())));
        assert_eq!(next_line(&mut from), Err(Broken::Half("half".into())));
        assert_eq!(next_line(&mut from), Ok(None));
        let mut endless = std::io::BufReader::new(std::io::repeat(b'x'));
        assert_eq!(next_line(&mut endless), Err(Broken::TooLong));
    }
}
