//! The S3 store keeps the promises of a store, against this server well and ill, and against a server that we did not write.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ObjectStorageClass, RestoreRequest, StorageClass};
use flowquet_aws::AwsOptions;
use flowquet_store::{ErrorKind, Location, Permission, S3Options, Store, Stores, conformance};

/// A server process, ended with the test.
struct Server {
    process: Child,
    url: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn serve(args: &[&str]) -> Server {
    let mut process = Command::new(env!("CARGO_BIN_EXE_flowquet-s3server"))
        .args(["--bucket", "lake"])
        .args(args)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the server starts");
    let mut url = String::new();
    BufReader::new(process.stdout.take().expect("piped")).read_line(&mut url).expect("an address");
    Server { process, url: url.trim().to_owned() }
}

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
        .args([name, "--exact", "--include-ignored"])
        .envs(VARIABLES)
        .output()
        .expect("starts");
    assert!(inner.status.success(), "{}", String::from_utf8_lossy(&inner.stdout));
}

fn options(url: &str) -> S3Options {
    S3Options {
        endpoint_url: Some(url.to_owned()),
        timeout: Duration::from_secs(3),
        ..S3Options::new(Arc::default())
    }
}

fn store(url: &str, place: &str) -> Arc<dyn Store> {
    let place = Location::parse(place).expect("a place");
    Stores::new(options(url)).at(&place, "")
}

/// How often the server was asked for `what`.
fn count(server: &Server, what: &str) -> u64 {
    let tally = tally(server);
    let number = tally
        .split_once(&format!("\"{what}\": "))
        .map(|(_, rest)| rest.chars().take_while(char::is_ascii_digit).collect::<String>());
    number.and_then(|n| n.parse().ok()).unwrap_or_default()
}

/// The server's tally of requests.
fn tally(server: &Server) -> String {
    let address = server.url.trim_start_matches("http://");
    let mut stream = std::net::TcpStream::connect(address).expect("listening");
    let request = format!("GET /_tally HTTP/1.0\r\nHost: {address}\r\n\r\n");
    std::io::Write::write_all(&mut stream, request.as_bytes()).expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn conforms() {
    with_credentials("conforms", || {
        let server = serve(&[]);
        conformance::check(&store(&server.url, "s3://lake/some/prefix"));
        conformance::check(&store(&server.url, "s3://lake/"));
        let count = |what: &str| count(&server, what);
        assert!(count("COMPLETE") > 2);
        assert_eq!(count("CREATE"), count("COMPLETE") + count("ABORT"), "abandoned uploads are aborted");
    });
}

#[test]
fn conforms_while_requests_fail() {
    with_credentials("conforms_while_requests_fail", || {
        for faults in [
            ["--slow-down", "0.05", "--internal-error", "0.05"],
            ["--cut", "0.2", "--corrupt", "0.2"],
            ["--lost-answer", "0.1", "--latency-ms", "2"],
            ["--hang", "0.002", "--slow-down", "0.1"],
        ] {
            let server = serve(&faults);
            conformance::check(&store(&server.url, "s3://lake/x"));
        }
    });
}

#[test]
fn only_the_tail_is_listed() {
    with_credentials("only_the_tail_is_listed", || {
        let server = serve(&[]);
        let store = store(&server.url, "s3://lake/table");
        (0..1_100).for_each(|i| store.put(&format!("plans/{i:08}"), b"").expect("put"));
        let list = |after: &str| {
            let (before, mut keys) = (count(&server, "LIST"), Vec::new());
            store.list_after("plans", after, &mut |object| keys.push(object.key)).expect("list");
            (count(&server, "LIST") - before, keys)
        };
        assert_eq!(
            list("plans/00001097"),
            (1, vec!["plans/00001098".to_owned(), "plans/00001099".to_owned()])
        );
        assert_eq!(list("plans/00001099"), (1, Vec::new()));
        let (requests, keys) = list("plans/00000049");
        assert_eq!((requests, keys.len()), (2, 1_050));
        assert!(keys.is_sorted() && keys[0] == "plans/00000050");
    });
}

#[test]
fn archived_objects_are_restored_before_they_are_read() {
    with_credentials("archived_objects_are_restored_before_they_are_read", || {
        let server = serve(&[]);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(archive_and_restore(&server));
        let archived = store(&server.url, "s3://lake/archive").get("new").expect_err("archived");
        assert_eq!(archived.kind(), ErrorKind::Archived, "{archived}");
    });
}

async fn archive_and_restore(server: &Server) {
    let options = AwsOptions { endpoint_url: Some(server.url.clone()), ..AwsOptions::default() };
    let config = aws_sdk_s3::config::Builder::from(&flowquet_aws::load(&options).await);
    let s3 = Client::from_conf(config.force_path_style(true).build());
    let put = |key: &str, class: StorageClass| {
        let request = s3.put_object().bucket("lake").key(key).storage_class(class);
        request.body(ByteStream::from_static(b"archived")).send()
    };
    let head = |key: &str| s3.head_object().bucket("lake").key(key).send();
    let restore = |key: &str| {
        let days = RestoreRequest::builder().days(1).build();
        s3.restore_object().bucket("lake").key(key).restore_request(days).send()
    };
    for class in [StorageClass::Glacier, StorageClass::DeepArchive] {
        let key = format!("archive/{class}");
        put(&key, class.clone()).await.expect("put");
        let archived = head(&key).await.expect("head");
        assert_eq!((archived.storage_class(), archived.restore()), (Some(&class), None));
        let refused = s3.get_object().bucket("lake").key(&key).send().await.expect_err("archived");
        assert_eq!(refused.raw_response().expect("an answer").status().as_u16(), 403);
        assert!(refused.into_service_error().is_invalid_object_state());
        let copied = s3.copy_object().bucket("lake").key("copy").copy_source(format!("lake/{key}")).send();
        copied.await.expect_err("archived");
        restore(&key).await.expect("restored");
        let restored = head(&key).await.expect("head");
        assert_eq!(restored.e_tag(), archived.e_tag(), "it is the same object");
        assert_eq!(restored.storage_class(), Some(&class));
        let told = restored.restore().expect("restored");
        assert!(told.starts_with("ongoing-request=\"false\", expiry-date=\""), "{told}");
        let got = s3.get_object().bucket("lake").key(&key).send().await.expect("restored");
        assert_eq!(got.body.collect().await.expect("whole").into_bytes(), "archived");
        let copied = s3.copy_object().bucket("lake").key("copy").copy_source(format!("lake/{key}")).send();
        copied.await.expect("restored");
        assert_eq!(
            head("copy").await.expect("head").storage_class(),
            None,
            "a copy is of the standard class"
        );
    }
    put("standard", StorageClass::Standard).await.expect("put");
    put("instant", StorageClass::GlacierIr).await.expect("put");
    restore("standard").await.expect_err("it is no archive");
    let listed = s3.list_objects_v2().bucket("lake").send().await.expect("listed");
    let classes: Vec<_> =
        listed.contents().iter().filter_map(|o| Some((o.key()?, o.storage_class()?))).collect();
    assert_eq!(
        classes,
        [
            ("archive/DEEP_ARCHIVE", &ObjectStorageClass::DeepArchive),
            ("archive/GLACIER", &ObjectStorageClass::Glacier),
            ("copy", &ObjectStorageClass::Standard),
            ("instant", &ObjectStorageClass::GlacierIr),
            ("standard", &ObjectStorageClass::Standard),
        ]
    );
    put("archive/new", StorageClass::Glacier).await.expect("put");
}

#[test]
fn a_store_that_ignores_conditions_is_found_out() {
    with_credentials("a_store_that_ignores_conditions_is_found_out", || {
        let server = serve(&["--ignore-conditions"]);
        let store = store(&server.url, "s3://lake/x");
        assert!(!store.honours_conditions().expect("a probe"));
        assert_eq!(store.list("").expect_err("the probe is gone").kind(), ErrorKind::NotFound);
        conformance::check(&store);
    });
}

#[test]
fn the_region_of_a_bucket_is_found() {
    with_credentials("the_region_of_a_bucket_is_found", || {
        let server = serve(&["--region", "eu-central-1"]);
        let place = Location::parse("s3://lake/x").expect("a place");
        let connect = |region: Option<&str>| {
            Stores::new(S3Options { region: region.map(str::to_owned), ..options(&server.url) })
                .at(&place, "")
        };
        connect(Some("eu-central-1")).put("a", b"1").expect("put");
        connect(None).put("b", b"1").expect("put");
        let wrong = connect(Some("us-west-2")).put("c", b"1").expect_err("wrong");
        assert_eq!(wrong.kind(), ErrorKind::WrongRegion);
        assert!(wrong.to_string().contains("eu-central-1"), "{wrong}");
    });
}

#[test]
fn errors_say_what_and_where() {
    with_credentials("errors_say_what_and_where", || {
        let server = serve(&["--deny-writes", "lake/locked"]);
        let store = store(&server.url, "s3://lake/locked");
        let denied = store.put("a", b"1").expect_err("denied");
        assert_eq!(denied.kind(), ErrorKind::Denied);
        assert_eq!(
            denied.to_string(),
            "write `s3://lake/locked/a`: access denied: AccessDenied: Access Denied"
        );
        assert_eq!(denied.permission(), Permission::Write);
        let missing = store.get("none").expect_err("nothing there");
        assert_eq!(missing.to_string(), "read `s3://lake/locked/none`: no such object or prefix");
        let no_bucket =
            Stores::new(options(&server.url)).at(&Location::parse("s3://absent/x").expect("a place"), "");
        assert_eq!(no_bucket.put("a", b"1").expect_err("no bucket").kind(), ErrorKind::NoBucket);
        let nobody = Stores::new(options("http://127.0.0.1:1"))
            .at(&Location::parse("s3://lake/x").expect("a place"), "");
        assert_eq!(nobody.get("a").expect_err("nobody listens").kind(), ErrorKind::Unreachable);
    });
}

#[test]
#[ignore = "needs moto; ./test runs it"]
fn conforms_against_moto() {
    with_credentials("conforms_against_moto", || {
        let url = std::env::var("FLOWQUET_TEST_S3").expect("the URL of a server that has the bucket `lake`");
        conformance::check(&store(&url, "s3://lake/some/prefix"));
    });
}
