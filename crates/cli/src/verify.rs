//! `flowquet verify`.

mod text;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flowquet_command::machine::threads;
use flowquet_engine::{
    AcceptedLosses, Budget, Choice, Error, Fault, LossRequest, Observer, Pointers, ReconvertRequest,
    Regained, Repaired, RestoredRejects, Share, Trouble, Verified, VerifyRequest, repair, verify,
};
use flowquet_sources::Source;
use flowquet_store::{Location, S3_SCHEME, Store, Stores};
use flowquet_table::Loss;
use indicatif::HumanCount;
use serde::Serialize;

use crate::args::VerifyArgs;
use crate::beside;
use crate::catalog::{catalogued, glue};
use crate::clock::{now_s, time_text};
use crate::exit::Exit;
use crate::failure::engine_failure;
use crate::logs::has_bar;
use crate::metrics::{Measured, of_verification};
use crate::output::{Failure, counted, put, say, shown};
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
    /// Why the sources could not be listed.
    #[serde(skip_serializing_if = "Option::is_none")]
    unlisted: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repaired: Option<&'a Repaired>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    rewritten: &'a [String],
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    replaced: &'a BTreeSet<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    accepted: Option<&'a AcceptedLosses>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    regained: &'a [String],
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    restored_rejects: &'a [String],
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
        .map(|done| of_verification(&done.verified, args.list_safe.is_some(), done.mended.repaired.as_ref()));
    run_report.end(ended, report.as_ref(), samples.unwrap_or_default())
}

/// What a verification came to.
struct Done {
    verified: Verified,
    mended: Mended,
    exit: Exit,
}

/// What was done about what was found.
#[derive(Default)]
struct Mended {
    repaired: Option<Repaired>,
    /// Files that were written anew of their own rows.
    rewritten: Vec<String>,
    /// Files that another run replaced after they were found.
    replaced: BTreeSet<String>,
    accepted: Option<AcceptedLosses>,
    regained: Regained,
    restored: RestoredRejects,
}

impl Mended {
    /// Whether anything was done.
    fn is_any(&self) -> bool {
        self.repaired.is_some()
            || !self.rewritten.is_empty()
            || !self.replaced.is_empty()
            || self.accepted.as_ref().is_some_and(AcceptedLosses::is_any)
            || !self.regained.files.is_empty()
            || !self.restored.files.is_empty()
    }

    /// Whether there is no fault in the file of this key any more.
    fn has(&self, key: &String) -> bool {
        self.repaired.as_ref().is_some_and(|r| r.files.contains(key))
            || self.rewritten.contains(key)
            || self.replaced.contains(key)
            || self.restored.files.contains(key)
            || self.accepted.as_ref().is_some_and(|a| a.has(key))
    }
}

impl Done {
    fn report(&self, args: &VerifyArgs) -> Report<'_> {
        Report {
            exit: self.exit.code(),
            outcome: self.exit.name(),
            verified: &self.verified,
            safe_objects: (args.list_safe.is_some() && self.verified.unlisted.is_none())
                .then_some(self.verified.safe.len() as u64),
            unlisted: self.verified.unlisted.as_ref().map(|error| error.to_string()),
            repaired: self.mended.repaired.as_ref(),
            rewritten: &self.mended.rewritten,
            replaced: &self.mended.replaced,
            accepted: self.mended.accepted.as_ref(),
            regained: &self.mended.regained.files,
            restored_rejects: &self.mended.restored.files,
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
    let writes = args.repair || args.accept_loss.is_some();
    let pointers = if writes { glue(&args.glue, &args.s3, out.as_ref())? } else { None };
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
    let mut verified = verified.map_err(|e| engine_failure(&e))?;
    if let Some(path) = args.list_safe.as_ref().filter(|_| verified.unlisted.is_none()) {
        write_list(&stores, path, &verified.safe)?;
    }
    let (mut mended, mut failure) = (Mended::default(), None);
    if writes {
        let pointers = pointers.as_ref().map(|p| p as &dyn Pointers);
        let reporter = Reporter::new(Work::Converting, args.quiet, has_bar());
        let observer = run_report.observer(&reporter);
        let mending = Mending { args, stores: &stores, out, budget, pointers, observer: &observer };
        failure = mending.mend(&verified, &mut mended).err();
        reporter.finish();
        verified.amend(&mended.regained.damaged);
        verified.lost_rejects.retain(|lost| !mended.restored.files.contains(&lost.key));
    }
    let exit = exit_of(&verified, &mended);
    let done = &*came_to.insert(Done { verified, mended, exit });
    if args.json {
        let report = done.report(args);
        put(&format!("{}\n", serde_json::to_string_pretty(&report).expect("plain values with text keys")))?;
    } else if !args.quiet {
        put(&text::of(args, &done.verified, &done.mended, exit))?;
    } else if exit != Exit::Success {
        say(&format!("flowquet: {}: {} (exit {})", args.out, text::sum(&done.verified), exit.code()));
    }
    if let Some(failure) = failure {
        return Err(failure);
    }
    match &done.verified.unlisted {
        // What is wrong with the table counts for more.
        Some(error) if exit != Exit::Failed => {
            say(&format!("warning: {}", shown(&error.to_string())));
            Ok(exit)
        }
        Some(error) => Err(engine_failure(error)),
        None => Ok(exit),
    }
}

/// How what was found is mended.
struct Mending<'a> {
    args: &'a VerifyArgs,
    stores: &'a Arc<Stores>,
    out: Arc<dyn Store>,
    budget: Budget,
    pointers: Option<&'a dyn Pointers>,
    observer: &'a dyn Observer,
}

impl Mending<'_> {
    /// Does what was asked for.
    fn mend(&self, verified: &Verified, mended: &mut Mended) -> Result<(), Failure> {
        self.mend_files(verified, mended)?;
        match mended.restored.error.take() {
            Some(Error::NotRebuilt { .. }) if self.args.accept_loss.is_some() => Ok(()),
            Some(error) => Err(engine_failure(&error)),
            None => Ok(()),
        }
    }

    /// Files that have come back first, then those that are gone for good, so that the others can be rebuilt.
    fn mend_files(&self, verified: &Verified, mended: &mut Mended) -> Result<(), Failure> {
        let Self { pointers, observer, .. } = *self;
        let grace = Duration::from_secs(u64::from(self.args.grace));
        let losses = LossRequest { out: self.out.clone(), stores: self.stores.clone(), grace };
        let loss =
            self.args.accept_loss.clone().map(|reason| Loss { reason, accepted_at: time_text(now_s()) });
        let accept = |verified: &Verified, tried| match &loss {
            Some(loss) => losses.accept(verified, loss, tried, pointers, observer, stop()),
            None => Ok(None),
        };
        let failed = |error: Error| engine_failure(&error);
        if self.args.repair {
            mended.regained = losses.regain(verified, observer, stop()).map_err(failed)?;
            mended.restored =
                losses.restore_rejects(verified, self.budget, observer, stop()).map_err(failed)?;
        }
        mended.accepted = accept(verified, None).map_err(failed)?;
        // A roll-up is made anew of its table, not of raw logs.
        if !self.args.repair || verified.rollup_of.is_some() {
            return Ok(());
        }
        let mut left = verified.clone();
        left.findings.retain(|finding| !mended.has(&finding.place));
        let request = ReconvertRequest {
            out: self.out.clone(),
            stores: self.stores.clone(),
            choice: Choice::default(),
            change: flowquet_engine::Change::default(),
            enrich: Vec::new(),
            budget: self.budget,
            grace,
            dry_run: false,
        };
        let done = repair(request, &left, pointers, observer, stop()).map_err(failed)?;
        (mended.repaired, mended.rewritten) = (done.repaired, done.rewritten);
        mended.replaced = done.replaced;
        let Some(error) = done.error else { return Ok(()) };
        if loss.is_none() || done.beyond.is_empty() {
            return Err(failed(error));
        }
        say(&format!("warning: {}", shown(&error.to_string())));
        let more = accept(&left, Some(&done.beyond)).map_err(failed)?.unwrap_or_default();
        mended.accepted.get_or_insert_default().add(more);
        if matches!(error, Error::RecordsDiffer { .. }) { Err(failed(error)) } else { Ok(()) }
    }
}

/// The exit code of what was found and not mended.
fn exit_of(verified: &Verified, mended: &Mended) -> Exit {
    let is_mended = |fault: Fault, place: &String| fault.is_mendable() && mended.has(place);
    let left = verified.findings.iter().filter(|f| !is_mended(f.fault, &f.place));
    match left.map(|f| f.fault.trouble()).min().unwrap_or(Trouble::None) {
        Trouble::None if verified.unlisted.is_some() => Exit::Failed,
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
