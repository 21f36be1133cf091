//! The catalogue: each field's name, version, type and meaning, read from `schemas/fields.toml`.

use std::collections::HashMap;
use std::fmt;
use std::sync::OnceLock;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::nearest::nearest;
use crate::time::TIME_NUMBER_MAX;

/// The catalogue that is compiled in.
const BUILTIN: &str = include_str!("../../../schemas/fields.toml");

/// Physical type of a column. The catalogue names those of AWS's own Parquet delivery; [`crate::Types::Rich`] has others beside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum ColumnType {
    /// An address as 16 bytes: IPv6, or IPv4 mapped into it (`::ffff:a.b.c.d`), so that an order of bytes is one of addresses.
    #[serde(skip)]
    Address,
    /// 32-bit signed integer.
    Int32,
    /// 64-bit signed integer.
    Int64,
    /// UTF-8 text.
    String,
    /// Milliseconds since 1970-01-01, UTC.
    #[serde(skip)]
    TimestampMs,
}

impl ColumnType {
    /// Largest number in a flow log that a column of this type holds; `None` for text.
    pub fn integer_max(self) -> Option<i64> {
        match self {
            Self::Int32 => Some(i64::from(i32::MAX)),
            Self::Int64 => Some(i64::MAX),
            Self::TimestampMs => Some(TIME_NUMBER_MAX),
            Self::Address | Self::String => None,
        }
    }

    /// The name as `schemas/fields.toml` and AWS's documentation print it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Address => "ADDRESS",
            Self::Int32 => "INT32",
            Self::Int64 => "INT64",
            Self::String => "STRING",
            Self::TimestampMs => "TIMESTAMP",
        }
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What a field's value means, whatever its physical type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FieldKind {
    /// IPv4 or IPv6 address.
    Address,
    /// One of few values, as word or number.
    Code,
    /// How many: adds up over records.
    Count,
    /// Bit mask.
    Flags,
    /// Identifier of an AWS resource.
    Id,
    /// Name that a person gave.
    Name,
    /// Plain number.
    Number,
    /// Transport port.
    Port,
    /// Free text.
    Text,
    /// Unix seconds, UTC.
    Time,
}

impl FieldKind {
    /// The name as `schemas/fields.toml` spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Code => "code",
            Self::Count => "count",
            Self::Flags => "flags",
            Self::Id => "id",
            Self::Name => "name",
            Self::Number => "number",
            Self::Port => "port",
            Self::Text => "text",
            Self::Time => "time",
        }
    }
}

/// The kinds of flow log that AWS delivers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogKind {
    /// Transit Gateway flow logs.
    Tgw,
    /// VPC, subnet and interface flow logs.
    Vpc,
}

impl LogKind {
    /// Each.
    pub const ALL: [Self; 2] = [Self::Tgw, Self::Vpc];

    /// As the field list and folders name it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tgw => "tgw",
            Self::Vpc => "vpc",
        }
    }
}

/// One entry of the catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldSpec {
    /// The field as AWS names it, such as `pkt-srcaddr`.
    pub name: String,
    /// Log version that introduced it.
    pub since: u32,
    /// Flow logs that carry it.
    pub logs: Vec<LogKind>,
    /// What its value means.
    pub kind: FieldKind,
    /// Its column's type.
    pub parquet: ColumnType,
    /// Unit of its number, such as `bytes` or `s`.
    pub unit: Option<String>,
    /// The field of a log format whose values are its own instead: a tag's, which the log does not call by its key.
    #[serde(default)]
    pub tag_of: Option<String>,
    /// Whether its values are percent-decoded.
    #[serde(default)]
    pub decode: bool,
    /// One sentence about it.
    pub doc: String,
}

/// An entry of the field list that describes an added column.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddedSpec {
    /// Its name.
    pub name: String,
    /// Fields that it is computed from; none where it tells where a record came from.
    #[serde(default)]
    pub from: Vec<String>,
    /// Its type.
    #[serde(deserialize_with = "any_type")]
    pub parquet: ColumnType,
    /// Unit of its number.
    pub unit: Option<String>,
    /// One sentence about it.
    pub doc: String,
    /// Where its rule is from.
    pub source: String,
}

/// A type that may also be a timestamp, which no field has as AWS delivers it.
fn any_type<'de, D: Deserializer<'de>>(from: D) -> Result<ColumnType, D::Error> {
    let name = String::deserialize(from)?;
    let types = [ColumnType::Int32, ColumnType::Int64, ColumnType::String, ColumnType::TimestampMs];
    let known = types.into_iter().find(|t| t.name() == name);
    known.ok_or_else(|| {
        D::Error::custom(format!("expected INT32, INT64, STRING or TIMESTAMP, found `{name}`"))
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedFormat {
    name: String,
    fields: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CatalogueFile {
    #[serde(default)]
    field: Vec<FieldSpec>,
    #[serde(default)]
    format: Vec<NamedFormat>,
    #[serde(default)]
    column: Vec<AddedSpec>,
}

/// Why a catalogue file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CatalogueError {
    /// A column that would be computed by a rule, which only the program's own list has.
    Column(String),
    /// A field that is already known is described otherwise: name, what is known, what was found.
    Conflict(String, ColumnType, ColumnType),
    /// A field that is no text is to be decoded, or holds the values of a field that is not known or no text.
    Tag(String),
    /// A field's name has characters that no log format can hold.
    Name(String),
    /// The text is no TOML of the expected form; the message points at the place.
    Syntax(String),
}

impl fmt::Display for CatalogueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Column(name) => {
                write!(
                    f,
                    "expected `[[field]]` entries, found the `[[column]]` `{name}`: a file adds fields, not rules"
                )
            }
            Self::Conflict(name, known, found) => {
                write!(
                    f,
                    "field `{name}` is {known} in the field list, found {found}: a known field keeps its type"
                )
            }
            Self::Tag(name) => write!(
                f,
                "field `{name}`: expected `decode` and `tag_of` only of STRING fields, and `tag_of` to name another one that is known"
            ),
            Self::Name(name) => write!(
                f,
                "expected a field name of lower-case letters, digits and dashes that starts with a letter, found `{name}`"
            ),
            Self::Syntax(message) => {
                write!(f, "expected `[[field]]` entries as in schemas/fields.toml: {message}")
            }
        }
    }
}

impl std::error::Error for CatalogueError {}

/// All known fields, in catalogue order.
///
/// Invariants: names are unique and shaped like field names; every named format consists of known fields.
#[derive(Debug, Clone)]
pub struct Catalogue {
    specs: Vec<FieldSpec>,
    by_name: HashMap<String, usize>,
    /// By letters and digits alone: `logstatus`.
    by_letters: HashMap<String, usize>,
    /// The names of fields that hold the values of others, by those.
    tags: HashMap<String, String>,
    formats: Vec<(String, Vec<String>)>,
    added: Vec<AddedSpec>,
}

impl Catalogue {
    /// The catalogue that is compiled in.
    pub fn builtin() -> &'static Catalogue {
        static CATALOGUE: OnceLock<Catalogue> = OnceLock::new();
        CATALOGUE.get_or_init(|| {
            let empty = Catalogue {
                specs: Vec::new(),
                by_name: HashMap::new(),
                by_letters: HashMap::new(),
                tags: HashMap::new(),
                formats: Vec::new(),
                added: Vec::new(),
            };
            empty.with_entries(BUILTIN, true).expect("schemas/fields.toml is checked by this crate's tests")
        })
    }

    /// This catalogue and the entries of `text`, which has the form of `schemas/fields.toml`.
    ///
    /// # Errors
    /// [`CatalogueError`] where the text is malformed, names a field badly, or gives a known field another type.
    pub fn extended(&self, text: &str) -> Result<Catalogue, CatalogueError> {
        self.with_entries(text, false)
    }

    /// This catalogue and the entries of `text`. `[[column]]` entries name rules, which only the list that is compiled in has.
    fn with_entries(&self, text: &str, is_builtin: bool) -> Result<Catalogue, CatalogueError> {
        let file: CatalogueFile = toml::from_str(text).map_err(|e| CatalogueError::Syntax(e.to_string()))?;
        let mut all = self.clone();
        if let Some(column) = file.column.first().filter(|_| !is_builtin) {
            return Err(CatalogueError::Column(column.name.clone()));
        }
        all.added.extend(file.column);
        for spec in file.field {
            if !is_field_name(&spec.name) || spec.name != normalised(&spec.name) {
                return Err(CatalogueError::Name(spec.name));
            }
            let is_text = |name: &String| {
                *name != spec.name && all.field(name).is_some_and(|of| of.parquet == ColumnType::String)
            };
            let wants_text = spec.decode || spec.tag_of.is_some();
            if wants_text && spec.parquet != ColumnType::String || !spec.tag_of.iter().all(is_text) {
                return Err(CatalogueError::Tag(spec.name));
            }
            if let Some(of) = &spec.tag_of {
                all.tags.insert(of.clone(), spec.name.clone());
            }
            match all.by_name.get(&spec.name) {
                Some(&i) if all.specs[i].parquet != spec.parquet => {
                    return Err(CatalogueError::Conflict(spec.name, all.specs[i].parquet, spec.parquet));
                }
                Some(&i) => all.specs[i] = spec,
                None => {
                    all.by_name.insert(spec.name.clone(), all.specs.len());
                    all.by_letters.entry(letters(&spec.name)).or_insert(all.specs.len());
                    all.specs.push(spec);
                }
            }
        }
        for format in file.format {
            if let Some(unknown) = format.fields.iter().find(|f| !all.by_name.contains_key(*f)) {
                return Err(CatalogueError::Name(unknown.clone()));
            }
            all.formats.push((format.name, format.fields));
        }
        Ok(all)
    }

    /// All entries in catalogue order.
    pub fn fields(&self) -> &[FieldSpec] {
        &self.specs
    }

    /// The entries of columns that can be added.
    pub fn added(&self) -> &[AddedSpec] {
        &self.added
    }

    /// The entry for `name` in AWS's spelling.
    pub fn field(&self, name: &str) -> Option<&FieldSpec> {
        self.by_name.get(name).map(|&i| &self.specs[i])
    }

    /// The entry whose name has these letters and digits: `log-status` for `logStatus`.
    pub(crate) fn field_by_letters(&self, name: &str) -> Option<&FieldSpec> {
        self.by_letters.get(&letters(name)).map(|&i| &self.specs[i])
    }

    /// The field that holds the values of the field `name` of an object: that of the tag's key where it is known, else itself.
    pub fn held_by<'a>(&'a self, name: &'a str) -> &'a str {
        self.tags.get(name).map_or(name, String::as_str)
    }

    /// The place of `name` in catalogue order; past all known fields for one that is unknown.
    pub fn place(&self, name: &str) -> usize {
        self.by_name.get(name).copied().unwrap_or(self.specs.len())
    }

    /// The known field that `name` most likely means, if any is near.
    pub fn nearest_field(&self, name: &str) -> Option<&str> {
        nearest(name, self.specs.iter().map(|s| s.name.as_str()))
    }

    /// Field names of the default log format called `name`: `v2`, `v3`, …, `vpc` (as `v2`), `tgw` (also `v6`, which
    /// only Transit Gateway has).
    pub fn named_format(&self, name: &str) -> Option<Vec<&str>> {
        let name = name.to_ascii_lowercase();
        let name = match name.as_str() {
            "v6" => "tgw",
            "vpc" | "default" => "v2",
            other => other,
        };
        if let Some((_, fields)) = self.formats.iter().find(|(n, _)| n == name) {
            return Some(fields.iter().map(String::as_str).collect());
        }
        let version: u32 = name.strip_prefix('v')?.parse().ok()?;
        let vpc = || self.specs.iter().filter(|s| s.logs.contains(&LogKind::Vpc));
        vpc()
            .any(|s| s.since == version)
            .then(|| vpc().filter(|s| s.since <= version).map(|s| s.name.as_str()).collect())
    }

    /// Names that [`Self::named_format`] knows, for help and errors.
    pub fn format_names(&self) -> Vec<String> {
        let mut versions: Vec<u32> =
            self.specs.iter().filter(|s| s.logs.contains(&LogKind::Vpc)).map(|s| s.since).collect();
        versions.sort_unstable();
        versions.dedup();
        let named = self.formats.iter().map(|(n, _)| n.clone());
        versions.into_iter().map(|v| format!("v{v}")).chain(named).collect()
    }
}

/// Whether `text` could be a field: a letter, then letters, digits, dashes or underscores.
pub(crate) fn is_field_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// The letters and digits of a name, in lower case.
pub(crate) fn letters(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// A field name in AWS's spelling: lower case, dashes for underscores.
pub fn normalised(name: &str) -> String {
    name.to_ascii_lowercase().replace('_', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_as_many_fields_as_aws_documents() {
        let catalogue = Catalogue::builtin();
        assert_eq!(catalogue.fields().len(), 72);
        for (name, count) in [
            ("v2", 14),
            ("v3", 21),
            ("v4", 25),
            ("v5", 29),
            ("v7", 39),
            ("v8", 40),
            ("v9", 41),
            ("v10", 42),
            ("v11", 54),
            ("tgw", 36),
            ("v6", 36),
        ] {
            assert_eq!(catalogue.named_format(name).map(|f| f.len()), Some(count), "{name}");
        }
        assert_eq!(catalogue.named_format("v1"), None);
        assert_eq!(catalogue.named_format("v12"), None);
        let tgw = catalogue.fields().iter().filter(|f| f.logs.contains(&LogKind::Tgw)).count();
        assert_eq!(tgw, 36, "every Transit Gateway field is in the default format");
    }

    #[test]
    fn types_are_those_of_aws_parquet_delivery() {
        let of = |t| Catalogue::builtin().fields().iter().filter(|f| f.parquet == t).count();
        assert_eq!((of(ColumnType::Int32), of(ColumnType::Int64), of(ColumnType::String)), (7, 8, 57));
    }

    #[test]
    fn docs_are_sentences() {
        for field in Catalogue::builtin().fields() {
            assert!(field.doc.ends_with('.') && field.doc.len() > 10, "{}: {}", field.name, field.doc);
        }
    }

    #[test]
    fn docs_can_be_pasted_as_comments() {
        // People split statements at semicolons, and put them between quotes.
        for field in Catalogue::builtin().fields() {
            assert!(!field.doc.contains([';', '\'', '"', '\\', '`']), "{}: {}", field.name, field.doc);
        }
    }

    #[test]
    fn one_entry_adds_a_field() {
        let entry = "[[field]]\nname = \"hop-count\"\nsince = 12\nlogs = [\"vpc\"]\nkind = \"number\"\nparquet = \"INT32\"\ndoc = \"Hops.\"\n";
        let extended = Catalogue::builtin().extended(entry).expect("valid");
        assert_eq!(extended.field("hop-count").map(|f| f.parquet), Some(ColumnType::Int32));
        assert_eq!(extended.named_format("v12").map(|f| f.len()), Some(55));
    }

    #[test]
    fn bad_entries_are_explained() {
        let check = |text: &str, expected: &str| {
            let error = Catalogue::builtin().extended(text).expect_err("invalid").to_string();
            assert!(error.contains(expected), "{error}");
        };
        let entry = |name: &str, ty: &str| {
            format!(
                "[[field]]\nname = \"{name}\"\nsince = 12\nlogs = [\"vpc\"]\nkind = \"number\"\nparquet = \"{ty}\"\ndoc = \"Doc.\"\n"
            )
        };
        check(&entry("two words", "INT32"), "found `two words`");
        check(&entry("Upper", "INT32"), "found `Upper`");
        check(&entry("bytes", "INT32"), "field `bytes` is INT64 in the field list, found INT32");
        check(&entry("x", "FLOAT"), "unknown variant `FLOAT`");
        check("nonsense", "schemas/fields.toml");
        let column = "[[column]]\nname = \"x\"\nparquet = \"INT32\"\ndoc = \"Doc.\"\nsource = \"none\"\n";
        check(column, "found the `[[column]]` `x`");
    }
}
