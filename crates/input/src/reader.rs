//! An object's lines, whatever it is compressed with and framed in: whole in memory where it fits, a window at a time where not.

use std::error::Error;
use std::io::{self, Read};
use std::sync::Arc;

use flowquet_format::{Catalogue, EventTimes};
use flowquet_parquet::Wanted;

use crate::compression::{Compression, text_of};
use crate::framing::{Framing, Unframe};
use crate::inflate::{GzipInflater, InflateError};
use crate::object::{Consume, Input, Position, ReadError, WINDOW_BYTES, consume_whole};
use crate::parquet_lines::read_parquet;

/// Buffers for reading objects, reused from one to the next.
#[derive(Debug)]
pub struct Reader {
    catalogue: Arc<Catalogue>,
    inflater: GzipInflater,
    compressed: Vec<u8>,
    text: Vec<u8>,
    /// Which columns of Parquet files are looked at.
    wanted: Wanted,
    /// Who is told the times of the events of lines.
    events: Option<EventTimes>,
    shape: Shape,
}

/// What an object's bytes turned out to be, as far as it was read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shape {
    /// The outermost compression.
    pub compression: Option<Compression>,
    /// What its lines are framed in; none of a Parquet file.
    pub framing: Option<Framing>,
    /// Whether it is a Parquet file of one of our tables.
    pub is_of_table: bool,
}

impl Reader {
    /// A reader of objects whose fields are those of `catalogue`, or others. It looks at no other columns of Parquet files than
    /// those that are wanted.
    pub fn new(catalogue: Arc<Catalogue>, wanted: Wanted) -> Self {
        Self {
            catalogue,
            wanted,
            inflater: GzipInflater::default(),
            compressed: Vec::new(),
            text: Vec::new(),
            events: None,
            shape: Shape::default(),
        }
    }

    /// From now on tells `events` at what times the events were that lines came in, before the lines themselves.
    pub fn tell_events(&mut self, events: EventTimes) {
        self.events = Some(events);
    }

    /// What the object that was read last turned out to be.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Pushes all lines of an object of `bytes` bytes to `consume`, a window at a time; it returns how much it used up.
    ///
    /// Text of up to `whole_max` bytes comes in one window where its lines stand as they are. Longer text is streamed; unless
    /// `salvage`, it is read once before, so that a damaged object is found out before any of its lines is taken. Returns where
    /// the object is damaged, if it is and `salvage`.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn read<E: Error + Send + Sync + 'static, C>(
        &mut self,
        mut input: Input<'_, E>,
        bytes: u64,
        whole_max: usize,
        salvage: bool,
        consume: Consume<'_, C>,
    ) -> Result<Option<String>, ReadError<E, C>> {
        self.shape = Shape::default();
        if let Some(events) = &self.events {
            events.forget(u64::MAX);
        }
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
                let compression = Compression::detect(compressed);
                self.shape.compression = Some(compression);
                let framing = &mut self.shape.framing;
                match compression {
                    Compression::Plain => {
                        push_whole(compressed, (&self.catalogue, self.events.as_ref()), framing, consume)?;
                        return Ok(None);
                    }
                    Compression::Gzip => match self.inflater.inflate(compressed, &mut self.text, whole_max) {
                        Ok(len) if Compression::detect(&self.text[..len]) == Compression::Plain => {
                            push_whole(
                                &self.text[..len],
                                (&self.catalogue, self.events.as_ref()),
                                framing,
                                consume,
                            )?;
                            return Ok(None);
                        }
                        // Compressed once more.
                        Ok(_) => {}
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

    fn stream<E: Error + Send + Sync + 'static, C>(
        &mut self,
        mut input: Input<'_, E>,
        bytes: u64,
        salvage: bool,
        consume: Consume<'_, C>,
    ) -> Result<Option<String>, ReadError<E, C>> {
        let open = |input: &Input<'_, E>| -> Result<_, ReadError<E, C>> {
            text_of(input.open()?).map_err(|e| unreadable(e, ToString::to_string))
        };
        let (compression, mut text) = open(&input)?;
        self.shape.compression = Some(compression);
        if compression == Compression::Parquet {
            return match read_parquet(&input, bytes, &self.wanted, consume) {
                // It is read once before, so nothing is taken yet.
                Err(ReadError::Damaged(_)) if input.is_healed()? => {
                    self.stream(input, bytes, salvage, consume)
                }
                read => {
                    self.shape.is_of_table = read?;
                    Ok(None)
                }
            };
        }
        // In the words of what inflates whole.
        let expected = |e: &io::Error| match compression {
            Compression::Gzip => format!("expected a whole gzip member, found it damaged or cut short: {e}"),
            Compression::Zstd => format!("expected a whole zstd frame, found it damaged or cut short: {e}"),
            Compression::Parquet | Compression::Plain => {
                format!("expected whole {} data, found {e}", compression.name())
            }
        };
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
        // Told by the first window.
        let mut lines: Option<Option<Lines>> = None;
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
            let window = &self.text[start..end];
            if lines.is_none() {
                let framing = Framing::of(window, &self.catalogue).map_err(ReadError::Refused)?;
                self.shape.framing = Some(framing);
                lines = Some(framing.unframer(&self.catalogue, self.events.as_ref()).map(Lines::new));
            }
            start += match lines.as_mut().and_then(Option::as_mut) {
                None => consume(window, position).map_err(ReadError::Consumer)?,
                Some(lines) => lines.push(window, position, consume)?,
            };
            if is_end {
                return Ok(damage);
            }
            self.text.copy_within(start..end, 0);
            (start, end) = (0, end - start);
        }
    }
}

/// Pushes a whole text, and tells its framing.
fn push_whole<E, C>(
    text: &[u8],
    (catalogue, events): (&Arc<Catalogue>, Option<&EventTimes>),
    found: &mut Option<Framing>,
    consume: Consume<'_, C>,
) -> Result<(), ReadError<E, C>> {
    let framing = Framing::of(text, catalogue).map_err(ReadError::Refused)?;
    *found = Some(framing);
    match framing.unframer(catalogue, events) {
        None => consume_whole(text, consume),
        Some(unframe) => {
            let mut lines = Lines::new(unframe);
            lines.push(text, Position::Last, consume)?;
            Ok(())
        }
    }
}

/// Lines that were taken out of their framing, on their way to the consumer.
struct Lines {
    unframe: Box<dyn Unframe>,
    text: Vec<u8>,
    has_begun: bool,
}

impl Lines {
    fn new(unframe: Box<dyn Unframe>) -> Self {
        Self { unframe, text: Vec::new(), has_begun: false }
    }

    /// Takes what it can of a window of framed text, and returns how much that is.
    fn push<E, C>(
        &mut self,
        window: &[u8],
        position: Position,
        consume: Consume<'_, C>,
    ) -> Result<usize, ReadError<E, C>> {
        let mut at = 0;
        loop {
            let is_last = position == Position::Last;
            let used = self.unframe.push(&window[at..], is_last, WINDOW_BYTES, &mut self.text);
            let used = match used {
                Ok(used) => used,
                Err(refused) if !self.has_begun => return Err(ReadError::Refused(refused)),
                Err(refused) => unreachable!("refused in the midst: {refused}"),
            };
            at += used;
            // All that can be taken is; what is left waits for more.
            let is_done = self.text.len() < WINDOW_BYTES;
            if is_done && position == Position::More {
                if used == 0 && at == 0 && window.len() >= WINDOW_BYTES {
                    // A unit that fills the window is none.
                    self.text.extend_from_slice(window);
                    at = window.len();
                }
                return Ok(at);
            }
            let step = if is_done { position } else { Position::More };
            self.has_begun = true;
            let taken = consume(&self.text, step).map_err(ReadError::Consumer)?;
            self.text.drain(..taken);
            if is_done {
                return Ok(window.len());
            }
        }
    }
}

/// What a failed read means: the source's own errors come through readers as they are, and are no damage.
fn unreadable<E: Error + Send + Sync + 'static, C>(
    error: io::Error,
    damage: impl FnOnce(&io::Error) -> String,
) -> ReadError<E, C> {
    match error.downcast::<E>() {
        Ok(error) => ReadError::Source(error),
        Err(error) => ReadError::Damaged(damage(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::Range;
    use bytes::Bytes;
    use flowquet_testkit::gzip;

    type StoreError = io::Error;
    type Failure = ReadError<StoreError, std::convert::Infallible>;

    const NO_RANGE: Range<'_, StoreError> = &|_| unreachable!("no Parquet file");

    fn read(bytes: &[u8], whole_max: usize, salvage: bool) -> Result<(Vec<u8>, Option<String>), Failure> {
        let owned = bytes.to_vec();
        let open =
            || -> Result<Box<dyn Read + Send>, StoreError> { Ok(Box::new(io::Cursor::new(owned.clone()))) };
        let opened = Input { fetched: None, again: &|| Ok(None), open: &open, range: NO_RANGE };
        read_input(opened, bytes.len(), whole_max, salvage)
    }

    fn read_input(
        input: Input<'_, StoreError>,
        bytes: usize,
        whole_max: usize,
        salvage: bool,
    ) -> Result<(Vec<u8>, Option<String>), Failure> {
        let mut text = Vec::new();
        let mut reader = Reader::new(Arc::new(Catalogue::builtin().clone()), Wanted::default());
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
        // As Firehose delimits compressed records.
        let delimited = [gzip(a), vec![b'\n'], gzip(b), vec![b'\n']].concat();
        for bytes in [
            text.clone(),
            gzip(&text),
            [gzip(a), gzip(b"")].concat(),
            padded,
            delimited,
            [zstd(a), zstd(b)].concat(),
        ] {
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
