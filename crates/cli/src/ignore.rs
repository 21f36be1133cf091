//! `flowquet ignore`.

use flowquet_engine::Error;
use flowquet_store::{FILE_SCHEME, Location, S3_SCHEME};
use flowquet_table::{Log, SourceObject, ignore, stop_ignoring};

use crate::args::IgnoreArgs;
use crate::exit::Exit;
use crate::failure::engine_failure;
use crate::output::{Failure, counted, say};
use crate::places::{absolute, table_store};
use crate::signals::listen_for_signals;

pub(crate) fn run(args: &IgnoreArgs) -> Result<Exit, Failure> {
    listen_for_signals();
    let out = table_store(&args.s3.stores(), &args.table);
    let failed = |error: flowquet_table::Error| engine_failure(&Error::from(error));
    let mut log = Log::open_with_files(&out).map_err(failed)?;
    let mut changed = 0;
    for text in &args.urls {
        let url = url_of(text)?;
        let Some(reason) = &args.reason else {
            if stop_ignoring(out.as_ref(), &url).map_err(failed)? {
                changed += 1;
            } else {
                say(&format!("warning: `{url}` was not ignored"));
            }
            continue;
        };
        if !log.state().failed().map_err(failed)?.iter().any(|claim| claim.object.url() == url) {
            if text.contains(['*', '?', '[']) {
                let message = format!("no unreadable object of the table is called `{text}`");
                let hint = "a URL is taken as it stands, and no glob: name each object as `flowquet status` shows it";
                return Err(Failure::message(Exit::Usage, &message, Some(hint)));
            }
            let object = SourceObject::new(url.clone(), &url, 0, "");
            let is_taken = log.ask(|state| state.known().is_taken(&object)).map_err(failed)?;
            say(&if is_taken {
                format!("note: `{url}` is in the table; it is ignored if a run finds it changed")
            } else {
                format!(
                    "note: `{url}` is not among the unreadable objects of this table, which `flowquet status` lists; \
                     it is ignored if a run finds it unreadable or changed"
                )
            });
        }
        ignore(out.as_ref(), &url, reason).map_err(failed)?;
        changed += 1;
    }
    let objects = counted(changed, "object");
    say(&if args.not { format!("no longer ignored: {objects}") } else { format!("ignored: {objects}") });
    Ok(Exit::Success)
}

/// The URL under which a table knows an object: as `flowquet status` shows it, or of a path.
fn url_of(text: &str) -> Result<String, Failure> {
    if text.starts_with(S3_SCHEME) || text.starts_with(FILE_SCHEME) {
        return Ok(text.to_owned());
    }
    match Location::parse(text) {
        Ok(Location::Local(path)) => {
            let path = absolute(&path);
            // As a listing would name it, if it is still there.
            let path = path.canonicalize().unwrap_or(path);
            Ok(format!("{FILE_SCHEME}{}", path.display()))
        }
        Ok(s3) => Ok(s3.to_string()),
        Err(message) => Err(Failure::message(Exit::Usage, &message, None)),
    }
}
