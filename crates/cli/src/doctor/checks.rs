//! What is tried, in the order of what rests on what.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use flowquet_catalog::{ErrorKind as GlueErrorKind, Glue};
use flowquet_command::machine::{share_of_machine, threads};
use flowquet_ec2::{ErrorKind as AwsErrorKind, WhoAmI, who_am_i};
use flowquet_engine::MEMORY_MIN;
use flowquet_sources::{lies_within, same_place};
use flowquet_store::{
    Entry, Error, ErrorKind, FILE_SCHEME, Location, ObjectMeta, ProbeStep, Probed, Store, Stores, free_bytes,
    probe, probe_folder,
};
use flowquet_table::CONTRACT_KEY;
use indicatif::HumanBytes;
use serde_json::Value;

use super::policy;
use super::{Line, State};
use crate::args::DoctorArgs;
use crate::failure::{hint_of_catalog, hint_of_ec2};
use crate::output::counted;
use crate::places::absolute;
use crate::signals::stop;

/// Signatures are refused where clocks differ by a quarter of an hour (docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html,
/// `RequestTimeTooSkewed`); long before that something is wrong.
const SKEW_BAD_S: i64 = 900;
const SKEW_NOTE_S: i64 = 60;

/// Free disk that is little for a table.
const DISK_NOTE: u64 = 1 << 30;

/// Who asks, as far as it is known.
struct Caller {
    region: String,
    /// `*` where it is not known.
    account: String,
}

/// All of it.
pub(super) fn lines(args: &DoctorArgs) -> Vec<Line> {
    let mut lines = Vec::new();
    let is_remote = |location: &Location| location.is_s3();
    let speaks_s3 = args.source.iter().chain(&args.out).any(is_remote);
    let mut caller = Caller { region: "*".to_owned(), account: "*".to_owned() };
    if args.s3.endpoint().is_some() && args.glue.database.is_none() {
        if speaks_s3 {
            let what = "not checked: --endpoint-url names a store other than AWS's";
            lines.push(Line::new("credentials", State::Unknown, what));
        }
    } else if speaks_s3 || args.glue.database.is_some() {
        let who = who_am_i(&args.s3.glue(None));
        caller.region.clone_from(&who.region);
        if let Ok(identity) = &who.identity {
            caller.account.clone_from(&identity.account);
        }
        lines.extend(if is_elsewhere(&who) {
            let what = "not checked: AWS_ENDPOINT_URL names a store other than AWS's, which has no STS";
            vec![Line::new("credentials", State::Unknown, what)]
        } else {
            of_identity(&who)
        });
    }
    let stores = args.s3.stores();
    for source in &args.source {
        of_source(&stores, source, &caller, &mut lines);
        lines.extend(args.out.as_ref().and_then(|out| of_places(source, out)));
    }
    if let Some(out) = &args.out {
        match out {
            Location::Local(path) => of_folder(&absolute(path), &mut lines),
            Location::S3 { .. } => of_prefix(&stores, out, &caller, &mut lines),
        }
    }
    of_catalog(args, &caller, &mut lines);
    of_machine(&mut lines);
    lines
}

/// Whether who was asked is no STS, since all services are said to be at another store.
fn is_elsewhere(who: &WhoAmI) -> bool {
    let is_set = std::env::var_os("AWS_ENDPOINT_URL").is_some_and(|url| !url.is_empty());
    is_set && who.identity.as_ref().is_err_and(|error| error.kind() == AwsErrorKind::NotImplemented)
}

fn of_identity(who: &WhoAmI) -> Vec<Line> {
    let mut lines = Vec::new();
    lines.push(match &who.identity {
        Ok(identity) => {
            Line::new("credentials", State::Good, format!("{} in account {}", identity.arn, identity.account))
        }
        Err(error) => {
            let state = match error.kind() {
                AwsErrorKind::Unavailable | AwsErrorKind::Throttled => State::Unknown,
                _ => State::Bad,
            };
            let hint = hint_of_ec2(error).filter(|_| state == State::Bad);
            let hint = hint.map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
            Line::new("credentials", state, format!("{error}{hint}"))
        }
    });
    lines.push(Line::new(
        "region",
        State::Good,
        format!("{}, as configured; each bucket's own is detected", who.region),
    ));
    lines.push(match who.ahead_s {
        None => Line::new("clock", State::Unknown, "no service reported the time"),
        Some(ahead_s) => {
            let off = ahead_s.unsigned_abs();
            let way = if ahead_s < 0 { "behind" } else { "ahead" };
            let (state, more) = match ahead_s.abs() {
                SKEW_BAD_S.. => (State::Bad, "; signatures are refused: set the clock"),
                SKEW_NOTE_S.. => (State::Note, "; signatures are refused from 15 minutes on"),
                _ => (State::Good, ""),
            };
            Line::new("clock", state, format!("{} {way}, by AWS's{more}", counted(off, "second")))
        }
    });
    lines
}

/// A line of what a store said.
fn of_store(check: &'static str, result: Result<(), &Error>, good: &str, policy: Option<Value>) -> Line {
    match result {
        Ok(()) => Line::new(check, State::Good, good),
        Err(error) => {
            let state = if error.kind().is_transient() { State::Later } else { State::Bad };
            let mut line = Line::new(check, state, words_of(error));
            // What a key denies no permission in the store helps with.
            let key = policy::key(&line.what);
            line.policy = key.or(policy).filter(|_| error.kind() == ErrorKind::Denied);
            if error.kind() == ErrorKind::Denied && error.is_s3() && check.ends_with(" source") {
                line.what.push_str("; a Requester Pays bucket needs --requester-pays, too");
            }
            line
        }
    }
}

fn words_of(error: &Error) -> String {
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        words.push_str(&format!(": {error}"));
        cause = error.source();
    }
    words
}

/// The first object below a store's root.
fn first_object(store: &dyn Store) -> Result<Option<ObjectMeta>, Error> {
    let mut first = None;
    store.walk("", "", false, &mut |entry| match entry {
        Entry::Object(object) => {
            first = Some(object);
            ControlFlow::Break(())
        }
        _ => ControlFlow::Continue(()),
    })?;
    Ok(first)
}

/// What is wrong with a source and a table that share a place.
fn of_places(source: &Location, out: &Location) -> Option<Line> {
    let out_url = match out {
        Location::Local(path) => format!("{FILE_SCHEME}{}", absolute(path).display()),
        s3 => s3.to_string(),
    };
    let is_same = same_place(source, &out_url);
    (is_same || lies_within(source, &out_url)).then(|| {
        let how = if is_same { "is" } else { "lies within" };
        let what = format!("{source} {how} the table {out}: give the table a place of its own");
        Line::new("places", State::Bad, what)
    })
}

fn of_source(stores: &Stores, source: &Location, caller: &Caller, lines: &mut Vec<Line>) {
    // A single file is the only one in its folder that matters.
    let (store, key) = match source {
        Location::Local(path) if !path.is_dir() => {
            let path = absolute(path);
            let folder = path.parent().map_or_else(|| PathBuf::from("/"), Path::to_path_buf);
            let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
            (stores.at(&Location::Local(folder), ""), name)
        }
        Location::Local(path) => (stores.at(&Location::Local(absolute(path)), ""), None),
        s3 => (stores.at(s3, ""), None),
    };
    let place = policy::place(source);
    let first = match key {
        Some(key) => store.head(&key).map(Some),
        None => first_object(store.as_ref()),
    };
    let policy = place.as_ref().map(|(bucket, prefix)| policy::list(&caller.region, bucket, prefix));
    lines.push(of_store("list source", first.as_ref().map(drop), &source.to_string(), policy));
    let Ok(first) = first else { return };
    let Some(object) = first else {
        lines.push(Line::new(
            "read source",
            State::Bad,
            format!("nothing is below {source}, and `flowquet convert` would stop: check the path"),
        ));
        return;
    };
    if object.bytes == 0 {
        lines.push(Line::new("read source", State::Unknown, format!("{} is empty", object.url)));
        return;
    }
    let read = store.fetch(&object.key, "", 0..1, false);
    let read = read.wait(&|| stop().load(std::sync::atomic::Ordering::Relaxed));
    if read.as_ref().is_err_and(|error| error.kind() == ErrorKind::Archived) {
        let what = format!(
            "{} is archived: `flowquet plan` shows the cost of restoring, `flowquet convert --restore` requests it",
            object.url
        );
        lines.push(Line::new("read source", State::Note, what));
        let what = "not tried, since it costs money; `flowquet convert --restore` needs";
        let mut line = Line::new("restore source", State::Unknown, what);
        line.policy = place
            .map(|(bucket, prefix)| policy::objects(&caller.region, bucket, &prefix, "s3:RestoreObject"));
        lines.push(line);
        return;
    }
    let policy =
        place.map(|(bucket, prefix)| policy::objects(&caller.region, bucket, &prefix, "s3:GetObject"));
    lines.push(of_store("read source", read.as_ref().map(drop), &object.url, policy));
}

/// Lines of what was tried at a place that is written to.
fn of_probe(place: &str, probed: Probed, policy_of: &dyn Fn(&str) -> Option<Value>, lines: &mut Vec<Line>) {
    for (step, result) in probed {
        let (check, good, action) = match step {
            ProbeStep::Put => ("put", format!("below {place}"), "s3:PutObject"),
            ProbeStep::Conditional => {
                ("put once", "a second put under the same name is refused".to_owned(), "s3:PutObject")
            }
            ProbeStep::Get => ("get", "what was put".to_owned(), "s3:GetObject"),
            ProbeStep::Delete => ("delete", "and it is gone".to_owned(), "s3:DeleteObject"),
        };
        let is_ignored = step == ProbeStep::Conditional
            && result.as_ref().is_err_and(|error| error.kind() == ErrorKind::Other);
        lines.push(if is_ignored {
            let what = "the store does not refuse a second put: run one flowquet at a time on a table";
            Line::new(check, State::Note, what)
        } else {
            of_store(check, result.as_ref().map(drop), &good, policy_of(action))
        });
    }
}

fn of_prefix(stores: &Stores, out: &Location, caller: &Caller, lines: &mut Vec<Line>) {
    let Some((bucket, prefix)) = policy::place(out) else { return };
    let store = stores.at(out, "");
    let listed = first_object(store.as_ref()).map(drop);
    let place = out.to_string();
    lines.push(of_store(
        "list table",
        listed.as_ref().map(drop),
        &place,
        Some(policy::list(&caller.region, bucket, &prefix)),
    ));
    if listed.as_ref().is_err_and(|error| error.kind() == ErrorKind::NoBucket) {
        return;
    }
    let policy_of = |action: &str| Some(policy::objects(&caller.region, bucket, &prefix, action));
    let probed = probe(store.as_ref(), "");
    let may_put = probed.first().is_some_and(|(_, result)| result.is_ok());
    of_probe(&place, probed, &policy_of, lines);
    if may_put {
        let given_up = stores.gives_uploads_up(bucket, &prefix).transpose();
        let good = "a multipart upload was begun and aborted";
        lines.extend(given_up.map(|result| {
            let policy = policy_of("s3:AbortMultipartUpload");
            of_store("abort upload", result.as_ref().map(drop), good, policy)
        }));
    }
    lines.push(match stores.ends_unfinished_uploads(bucket, &prefix) {
        Ok(Some(true)) => Line::new("lifecycle", State::Good, "a rule aborts incomplete uploads"),
        Ok(None) => return,
        Ok(Some(false)) => {
            let what = "no rule aborts incomplete uploads: parts left by a killed run stay hidden and cost money; docs/S3.md has the rule";
            Line::new("lifecycle", State::Note, what)
        }
        Err(error) if error.kind() == ErrorKind::NotImplemented => {
            Line::new("lifecycle", State::Unknown, "this store does not have lifecycle rules")
        }
        Err(error) => {
            let mut line = Line::new("lifecycle", State::Unknown, words_of(&error));
            let is_denied = error.kind() == ErrorKind::Denied;
            line.policy = is_denied.then(|| policy::lifecycle(&caller.region, bucket));
            line
        }
    });
    lines.extend(of_table(store.as_ref()));
}

/// Whether there is a table already.
fn of_table(store: &dyn Store) -> Option<Line> {
    match store.head(CONTRACT_KEY) {
        Ok(_) => Some(Line::new("table", State::Good, "exists: a conversion adds to it")),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Some(Line::new("table", State::Good, "none yet: a conversion creates it"))
        }
        // The lines before say why.
        Err(_) => None,
    }
}

fn of_folder(path: &Path, lines: &mut Vec<Line>) {
    // A table is made with the folders above it.
    let Some(there) = path.ancestors().find(|folder| folder.exists()) else { return };
    of_probe(&there.display().to_string(), probe_folder(there), &|_| None, lines);
    lines.push(match free_bytes(there) {
        Ok(free) => {
            let state = if free < DISK_NOTE { State::Note } else { State::Good };
            Line::new("disk", state, format!("{} free", HumanBytes(free)))
        }
        Err(error) => Line::new("disk", State::Unknown, words_of(&error)),
    });
    let store = flowquet_store::LocalStore::new(path, "");
    lines.extend(of_table(&store));
}

fn of_catalog(args: &DoctorArgs, caller: &Caller, lines: &mut Vec<Line>) {
    let Some(database) = &args.glue.database else { return };
    let glue = Glue::new(&args.s3.glue(args.glue.glue_endpoint_url.clone()));
    let table = args.glue.table.as_ref();
    let policy = |actions: &[&str], table: Option<&str>| {
        policy::glue(&caller.region, &caller.account, actions, database.as_str(), table)
    };
    let mut of = |check,
                  found: Result<bool, flowquet_catalog::Error>,
                  there: String,
                  missing: String,
                  statement: Value| {
        lines.push(match found {
            Ok(true) => Line::new(check, State::Good, there),
            Ok(false) => Line::new(check, State::Note, missing),
            Err(error) => {
                let state = match error.kind() {
                    GlueErrorKind::Throttled | GlueErrorKind::Unavailable => State::Later,
                    _ => State::Bad,
                };
                let hint = (error.kind() == GlueErrorKind::NotImplemented).then(|| hint_of_catalog(&error));
                let hint = hint.flatten().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
                let mut line = Line::new(check, state, format!("{error}{hint}"));
                line.policy = (error.kind() == GlueErrorKind::Denied).then_some(statement);
                line
            }
        });
    };
    of(
        "database",
        glue.has_database(database),
        database.to_string(),
        format!("there is no database {database}: `flowquet register --create-database` creates it"),
        policy(&["glue:GetDatabase"], None),
    );
    let Some(name) = table else { return };
    of(
        "catalog table",
        glue.has_table(database, name),
        format!("{database}.{name} exists"),
        format!("there is no table {database}.{name}: `flowquet register` creates it"),
        policy(&["glue:GetTable"], Some(name.as_str())),
    );
    let tried = glue.try_writes(database, name);
    let mut line = of_writes(&tried);
    let is_denied = |error: &flowquet_catalog::Error| error.kind() == GlueErrorKind::Denied;
    let denied = tried.iter().filter(|(_, result)| result.as_ref().is_err_and(is_denied));
    let denied: Vec<&str> = denied.map(|(action, _)| *action).collect();
    line.policy = (!denied.is_empty()).then(|| policy(&denied, Some(name.as_str())));
    lines.push(line);
}

/// What came of trying to write to the catalog: the worst of it.
fn of_writes(tried: &[(&'static str, Result<(), flowquet_catalog::Error>)]) -> Line {
    const CHECK: &str = "catalog writes";
    let failed = |is_later: bool| {
        tried.iter().find_map(|(_, result)| {
            let error = result.as_ref().err()?;
            let kind = error.kind();
            let found = matches!(kind, GlueErrorKind::Throttled | GlueErrorKind::Unavailable) == is_later;
            found.then(|| error.to_string())
        })
    };
    if let Some(words) = failed(false) {
        return Line::new(CHECK, State::Bad, words);
    }
    if let Some(words) = failed(true) {
        return Line::new(CHECK, State::Later, words);
    }
    let what = "`register` may write: calls that change nothing were refused for what they ask, or taken";
    Line::new(CHECK, State::Good, what)
}

fn of_machine(lines: &mut Vec<Line>) {
    lines.push(match share_of_machine() {
        None => Line::new(
            "memory",
            State::Unknown,
            "neither the machine nor a container reports how much there is",
        ),
        Some(share) => {
            let (share, least) = (share as u64, MEMORY_MIN as u64);
            if share < least {
                let what = format!(
                    "{} for flowquet; a conversion may take {}, and be killed",
                    HumanBytes(share),
                    HumanBytes(least)
                );
                Line::new("memory", State::Note, what)
            } else {
                Line::new("memory", State::Good, format!("{} for flowquet", HumanBytes(share)))
            }
        }
    });
    lines.push(Line::new("processors", State::Good, counted(threads(None) as u64, "worker thread")));
}
