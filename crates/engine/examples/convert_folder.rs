//! Converts a folder of flow logs into a table, as a program of yours might: no command line, no terminal.
//!
//! `cargo run -p flowquet-engine --example convert_folder -- tests/sample out/example`

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use flowquet_engine::{Budget, Copies, Event, Request, Resume, convert};
use flowquet_format::KeyFilter;
use flowquet_sources::Source;
use flowquet_store::{LocalStore, Location, Store, Stores};
use flowquet_table::{Log, Options, STAGING};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let (Some(logs), Some(table)) = (args.next(), args.next()) else {
        return Err("expected a folder of logs, and one for the table".into());
    };
    let out: Arc<dyn Store> = Arc::new(LocalStore::new(&std::path::absolute(Path::new(&table))?, STAGING));
    // What the table was made with holds for every run.
    let contract = Log::find_contract(out.as_ref())?;
    let request = Request {
        sources: vec![Source::At(Location::parse(&logs)?)],
        filter: KeyFilter::default(),
        stores: Arc::new(Stores::of(BTreeMap::new())),
        out,
        contract,
        options: Options::default(),
        enrich: Vec::new(),
        budget: Budget::new(2, None, false, false)?,
        max_rejects: None,
        resume: Resume::All,
        copies: Copies::Skip,
    };
    let mut words = std::io::stdout().lock();
    // Events come from any thread.
    let observer = |event: &Event<'_>| {
        if let Event::Warning(text) = event {
            let _ = writeln!(std::io::stderr(), "warning: {text}");
        }
    };
    let stop = AtomicBool::new(false);
    let run = convert(&request, &mut std::io::empty(), &observer, &stop)?;
    let counts = &run.summary.counts;
    writeln!(words, "{} lines, {} records, {} rejects", counts.lines, counts.records, counts.rejects)?;
    // An error that stopped the run comes with what was done before it.
    run.error.map_or(Ok(()), |error| Err(error.into()))
}
