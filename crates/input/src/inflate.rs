//! Gzip in one buffer, by libdeflate: almost twice as fast as any streaming inflater.
//!
//! The safe wrapper crate does not tell how much input a member took, and without that the members of a multi-member
//! file cannot be told apart; so this module calls libdeflate itself.
#![allow(unsafe_code, reason = "calls libdeflate")]

use std::ffi::c_void;
use std::fmt;
use std::ptr::NonNull;

use libdeflate_sys::{
    libdeflate_alloc_decompressor, libdeflate_decompressor, libdeflate_free_decompressor,
    libdeflate_gzip_decompress_ex, libdeflate_result_LIBDEFLATE_INSUFFICIENT_SPACE,
    libdeflate_result_LIBDEFLATE_SUCCESS,
};

/// Why a buffer did not inflate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InflateError {
    /// The member that starts at this byte is damaged or cut short.
    Damaged {
        /// Byte offset of the member in the compressed input.
        member_at: usize,
    },
    /// The output would pass the limit that was given.
    TooLarge,
}

impl fmt::Display for InflateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged { member_at } => {
                write!(f, "expected a whole gzip member at byte {member_at}, found it damaged or cut short")
            }
            Self::TooLarge => f.write_str("inflated size is past the limit"),
        }
    }
}

impl std::error::Error for InflateError {}

/// A libdeflate decompressor with its tables, to be reused.
pub struct GzipInflater(NonNull<libdeflate_decompressor>);

// SAFETY: a decompressor is plain memory without ties to a thread; `&mut self` keeps its use exclusive.
unsafe impl Send for GzipInflater {}

impl fmt::Debug for GzipInflater {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GzipInflater")
    }
}

impl Default for GzipInflater {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for GzipInflater {
    fn drop(&mut self) {
        // SAFETY: allocated in `new`, freed here only.
        unsafe { libdeflate_free_decompressor(self.0.as_ptr()) }
    }
}

impl GzipInflater {
    /// A new decompressor.
    pub fn new() -> Self {
        // SAFETY: takes nothing; null is the one failure.
        let pointer = unsafe { libdeflate_alloc_decompressor() };
        Self(NonNull::new(pointer).expect("libdeflate allocates some 30 KiB"))
    }

    /// Inflates all members of `input` into `out`, from its start; `out` is grown as needed and keeps its length.
    /// Returns how many bytes of it are filled. Zero bytes behind the last member are padding, as gzip has it;
    /// line breaks behind a member are what Firehose delimits records by, though they are compressed.
    ///
    /// # Errors
    /// [`InflateError::TooLarge`] where the text is larger than `max` bytes, [`InflateError::Damaged`] where a member's
    /// data, length or CRC is wrong.
    pub fn inflate(&mut self, input: &[u8], out: &mut Vec<u8>, max: usize) -> Result<usize, InflateError> {
        let mut consumed = 0;
        let mut filled = 0;
        while consumed < input.len() {
            let rest = &input[consumed..];
            if consumed > 0 && rest.iter().all(|b| *b == 0) {
                break;
            }
            if consumed > 0 && matches!(rest[0], b'\n' | b'\r') {
                consumed += 1;
                continue;
            }
            // The last four bytes tell the last member's size: right for the usual single member, a guess for others.
            let hint = input.last_chunk::<4>().map_or(0, |b| u32::from_le_bytes(*b) as usize);
            let plausible = hint.max(rest.len()).min(max - filled);
            if out.len() < filled + plausible {
                out.resize(filled + plausible, 0);
            }
            if !header_crc_is_right(rest) {
                return Err(InflateError::Damaged { member_at: consumed });
            }
            loop {
                match self.member(rest, &mut out[filled..]) {
                    Ok((taken, made)) => {
                        consumed += taken;
                        filled += made;
                        break;
                    }
                    Err(MemberError::Damaged) => return Err(InflateError::Damaged { member_at: consumed }),
                    Err(MemberError::Space) if out.len() >= max => return Err(InflateError::TooLarge),
                    Err(MemberError::Space) => {
                        let larger = (out.len() * 2).max(1 << 16).min(max);
                        out.resize(larger, 0);
                    }
                }
            }
        }
        if filled > max { Err(InflateError::TooLarge) } else { Ok(filled) }
    }

    fn member(&mut self, input: &[u8], out: &mut [u8]) -> Result<(usize, usize), MemberError> {
        let (mut taken, mut made) = (0, 0);
        // SAFETY: pointers and lengths are those of live slices, the out-parameters are live locals, and the
        // decompressor is ours alone. Gain: `inflate` in benches/ against streaming.
        let result = unsafe {
            libdeflate_gzip_decompress_ex(
                self.0.as_ptr(),
                input.as_ptr().cast::<c_void>(),
                input.len(),
                out.as_mut_ptr().cast::<c_void>(),
                out.len(),
                &raw mut taken,
                &raw mut made,
            )
        };
        #[expect(non_upper_case_globals, reason = "the names are libdeflate's")]
        match result {
            libdeflate_result_LIBDEFLATE_SUCCESS => Ok((taken, made)),
            libdeflate_result_LIBDEFLATE_INSUFFICIENT_SPACE => Err(MemberError::Space),
            _ => Err(MemberError::Damaged),
        }
    }
}

/// Whether a member's header has the CRC that it claims to have, if it claims one: libdeflate does not look, streaming
/// readers do, and an object must not be readable by one way only. Flow logs have none; the rest of the header is
/// libdeflate's to check.
///
/// Source: RFC 1952, sections 2.2 and 2.3.
fn header_crc_is_right(member: &[u8]) -> bool {
    const HAS_CRC: u8 = 1 << 1;
    const HAS_EXTRA: u8 = 1 << 2;
    const HAS_NAME: u8 = 1 << 3;
    const HAS_COMMENT: u8 = 1 << 4;
    let Some(flags) = member.get(3).copied().filter(|f| f & HAS_CRC != 0) else { return true };
    let u16_at = |at: usize| Some(u16::from_le_bytes(*member.get(at..)?.first_chunk()?));
    let found = || {
        let mut at = 10;
        if flags & HAS_EXTRA != 0 {
            at += 2 + usize::from(u16_at(at)?);
        }
        for text in [HAS_NAME, HAS_COMMENT] {
            if flags & text != 0 {
                at += 1 + member.get(at..)?.iter().position(|b| *b == 0)?;
            }
        }
        Some((u16_at(at)?, crc32(member.get(..at)?) as u16))
    };
    found().is_some_and(|(claimed, actual)| claimed == actual)
}

/// A bit at a time: headers are a few bytes.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| crc >> 1 ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}

enum MemberError {
    Damaged,
    Space,
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowquet_testkit::gzip;

    #[test]
    fn members_padding_and_limits() {
        let (a, b) = ("first member\n".repeat(1000), "second\n".to_owned());
        let mut inflater = GzipInflater::new();
        let mut out = Vec::new();
        let two = [gzip(a.as_bytes()), gzip(b.as_bytes())].concat();
        let n = inflater.inflate(&two, &mut out, 1 << 20).expect("two members");
        assert_eq!(&out[..n], [a.as_bytes(), b.as_bytes()].concat());
        let padded = [&two[..], &[0; 512]].concat();
        assert_eq!(inflater.inflate(&padded, &mut out, 1 << 20), Ok(n));
        let delimited = [&gzip(a.as_bytes())[..], b"\n", &gzip(b.as_bytes()), b"\r\n"].concat();
        assert_eq!(inflater.inflate(&delimited, &mut out, 1 << 20), Ok(n));
        assert!(inflater.inflate(&[&delimited[..], b"x"].concat(), &mut out, 1 << 20).is_err());
        assert_eq!(inflater.inflate(&gzip(b""), &mut out, 1 << 20), Ok(0));
        let mut fresh = Vec::new();
        assert_eq!(inflater.inflate(&two, &mut fresh, 10_000), Err(InflateError::TooLarge));
        assert!(fresh.len() <= 10_000, "the limit bounds the buffer");
    }

    #[test]
    fn a_header_with_a_crc_of_its_own() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        let plain = gzip(b"text\n");
        // Extra field, name and comment, then the CRC of all that.
        let mut header = plain[..10].to_vec();
        header[3] = 0x1e;
        header.extend_from_slice(b"\x03\x00abcname\0comment\0");
        for (offset, expected) in [(0, Ok(5)), (1, Err(InflateError::Damaged { member_at: 0 }))] {
            let crc = (crc32(&header) as u16).wrapping_add(offset);
            let member = [&header[..], &crc.to_le_bytes(), &plain[10..]].concat();
            assert_eq!(GzipInflater::new().inflate(&member, &mut Vec::new(), 1 << 20), expected);
            for cut in 0..member.len() {
                let found = GzipInflater::new().inflate(&member[..cut], &mut Vec::new(), 1 << 20);
                assert!(cut == 0 || found.is_err(), "cut at {cut}");
            }
        }
    }

    #[test]
    fn damage_is_found_wherever_it_is() {
        let whole = gzip("2 123456789012 eni-1\n".repeat(50).as_bytes());
        let mut inflater = GzipInflater::new();
        for cut in 1..whole.len() {
            let result = inflater.inflate(&whole[..cut], &mut Vec::new(), 1 << 20);
            assert_eq!(result, Err(InflateError::Damaged { member_at: 0 }), "cut at {cut}");
        }
        let mut wrong_crc = [whole.clone(), whole.clone()].concat();
        let at = wrong_crc.len() - 6;
        wrong_crc[at] ^= 1;
        let expected = Err(InflateError::Damaged { member_at: whole.len() });
        assert_eq!(inflater.inflate(&wrong_crc, &mut Vec::new(), 1 << 20), expected);
    }
}
