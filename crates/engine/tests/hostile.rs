//! Input and tables that nobody expects: named twice, changed, damaged, or made to lead elsewhere.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use flowquet_engine::{Budget, Copies, Error, Event, Request, Resume, Run, convert, perform_shard, plan};
use flowquet_format::KeyFilter;
use flowquet_sources::Source;
use flowquet_store::{LocalStore, Location, Store, Stores};
use flowquet_table::{Log, Options, STAGING};
use flowquet_testkit::gzip;

use crate::world::{self, World, key, v2_lines};

/// A folder with raw logs and a table on a disk.
struct Disk {
    _folder: tempfile::TempDir,
    root: PathBuf,
}

impl Disk {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = folder.path().canonicalize().expect("there");
        Self { _folder: folder, root }
    }

    /// Puts a file of version 2.
    fn put(&self, name: &str, text: &str) {
        let header = world::V2.replace("${", "").replace('}', "");
        self.put_bytes(name, format!("{header}\n{text}").as_bytes());
    }

    fn put_bytes(&self, name: &str, bytes: &[u8]) {
        LocalStore::new(&self.root, ".s").put(name, bytes).expect("writable");
    }

    fn out(&self) -> Arc<dyn Store> {
        Arc::new(LocalStore::new(self.root.join("lake"), STAGING))
    }

    fn source(&self, name: &str) -> Source {
        Source::At(Location::Local(self.root.join(name)))
    }

    fn manifest(&self, name: &str) -> Source {
        Source::Manifest(Location::Local(self.root.join(name)))
    }

    fn request(&self, sources: Vec<Source>) -> Request {
        let out = self.out();
        Request {
            sources,
            filter: KeyFilter::default(),
            stores: Arc::new(Stores::default()),
            contract: Log::find_contract(out.as_ref()).expect("readable"),
            out,
            options: Options::default(),
            enrich: Vec::new(),
            budget: Budget::new(1, None, false, false).expect("enough"),
            max_rejects: None,
            resume: Resume::All,
            copies: Copies::Skip,
        }
    }

    fn run(&self, sources: Vec<Source>) -> Result<Run, Error> {
        let request = self.request(sources);
        convert(&request, &mut std::io::empty(), &|_: &Event<'_>| {}, &AtomicBool::new(false))
    }

    /// Converts without an error.
    #[track_caller]
    fn convert(&self, sources: Vec<Source>) -> Run {
        let run = self.run(sources).expect("it begins");
        assert!(run.error.is_none(), "{:?}", run.error);
        assert!(run.summary.objects.balances(), "{:?}", run.summary.objects);
        run
    }

    /// Rows of the table.
    fn rows(&self) -> u64 {
        let log = Log::open_with_files(&self.out()).expect("a table");
        log.state().files().all().expect("readable").iter().map(|f| f.output.rows).sum()
    }
}

fn set_modified(path: &Path, seconds: u64) {
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
    std::fs::File::options().write(true).open(path).and_then(|f| f.set_modified(time)).expect("ours");
}

#[test]
fn a_manifest_that_names_an_object_often_takes_it_once() {
    let disk = Disk::new();
    disk.put("l/one.log", &v2_lines(15, 1, 5));
    disk.put("l/two.log", &v2_lines(16, 2, 7));
    let there = disk.root.join("l");
    std::os::unix::fs::symlink(there.join("one.log"), there.join("same.log")).expect("a link");
    std::os::unix::fs::symlink(&there, disk.root.join("also")).expect("a link");
    let r = disk.root.display();
    let spellings = [
        format!("{r}/l/one.log"),
        format!("{r}/l/one.log"),
        format!("file://{r}/l/one.log"),
        format!("{r}//l/./one.log"),
        format!("{r}/l/../l/one.log"),
        format!("{r}/l/same.log"),
        format!("{r}/also/one.log"),
        format!("{r}/also/two.log"),
    ];
    disk.put_bytes("m.txt", spellings.join("\n").as_bytes());
    let run = disk.convert(vec![disk.manifest("m.txt"), disk.source("l"), disk.manifest("m.txt")]);
    let objects = &run.summary.objects;
    assert_eq!((objects.listed, objects.converted), (2, 2));
    // Six of eight lines, three files of the folder, and eight lines again.
    assert_eq!(objects.repeated, 6 + 3 + 8);
    assert_eq!(disk.rows(), 12);
    let again = disk.convert(vec![disk.manifest("m.txt")]);
    assert_eq!((again.summary.objects.known, again.summary.objects.changed), (2, 0));
}

#[test]
fn an_inventory_that_tells_of_an_object_often_takes_it_once() {
    let world = World::new();
    let odd = "AWSLogs/a b=c/é+.log";
    let text = format!("srcaddr bytes start\n10.0.0.1 5 {}\n", 1_705_276_800);
    world.put(odd, text.as_bytes());
    let disk = Disk::new();
    let rows: String = [
        "AWSLogs/a%20b%3Dc/%C3%A9%2B.log",
        "AWSLogs/a+b%3Dc/%c3%a9%2B.log",
        "AWSLogs/a b=c/é%2B.log",
        "AWSLogs%2Fa%20b=c%2F%C3%A9%2B.log",
    ]
    .iter()
    .map(|key| format!("\"logs\",\"{key}\",\"{}\"\n", text.len()))
    .collect();
    disk.put_bytes("data/1.csv.gz", &gzip(rows.as_bytes()));
    let inventory = r#"{"sourceBucket":"logs","destinationBucket":"arn:aws:s3:::logs","fileFormat":"CSV","fileSchema":"Bucket, Key, Size","files":[{"key":"data/1.csv.gz"},{"key":"data/1.csv.gz"}]}"#;
    disk.put_bytes("manifest.json", inventory.as_bytes());
    let request = Request {
        sources: vec![disk.manifest("manifest.json")],
        ..world.request(&world.lake_store(), world.options())
    };
    let objects = world.run(&request).expect("undisturbed").summary.objects;
    assert_eq!((objects.listed, objects.converted, objects.repeated), (1, 1, 7));
    assert_eq!(world.rows().values().map(Vec::len).sum::<usize>(), 1);
}

#[test]
fn a_change_that_keeps_the_size_is_noticed_in_a_bucket() {
    let world = World::new();
    let convert = || world.convert(&world.lake_store(), world.options()).expect("undisturbed").summary;
    convert();
    let path = key(2, 15, 3);
    let whole = world.logs.get(&path).expect("made above");
    // Bytes of a gzip header that say nothing.
    let mut other = whole.clone();
    other[4] ^= 0x55;
    world.put(&path, &other);
    for _ in 0..2 {
        let summary = convert();
        assert_eq!((summary.objects.changed, summary.objects.converted), (1, 0));
        assert_eq!(summary.changed_objects[0].reason, "another etag than when it was converted");
        // Also where a checkpoint tells what was taken.
        Log::open(&world.lake_store()).and_then(|mut log| log.checkpoint()).expect("memory does not fail");
    }
    assert!(world.checkpoints() > 0);
    world.put(&path, &whole);
    assert_eq!(convert().objects.changed, 0);
}

#[test]
fn a_change_that_keeps_the_size_is_noticed_on_a_disk() {
    let disk = Disk::new();
    disk.put("l/a.log", &v2_lines(15, 1, 5));
    set_modified(&disk.root.join("l/a.log"), 1_700_000_000);
    disk.convert(vec![disk.source("l")]);
    assert_eq!(disk.convert(vec![disk.source("l")]).summary.objects.changed, 0);
    set_modified(&disk.root.join("l/a.log"), 1_700_000_001);
    let summary = disk.convert(vec![disk.source("l")]).summary;
    assert_eq!((summary.objects.changed, summary.objects.known), (1, 1));
    assert_eq!(summary.changed_objects[0].reason, "modified since it was converted");
    disk.put("l/a.log", &v2_lines(15, 1, 6));
    let summary = disk.convert(vec![disk.source("l")]).summary;
    assert!(summary.changed_objects[0].reason.ends_with("now"), "{:?}", summary.changed_objects);
}

/// Standard input that comes to its end only when all others have begun.
struct Meeting<'a> {
    text: &'a [u8],
    barrier: &'a std::sync::Barrier,
    has_met: bool,
}

impl std::io::Read for Meeting<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        if self.text.is_empty() && !std::mem::replace(&mut self.has_met, true) {
            self.barrier.wait();
        }
        self.text.read(out)
    }
}

#[test]
fn standard_inputs_of_processes_with_one_number_are_two_inputs() {
    let world = World::new();
    let header = world::V2.replace("${", "").replace('}', "");
    let text = |n: u32, lines: u32| format!("{header}\n{}", v2_lines(15, n, lines));
    // The last two are the same.
    let inputs = [text(1, 30), text(2, 50), text(3, 40), text(3, 40)];
    let out = world.lake_store();
    Log::make(&out, &world.options(), false).expect("memory does not fail");
    let stores = || Arc::new(Stores::of([("lake".to_owned(), world.lake_store())].into()));
    let barrier = std::sync::Barrier::new(inputs.len());
    std::thread::scope(|scope| {
        for text in &inputs {
            let sources = vec![Source::Stdin];
            let request = Request { sources, stores: stores(), ..world.request(&out, world.options()) };
            let barrier = &barrier;
            scope.spawn(move || {
                let mut input = Meeting { text: text.as_bytes(), barrier, has_met: false };
                let run = convert(&request, &mut input, &|_: &Event<'_>| {}, &AtomicBool::new(false));
                let run = run.expect("it begins");
                assert!(run.error.is_none(), "{:?}", run.error);
            });
        }
    });
    world.assert_in_place();
    assert_eq!(world.rows().values().map(Vec::len).sum::<usize>(), 30 + 50 + 40);
    assert!(!world.lake.snapshot().keys().any(|k| k.starts_with("_flowquet/spool/")), "all are in the table");
}

#[test]
fn a_spool_is_swept_of_what_is_surely_dead() {
    let disk = Disk::new();
    disk.put("l/a.log", &v2_lines(15, 1, 5));
    let unplanned = format!("{:064x}", 7);
    let names = ["incoming-0123456789abcdef", "incoming-fedcba", "incoming-../x", "notes", &unplanned];
    let spool = disk.root.join("lake/_flowquet/spool");
    for name in names.iter().filter(|n| !n.contains('/')) {
        disk.put_bytes(&format!("lake/_flowquet/spool/{name}"), b"half");
    }
    for name in ["incoming-0123456789abcdef", "notes", &unplanned] {
        set_modified(&spool.join(name), 1_700_000_000);
    }
    disk.convert(vec![disk.source("l")]);
    let mut left: Vec<_> =
        spool.read_dir().expect("there").map(|e| e.expect("readable").file_name().into_string()).collect();
    left.sort();
    assert_eq!(left, [Ok(unplanned), Ok("incoming-fedcba".to_owned()), Ok("notes".to_owned())]);
}

#[test]
fn an_object_that_is_called_as_standard_input_deletes_nothing() {
    let world = World::new();
    let disk = Disk::new();
    let text = format!("srcaddr bytes start\n10.0.0.1 5 {}\n", 1_705_276_800);
    let spooled = format!("{:064x}", 11);
    disk.put_bytes("victim.txt", b"kept");
    disk.put_bytes(&format!("lake/_flowquet/spool/{spooled}"), b"kept");
    let keys = ["stdin-../../../victim.txt".to_owned(), format!("stdin-{spooled}"), "stdin-".to_owned()];
    keys.iter().for_each(|key| world.put(key, text.as_bytes()));
    let rows: String = keys.iter().map(|key| format!("\"logs\",\"{key}\",\"{}\"\n", text.len())).collect();
    disk.put_bytes("data/1.csv.gz", &gzip(rows.as_bytes()));
    let inventory = r#"{"sourceBucket":"logs","destinationBucket":"logs","fileFormat":"CSV","fileSchema":"Bucket, Key, Size","files":[{"key":"data/1.csv.gz"}]}"#;
    disk.put_bytes("manifest.json", inventory.as_bytes());
    for _ in 0..2 {
        let request =
            Request { stores: world.stores(), ..disk.request(vec![disk.manifest("manifest.json")]) };
        let run = convert(&request, &mut std::io::empty(), &|_: &Event<'_>| {}, &AtomicBool::new(false));
        assert!(run.expect("it begins").error.is_none());
    }
    assert_eq!(disk.rows(), 3);
    for kept in ["victim.txt".to_owned(), format!("lake/_flowquet/spool/{spooled}")] {
        assert_eq!(std::fs::read(disk.root.join(&kept)).expect(&kept), b"kept");
    }
}

#[test]
fn pipes_and_names_that_are_no_text_cost_nobody_else() {
    let disk = Disk::new();
    disk.put("l/a.log", &v2_lines(15, 1, 5));
    let pipe = disk.root.join("pipe");
    let make = |path: &Path| {
        assert!(std::process::Command::new("mkfifo").arg(path).status().expect("it runs").success());
    };
    make(&pipe);
    let r = disk.root.display();
    disk.put_bytes("m.txt", format!("{r}/pipe\n{r}/l/a.log\n").as_bytes());
    let run = disk.convert(vec![disk.manifest("m.txt")]);
    assert_eq!((run.summary.objects.converted, run.summary.objects.failed), (1, 1));
    assert!(run.summary.failed_objects[0].reason.ends_with("neither a file nor a folder"));
    disk.put_bytes("m.txt", &[format!("{r}/l/a.log\n{r}/caf").as_bytes(), b"\xe9.log\n"].concat());
    let run = disk.convert(vec![disk.manifest("m.txt")]);
    assert_eq!((run.summary.objects.known, run.summary.objects.failed), (1, 1));
    // Put where a file was that an open task holds.
    disk.put("l/b.log", &v2_lines(15, 2, 5));
    let (nobody, stop) = (|_: &Event<'_>| {}, AtomicBool::new(false));
    let planned = plan(&disk.request(vec![disk.source("l")]), &nobody, &stop).expect("it begins");
    let planned = planned.plan.expect("one is new");
    LocalStore::new(&disk.root, ".s").delete("l/b.log").expect("ours");
    make(&disk.root.join("l/b.log"));
    let run = perform_shard(&disk.request(Vec::new()), &planned, &[0], &nobody, &stop).expect("it begins");
    assert!(run.error.is_none(), "{:?}", run.error);
    assert_eq!((run.summary.objects.failed, run.summary.objects.left), (1, 0));
    assert_eq!(run.summary.failed_objects[0].cause, "gone");
}

#[test]
fn a_folder_of_many_names_is_entered_by_one() {
    let disk = Disk::new();
    for level in 0..24 {
        for name in ["a", "b", "c"] {
            let at = disk.root.join(format!("n{level}"));
            disk.put_bytes(&format!("n{level}/.hidden"), b"");
            std::os::unix::fs::symlink(format!("../n{}", level + 1), at.join(name)).expect("a link");
        }
    }
    disk.put("n24/x.log", &v2_lines(15, 1, 5));
    std::os::unix::fs::symlink(disk.root.join("n3"), disk.root.join("n24/back")).expect("a link");
    let run = disk.convert(vec![disk.source("n0")]);
    // Two of three links of each level, and the one that leads back.
    let objects = &run.summary.objects;
    assert_eq!((objects.converted, objects.failed, objects.repeated), (1, 0, 2 * 24 + 1));
    // What is too deep is told by name.
    let deep = vec!["d"; 80].join("/");
    disk.put(&format!("deep/{deep}/y.log"), &v2_lines(15, 2, 5));
    disk.put("deep/z.log", &v2_lines(15, 3, 5));
    let run = disk.convert(vec![disk.source("deep")]);
    assert_eq!((run.summary.objects.converted, run.summary.objects.failed), (1, 1));
    assert!(run.summary.failed_objects[0].reason.contains("too deep"));
    // A filter that goes by names may want the second of them.
    disk.put("real/w.log", &v2_lines(15, 4, 5));
    disk.put_bytes("named/.hidden", b"");
    for name in ["one", "two"] {
        std::os::unix::fs::symlink(disk.root.join("real"), disk.root.join("named").join(name))
            .expect("a link");
    }
    let mut request = disk.request(vec![disk.source("named")]);
    request.filter.set_globs(&["two/**".to_owned()], &[]).expect("a glob");
    let run = convert(&request, &mut std::io::empty(), &|_: &Event<'_>| {}, &AtomicBool::new(false));
    assert_eq!(run.expect("it begins").summary.objects.converted, 1);
}

#[test]
fn what_killed_compactions_left_goes_by_age_and_record() {
    let disk = Disk::new();
    disk.put("l/a.log", &v2_lines(15, 1, 5));
    disk.convert(vec![disk.source("l")]);
    let aside = disk.root.join("lake/_flowquet/compacted");
    let (old, new) = ("0123456789abcdef", "fedcba9876543210");
    let names = [
        format!("{old}/x.parquet"),
        format!("{old}/account=1/date=2024-01-15/y.parquet"),
        format!("{new}/x.parquet"),
        "notes/x.parquet".to_owned(),
    ];
    for name in &names {
        disk.put_bytes(&format!("lake/_flowquet/compacted/{name}"), b"half");
        if !name.starts_with(new) {
            set_modified(&aside.join(name), 1_700_000_000);
        }
    }
    let options = flowquet_engine::CompactOptions {
        sort: None,
        dedup: None,
        bloom_filter: Vec::new(),
        compression: "zstd:1".into(),
        row_group_rows: 1_000,
        file_bytes: 1 << 20,
    };
    let request = flowquet_engine::CompactRequest {
        out: disk.out(),
        options,
        partitions: Vec::new(),
        workers: 1,
        memory: 512 << 20,
        dry_run: false,
        grace: std::time::Duration::ZERO,
    };
    let never = AtomicBool::new(false);
    flowquet_engine::compact(&request, None, &|_: &Event<'_>| {}, &never).expect("undisturbed");
    let left: Vec<bool> = names.iter().map(|name| aside.join(name).exists()).collect();
    assert_eq!(left, [false, false, true, true]);
}

#[test]
fn rejects_past_the_limit_are_counted_and_not_kept() {
    let disk = Disk::new();
    for n in 0..12 {
        let bad: String = (0..40).map(|i| format!("object {n} line {i} {}\n", "é".repeat(i % 7))).collect();
        disk.put(&format!("logs/{n:02}.log"), &format!("{}{bad}", v2_lines(15, 7, 9)));
    }
    // The file of rejects of the table's one task, and what the run says.
    let rejects = |threads: usize, rejects_max: u64| {
        let _ = std::fs::remove_dir_all(disk.root.join("lake"));
        let mut request = disk.request(vec![disk.source("logs")]);
        request.options = Options { rejects_max, row_group_rows: 20, ..Options::default() };
        request.budget = Budget::new(threads, None, false, false).expect("enough");
        let run = convert(&request, &mut std::io::empty(), &|_: &Event<'_>| {}, &AtomicBool::new(false));
        let run = run.expect("it begins");
        assert!(run.error.is_none(), "{:?}", run.error);
        let [file] = run.summary.reject_files.as_slice() else { panic!("{:?}", run.summary) };
        let text = std::fs::read_to_string(disk.root.join("lake").join(file)).expect("text");
        assert_eq!(run.summary.counts.rejects, 480);
        assert!(text.len() as u64 <= rejects_max);
        assert_eq!(text.lines().count() as u64 + run.summary.rejects_not_kept, 480);
        text
    };
    let all = rejects(1, Options::default().rejects_max);
    assert_eq!(all.lines().count(), 480);
    for rejects_max in [0, 1, 5_000, 40_000, all.len() as u64 - 1, all.len() as u64] {
        let kept = rejects(1, rejects_max);
        assert!(all.starts_with(&kept) && (kept.is_empty() || kept.ends_with('\n')), "{rejects_max}");
        let next = all[kept.len()..].lines().next().map_or(0, |line| line.len() as u64 + 1);
        assert!(kept.len() as u64 + next > rejects_max || kept == all, "{rejects_max}: one more would fit");
        assert!(rejects(4, rejects_max) == kept, "{rejects_max}: threads decide");
    }
}
