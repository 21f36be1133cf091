//! `flowquet inspect`: what is this?

mod json;
mod object;
mod place;

use std::sync::Arc;

use flowquet_engine::{
    Error, Found, Limits, Look, Looker, OtherKind, Survey, SurveyRequest, look_at, look_at_stdin,
    named_object, survey,
};
use flowquet_format::{KeyFilter, ObjectKey};
use flowquet_sources::{Source, SourceSet};
use flowquet_store::{Location, Stores};
use flowquet_table::Options;

use crate::args::InspectArgs;
use crate::described::Asked;
use crate::exit::Exit;
use crate::failure::{diagnose, engine_failure};
use crate::formats::Formats;
use crate::logs::has_bar;
use crate::output::{Failure, put, say, with_causes};
use crate::reporter::{Reporter, Work};
use crate::signals::{listen_for_signals, stop};
use crate::terminal::visible;

/// Text of one object that is read. Objects of flow logs have less.
const TEXT_BYTES_MAX: u64 = 256 << 20;

/// Records of one object that are shown.
const ROWS_MAX: usize = 10_000;

/// What was looked at.
enum Subject {
    Object(Box<Object>),
    Place(Place),
}

/// One object.
struct Object {
    /// As it was named.
    name: String,
    /// What its key tells.
    key: ObjectKey,
    /// Its size; `None` of standard input.
    bytes: Option<u64>,
    look: Look,
}

/// A folder or prefix.
struct Place {
    /// As it was named.
    name: String,
    /// Its URL, with a slash behind it.
    url: String,
    survey: Survey,
}

/// What all that is looked at shares.
struct Inspector<'a> {
    args: &'a InspectArgs,
    formats: Formats,
    filter: KeyFilter,
    options: Options,
    stores: Arc<Stores>,
    sources: SourceSet,
}

pub(crate) fn run(args: &InspectArgs) -> Result<Exit, Failure> {
    listen_for_signals();
    let formats = Formats::resolve(
        &args.format,
        &Asked::of(&args.s3, args.filter.regions(), args.filter.flow_log_ids()),
    )?;
    let filter = args.filter.filter()?;
    let columns = formats.selection.names().map(|names| names.map(str::to_owned).collect());
    let options = Options { reading: formats.reading.clone(), columns, ..Options::default() };
    let stores = args.s3.stores();
    let sources = SourceSet::new(stores.clone());
    let inspector = Inspector { args, formats, filter, options, stores, sources };
    let mut exit = Exit::Success;
    let mut results = Vec::new();
    for (i, place) in args.places.iter().enumerate() {
        let name = name_of(place);
        match inspector.inspect(place) {
            Ok(subject) => {
                if exit == Exit::Success && subject.is_bad() {
                    exit = Exit::ObjectsLeft;
                }
                if args.json {
                    results.push(json::of(&subject, &inspector));
                    continue;
                }
                let text = match &subject {
                    Subject::Object(object) => object::text(object, &inspector),
                    Subject::Place(place) => place::text(place, &inspector),
                };
                let text = visible(&text);
                put(&if i > 0 { format!("\n{text}") } else { text })?;
            }
            Err(Error::Interrupted) => return Err(engine_failure(&Error::Interrupted)),
            Err(error) => {
                exit = Exit::Failed;
                results.push(json::JsonResult::Error { name, error: with_causes(&error) });
                say(&diagnose(&error).to_string());
            }
        }
    }
    if args.json {
        put(&json::document(results))?;
    }
    Ok(exit)
}

impl Inspector<'_> {
    fn inspect(&self, place: &Source) -> Result<Subject, Error> {
        let limits = Limits { text_bytes: TEXT_BYTES_MAX, records: self.args.rows.min(ROWS_MAX) };
        let name = name_of(place);
        let location = match place {
            Source::At(location) => location,
            Source::Stdin | Source::Manifest(_) => {
                let look = look_at_stdin(&mut Looker::new(&self.options), std::io::stdin(), limits)?;
                let object = Object { name, key: ObjectKey::default(), bytes: None, look };
                return Ok(Subject::Object(Box::new(object)));
            }
        };
        if let Some(object) = named_object(&self.sources, location)? {
            let look = look_at(&mut Looker::new(&self.options), &self.sources, &object, limits)?;
            let key = ObjectKey::parse(object.url());
            return Ok(Subject::Object(Box::new(Object { name, key, bytes: Some(object.bytes), look })));
        }
        let request = SurveyRequest {
            sources: std::slice::from_ref(place),
            filter: &self.filter,
            stores: self.stores.clone(),
            options: &self.options,
        };
        let reporter = Reporter::new(Work::Converting, self.args.json, has_bar());
        let surveyed = survey(&request, &reporter, stop());
        reporter.finish();
        let url = match location {
            Location::Local(path) => {
                let path = path.canonicalize().unwrap_or_else(|_| path.clone());
                format!("file://{}/", path.display().to_string().trim_end_matches('/'))
            }
            s3 => format!("{}/", s3.to_string().trim_end_matches('/')),
        };
        Ok(Subject::Place(Place { name, url, survey: surveyed? }))
    }
}

impl Subject {
    /// Whether something of it cannot be read, or is not what was asked for.
    fn is_bad(&self) -> bool {
        match self {
            Self::Object(object) => {
                object.look.damage.is_some() || matches!(object.look.found, Found::NotConverted(_))
            }
            Self::Place(place) => place.survey.others.iter().any(|other| match other.kind {
                OtherKind::NotConverted(cause) => !IS_READABLE.contains(&cause),
                OtherKind::Empty | OtherKind::Marker | OtherKind::NotLookedAt | OtherKind::Service(_) => {
                    false
                }
            }),
        }
    }
}

/// Causes that say what an object is, and not that it cannot be read.
const IS_READABLE: [&str; 3] = ["no-header", "no-line-fits", "not-a-log"];

fn name_of(place: &Source) -> String {
    match place {
        Source::At(location) | Source::Manifest(location) => location.to_string(),
        Source::Stdin => "standard input".to_owned(),
    }
}
