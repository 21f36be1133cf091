//! Rows to partitions: each block's rows go to the columns of their partition and format, and on as pieces.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;

use arrow_array::RecordBatch;
use flowquet_arrow::{Columns, RowHashes, RowOrigin};
use flowquet_format::{EventTimes, LogFormat, LogKind, ObjectKey, TIME_MAX_S, TIME_MIN_S, TimeSlot};
use flowquet_parquet::Encoder;
use flowquet_parse::{AS_LAST, Block, IntegerColumns, NULL, Reject, RejectReason, repeats};
use flowquet_table::{Cause, Digest};

use crate::budget::BUILD_BYTES_MAX;
use crate::consumer::ConsumerError;
use crate::context::{FormatContext, PlanContext};
use crate::error::Error;
use crate::regions::Regions;
use crate::unit::{Destination, Piece, PieceRows, Taker, Times, UnitCounts};

struct Open {
    columns: Columns,
    format: Arc<FormatContext>,
    times: Times,
    /// Which object of the unit gave how many of the rows, in their order.
    objects: Vec<(usize, usize)>,
}

/// A log format that was met, with what is kept for it from block to block.
struct KnownFormat {
    context: Arc<FormatContext>,
    text: Arc<str>,
    integers: IntegerColumns,
    /// Columns that were handed on: their memory is used again.
    spare: Option<Columns>,
}

/// Why lines of a format are not taken.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// It has none of the columns that are kept. Holds AWS's text of it.
    NoColumns(String),
    /// Another one in the unit would be more than [`FORMATS_MAX`].
    TooManyFormats,
}

impl Refusal {
    /// As the cause of an object of which nothing was taken.
    pub(crate) fn cause(self) -> Cause {
        match self {
            Self::NoColumns(format) => Cause::NoColumns(format),
            Self::TooManyFormats => Cause::NotALog(self.detail()),
        }
    }

    /// As the reason of rejects behind lines that were taken.
    pub(crate) fn reason(&self) -> RejectReason {
        match self {
            Self::NoColumns(_) => RejectReason::NoColumns,
            Self::TooManyFormats => RejectReason::TooManyFormats,
        }
    }

    /// What was expected and found.
    pub(crate) fn detail(&self) -> String {
        match self {
            Self::NoColumns(format) => format!("expected a format with a chosen column, found {format}"),
            Self::TooManyFormats => {
                format!(
                    "expected at most {FORMATS_MAX} log formats in objects that are read together, found more"
                )
            }
        }
    }
}

/// Log formats that the objects of a unit may have: what is kept for each takes some ten kilobytes.
const FORMATS_MAX: usize = 1_000;

/// What a folder's name is made of: account, region, kind of the flow log, time.
type FolderOf = (Option<String>, Option<String>, LogKind, TimeSlot);

/// Rows of one unit, by partition and format.
pub(crate) struct Router {
    plan: Arc<PlanContext>,
    encoder: Encoder,
    formats: Vec<KnownFormat>,
    /// Places among them, by text.
    by_text: HashMap<Arc<str>, usize>,
    /// The one that was met last, with its place.
    last: Option<(Arc<LogFormat>, usize)>,
    /// Places of those that the unit has.
    of_unit: HashSet<usize>,
    folders: HashMap<FolderOf, Arc<str>>,
    open: BTreeMap<Destination, Open>,
    open_bytes: usize,
    /// Of each row of a block, its slot and the place of its region.
    slots: Vec<(TimeSlot, u32)>,
    flags: Vec<u8>,
    /// The partition folders whose rows are wanted; all if `None`.
    partitions: Option<Arc<BTreeSet<String>>>,
    /// Where the rows of the object come from that is read now; `None` where no column tells.
    origin: Option<RowOrigin>,
    /// Times of the events of its lines.
    pub(crate) events: EventTimes,
    /// Whether rows are encoded; else they are handed on as they are.
    encodes: bool,
    hashes: RowHashes,
    /// Of each object of the unit, the digest of its records so far.
    digests: Vec<Digest>,
    pub(crate) counts: UnitCounts,
}

/// What the rows of one block have in common.
struct BlockContext<'a> {
    format: &'a Arc<FormatContext>,
    text: &'a Arc<str>,
    key: &'a ObjectKey,
}

impl Router {
    pub(crate) fn new(plan: Arc<PlanContext>) -> Result<Self, Error> {
        Ok(Self {
            encoder: Encoder::new(plan.compression)?,
            plan,
            formats: Vec::new(),
            by_text: HashMap::new(),
            last: None,
            of_unit: HashSet::new(),
            folders: HashMap::new(),
            open: BTreeMap::new(),
            open_bytes: 0,
            slots: Vec::new(),
            flags: Vec::new(),
            partitions: None,
            origin: None,
            events: EventTimes::default(),
            encodes: true,
            hashes: RowHashes::default(),
            digests: Vec::new(),
            counts: UnitCounts::default(),
        })
    }

    /// From now on rows are not encoded: whoever takes them wants no more than what is counted.
    pub(crate) fn only_count(&mut self) {
        self.encodes = false;
    }

    pub(crate) fn plan(&self) -> &Arc<PlanContext> {
        &self.plan
    }

    /// Begins a unit, of which only the rows of some partitions are wanted.
    pub(crate) fn start(&mut self, partitions: Option<&Arc<BTreeSet<String>>>) {
        self.partitions = partitions.cloned();
        self.last = None;
        self.of_unit.clear();
        if self.formats.len() > FORMATS_MAX {
            self.formats.clear();
            self.by_text.clear();
        }
        self.open.clear();
        self.open_bytes = 0;
        self.digests.clear();
        self.counts = UnitCounts::default();
    }

    /// Begins an object of the unit.
    pub(crate) fn begin_object(&mut self, url: &str, key: &ObjectKey) {
        self.origin = self.plan.added.iter().any(|column| !column.is_derived()).then(|| RowOrigin {
            object: url.to_owned(),
            flow_log_id: key.flow_log_id.clone(),
            account: key.account.clone(),
            region: key.region.clone(),
            delivered_ms: key.named_minute().map(|unix_s| unix_s * 1000),
            events: self.events.clone(),
        });
    }

    /// Ends a unit: hands on what is left.
    pub(crate) fn finish(&mut self, taker: &mut dyn Taker) -> Result<UnitCounts, Error> {
        while let Some((to, open)) = self.open.pop_first() {
            let piece = self.seal(to, open)?;
            taker.piece(piece)?;
        }
        self.open_bytes = 0;
        let mut counts = std::mem::take(&mut self.counts);
        self.digests.resize(counts.inputs.len(), Digest::default());
        for (input, digest) in counts.inputs.iter_mut().zip(&self.digests) {
            input.digest = input.failed.is_none().then_some(*digest);
        }
        Ok(counts)
    }

    /// Types the integers of a block, whose format is the one at `place`, and takes its records, unless it has some and `may_have_records` is false; then the object is to
    /// be read again. Returns how many records there are.
    pub(crate) fn take_block(
        &mut self,
        place: usize,
        block: &mut Block<'_>,
        key: &ObjectKey,
        rejects: &mut Vec<Reject>,
        may_have_records: bool,
        taker: &mut dyn Taker,
    ) -> Result<u64, ConsumerError> {
        let known = &mut self.formats[place];
        let (format, text) = (known.context.clone(), known.text.clone());
        // Taken out while rows are routed, and put back for the next block.
        let mut integers = std::mem::take(&mut known.integers);
        if integers.parse(block) {
            block.reject_bad_integers(&mut integers, rejects);
        }
        if !may_have_records && !block.rows().is_empty() {
            self.formats[place].integers = integers;
            return Err(ConsumerError::Again);
        }
        self.count_statuses(block, format.status);
        let routed =
            self.route(block, &mut integers, &BlockContext { format: &format, text: &text, key }, taker);
        self.formats[place].integers = integers;
        routed.map_err(ConsumerError::Run)?;
        Ok(block.rows().len() as u64)
    }

    /// The place of a format among those that are known, for [`Self::take_block`].
    ///
    /// # Errors
    /// [`Refusal`], where its lines are not taken.
    pub(crate) fn format_of(
        &mut self,
        format: &Arc<LogFormat>,
        taker: &mut dyn Taker,
    ) -> Result<usize, Refusal> {
        if let Some((_, place)) = self.last.as_ref().filter(|(last, _)| Arc::ptr_eq(last, format)) {
            return Ok(*place);
        }
        let text: Arc<str> = format.to_string().into();
        let known = self.by_text.get(&text).copied();
        if self.of_unit.len() == FORMATS_MAX && known.is_none_or(|place| !self.of_unit.contains(&place)) {
            return Err(Refusal::TooManyFormats);
        }
        let place = match known {
            Some(place) => place,
            None => self.learn(format, text, taker)?,
        };
        self.of_unit.insert(place);
        self.last = Some((format.clone(), place));
        Ok(place)
    }

    fn learn(
        &mut self,
        format: &Arc<LogFormat>,
        text: Arc<str>,
        taker: &mut dyn Taker,
    ) -> Result<usize, Refusal> {
        let context = Arc::new(FormatContext::new(format, &self.plan));
        if context.schema.columns().iter().all(|column| column.field().is_none()) {
            return Err(Refusal::NoColumns(text.to_string()));
        }
        for warning in format.warnings(&self.plan.catalogue) {
            taker.warning(&warning);
        }
        for field in format.fields().iter().filter(|field| self.plan.hides(field)) {
            taker.warning(&format!(
                "column `{0}` of the records is a partition column of the table too: engines show the partition's `{0}` in its place, the files keep both",
                field.column()
            ));
        }
        let integers = IntegerColumns::new(context.integers.clone());
        self.by_text.insert(text.clone(), self.formats.len());
        self.formats.push(KnownFormat { context, text, integers, spare: None });
        Ok(self.formats.len() - 1)
    }

    fn count_statuses(&mut self, block: &Block<'_>, status: Option<usize>) {
        let Some(field) = status else {
            *self.counts.records_by_status.entry("-".to_owned()).or_default() += block.rows().len() as u64;
            return;
        };
        // Almost all are OK: a run of equal ones is counted at once.
        let mut flags = std::mem::take(&mut self.flags);
        repeats(block.column(field, 0..block.rows().len()), &mut flags);
        let mut start = 0;
        for run in flags.chunk_by(|_, next| next & AS_LAST != 0) {
            let value = block.field(block.rows()[start], field);
            start += run.len();
            let name = match value {
                b"OK" | b"NODATA" | b"SKIPDATA" | b"-" => std::str::from_utf8(value).expect("ASCII"),
                _ => "other",
            };
            match self.counts.records_by_status.get_mut(name) {
                Some(n) => *n += run.len() as u64,
                None => drop(self.counts.records_by_status.insert(name.to_owned(), run.len() as u64)),
            }
        }
        self.flags = flags;
    }

    /// Appends the block's rows to the columns of their partitions.
    fn route(
        &mut self,
        block: &mut Block<'_>,
        integers: &mut IntegerColumns,
        context: &BlockContext<'_>,
        taker: &mut dyn Taker,
    ) -> Result<(), Error> {
        let rows = block.rows().len();
        if rows == 0 {
            return Ok(());
        }
        let delivery = self.plan.partitions.delivery_slot(context.key);
        let times = context.format.time.map(|time| integers.column(time));
        if times.is_none() && self.plan.partitions.slot_s().is_some() {
            self.counts.times_missing += rows as u64;
        }
        let key_region = context.key.region.as_deref();
        let regions = Regions::of(block, context.format.region, key_region, &mut self.flags);
        if let (Some(slot), Some(region)) = (self.only_slot(times, delivery), regions.only()) {
            return self.append(block, integers, 0..rows, (slot, region), context, taker);
        }
        let mut slots = std::mem::take(&mut self.slots);
        slots.clear();
        slots.extend((0..rows).map(|row| {
            let slot = times.map_or(delivery, |times| {
                self.plan.partitions.slot(times[row]).unwrap_or_else(|| {
                    if times[row] == NULL {
                        self.counts.times_missing += 1;
                    } else {
                        self.counts.times_out_of_range += 1;
                    }
                    delivery
                })
            });
            (slot, regions.of_row(row))
        }));
        if !slots.is_sorted() {
            block.sort_rows_by_key(integers, &mut slots);
        }
        let mut start = 0;
        let mut result = Ok(());
        while start < rows && result.is_ok() {
            let end = start + slots[start..].partition_point(|s| *s == slots[start]);
            let (slot, region) = slots[start];
            let place = (slot, regions.name(region));
            result = self.append(block, integers, start..end, place, context, taker);
            start = end;
        }
        self.slots = slots;
        result
    }

    /// The slot of all rows with these times, `delivery` where they have none; `None` where they have several, or one that chooses none.
    fn only_slot(&self, times: Option<&[i64]>, delivery: TimeSlot) -> Option<TimeSlot> {
        let Some(times) = times else { return Some(delivery) };
        // Nearly every block lies within one day: its earliest and latest time tell, without looking at rows.
        let (min, max) = times.iter().fold((i64::MAX, i64::MIN), |(min, max), t| (min.min(*t), max.max(*t)));
        let (first, last) = (self.plan.partitions.slot(min)?, self.plan.partitions.slot(max)?);
        (first == last).then_some(first)
    }

    fn append(
        &mut self,
        block: &Block<'_>,
        integers: &IntegerColumns,
        range: Range<usize>,
        place: (TimeSlot, Option<&str>),
        context: &BlockContext<'_>,
        taker: &mut dyn Taker,
    ) -> Result<(), Error> {
        let BlockContext { format, text, key } = *context;
        let to = Destination { folder: self.folder(key, format.kind, place), format: text.clone() };
        if self.partitions.as_ref().is_some_and(|wanted| !wanted.contains(to.folder.as_ref())) {
            self.counts.rows_elsewhere += range.len() as u64;
            return Ok(());
        }
        let mut start = range.start;
        while start < range.end {
            // Only while nothing else is open: columns that are used again may hold more memory than they count, and so
            // they are never many.
            let is_only = self.open.is_empty();
            let open = self.open.entry(to.clone()).or_insert_with(|| {
                let known = self.formats.iter_mut().find(|k| is_only && Arc::ptr_eq(&k.context, format));
                let spare = known.and_then(|k| k.spare.take());
                let columns = spare.unwrap_or_else(|| Columns::new(format.schema.clone()));
                // Empty columns hold their tables already.
                self.open_bytes += columns.bytes();
                Open { columns, format: format.clone(), times: None, objects: Vec::new() }
            });
            let before = open.columns.bytes();
            let end = range.end.min(start + self.plan.row_group_rows - open.columns.rows());
            open.columns.append(block, integers, start..end);
            if let Some(origin) = &self.origin {
                open.columns.append_origin(origin, block, start..end);
            }
            // What is read now becomes the next of the inputs.
            let object = self.counts.inputs.len();
            match open.objects.last_mut().filter(|(last, _)| *last == object) {
                Some((_, rows)) => *rows += end - start,
                None => open.objects.push((object, end - start)),
            }
            if let Some(time) = format.time {
                open.times = widened(open.times, &integers.column(time)[start..end]);
            }
            self.open_bytes = self.open_bytes + open.columns.bytes() - before;
            if open.columns.rows() == self.plan.row_group_rows {
                self.hand_on(&to, taker)?;
            }
            start = end;
        }
        while self.open_bytes > BUILD_BYTES_MAX {
            let largest = self.open.iter().max_by_key(|(_, o)| o.columns.bytes()).map(|(to, _)| to.clone());
            self.hand_on(&largest.expect("bytes are held by some"), taker)?;
        }
        Ok(())
    }

    fn hand_on(&mut self, to: &Destination, taker: &mut dyn Taker) -> Result<(), Error> {
        let open = self.open.remove(to).expect("named by the caller from what is open");
        self.open_bytes -= open.columns.bytes();
        let piece = self.seal(to.clone(), open)?;
        taker.piece(piece)
    }

    /// Rows worth an eighth of a row group become one; fewer are carried on.
    fn seal(&mut self, to: Destination, mut open: Open) -> Result<Piece, Error> {
        let is_few = open.columns.rows() * 8 < self.plan.row_group_rows || !self.encodes;
        let batch = open.columns.finish();
        for &column in &open.format.tags {
            let name = &open.format.schema.columns()[column].name;
            let (rows, values) = self.counts.tags.entry(name.clone()).or_default();
            *rows += batch.num_rows() as u64;
            *values += (batch.num_rows() - batch.column(column).null_count()) as u64;
        }
        let digest = self.digest(&batch, &open.objects);
        let rows = if is_few {
            PieceRows::Few(batch)
        } else {
            PieceRows::Encoded(self.encoder.encode(&batch, &open.format.file_schema)?)
        };
        if !is_few || !self.encodes {
            let known = self.formats.iter_mut().find(|k| Arc::ptr_eq(&k.context, &open.format));
            known.expect("what is open has a known format").spare = Some(open.columns);
        }
        Ok(Piece { to, format: open.format, times: open.times, digest, rows })
    }

    /// The digest of the rows that `objects` gave, which is added to theirs.
    fn digest(&mut self, batch: &RecordBatch, objects: &[(usize, usize)]) -> Digest {
        self.hashes.take(batch);
        let (mut all, mut start) = (Digest::default(), 0);
        for (object, rows) in objects {
            let digest = Digest(self.hashes.digest(start..start + rows));
            if self.digests.len() <= *object {
                self.digests.resize(object + 1, Digest::default());
            }
            self.digests[*object] = self.digests[*object].with(digest);
            all = all.with(digest);
            start += rows;
        }
        debug_assert_eq!(start, batch.num_rows());
        all
    }

    fn folder(&mut self, key: &ObjectKey, kind: LogKind, place: (TimeSlot, Option<&str>)) -> Arc<str> {
        /// Folders that are remembered; a run over years of forty accounts has fewer.
        const FOLDERS_MAX: usize = 100_000;
        if self.folders.len() > FOLDERS_MAX {
            self.folders.clear();
        }
        let (slot, region) = place;
        let known = (key.account.clone(), region.map(str::to_owned), kind, slot);
        let partitions = &self.plan.partitions;
        self.folders.entry(known).or_insert_with(|| partitions.folder(key, region, kind, slot).into()).clone()
    }
}

fn widened(times: Times, more: &[i64]) -> Times {
    let in_range = more.iter().filter(|t| (TIME_MIN_S..TIME_MAX_S).contains(*t));
    in_range.fold(times, |times, &t| Some(times.map_or((t, t), |(min, max)| (min.min(t), max.max(t)))))
}
