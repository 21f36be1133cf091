//! Columns that files of others fill: what a file says of the addresses and interfaces of a record.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Most files that fill columns of one table.
pub const ENRICHMENTS_MAX: usize = 8;

/// Most columns of values in one file: each becomes one or two columns of the table.
pub const ENRICHED_COLUMNS_MAX: usize = 16;

/// Longest name of a file or of a column of values, in bytes: a table's column has both in its own, and Glue takes 255.
pub const ENRICHED_NAME_BYTES_MAX: usize = 64;

/// What a file is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EnrichedBy {
    /// Addresses: the longest of its networks that one lies in.
    Address,
    /// Network interfaces, by their ids.
    Interface,
}

/// What of a record is looked up. In the order of their columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Looked {
    /// The source address: the packet's where the record has it, else the interface's.
    Src,
    /// The destination address, likewise.
    Dst,
    /// The network interface.
    Interface,
}

impl Looked {
    /// What begins the names of its columns.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Src => "src",
            Self::Dst => "dst",
            Self::Interface => "interface",
        }
    }

    /// The fields that tell it, the first that a record has.
    pub fn fields(self) -> &'static [&'static str] {
        match self {
            Self::Src => &["pkt-srcaddr", "srcaddr"],
            Self::Dst => &["pkt-dstaddr", "dstaddr"],
            Self::Interface => &["interface-id"],
        }
    }

    /// What it is, in comments of columns.
    fn words(self) -> &'static str {
        match self {
            Self::Src => "source address",
            Self::Dst => "destination address",
            Self::Interface => "network interface",
        }
    }
}

/// A file that fills columns: which one, and which columns.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Enrichment {
    /// What the columns are called after: lower-case letters, digits and underscores, a letter first.
    pub name: String,
    /// SHA-256 of the file's bytes, in hexadecimal digits.
    pub sha256: String,
    /// What it is asked for.
    pub by: EnrichedBy,
    /// Whether its entries hold for a time, so that a record's start chooses among them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub timed: bool,
    /// Its columns of values; then those that earlier files of this name had and this one has not, which are null.
    pub columns: Vec<String>,
    /// Which file of this name in the table, from 1: a reconversion may bring another one.
    #[serde(default = "first", skip_serializing_if = "is_first")]
    pub version: u32,
}

fn first() -> u32 {
    1
}

fn is_first(version: &u32) -> bool {
    *version == first()
}

impl Enrichment {
    /// What of a record is looked up.
    pub fn looked(&self) -> &'static [Looked] {
        match self.by {
            EnrichedBy::Address => &[Looked::Src, Looked::Dst],
            EnrichedBy::Interface => &[Looked::Interface],
        }
    }

    /// The table's column of the column of values `column`.
    fn column_name(&self, looked: Looked, column: &str) -> String {
        format!("{}_{}_{column}", looked.prefix(), self.name)
    }

    /// Of two files of one name, the later, with the columns of both.
    fn merged(&self, other: &Self) -> Self {
        let order = |one: &Self| (one.version, one.sha256.clone());
        let (newer, older) = if order(self) >= order(other) { (self, other) } else { (other, self) };
        let mut merged = newer.clone();
        let more = older.columns.iter().filter(|column| !newer.columns.contains(column));
        merged.columns.extend(more.cloned());
        merged
    }
}

/// Whether a text may name a file or a column of values.
pub fn is_enriched_name(name: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    (1..=ENRICHED_NAME_BYTES_MAX).contains(&name.len()) && name.chars().all(is_plain)
}

/// A column that a file fills.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnrichedColumn {
    /// The file's place among the [`Enrichments`].
    pub file: usize,
    /// What is looked up.
    pub looked: Looked,
    /// The place of the column of values in the file's.
    pub column: usize,
}

/// The files that fill columns of a table, each name once, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<Enrichment>", into = "Vec<Enrichment>")]
pub struct Enrichments(Vec<Enrichment>);

/// What is wrong with some enrichments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnrichmentsError(String);

impl fmt::Display for EnrichmentsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for EnrichmentsError {}

impl TryFrom<Vec<Enrichment>> for Enrichments {
    type Error = EnrichmentsError;

    fn try_from(mut files: Vec<Enrichment>) -> Result<Self, EnrichmentsError> {
        let wrong = |what: String| Err(EnrichmentsError(what));
        files.sort();
        if files.len() > ENRICHMENTS_MAX {
            return wrong(format!("expected at most {ENRICHMENTS_MAX} files, found {}", files.len()));
        }
        if let Some(pair) = files.windows(2).find(|pair| pair[0].name == pair[1].name) {
            return wrong(format!("expected each name once, found `{}` twice", pair[0].name));
        }
        for file in &files {
            let Enrichment { name, sha256, columns, .. } = file;
            if !is_enriched_name(name) || !name.starts_with(|c: char| c.is_ascii_lowercase()) {
                return wrong(format!(
                    "expected a name of lower-case letters, digits and `_`, a letter first, found `{name}`"
                ));
            }
            if sha256.len() != 64 || !sha256.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
                return wrong(format!("`{name}`: expected a SHA-256 digest, found `{sha256}`"));
            }
            if let Some(column) = columns.iter().find(|column| !is_enriched_name(column)) {
                return wrong(format!(
                    "`{name}`: expected columns of lower-case letters, digits and `_`, found `{column}`"
                ));
            }
        }
        let all = Self(files);
        let mut names: Vec<String> = all.columns().map(|column| all.name_of(column)).collect();
        names.sort();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => wrong(format!("expected each column once, found `{}` twice", pair[0])),
            None => Ok(all),
        }
    }
}

impl From<Enrichments> for Vec<Enrichment> {
    fn from(enrichments: Enrichments) -> Self {
        enrichments.0
    }
}

impl Enrichments {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each, by name.
    pub fn files(&self) -> &[Enrichment] {
        &self.0
    }

    /// The file of this name.
    pub fn named(&self, name: &str) -> Option<&Enrichment> {
        self.0.iter().find(|file| file.name == name)
    }

    /// These and others; of two of one name the later, with the columns of both.
    #[must_use]
    pub fn with(mut self, more: &Self) -> Self {
        for file in &more.0 {
            match self.0.iter_mut().find(|known| known.name == file.name) {
                Some(known) => *known = known.merged(file),
                None => self.0.push(file.clone()),
            }
        }
        self.0.sort();
        self
    }

    /// The columns that they fill, in the order that they have in files.
    pub fn columns(&self) -> impl Iterator<Item = EnrichedColumn> {
        let of_file = |(file, of): (usize, &Enrichment)| {
            let count = of.columns.len();
            of.looked().iter().flat_map(move |looked| {
                (0..count).map(move |column| EnrichedColumn { file, looked: *looked, column })
            })
        };
        self.0.iter().enumerate().flat_map(of_file)
    }

    /// The name of a column of theirs.
    pub fn name_of(&self, column: EnrichedColumn) -> String {
        let file = &self.0[column.file];
        file.column_name(column.looked, &file.columns[column.column])
    }

    /// What a column of theirs tells, as one sentence.
    pub fn doc_of(&self, column: EnrichedColumn) -> String {
        let file = &self.0[column.file];
        let (value, of) = (&file.columns[column.column], column.looked.words());
        format!("What the file {} says of the {of}: {value}.", file.name)
    }

    /// Whether a column of theirs may have values where records have the fields of which `has` is true, by name, and those are kept of which
    /// `is_kept` is. Of the packet's address and the interface's the former is not stood in for where it is left out.
    pub fn can_tell(
        &self,
        column: EnrichedColumn,
        has: impl Fn(&str) -> bool,
        is_kept: impl Fn(&str) -> bool,
    ) -> bool {
        let first = column.looked.fields().iter().find(|field| has(field));
        first.is_some_and(|field| is_kept(field)) && (!self.0[column.file].timed || is_kept("start"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, version: u32, by: EnrichedBy, columns: &[&str]) -> Enrichment {
        let columns = columns.iter().map(|c| (*c).to_owned()).collect();
        let sha256 = format!("{version:064x}");
        Enrichment { name: name.to_owned(), sha256, by, timed: false, columns, version }
    }

    fn names(of: &Enrichments) -> String {
        of.columns().map(|column| of.name_of(column)).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn columns_are_named_after_file_and_value() {
        let vpcs = file("vpc", 1, EnrichedBy::Address, &["name", "team"]);
        let enis = file("eni", 1, EnrichedBy::Interface, &["name"]);
        let of = Enrichments::try_from(vec![vpcs, enis]).expect("valid");
        let expected = "interface_eni_name src_vpc_name src_vpc_team dst_vpc_name dst_vpc_team";
        assert_eq!(names(&of), expected);
        let docs: Vec<String> = of.columns().map(|column| of.doc_of(column)).collect();
        assert_eq!(docs[0], "What the file eni says of the network interface: name.");
        assert_eq!(docs[4], "What the file vpc says of the destination address: team.");
    }

    #[test]
    fn later_files_of_a_name_keep_the_columns_of_earlier_ones() {
        let of = |file: Enrichment| Enrichments::try_from(vec![file]).expect("valid");
        let old = of(file("vpc", 1, EnrichedBy::Address, &["name", "team"]));
        let new = of(file("vpc", 2, EnrichedBy::Address, &["owner", "name"]));
        for merged in [old.clone().with(&new), new.clone().with(&old)] {
            assert_eq!(merged.files()[0].version, 2);
            assert_eq!(merged.files()[0].columns, ["owner", "name", "team"]);
        }
        assert_eq!(old.clone().with(&old), old);
    }

    #[test]
    fn what_names_nothing_is_refused() {
        let check = |files: &[Enrichment], expected: &str| {
            let error = Enrichments::try_from(files.to_vec()).expect_err("wrong").to_string();
            assert!(error.contains(expected), "{error}");
        };
        let by = EnrichedBy::Address;
        check(&[file("Vpc", 1, by, &["a"])], "found `Vpc`");
        check(&[file("1a", 1, by, &["a"])], "found `1a`");
        check(&[file("a", 1, by, &["b c"])], "found `b c`");
        check(&[file("a", 1, by, &["b"]), file("a", 2, by, &["b"])], "`a` twice");
        check(&[file("a", 1, by, &["b_c"]), file("a_b", 1, by, &["c"])], "`dst_a_b_c` twice");
        check(&[Enrichment { sha256: "f".into(), ..file("a", 1, by, &["b"]) }], "SHA-256");
        let many: Vec<_> = (0..9).map(|i| file(&format!("a{i}"), 1, by, &["b"])).collect();
        check(&many, "at most 8");
    }

    #[test]
    fn what_a_column_needs() {
        let timed = Enrichment { timed: true, ..file("pod", 1, EnrichedBy::Address, &["name"]) };
        let of =
            Enrichments::try_from(vec![timed, file("v", 1, EnrichedBy::Address, &["n"])]).expect("valid");
        let columns: Vec<EnrichedColumn> = of.columns().collect();
        let tells = |i: usize, fields: &[&str]| {
            let has = |f: &str| fields.contains(&f);
            of.can_tell(columns[i], has, has)
        };
        assert!(tells(0, &["srcaddr", "start"]) && tells(0, &["pkt-srcaddr", "start"]));
        assert!(!tells(0, &["srcaddr"]) && !tells(1, &["srcaddr", "start"]));
        let both = |f: &str| f == "srcaddr" || f == "pkt-srcaddr";
        assert!(!of.can_tell(columns[2], both, |f| f == "srcaddr"), "srcaddr may be another address");
        assert!(of.can_tell(columns[2], both, |f| f == "pkt-srcaddr"));
        assert!(tells(2, &["srcaddr"]) && tells(3, &["dstaddr"]) && !tells(3, &["interface-id"]));
    }
}
