use std::sync::Arc;
use std::sync::Mutex;

use flowquet_format::LeftOut;
use flowquet_store::Stores;

use super::met::Met;
use super::walk::tests::Keys;
use super::*;

static NEVER: AtomicBool = AtomicBool::new(false);

/// Lists with `filter` and gives the lister to `test`.
fn with_lister<T>(filter: &KeyFilter, out_url: &str, test: impl FnOnce(&Lister<'_>) -> T) -> T {
    let sources = SourceSet::new(Arc::new(Stores::default()));
    let lister = Lister {
        sources: &sources,
        filter,
        out_url: out_url.to_owned(),
        must_find: true,
        memory_max: 1 << 30,
        listed: &|_| {},
        stop: &NEVER,
    };
    test(&lister)
}

fn at(path: PathBuf) -> Source {
    Source::At(Location::Local(path))
}

fn folder_of(keys: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = LocalStore::new(folder.path(), ".staging");
    keys.iter().for_each(|key| store.put(key, b"x").expect("writable"));
    let root = folder.path().canonicalize().expect("there");
    (folder, root)
}

fn keys(listing: &Listing) -> Vec<&str> {
    listing.all.objects.iter().map(SourceObject::key).collect()
}

/// What a walk of `store` below `root` gives, in portions.
fn portions_of(store: &Keys, root: &str, portion_objects: usize) -> (Vec<Vec<String>>, Listed) {
    let mut portions = Vec::new();
    let listed = with_lister(&KeyFilter::default(), "s3://lake/", |lister| {
        let given_up = AtomicBool::new(false);
        let mut hand_on = |portion: Portion| {
            portions.push(portion.objects.iter().map(|o| o.key().to_owned()).collect());
            Ok(())
        };
        let mut gatherer = Gatherer::new(lister, portion_objects, &given_up, &mut hand_on);
        lister.list_prefix(store, "s3://logs/", root.to_owned(), &mut gatherer).expect("listed");
        gatherer.end_source().expect("listed");
        gatherer.finish().expect("listed").0
    });
    (portions, listed)
}

#[test]
fn portions_are_the_same_each_time_and_in_key_order() {
    let all: Vec<String> = (0..7_000).map(|i| format!("p/{}/{}/{i}.log", i % 7, i % 31)).collect();
    let store = Keys { slow: true, ..Keys::of(all) };
    let (first, listed) = portions_of(&store, "p/", 1_000);
    assert_eq!((first.len(), listed.objects), (7, 7_000));
    let sorted: Vec<String> = store.keys.iter().map(|k| k[2..].to_owned()).collect();
    assert_eq!(first.concat(), sorted);
    for _ in 0..3 {
        assert_eq!(portions_of(&store, "p/", 1_000).0, first);
    }
}

#[test]
fn a_store_that_repeats_its_keys_gives_an_object_once() {
    let all: Vec<String> = (0..40).map(|i| format!("p/{}/{i}.log", i % 3)).collect();
    let once = portions_of(&Keys::of(all.clone()), "p/", 1_000);
    for root in ["p/", "p/1/"] {
        let once = if root == "p/" {
            once.0.concat()
        } else {
            portions_of(&Keys::of(all.clone()), root, 9).0.concat()
        };
        let (portions, listed) = portions_of(&Keys { twice: true, ..Keys::of(all.clone()) }, root, 1_000);
        assert_eq!(portions.concat(), once);
        assert_eq!(listed.objects, once.len() as u64);
        assert!(listed.repeated >= listed.objects, "{}", listed.repeated);
    }
}

#[test]
fn a_table_is_never_a_source() {
    let table =
        ["0123456789abcdef-0000.parquet", "AB/x", "_flowquet/table.json", "date=2024-01-01/f.parquet"];
    let around = ["a.log", "lake.log", "z.log", "1/0123456789abcdef-0001.parquet", "1/2.log"];
    // Deep folders are listed flat: what may be the table's waits until its records come.
    for root in ["", "a/b/c/d/"] {
        let mut all: Vec<String> = table.iter().map(|k| format!("{root}lake/{k}")).collect();
        all.extend(around.iter().map(|k| format!("{root}{k}")));
        let (portions, listed) = portions_of(&Keys::of(all), "", 100);
        let url = format!("s3://logs/{root}lake/");
        let mut expected: Vec<String> = around.iter().map(|k| format!("{root}{k}")).collect();
        expected.sort();
        assert_eq!(portions.concat(), expected);
        assert_eq!(listed.tables, [LeftOutTable { url, objects: 4 }]);
    }
    // The source itself; the table that is written to is not told.
    let (portions, listed) = portions_of(&Keys::of(table.map(|k| format!("lake/{k}"))), "lake/", 100);
    assert!(portions.is_empty());
    assert_eq!(listed.tables, [LeftOutTable { url: "s3://logs/lake/".to_owned(), objects: 4 }]);
}

#[test]
fn tables_on_a_disk() {
    let (_folder, root) = folder_of(&[
        "in/a.log",
        "in/t/0123456789abcdef-0000.parquet",
        "in/t/_flowquet/table.json",
        "in/t/Z/1.log",
        "in/u/b.log",
        "in/out/_flowquet/table.json",
        "in/out/x.parquet",
    ]);
    let out = format!("file://{}/in/out/", root.display());
    with_lister(&KeyFilter::default(), &out, |lister| {
        let listing = lister.list(&[at(root.join("in"))]).expect("listed");
        assert_eq!(keys(&listing), ["a.log", "u/b.log"]);
        let url = format!("file://{}/in/t/", root.display());
        assert_eq!(listing.listed.tables, [LeftOutTable { url, objects: 3 }]);
        let listing = lister.list(&[at(root.join("in/t")), at(root.join("in/u"))]).expect("no error");
        assert_eq!((keys(&listing), listing.listed.tables.len()), (vec!["b.log"], 1));
        let only_tables = |filter: &KeyFilter| {
            with_lister(filter, &out, |lister| {
                let listed = lister.list(&[at(root.join("in/t"))]).map(drop);
                let looked = Lister { must_find: false, out_url: out.clone(), ..*lister }
                    .list(&[at(root.join("in/t"))]);
                assert!(looked.expect("shown").all.objects.is_empty());
                listed.expect_err("a table has no raw logs")
            })
        };
        let mut days = KeyFilter::default();
        days.set_days(Some("2024-01-01"), None).expect("a day");
        for filter in [KeyFilter::default(), days] {
            let Error::OnlyTables { tables } = only_tables(&filter) else { panic!() };
            assert_eq!(tables, [format!("file://{}/in/t/", root.display())]);
        }
        assert!(matches!(lister.list(&[at(root.join("in/out"))]), Err(Error::NoObjects { .. })));
    });
}

#[test]
fn sources_that_overlap_give_an_object_once() {
    let (_folder, root) = folder_of(&["x/a.log", "x/.h/b.log", "x/s/c.log", "y/d.log"]);
    std::os::unix::fs::symlink(root.join("y"), root.join("x/zz")).expect("a link");
    std::os::unix::fs::symlink(root.join("x/s/c.log"), root.join("x/again")).expect("a link");
    let x = |rest: &str| at(root.join("x").join(rest));
    let all = KeyFilter::default();
    with_lister(&all, "s3://lake/", |lister| {
        for (sources, expected) in [
            (vec![x("")], vec!["a.log", "s/c.log", "zz/d.log"]),
            (vec![x(""), x("s"), x("a.log")], vec!["a.log", "s/c.log", "zz/d.log"]),
            (vec![x("s"), x("")], vec!["c.log", "a.log", "zz/d.log"]),
            (vec![x("a.log"), x("a.log"), x("")], vec!["a.log", "s/c.log", "zz/d.log"]),
            (vec![x(""), x(".h")], vec!["a.log", "s/c.log", "zz/d.log", "b.log"]),
            (vec![x(""), at(root.join("y"))], vec!["a.log", "s/c.log", "zz/d.log"]),
            (vec![at(root.join("y")), x("")], vec!["d.log", "a.log", "s/c.log"]),
        ] {
            assert_eq!(keys(&lister.list(&sources).expect("listed")), expected, "{sources:?}");
        }
    });
    // What the first source's key does not let in, the second's may.
    let mut filter = KeyFilter::default();
    filter.set_globs(&["*.log".to_owned()], &[]).expect("a glob");
    with_lister(&filter, "s3://lake/", |lister| {
        let listing = lister.list(&[x(""), x("s")]).expect("listed");
        assert_eq!(keys(&listing), ["a.log", "c.log"]);
    });
}

#[test]
fn side_files_of_programs_are_left_out() {
    let (_folder, root) = folder_of(&[
        "l/_SUCCESS",
        "l/_common_metadata",
        "l/_delta_log/0.json",
        "l/_logs/a.log",
        "l/_metadata",
        "l/_temporary/0/b.log",
        "l/d/_committed_1",
        "l/d/_started_1",
        "l/d/q.csv",
        "l/d/q.csv.metadata",
    ]);
    with_lister(&KeyFilter::default(), "s3://lake/", |lister| {
        for (sources, expected) in [
            (vec![at(root.join("l"))], vec!["_logs/a.log", "d/q.csv"]),
            // What is named itself is asked for, whatever it is called.
            (
                vec![at(root.join("l/_metadata")), at(root.join("l/_delta_log")), at(root.join("l"))],
                vec!["_metadata", "0.json", "_logs/a.log", "d/q.csv"],
            ),
        ] {
            let listing = lister.list(&sources).expect("listed");
            let mut found = keys(&listing);
            let mut expected = expected;
            found.sort_unstable();
            expected.sort_unstable();
            assert_eq!(found, expected, "{sources:?}");
        }
    });
    // Flat below a level that is very wide, and in a bucket.
    let store = Keys::of(["p/_SUCCESS", "p/_delta_log/0.json", "p/a.log", "p/b/_metadata", "p/b/b.log"]);
    assert_eq!(portions_of(&store, "p/", 10).0.concat(), ["a.log", "b/b.log"]);
}

#[test]
fn manifests_in_other_encodings() {
    let (_folder, root) = folder_of(&["l/a.log", "l/é.log"]);
    let lines = format!("{r}/l/a.log\r\n{r}/l/é.log\r\n", r = root.display());
    let utf16 = |mark: bool, bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
        let mark = mark.then_some(0xfeff);
        mark.into_iter().chain(lines.encode_utf16()).flat_map(bytes).collect()
    };
    let store = LocalStore::new(&root, ".s");
    for (name, text) in [
        ("plain.txt", lines.clone().into_bytes()),
        ("utf8.txt", format!("\u{feff}{lines}").into_bytes()),
        ("utf16le.txt", utf16(true, u16::to_le_bytes)),
        ("utf16be.txt", utf16(true, u16::to_be_bytes)),
    ] {
        store.put(name, &text).expect("writable");
        with_lister(&KeyFilter::default(), "s3://lake/", |lister| {
            let listing = lister.list(&[Source::Manifest(Location::Local(root.join(name)))]).expect("listed");
            let urls: Vec<&str> = listing.all.objects.iter().map(SourceObject::url).collect();
            let r = root.display();
            assert_eq!(urls, [format!("file://{r}/l/a.log"), format!("file://{r}/l/é.log")], "{name}");
        });
    }
    for (name, text) in [("odd.txt", &b"\xff\xfea"[..]), ("half.txt", b"\xff\xfe\x00\xd8")] {
        store.put(name, text).expect("writable");
        with_lister(&KeyFilter::default(), "s3://lake/", |lister| {
            let listed = lister.list(&[Source::Manifest(Location::Local(root.join(name)))]);
            let error = listed.map(|_| ()).expect_err(name).to_string();
            assert!(error.ends_with("expected UTF-8 or UTF-16"), "{error}");
        });
    }
}

#[test]
fn manifests_name_an_object_once() {
    let (_folder, root) =
        folder_of(&["l/a.log", "l/b.log", "t/_flowquet/table.json", "t/0123456789abcdef-0000.parquet"]);
    std::os::unix::fs::symlink(root.join("l/a.log"), root.join("l/link.log")).expect("a link");
    let r = root.display();
    let lines = format!(
        "{r}/l/a.log\n{r}/t/0123456789abcdef-0000.parquet\nfile://{r}/l/a.log\n{r}/l/../l/./a.log\n{r}/l/link.log\n{r}/t/_flowquet/table.json\n{r}/l/b.log\n"
    );
    LocalStore::new(&root, ".s").put("m.txt", lines.as_bytes()).expect("writable");
    with_lister(&KeyFilter::default(), "s3://lake/", |lister| {
        let manifest = || Source::Manifest(Location::Local(root.join("m.txt")));
        for sources in [vec![manifest()], vec![manifest(), manifest(), at(root.join("l"))]] {
            let listing = lister.list(&sources).expect("listed");
            let urls: Vec<&str> = listing.all.objects.iter().map(SourceObject::url).collect();
            assert_eq!(urls, [format!("file://{r}/l/a.log"), format!("file://{r}/l/b.log")]);
            let tables = &listing.listed.tables;
            assert_eq!((tables.len(), tables[0].objects), (1, 2 * sources.len().min(2) as u64));
        }
    });
}

#[test]
fn names_that_are_not_utf8_are_reported() {
    use std::os::unix::ffi::OsStrExt;
    let (_folder, root) = folder_of(&["l/a.log"]);
    let bad = root.join("l").join(std::ffi::OsStr::from_bytes(b"caf\xe9.log"));
    std::os::unix::fs::symlink(root.join("l/a.log"), &bad).expect("a link");
    with_lister(&KeyFilter::default(), "s3://lake/", |lister| {
        for source in [at(root.join("l")), at(bad.clone())] {
            let listing = lister.list(std::slice::from_ref(&source)).expect("listed");
            assert_eq!(listing.all.unreadable.len(), 1, "{source:?}");
            assert!(listing.all.unreadable[0].reason.ends_with("caf\u{fffd}.log`: name is not UTF-8"));
        }
    });
}

#[test]
fn who_takes_portions_slowly_holds_the_listing_up() {
    let (_folder, root) = folder_of(&[]);
    let store = LocalStore::new(root.join("l"), ".s");
    (0..500).for_each(|i| store.put(&format!("{i:04}"), b"").expect("writable"));
    let counted = Mutex::new(Vec::new());
    with_lister(&KeyFilter::default(), "s3://lake/", |lister| {
        let listed = lister.portions(&[at(root.join("l"))], 64, &mut |portion| {
            counted.lock().expect("one thread").push(portion.objects.len());
            Ok::<(), Error>(())
        });
        assert_eq!(listed.expect("listed").objects, 500);
        assert_eq!(*counted.lock().expect("one thread"), [64, 64, 64, 64, 64, 64, 64, 52]);
        let error = || Error::NoObjects { sources: Vec::new() };
        let stopped = lister.portions(&[at(root.join("l"))], 64, &mut |_| Err(error()));
        assert!(matches!(stopped, Err(Error::NoObjects { .. })));
    });
}

/// Run by hand for the figures: `cargo test -p flowquet-sources --lib two_million -- --ignored --nocapture`.
#[test]
#[ignore = "takes seconds and measures"]
#[expect(clippy::print_stdout, reason = "tells figures")]
fn two_million_keys() {
    let resident = || {
        let status =
            String::from_utf8(LocalStore::new("/proc/self", "").get("status").expect("Linux")).expect("text");
        let line = |name: &str| status.lines().find(|l| l.starts_with(name)).expect("there").to_owned();
        (line("VmRSS"), line("VmHWM"))
    };
    let keys = (0..2_000_000).map(|i| {
        let (day, n) = (i / 5_000, i % 5_000);
        let (month, day) = (1 + day / 28, 1 + day % 28);
        format!(
            "AWSLogs/123456789012/vpcflowlogs/us-east-1/2024/{month:02}/{day:02}/123456789012_vpcflowlogs_us-east-1_fl-0123456789abcdef0_2024{month:02}{day:02}T0000Z_{n:08}.log.gz"
        )
    });
    let store = Keys::of(keys);
    let before = resident();
    let begun = std::time::Instant::now();
    let mut first = None;
    let mut portions = 0;
    let listed = with_lister(&KeyFilter::default(), "s3://lake/", |lister| {
        let given_up = AtomicBool::new(false);
        let (sender, receiver) = sync_channel::<Portion>(0);
        std::thread::scope(|scope| {
            let lists = scope.spawn(|| {
                let sender = sender;
                let mut hand_on = |portion| sender.send(portion).map_err(|_| Error::Interrupted);
                let mut gatherer = Gatherer::new(lister, PORTION_OBJECTS, &given_up, &mut hand_on);
                lister.list_prefix(&store, "s3://logs/", String::new(), &mut gatherer).expect("listed");
                gatherer.finish().expect("listed").0
            });
            for portion in receiver {
                first.get_or_insert_with(|| begun.elapsed());
                portions += 1;
                std::thread::sleep(std::time::Duration::from_millis(100));
                drop(portion);
            }
            lists.join().expect("no panic")
        })
    });
    assert_eq!((listed.objects, portions), (2_000_000, 20));
    println!("first portion {first:?}, all {:?}, before {before:?}, after {:?}", begun.elapsed(), resident());
}

#[test]
fn what_a_filter_names_and_no_key_tells() {
    let unmet = |filter: &KeyFilter, keys: &[&str]| {
        let store = Keys::of(keys.iter().copied());
        with_lister(filter, "s3://lake/", |lister| {
            let given_up = AtomicBool::new(false);
            let mut hand_on = |_| Ok(());
            let mut gatherer = Gatherer::new(lister, 100, &given_up, &mut hand_on);
            lister.list_prefix(&store, "s3://logs/", "p/".to_owned(), &mut gatherer).expect("listed");
            gatherer.end_source().expect("listed");
            let (_, met) = gatherer.finish().expect("listed");
            met.into_unmet().iter().map(ToString::to_string).collect::<Vec<_>>()
        })
    };
    let key = |account: &str, region: &str, id: &str| {
        format!(
            "p/AWSLogs/{account}/vpcflowlogs/{region}/2024/01/15/{account}_vpcflowlogs_{region}_{id}_20240115T0000Z_ab.log.gz"
        )
    };
    let (one, other) = ("111111111111".to_owned(), "222222222222".to_owned());
    let keys = [key(&one, "us-east-1", "fl-1"), key(&one, "eu-west-1", "fl-2")];
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let mut filter = KeyFilter::default();
    filter.accounts = vec![one, other];
    filter.regions = vec!["eu-west-1".to_owned(), "eu-west-9".to_owned()];
    filter.flow_log_ids = vec!["fl-2".to_owned(), "fl-3".to_owned()];
    assert_eq!(unmet(&filter, &keys), ["account 222222222222", "flow log fl-3", "region eu-west-9"]);
    // A day without deliveries says nothing of flow logs; of accounts and regions the folders do.
    filter.set_days(Some("2024-02-01"), None).expect("a day");
    assert_eq!(unmet(&filter, &keys), ["account 222222222222", "region eu-west-9"]);
    assert_eq!(unmet(&KeyFilter::default(), &keys), [""; 0]);
}

#[test]
fn a_filter_that_nothing_passes_is_wrong_or_met_on_another_day() {
    let (filter, day) =
        (KeyFilter::default, |filter: &mut KeyFilter| filter.set_days(Some("2024-02-01"), None));
    let why = |change: &dyn Fn(&mut KeyFilter), keys: &[&str]| {
        let mut filter = filter();
        change(&mut filter);
        let mut met = Met::new(filter.named());
        let (mut left_out, mut untold) = (0, 0);
        for key in keys {
            met.meet(key);
            let Err(why) = filter.admits(key, key) else { continue };
            left_out += 1;
            untold += u64::from(why == LeftOut::Untold);
        }
        met.why_nothing(left_out, untold).map(|error| error.to_string())
    };
    let key = |account: &str| {
        format!(
            "AWSLogs/{account}/vpcflowlogs/us-east-1/2024/01/15/{account}_vpcflowlogs_us-east-1_fl-1_20240115T0000Z_ab.log.gz"
        )
    };
    let all: Vec<String> = (0..7).map(|n| key(&format!("11111111111{n}"))).collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    let one = &all[..1];
    let account = |filter: &mut KeyFilter| filter.accounts = vec!["222222222222".to_owned()];
    let region = |filter: &mut KeyFilter| filter.regions = vec!["eu-west-1".to_owned()];
    let (found, told) = ("found no logs of account 222222222222", "; there are logs of account");
    assert_eq!(why(&account, one), Some(format!("{found}{told} 111111111110")));
    let five = "111111111110, 111111111111, 111111111112, 111111111113, 111111111114, … (7)";
    assert_eq!(why(&account, &all), Some(format!("{found}{told}s {five}")));
    assert_eq!(why(&account, &["a.log"]), Some(found.to_owned()));
    let both = |filter: &mut KeyFilter| {
        account(filter);
        region(filter);
    };
    let expected = format!("{found}, region eu-west-1{told} 111111111110, of region us-east-1");
    assert_eq!(why(&both, one), Some(expected));
    // A day without deliveries is met on another day, and a prefix without objects may have some tomorrow.
    let on_day = |filter: &mut KeyFilter| day(filter).expect("a day");
    assert_eq!(why(&on_day, one), None);
    assert_eq!(why(&account, &[]), None);
    let blind = "a filter asks for what no key tells: found no date, account, region or flow log in that of ";
    assert_eq!(why(&on_day, &["a.log"]), Some(format!("{blind}1 object")));
    assert_eq!(why(&on_day, &["a.log", "b.log"]), Some(format!("{blind}2 objects")));
    assert_eq!(why(&on_day, &["a.log", all[0]]), None);
}
