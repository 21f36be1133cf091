//! A server that means harm, or is broken: what it answers is compared with what was asked for, and never read past it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use flowquet_store::{Error, ErrorKind, Location, S3Options, Store, Stores};

/// Runs `test` in a process of its own that has credentials in its environment, where the SDK looks for them.
fn with_credentials(name: &str, test: fn()) {
    const VARIABLES: [(&str, &str); 3] = [
        ("AWS_ACCESS_KEY_ID", "flowquet-test"),
        ("AWS_SECRET_ACCESS_KEY", "flowquet-test-secret"),
        ("FLOWQUET_TEST_INNER", "1"),
    ];
    if std::env::var_os(VARIABLES[2].0).is_some() {
        return test();
    }
    let inner = Command::new(std::env::current_exe().expect("a path"))
        .args([name, "--exact"])
        .envs(VARIABLES)
        .output()
        .expect("starts");
    assert!(inner.status.success(), "{}", String::from_utf8_lossy(&inner.stdout));
}

/// A store whose server gives each request's first line to `answer`, which writes what it likes.
fn store(
    answer: impl Fn(&str, &mut TcpStream) -> std::io::Result<()> + Send + Sync + 'static,
) -> Arc<dyn Store> {
    store_until(Arc::default(), answer)
}

fn store_until(
    stop: Arc<AtomicBool>,
    answer: impl Fn(&str, &mut TcpStream) -> std::io::Result<()> + Send + Sync + 'static,
) -> Arc<dyn Store> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let answer = Arc::new(answer);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            std::thread::spawn(move || {
                let mut lines = BufReader::new(stream.try_clone().expect("a stream")).lines();
                let Some(Ok(first)) = lines.next() else { return };
                while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
                let mut stream = stream;
                let _ = answer(&first, &mut stream);
            });
        }
    });
    let options =
        S3Options { endpoint_url: Some(url), timeout: Duration::from_millis(200), ..S3Options::new(stop) };
    Stores::new(options).at(&Location::parse("s3://lake/").expect("a place"), "")
}

/// Makes the whole answer to a request.
type Answer = Box<dyn Fn() -> String + Send + Sync>;

fn page(keys: &[&str], token: Option<&str>) -> String {
    let contents: String = keys
        .iter()
        .map(|key| format!("<Contents><Key>{key}</Key><Size>9</Size><ETag>\"e\"</ETag></Contents>"))
        .collect();
    let next =
        token.map_or_else(String::new, |t| format!("<NextContinuationToken>{t}</NextContinuationToken>"));
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult><IsTruncated>{}</IsTruncated>{contents}{next}</ListBucketResult>",
        token.is_some()
    );
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len())
}

fn told(result: Result<impl std::fmt::Debug, Error>, kind: ErrorKind, words: &str) {
    let error = result.expect_err(words);
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(words), "{error}");
}

#[test]
fn listings_that_do_not_go_on_are_errors() {
    with_credentials("listings_that_do_not_go_on_are_errors", || {
        let numbers = std::sync::atomic::AtomicU64::new(0);
        let answers: [(&str, Answer); 4] = [
            ("was listed before", Box::new(|| page(&["p/a"], Some("again")))),
            ("was listed before", Box::new(|| page(&[], Some("again")))),
            (
                "page after page without keys",
                Box::new(move || {
                    let n = numbers.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    page(&[], Some(&n.to_string()))
                }),
            ),
            ("expected keys that begin with `p/`, found `q/x`", Box::new(|| page(&["p/a", "q/x"], None))),
        ];
        for (words, answer) in answers {
            let store = store(move |_, stream| stream.write_all(answer().as_bytes()));
            let unavailable = ErrorKind::Unavailable;
            told(store.list("p/"), unavailable, words);
            told(store.folder("p/", usize::MAX), unavailable, words);
            told(store.list_after("p", "", &mut |_| {}), unavailable, words);
            let walked = store.walk("p/", "", true, &mut |_| std::ops::ControlFlow::Continue(()));
            told(walked, unavailable, words);
        }
    });
}

#[test]
fn bodies_are_compared_with_what_was_listed() {
    with_credentials("bodies_are_compared_with_what_was_listed", || {
        let go_on = || false;
        let head = |length: &str, more: &str| {
            format!("HTTP/1.1 200 OK\r\nETag: \"e\"\r\n{length}{more}Connection: close\r\n\r\n")
        };
        let length = |n: u64| format!("Content-Length: {n}\r\n");
        let unavailable = ErrorKind::Unavailable;
        // Each is asked for several times, with pauses: all of them at once.
        std::thread::scope(|scope| {
            // Cut by a gateway that makes the length right.
            for (range, whole, words) in
                [(0..9, true, "expected 9 bytes, found 5"), (2..9, false, "expected 7 bytes, found 5")]
            {
                scope.spawn(move || {
                    let cut = store(move |_, stream| {
                        stream.write_all(format!("{}12345", head(&length(5), "")).as_bytes())
                    });
                    told(cut.fetch("a", "e", range, whole).wait(&go_on), unavailable, words);
                });
            }
            // Longer than listed.
            scope.spawn(move || {
                let long =
                    store(move |_, stream| stream.write_all(head(&length(50_000_000_000), "").as_bytes()));
                told(long.fetch("a", "e", 0..9, true).wait(&go_on), unavailable, "expected at most 9 bytes");
                told(long.fetch("a", "", 0..9, true).wait(&go_on), ErrorKind::Changed, "changed");
                told(long.get("a"), unavailable, "expected at most 4294967296 bytes");
            });
            scope.spawn(move || {
                let endless = store(move |_, stream| {
                    stream.write_all(head("Transfer-Encoding: chunked\r\n", "").as_bytes())?;
                    loop {
                        stream.write_all(b"5\r\n12345\r\n")?;
                    }
                });
                told(endless.fetch("a", "e", 0..9, true).wait(&go_on), unavailable, "found more");
            });
            scope.spawn(move || {
                let elsewhere = store(move |_, stream| {
                    let range = "Content-Range: bytes 20-24/90\r\n";
                    stream.write_all(format!("{}12345", head(&length(5), range)).as_bytes())
                });
                let fetched = elsewhere.fetch("a", "e", 0..5, false).wait(&go_on);
                told(fetched, unavailable, "expected bytes 0-4/");
            });
        });
        let right =
            store(move |_, stream| stream.write_all(format!("{}12345", head(&length(5), "")).as_bytes()));
        assert_eq!(right.fetch("a", "e", 0..5, true).wait(&go_on).expect("right")[..], b"12345"[..]);
        let mut read = Vec::new();
        right.read("a").map(|mut r| r.read_to_end(&mut read)).expect("opens").expect("right");
        assert_eq!(read, b"12345");
    });
}

/// Writes an answer that no store gives.
type Lie = fn(&mut TcpStream) -> std::io::Result<()>;

/// Writes `piece` after `head` until the other side has enough.
fn endless(stream: &mut TcpStream, head: &str, piece: &[u8]) -> std::io::Result<()> {
    stream.write_all(head.as_bytes())?;
    loop {
        stream.write_all(piece)?;
    }
}

/// Writes a body that has the length that it tells.
fn whole(stream: &mut TcpStream, head: &str, body: &str) -> std::io::Result<()> {
    let length = body.len();
    stream.write_all(
        format!("HTTP/1.1 {head}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}").as_bytes(),
    )
}

fn stalls(stream: &mut TcpStream, head: &str) -> std::io::Result<()> {
    stream.write_all(head.as_bytes())?;
    std::thread::sleep(Duration::from_secs(60));
    Ok(())
}

const OK: &str = "HTTP/1.1 200 OK\r\nETag: \"e\"\r\n";

/// None of these is the object `a` of nine bytes with the etag `e`, or keys below `p/`.
const LIES: &[(&str, Lie)] = &[
    ("nothing", |_| Ok(())),
    ("no HTTP", |s| s.write_all(b"SSH-2.0-OpenSSH_9.2\r\n")),
    ("another protocol", |s| s.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")),
    ("a status line alone", |s| s.write_all(b"HTTP/1.1 200 OK\r\n")),
    ("a status that is none", |s| s.write_all(b"HTTP/1.1 abc OK\r\n\r\n")),
    ("no body", |s| s.write_all(format!("{OK}Connection: close\r\n\r\n").as_bytes())),
    ("headers without end", |s| endless(s, OK, b"X-Header: 0123456789abcdef0123456789abcdef\r\n")),
    ("a header without end", |s| endless(s, &format!("{OK}X: "), &[b'x'; 4096])),
    ("interim answers without end", |s| endless(s, "", b"HTTP/1.1 100 Continue\r\n\r\n")),
    ("a negative length", |s| s.write_all(format!("{OK}Content-Length: -9\r\n\r\n123456789").as_bytes())),
    ("two lengths", |s| {
        s.write_all(format!("{OK}Content-Length: 9\r\nContent-Length: 5\r\n\r\n123456789").as_bytes())
    }),
    ("a length in words", |s| s.write_all(format!("{OK}Content-Length: nine\r\n\r\n123456789").as_bytes())),
    ("a length past all numbers", |s| {
        s.write_all(format!("{OK}Content-Length: 99999999999999999999\r\n\r\n1").as_bytes())
    }),
    ("a chunk that is none", |s| {
        s.write_all(format!("{OK}Transfer-Encoding: chunked\r\n\r\nxyz\r\n").as_bytes())
    }),
    ("a chunk past all numbers", |s| {
        endless(s, &format!("{OK}Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n"), &[b'x'; 4096])
    }),
    ("chunks that break off", |s| {
        s.write_all(format!("{OK}Transfer-Encoding: chunked\r\n\r\n5\r\n12345\r\n").as_bytes())
    }),
    ("chunks without end", |s| {
        endless(s, &format!("{OK}Transfer-Encoding: chunked\r\n\r\n"), b"5\r\n12345\r\n")
    }),
    ("a body that breaks off", |s| s.write_all(format!("{OK}Content-Length: 9\r\n\r\n12345").as_bytes())),
    ("a body without end", |s| endless(s, &format!("{OK}Connection: close\r\n\r\n"), &[b'x'; 4096])),
    ("silence", |s| stalls(s, "")),
    ("silence behind headers", |s| stalls(s, &format!("{OK}Content-Length: 9\r\n\r\n"))),
    ("silence in the body", |s| stalls(s, &format!("{OK}Content-Length: 9\r\n\r\n1234"))),
    ("a cut body whose length is right", |s| whole(s, "200 OK\r\nETag: \"e\"\r\n", "12345")),
    ("a longer body", |s| whole(s, "200 OK\r\nETag: \"e\"\r\n", "1234567890")),
    ("another etag", |s| whole(s, "200 OK\r\nETag: \"f\"\r\n", "123456789")),
    ("no etag", |s| whole(s, "200 OK\r\n", "123456789")),
    ("another range", |s| {
        whole(s, "206 Partial Content\r\nETag: \"e\"\r\nContent-Range: bytes 1-5/9\r\n", "12345")
    }),
    ("no content", |s| whole(s, "204 No Content\r\nETag: \"e\"\r\n", "")),
    ("not modified", |s| whole(s, "304 Not Modified\r\nETag: \"e\"\r\n", "")),
    ("a redirect to itself", |s| whole(s, "301 Moved Permanently\r\nLocation: /lake/a\r\n", "")),
    ("a redirect to somebody", |s| {
        whole(s, "307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/\r\n", "")
    }),
    ("another region each time", |s| {
        whole(s, "301 Moved Permanently\r\nx-amz-bucket-region: eu-west-1\r\n", "")
    }),
    ("an error without end", |s| {
        endless(s, "HTTP/1.1 500 No\r\nConnection: close\r\n\r\n<Error>", &[b'x'; 4096])
    }),
    ("throttling for ever", |s| whole(s, "503 Slow Down\r\n", "<Error><Code>SlowDown</Code></Error>")),
    ("an error that says it is none", |s| {
        whole(s, "200 OK\r\n", "<Error><Code>InternalError</Code></Error>")
    }),
    ("a page of a portal", |s| {
        whole(s, "200 OK\r\nContent-Type: text/html\r\n", "<!doctype html><title>Log in</title><p>x")
    }),
    ("a listing that breaks off", |s| whole(s, "200 OK\r\n", "<ListBucketResult><Contents><Key>p/a</Ke")),
    ("entities that multiply", |s| {
        let entities: String =
            (1..30).map(|i| format!("<!ENTITY e{i} \"&e{};&e{};\">", i - 1, i - 1)).collect();
        whole(
            s,
            "200 OK\r\n",
            &format!(
                "<?xml version=\"1.0\"?><!DOCTYPE x [<!ENTITY e0 \"x\">{entities}]><ListBucketResult><Contents><Key>&e29;</Key></Contents></ListBucketResult>"
            ),
        )
    }),
    ("elements within elements", |s| whole(s, "200 OK\r\n", &"<ListBucketResult><Contents>".repeat(50_000))),
    ("sizes that are none", |s| {
        whole(
            s,
            "200 OK\r\n",
            "<ListBucketResult><Contents><Key>p/a</Key><Size>-1x</Size></Contents></ListBucketResult>",
        )
    }),
    ("keys of others", |s| {
        whole(
            s,
            "200 OK\r\n",
            "<ListBucketResult><Contents><Key>../../etc/passwd</Key><Size>9</Size></Contents></ListBucketResult>",
        )
    }),
];

#[test]
fn no_answer_is_believed_hangs_or_grows() {
    with_credentials("no_answer_is_believed_hangs_or_grows", || {
        /// A call is asked to stop after this time, as whoever sees a run that does not go on would ask it.
        const PATIENCE: Duration = Duration::from_secs(4);
        /// What it may take then: it is longer than the store's own grace.
        const END: Duration = Duration::from_secs(25);
        assert!(LIES.len() > 27);
        std::thread::scope(|scope| {
            for (what, lie) in LIES {
                scope.spawn(move || {
                    let stop = Arc::new(AtomicBool::new(false));
                    let store = store_until(stop.clone(), move |_, stream| lie(stream));
                    let asked = stop.clone();
                    scope.spawn(move || {
                        std::thread::sleep(PATIENCE);
                        asked.store(true, std::sync::atomic::Ordering::Relaxed);
                    });
                    let began = std::time::Instant::now();
                    let go_on = || stop.load(std::sync::atomic::Ordering::Relaxed);
                    let whole = store.fetch("a", "e", 0..9, true).wait(&go_on);
                    assert!(whole.is_err(), "{what}: {whole:?}");
                    let part = store.fetch("a", "e", 2..9, false).wait(&go_on);
                    assert!(part.is_err(), "{what}: {part:?}");
                    let mut keys = Vec::new();
                    let _ = store.list_each("p/", &mut |object| keys.push(object.key));
                    assert!(keys.iter().all(|key| key.starts_with("p/")), "{what}: {keys:?}");
                    assert!(began.elapsed() < PATIENCE + END, "{what}: {:?}", began.elapsed());
                });
            }
        });
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak: u64 =
            peak.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok()).unwrap_or_default();
        assert!(peak < 512 << 10, "{peak} KiB");
    });
}
