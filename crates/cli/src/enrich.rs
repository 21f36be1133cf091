//! `--enrich`: files that fill columns.

use flowquet_engine::EnrichmentFile;
use flowquet_enrich::{DATABASE_BYTES_MAX, Error, What};
use flowquet_format::{AddedColumn, Enrichments, normalised_column};
use flowquet_store::Stores;

use crate::args::EnrichArg;
use crate::exit::Exit;
use crate::failure::{ENRICH, engine_failure, hint_of_enrichment};
use crate::formats::Formats;
use crate::output::{Failure, shown};

/// The files that the options name, and what records say of them.
pub(crate) fn enriching(
    args: &[EnrichArg],
    formats: &Formats,
    stores: &Stores,
) -> Result<(Vec<EnrichmentFile>, Enrichments), Failure> {
    let files = args.iter().map(|arg| read(arg, stores)).collect::<Result<Vec<_>, _>>()?;
    let usage = |message: String, hint: Option<&str>| Failure::message(Exit::Usage, &message, hint);
    let all = EnrichmentFile::enrichments(&files).map_err(|e| usage(format!("{ENRICH}: {e}"), None))?;
    let is_kept = |field: &str| formats.selection.contains(&normalised_column(field));
    // What objects have is not known where no format is given; where one is, it tells whether the packet's addresses are there.
    let may_have = |field: &str| {
        let mut given = formats.given.iter();
        !field.starts_with("pkt-") || given.len() == 0 || given.any(|format| format.position(field).is_some())
    };
    for column in all.columns() {
        let (name, file) = (all.name_of(column), &all.files()[column.file].name);
        let is_field = formats.catalogue.fields().iter().any(|field| normalised_column(&field.name) == name);
        if is_field || AddedColumn::named(&name).is_some() {
            let message = format!("{ENRICH} {file}=… has a column `{name}`, which is that of something else");
            return Err(usage(message, Some("give the file another name")));
        }
        if !all.can_tell(column, may_have, is_kept) {
            let (mut asked, mut fields) =
                (column.looked.fields().to_vec(), column.looked.fields().join(" or "));
            if all.files()[column.file].timed {
                asked.push("start");
                fields.push_str(", and start");
            }
            asked.retain(|field| !is_kept(field));
            let left_out = asked.join(" and ");
            let message = format!("{ENRICH} {file}=… looks up {fields}, and --columns leaves {left_out} out");
            let hint = "name these fields in --columns too; one that no record has adds nothing";
            return Err(usage(message, Some(hint)));
        }
    }
    Ok((files, all))
}

fn read(arg: &EnrichArg, stores: &Stores) -> Result<EnrichmentFile, Failure> {
    let EnrichArg { name, file } = arg;
    let wrong = |error: &Error| {
        let message =
            format!("read {ENRICH} {name}=`{}`: {}", shown(&file.to_string()), shown(&error.to_string()));
        Failure::message(Exit::Usage, &message, hint_of_enrichment(error).as_deref())
    };
    let too_long = Error { place: flowquet_enrich::Place::File, what: What::TooLong(DATABASE_BYTES_MAX) };
    let bytes = stores.get_at_most(file, DATABASE_BYTES_MAX).map_err(|e| engine_failure(&e.into()))?;
    let bytes = bytes.ok_or_else(|| wrong(&too_long))?;
    EnrichmentFile::read(name.clone(), bytes.into()).map_err(|e| wrong(&e))
}
