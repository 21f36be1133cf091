//! The log-format options that commands share, resolved.

use std::path::Path;
use std::sync::Arc;

use flowquet_arrow::Selection;
use flowquet_format::{
    AddedColumn, AddedColumns, Catalogue, LogFormat, field_of_column, normalised, normalised_column,
};
use flowquet_table::Reading;

use crate::args::{AddArgs, FormatArgs};
use crate::described::{Asked, OPTION, described};
use crate::exit::Exit;
use crate::given::{FORMAT, given_format};
use crate::output::{Failure, say, shown};
use crate::tags::tag_entries_of;

/// The option that adds columns.
const ADD: &str = "--add";

/// Log-format options, resolved.
pub(crate) struct Formats {
    pub(crate) catalogue: Catalogue,
    /// Each once.
    pub(crate) given: Vec<Arc<LogFormat>>,
    /// Both, as records have them.
    pub(crate) reading: Reading,
    pub(crate) selection: Selection,
}

impl Formats {
    /// `asked` is whom --describe-flow-logs asks, and of what.
    pub(crate) fn resolve(args: &FormatArgs, asked: &Asked<'_>) -> Result<Self, Failure> {
        let fields = args.fields.as_deref().map(read_text).transpose()?;
        let catalogue = catalogue_of(args.fields.as_deref(), fields.as_deref())?;
        let described = match &args.describe_flow_logs {
            Some(from) => described(from, &args.log_group, asked, &catalogue)?,
            None => Vec::new(),
        };
        let tags = tag_entries_of(args, &described, &catalogue)?;
        let fields = match (fields, tags.is_empty()) {
            (fields, true) => fields,
            (None, false) => Some(tags),
            (Some(fields), false) => Some(format!("{fields}\n{tags}")),
        };
        let catalogue = catalogue_of(args.fields.as_deref(), fields.as_deref())?;
        let tagged = |option: &str, text: &str| {
            given_format(option, text, &catalogue).map(|format| format.tagged(&catalogue))
        };
        let given = args.format.iter().map(|text| tagged(FORMAT, text));
        let mut formats = given.collect::<Result<Vec<_>, _>>()?;
        let mut flow_logs = Vec::new();
        for log in described {
            let option = format!("{OPTION} {}", shown(&log.id));
            let format = tagged(option.trim_end(), &log.log_format)?;
            if !log.id.is_empty() {
                flow_logs.push((log.id, format.to_string()));
            }
            formats.push(format);
        }
        let texts: Vec<String> = formats.iter().map(ToString::to_string).collect();
        let reading = Reading::new(fields.as_deref(), texts.iter().map(String::as_str))
            .and_then(|reading| reading.with_flow_logs(flow_logs))
            .map_err(|e| Failure::message(Exit::Usage, &e.to_string(), None))?;
        let given = reading.formats().to_vec();
        let selection = match &args.columns {
            None => Selection::all(),
            Some(names) => select(names, &catalogue, &given)?,
        };
        Ok(Self { catalogue, given, reading, selection })
    }

    /// The columns that --add names, which must not be computed from fields that --columns leaves out.
    pub(crate) fn added(&self, args: &AddArgs) -> Result<AddedColumns, Failure> {
        let mut added = AddedColumns::default();
        for name in &args.add {
            let of_kind = |is_derived| {
                AddedColumn::ALL.into_iter().filter(move |c| c.is_derived() == is_derived).collect()
            };
            let more = match name.trim() {
                "derived" => of_kind(true),
                "provenance" => of_kind(false),
                name => AddedColumns::of([name]).map_err(|e| {
                    let hint = "docs/COLUMNS.md describes each column";
                    Failure::message(Exit::Usage, &format!("{ADD}: {e}"), Some(hint))
                })?,
            };
            added = added.with(&more);
        }
        let is_kept = |field: &str| self.selection.contains(&normalised_column(field));
        if let Some(column) = added.iter().find(|column| !column.can_tell(is_kept)) {
            let (name, from) = (column.name(), column.spec().from.join(", "));
            let message =
                format!("{ADD} names `{name}`, which is computed from {from}, and --columns leaves them out");
            return Err(Failure::message(Exit::Usage, &message, Some("name these fields in --columns too")));
        }
        Ok(added)
    }

    /// Checks the names that an option gives and makes columns of them, each once; `done` is what is done to one that an
    /// object has.
    pub(crate) fn columns_named(
        &self,
        option: &str,
        done: &str,
        names: Option<&[String]>,
    ) -> Result<Vec<String>, Failure> {
        columns_of_names(option, done, names.unwrap_or_default(), &self.catalogue, &self.given)
    }
}

/// Columns of the names that an option gives, each once, checked; `done` is what is done to one that an object has.
pub(crate) fn columns_of_names(
    option: &str,
    done: &str,
    names: &[String],
    catalogue: &Catalogue,
    given: &[Arc<LogFormat>],
) -> Result<Vec<String>, Failure> {
    check_names(option, &format!("{done} where an object has it"), names, catalogue, given)?;
    let mut columns: Vec<String> = Vec::new();
    for name in names {
        let column = column_of(name, catalogue, given);
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    Ok(columns)
}

/// Checks `--columns`.
fn select(names: &[String], catalogue: &Catalogue, given: &[Arc<LogFormat>]) -> Result<Selection, Failure> {
    check_names("--columns", "kept where an object has it", names, catalogue, given)?;
    let columns: Vec<String> = names.iter().map(|name| column_of(name, catalogue, given)).collect();
    Ok(Selection::of(columns.iter().map(String::as_str)))
}

/// The column that an option means by a field's or a column's name; of a tag, that of its key.
fn column_of(name: &str, catalogue: &Catalogue, given: &[Arc<LogFormat>]) -> String {
    normalised_column(catalogue.held_by(&field_named(name, catalogue, given)))
}

/// The field that an option means by a name: the one of this name, else the known one that a column of this name is in a file (`logStatus`,
/// `sourceaddress`).
fn field_named(name: &str, catalogue: &Catalogue, given: &[Arc<LogFormat>]) -> String {
    let field = normalised(name.trim());
    let is_itself =
        is_field_of(given, &field, catalogue) || AddedColumn::named(&normalised_column(&field)).is_some();
    let meant = if is_itself { None } else { field_of_column(name.trim(), catalogue) };
    meant.unwrap_or(field)
}

/// Whether one of the given formats has this field.
fn is_field_of(given: &[Arc<LogFormat>], field: &str, catalogue: &Catalogue) -> bool {
    given.iter().any(|f| f.position(catalogue.held_by(field)).is_some())
}

/// Checks names that an option gives: one that no format can have is most likely a slip.
fn check_names(
    option: &str,
    use_of_unknown: &str,
    names: &[String],
    catalogue: &Catalogue,
    given: &[Arc<LogFormat>],
) -> Result<(), Failure> {
    for name in names {
        let field = field_named(name, catalogue, given);
        let is_given = is_field_of(given, &field, catalogue);
        if field.is_empty() {
            let message = format!("expected column names in {option}, found an empty one");
            return Err(Failure::message(Exit::Usage, &message, None));
        }
        if !is_given && AddedColumn::named(&normalised_column(&field)).is_some() {
            let message = format!("{option} names `{name}`, which is not a field");
            return Err(Failure::message(
                Exit::Usage,
                &message,
                Some("--add adds computed columns and those about a record's origin"),
            ));
        }
        // The twin of an address is known with it.
        let is_twin = field.strip_suffix("-bin").is_some_and(|of| catalogue.field(of).is_some());
        if !is_given && !is_twin && catalogue.field(&field).is_none() {
            let near =
                catalogue.nearest_field(&field).map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
            if let Some(format) = given.first() {
                let of = if given.len() > 1 {
                    "any given log format".to_owned()
                } else {
                    format!("the log format {format}")
                };
                let message = format!("{option} names `{name}`, which is not a field of {of}{near}");
                return Err(Failure::message(Exit::Usage, &message, None));
            }
            say(&format!("warning: unknown field `{name}`: {use_of_unknown}{near}"));
        }
    }
    Ok(())
}

/// The built-in catalogue and the fields of the file `fields`, if one is given.
pub(crate) fn catalogue_with(fields: Option<&Path>) -> Result<Catalogue, Failure> {
    catalogue_of(fields, fields.map(read_text).transpose()?.as_deref())
}

fn catalogue_of(path: Option<&Path>, text: Option<&str>) -> Result<Catalogue, Failure> {
    let Some(text) = text else { return Ok(Catalogue::builtin().clone()) };
    Catalogue::builtin().extended(text).map_err(|e| {
        let path = path.unwrap_or(Path::new("")).display();
        Failure::message(Exit::Usage, &format!("read --fields `{path}`: {e}"), None)
    })
}

fn read_text(path: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(path)
        .map_err(|e| Failure::message(Exit::Usage, &format!("read `{}`: {e}", path.display()), None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_the_spellings_of_files() {
        let catalogue = Catalogue::builtin();
        let own = LogFormat::parse("${version} ${account} ${logStatus2}", catalogue).expect("a format");
        for (name, given, expected) in [
            ("srcaddr", None, "srcaddr"),
            (" SRC_ADDR ", None, "srcaddr"),
            ("src-addr", None, "srcaddr"),
            ("sourceaddress", None, "srcaddr"),
            ("logStatus", None, "log_status"),
            ("Log Status", None, "log_status"),
            ("srcaddr_bin", None, "srcaddr_bin"),
            ("team", None, "team"),
            ("account", None, "account_id"),
            // A field of the given format is itself.
            ("account", Some(&own), "account"),
            ("logstatus2", Some(&own), "logstatus2"),
            // A column that --add computes is no field, however near one is.
            ("start_time", None, "start_time"),
        ] {
            let given: Vec<Arc<LogFormat>> = given.cloned().map(Arc::new).into_iter().collect();
            assert_eq!(column_of(name, catalogue, &given), expected, "{name}");
        }
    }
}
