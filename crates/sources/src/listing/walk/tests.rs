use std::collections::BTreeSet;
use std::io::Read;
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flowquet_store::{Error as StoreError, Fetch, Folder, Staged, StorageClass};

use super::*;

/// Keys in memory, listed a page at a time; each request waits a little, differently from its neighbours.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    pub(crate) keys: BTreeSet<String>,
    pub(crate) requests: AtomicUsize,
    pub(crate) slow: bool,
    /// Lists all of a prefix twice, as one that begins anew at the end of a page.
    pub(crate) twice: bool,
    /// A folder whose listing fails once its keys are given.
    pub(crate) broken: Option<&'static str>,
}

impl Keys {
    pub(crate) fn of<S: Into<String>>(keys: impl IntoIterator<Item = S>) -> Self {
        Self { keys: keys.into_iter().map(Into::into).collect(), ..Self::default() }
    }
}

impl Store for Keys {
    fn walk(
        &self,
        prefix: &str,
        from: &str,
        one_level: bool,
        each: &mut dyn FnMut(Entry) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        let mut start = prefix.max(from).to_owned();
        let (mut told, mut rounds) = (0, if self.twice { 2 } else { 1 });
        loop {
            if told % 1_000 == 0 {
                let request = self.requests.fetch_add(1, Ordering::Relaxed);
                if self.slow {
                    std::thread::sleep(Duration::from_micros(request as u64 * 7919 % 3_000));
                }
            }
            told += 1;
            let Some(key) = self.keys.range(start.clone()..).next().filter(|k| k.starts_with(prefix)) else {
                rounds -= 1;
                if rounds > 0 {
                    prefix.max(from).clone_into(&mut start);
                    continue;
                }
                return if self.broken == Some(prefix) {
                    Err(StoreError::too_deep(Path::new(prefix)))
                } else {
                    Ok(())
                };
            };
            let end = key[prefix.len()..].find('/').filter(|_| one_level).map(|at| prefix.len() + at);
            let entry = match end {
                Some(end) => {
                    // `0` stands behind `/`.
                    start = format!("{}0", &key[..end]);
                    Entry::Folder(key[..=end].to_owned())
                }
                None => {
                    start = format!("{key}\0");
                    let url = self.url(key);
                    Entry::Object(ObjectMeta {
                        key: key.clone(),
                        url,
                        bytes: 1,
                        etag: "e".to_owned(),
                        class: StorageClass::Open,
                    })
                }
            };
            if each(entry).is_break() {
                return Ok(());
            }
        }
    }

    fn url(&self, key: &str) -> String {
        format!("s3://logs/{key}")
    }

    fn create(&self) -> Result<(), StoreError> {
        unimplemented!("lists only")
    }
    fn list_each(&self, _: &str, _: &mut dyn FnMut(ObjectMeta)) -> Result<(), StoreError> {
        unimplemented!("lists only")
    }
    fn folder(&self, _: &str, _: usize) -> Result<Option<Folder>, StoreError> {
        unimplemented!("lists only")
    }
    fn head(&self, _: &str) -> Result<ObjectMeta, StoreError> {
        unimplemented!("lists only")
    }
    fn fetch(&self, _: &str, _: &str, _: Range<u64>, _: bool) -> Box<dyn Fetch> {
        unimplemented!("lists only")
    }
    fn copy(&self, _: &str, _: &str) -> Result<(), StoreError> {
        unimplemented!("lists only")
    }
    fn rename(&self, _: &str, _: &str) -> Result<(), StoreError> {
        unimplemented!("lists only")
    }
    fn get(&self, _: &str) -> Result<Vec<u8>, StoreError> {
        unimplemented!("lists only")
    }
    fn read(&self, _: &str) -> Result<Box<dyn Read + Send>, StoreError> {
        unimplemented!("lists only")
    }
    fn put_if_absent(&self, _: &str, _: &[u8]) -> Result<(), StoreError> {
        unimplemented!("lists only")
    }
    fn stage(&self, _: &str) -> Result<Box<dyn Staged>, StoreError> {
        unimplemented!("lists only")
    }
    fn delete(&self, _: &str) -> Result<(), StoreError> {
        unimplemented!("lists only")
    }
}

fn walked(store: &Keys, descent: &(dyn Fn(&str, usize) -> Descent + Sync)) -> Vec<String> {
    let mut found = Vec::new();
    let walk = Walk::new(store, descent, &|| false);
    let result = walk.run(String::new(), &mut |item| {
        found.push(match item {
            Found::Object(object) => object.key,
            Found::Table(prefix) => format!("table {prefix}"),
            Found::Unlistable(error) => panic!("{error}"),
        });
        Ok(())
    });
    result.expect("listed");
    found
}

fn many() -> Vec<String> {
    let mut keys = Vec::new();
    for a in 0..40 {
        for b in 0..25 {
            for c in 0..(a * b % 17) {
                keys.push(format!("f{a}/g{b}/{c}.log"));
                keys.push(format!("f{a}/g{b}.{c}"));
            }
            keys.push(format!("f{a}.{b}"));
        }
    }
    keys
}

#[test]
fn finds_come_in_the_order_of_keys() {
    let store = Keys { slow: true, ..Keys::of(many()) };
    let expected: Vec<String> = store.keys.iter().cloned().collect();
    for whole_from in 0..4 {
        let found = walked(&store, &|_, depth| {
            if depth < whole_from { Descent::Folders } else { Descent::Whole }
        });
        assert_eq!(found, expected);
    }
    let skipped = walked(&store, &|prefix, _| {
        if prefix.starts_with("f3/") { Descent::Skip } else { Descent::Folders }
    });
    assert_eq!(skipped, expected.iter().filter(|k| !k.starts_with("f3/")).cloned().collect::<Vec<_>>());
}

#[test]
fn wide_and_long_levels_are_listed_once() {
    let wide =
        Keys::of((0..5_000).map(|i| format!("{i:05}/x")).chain(["!".to_owned(), "00001.x".to_owned()]));
    assert_eq!(walked(&wide, &|_, _| Descent::Folders), wide.keys.iter().cloned().collect::<Vec<_>>());
    assert!(wide.requests.load(Ordering::Relaxed) < 15, "no request for each of so many folders");
    // Some of the folders were handed on before there were too many.
    let both = Keys::of((0..9_000).map(|i| format!("{i:05}{}", if i % 3 > 0 { "/x" } else { "" })));
    assert_eq!(walked(&both, &|_, _| Descent::Folders), both.keys.iter().cloned().collect::<Vec<_>>());
}

#[test]
fn tables_are_seen_before_what_stands_beside_their_records() {
    let mut keys = many();
    let table =
        ["f1/lake/0-1.log", "f1/lake/A/x/y", "f1/lake/_flowquet/table.json", "f1/lake/date=1/x.parquet"];
    keys.extend(table.map(str::to_owned));
    let store = Keys::of(keys);
    let found = walked(&store, &|_, _| Descent::Folders);
    let at = found.iter().position(|f| f == "table f1/lake/").expect("seen");
    assert_eq!(found[at + 1..at + 5], table);
    assert_eq!(found.len(), store.keys.len() + 1);
}

#[test]
fn listers_wait_for_the_slow_first_folder() {
    // Far more than may be ahead, and the taker sleeps at the very first.
    let keys = (0..300).flat_map(|f| (0..1_000).map(move |i| format!("{f:03}/{i:04}")));
    let store = Keys::of(keys);
    let mut found = 0;
    let walk = Walk::new(&store, &|_, _| Descent::Folders, &|| false);
    let result = walk.run(String::new(), &mut |_| {
        if found == 0 {
            std::thread::sleep(Duration::from_millis(400));
            let asked = store.requests.load(Ordering::Relaxed);
            // Two requests a folder; those that are ahead, and one that each lister and the taker are at.
            let folders_max = AHEAD / 1_000 + 1 + LISTERS + 1;
            assert!(asked <= 2 * folders_max, "{asked} requests for what is ahead");
        }
        found += 1;
        Ok(())
    });
    result.expect("listed");
    assert_eq!(found, 300_000);
}

#[test]
fn who_takes_may_stop() {
    let store = Keys::of((0..300).flat_map(|f| (0..1_000).map(move |i| format!("{f:03}/{i:04}"))));
    let mut found = 0;
    let walk = Walk::new(&store, &|_, _| Descent::Folders, &|| false);
    let result = walk.run(String::new(), &mut |_| {
        found += 1;
        if found < 1_500 { Ok(()) } else { Err(Error::NoObjects { sources: Vec::new() }) }
    });
    assert!(matches!(result, Err(Error::NoObjects { .. })));
    assert_eq!(found, 1_500);
    let walk = Walk::new(&store, &|_, _| Descent::Folders, &|| true);
    assert!(matches!(walk.run(String::new(), &mut |_| Ok(())), Err(Error::Interrupted)));
}

#[test]
fn a_folder_that_fails_is_never_taken_for_a_whole_one() {
    let broken = ["", "a/", "z/"];
    for turn in 0..600 {
        let mut store = Keys::of(["a/1", "b/1", "z/1"]);
        store.broken = Some(broken[turn % broken.len()]);
        let result =
            Walk::new(&store, &|_, _| Descent::Folders, &|| false).run(String::new(), &mut |_| Ok(()));
        assert!(matches!(result, Err(Error::Store(_))), "turn {turn}: {result:?}");
    }
}
