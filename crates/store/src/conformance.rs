//! The suite that every store passes. Call [`check`] with an empty store from a test.

use std::io::{Read, Write};
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::{Entry, ErrorKind, PART_BYTES, RangedReader, Store};

/// Checks each promise of [`Store`].
///
/// # Panics
/// At the first promise that is broken.
pub fn check(store: &Arc<dyn Store>) {
    put_and_get(store.as_ref());
    fetching(store);
    listing(store.as_ref());
    listing_after(store.as_ref());
    listing_of_many(store.as_ref());
    staging(store.as_ref());
    staging_of_many_parts(store.as_ref());
    if store.honours_conditions().expect("a probe") {
        put_if_absent_is_won_once(store.as_ref());
    }
}

fn put_and_get(store: &dyn Store) {
    for bytes in [&b""[..], b"one", &[7; 300_000]] {
        store.put("put/a b+é.bin", bytes).expect("put");
        assert_eq!(store.get("put/a b+é.bin").expect("get"), bytes);
    }
    let mut read = Vec::new();
    store.read("put/a b+é.bin").expect("read").read_to_end(&mut read).expect("read");
    assert_eq!(read, [7; 300_000]);
    store.delete("put/a b+é.bin").expect("delete");
    assert_eq!(store.get("put/a b+é.bin").expect_err("deleted").kind(), ErrorKind::NotFound);
    assert_eq!(store.read("put/a b+é.bin").err().expect("deleted").kind(), ErrorKind::NotFound);
    // S3 does not tell whether there was anything to delete.
    if let Err(error) = store.delete("put/a b+é.bin") {
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
    store.put("put/from", b"copied").expect("put");
    for _ in 0..2 {
        store.copy("put/from", "put/copy é").expect("copy");
        assert_eq!(store.get("put/copy é").expect("get"), b"copied");
    }
    store.put("put/from", b"other").expect("put");
    assert_eq!(store.get("put/copy é").expect("get"), b"copied", "a copy is an object of its own");
    store.copy("put/from", "put/copy é").expect("copy");
    assert_eq!(store.get("put/copy é").expect("get"), b"other", "a copy replaces what was there");
    assert_eq!(store.copy("put/absent", "put/copy é").expect_err("absent").kind(), ErrorKind::NotFound);
    store.delete("put/copy é").expect("delete");
    store.put("put/from", b"renamed").expect("put");
    store.rename("put/from", "put/to é").expect("rename");
    assert_eq!(store.get("put/to é").expect("get"), b"renamed");
    assert_eq!(store.get("put/from").expect_err("renamed").kind(), ErrorKind::NotFound);
}

fn fetching(store: &Arc<dyn Store>) {
    let bytes: Vec<u8> = (0..20_000_000_u32).map(|i| (i % 251) as u8).collect();
    store.put("fetch/large", &bytes).expect("put");
    let meta = store.head("fetch/large").expect("head");
    assert_eq!((meta.key.as_str(), meta.bytes), ("fetch/large", 20_000_000));
    assert_eq!(
        meta,
        store.list("fetch").expect("list")[0],
        "a listing and a look at one object say the same"
    );
    let go_on = || false;
    let whole = store.fetch("fetch/large", &meta.etag, 0..meta.bytes, true).wait(&go_on).expect("fetch");
    assert!(whole == bytes);
    let part = store.fetch("fetch/large", &meta.etag, 1_000..70_000, false).wait(&go_on).expect("fetch");
    assert!(part == bytes[1_000..70_000]);
    let mut read = Vec::new();
    RangedReader::new(store.clone(), &meta).read_to_end(&mut read).expect("read");
    assert!(read == bytes);
    let changed = store.fetch("fetch/large", "another", 0..meta.bytes, true).wait(&go_on);
    assert_eq!(changed.expect_err("another etag").kind(), ErrorKind::Changed);
    let missing = store.fetch("fetch/none", "", 0..1, true).wait(&go_on);
    assert_eq!(missing.expect_err("nothing there").kind(), ErrorKind::NotFound);
    drop(store.fetch("fetch/large", &meta.etag, 0..meta.bytes, true));
}

fn listing(store: &dyn Store) {
    for key in ["list/b", "list/a/z", "list/a/c/d", "list-other"] {
        store.put(key, key.as_bytes()).expect("put");
    }
    let keys = |prefix: &str| -> Vec<String> {
        store.list(prefix).expect("list").into_iter().map(|o| o.key).collect()
    };
    assert_eq!(keys("list"), ["list/a/c/d", "list/a/z", "list/b"]);
    assert_eq!(keys("list/a"), ["list/a/c/d", "list/a/z"]);
    assert_eq!(keys("list/b"), ["list/b"]);
    assert_eq!(store.list("list/b").expect("list")[0].bytes, 6);
    assert_eq!(store.list("nowhere").expect_err("nothing there").kind(), ErrorKind::NotFound);
    assert_eq!(store.head("nowhere").expect_err("nothing there").kind(), ErrorKind::NotFound);
    let folder = store.folder("list/", 10).expect("folder").expect("few folders");
    assert_eq!(folder.folders, ["list/a/"]);
    assert_eq!(folder.objects.iter().map(|o| o.key.as_str()).collect::<Vec<_>>(), ["list/b"]);
    assert!(store.folder("list/", 0).expect("folder").is_none(), "more folders than asked for");
    walking(store);
}

fn walking(store: &dyn Store) {
    for key in ["walk/a.log", "walk/a/1", "walk/a/2", "walk/a0", "walk/b/c/1", "walk/é"] {
        store.put(key, b"x").expect("put");
    }
    let walk = |prefix: &str, from: &str, one_level, max: usize| -> Vec<String> {
        let mut found = Vec::new();
        let walked = store.walk(prefix, from, one_level, &mut |entry| {
            found.push(match entry {
                Entry::Folder(prefix) => prefix,
                Entry::Object(object) => object.key,
                Entry::Unlistable(error) => panic!("{error}"),
            });
            if found.len() == max { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        walked.expect("walk");
        found
    };
    let level = ["walk/a.log", "walk/a/", "walk/a0", "walk/b/", "walk/é"];
    assert_eq!(walk("walk/", "", true, 9), level, "in the byte order of keys");
    assert_eq!(walk("walk/", "walk/a/", true, 9), level[1..], "from a folder on");
    assert_eq!(walk("walk/", "walk/a0", true, 2), level[2..4], "until it breaks");
    let all = ["walk/a.log", "walk/a/1", "walk/a/2", "walk/a0", "walk/b/c/1", "walk/é"];
    assert_eq!(walk("walk/", "", false, 9), all);
    assert_eq!(walk("walk/", "walk/a/", false, 9), all[1..]);
    assert_eq!(walk("walk/", "walk/a/2", false, 2), all[2..4]);
}

fn listing_after(store: &dyn Store) {
    let sorted = ["after/1", "after/2/x", "after/2é", "after/3"];
    let keys = |prefix: &str, after: &str| -> Vec<String> {
        let mut keys = Vec::new();
        store.list_after(prefix, after, &mut |object| keys.push(object.key)).expect("list");
        keys
    };
    assert_eq!(keys("after", ""), [""; 0], "a prefix that is missing is empty");
    for key in ["after/3", "after/1", "after-other", "after/2é", "after/2/x", "after0"] {
        store.put(key, key.as_bytes()).expect("put");
    }
    let afters =
        ["", "a", "after", "after/", "after/0", "after/1", "after/2", "after/2/", "after/2/x", "after/2z"];
    for after in afters.into_iter().chain(["after/2é", "after/3", "after/4", "after0", "b"]) {
        let rest: Vec<&str> = sorted.iter().copied().filter(|key| *key > after).collect();
        assert_eq!(keys("after", after), rest, "after `{after}`");
        assert_eq!(keys("after/", after), rest, "after `{after}`");
    }
    assert_eq!(keys("after/2", "after/1"), ["after/2/x"]);
    assert_eq!(keys("after/3", ""), [""; 0], "an object does not lie below itself");
    assert!(keys("", "after/3").starts_with(&["after0".to_owned()]));
    let mut found = Vec::new();
    store.list_after("after", "after/2é", &mut |object| found.push(object)).expect("list");
    assert_eq!(found, [store.head("after/3").expect("head")], "what a listing says of an object");
}

/// More keys than S3 tells at once.
fn listing_of_many(store: &dyn Store) {
    let keys: Vec<String> = (0..1_203).map(|i| format!("many/{:02}/{i:04}", i % 3)).collect();
    std::thread::scope(|scope| {
        for chunk in keys.chunks(keys.len().div_ceil(8)) {
            scope.spawn(move || chunk.iter().for_each(|k| store.put(k, k.as_bytes()).expect("put")));
        }
    });
    let mut sorted = keys.clone();
    sorted.sort();
    let found: Vec<String> = store.list("many").expect("list").into_iter().map(|o| o.key).collect();
    assert_eq!(found, sorted);
}

fn staging(store: &dyn Store) {
    let mut staged = store.stage("staged/x").expect("stage");
    staged.write_all(b"first ").expect("write");
    assert_eq!(store.get("staged/x").expect_err("not committed").kind(), ErrorKind::NotFound);
    staged.write_all(b"second").expect("write");
    staged.seal().expect("seal");
    assert!(staged.write_all(b"late").is_err(), "sealed");
    assert_eq!(store.get("staged/x").expect_err("not committed").kind(), ErrorKind::NotFound);
    staged.commit().expect("commit");
    assert_eq!(store.get("staged/x").expect("committed"), b"first second");
    let mut abandoned = store.stage("staged/y").expect("stage");
    abandoned.write_all(b"lost").expect("write");
    drop(abandoned);
    assert_eq!(store.get("staged/y").expect_err("abandoned").kind(), ErrorKind::NotFound);
}

fn staging_of_many_parts(store: &dyn Store) {
    let bytes: Vec<u8> = (0..2 * PART_BYTES + 12_345).map(|i| (i % 249) as u8).collect();
    let mut staged = store.stage("staged/large").expect("stage");
    bytes.chunks(100_000).for_each(|chunk| staged.write_all(chunk).expect("write"));
    staged.seal().expect("seal");
    assert_eq!(store.head("staged/large").expect_err("not committed").kind(), ErrorKind::NotFound);
    staged.commit().expect("commit");
    assert!(store.get("staged/large").expect("committed") == bytes);
    let mut abandoned = store.stage("staged/left").expect("stage");
    abandoned.write_all(&bytes).expect("write");
    drop(abandoned);
    assert_eq!(store.head("staged/left").expect_err("abandoned").kind(), ErrorKind::NotFound);
    let mut many: Vec<_> = (0..40).map(|i| store.stage(&format!("held/{i:02}")).expect("stage")).collect();
    for (i, staged) in many.iter_mut().enumerate() {
        staged.write_all(&vec![i as u8; 1 << 20]).expect("write");
        staged.seal().expect("seal");
    }
    many.into_iter().for_each(|staged| staged.commit().expect("commit"));
    for (i, object) in store.list("held").expect("list").iter().enumerate() {
        assert!(store.get(&object.key).expect("get") == vec![i as u8; 1 << 20]);
    }
}

fn put_if_absent_is_won_once(store: &dyn Store) {
    for round in 0..20 {
        let key = format!("absent/{round}");
        let writers: Vec<String> = (0..8).map(|i| format!("writer {i}")).collect();
        let won: Vec<&String> = std::thread::scope(|scope| {
            let threads: Vec<_> = writers
                .iter()
                .map(|w| {
                    let key = &key;
                    scope.spawn(move || match store.put_if_absent(key, w.as_bytes()) {
                        Ok(()) => Some(w),
                        Err(e) => {
                            assert_eq!(e.kind(), ErrorKind::AlreadyExists, "{e}");
                            None
                        }
                    })
                })
                .collect();
            threads.into_iter().filter_map(|t| t.join().expect("no panic")).collect()
        });
        assert_eq!(won.len(), 1, "round {round}");
        assert_eq!(store.get(&key).expect("get"), won[0].as_bytes());
    }
}
