//! An object's text, whatever it is compressed with: whole in memory where it fits, a window at a time where not.

use std::io::{self, BufRead, BufReader, Read};
use std::ops;

use bytes::Bytes;
use flowquet_parquet::{MAGIC, RowReader, RowsError, Wanted};
use flowquet_parse::WINDOW_BYTES_MIN;
use flowquet_parse::inflate::{GzipInflater, InflateError};
use flowquet_store::Error as StoreError;
use flowquet_table::Cause;

/// Bytes of a window of streamed text: a few times what the parser asks for at least, so that little is moved.
const WINDOW_BYTES: usize = 4 * WINDOW_BYTES_MIN;

/// Bytes of compressed input read at a time.
const READ_BYTES: usize = 256 << 10;

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

    pub(crate) fn stream<'a>(
        self,
        input: Box<dyn BufRead + Send + 'a>,
    ) -> io::Result<Box<dyn Read + Send + 'a>> {
        Ok(match self {
            Self::Gzip => Box::new(GzipStream { member: Some(flate2::bufread::GzDecoder::new(input)) }),
            Self::Parquet | Self::Plain => Box::new(input),
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
    /// Which columns of Parquet files are looked at.
    wanted: Wanted,
}

/// Opens an object; again where it has to be read twice.
pub(crate) type Open<'a> = &'a dyn Fn() -> Result<Box<dyn Read + Send>, StoreError>;

/// Reads a part of an object.
pub(crate) type Range<'a> = &'a dyn Fn(ops::Range<u64>) -> Result<Bytes, StoreError>;

/// Where an object's bytes come from.
pub(crate) struct Input<'a> {
    /// All of them, if they were fetched.
    pub(crate) fetched: Option<Bytes>,
    /// Fetches them anew.
    pub(crate) again: &'a dyn Fn() -> Result<Option<Bytes>, StoreError>,
    /// Opens the object, if it was not fetched.
    pub(crate) open: Open<'a>,
    /// Reads a part of the object, if it was not fetched.
    pub(crate) range: Range<'a>,
}

impl Input<'_> {
    fn open(&self) -> Result<Box<dyn Read + Send>, ReadError> {
        match &self.fetched {
            Some(bytes) => Ok(Box::new(io::Cursor::new(bytes.clone()))),
            None => (self.open)().map_err(ReadError::Store),
        }
    }

    fn range(&self, range: ops::Range<u64>) -> Result<Bytes, ReadError> {
        let Some(bytes) = &self.fetched else { return (self.range)(range).map_err(ReadError::Store) };
        let inside = usize::try_from(range.start).ok().zip(usize::try_from(range.end).ok());
        let inside = inside.filter(|(start, end)| start <= end && *end <= bytes.len());
        let damaged =
            || ReadError::Damaged("expected a whole Parquet file, found its end too early".to_owned());
        inside.map(|(start, end)| bytes.slice(start..end)).ok_or_else(damaged)
    }

    /// Whether a second fetch brought other bytes: then the damage happened on the way.
    fn is_healed(&mut self) -> Result<bool, ReadError> {
        let Some(before) = self.fetched.clone() else { return Ok(false) };
        self.fetched = (self.again)().map_err(ReadError::Store)?;
        Ok(self.fetched.as_ref() != Some(&before))
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
    Store(StoreError),
}

/// What a consumer of windows may say.
#[derive(Debug)]
pub(crate) enum ConsumerError {
    /// The object has to be read from its beginning once more.
    Again,
    /// This object cannot be converted.
    Object(Cause),
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
    /// A reader that looks at no other columns of Parquet files.
    pub(crate) fn of_columns(wanted: Wanted) -> Self {
        Self { wanted, ..Self::default() }
    }

    /// Pushes all text of an object of `bytes` bytes to `consume`, a window at a time; it returns how much it used up.
    ///
    /// Text of up to `whole_max` bytes comes in one window. Longer text is streamed; unless `salvage`, it is read once
    /// before, so that a damaged object is found out before any of its lines is taken. Returns where the object is
    /// damaged, if it is and `salvage`.
    pub(crate) fn read(
        &mut self,
        mut input: Input<'_>,
        bytes: u64,
        whole_max: usize,
        salvage: bool,
        consume: Consume<'_>,
    ) -> Result<Option<String>, ReadError> {
        if bytes <= whole_max as u64 {
            if input.fetched.is_none() {
                self.compressed.clear();
                // One byte more than listed, to notice an object that grew.
                let read = input.open()?.take(whole_max as u64 + 1).read_to_end(&mut self.compressed);
                read.map_err(|e| unreadable(e, |e| format!("read: {e}")))?;
            }
            loop {
                let compressed = input.fetched.as_deref().unwrap_or(&self.compressed);
                if compressed.len() > whole_max {
                    break;
                }
                match Compression::detect(compressed) {
                    Compression::Plain => {
                        consume_whole(compressed, consume)?;
                        return Ok(None);
                    }
                    Compression::Gzip => match self.inflater.inflate(compressed, &mut self.text, whole_max) {
                        Ok(len) => {
                            consume_whole(&self.text[..len], consume)?;
                            return Ok(None);
                        }
                        Err(InflateError::Damaged { .. }) if input.is_healed()? => continue,
                        Err(error @ InflateError::Damaged { .. }) if !salvage => {
                            return Err(ReadError::Damaged(error.to_string()));
                        }
                        Err(_) => {}
                    },
                    Compression::Parquet | Compression::Zstd => {}
                }
                break;
            }
        }
        self.stream(input, bytes, salvage, consume)
    }

    fn stream(
        &mut self,
        mut input: Input<'_>,
        bytes: u64,
        salvage: bool,
        consume: Consume<'_>,
    ) -> Result<Option<String>, ReadError> {
        let open = |input: &Input<'_>| -> Result<_, ReadError> {
            let mut buffered = BufReader::with_capacity(READ_BYTES, input.open()?);
            let damaged = |e: io::Error| unreadable(e, ToString::to_string);
            let compression = Compression::detect(buffered.fill_buf().map_err(damaged)?);
            Ok((compression, compression.stream(Box::new(buffered)).map_err(damaged)?))
        };
        let (compression, mut text) = open(&input)?;
        if compression == Compression::Parquet {
            return match read_parquet(&input, bytes, &self.wanted, consume) {
                // It is read once before, so nothing is taken yet.
                Err(ReadError::Damaged(_)) if input.is_healed()? => {
                    self.stream(input, bytes, salvage, consume)
                }
                read => read.map(|()| None),
            };
        }
        let expected = |e: &io::Error| format!("expected whole {} data, found {e}", compression.name());
        if compression != Compression::Plain && (!salvage || input.fetched.is_some()) {
            match io::copy(&mut text, &mut io::sink()).map_err(|e| unreadable(e, expected)) {
                Ok(_) => {}
                Err(ReadError::Damaged(_)) if input.is_healed()? => {
                    return self.stream(input, bytes, salvage, consume);
                }
                Err(ReadError::Damaged(_)) if salvage => {}
                Err(error) => return Err(error),
            }
            text = open(&input)?.1;
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
                    Err(e) => match unreadable(e, expected) {
                        ReadError::Damaged(message) if salvage => {
                            damage = Some(message);
                            is_end = true;
                        }
                        error => return Err(error),
                    },
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

/// Pushes the rows of a Parquet file of `bytes` bytes as lines, the first of which names its columns. It is read once before, so
/// that a damaged one is found out before any of its rows is taken.
fn read_parquet(
    input: &Input<'_>,
    bytes: u64,
    wanted: &Wanted,
    consume: Consume<'_>,
) -> Result<(), ReadError> {
    let ranges = |range| input.range(range);
    let failed = |error: RowsError<ReadError>| match error {
        RowsError::File(what) => ReadError::Damaged(what),
        RowsError::Other(error) => error,
    };
    let reader = RowReader::open(bytes, &ranges).map_err(failed)?;
    let lines = reader.lines(wanted).map_err(|what| ConsumerError::Object(Cause::NotALog(what)))?;
    let mut is_text = true;
    let read = reader.read_lines(&lines, &ranges, &mut |lines| {
        is_text &= std::str::from_utf8(lines).is_ok();
        Ok(())
    });
    read.map_err(failed)?;
    let mut text = lines.header(!is_text);
    let read = reader.read_lines(&lines, &ranges, &mut |lines| {
        text.extend_from_slice(lines);
        if text.len() >= WINDOW_BYTES {
            let used = consume(&text, Position::More)?;
            text.drain(..used);
        }
        Ok(())
    });
    read.map_err(failed)?;
    consume_whole(&text, consume)
}

/// What a failed read means: the store's own errors come through readers as they are, and are no damage.
fn unreadable(error: io::Error, damage: impl FnOnce(&io::Error) -> String) -> ReadError {
    match error.downcast::<StoreError>() {
        Ok(error) => ReadError::Store(error),
        Err(error) => ReadError::Damaged(damage(&error)),
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

    const NO_RANGE: Range<'_> = &|_| unreachable!("no Parquet file");

    fn read(bytes: &[u8], whole_max: usize, salvage: bool) -> Result<(Vec<u8>, Option<String>), ReadError> {
        let owned = bytes.to_vec();
        let open =
            || -> Result<Box<dyn Read + Send>, StoreError> { Ok(Box::new(io::Cursor::new(owned.clone()))) };
        let opened = Input { fetched: None, again: &|| Ok(None), open: &open, range: NO_RANGE };
        read_input(opened, bytes.len(), whole_max, salvage)
    }

    fn read_input(
        input: Input<'_>,
        bytes: usize,
        whole_max: usize,
        salvage: bool,
    ) -> Result<(Vec<u8>, Option<String>), ReadError> {
        let mut text = Vec::new();
        let mut reader = Reader::default();
        let damage = reader.read(input, bytes as u64, whole_max, salvage, &mut |window, position| {
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
    fn damage_on_the_way_is_fetched_again() {
        let text = "2 123456789012 eni-1 10.0.0.1\n".repeat(100_000);
        for whole in [gzip(text.as_bytes()), zstd(text.as_bytes())] {
            let mut broken = whole.clone();
            let middle = broken.len() / 2;
            broken[middle] ^= 0x20;
            for (whole_max, salvage) in [(0, false), (0, true), (1 << 30, false), (1 << 30, true)] {
                let open = || unreachable!("it was fetched");
                let fetched = |bytes: &[u8]| Some(Bytes::copy_from_slice(bytes));
                let again = || Ok(fetched(&whole));
                let healed = Input { fetched: fetched(&broken), again: &again, open: &open, range: NO_RANGE };
                let (found, damage) = read_input(healed, whole.len(), whole_max, salvage).expect("healed");
                assert!(found == text.as_bytes() && damage.is_none());
                let again = || Ok(fetched(&broken));
                let lasting =
                    Input { fetched: fetched(&broken), again: &again, open: &open, range: NO_RANGE };
                match read_input(lasting, whole.len(), whole_max, salvage) {
                    Ok((_, damage)) => assert!(salvage && damage.is_some()),
                    Err(error) => assert!(!salvage && matches!(error, ReadError::Damaged(_))),
                }
            }
        }
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
