//! Bytes made of other bytes: small damage, drawn from a seed.

use flowquet_testkit::generate::Random;

/// Longest input: what a promise needs to be broken is small, and small inputs are many.
const BYTES_MAX: usize = 64 << 10;

/// Steps of damage to one input, at most.
const STEPS_MAX: u64 = 6;

/// What formats, names and numbers are made of.
const WORDS: &[&[u8]] = &[
    b"\n",
    b"\r\n",
    b"\r",
    b" ",
    b"\t",
    b"\0",
    b"-",
    b"/",
    b"../",
    b"..",
    b"//",
    b"\\",
    b"\"",
    b"'",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"=",
    b"%2F",
    b"%",
    b"${",
    b"$",
    b"\xef\xbb\xbf",
    b"\xff",
    b"\xc3",
    b"0",
    b"-1",
    b"18446744073709551615",
    b"1e999",
    b"null",
    b"true",
    b"[[[[[[[[",
    b"2 ",
    b"srcaddr dstaddr start\n",
    b"logEvents",
    b"message",
    b"PAR1",
    b"\x1f\x8b\x08",
    b"\x28\xb5\x2f\xfd",
    b"2024-01-15T00:00:00.000Z ",
    b"_flowquet/",
    b"s3://",
    b"file:///",
];

/// An input made of one of `seeds`, sometimes with a piece of another.
pub(super) fn mutated(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let seed = |random: &mut Random| &seeds[random.below(seeds.len() as u64) as usize];
    let mut bytes = seed(random).clone();
    for _ in 0..=random.below(STEPS_MAX) {
        let other = seed(random).clone();
        step(&mut bytes, &other, random);
    }
    bytes.truncate(BYTES_MAX);
    bytes
}

/// A place in `bytes`, the end included.
fn place(bytes: &[u8], random: &mut Random) -> usize {
    random.below(bytes.len() as u64 + 1) as usize
}

/// A short range of `bytes`, mostly.
fn range(bytes: &[u8], random: &mut Random) -> std::ops::Range<usize> {
    let start = place(bytes, random);
    let longest = if random.below(8) == 0 { bytes.len() as u64 } else { 16 };
    start..(start + 1 + random.below(longest.max(1)) as usize).min(bytes.len()).max(start)
}

fn step(bytes: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let at = place(bytes, random);
    let word = WORDS[random.below(WORDS.len() as u64) as usize];
    match random.below(11) {
        0 | 1 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte ^= 1 << random.below(8);
            }
        }
        2 => {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = random.bits() as u8;
            }
        }
        3 => drop(bytes.drain(range(bytes, random))),
        4 => {
            let piece = bytes[range(bytes, random)].to_vec();
            let times = 1 + random.uneven(20) as usize;
            bytes.splice(at..at, piece.repeat(times).into_iter().take(BYTES_MAX));
        }
        5 => drop(bytes.splice(at..at, word.iter().copied())),
        6 => {
            let end = (at + word.len()).min(bytes.len());
            bytes.splice(at..end, word.iter().copied());
        }
        7 => {
            let piece = other[range(other, random)].to_vec();
            bytes.splice(at..at, piece);
        }
        8 => bytes.truncate(at),
        // Numbers as they stand in binary forms: lengths and offsets.
        9 => {
            let number =
                [0, 1, 0x7f, 0xff, 0x7fff_ffff, 0xffff_ffff, u64::MAX, 1 << 40][random.below(8) as usize];
            let width = [1, 2, 4, 8][random.below(4) as usize];
            for (byte, new) in bytes.iter_mut().skip(at).zip(number.to_le_bytes().into_iter().take(width)) {
                *byte = new;
            }
        }
        // Numbers as they stand in text.
        _ => {
            let Some(digit) = bytes[at..].iter().position(u8::is_ascii_digit).map(|n| at + n) else { return };
            let end =
                bytes[digit..].iter().position(|b| !b.is_ascii_digit()).map_or(bytes.len(), |n| digit + n);
            let number = match random.below(4) {
                0 => random.below(3).to_string(),
                1 => random.bits().to_string(),
                2 => format!("{}", i64::from(i32::MAX) + random.below(3) as i64),
                _ => format!("{}{}", &"9".repeat(random.below(40) as usize), random.below(10)),
            };
            bytes.splice(digit..end, number.into_bytes());
        }
    }
}
