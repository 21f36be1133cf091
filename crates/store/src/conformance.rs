//! The suite that every store passes. Call [`check`] with an empty store from a test.

use std::io::{Read, Write};

use crate::{ErrorKind, Store};

/// Checks each promise of [`Store`].
///
/// # Panics
/// At the first promise that is broken.
pub fn check(store: &dyn Store) {
    put_and_get(store);
    listing(store);
    staging(store);
    put_if_absent_is_won_once(store);
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
    assert_eq!(store.delete("put/a b+é.bin").expect_err("deleted").kind(), ErrorKind::NotFound);
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
