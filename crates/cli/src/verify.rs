//! `flowquet verify`.

mod text;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flowquet_command::machine::threads;
use flowquet_engine::{
    Choice, Fault, Pointers, ReconvertRequest, Repaired, Share, Trouble, Verified, VerifyRequest, repair,
    verify,
};
use flowquet_sources::Source;
use flowquet_store::{Location, S3_SCHEME, Stores};
use indicatif::HumanCount;
use serde::Serialize;

use crate::args::VerifyArgs;
use crate::beside;
use crate::catalog::{catalogued, glue};
use crate::exit::Exit;
use crate::failure::engine_failure;
use crate::logs::has_bar;
use crate::metrics::{Measured, of_verification};
use crate::output::{Failure, counted, put, say};
use crate::places::table_store;
use crate::reporter::{Reporter, Work};
use crate::resources::budget;
use crate::run_report::RunReport;
use crate::signals::{listen_for_signals, stop};

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    exit: u8,
    outcome: &'static str,
    #[serde(flatten)]
    verified: &'a Verified,
    /// Objects that are proven to be in the table, where it was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    safe_objects: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repaired: Option<&'a Repaired>,
}

pub(crate) fn run(args: &VerifyArgs) -> Result<Exit, Failure> {
    listen_for_signals();
    let stores = args.s3.stores();
    let run_report = RunReport::of_command(Measured::Verify, &args.run_report, false, &args.out, &stores)?;
    let mut done = None;
    let ended = look(args, stores, &run_report, &mut done);
    let report = done.as_ref().map(|done: &Done| done.report(args));
    let samples = done
        .as_ref()
        .map(|done| of_verification(&done.verified, args.list_safe.is_some(), done.repaired.as_ref()));
    run_report.end(ended, report.as_ref(), samples.unwrap_or_default())
}

/// What a verification came to.
struct Done {
    verified: Verified,
    repaired: Option<Repaired>,
    exit: Exit,
}

impl Done {
    fn report(&self, args: &VerifyArgs) -> Report<'_> {
        Report {
            exit: self.exit.code(),
            outcome: self.exit.name(),
            verified: &self.verified,
            safe_objects: args.list_safe.is_some().then_some(self.verified.safe.len() as u64),
            repaired: self.repaired.as_ref(),
        }
    }
}

fn look(
    args: &VerifyArgs,
    stores: Arc<Stores>,
    run_report: &RunReport,
    came_to: &mut Option<Done>,
) -> Result<Exit, Failure> {
    if args.source.contains(&Source::Stdin) {
        return Err(Failure::message(Exit::Usage, "--source: standard input cannot be read again", None));
    }
    if let Some(path) = &args.list_safe {
        beside::check_place(&Location::Local(path.clone()), "--list-safe", "list")?;
        let is_local = |source: &Source| matches!(source, Source::At(at) if !at.is_s3());
        if is_manifest(path) && args.source.iter().any(is_local) {
            let message =
                "a manifest for S3 Batch Operations names objects of S3, and --source is a local folder";
            let hint = "give --list-safe a file that does not end in .csv";
            return Err(Failure::message(Exit::Usage, message, Some(hint)));
        }
    }
    let out = table_store(&stores, &args.out);
    // Which raw logs a table has come from is not known yet: any may be remote.
    let budget = budget(threads(args.threads), args.memory, true, args.out.is_s3())?;
    let pointers = if args.repair { glue(&args.glue, &args.s3, out.as_ref())? } else { None };
    if pointers.is_some() {
        catalogued(&args.out)?;
    }
    let request = VerifyRequest {
        out: out.clone(),
        stores: stores.clone(),
        sources: args.source.clone(),
        filter: args.filter.filter()?,
        data: if args.read_data { Some(Share::All) } else { args.read_data_subset },
        deep: args.deep,
        budget,
    };
    let reporter = Reporter::new(Work::Verifying, args.quiet, has_bar());
    let verified = verify(&request, &run_report.observer(&reporter), stop());
    reporter.finish();
    let verified = verified.map_err(|e| engine_failure(&e))?;
    if let Some(path) = &args.list_safe {
        write_list(&stores, path, &verified.safe)?;
    }
    let mut repaired = None;
    let mut failure = None;
    // A roll-up is made anew of its table, not of raw logs.
    if args.repair && verified.rollup_of.is_none() {
        let reporter = Reporter::new(Work::Converting, args.quiet, has_bar());
        let (choice, change) = (Choice::default(), flowquet_engine::Change::default());
        let grace = Duration::from_secs(u64::from(args.grace));
        let request = ReconvertRequest {
            out,
            stores,
            choice,
            change,
            enrich: Vec::new(),
            budget,
            grace,
            dry_run: false,
        };
        let pointers = pointers.as_ref().map(|p| p as &dyn Pointers);
        let done = repair(request, &verified, pointers, &run_report.observer(&reporter), stop());
        reporter.finish();
        match done {
            Ok(done) => repaired = done,
            Err(error) => failure = Some(engine_failure(&error)),
        }
    }
    let exit = exit_of(&verified, repaired.as_ref());
    let done = &*came_to.insert(Done { verified, repaired, exit });
    if args.json {
        let report = done.report(args);
        put(&format!("{}\n", serde_json::to_string_pretty(&report).expect("plain values with text keys")))?;
    } else if !args.quiet {
        put(&text::of(args, &done.verified, done.repaired.as_ref(), exit))?;
    } else if exit != Exit::Success {
        say(&format!("flowquet: {}: {} (exit {})", args.out, text::sum(&done.verified), exit.code()));
    }
    failure.map_or(Ok(exit), Err)
}

/// The exit code of what was found and not repaired.
fn exit_of(verified: &Verified, repaired: Option<&Repaired>) -> Exit {
    let is_repaired = |fault: Fault, place: &String| {
        fault.is_mendable() && repaired.is_some_and(|r| r.files.contains(place))
    };
    let left = verified.findings.iter().filter(|f| !is_repaired(f.fault, &f.place));
    match left.map(|f| f.fault.trouble()).min().unwrap_or(Trouble::None) {
        Trouble::Records => Exit::RecordsDamaged,
        Trouble::Files => Exit::FilesDamaged,
        Trouble::Sources => Exit::SourcesDiffer,
        Trouble::Left => Exit::ObjectsLeft,
        Trouble::None => Exit::Success,
    }
}

/// Whether a list is one for S3 Batch Operations.
fn is_manifest(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("csv"))
}

/// Writes the URLs of proven objects.
fn write_list(stores: &Stores, path: &Path, urls: &[String]) -> Result<(), Failure> {
    let mut text = String::new();
    for url in urls {
        match is_manifest(path) {
            false => text.push_str(url),
            true => {
                let rest = url.strip_prefix(S3_SCHEME).and_then(|rest| rest.split_once('/'));
                let (bucket, key) = rest.expect("sources are in S3: it was checked before they were listed");
                text.push_str(bucket);
                text.push(',');
                text.push_str(&url_encoded(key));
            }
        }
        text.push('\n');
    }
    beside::write(stores, &Location::Local(path.to_owned()), &text)
}

/// A key as manifests of S3 Batch Operations have it.
fn url_encoded(key: &str) -> String {
    let mut text = String::with_capacity(key.len());
    for byte in key.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => {
                text.push(byte as char)
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

/// The command that looks at the table, for a hint.
fn command(out: &Location, options: &str) -> String {
    format!("flowquet verify {out}{options}")
}

/// `3 objects`, for the end of a line.
fn objects(n: u64) -> String {
    counted(n, "object")
}

/// `12`, grouped.
fn grouped(n: u64) -> HumanCount {
    HumanCount(n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_url_encoded() {
        assert_eq!(url_encoded("AWSLogs/1/a b,c\"é.log.gz"), "AWSLogs/1/a%20b%2Cc%22%C3%A9.log.gz");
    }
}
