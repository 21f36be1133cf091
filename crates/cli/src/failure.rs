//! Errors of the engine as this program tells them: the exit code, the message, and what to do about it.
//!
//! Libraries carry causes and data. Only here is it known which command runs, and which options it has.

use flowquet_catalog::ErrorKind as CatalogErrorKind;
pub(crate) use flowquet_command::failure::exit_of_store_error;
use flowquet_command::failure::{BROKEN, CREDENTIALS, RECORD_EDITED, hint_of_log, hint_of_store};
use flowquet_ec2::ErrorKind as Ec2ErrorKind;
use flowquet_engine::{Error, FailedObject, Run, Summary};
use flowquet_enrich::What;
use flowquet_format::nearest;
use flowquet_sources::Error as SourceError;
use flowquet_store::{ErrorKind, FILE_SCHEME};
use flowquet_table::{Dedup, Error as LogError};
use indicatif::{HumanBytes, HumanCount};

use crate::exit::Exit;
use crate::output::{Diagnostic, Failure, counted, shown, shown_lines, with_causes};
use crate::places::quoted;

/// The option that names files that fill columns.
pub(crate) const ENRICH: &str = "--enrich";

/// Rejects that are shown when there are too many.
const LINE_MAX: usize = 160;

/// What a run came to.
pub(crate) fn exit_of(run: &Run) -> Exit {
    run.error.as_ref().map_or_else(|| exit_of_summary(&run.summary), exit_of_error)
}

/// The exit code of what nothing stopped.
pub(crate) fn exit_of_summary(summary: &Summary) -> Exit {
    let (objects, files) = (&summary.objects, &summary.files);
    if !files.is_whole() {
        Exit::FilesDamaged
    } else if objects.to_be_told() > 0 {
        Exit::ObjectsLeft
    } else {
        Exit::Success
    }
}

pub(crate) fn exit_of_error(error: &Error) -> Exit {
    match error {
        Error::Interrupted => Exit::Interrupted,
        Error::FewerRecords { .. } => Exit::TooManyRejects,
        Error::FileDamaged { .. } | Error::PartitionDamaged { .. } => Exit::FilesDamaged,
        Error::RecordsDiffer { .. } => Exit::SourcesDiffer,
        Error::TooManyRejects { .. } => Exit::TooManyRejects,
        Error::Catalog(error) => error.downcast_ref().map_or(Exit::Failed, exit_of_catalog_error),
        Error::Store(error) | Error::Log(LogError::Store(error)) => exit_of_store_error(error),
        Error::MemoryTooSmall { .. }
        | Error::NoColumn { .. }
        | Error::NoDimension { .. }
        | Error::NoPartition { .. }
        | Error::Enrichments(_)
        | Error::GroupTooLarge { .. }
        | Error::EnrichmentFile { .. }
        | Error::OtherEnrichment { .. }
        | Error::NotCompared { .. }
        | Error::NotRolledUp(_)
        | Error::RolledUpIntoItself { .. }
        | Error::OutIsRollup { .. }
        | Error::SourceIsRollup { .. }
        | Error::SourceInTable { .. }
        | Error::SourceIsTable { .. }
        | Error::TableAbove { .. }
        | Error::TableBelow { .. }
        | Error::Sources(SourceError::OnlyTables { .. })
        | Error::Log(LogError::Contract(_)) => Exit::Usage,
        _ => Exit::Failed,
    }
}

/// The exit code where the catalog failed.
pub(crate) fn exit_of_catalog_error(error: &flowquet_catalog::Error) -> Exit {
    match error.kind() {
        CatalogErrorKind::Throttled | CatalogErrorKind::Unavailable => Exit::Unavailable,
        _ => Exit::Failed,
    }
}

/// The message for an error of a table's log that ends a command.
pub(crate) fn log_failure(error: LogError) -> Failure {
    engine_failure(&error.into())
}

/// The message for an error of the engine that ends a command.
pub(crate) fn engine_failure(error: &Error) -> Failure {
    diagnose(error).into()
}

/// An error of the engine as users are shown it.
pub(crate) fn diagnose(error: &Error) -> Diagnostic {
    Diagnostic {
        exit: exit_of_error(error),
        kind: Some(error.kind()),
        message: message_of(error),
        hint: hint_of(error),
    }
}

/// What happened, in this program's words: libraries do not know what options are called.
fn message_of(error: &Error) -> String {
    match error {
        Error::NoColumn { option, column, formats } => {
            let option = flag(option);
            let mut message = format!("{option} names `{column}`, which is in none of these log formats");
            formats.iter().for_each(|format| message.push_str(&format!("\n  {format}")));
            message
        }
        Error::GroupTooLarge { folder, column, group } => {
            let mut message = format!("`{column}` overflows 64 bits in one group of `{folder}`");
            for (column, value) in group {
                message.push_str(&format!("\n  {column} {}", shown(value.as_deref().unwrap_or("null"))));
            }
            message
        }
        Error::NoDimension { word, buckets, .. } => {
            let (last, others) = buckets.split_last().expect("there are some");
            format!(
                "--by names `{word}`, which is neither a time bucket ({} or {last}) nor a column of the table to group by",
                others.join(", ")
            )
        }
        Error::NotCompared { dedup, url, missing, format } => {
            let compares = match dedup {
                Dedup::Exact => format!("all fields, and --columns left some out of `{url}`"),
                Dedup::Flow => format!("columns that records of `{url}` do not have"),
            };
            format!("--dedup {dedup} compares {compares}: {}\n  {format}", missing.join(", "))
        }
        Error::Log(LogError::Contract(differences)) => {
            let mut message = "this table was created with other options".to_owned();
            for d in differences {
                let word = |text: &str| if text.is_empty() { "none".to_owned() } else { format!("`{text}`") };
                let (option, table, asked) = (flag(d.option), word(&d.table), word(&d.asked));
                message.push_str(&format!("\n  {option}: the table has {table}, this run asks for {asked}"));
            }
            message
        }
        Error::OtherEnrichment { name, table, given, .. } => format!(
            "{ENRICH} {name}=… names a file other than the one this table uses\n  the table has SHA-256 {table}, this run gives {given}"
        ),
        Error::Enrichments(what) => format!("{ENRICH}, with the files of the table: {what}"),
        Error::MemoryTooSmall { given, needed } => {
            let (given, needed) = (HumanBytes(*given as u64), needed.div_ceil(1 << 20));
            format!("--memory {given} is too small; at least {needed}M is needed")
        }
        Error::Sources(SourceError::ListingTooLong { objects, bytes }) => {
            let (bytes, objects) = (HumanBytes(*bytes as u64), HumanCount(*objects as u64));
            format!("expected a listing that fits {bytes} of memory, found more than {objects} objects")
        }
        Error::TooManyRejects { rejects, lines, limit, first, kept, not_kept } => {
            let mut message = format!(
                "{} in {}, and --max-rejects allows {limit}",
                counted(*rejects, "reject"),
                counted(*lines, "line")
            );
            // They come from several threads.
            let mut first: Vec<&String> = first.iter().collect();
            first.sort_by_cached_key(|line| place_of_reject(line));
            first.iter().for_each(|line| message.push_str(&format!("\n  {}", shown(&reject_text(line)))));
            if let [one, more @ ..] = kept.as_slice() {
                let which = if *not_kept == 0 { "saved" } else { "the first ones are saved" };
                let more = match more.len() {
                    0 => String::new(),
                    more => format!(" and {} more", HumanCount(more as u64)),
                };
                message.push_str(&format!("\n  {which} in {one}{more}"));
            }
            message
        }
        Error::RolledUpIntoItself { url } => {
            format!("not rolled up: `{url}` is SOURCE and --out, and groups are a table of their own")
        }
        // It lists partitions or columns, a line each.
        Error::Catalog(_) => shown_lines(&error.to_string()),
        _ => {
            let mut message = with_causes(error);
            notes_of(error).iter().for_each(|note| message.push_str(&format!("\n  {}", shown(note))));
            message
        }
    }
}

/// What more a store says of its error, a line each.
fn notes_of(error: &Error) -> &[String] {
    match error {
        Error::Store(error) | Error::Log(LogError::Store(error)) => error.notes(),
        _ => &[],
    }
}

/// The option that sets what records call by this name.
fn flag(option: &str) -> String {
    format!("--{}", option.replace('_', "-"))
}

/// The object and the line number of a line of a file of rejects.
fn place_of_reject(line: &str) -> (String, u64) {
    let json = serde_json::from_str::<serde_json::Value>(line).unwrap_or_default();
    (json["object"].as_str().unwrap_or_default().to_owned(), json["line"].as_u64().unwrap_or_default())
}

/// A line of a file of rejects, for people.
fn reject_text(line: &str) -> String {
    let Ok(json) = serde_json::from_str::<serde_json::Value>(line) else { return line.to_owned() };
    let text = |name: &str| json[name].as_str().unwrap_or_default().to_owned();
    let object = text("object");
    let name = object.rsplit('/').next().unwrap_or(&object);
    let place = json["line"].as_u64().map(|n| format!(" line {}", HumanCount(n))).unwrap_or_default();
    let raw: String =
        text("raw").chars().take(LINE_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let raw = if raw.is_empty() { raw } else { format!(": {raw}") };
    format!("{name}{place}: {}{raw}", text("detail"))
}

/// What to do about a file that cannot be used.
pub(crate) fn hint_of_enrichment(error: &flowquet_enrich::Error) -> Option<String> {
    let hint = match &error.what {
        What::Compressed => "decompress it first",
        What::TooLong(_) | What::TooMany(_) => {
            "leave out what no record of the table can have; docs/COLUMNS.md lists the limits"
        }
        What::Twice { .. } => {
            "remove one of the two, or give each a validity period in the columns `from` and `to`"
        }
        What::Wrong(_) => "docs/COLUMNS.md says what such files look like",
    };
    Some(hint.to_owned())
}

/// What to do about an error of the catalog, where something can be said.
pub(crate) fn hint_of_catalog(error: &flowquet_catalog::Error) -> Option<&'static str> {
    Some(match error.kind() {
        CatalogErrorKind::Conflict | CatalogErrorKind::Partitions | CatalogErrorKind::Throttled => {
            "run the same command again: it skips what is done"
        }
        CatalogErrorKind::Credentials => CREDENTIALS,
        CatalogErrorKind::Denied => {
            "the credentials need glue:GetTable, CreateTable, UpdateTable, BatchGetPartition, BatchCreatePartition and \
             BatchUpdatePartition on catalog, database and table; docs/ATHENA.md shows a policy"
        }
        CatalogErrorKind::Incompatible => {
            "columns are never removed or retyped: give another --table, or drop the table in Glue, which keeps the files"
        }
        CatalogErrorKind::NotFound => "check --database; `flowquet register --create-database` creates it",
        CatalogErrorKind::NotImplemented => {
            "what answers is no Glue: AWS_ENDPOINT_URL holds for Glue too; give --glue-endpoint-url, or set AWS_ENDPOINT_URL_GLUE"
        }
        CatalogErrorKind::Unavailable => "check the network, --region and --glue-endpoint-url",
        CatalogErrorKind::AlreadyExists | CatalogErrorKind::Other => return None,
    })
}

/// What to do about an error of EC2 or STS, where something can be said.
pub(crate) fn hint_of_ec2(error: &flowquet_ec2::Error) -> Option<&'static str> {
    Some(match error.kind() {
        Ec2ErrorKind::Credentials => CREDENTIALS,
        Ec2ErrorKind::Denied => {
            "the credentials need ec2:DescribeFlowLogs; or have someone save `aws ec2 describe-flow-logs > FILE`, and give --describe-flow-logs FILE"
        }
        Ec2ErrorKind::NotImplemented => {
            "what answers is another service: AWS_ENDPOINT_URL holds for EC2 too; set AWS_ENDPOINT_URL_EC2"
        }
        Ec2ErrorKind::Throttled => "run the same command again",
        Ec2ErrorKind::Unavailable => "check the network, --region, AWS_ENDPOINT_URL_EC2 and AWS_ENDPOINT_URL",
        Ec2ErrorKind::Other | Ec2ErrorKind::Stopped => return None,
    })
}

/// What to do about an error, where something can be said.
pub(crate) fn hint_of(error: &Error) -> Option<String> {
    let hint = match error {
        Error::Accounting(_) => BROKEN,
        Error::CompactedFileGone { .. } => {
            "nothing is lost: the files it was to replace are still there. Restore it, or report this"
        }
        Error::EnrichmentFile { error, .. } => return hint_of_enrichment(error),
        Error::EnrichmentGone { name, .. } => {
            return Some(format!(
                "give the file with {ENRICH} {name}=FILE; the table's copy is then restored"
            ));
        }
        Error::Enrichments(_) => "give one of the files another name",
        Error::OtherEnrichment { name, is_same_key: true, .. } => {
            return Some(format!(
                "omit {ENRICH} {name}=… to keep the table's copy; `flowquet reconvert TABLE --object '**' {ENRICH} {name}=FILE` applies the new file \
                 to all rows and to later runs; another name adds separate columns"
            ));
        }
        Error::OtherEnrichment { .. } => {
            "one file is looked up by address, the other by interface: give the file another name"
        }
        Error::Interrupted => "run the same command again to finish",
        Error::Sources(SourceError::ListingTooLong { .. }) => {
            "give more --memory, or convert in parts with --since, --until, --account or --flow-region"
        }
        Error::Log(LogError::Contract(_)) => "drop the option, or choose another --out",
        Error::StaleContract(_) => "run the same command again",
        Error::Log(LogError::NoTable(url)) if table_above(url).is_some() => {
            return table_above(url)
                .map(|table| format!("this looks like a partition's folder: name the table, {table}"));
        }
        Error::Log(error) => return hint_of_log(error).map(str::to_owned),
        Error::Options(_) => RECORD_EDITED,
        Error::Sources(SourceError::Manifest { .. }) => {
            "a manifest is the manifest.json of an S3 Inventory, or a text file with one URL or path per line"
        }
        Error::GroupTooLarge { .. } => {
            "name more columns in --by, or a shorter time bucket, so that groups become smaller"
        }
        Error::NoDimension { word, buckets, columns } => {
            let known = buckets.iter().copied().chain(columns.iter().map(String::as_str));
            return Some(match nearest(&word.to_lowercase(), known) {
                Some(meant) => format!("did you mean `{meant}`?"),
                None => format!("columns of the table are {}", columns.join(", ")),
            });
        }
        Error::NotRolledUp(_) | Error::RolledUpIntoItself { .. } => {
            "check --by, or choose another --out; `flowquet schema` lists all fields"
        }
        Error::NotCompared { dedup: Dedup::Exact, .. } => {
            "records that differ in these alone would be taken for one: name all of them in `flowquet reconvert --columns`, or leave these partitions \
             out with --partition; --dedup flow needs interface, addresses, ports, protocol, start and end alone"
        }
        Error::NotCompared { .. } => {
            "--dedup exact compares whatever fields there are; or leave these partitions out with --partition"
        }
        Error::NoColumn { .. } => "check the spelling; `flowquet schema` lists all fields",
        Error::Sources(SourceError::NoObjects { sources }) => {
            if let Some(hint) = sources.iter().find_map(|source| hint_of_glob(source.trim_matches('`'))) {
                return Some(hint);
            }
            "check the path; names that begin with a dot are skipped"
        }
        Error::Sources(SourceError::NothingNamed { .. }) => {
            "check the spelling; `flowquet inspect` shows what the sources hold"
        }
        Error::Sources(SourceError::NothingTold { .. }) => {
            "leave out the filter: objects that are in the table are skipped anyway; or choose folders with --include"
        }
        Error::Sources(SourceError::OnlyTables { .. }) => {
            "name the raw logs as SOURCE; to have them partitioned otherwise, convert them anew with another --out"
        }
        Error::NoPartition { partitions, .. } => {
            let some = partitions.join(", ");
            return Some(format!(
                "partitions are named like `date=2024-01-15` or `date=2024-01-*`; the newest: {some}"
            ));
        }
        Error::NothingChosen => {
            "--object takes a URL, or a glob of keys below the source such as '**/x.log.gz' or '**', which chooses all objects; `flowquet status` shows what the table holds"
        }
        Error::FewerRecords { .. } => {
            "if objects mix formats, give --format once for each, including those used before; or allow it with --fewer-records"
        }
        Error::RecordsDiffer { .. } => {
            "put the raw log back as it was; or take it as it is now with `flowquet reconvert TABLE --object URL`, several times for several"
        }
        Error::RecordsLost { .. } => "check --format, --fields and --columns, or choose other objects",
        Error::NotRebuilt { .. } => {
            "put the raw logs back where they were; if they are gone for good, `flowquet verify TABLE --repair --accept-loss REASON` \
             accepts that"
        }
        Error::Overtaken(_) => "run the same command again",
        Error::RawLogsDiffer { .. } => {
            "put the raw logs back where they were, or choose other objects; if they are gone and files of the table are lost, \
             `flowquet verify TABLE --accept-loss REASON` accepts that"
        }
        Error::Parquet(_) => "check that the disk has room, then run the same command again to finish",
        Error::FileDamaged { table, .. } => {
            return Some(format!(
                "nothing was replaced: `flowquet verify {} --read-data --repair` converts its objects again",
                shown(table.strip_prefix(FILE_SCHEME).unwrap_or(table))
            ));
        }
        Error::PartitionDamaged { table, .. } => {
            return Some(format!(
                "nothing was replaced: `flowquet verify {} --read-data --repair` finds the file and converts its objects again; if it finds none, please report this",
                shown(table.strip_prefix(FILE_SCHEME).unwrap_or(table))
            ));
        }
        Error::TableAbove { above, .. } => {
            let above = above.strip_prefix(FILE_SCHEME).unwrap_or(above);
            return Some(format!("use --out {}, or choose a folder or prefix beside it", quoted(above)));
        }
        Error::OutIsRollup { .. } | Error::TableBelow { .. } => "choose another folder or prefix for --out",
        Error::SourceInTable { .. } => "give --out a folder or prefix of its own, beside the logs",
        Error::SourceIsRollup { .. } => "roll up the table that it was made of: `flowquet status` names it",
        Error::SourceIsTable { .. } => {
            "name the raw logs as SOURCE and another folder or prefix for the table"
        }
        Error::Store(error) if error.kind() == ErrorKind::Denied && error.url().starts_with(FILE_SCHEME) => {
            "check the owner and permissions of the folder, or choose another one for the table"
        }
        Error::Store(error) if error.kind() == ErrorKind::NotFound => {
            return hint_of_glob(error.url()).or_else(|| hint_of_store(error));
        }
        Error::Store(error) => return hint_of_store(error),
        Error::TableFile { .. } => {
            "another program changed the file: `flowquet verify TABLE --read-data` shows what is lost or damaged, and how to rebuild it"
        }
        Error::TooDistinct { memory, .. } => {
            return Some(format!("give more memory, such as --memory {}M", (memory * 4).div_ceil(1 << 20)));
        }
        Error::TooManyRejects { .. } => {
            "check that --format fits the objects, then run again with the right one, or with a higher --max-rejects"
        }
        Error::Catalog(error) => {
            return hint_of_catalog(error.downcast_ref()?).map(str::to_owned);
        }
        Error::MemoryTooSmall { .. } => "without --memory it takes what suits the machine",
        Error::Sources(_) => return None,
    };
    Some(hint.to_owned())
}

/// Of the folder of a partition, `lake/date=2024-01-15`, that of its table.
fn table_above(url: &str) -> Option<String> {
    let path = url.strip_prefix(FILE_SCHEME).unwrap_or(url).trim_end_matches('/');
    let mut table = path;
    while let Some((above, folder)) = table.rsplit_once('/')
        && folder.contains('=')
    {
        table = above;
    }
    (table != path && !table.is_empty()).then(|| shown(table).into_owned())
}

/// What to give instead of a path with globs, which stood in quotes or are none of a shell's: the folder, and the rest as `--include`.
///
/// ```text
/// s3://logs/AWSLogs/*/vpcflowlogs/    s3://logs/AWSLogs/ --include '*/vpcflowlogs/**'
/// logs/*.gz                           logs/ --include '*.gz'
/// ```
fn hint_of_glob(url: &str) -> Option<String> {
    let path = url.strip_prefix(FILE_SCHEME).unwrap_or(url);
    let begin = path[..path.find(['*', '?', '['])?].rfind('/').map_or(0, |at| at + 1);
    let (folder, glob) = path.split_at(begin);
    let folder = if folder.is_empty() { "./" } else { folder };
    let glob = glob.trim_end_matches('/');
    // What has no ending is a folder, more likely than a file.
    let all_below = match glob.rsplit('/').next() {
        Some("*" | "**") => "",
        Some(last) if !last.contains('.') => "/**",
        _ => "",
    };
    Some(format!("globs are not expanded in paths: use {folder} and --include '{glob}{all_below}'"))
}

/// What to do about objects that could not be read, one hint a kind of cause.
pub(crate) fn object_hints(objects: &[FailedObject]) -> Vec<&'static str> {
    let mut hints: Vec<&'static str> = objects.iter().filter_map(hint_of_object).collect();
    hints.sort_unstable();
    hints.dedup();
    hints
}

/// Causes and reasons are words of libraries; here is who knows the options.
fn hint_of_object(object: &FailedObject) -> Option<&'static str> {
    let says = |what: &str| object.reason.contains(what);
    Some(match object.cause {
        "archived" => {
            "`flowquet plan` shows the cost of restoring, `flowquet convert --restore bulk` requests it; later runs convert restored objects"
        }
        "damaged" => {
            "a damaged object is tried again when it changes; --salvage keeps its whole lines up to the damage"
        }
        "denied" => "check the permissions of the object; the next run tries again",
        "no-columns" => "give --columns at least one field of each log format",
        "no-header" => {
            "give the log format: --format v2 for the default, or --format '${version} ${account-id} …' as the flow log has it; several times, where there are several"
        }
        "no-line-fits" => {
            "check that --format is the format of these objects, then run again with the right one; several times, where there are several"
        }
        "not-a-log" if says("expected one value a row in column") || says("columns, found") => {
            "keep the columns that you need: --columns with their names, such as --columns srcaddr,dstaddr,bytes,start,end"
        }
        "not-a-log" if says("which is not read") => {
            "make such objects readable with the command above, or leave them out with `flowquet convert --exclude`"
        }
        "not-a-log" if says("expected columns named after fields") => {
            "write the file again with columns called as fields of the flow log (`flowquet schema --format v2` names them); skip objects that are not flow logs with `flowquet convert --exclude`, or with `flowquet ignore`"
        }
        "not-a-log" => {
            "skip objects that are not flow logs with `flowquet convert --exclude`, or with `flowquet ignore`"
        }
        _ => return None,
    })
}
