//! A server that means harm, or is broken: what it answers is compared with what was asked for, and never read past it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use flowquet_store::{Error, ErrorKind, Location, S3Options, Store, Stores};

/// Nobody asks to stop.
static STOP: AtomicBool = AtomicBool::new(false);

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
        S3Options { endpoint_url: Some(url), timeout: Duration::from_millis(200), ..S3Options::new(&STOP) };
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
        // Cut by a gateway that makes the length right; longer than listed; and without an end.
        let cut =
            store(move |_, stream| stream.write_all(format!("{}12345", head(&length(5), "")).as_bytes()));
        told(
            cut.fetch("a", "e", 0..9, true).wait(&go_on),
            ErrorKind::Unavailable,
            "expected 9 bytes, found 5",
        );
        told(
            cut.fetch("a", "e", 2..9, false).wait(&go_on),
            ErrorKind::Unavailable,
            "expected 7 bytes, found 5",
        );
        let long = store(move |_, stream| stream.write_all(head(&length(50_000_000_000), "").as_bytes()));
        told(
            long.fetch("a", "e", 0..9, true).wait(&go_on),
            ErrorKind::Unavailable,
            "expected at most 9 bytes",
        );
        told(long.fetch("a", "", 0..9, true).wait(&go_on), ErrorKind::Changed, "changed");
        told(long.get("a"), ErrorKind::Unavailable, "expected at most 4294967296 bytes");
        let endless = store(move |_, stream| {
            stream.write_all(head("Transfer-Encoding: chunked\r\n", "").as_bytes())?;
            loop {
                stream.write_all(b"5\r\n12345\r\n")?;
            }
        });
        told(endless.fetch("a", "e", 0..9, true).wait(&go_on), ErrorKind::Unavailable, "found more");
        let elsewhere = store(move |_, stream| {
            let range = "Content-Range: bytes 20-24/90\r\n";
            stream.write_all(format!("{}12345", head(&length(5), range)).as_bytes())
        });
        let fetched = elsewhere.fetch("a", "e", 0..5, false).wait(&go_on);
        told(fetched, ErrorKind::Unavailable, "expected bytes 0-4/");
        let right =
            store(move |_, stream| stream.write_all(format!("{}12345", head(&length(5), "")).as_bytes()));
        assert_eq!(right.fetch("a", "e", 0..5, true).wait(&go_on).expect("right")[..], b"12345"[..]);
        let mut read = Vec::new();
        right.read("a").map(|mut r| r.read_to_end(&mut read)).expect("opens").expect("right");
        assert_eq!(read, b"12345");
    });
}
