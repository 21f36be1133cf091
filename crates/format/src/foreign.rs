//! Columns of files that others wrote: which fields they are.

use std::collections::{HashMap, HashSet};

use crate::catalogue::{Catalogue, is_field_name, letters, normalised};

/// Names that AWS's first Athena table of flow logs had, and that people give in tables of their own, without dashes and underscores, where they
/// are more than a field's name written otherwise. Many tables were made by that statement.
const OLD_NAMES: [(&str, &str); 11] = [
    ("account", "account-id"),
    ("destinationaddress", "dstaddr"),
    ("destinationip", "dstaddr"),
    ("destinationport", "dstport"),
    ("endtime", "end"),
    ("numbytes", "bytes"),
    ("numpackets", "packets"),
    ("sourceaddress", "srcaddr"),
    ("sourceip", "srcaddr"),
    ("sourceport", "srcport"),
    ("starttime", "start"),
];

/// Names in AWS's examples of filter patterns, which are no spelling of the field's name:
/// <https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/FilterAndPatternSyntax.html>. They are common words, so that they mean
/// fields only among others.
const PATTERN_NAMES: [(&str, &str); 7] = [
    ("destination", "dstaddr"),
    ("destport", "dstport"),
    ("eni", "interface-id"),
    ("flowlogstatus", "log-status"),
    ("source", "srcaddr"),
    ("windowend", "end"),
    ("windowstart", "start"),
];

/// The fields that a list of bare names means, in AWS's spelling: as [`fields_of_columns`], but a name that stands again is itself; and
/// by the names of filter patterns, where no other name is unknown and half are known without.
pub fn fields_of_names<S: AsRef<str>>(names: &[S], catalogue: &Catalogue) -> Vec<String> {
    let mut fields: Vec<String> = names.iter().map(|name| normalised(name.as_ref())).collect();
    let is_unknown = |name: &String| catalogue.field(name).is_none();
    for (i, name) in names.iter().enumerate() {
        if is_unknown(&fields[i])
            && let Some(meant) = meant(name.as_ref(), catalogue).filter(|meant| !fields.contains(meant))
        {
            fields[i] = meant;
        }
    }
    let unknown: Vec<usize> = (0..fields.len()).filter(|i| is_unknown(&fields[*i])).collect();
    let mut by_pattern: Vec<&str> = Vec::new();
    for i in &unknown {
        let name = letters(&fields[*i]);
        let meant = PATTERN_NAMES.iter().find(|(pattern, _)| *pattern == name).map(|(_, field)| *field);
        by_pattern
            .extend(meant.filter(|field| !fields.iter().any(|f| f == field) && !by_pattern.contains(field)));
    }
    if by_pattern.len() == unknown.len() && 2 * unknown.len() <= fields.len() {
        unknown.into_iter().zip(by_pattern).for_each(|(i, field)| fields[i] = field.to_owned());
    }
    fields
}

/// The fields that columns of these names are, in AWS's spelling, each once; `None` for one that holds no value of a flow log.
///
/// | column | field |
/// |---|---|
/// | `log_status`, `log-status`, `LOG_STATUS` | `log-status` |
/// | `logstatus`, `logStatus`, `Log Status` | `log-status` |
/// | `sourceaddress`, `start_time` | `srcaddr`, `start` |
/// | `__index_level_0__` | none: rows as pandas numbers them |
/// | `team` | `team`, which the catalogue does not know |
/// | `Unnamed: 0` | `unnamed-0` |
///
/// A column that is spelt as the field comes before others that mean it; those are fields of their own then.
pub fn fields_of_columns<S: AsRef<str>>(columns: &[S], catalogue: &Catalogue) -> Vec<Option<String>> {
    let mut fields: Vec<Option<String>> = columns.iter().map(|_| None).collect();
    let mut taken = HashSet::new();
    for meaning in [spelt, meant] {
        for (column, field) in columns.iter().zip(&mut fields).filter(|(_, field)| field.is_none()) {
            if let Some(found) = meaning(column.as_ref(), catalogue)
                && taken.insert(found.clone())
            {
                *field = Some(found);
            }
        }
    }
    let mut numbers = HashMap::new();
    for (column, field) in columns.iter().zip(&mut fields).filter(|(_, field)| field.is_none()) {
        let column = column.as_ref();
        if is_pandas_index(column) {
            continue;
        }
        let name = unknown(column);
        // A file may have any number of columns of one name: numbers that are taken are not tried again.
        let next: &mut usize = numbers.entry(name.clone()).or_insert(2);
        let numbered = std::iter::from_fn(|| {
            *next += 1;
            Some(format!("{name}-{}", *next - 1))
        });
        let is_free = |name: &String| !taken.contains(name) && catalogue.field(name).is_none();
        let free = std::iter::once(name.clone()).chain(numbered).find(is_free).expect("numbers do not end");
        taken.insert(free.clone());
        *field = Some(free);
    }
    fields
}

/// A column's name in lower case, underscores for dashes: `pkt_srcaddr`.
pub fn normalised_column(name: &str) -> String {
    name.trim().to_ascii_lowercase().replace('-', "_")
}

/// The known field that a column of this name is, in AWS's spelling.
pub fn field_of_column(column: &str, catalogue: &Catalogue) -> Option<String> {
    spelt(column, catalogue).or_else(|| meant(column, catalogue))
}

/// The known field of this name, whatever its case, with dashes or underscores.
fn spelt(column: &str, catalogue: &Catalogue) -> Option<String> {
    catalogue.field(&normalised(column)).map(|spec| spec.name.clone())
}

/// The known field whose letters and digits these are, or that had this name once.
fn meant(column: &str, catalogue: &Catalogue) -> Option<String> {
    let old = || {
        let name = letters(column);
        OLD_NAMES.iter().find(|(old, _)| *old == name).and_then(|(_, field)| catalogue.field(field))
    };
    catalogue.field_by_letters(column).or_else(old).map(|spec| spec.name.clone())
}

/// pandas' name of an index that has none.
fn is_pandas_index(column: &str) -> bool {
    let number = column.strip_prefix("__index_level_").and_then(|rest| rest.strip_suffix("__"));
    number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// A field's name for a column that no known field means: its own, or of other characters what is left.
fn unknown(column: &str) -> String {
    if is_field_name(column) {
        return normalised(column);
    }
    let words = column.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let name = words.collect::<Vec<_>>().join("-").to_ascii_lowercase();
    if is_field_name(&name) { name } else { format!("column-{name}").trim_end_matches('-').to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(columns: &str, expected: &str) {
        let columns: Vec<&str> = columns.split(',').collect();
        let fields = fields_of_columns(&columns, Catalogue::builtin());
        let fields: Vec<&str> = fields.iter().map(|f| f.as_deref().unwrap_or("/")).collect();
        assert_eq!(fields.join(","), expected);
    }

    #[test]
    fn columns_are_fields() {
        check("log_status,SRCADDR,pkt-dstaddr,Start", "log-status,srcaddr,pkt-dstaddr,start");
        check("logStatus,interfaceid,Az Id,pktSrcAddr", "log-status,interface-id,az-id,pkt-srcaddr");
        let old = "version,account,interfaceid,sourceaddress,destinationaddress,sourceport,destinationport,protocol,\
                   numpackets,numbytes,starttime,endtime,action,logstatus";
        let new = Catalogue::builtin().named_format("v2").expect("a default");
        check(old, &new.join(","));
        check("start_time,src_addr,accountId", "start,srcaddr,account-id");
        check("Source IP,destinationIp,srcaddr", "source-ip,dstaddr,srcaddr");
        check("team,Unnamed: 0,__index_level_0__,_id,1st,漢", "team,unnamed-0,/,id,column-1st,column");
    }

    #[test]
    fn bare_names_are_fields() {
        let check = |names: &str, expected: &str| {
            let names: Vec<&str> = names.split(' ').collect();
            assert_eq!(fields_of_names(&names, Catalogue::builtin()).join(" "), expected);
        };
        check("vpcId azId tcpFlags log_Status", "vpc-id az-id tcp-flags log-status");
        check("startTime start start", "starttime start start");
        check("new_name Other bytes", "new-name other bytes");
        let pattern = "version account eni source destination srcport destport protocol packets bytes windowstart windowend action flowlogstatus";
        check(pattern, &Catalogue::builtin().named_format("v2").expect("a default").join(" "));
        check("bytes source", "bytes srcaddr");
        // Common words, unless all else is known and they stand once.
        check("bytes source reason", "bytes source reason");
        check("bytes source destination", "bytes source destination");
        check("bytes source srcaddr", "bytes source srcaddr");
        check("bytes packets source source", "bytes packets source source");
    }

    #[test]
    fn each_field_is_one_column() {
        check("sourceaddress,srcaddr", "sourceaddress,srcaddr");
        check("start,Start,START", "start,start-2,start-3");
        check("logStatus,log status", "log-status,log-status-2");
        check("team,Team,a b,a.b", "team,team-2,a-b,a-b-2");
    }

    #[test]
    fn known_names_mean_themselves() {
        let names: Vec<&str> = Catalogue::builtin().fields().iter().map(|f| f.name.as_str()).collect();
        check(&names.join(","), &names.join(","));
        let squeezed: Vec<String> = names.iter().map(|n| letters(n)).collect();
        check(&squeezed.join(","), &names.join(","));
    }
}
