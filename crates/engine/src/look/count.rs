//! What the rows of a row group come to, by the values of some columns.

use std::collections::HashMap;

use flowquet_format::hash_text;
use flowquet_parquet::{ColumnValues, TextValues};

use super::groups::{Part, Tally};
use super::scan::Group;

/// The number of a row without any value.
const NONE: u32 = u32::MAX;

/// What stands for a column without a value beside others that have one.
const NULL: &str = "-";

/// Columns that [`tallies`] reads.
pub(super) const TALLIED: [&str; 5] = ["bytes", "packets", "action", "start", "end"];

/// Values of several columns as one.
pub(super) fn joined(values: &[&[u8]]) -> Box<[u8]> {
    let mut all = Vec::new();
    for value in values {
        all.extend_from_slice(&(value.len() as u32).to_le_bytes());
        all.extend_from_slice(value);
    }
    all.into()
}

/// What [`joined`] joined, as text.
pub(super) fn parted(mut all: &[u8]) -> Vec<String> {
    let mut values = Vec::new();
    while let Some((length, rest)) = all.split_first_chunk::<4>() {
        let (value, rest) = rest.split_at((u32::from_le_bytes(*length) as usize).min(rest.len()));
        values.push(String::from_utf8_lossy(value).into_owned());
        all = rest;
    }
    values
}

/// A number for each distinct value of a column, and the numbers of the rows.
fn numbered(column: Option<&ColumnValues>, rows: usize) -> (Vec<u32>, Vec<Box<[u8]>>) {
    match column {
        None => (vec![NONE; rows], Vec::new()),
        Some(ColumnValues::Text(text)) => {
            let values = (0..text.distinct() as u32).map(|key| text.value(key).into()).collect();
            (text.keys.clone(), values)
        }
        Some(ColumnValues::Integers { values, nulls, .. }) => {
            let mut found: HashMap<i64, u32> = HashMap::new();
            let mut texts: Vec<Box<[u8]>> = Vec::new();
            let of = |(row, value): (usize, &i64)| {
                if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                    return NONE;
                }
                *found.entry(*value).or_insert_with(|| {
                    texts.push(value.to_string().into_bytes().into());
                    texts.len() as u32 - 1
                })
            };
            let keys = values.iter().enumerate().map(of).collect();
            (keys, texts)
        }
    }
}

/// Rows by the values of columns: a number for each, none for a row that has no value in any of them, and the joined values.
pub(super) fn keyed(group: &Group<'_>, by: &[&str]) -> (Vec<u32>, Vec<Box<[u8]>>) {
    let rows = group.columns.rows;
    let columns: Vec<_> = by.iter().map(|name| numbered(group.columns.get(name), rows)).collect();
    if let [(keys, values)] = columns.as_slice() {
        return (keys.clone(), values.iter().map(|value| joined(&[value.as_ref()])).collect());
    }
    let mut found: HashMap<Vec<u32>, u32> = HashMap::new();
    let mut values = Vec::new();
    let mut keys = vec![NONE; rows];
    let mut own = vec![NONE; by.len()];
    for row in group.rows() {
        own.iter_mut().zip(&columns).for_each(|(own, (keys, _))| *own = keys[row]);
        if own.iter().all(|key| *key == NONE) {
            continue;
        }
        keys[row] = match found.get(&own) {
            Some(key) => *key,
            None => {
                let parts: Vec<&[u8]> = own
                    .iter()
                    .zip(&columns)
                    .map(|(key, (_, values))| {
                        values.get(*key as usize).map_or(NULL.as_bytes(), |v| v.as_ref())
                    })
                    .collect();
                values.push(joined(&parts));
                found.insert(own.clone(), values.len() as u32 - 1);
                values.len() as u32 - 1
            }
        };
    }
    (keys, values)
}

/// The key of a word in a column of text.
pub(super) fn key_of(text: Option<&TextValues>, word: &str) -> Option<u32> {
    let text = text?;
    (0..text.distinct() as u32).find(|key| text.value(*key) == word.as_bytes())
}

/// Tallies of the rows that are wanted, by their numbers.
fn tallies(group: &Group<'_>, keys: &[u32], count: usize) -> Vec<Tally> {
    let columns = &group.columns;
    let (bytes, packets) = (columns.amounts("bytes"), columns.amounts("packets"));
    let [starts, ends] = group.span().map(|name| columns.times(name));
    let records = group.records();
    let actions = columns.text("action");
    let refused = key_of(actions, "REJECT");
    let mut tallies = vec![Tally::default(); count];
    for row in group.rows().filter(|row| keys[*row] != NONE) {
        let is_refused = refused.is_some() && actions.map(|actions| actions.keys[row]) == refused;
        let flows = records(row);
        tallies[keys[row] as usize].add(&Tally {
            flows,
            refused: if is_refused { flows } else { 0 },
            bytes: bytes.as_ref().map_or(0, |bytes| bytes(row)),
            packets: packets.as_ref().map_or(0, |packets| packets(row)),
            first_s: starts.as_ref().and_then(|starts| starts(row)),
            last_s: ends.as_ref().and_then(|ends| ends(row)),
        });
    }
    tallies
}

/// Hashes of the values of `other` that the rows of each number have, each once.
fn others(group: &Group<'_>, keys: &[u32], count: usize, other: &str) -> Vec<Vec<u64>> {
    let (own, values) = numbered(group.columns.get(other), group.columns.rows);
    let hashes: Vec<u64> = values.iter().map(|value| hash_text(value)).collect();
    let mut pairs: Vec<u64> = group
        .rows()
        .filter(|row| keys[*row] != NONE && own[*row] != NONE)
        .map(|row| u64::from(keys[row]) << 32 | u64::from(own[row]))
        .collect();
    pairs.sort_unstable();
    pairs.dedup();
    let mut found = vec![Vec::new(); count];
    for pair in pairs {
        found[(pair >> 32) as usize].push(hashes[(pair & u64::from(u32::MAX)) as usize]);
    }
    found
}

/// Counts the rows that are wanted by the values of columns, with the different values of `other`. Returns their sum too.
pub(super) fn counted(group: &Group<'_>, by: &[&str], other: Option<&str>) -> (Part, Tally) {
    let (keys, values) = keyed(group, by);
    counted_by(group, &keys, values, other)
}

/// Counts the rows that are wanted by numbers that they have already, `keys`, which are places in `values`.
pub(super) fn counted_by(
    group: &Group<'_>,
    keys: &[u32],
    values: Vec<Box<[u8]>>,
    other: Option<&str>,
) -> (Part, Tally) {
    let tallies = tallies(group, keys, values.len());
    let mut others = match other {
        Some(other) => others(group, keys, values.len(), other),
        None => vec![Vec::new(); values.len()],
    };
    let (mut part, mut all) = (Part::default(), Tally::default());
    for (i, value) in values.into_iter().enumerate().filter(|(i, _)| tallies[*i].flows > 0) {
        all.add(&tallies[i]);
        part.push(value, tallies[i], std::mem::take(&mut others[i]));
    }
    (part, all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_are_joined_come_apart() {
        for values in [vec!["10.0.0.1"], vec!["a", "", "-"], vec!["\0\0\0\0", "x"]] {
            let bytes: Vec<&[u8]> = values.iter().map(|value| value.as_bytes()).collect();
            assert_eq!(parted(&joined(&bytes)), values);
        }
        assert_ne!(joined(&[b"a", b"bc"]), joined(&[b"ab", b"c"]));
        assert!(parted(&[]).is_empty());
    }
}
