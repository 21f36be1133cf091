//! A small world in memory: raw logs, a table, and the commands that a person would run, each at a store that may fail.

pub(crate) mod checks;
pub(crate) mod found;
pub(crate) mod watched;

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use flowquet_engine::{
    Budget, COMPACT_MEMORY_MIN, Change, Choice, CompactOptions, CompactRequest, Copies, Error, Event,
    Observer, Pointers, ROLLUP_MEMORY_MIN, ReconvertRequest, Reconverted, Request, Resume, RolledUpTable,
    RollupRequest, Run, compact, convert, perform_shard, plan, reconvert, rollup,
};
use flowquet_format::KeyFilter;
use flowquet_parquet::{RowReader, RowsError, Wanted};
use flowquet_plan::divide;
use flowquet_sources::Source;
use flowquet_store::{Failing, Fault, Location, Memory, Store, Stores, Then, When};
use flowquet_table::{Dedup, Log, Options, PlanRecord, Reading, TableState};
use flowquet_testkit::gzip;

pub(crate) const V2: &str = "${version} ${account-id} ${interface-id} ${srcaddr} ${dstaddr} ${srcport} ${dstport} ${protocol} ${packets} ${bytes} ${start} ${end} ${action} ${log-status}";

/// 2024-01-15 00:00 UTC.
const DAY: i64 = 1_705_276_800;

/// Raw logs and a table.
pub(crate) struct World {
    pub(crate) logs: Memory,
    pub(crate) lake: Memory,
    /// Where partitions are, as a catalog has it: one object a partition, so that its calls count and fail like others.
    pub(crate) catalog: Memory,
    /// States that were checked.
    pub(crate) checked: Arc<Mutex<HashSet<u64>>>,
}

pub(crate) type Snapshot = BTreeMap<String, Bytes>;

pub(crate) fn key(account: u64, day: u32, n: u32) -> String {
    format!(
        "AWSLogs/{account:012}/vpcflowlogs/us-east-1/2024/01/{day:02}/{account:012}_vpcflowlogs_us-east-1_fl-0{account:x}_202401{day:02}T{n:02}00Z_0000000{n}.log.gz"
    )
}

/// Lines of version 2, as many as `lines`, from the last minutes of the day before on.
pub(crate) fn v2_lines(day: u32, n: u32, lines: u32) -> String {
    let line = |i: u32| {
        let start = DAY + i64::from(day - 15) * 86_400 + i64::from(n) * 3_600 + i64::from(i) * 60 - 120;
        format!(
            "2 111111111111 eni-{n} 10.0.{day}.{i} 192.0.2.{n} {} 443 6 {i} {} {start} {} ACCEPT OK\n",
            40_000 + i,
            i * 40,
            start + 60
        )
    };
    (0..lines).map(line).collect()
}

pub(crate) fn header(format: &str) -> String {
    format.replace("${", "").replace('}', "")
}

impl World {
    /// Eight objects of two days and two formats; one damaged, one with a reject, one without a header.
    pub(crate) fn new() -> Self {
        let world = Self {
            logs: Memory::new("s3://logs"),
            lake: Memory::new("s3://lake"),
            catalog: Memory::new("s3://catalog"),
            checked: Arc::default(),
        };
        for day in [15, 16] {
            for n in [0, 7] {
                let text = format!("{}\n{}", header(V2), v2_lines(day, n, 9));
                world.put(&key(1, day, n), &gzip(text.as_bytes()));
            }
        }
        let rejects = format!("{}\n{}not a record\n", header(V2), v2_lines(16, 9, 3));
        world.put(&key(1, 16, 9), &gzip(rejects.as_bytes()));
        let odd = format!("srcaddr bytes start hop-count\n10.9.9.9 77 {} 3\n10.9.9.8 - - 4\n", DAY + 7_000);
        world.put(&key(2, 15, 3), &gzip(odd.as_bytes()));
        let mut damaged = gzip(odd.as_bytes());
        damaged.truncate(damaged.len() - 9);
        world.put(&key(2, 16, 3), &damaged);
        world.put("headerless.log", v2_lines(16, 5, 4).as_bytes());
        world
    }

    pub(crate) fn put(&self, key: &str, bytes: &[u8]) {
        self.logs.put(key, bytes).expect("memory takes all");
    }

    /// Whether this was not checked yet of logs and a table as they are now. Most faults leave the same state, and checks of it say the same.
    pub(crate) fn is_to_be_checked(&self, what: &str) -> bool {
        let mut hash = DefaultHasher::new();
        (what, self.logs.snapshot(), self.lake.snapshot()).hash(&mut hash);
        self.checked.lock().expect("no panic while it is held").insert(hash.finish())
    }

    pub(crate) fn stores(&self) -> Arc<Stores> {
        let logs: Arc<dyn Store> = Arc::new(self.logs.clone());
        Arc::new(Stores::of(BTreeMap::from([("logs".to_owned(), logs)])))
    }

    pub(crate) fn options(&self) -> Options {
        // Small files make several tasks of few objects.
        Options { row_group_rows: 1_000, file_bytes: 24 * 20, ..Options::default() }
    }

    pub(crate) fn with_format(&self, format: &str) -> Options {
        Options { reading: Reading::new(None, Some(format)).expect("valid"), ..self.options() }
    }

    pub(crate) fn request(&self, out: &Arc<dyn Store>, options: Options) -> Request {
        let contract = Log::find_contract(self.lake_store().as_ref()).expect("memory does not fail");
        Request {
            sources: vec![Source::At(Location::parse("s3://logs/").expect("a location"))],
            filter: KeyFilter::default(),
            stores: self.stores(),
            out: out.clone(),
            contract,
            options,
            enrich: Vec::new(),
            budget: Budget::new(1, None, true, false).expect("enough"),
            max_rejects: None,
            resume: Resume::All,
            copies: Copies::Skip,
        }
    }

    pub(crate) fn lake_store(&self) -> Arc<dyn Store> {
        Arc::new(self.lake.clone())
    }

    /// Converts; an error that stopped the run is the result's.
    pub(crate) fn convert(&self, out: &Arc<dyn Store>, options: Options) -> Result<Run, Error> {
        self.run(&self.request(out, options))
    }

    pub(crate) fn run(&self, request: &Request) -> Result<Run, Error> {
        outcome(convert(request, &mut std::io::empty(), &|_: &Event<'_>| {}, &AtomicBool::new(false))?)
    }

    pub(crate) fn plan(&self) -> PlanRecord {
        let request = self.request(&self.lake_store(), self.options());
        let planned = plan(&request, &|_: &Event<'_>| {}, &AtomicBool::new(false));
        planned.expect("undisturbed").plan.expect("objects are new")
    }

    pub(crate) fn shard(
        &self,
        out: &Arc<dyn Store>,
        plan: &PlanRecord,
        index: u64,
        of: u64,
    ) -> Result<Run, Error> {
        let request = Request { sources: Vec::new(), ..self.request(out, self.options()) };
        let stop = AtomicBool::new(false);
        let shards = divide(&plan.tasks, of);
        let mine =
            usize::try_from(index).ok().and_then(|index| shards.get(index)).map_or(&[][..], Vec::as_slice);
        outcome(perform_shard(&request, plan, mine, &|_: &Event<'_>| {}, &stop)?)
    }

    pub(crate) fn compact(&self, out: &Arc<dyn Store>, pointers: Option<&dyn Pointers>) -> Result<(), Error> {
        self.compact_with(out, pointers, None)
    }

    pub(crate) fn compact_with(
        &self,
        out: &Arc<dyn Store>,
        pointers: Option<&dyn Pointers>,
        dedup: Option<Dedup>,
    ) -> Result<(), Error> {
        self.compact_sorted(out, pointers, dedup, None)
    }

    /// Compacts to files that are sorted by a column.
    pub(crate) fn compact_by(&self, column: &str) -> Result<(), Error> {
        self.compact_sorted(&self.lake_store(), None, None, Some(vec![column.to_owned()]))
    }

    fn compact_sorted(
        &self,
        out: &Arc<dyn Store>,
        pointers: Option<&dyn Pointers>,
        dedup: Option<Dedup>,
        sort: Option<Vec<String>>,
    ) -> Result<(), Error> {
        let request = CompactRequest {
            out: out.clone(),
            options: CompactOptions {
                sort,
                dedup,
                bloom_filter: Vec::new(),
                compression: "zstd:3".into(),
                row_group_rows: 1_000,
                file_bytes: 1 << 20,
            },
            partitions: Vec::new(),
            workers: 1,
            memory: COMPACT_MEMORY_MIN,
            dry_run: false,
            grace: Duration::ZERO,
        };
        compact(&request, pointers, &|_: &Event<'_>| {}, &AtomicBool::new(false)).map(drop)
    }

    /// Rolls the table of another world up into this one's.
    pub(crate) fn rollup(&self, source: &Self, out: &Arc<dyn Store>) -> Result<(), Error> {
        self.rollup_beside(&source.lake_store(), out, &|_: &Event<'_>| {}).map(drop)
    }

    /// Rolls a table up, while `observer` does something beside it.
    pub(crate) fn rollup_beside(
        &self,
        source: &Arc<dyn Store>,
        out: &Arc<dyn Store>,
        observer: &dyn Observer,
    ) -> Result<RolledUpTable, Error> {
        let request = RollupRequest {
            source: source.clone(),
            out: out.clone(),
            by: ["hour", "srcaddr", "action"].map(str::to_owned).to_vec(),
            partitions: Vec::new(),
            workers: 1,
            memory: ROLLUP_MEMORY_MIN,
            dry_run: false,
            grace: Duration::ZERO,
        };
        rollup(&request, None, observer, &AtomicBool::new(false))
    }

    pub(crate) fn reconvert(
        &self,
        out: &Arc<dyn Store>,
        choice: Choice,
        change: Change,
    ) -> Result<Reconverted, Error> {
        self.reconvert_beside(out, choice, change, &|_: &Event<'_>| {})
    }

    pub(crate) fn reconvert_request(
        &self,
        out: &Arc<dyn Store>,
        choice: Choice,
        change: Change,
    ) -> ReconvertRequest {
        ReconvertRequest {
            out: out.clone(),
            stores: self.stores(),
            choice,
            change,
            enrich: Vec::new(),
            budget: Budget::new(1, None, true, false).expect("enough"),
            grace: Duration::ZERO,
            dry_run: false,
        }
    }

    /// Reconverts, while `observer` does something beside it.
    pub(crate) fn reconvert_beside(
        &self,
        out: &Arc<dyn Store>,
        choice: Choice,
        change: Change,
        observer: &dyn Observer,
    ) -> Result<Reconverted, Error> {
        let request = self.reconvert_request(out, choice, change);
        reconvert(&request, None, observer, &AtomicBool::new(false))
    }

    /// The world as another process has it.
    pub(crate) fn same(&self) -> Self {
        Self {
            logs: self.logs.clone(),
            lake: self.lake.clone(),
            catalog: self.catalog.clone(),
            checked: Arc::default(),
        }
    }

    /// All objects of table and catalog.
    pub(crate) fn snapshot(&self) -> (Snapshot, Snapshot) {
        (self.lake.snapshot(), self.catalog.snapshot())
    }

    pub(crate) fn restore(&self, (lake, catalog): &(Snapshot, Snapshot)) {
        self.lake.restore(lake.clone());
        self.catalog.restore(catalog.clone());
    }

    /// Rows of the live files as lines, by partition, in no order: what the table says, whatever its files are called. A null
    /// stands for a column that a file does not have.
    pub(crate) fn rows(&self) -> BTreeMap<String, Vec<String>> {
        let log = Log::open(&self.lake_store()).expect("a table");
        let files = log.state().files();
        let mut rows: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for file in files.all().expect("in memory") {
            let bytes = files.places(file).read(|key| self.lake.get(key), |error| error.may_be_missing());
            let bytes = bytes.expect("a live file is there");
            let lines = rows_of(&bytes);
            assert_eq!(lines.len() as u64, file.output.rows, "{}", file.output.key);
            rows.entry(file.output.partition.to_string()).or_default().extend(lines);
        }
        rows.values_mut().for_each(|lines| lines.sort());
        rows
    }

    /// All objects of the table but checkpoints: when one is due depends on how many runs there were.
    pub(crate) fn records_and_files(&self) -> Snapshot {
        let mut all = self.lake.snapshot();
        all.retain(|key, _| !key.starts_with("_flowquet/checkpoints/"));
        all
    }

    /// All objects of the table but checkpoints and records of compactions: which of two partitions gets which number depends on which is first.
    pub(crate) fn unnumbered(&self) -> Snapshot {
        let mut all = self.records_and_files();
        all.retain(|key, _| !key.starts_with("_flowquet/compactions/"));
        all
    }

    /// Puts an object of the table.
    pub(crate) fn put_in_table(&self, key: &str, bytes: &[u8]) {
        self.lake.put(key, bytes).expect("memory takes all");
    }

    /// Checkpoints.
    pub(crate) fn checkpoints(&self) -> usize {
        let all = self.lake.snapshot();
        all.keys().filter(|k| k.starts_with("_flowquet/checkpoints/0")).count()
    }

    /// Plans and commits.
    pub(crate) fn records(&self) -> usize {
        let all = self.lake.snapshot();
        all.keys()
            .filter(|k| k.starts_with("_flowquet/plans/") || k.starts_with("_flowquet/commits/"))
            .count()
    }

    /// Checks that checkpoints, where there are any, tell what the records tell.
    #[track_caller]
    pub(crate) fn assert_checkpoints_change_nothing(&self) {
        let out = self.lake_store();
        let Some(contract) = Log::find_contract(out.as_ref()).expect("memory does not fail") else { return };
        let mut log = Log::open(&out).expect("a table");
        let of_records = Log::of_records(&out, contract).expect("a table");
        let dump = |state: &TableState| state.dump();
        assert_eq!(log.ask(dump).expect("in memory"), dump(of_records.state()).expect("in memory"));
    }

    /// Checks that nothing lies in the table's folders but its live files, all of them as their records have them.
    #[track_caller]
    pub(crate) fn assert_in_place(&self) {
        let mut log = Log::open(&self.lake_store()).expect("a table");
        let check = flowquet_table::check_files(&mut log).expect("memory does not fail");
        assert!(check.is_whole() && check.left.is_empty(), "{check:?}");
        assert_eq!(log.state().files().open().count(), 0, "a compaction is open");
        assert_eq!(log.state().open_tasks().count(), 0, "a task is open");
        let aside =
            self.lake.snapshot().into_keys().filter(|k| k.starts_with("_flowquet/compacted/")).count();
        assert_eq!(aside, 0, "files are aside");
    }
}

/// Rows of a Parquet file as lines `column=value …`, nulls left out.
pub(crate) fn rows_of(bytes: &[u8]) -> Vec<String> {
    let bytes = Bytes::copy_from_slice(bytes);
    let range = |range: std::ops::Range<u64>| -> Result<Bytes, ()> {
        Ok(bytes.slice(range.start as usize..range.end as usize))
    };
    let failed = |error: RowsError<()>| match error {
        RowsError::File(what) => panic!("{what}"),
        RowsError::Other(()) => panic!("memory does not fail"),
    };
    let reader = RowReader::open(bytes.len() as u64, &range).map_err(failed).expect("a Parquet file");
    let lines = reader.lines(&Wanted::default()).expect("a flow log");
    let names: Vec<String> = reader.columns().iter().map(|c| c.name.clone()).collect();
    let mut text = Vec::new();
    let read = reader.read_lines(&lines, &range, &mut |lines| {
        text.extend_from_slice(lines);
        Ok(())
    });
    read.map_err(failed).expect("a Parquet file");
    let line = |line: &str| {
        let values = names.iter().zip(line.split(' ')).filter(|(_, value)| *value != "-");
        let mut values: Vec<String> = values.map(|(name, value)| format!("{name}={value}")).collect();
        values.sort();
        values.join(" ")
    };
    std::str::from_utf8(&text).expect("text").lines().map(line).collect()
}

/// A catalog of partitions in a store that may fail.
pub(crate) struct Catalog(pub(crate) Arc<dyn Store>);

impl Pointers for Catalog {
    fn point(
        &self,
        places: &BTreeMap<String, String>,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        for (folder, url) in places {
            self.0.put(&format!("partitions/{folder}"), url.as_bytes())?;
        }
        Ok(())
    }
}

/// Runs `act` with a fault at each of its operations, in every way that an operation can fail, and then `recover` undisturbed;
/// `check` sees what that came to. The world is as `prepare` left it before each.
pub(crate) fn each_fault(
    world: &World,
    act: impl Fn(&Arc<dyn Store>) -> Result<(), Error>,
    check: impl Fn(&str),
) -> u64 {
    let before = world.snapshot();
    let counting = Arc::new(Failing::counting(world.lake_store()));
    let out: Arc<dyn Store> = counting.clone();
    act(&out).expect("undisturbed");
    let operations = counting.operations();
    for at in 1..=operations {
        for (when, then) in [
            (When::Before, Then::Dead),
            (When::After, Then::Dead),
            (When::Before, Then::Alive),
            (When::After, Then::Alive),
        ] {
            world.restore(&before);
            let fault = Fault { at, when, then };
            let failing: Arc<dyn Store> = Arc::new(Failing::new(world.lake_store(), fault));
            let failed = act(&failing);
            // A fault may go unnoticed: where an object that is to be deleted is gone, say.
            drop(failed);
            world.assert_checkpoints_change_nothing();
            world.assert_no_alarm(&format!("operation {at} of {operations}, {when:?}, {then:?}"));
            check(&format!("operation {at} of {operations}, {when:?}, {then:?}"));
            world.assert_checkpoints_change_nothing();
        }
    }
    operations
}

/// A run that came to its end, or what stopped it.
fn outcome(mut run: Run) -> Result<Run, Error> {
    run.error.take().map_or(Ok(run), Err)
}
