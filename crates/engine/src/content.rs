//! An object's text, whatever it is compressed with: whole in memory where it fits, a window at a time where not.

use std::io::{self, BufRead, BufReader, Read};

use flowquet_parse::WINDOW_BYTES_MIN;
use flowquet_parse::inflate::{GzipInflater, InflateError};

/// Bytes of a window of streamed text: a few times what the parser asks for at least, so that little is moved.
const WINDOW_BYTES: usize = 4 * WINDOW_BYTES_MIN;

/// Bytes of compressed input read at a time.
const READ_BYTES: usize = 256 << 10;

/// How an object is compressed, told by its first bytes and not by its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// gzip, one or several members.
    Gzip,
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
            _ => Self::Plain,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Plain => "plain text",
            Self::Zstd => "zstd",
        }
    }

    fn stream<'a>(self, input: Box<dyn BufRead + Send + 'a>) -> io::Result<Box<dyn Read + Send + 'a>> {
        Ok(match self {
            Self::Gzip => Box::new(GzipStream { member: Some(flate2::bufread::GzDecoder::new(input)) }),
            Self::Plain => Box::new(input),
            Self::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(input)?),
        })
    }
}

/// The first `max` bytes of text of an object, and how it is compressed. For a look at a file.
///
/// # Errors
/// As the input reports, or where compressed data is damaged before that many bytes.
pub fn head(input: Box<dyn Read + Send>, max: usize) -> io::Result<(Compression, Vec<u8>)> {
    let mut input = BufReader::with_capacity(READ_BYTES, input);
    let compression = Compression::detect(input.fill_buf()?);
    let mut text = Vec::new();
    compression.stream(Box::new(input))?.take(max as u64).read_to_end(&mut text)?;
    Ok((compression, text))
}

/// Reads all members of a gzip stream. Zero bytes behind the last one are padding.
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
            return Err(io::Error::new(io::ErrorKind::InvalidData, "bytes behind the last gzip member"));
        }
        let len = bytes.len();
        if len == 0 {
            return Ok(());
        }
        rest.consume(len);
    }
}

/// Buffers for reading objects, reused from one to the next.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    inflater: GzipInflater,
    compressed: Vec<u8>,
    text: Vec<u8>,
}

/// Where an object's bytes come from. Opened again where it has to be read twice.
pub(crate) trait Open {
    fn open(&self) -> Result<Box<dyn Read + Send>, flowquet_store::Error>;
}

impl<F: Fn() -> Result<Box<dyn Read + Send>, flowquet_store::Error>> Open for F {
    fn open(&self) -> Result<Box<dyn Read + Send>, flowquet_store::Error> {
        self()
    }
}

/// Why an object's text cannot be had.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// The consumer of windows ended it, for a reason of its own.
    Consumer(ConsumerError),
    /// The object is damaged; the message says where.
    Damaged(String),
    /// The store failed.
    Store(flowquet_store::Error),
}

/// What a consumer of windows may say.
#[derive(Debug)]
pub(crate) enum ConsumerError {
    /// This object is no flow log that can be read.
    Object {
        /// Why.
        reason: String,
        /// What to do about it.
        hint: &'static str,
    },
    /// The run must end.
    Run(crate::error::Error),
}

impl From<ConsumerError> for ReadError {
    fn from(error: ConsumerError) -> Self {
        Self::Consumer(error)
    }
}

/// Takes windows of text and returns how much of each it used up.
pub(crate) type Consume<'a> = &'a mut dyn FnMut(&[u8], Position) -> Result<usize, ConsumerError>;

/// What one window is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Position {
    /// More may follow.
    More,
    /// Nothing follows.
    Last,
    /// Nothing readable follows: the text is cut off here.
    Cut,
}

impl Reader {
    /// Pushes all text of an object of `bytes` bytes to `consume`, a window at a time; it returns how much it used up.
    ///
    /// Text of up to `whole_max` bytes comes in one window. Longer text is streamed; unless `salvage`, it is read once
    /// before, so that a damaged object is found out before any of its lines is taken. Returns where the object is
    /// damaged, if it is and `salvage`.
    pub(crate) fn read(
        &mut self,
        input: &dyn Open,
        bytes: u64,
        whole_max: usize,
        salvage: bool,
        consume: Consume<'_>,
    ) -> Result<Option<String>, ReadError> {
        let opened = input.open().map_err(ReadError::Store)?;
        if bytes <= whole_max as u64 {
            self.compressed.clear();
            // One byte more than listed, to notice an object that grew.
            let read = opened.take(whole_max as u64 + 1).read_to_end(&mut self.compressed);
            read.map_err(|e| ReadError::Damaged(format!("read: {e}")))?;
            if self.compressed.len() <= whole_max {
                match Compression::detect(&self.compressed) {
                    Compression::Plain => {
                        consume_whole(&self.compressed, consume)?;
                        return Ok(None);
                    }
                    Compression::Gzip => {
                        match self.inflater.inflate(&self.compressed, &mut self.text, whole_max) {
                            Ok(len) => {
                                consume_whole(&self.text[..len], consume)?;
                                return Ok(None);
                            }
                            Err(error @ InflateError::Damaged { .. }) if !salvage => {
                                return Err(ReadError::Damaged(error.to_string()));
                            }
                            Err(_) => {}
                        }
                    }
                    Compression::Zstd => {}
                }
            }
        }
        self.stream(input, salvage, consume)
    }

    fn stream(
        &mut self,
        input: &dyn Open,
        salvage: bool,
        consume: Consume<'_>,
    ) -> Result<Option<String>, ReadError> {
        let open = || -> Result<_, ReadError> {
            let mut buffered = BufReader::with_capacity(READ_BYTES, input.open().map_err(ReadError::Store)?);
            let damaged = |e: io::Error| ReadError::Damaged(e.to_string());
            let compression = Compression::detect(buffered.fill_buf().map_err(damaged)?);
            Ok((compression, compression.stream(Box::new(buffered)).map_err(damaged)?))
        };
        let (compression, mut text) = open()?;
        if !salvage && compression != Compression::Plain {
            let counted = io::copy(&mut text, &mut io::sink());
            counted.map_err(|e| {
                ReadError::Damaged(format!("expected whole {} data, found {e}", compression.name()))
            })?;
            text = open()?.1;
        }
        self.text.resize(self.text.len().max(WINDOW_BYTES), 0);
        let (mut start, mut end) = (0, 0);
        let mut damage = None;
        let mut is_end = false;
        loop {
            while !is_end && end < WINDOW_BYTES {
                match text.read(&mut self.text[end..WINDOW_BYTES]) {
                    Ok(0) => is_end = true,
                    Ok(len) => end += len,
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) => {
                        let message = format!("expected whole {} data, found {e}", compression.name());
                        if !salvage {
                            return Err(ReadError::Damaged(message));
                        }
                        damage = Some(message);
                        is_end = true;
                    }
                }
            }
            let position = match (is_end, &damage) {
                (false, _) => Position::More,
                (true, None) => Position::Last,
                (true, Some(_)) => Position::Cut,
            };
            start += consume(&self.text[start..end], position)?;
            if is_end {
                return Ok(damage);
            }
            self.text.copy_within(start..end, 0);
            (start, end) = (0, end - start);
        }
    }
}

fn consume_whole(text: &[u8], consume: Consume<'_>) -> Result<(), ReadError> {
    let used = consume(text, Position::Last)?;
    debug_assert_eq!(used, text.len(), "the last window is used up");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use flowquet_testkit::gzip;

    fn read(bytes: &[u8], whole_max: usize, salvage: bool) -> Result<(Vec<u8>, Option<String>), ReadError> {
        let owned = bytes.to_vec();
        let open = move || -> Result<Box<dyn Read + Send>, flowquet_store::Error> {
            Ok(Box::new(io::Cursor::new(owned.clone())))
        };
        let mut text = Vec::new();
        let mut reader = Reader::default();
        let damage =
            reader.read(&open, bytes.len() as u64, whole_max, salvage, &mut |window, position| {
                // Leaves some of each window for the next one, as a parser does.
                let used = if position == Position::More { window.len() - 100 } else { window.len() };
                text.extend_from_slice(&window[..used]);
                Ok(used)
            })?;
        Ok((text, damage))
    }

    fn zstd(bytes: &[u8]) -> Vec<u8> {
        zstd::stream::encode_all(bytes, 1).expect("encodes")
    }

    #[test]
    fn every_compression_whole_and_streamed() {
        let text: Vec<u8> = (0..400_000u32).flat_map(|i| format!("{} ", i * 7).into_bytes()).collect();
        let (a, b) = text.split_at(1_000_000);
        let padded = [gzip(a), gzip(b), vec![0; 1000]].concat();
        for bytes in
            [text.clone(), gzip(&text), [gzip(a), gzip(b"")].concat(), padded, [zstd(a), zstd(b)].concat()]
        {
            let expected = if bytes == [gzip(a), gzip(b"")].concat() { a } else { &text[..] };
            for whole_max in [0, 100_000, 1 << 30] {
                let (found, damage) = read(&bytes, whole_max, false).expect("whole");
                assert!(
                    found == expected && damage.is_none(),
                    "{:?} {whole_max}",
                    Compression::detect(&bytes)
                );
            }
        }
        assert_eq!(read(b"", 0, false).expect("empty").0, b"");
    }

    #[test]
    fn damage_costs_the_object_or_with_salvage_what_lies_behind_it() {
        let text = "2 123456789012 eni-1 10.0.0.1\n".repeat(100_000);
        for whole in [gzip(text.as_bytes()), zstd(text.as_bytes())] {
            let cut = &whole[..whole.len() - 20];
            for whole_max in [0, 1 << 30] {
                assert!(matches!(read(cut, whole_max, false), Err(ReadError::Damaged(_))), "{whole_max}");
                let (found, damage) = read(cut, whole_max, true).expect("salvaged");
                assert!(text.as_bytes().starts_with(&found) && damage.is_some());
            }
        }
    }
}
