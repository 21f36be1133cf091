//! Sizes and numbers as people write them.

use indicatif::HumanCount;

/// Reads `256M`, `2GiB`, `1000000`: bytes, with K, M, G or T for powers of 1024.
///
/// # Errors
/// What was expected, in words.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let error = || format!("expected bytes such as 512M or 2G, found `{text}`");
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let number: u64 = text[..digits].parse().map_err(|_| error())?;
    let shift = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err(error()),
    };
    number.checked_mul(1 << shift).ok_or_else(error)
}

/// Reads a whole number from `MIN` to `MAX`.
///
/// # Errors
/// What was expected, in words.
pub fn whole<T: TryFrom<u64>, const MIN: u64, const MAX: u64>(text: &str) -> Result<T, String> {
    let number = text.parse().ok().filter(|n| (MIN..=MAX).contains(n)).and_then(|n| T::try_from(n).ok());
    number.ok_or_else(|| format!("expected a number from {MIN} to {}, found `{text}`", HumanCount(MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_numbers() {
        assert_eq!(whole::<u16, 1, 1024>("17"), Ok(17));
        for text in ["", "0", "1025", "-1", "two", "99999999999999999999"] {
            let expected = format!("expected a number from 1 to 1,024, found `{text}`");
            assert_eq!(whole::<u16, 1, 1024>(text), Err(expected));
        }
    }

    #[test]
    fn sizes() {
        for (text, expected) in
            [("0", 0), ("17", 17), ("4K", 4096), ("512M", 512 << 20), ("2GiB", 2 << 30), ("1 tb", 1 << 40)]
        {
            assert_eq!(parse_bytes(text), Ok(expected), "{text}");
        }
        for text in ["", "M", "-1", "1.5G", "5X", "99999999999999T"] {
            assert_eq!(parse_bytes(text), Err(format!("expected bytes such as 512M or 2G, found `{text}`")));
        }
    }
}
