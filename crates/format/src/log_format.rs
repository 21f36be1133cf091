//! Log formats: the ordered fields of a flow log, from what people paste.

use std::fmt;

use crate::catalogue::{Catalogue, ColumnType, FieldKind, FieldSpec, LogKind, normalised};
use crate::foreign::fields_of_columns;
use crate::spelling::{self, FoundFormat, Named, line_of};

/// Most fields a log format may have. AWS knows 72; the rest is room for what it adds.
pub const FIELDS_MAX: usize = 256;

/// Most log formats that are given for objects without a header: an account's flow logs have a handful.
pub const GIVEN_MAX: usize = 64;

/// One field of a log format, with the column it becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    name: String,
    column: String,
    column_type: ColumnType,
    spec: Option<FieldSpec>,
}

impl Field {
    fn new(name: &str, catalogue: &Catalogue) -> Self {
        let name = normalised(name);
        let spec = catalogue.field(&name).cloned();
        // One that stands again has the type of the first.
        let like = spec.as_ref().or_else(|| repeated(&name).and_then(|first| catalogue.field(first)));
        Self {
            column: name.replace('-', "_"),
            column_type: like.map_or(ColumnType::String, |s| s.parquet),
            name,
            spec,
        }
    }

    /// The field in AWS's spelling: `pkt-srcaddr`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its column: `pkt_srcaddr`.
    pub fn column(&self) -> &str {
        &self.column
    }

    /// Its column's type; text for a field that the catalogue does not know.
    pub fn column_type(&self) -> ColumnType {
        self.column_type
    }

    /// Whether its values are addresses, as text.
    pub fn is_address(&self) -> bool {
        self.column_type == ColumnType::String
            && self.spec.as_ref().is_some_and(|s| s.kind == FieldKind::Address)
    }

    /// Its catalogue entry; `None` for an unknown field.
    pub fn spec(&self) -> Option<&FieldSpec> {
        self.spec.as_ref()
    }
}

/// What is wrong with bare words of which none is a field: a sentence, or several formats at once. Words in marks, `${hop-count}`, are fields whatever they
/// are called.
fn nothing_known(text: &str, names: &[Named<'_>], catalogue: &Catalogue) -> Option<FormatError> {
    let first = names.first().filter(|_| names.iter().all(|named| !named.is_marked))?;
    let is_format = |named: &Named<'_>| catalogue.named_format(&named.name).is_some();
    let hint = if names.iter().all(is_format) {
        "give one format at a time".to_owned()
    } else {
        let names = catalogue.format_names().join(", ");
        format!(
            "default formats are {names}; a custom one looks like '${{version}} ${{account-id}} …', with fields of any name"
        )
    };
    let found = format!("`{}`", first.name);
    Some(
        FormatError::at(text, first.at, first.len, "expected names of fields, some of them known", found)
            .hint(hint),
    )
}

/// The ordered fields of a flow log.
///
/// Invariants: 1 to [`FIELDS_MAX`] fields, names and columns unique.
///
/// | written as | example |
/// |---|---|
/// | AWS's format string | `${version} ${account-id}` |
/// | the same in quotes, also typographic | `‘${version} ${account-id}’` |
/// | as code has it | `log_format = "$${version} $${account-id}"` |
/// | names or a header line | `version account-id` |
/// | column names | `version account_id` |
/// | a list | `["version", "account_id"]` |
/// | a default by name | `v2`, `v5`, `tgw` |
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFormat {
    fields: Vec<Field>,
}

impl LogFormat {
    /// Reads a log format in any of the spellings above, and of those that infrastructure code has.
    ///
    /// # Errors
    /// [`FormatError`], which points at the place in `text`.
    pub fn parse(text: &str, catalogue: &Catalogue) -> Result<Self, FormatError> {
        Self::of_text(text, spelling::names(text, catalogue)?, catalogue)
    }

    fn of_text(text: &str, names: Vec<Named<'_>>, catalogue: &Catalogue) -> Result<Self, FormatError> {
        if let [named] = names.as_slice()
            && !named.is_marked
            && catalogue.field(&normalised(&named.name)).is_none()
        {
            let fields = catalogue.named_format(&named.name).ok_or_else(|| {
                let names = catalogue.format_names().join(", ");
                FormatError::at(text, named.at, named.len, "expected a log format", format!("`{}`", named.name))
                    .hint(match catalogue.nearest_field(&normalised(&named.name)) {
                        Some(near) => format!("did you mean the field `{near}`? Default formats are {names}"),
                        None => format!("default formats are {names}; a custom one looks like '${{version}} ${{account-id}} …'"),
                    })
            })?;
            return Ok(Self { fields: fields.iter().map(|n| Field::new(n, catalogue)).collect() });
        }
        Self::of_names(text, &names, catalogue)
    }

    /// Reads what a person gave as a log format: as [`Self::parse`], in words of other languages, bare names also in the spellings of other
    /// tools (`accountId`), and documents that announce one, such as the JSON of `aws ec2 describe-flow-logs`.
    ///
    /// # Errors
    /// [`GivenError`]; also where the text is what a shell left of a format in double quotes.
    pub fn given(text: &str, catalogue: &Catalogue) -> Result<Self, GivenError> {
        if let Some(error) = spelling::eaten(text, catalogue) {
            return Err(GivenError::Format(error));
        }
        let text = &*spelling::readable(text);
        if let Some(found) = spelling::listed(text, catalogue) {
            return Self::one_of(found);
        }
        let format = spelling::given_names(text, catalogue).and_then(|names| {
            let unknown = nothing_known(text, &names, catalogue);
            let format = Self::of_text(text, names, catalogue)?;
            let is_known = format.fields.iter().any(|field| field.spec.is_some());
            unknown.filter(|_| !is_known).map_or(Ok(format), Err)
        });
        match (format, spelling::announced(text, catalogue)) {
            (Ok(format), _) => Ok(format),
            (Err(_), Some(Ok(found))) => Self::one_of(found),
            (Err(_), Some(Err(error))) | (Err(error), None) => Err(GivenError::Format(error)),
        }
    }

    fn one_of(found: Vec<FoundFormat>) -> Result<Self, GivenError> {
        match found.as_slice() {
            [first, others @ ..] if others.iter().all(|f| f.format == first.format) => {
                Ok(first.format.clone())
            }
            _ => Err(GivenError::Several(found)),
        }
    }

    /// The format of the fields called `names`, at least one, which stand in `text`.
    pub(crate) fn of_names(
        text: &str,
        names: &[Named<'_>],
        catalogue: &Catalogue,
    ) -> Result<Self, FormatError> {
        let mut fields: Vec<Field> = Vec::with_capacity(names.len());
        for named in names {
            let mut field = Field::new(&named.name, catalogue);
            // AWS takes a field that is named twice, and writes it twice.
            let first = field.name.clone();
            let mut times = 1;
            while fields.iter().any(|f| f.name == field.name) {
                times += 1;
                field = Field::new(&format!("{first}-{times}"), catalogue);
            }
            if fields.len() == FIELDS_MAX {
                return Err(FormatError::at(
                    text,
                    named.at,
                    named.len,
                    "expected at most 256 fields",
                    "one more".into(),
                ));
            }
            fields.push(field);
        }
        Ok(Self { fields })
    }

    /// The format of columns of these names, as a header line has them; `None` for more than [`FIELDS_MAX`].
    pub fn of_columns(names: &[&str], catalogue: &Catalogue) -> Option<Self> {
        let fields = fields_of_columns(names, catalogue).into_iter().flatten();
        let format = Self::of(fields.map(|name| Field::new(&name, catalogue)).collect())?;
        Some(format.tagged(catalogue))
    }

    /// This format, as an object has it, with tags that `catalogue` calls by their keys ([`Catalogue::held_by`]). A text that was recorded is
    /// never passed through this: it names the fields that its files hold.
    #[must_use]
    pub fn tagged(mut self, catalogue: &Catalogue) -> Self {
        for i in 0..self.fields.len() {
            let name = catalogue.held_by(&self.fields[i].name);
            if name != self.fields[i].name && self.position(name).is_none() {
                self.fields[i] = Field::new(name, catalogue);
            }
        }
        self
    }

    /// A log format of these fields, whose names are unique; `None` for none of them, or for more than [`FIELDS_MAX`].
    pub fn of(fields: Vec<Field>) -> Option<Self> {
        (1..=FIELDS_MAX).contains(&fields.len()).then_some(Self { fields })
    }

    /// This format with only the fields that `keep` keeps; `None` where it keeps none.
    pub fn keeping(&self, keep: impl Fn(&Field) -> bool) -> Option<Self> {
        Self::of(self.fields.iter().filter(|f| keep(f)).cloned().collect())
    }

    /// The fields in order.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Position of the field called `name` in AWS's spelling.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.fields.iter().position(|f| f.name == name)
    }

    /// The kind of flow log that has it: a Transit Gateway's where it has a field that no other flow log has.
    pub fn kind(&self) -> LogKind {
        let is_tgw = |f: &Field| f.spec.as_ref().is_some_and(|s| s.logs == [LogKind::Tgw]);
        if self.fields.iter().any(is_tgw) { LogKind::Tgw } else { LogKind::Vpc }
    }

    /// Fields that the catalogue does not know; they become text columns.
    pub fn unknown_fields(&self) -> impl Iterator<Item = &Field> {
        self.fields.iter().filter(|f| f.spec.is_none())
    }

    /// One warning a field that the catalogue does not know, with the nearest one that it does.
    pub fn warnings(&self, catalogue: &Catalogue) -> Vec<String> {
        self.unknown_fields()
            .map(|f| {
                if let Some(first) = repeated(&f.name).filter(|first| catalogue.field(first).is_some()) {
                    return format!("field `{first}` stands again: column `{}`", f.column);
                }
                let near = catalogue.nearest_field(&f.name);
                let near = near.map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
                format!(
                    "field `{}` is not in the field list: kept as text column `{}`{near}",
                    f.name, f.column
                )
            })
            .collect()
    }
}

impl fmt::Display for LogFormat {
    /// AWS's `LogFormat` text: `${version} ${account-id} …`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, field) in self.fields.iter().enumerate() {
            let blank = if i == 0 { "" } else { " " };
            write!(f, "{blank}${{{}}}", field.name)?;
        }
        Ok(())
    }
}

/// Why a text is no log format, and where.
///
/// Displayed as one line; [`Self::pointer`] shows the place and [`Self::hint_text`] the way on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormatError {
    text: String,
    /// Byte offset of the place in `text`.
    at: usize,
    len: usize,
    expected: &'static str,
    found: String,
    hint: Option<String>,
}

impl FormatError {
    pub(crate) fn at(text: &str, at: usize, len: usize, expected: &'static str, found: String) -> Self {
        Self { text: text.to_owned(), at, len: len.max(1), expected, found, hint: None }
    }

    pub(crate) fn hint(mut self, hint: String) -> Self {
        self.hint = Some(hint);
        self
    }

    /// The text that was read: the one that was given, or what that says in other words.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Byte offset of the place in [`Self::text`].
    pub fn offset(&self) -> usize {
        self.at
    }

    /// The line of the place, the first being 1.
    pub fn line(&self) -> usize {
        line_of(&self.text, self.at)
    }

    /// What to do, if there is something to say.
    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Two lines: the text around the place, and carets under it.
    pub fn pointer(&self) -> String {
        /// Characters of context on either side; a v11 format is longer than a terminal is wide.
        const CONTEXT: usize = 40;
        let before: Vec<char> = self.text[..self.at].chars().collect();
        let after: Vec<char> = self.text[self.at..].chars().collect();
        let shown = before.len().min(CONTEXT);
        let left = if before.len() > CONTEXT { "… " } else { "" };
        let right = if after.len() > self.len + CONTEXT { " …" } else { "" };
        let end = (self.at + self.len).min(self.text.len());
        let carets = self.text.get(self.at..end).map_or(1, |t| t.chars().count()).max(1);
        format!(
            "  {left}{}{}{right}\n  {}{}",
            before[before.len() - shown..].iter().collect::<String>().replace(['\n', '\t', '\r'], " "),
            after.iter().take(self.len + CONTEXT).collect::<String>().replace(['\n', '\t', '\r'], " "),
            " ".repeat(left.chars().count() + shown),
            "^".repeat(carets),
        )
    }
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, found {} at byte {}", self.expected, self.found, self.at)
    }
}

impl std::error::Error for FormatError {}

/// Why a text that a person gave is not one log format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GivenError {
    /// It is none.
    Format(FormatError),
    /// It has several that differ.
    Several(Vec<FoundFormat>),
}

impl fmt::Display for GivenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Format(error) => error.fmt(f),
            Self::Several(found) => write!(f, "expected one log format, found {}", found.len()),
        }
    }
}

impl std::error::Error for GivenError {}

/// The field that stands again under this name: `version` of `version-2`.
fn repeated(name: &str) -> Option<&str> {
    let (first, times) = name.rsplit_once('-')?;
    times.parse().is_ok_and(|n: usize| (2..=FIELDS_MAX).contains(&n)).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOG: &str = "‘${version} ${vpc-id} ${subnet-id} ${instance-id} ${interface-id} ${account-id} ${type} ${srcaddr} ${dstaddr} ${srcport} ${dstport} ${pkt-srcaddr} ${pkt-dstaddr} ${protocol} ${bytes} ${packets} ${start} ${end} ${action} ${tcp-flags} ${log-status}’";

    fn parse(text: &str) -> Result<LogFormat, FormatError> {
        LogFormat::parse(text, Catalogue::builtin())
    }

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        let format = parse(text).unwrap_or_else(|e| panic!("{e}\n{}", e.pointer()));
        let names: Vec<&str> = format.fields().iter().map(Field::name).collect();
        assert_eq!(names, expected);
    }

    #[track_caller]
    fn check_error(text: &str, expected: &str) {
        let error = parse(text).expect_err("no log format");
        let hint = error.hint_text().map(|h| format!("\nhint: {h}")).unwrap_or_default();
        assert_eq!(format!("{error}\n{}{hint}", error.pointer()), expected);
    }

    #[test]
    fn what_people_paste() {
        let two = ["version", "account-id"];
        for text in [
            "${version} ${account-id}",
            "‘${version} ${account-id}’",
            "“${version} ${account-id}”",
            "'${version} ${account-id}'",
            "version account-id",
            "version account_id",
            "VERSION Account-Id",
            "\u{feff}version account-id\r\n",
            "  version\n  account-id  ",
            "${version}\n${account_id}",
        ] {
            check(text, &two);
        }
        assert_eq!(parse(BLOG).expect("the blog's format").fields().len(), 21);
        assert_eq!(parse("v5").expect("a default").fields().len(), 29);
        assert_eq!(parse("TGW").expect("a default").fields().len(), 36);
        check("srcaddr", &["srcaddr"]);
    }

    #[test]
    fn unknown_fields_become_text() {
        let format = parse("${version} ${new-field} ${srcadr}").expect("unknown fields are allowed");
        assert_eq!(format.fields()[1].column(), "new_field");
        assert_eq!(format.fields()[1].column_type(), ColumnType::String);
        assert_eq!(
            format.warnings(Catalogue::builtin()),
            [
                "field `new-field` is not in the field list: kept as text column `new_field`",
                "field `srcadr` is not in the field list: kept as text column `srcadr`; did you mean `srcaddr`?",
            ]
        );
    }

    #[test]
    fn a_field_that_stands_again_has_a_number() {
        let format =
            parse("${version} ${srcaddr} ${version} ${account_id} ${version}").expect("AWS takes it");
        let names: Vec<&str> = format.fields().iter().map(Field::name).collect();
        assert_eq!(names, ["version", "srcaddr", "version-2", "account-id", "version-3"]);
        assert_eq!(
            (format.fields()[2].column(), format.fields()[2].column_type()),
            ("version_2", ColumnType::Int32)
        );
        assert_eq!(
            format.warnings(Catalogue::builtin())[0],
            "field `version` stands again: column `version_2`"
        );
        assert_eq!(parse(&format.to_string()), Ok(format), "also by its text");
    }

    #[test]
    fn kinds() {
        for (text, kind) in [
            ("v11", LogKind::Vpc),
            ("tgw", LogKind::Tgw),
            ("${srcaddr} ${bytes}", LogKind::Vpc),
            ("${bytes} ${packets-lost-blackhole}", LogKind::Tgw),
            ("${new-field}", LogKind::Vpc),
        ] {
            assert_eq!(parse(text).expect("valid").kind(), kind, "{text}");
        }
    }

    #[test]
    fn display_is_awss_text_and_reads_back() {
        let format = parse(BLOG).expect("the blog's format");
        assert_eq!(format!("‘{format}’"), BLOG);
        assert_eq!(parse(&format.to_string()), Ok(format));
    }

    #[test]
    fn errors_point_at_the_place() {
        check_error(
            "${version} ${srcadr",
            "expected `}` after the field's name, found none at byte 11\n  ${version} ${srcadr\n             ^^^^^^^^\nhint: write `${srcaddr}`",
        );
        check_error(
            "${version}${srcaddr}",
            "expected a space between fields, found `$` at byte 10\n  ${version}${srcaddr}\n            ^\nhint: separate fields by single spaces, as AWS does",
        );
        check_error(
            "‘${version} ${src addr}’",
            "expected `}` after the field's name, found none at byte 14\n  ‘${version} ${src addr}’\n              ^^^^^\nhint: write `${field-name}`",
        );
        check_error(
            "version $srcaddr",
            "expected a field's name, found `$` at byte 8\n  version $srcaddr\n          ^\nhint: did you mean `${srcaddr}`?",
        );
        check_error(
            "v12",
            "expected a log format, found `v12` at byte 0\n  v12\n  ^^^\nhint: default formats are v2, v3, v4, v5, v7, v8, v9, v10, v11, tgw; a custom one looks like '${version} ${account-id} …'",
        );
        check_error(
            "",
            "expected at least one field, found none at byte 0\n  \n  ^\nhint: default formats are v2, v3, v4, v5, v7, v8, v9, v10, v11, tgw",
        );
        check_error(
            "${version} ${}",
            "expected a field's name, found none at byte 13\n  ${version} ${}\n               ^\nhint: write `${field-name}`",
        );
    }

    #[test]
    fn long_formats_are_shown_in_part() {
        let text = format!("{} ${{bytes", parse("v11").expect("a default"));
        let pointer = parse(&text).expect_err("unclosed").pointer();
        let lines: Vec<&str> = pointer.lines().collect();
        assert!(lines[0].starts_with("  … ") && lines[0].chars().count() < 100, "{pointer}");
        assert_eq!(
            lines[1].find('^'),
            lines[0].chars().position(|_| true).map(|_| lines[0].chars().count() - 7),
            "{pointer}"
        );
    }
}
