//! An S3 server for tests and benchmarks: the protocol by `s3s`, which checks signatures, over objects in memory.
//!
//! It keeps what S3 promises (atomic conditional puts, checksums verified, listings in key order, a thousand keys a page,
//! archived objects unreadable until they are restored), and fails on request: latency, 503s, hangs, bodies cut short or corrupted, a store that ignores conditions.

mod denied;
mod faults;
mod memory;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Parser;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;
use tokio::net::TcpListener;

use crate::denied::Denied;
use crate::faults::{FaultArgs, Faults};
use crate::memory::{ArchiveArgs, MemoryStore};

/// An S3 server on loopback, for tests. It takes requests that are signed with the access key `flowquet-test` and the secret key
/// `flowquet-test-secret`.
#[derive(Debug, Parser)]
struct Args {
    /// Buckets to make
    #[arg(long, required = true)]
    bucket: Vec<String>,

    /// Folders whose files are put into a bucket at start: `BUCKET/PREFIX=DIR`
    #[arg(long, value_parser = loaded)]
    load: Vec<(String, PathBuf)>,

    /// Take conditional puts for plain ones, as some stores do
    #[arg(long)]
    ignore_conditions: bool,

    #[command(flatten)]
    denied: Denied,

    /// Threads of the server
    #[arg(long, default_value_t = 2)]
    threads: usize,

    #[command(flatten)]
    archives: ArchiveArgs,

    #[command(flatten)]
    faults: FaultArgs,
}

fn loaded(text: &str) -> Result<(String, PathBuf), String> {
    let (place, folder) = text.split_once('=').ok_or("expected BUCKET/PREFIX=DIR")?;
    Ok((place.to_owned(), folder.into()))
}

/// Key and secret that requests must be signed with.
const ACCESS_KEY: &str = "flowquet-test";
const SECRET_KEY: &str = "flowquet-test-secret";

fn main() {
    let args = Args::parse();
    let mut store =
        MemoryStore::new(&args.bucket, args.ignore_conditions, args.denied.clone(), args.archives.clone());
    for (place, folder) in &args.load {
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        store.load(bucket, prefix, folder);
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(args.threads).enable_all().build();
    runtime.expect("a runtime").block_on(serve(store, args.faults));
}

/// Serves for ever. The first line on standard output is the address.
async fn serve(store: MemoryStore, faults: FaultArgs) {
    let mut builder = S3ServiceBuilder::new(store);
    builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
    let service = builder.build();
    let faults = Arc::new(Faults::new(faults));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    announce(&format!("http://{}", listener.local_addr().expect("bound")));
    loop {
        let Ok((socket, _)) = listener.accept().await else { continue };
        let _ = socket.set_nodelay(true);
        let (service, faults) = (service.clone(), faults.clone());
        tokio::spawn(async move {
            let answer = service_fn(move |request: http::Request<Incoming>| {
                let (service, faults) = (service.clone(), faults.clone());
                async move { faults.answer(&service, request).await }
            });
            // A client that hangs up is none of our business.
            let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(socket), answer).await;
        });
    }
}

#[expect(clippy::print_stdout, reason = "the address is what the program that starts the server waits for")]
fn announce(address: &str) {
    println!("{address}");
}

/// Requests by method, for tests that count them.
pub(crate) type Tally = HashMap<String, u64>;
