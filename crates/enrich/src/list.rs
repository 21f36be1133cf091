//! Lists: columns by their names, and CSV.

use flowquet_format::{ENRICHED_COLUMNS_MAX, ENRICHED_NAME_BYTES_MAX, EnrichedBy, is_enriched_name, time_ms};
use jiff::Timestamp;

use crate::entries::{Entries, EntriesBuilder, Key};
use crate::error::{Error, shown};

/// Names of columns of networks.
const NETWORKS: [&str; 5] = ["cidr", "network", "prefix", "address", "ip"];

/// Names of columns of interfaces.
const INTERFACES: [&str; 2] = ["eni", "interface_id"];

/// Names of the columns of times from which and before which an entry holds.
const TIMES: [&str; 2] = ["from", "to"];

/// What a column of a list is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Key,
    From,
    To,
    Value,
}

/// The columns of a list.
#[derive(Debug)]
pub(crate) struct Columns {
    roles: Vec<Role>,
    pub(crate) by: EnrichedBy,
    pub(crate) timed: bool,
    /// Names of columns of values, as columns of tables spell them.
    pub(crate) values: Vec<String>,
}

/// A name as columns of tables spell it; none where it has letters that these do not: without them it would be another word.
fn as_column(name: &str) -> Option<String> {
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' };
    let column = name.trim().chars().map(plain).collect::<String>().trim_matches('_').to_owned();
    Some(column).filter(|column| name.is_ascii() && is_enriched_name(column))
}

impl Columns {
    /// The columns of these names.
    ///
    /// # Errors
    /// What was expected and found.
    pub(crate) fn of(names: &[String]) -> Result<Self, String> {
        let columns: Vec<Option<String>> = names.iter().map(|name| as_column(name)).collect();
        let is_key = |name: &str| NETWORKS.contains(&name) || INTERFACES.contains(&name);
        let keys: Vec<&str> =
            columns.iter().flatten().map(String::as_str).filter(|name| is_key(name)).collect();
        let key = match *keys.as_slice() {
            [key] => key,
            [] => {
                return Err(format!(
                    "expected a column {} for addresses, or {} for interfaces, found {}",
                    NETWORKS.join(", "),
                    INTERFACES.join(", "),
                    if names.is_empty() { "none".to_owned() } else { shown(&names.join(", ")) },
                ));
            }
            [one, other, ..] => {
                return Err(format!(
                    "expected one column that entries are looked up by, found {one} and {other}: give one of them another name"
                ));
            }
        };
        let name_of = |(column, name): (&Option<String>, &String)| {
            column.clone().ok_or_else(|| {
                format!(
                    "expected names of columns of at most {ENRICHED_NAME_BYTES_MAX} letters a to z and digits, found `{}`: give it another name",
                    shown(name)
                )
            })
        };
        let by = if INTERFACES.contains(&key) { EnrichedBy::Interface } else { EnrichedBy::Address };
        let role = |name: &String| match name.as_str() {
            name if name == key => Role::Key,
            name if name == TIMES[0] => Role::From,
            name if name == TIMES[1] => Role::To,
            _ => Role::Value,
        };
        let columns = columns.iter().zip(names).map(name_of).collect::<Result<Vec<_>, _>>()?;
        let roles: Vec<Role> = columns.iter().map(role).collect();
        for column in &columns {
            if columns.iter().filter(|other| *other == column).count() > 1 {
                return Err(format!("expected each column once, found `{column}` twice"));
            }
        }
        let timed = roles.iter().any(|role| matches!(role, Role::From | Role::To));
        let of_values = columns.iter().zip(&roles).filter(|(_, role)| **role == Role::Value);
        let values: Vec<String> = of_values.map(|(name, _)| name.clone()).collect();
        match values.len() {
            0 => Err(format!("expected columns of values beside `{key}`, found none")),
            1..=ENRICHED_COLUMNS_MAX => Ok(Self { roles, by, timed, values }),
            found => Err(format!("expected at most {ENRICHED_COLUMNS_MAX} columns of values, found {found}")),
        }
    }

    /// A builder of entries with these columns.
    pub(crate) fn builder(&self) -> EntriesBuilder {
        EntriesBuilder::new(self.by, self.timed, self.values.len())
    }

    /// Adds the entry of these cells, a cell a column.
    ///
    /// # Errors
    /// [`Error`] of the line.
    pub(crate) fn add(
        &self,
        entries: &mut EntriesBuilder,
        line: u64,
        cells: &[Option<&str>],
    ) -> Result<(), Error> {
        let cell = |wanted: Role| {
            let place = self.roles.iter().position(|role| *role == wanted)?;
            cells[place].map(str::trim).filter(|cell| !cell.is_empty())
        };
        let at_line = |what: String| Error::line(line, what);
        let key = Key::parse(cell(Role::Key).unwrap_or_default(), self.by).map_err(at_line)?;
        let time = |role, otherwise| cell(role).map_or(Ok(otherwise), time_of).map_err(at_line);
        let (from, to) = (time(Role::From, i64::MIN)?, time(Role::To, i64::MAX)?);
        if from > to {
            return Err(at_line("expected `to` not before `from`".to_owned()));
        }
        let values = self.roles.iter().zip(cells).filter(|(role, _)| **role == Role::Value);
        // Where a quote is not closed, a value holds the lines behind it.
        let is_odd = |cell: &str| cell.trim_matches([' ', '\t']).contains(char::is_control);
        if values.clone().any(|(_, cell)| cell.is_some_and(is_odd)) {
            let what = "expected values of one line without control characters, found another: is a quote left open?";
            return Err(at_line(what.to_owned()));
        }
        entries.add(line, key, (from, to), values.map(|(_, cell)| cell.map(str::trim)))
    }
}

/// A time in milliseconds since 1970: digits are seconds, or milliseconds as in flow logs; else a day, or a time with a zone.
fn time_of(text: &str) -> Result<i64, String> {
    let wrong = || {
        format!(
            "expected seconds since 1970, a day, or a time such as 2024-01-15T10:05:00Z, found `{}`",
            shown(text)
        )
    };
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().map(time_ms).map_err(|_| wrong());
    }
    let is_day = text.len() == 10 && !text.contains(':');
    let time: Result<Timestamp, _> = if is_day { format!("{text}T00:00:00Z").parse() } else { text.parse() };
    time.map(Timestamp::as_millisecond).map_err(|_| wrong())
}

/// The entries of CSV with a header.
///
/// # Errors
/// [`Error`] with its line.
pub(crate) fn csv(text: &str) -> Result<(Columns, Entries), Error> {
    let mut reader = csv::ReaderBuilder::new().flexible(false).from_reader(text.as_bytes());
    let wrong = |error: csv::Error| {
        let line = error.position().map_or(1, csv::Position::line);
        match error.kind() {
            csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                Error::line(line, format!("expected {expected_len} values, found {len}"))
            }
            other => Error::line(line, format!("expected CSV: {other:?}")),
        }
    };
    let names: Vec<String> = reader.headers().map_err(wrong)?.iter().map(str::to_owned).collect();
    let columns = Columns::of(&names).map_err(|what| Error::line(1, what))?;
    let mut entries = columns.builder();
    let mut record = csv::StringRecord::new();
    while reader.read_record(&mut record).map_err(wrong)? {
        let line = record.position().map_or(0, csv::Position::line);
        let cells: Vec<Option<&str>> = record.iter().map(Some).collect();
        columns.add(&mut entries, line, &cells)?;
    }
    Ok((columns, entries.build()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (text, expected) in [
            ("1566328660", Some(1_566_328_660_000)),
            ("1566328660123", Some(1_566_328_660_123)),
            ("1970-01-02", Some(86_400_000)),
            ("1970-01-01T01:00:00.5+01:00", Some(500)),
            ("1970-01-01 00:00:01Z", Some(1000)),
            ("1970-01-01T00:00:00", None),
            ("yesterday", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(time_of(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn headers() {
        let told = |header: &str| {
            let names: Vec<String> = header.split(',').map(str::to_owned).collect();
            Columns::of(&names).map(|columns| (columns.by, columns.timed, columns.values.join(" ")))
        };
        let by = EnrichedBy::Address;
        assert_eq!(told("CIDR,Team Name, cost-centre "), Ok((by, false, "team_name cost_centre".into())));
        assert_eq!(told("name,ip,from,to"), Ok((by, true, "name".into())));
        assert_eq!(told("eni,to,name"), Ok((EnrichedBy::Interface, true, "name".into())));
        assert_eq!(told("ip,cost ($), % of it"), Ok((by, false, "cost of_it".into())));
        for (header, expected) in [
            ("name,team", "found name, team"),
            ("cidr,ip,name", "found cidr and ip"),
            ("cidr", "beside `cidr`, found none"),
            ("cidr,a b,a-b", "`a_b` twice"),
            ("cidr,,x", "found ``"),
            ("cidr,équipe", "found `équipe`: give it another name"),
            ("cidr,Größe", "found `Größe`"),
            ("cidr,名前", "found `名前`"),
            ("cidr,cost\u{a0}centre", "letters a to z and digits"),
            (&format!("cidr,{}", "x".repeat(65)), "at most 64"),
            (&format!("cidr{}", (0..17).map(|i| format!(",c{i}")).collect::<String>()), "at most 16"),
        ] {
            let error = told(header).expect_err(header);
            assert!(error.contains(expected), "{error}");
        }
    }
}
