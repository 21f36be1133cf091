//! How an object is compressed, told by its first bytes; and streams of what is inside.

use std::io::{self, BufRead, BufReader, Read};

use flowquet_parquet::MAGIC;

/// Bytes of compressed input read at a time.
pub(crate) const READ_BYTES: usize = 256 << 10;

/// Compressions inside each other that are undone: CloudWatch sends gzip, and Firehose may compress that again.
const DEPTH_MAX: usize = 2;

/// Bytes that tell a compression.
const HEAD_BYTES: usize = 4;

/// How an object is compressed, told by its first bytes and not by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// gzip, one or several members.
    Gzip,
    /// A Parquet file, compressed inside.
    Parquet,
    /// Not compressed.
    Plain,
    /// Zstandard, one or several frames.
    Zstd,
}

impl Compression {
    /// The compression that begins with `head`.
    pub fn detect(head: &[u8]) -> Self {
        match head {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Self::Zstd,
            // A skippable frame before the data.
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            _ if head.starts_with(MAGIC) => Self::Parquet,
            _ => Self::Plain,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Parquet => "Parquet",
            Self::Plain => "plain text",
            Self::Zstd => "zstd",
        }
    }

    /// Reads what is compressed so.
    ///
    /// # Errors
    /// Where a decoder cannot be made.
    pub fn stream<'a>(self, input: Box<dyn BufRead + Send + 'a>) -> io::Result<Box<dyn Read + Send + 'a>> {
        Ok(match self {
            Self::Gzip => Box::new(GzipStream { member: Some(flate2::bufread::GzDecoder::new(input)) }),
            Self::Parquet | Self::Plain => Box::new(input),
            Self::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(input)?),
        })
    }
}

/// Reads all members of a gzip stream. Zero bytes behind the last one are padding, line breaks behind any delimit them.
struct GzipStream<R> {
    member: Option<flate2::bufread::GzDecoder<R>>,
}

impl<R: BufRead> Read for GzipStream<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let len = member.read(out)?;
            if len > 0 || out.is_empty() {
                return Ok(len);
            }
            let mut rest = self.member.take().expect("matched above").into_inner();
            while let Some(b'\n' | b'\r') = rest.fill_buf()?.first() {
                rest.consume(1);
            }
            match rest.fill_buf()?.first() {
                None => {}
                Some(0) => expect_zeros(&mut rest)?,
                Some(_) => self.member = Some(flate2::bufread::GzDecoder::new(rest)),
            }
        }
        Ok(0)
    }
}

fn expect_zeros(rest: &mut impl BufRead) -> io::Result<()> {
    loop {
        let bytes = rest.fill_buf()?;
        if bytes.iter().any(|b| *b != 0) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "bytes after the last gzip member"));
        }
        let len = bytes.len();
        if len == 0 {
            return Ok(());
        }
        rest.consume(len);
    }
}

/// The text of an object, whatever it is compressed with, and the outermost compression. A Parquet file comes as it is.
///
/// # Errors
/// As the input reports.
pub fn text_of<'a>(
    input: Box<dyn Read + Send + 'a>,
) -> io::Result<(Compression, Box<dyn BufRead + Send + 'a>)> {
    let mut text: Box<dyn BufRead + Send + 'a> = Box::new(BufReader::with_capacity(READ_BYTES, input));
    let mut outermost = None;
    for _ in 0..DEPTH_MAX {
        // A member of gzip may be shorter than what tells the compression of all of them.
        let mut head = Vec::with_capacity(HEAD_BYTES);
        text.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head)?;
        let compression = Compression::detect(&head);
        text = Box::new(io::Cursor::new(head).chain(text));
        outermost.get_or_insert(compression);
        if matches!(compression, Compression::Plain | Compression::Parquet) {
            break;
        }
        text = Box::new(BufReader::with_capacity(READ_BYTES, compression.stream(text)?));
    }
    Ok((outermost.unwrap_or(Compression::Plain), text))
}

/// The first `max` bytes of text of an object, and how it is compressed. For a look at a file.
///
/// # Errors
/// As the input reports, or where compressed data is damaged before that many bytes.
pub fn head(input: Box<dyn Read + Send>, max: usize) -> io::Result<(Compression, Vec<u8>)> {
    let (compression, text) = text_of(input)?;
    let mut content = Vec::new();
    text.take(max as u64).read_to_end(&mut content)?;
    Ok((compression, content))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn what_is_inside_members_of_a_byte() {
        let gzip = |bytes: &[u8]| {
            let mut member = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
            member.write_all(bytes).expect("memory takes all");
            member.finish().expect("memory takes all")
        };
        let inner = zstd::encode_all(&b"some text"[..], 1).expect("compresses");
        for first in 0..inner.len() {
            let (begin, rest) = inner.split_at(first);
            let members = [gzip(begin), gzip(rest)].concat();
            let found = head(Box::new(io::Cursor::new(members)), 100).expect("whole");
            assert_eq!(found, (Compression::Gzip, b"some text".to_vec()), "{first}");
        }
    }
}
