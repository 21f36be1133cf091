use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{CWD, RenameFlags};

use super::*;
use crate::conformance;

fn store() -> (tempfile::TempDir, LocalStore) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = LocalStore::new(folder.path().join("table"), "_s/staging");
    store.create().expect("writable");
    (folder, store)
}

#[test]
fn conforms() {
    let (_folder, store) = store();
    conformance::check(&(Arc::new(store) as Arc<dyn Store>));
}

#[test]
fn nothing_is_written_or_deleted_outside() {
    let (folder, store) = store();
    let outside = folder.path().join("kept");
    fs::create_dir_all(&outside).expect("writable");
    fs::write(outside.join("f"), b"kept").expect("writable");
    store.put("d/f", b"ours").expect("writable");
    let linked = |at: &str| {
        let at = store.root().join(at);
        fs::create_dir_all(at.parent().expect("below the root")).expect("writable");
        std::os::unix::fs::symlink(&outside, at).expect("a link");
    };
    linked("_s/aside/link");
    let absolute = outside.join("f").to_str().expect("UTF-8").to_owned();
    for key in ["../kept/f", &absolute, "d/../../kept/f", "d//f", "_s/aside/link/f"] {
        let results = [
            store.put(key, b"x"),
            store.put_if_absent(key, b"x"),
            store.stage(key).map(drop),
            store.copy("d/f", key),
            store.rename("d/f", key),
            store.rename(key, "d/g"),
            store.delete(key),
        ];
        for result in results {
            assert_eq!(result.expect_err(key).kind(), ErrorKind::Outside, "{key}");
        }
    }
    let error = store
        .delete("_s/aside/link/f")
        .expect_err("a link")
        .to_string()
        .replace(folder.path().to_str().expect("UTF-8"), "");
    assert_eq!(
        error,
        "delete `file:///table/_s/aside/link/f`: leads out of the table: `file:///table/_s/aside/link` is a link"
    );
    assert_eq!(fs::read(outside.join("f")).expect("there"), b"kept");
    // Files being written lie behind no link either; partitions may.
    linked("data");
    store.put("data/g", b"x").expect("a link of the owner's");
    drop(store);
    for place in ["_t", "_t/u/v"] {
        let other = LocalStore::new(folder.path().join("other"), "_t/u/v");
        let at = folder.path().join("other").join(place);
        fs::create_dir_all(at.parent().expect("below")).expect("writable");
        std::os::unix::fs::symlink(&outside, &at).expect("a link");
        assert_eq!(other.create().expect_err("a link").kind(), ErrorKind::Outside);
        fs::remove_file(&at).expect("ours");
    }
}

#[test]
fn links_that_come_meanwhile_lead_nowhere() {
    let (folder, store) = store();
    let outside = folder.path().join("kept");
    fs::create_dir_all(&outside).expect("writable");
    fs::write(outside.join("f"), b"kept").expect("writable");
    store.put("_s/aside/f", b"ours").expect("writable");
    let (at, link) = (store.root().join("_s/aside"), store.root().join("_s/link"));
    std::os::unix::fs::symlink(&outside, &link).expect("a link");
    let is_over = AtomicBool::new(false);
    // Somebody has a folder be a link, and a folder again, all the time; at each moment it is one of them, so that none is made anew.
    let swap = || {
        while !is_over.load(Ordering::Relaxed) {
            rustix::fs::renameat_with(CWD, &at, CWD, &link, RenameFlags::EXCHANGE).expect("exchanged");
        }
    };
    let (mut refused, mut tries) = (0, 0);
    std::thread::scope(|scope| {
        scope.spawn(swap);
        // On a busy machine whoever swaps may not get a turn for a while.
        while tries < 2_000 || (refused == 0 && tries < 200_000) {
            let results = [
                store.put("_s/aside/f", b"ours"),
                store.put_if_absent("_s/aside/g", b"ours"),
                store.rename("_s/aside/g", "_s/aside/h"),
                store.copy("_s/aside/f", "_s/aside/g"),
                store.delete("_s/aside/g"),
                store.delete("_s/aside/f"),
            ];
            refused +=
                results.iter().filter(|r| matches!(r, Err(e) if e.kind() == ErrorKind::Outside)).count();
            tries += 1;
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert!(refused > 0, "the link was never met");
    let there: Vec<_> = fs::read_dir(&outside).expect("a folder").flatten().map(|e| e.file_name()).collect();
    assert_eq!(there, ["f"]);
    assert_eq!(fs::read(outside.join("f")).expect("there"), b"kept");
}

#[test]
fn idle_objects_are_told_by_their_age() {
    let (_folder, store) = store();
    store.put("d/old", b"1").expect("writable");
    store.put("d/new", b"1").expect("writable");
    store.put("d/e/old", b"1").expect("writable");
    let hour = Duration::from_secs(3_600);
    let old = |name: &str| {
        let file = File::options().write(true).open(store.path(name)).expect("there");
        file.set_modified(SystemTime::now() - 2 * hour).expect("ours");
    };
    old("d/old");
    old("d/e/old");
    assert_eq!(store.idle("d/", hour).expect("readable"), ["d/e/old", "d/old"]);
    assert!(store.idle("none/", hour).expect("nothing there").is_empty());
}

#[test]
fn nothing_stays_behind() {
    let (folder, store) = store();
    store.put("a", b"1").expect("writable");
    drop(store.stage("b").expect("writable"));
    drop(store);
    let left: Vec<_> =
        LocalStore::new(folder.path(), "x").list("").expect("there").into_iter().map(|o| o.key).collect();
    assert_eq!(left, ["table/a"]);
}

#[test]
fn what_a_dead_process_left_is_swept() {
    let (_folder, store) = store();
    let staging = store.root().join("_s/staging");
    fs::create_dir_all(staging.join("999999-0")).expect("writable");
    fs::write(staging.join("999999-0/7"), b"half a file").expect("writable");
    fs::write(staging.join("999999-0.lock"), b"").expect("writable");
    let another = LocalStore::new(store.root(), "_s/staging");
    another.put("c", b"").expect("writable");
    assert!(!staging.join("999999-0").exists() && !staging.join("999999-0.lock").exists());
    store.put("d", b"").expect("the living one's folder is untouched");
}

#[test]
fn links_are_followed_and_loops_end() {
    let (folder, store) = store();
    store.put("x/a.log", b"1").expect("writable");
    store.put("x/.hidden", b"1").expect("writable");
    std::os::unix::fs::symlink(folder.path().join("table"), folder.path().join("table/x/loop"))
        .expect("a link");
    let keys: Vec<_> = store.list("x").expect("there").into_iter().map(|o| o.key).collect();
    assert!(keys.contains(&"x/a.log".to_owned()) && !keys.iter().any(|k| k.contains("hidden")), "{keys:?}");
}

#[test]
fn names_that_are_no_keys_stop_no_walk() {
    use std::os::unix::ffi::OsStrExt;
    let (folder, store) = store();
    store.put("x/b.log", b"1").expect("writable");
    store.put("x/a/1", b"1").expect("writable");
    store.put("x/.hidden", b"1").expect("writable");
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9.log");
    fs::write(folder.path().join("table/x").join(name), b"1").expect("writable");
    std::os::unix::fs::symlink("nowhere", folder.path().join("table/x/dead")).expect("a link");
    std::os::unix::fs::symlink("b.log", folder.path().join("table/x/link")).expect("a link");
    let mut found = Vec::new();
    let walked = store.walk("x/", "", true, &mut |entry| {
        found.push(match entry {
            Entry::Folder(prefix) => prefix,
            Entry::Object(object) => format!("{} {}", object.key, object.url.ends_with("table/x/b.log")),
            Entry::Unlistable(error) => error.to_string().replace(folder.path().to_str().expect("UTF-8"), ""),
        });
        ControlFlow::Continue(())
    });
    walked.expect("there");
    assert_eq!(
        found,
        ["list `file:///table/x/caf\u{fffd}.log`: name is not UTF-8", "x/a/", "x/b.log true", "x/link true"]
    );
    // A table's own listing names it as it is shown.
    let keys: Vec<_> = store.list("x").expect("listed").into_iter().map(|o| o.key).collect();
    assert_eq!(keys, ["x/a/1", "x/b.log", "x/caf\u{fffd}.log", "x/link"]);
}

#[test]
fn errors_name_the_place() {
    let (_folder, store) = store();
    let error = store.get("no/such").expect_err("missing");
    assert_eq!(
        error.to_string(),
        format!("read `file://{}/no/such`: no such file or folder", store.root().display())
    );
    store.put("file", b"").expect("writable");
    assert_eq!(store.put("file/below", b"").expect_err("no folder").kind(), ErrorKind::NotAFolder);
}

#[test]
fn pipes_are_refused_at_once() {
    let (_folder, store) = store();
    store.put("d/file", b"1").expect("writable");
    let pipe = store.path("d/pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("it runs").success());
    let kinds = |key: &str| {
        [
            store.head(key).map(drop),
            store.get(key).map(drop),
            store.read(key).map(drop),
            store.fetch(key, "", 0..1, false).wait(&|| false).map(drop),
            store.fetch(key, "", 0..0, true).wait(&|| false).map(drop),
        ]
        .map(|result| result.expect_err(key).kind())
    };
    assert_eq!(kinds("d/pipe"), [ErrorKind::NotAFile; 5]);
    assert_eq!(kinds("d"), [ErrorKind::Folder; 5]);
}

#[test]
fn links_that_multiply_end() {
    let (_folder, store) = store();
    for level in 0..40 {
        store.put(&format!("x/{level}/f"), b"1").expect("writable");
        for name in ["a", "b"] {
            let to = store.path(&format!("x/{}", level + 1));
            std::os::unix::fs::symlink(to, store.path(&format!("x/{level}/{name}"))).expect("a link");
        }
    }
    let keys: Vec<_> = store.list("x").expect("listed").into_iter().map(|o| o.key).collect();
    assert!(keys.contains(&"x/39/f".to_owned()) && keys.len() < 200, "{}", keys.len());
}

#[test]
fn a_file_that_is_put_anew_meanwhile_is_copied() {
    let (_folder, store) = store();
    store.put("a/from", b"the same").expect("writable");
    let staging = store.staging_folder().expect("made");
    let (target, name) = store.place("write", "a/from", true).expect("there");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            // As `put`, but not synced: so it meets a copy often.
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let staged = staging.next_name();
                    let mut file = staging.handle().create(&staged).expect("new");
                    file.write_all(b"the same").expect("writable");
                    staging.handle().rename(&staged, &target, name).expect("renamed");
                }
            });
        }
        let copied: Vec<_> = (0..2_000).map(|i| store.copy("a/from", &format!("b/{}", i % 7))).collect();
        done.store(true, Ordering::Relaxed);
        copied.into_iter().for_each(|copied| copied.expect("it was there all the time"));
    });
}

#[test]
fn folders_that_go_while_they_are_listed_are_no_error() {
    let (_folder, store) = store();
    store.put("a/kept", b"x").expect("writable");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for i in 0..3 {
            let passing = store.root().join(format!("p{i}/q"));
            let done = &done;
            scope.spawn(move || {
                while !done.load(Ordering::Relaxed) {
                    fs::create_dir_all(&passing).expect("writable");
                    fs::remove_dir_all(passing.parent().expect("above")).expect("there");
                }
            });
        }
        let listed: Vec<_> = (0..3_000).map(|_| store.list("")).collect();
        done.store(true, Ordering::Relaxed);
        for listed in listed {
            assert!(listed.expect("listed").iter().any(|object| object.key == "a/kept"));
        }
        assert_eq!(store.list("nowhere").expect_err("not there").kind(), ErrorKind::NotFound);
    });
}
