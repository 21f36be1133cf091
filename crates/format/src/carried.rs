//! Rows as lines: what stands in for bytes that end a value or a line.
//!
//! Rows of Parquet files, of tables and of documents take the way of text, as lines of values with blanks between. A value may hold a
//! blank itself, which no flow log's can. It is carried as a byte that no UTF-8 has, and put back once the line is located.
//!
//! | in the value | carried as |
//! |---|---|
//! | blank | `0xfc` |
//! | newline | `0xfd` |
//! | carriage return | `0xfe` |
//! | a byte from `0xfc` on, which makes the value invalid UTF-8 | `0xff` |

/// Before the header line of text in which bytes are carried, or whose header is one whatever it names. No line of its own.
pub const ROWS_MARK: &[u8] = b"\xfd\xfcrows of a Parquet file\xfc\xfd";

/// Before the first line of text in whose lines bytes are carried, whatever that line is. No line of its own.
pub const CARRIED_MARK: &[u8] = b"\xfd\xfcbytes are carried\xfc\xfd";

const FIRST: u8 = 0xfc;
const BLANK: u8 = FIRST;
const NEWLINE: u8 = 0xfd;
const RETURN: u8 = 0xfe;
const NONE: u8 = 0xff;

/// Appends `value`, carried.
pub fn push_carried(value: &[u8], out: &mut Vec<u8>) {
    out.extend(value.iter().map(|byte| match byte {
        b' ' => BLANK,
        b'\n' => NEWLINE,
        b'\r' => RETURN,
        FIRST..=u8::MAX => NONE,
        byte => *byte,
    }));
}

/// Puts back what was carried in `text`.
pub fn put_back(text: &mut [u8]) {
    for byte in text {
        *byte = match *byte {
            BLANK => b' ',
            NEWLINE => b'\n',
            RETURN => b'\r',
            byte => byte,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_comes_back_and_what_is_none_stays_so() {
        let texts = ["", " ", "a b\r\nc", "ä 漢 🦀", "\u{10ffff}"];
        for text in texts {
            let mut carried = Vec::new();
            push_carried(text.as_bytes(), &mut carried);
            assert!(!carried.iter().any(|b| matches!(b, b' ' | b'\n' | b'\r')));
            assert_eq!(std::str::from_utf8(&carried).is_err(), text.contains([' ', '\n', '\r']));
            put_back(&mut carried);
            assert_eq!(carried, text.as_bytes());
        }
        for byte in 0xfc..=0xff {
            let mut carried = Vec::new();
            push_carried(&[b'a', byte], &mut carried);
            put_back(&mut carried);
            assert!(std::str::from_utf8(&carried).is_err(), "{byte:x}");
        }
    }
}
