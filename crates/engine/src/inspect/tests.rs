use std::path::Path;

use flowquet_format::KeyFilter;
use flowquet_sources::Source;
use flowquet_store::{LocalStore, Location, Store as _, Stores};
use flowquet_table::{Options, Reading};
use flowquet_testkit::gzip;

use super::*;
use crate::events::Event;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

static NEVER: AtomicBool = AtomicBool::new(false);

const HEADER: &str = "version srcaddr bytes start";

fn surveyed(folder: &Path, options: &Options) -> Survey {
    let request = SurveyRequest {
        sources: &[Source::At(Location::Local(folder.to_owned()))],
        filter: &KeyFilter::default(),
        stores: Arc::new(Stores::default()),
        options,
    };
    survey(&request, &|_: &Event<'_>| {}, &NEVER).expect("a folder that can be read")
}

fn file(minute: u32) -> String {
    format!("123456789012_vpcflowlogs_us-east-1_fl-0a_20240115T00{minute:02}Z_0a1b2c3d.log.gz")
}

fn lines(count: u32) -> Vec<u8> {
    let lines = (0..count).map(|i| format!("2 10.0.0.{} {i} {}\n", i % 256, 1_705_276_800 + i));
    format!("{HEADER}\n{}", lines.collect::<String>()).into_bytes()
}

/// Logs as `id or folder: objects, looked at, fields`; others as `kind: objects`.
fn told(survey: &Survey) -> (Vec<String>, Vec<String>) {
    let log = |log: &SurveyedLog| {
        let at = log.group.flow_log_id.clone().unwrap_or_else(|| format!("{:?}", log.group.origin));
        let fields: Vec<usize> = log.formats.iter().map(|f| f.fields().len()).collect();
        format!("{at}: {} {} {fields:?}", log.objects, log.looked_at)
    };
    let other = |other: &Other| format!("{:?}: {}", other.kind, other.objects);
    (survey.logs.iter().map(log).collect(), survey.others.iter().map(other).collect())
}

#[track_caller]
fn check(objects: &[(String, Vec<u8>)], logs: &[&str], others: &[&str]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = LocalStore::new(folder.path(), ".staging");
    objects.iter().for_each(|(key, bytes)| store.put(key, bytes).expect("writable"));
    let survey = surveyed(folder.path(), &Options::default());
    let (found, left) = told(&survey);
    assert_eq!(
        (found, left),
        (logs.iter().map(|l| (*l).to_owned()).collect(), others.iter().map(|o| (*o).to_owned()).collect())
    );
    let objects = survey.logs.iter().map(|l| l.objects).chain(survey.others.iter().map(|o| o.objects));
    assert_eq!(objects.sum::<u64>(), survey.objects, "each object is counted once");
    let bytes = survey.logs.iter().map(|l| l.bytes).chain(survey.others.iter().map(|o| o.bytes));
    assert_eq!(bytes.sum::<u64>(), survey.bytes);
}

#[test]
fn one_object_of_a_flow_log_is_looked_at_and_others_if_it_cannot_be_read() {
    let whole = gzip(&lines(500));
    let cut = whole[..whole.len() / 2].to_vec();
    let none = b"PK\x03\x04 no log".to_vec();
    let of = |bad: &[(u32, &Vec<u8>)]| {
        let content = |minute| bad.iter().find(|(m, _)| *m == minute).map_or(&whole, |(_, bytes)| bytes);
        (0..10).map(|i| i * 5).map(|m| (file(m), content(m).clone())).collect::<Vec<_>>()
    };
    check(&of(&[]), &["fl-0a: 10 1 [4]"], &[]);
    // The newest is no log, the one before it is.
    check(&of(&[(45, &none)]), &["fl-0a: 9 1 [4]"], &["NotConverted(\"not-a-log\"): 1"]);
    // What is damaged behind its header tells the format, and is counted as damaged.
    check(&of(&[(45, &cut)]), &["fl-0a: 9 0 [4]"], &["NotConverted(\"damaged\"): 1"]);
    // The two newest and the oldest: then nobody knows.
    check(
        &of(&[(45, &none), (40, &none), (0, &none)]),
        &[],
        &["NotConverted(\"not-a-log\"): 3", "NotLookedAt: 7"],
    );
    // Nothing in it is no answer either.
    check(&of(&[(45, &gzip(b"\n"))]), &["fl-0a: 9 1 [4]"], &["Empty: 1"]);
}

#[test]
fn objects_of_unknown_folders_are_looked_at_one_by_one() {
    let mut objects: Vec<(String, Vec<u8>)> =
        (0..3).map(|i| (format!("a/2024/01/0{i}/x.log"), lines(2))).collect();
    objects.push(("a/2024/01/04/y.log".to_owned(), b"version bytes start\n2 7 1705276800\n".to_vec()));
    objects.push(("a/notes.txt".to_owned(), b"no log\n".to_vec()));
    objects.push(("b.log".to_owned(), lines(1)));
    check(
        &objects,
        &["Folder(\"\"): 1 1 [4]", "Folder(\"a\"): 3 3 [4]", "Folder(\"a\"): 1 1 [3]"],
        &["NotConverted(\"no-header\"): 1"],
    );
    // Past a hundred they are as those before, if those are alike.
    let mut many: Vec<(String, Vec<u8>)> = (0..150).map(|i| (format!("{i:03}.log"), lines(1))).collect();
    check(&many, &["Folder(\"\"): 150 100 [4]"], &[]);
    many[7].1 = b"version bytes start\n2 7 1705276800\n".to_vec();
    check(&many, &["Folder(\"\"): 99 99 [4]", "Folder(\"\"): 1 1 [3]"], &["NotLookedAt: 50"]);
}

fn looked_at(bytes: &[u8], format: Option<&str>, limits: Limits) -> Look {
    let reading = Reading::new(None, format).expect("valid");
    let options = Options { reading, ..Options::default() };
    look_at_stdin(&mut Looker::new(&options), std::io::Cursor::new(bytes.to_vec()), limits).expect("read")
}

#[test]
fn what_is_counted_is_what_a_conversion_counts() {
    let all = Limits { text_bytes: u64::MAX, records: 2 };
    let text = [&lines(3)[..], b"2 10.0.0.9 x 1705276900\n\n2 10.0.0.9\n"].concat();
    for bytes in [text.clone(), gzip(&text)] {
        let Found::Log(found) = looked_at(&bytes, None, all).found else { panic!("a log") };
        let counts = &found.counts;
        assert_eq!(
            (counts.lines, counts.records, counts.rejects, counts.headers, counts.blanks),
            (7, 3, 2, 1, 1)
        );
        assert!(counts.balances() && found.is_whole);
        assert_eq!(found.times, Some((1_705_276_800, 1_705_276_802)));
        assert_eq!(
            found.records,
            [["2", "10.0.0.0", "0", "1705276800"], ["2", "10.0.0.1", "1", "1705276801"]]
        );
    }
    assert_eq!(looked_at(b"", None, all).found, Found::Nothing);
    assert_eq!(looked_at(&gzip(b" \n"), None, all).found, Found::Nothing);
    let given = looked_at(b"1 2 3\n", Some("version bytes"), all);
    assert!(matches!(given.found, Found::NotConverted(flowquet_table::Cause::NoLineFits { lines: 1, .. })));
}

#[test]
fn a_part_of_a_long_text_is_enough() {
    let text = lines(1_000_000);
    let limits = Limits { text_bytes: 1 << 20, records: 1 };
    for bytes in [text.clone(), gzip(&text)] {
        let Found::Log(found) = looked_at(&bytes, None, limits).found else { panic!("a log") };
        assert!(!found.is_whole && found.counts.balances() && found.counts.rejects == 0);
        assert!((1 << 20..2 << 20).contains(&found.text_bytes), "{}", found.text_bytes);
    }
}

#[test]
fn damage_leaves_what_is_before_it() {
    let whole = gzip(&lines(200_000));
    let all = Limits { text_bytes: u64::MAX, records: 1 };
    let look = looked_at(&whole[..whole.len() / 2], None, all);
    let Found::Log(found) = look.found else { panic!("a log") };
    assert!(look.damage.is_some() && found.counts.balances());
    assert!((50_000..150_000).contains(&found.counts.records) && found.counts.rejects <= 1);
    // Of a header alone nothing is told.
    let look = looked_at(&whole[..14], None, all);
    assert!(matches!(look.found, Found::NotConverted(flowquet_table::Cause::Damaged(_))), "{look:?}");
}
