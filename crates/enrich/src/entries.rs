//! Entries of lists: values of networks or interfaces, some of them for a time.

use std::collections::HashMap;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use flowquet_format::EnrichedBy;

use crate::error::{Error, Place, What};
use crate::networks::{Network, Networks};
use crate::span::{Holding, Span, spans};
use crate::{ENTRIES_MAX, VALUE_BYTES_MAX};

/// What entries are of.
#[derive(Debug)]
enum Keys {
    Networks(Vec<Network>),
    Interfaces(Vec<Box<str>>),
}

/// The key of one entry.
#[derive(Debug)]
pub(crate) enum Key {
    Network(Network),
    Interface(Box<str>),
}

impl Key {
    /// The key that a text spells.
    ///
    /// # Errors
    /// What was expected and found.
    pub(crate) fn parse(text: &str, by: EnrichedBy) -> Result<Self, String> {
        match by {
            EnrichedBy::Address => Network::parse(text).map(Self::Network),
            EnrichedBy::Interface if text.is_empty() => {
                Err("expected the id of an interface, found none".to_owned())
            }
            EnrichedBy::Interface => Ok(Self::Interface(text.to_ascii_lowercase().into())),
        }
    }
}

/// Distinct values, and the number of each: 0 is no value.
#[derive(Debug, Default)]
struct Texts {
    texts: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, u32>,
}

impl Texts {
    fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        let text: Arc<str> = text.into();
        self.texts.push(text.clone());
        let number = self.texts.len() as u32;
        self.numbers.insert(text, number);
        number
    }
}

/// Entries as they are read.
#[derive(Debug)]
pub(crate) struct EntriesBuilder {
    keys: Keys,
    timed: bool,
    columns: usize,
    /// Of each entry, the time for which it holds, and its line.
    held: Vec<(i64, i64)>,
    lines: Vec<u32>,
    /// Numbers of values, entry by entry.
    cells: Vec<u32>,
    texts: Texts,
}

impl EntriesBuilder {
    pub(crate) fn new(by: EnrichedBy, timed: bool, columns: usize) -> Self {
        let keys = match by {
            EnrichedBy::Address => Keys::Networks(Vec::new()),
            EnrichedBy::Interface => Keys::Interfaces(Vec::new()),
        };
        let texts = Texts::default();
        Self { keys, timed, columns, held: Vec::new(), lines: Vec::new(), cells: Vec::new(), texts }
    }

    /// Adds an entry of a `line`, which holds from the first to before the second time of `held`.
    ///
    /// # Errors
    /// [`Error`] of the line: there are too many entries, or a value is too long.
    pub(crate) fn add<'v>(
        &mut self,
        line: u64,
        key: Key,
        held: (i64, i64),
        values: impl Iterator<Item = Option<&'v str>>,
    ) -> Result<(), Error> {
        if self.lines.len() == ENTRIES_MAX {
            return Err(Error { place: Place::Line(line), what: What::TooMany(ENTRIES_MAX) });
        }
        match (&mut self.keys, key) {
            (Keys::Networks(keys), Key::Network(key)) => keys.push(key),
            (Keys::Interfaces(keys), Key::Interface(key)) => keys.push(key),
            _ => unreachable!("keys are parsed for what the entries are of"),
        }
        if self.timed {
            self.held.push(held);
        }
        self.lines.push(u32::try_from(line).unwrap_or(u32::MAX));
        let first = self.cells.len();
        for value in values {
            let number = match value.filter(|value| !value.is_empty()) {
                Some(value) if value.len() > VALUE_BYTES_MAX => {
                    let found = value.len();
                    let what = format!("expected values of at most {VALUE_BYTES_MAX} bytes, found {found}");
                    return Err(Error::line(line, what));
                }
                Some(value) => self.texts.number(value),
                None => 0,
            };
            self.cells.push(number);
        }
        debug_assert_eq!(self.cells.len(), first + self.columns);
        Ok(())
    }

    /// All entries, to look things up in.
    ///
    /// # Errors
    /// [`What::Twice`].
    pub(crate) fn build(self) -> Result<Entries, Error> {
        let Self { keys, timed, columns, held, lines, cells, texts } = self;
        let mut order: Vec<u32> = (0..lines.len() as u32).collect();
        let from = |row: u32| if timed { held[row as usize].0 } else { 0 };
        // Stable, so that of entries alike the first stays.
        match &keys {
            Keys::Networks(keys) => order.sort_by_key(|row| (keys[*row as usize], from(*row))),
            Keys::Interfaces(keys) => {
                order.sort_by(|a, b| (&keys[*a as usize], from(*a)).cmp(&(&keys[*b as usize], from(*b))));
            }
        }
        let is_same_key = |a: u32, b: u32| match &keys {
            Keys::Networks(keys) => keys[a as usize] == keys[b as usize],
            Keys::Interfaces(keys) => keys[a as usize] == keys[b as usize],
        };
        let says = |row: u32| {
            let at = row as usize;
            (&cells[at * columns..(at + 1) * columns], timed.then(|| held[at].1))
        };
        let mut rows: Vec<u32> = Vec::with_capacity(order.len());
        let mut firsts: Vec<u32> = Vec::new();
        for row in order {
            match rows.last().copied().filter(|last| is_same_key(*last, row)) {
                Some(last) if from(last) == from(row) => {
                    if says(last) == says(row) {
                        continue;
                    }
                    let key = match &keys {
                        Keys::Networks(keys) => keys[row as usize].to_string(),
                        Keys::Interfaces(keys) => keys[row as usize].to_string(),
                    };
                    let line = u64::from(lines[last as usize]);
                    let place = Place::Line(u64::from(lines[row as usize]));
                    return Err(Error { place, what: What::Twice { key, line } });
                }
                Some(_) => {}
                None => firsts.push(rows.len() as u32),
            }
            rows.push(row);
        }
        let first_row = |first: &u32| rows[*first as usize] as usize;
        let keys = match keys {
            Keys::Networks(keys) => {
                Index::Networks(Networks::new(firsts.iter().map(|first| keys[first_row(first)]).collect()))
            }
            Keys::Interfaces(keys) => {
                let places = firsts.iter().enumerate();
                Index::Interfaces(places.map(|(i, f)| (keys[first_row(f)].clone(), i as u32)).collect())
            }
        };
        firsts.push(rows.len() as u32);
        Ok(Entries { keys, firsts, rows, held, columns, cells, texts: texts.texts })
    }
}

/// What finds the place of a key.
#[derive(Debug)]
enum Index {
    Networks(Networks),
    Interfaces(HashMap<Box<str>, u32>),
}

/// Entries to look things up in.
#[derive(Debug)]
pub(crate) struct Entries {
    keys: Index,
    /// Of each key, the first of its entries; one more at the end.
    firsts: Vec<u32>,
    /// The row of each entry, by key and the time from which it holds.
    rows: Vec<u32>,
    /// Of each row, the time for which it holds; empty where all hold always.
    held: Vec<(i64, i64)>,
    columns: usize,
    cells: Vec<u32>,
    texts: Vec<Arc<str>>,
}

impl Entries {
    /// Which row tells of an address when, in the times of `range`.
    pub(crate) fn address(&self, address: IpAddr, range: &RangeInclusive<i64>) -> Vec<Span> {
        let Index::Networks(networks) = &self.keys else { return Vec::new() };
        let mut places = networks.of(address);
        if self.held.is_empty() {
            return places.next().map(|place| self.always(place)).into_iter().collect();
        }
        let of = |place| self.holding(place, networks.length(place));
        spans(places.flat_map(of), range)
    }

    /// Which row tells of an interface when, in the times of `range`.
    pub(crate) fn interface(&self, id: &str, range: &RangeInclusive<i64>) -> Vec<Span> {
        let Index::Interfaces(places) = &self.keys else { return Vec::new() };
        match places.get(id) {
            None => Vec::new(),
            Some(place) if self.held.is_empty() => vec![self.always(*place as usize)],
            Some(place) => spans(self.holding(*place as usize, 0), range),
        }
    }

    fn always(&self, place: usize) -> Span {
        (i64::MIN, Some(self.rows[self.firsts[place] as usize]))
    }

    fn holding(&self, place: usize, rank: u8) -> impl Iterator<Item = Holding> {
        let of = self.firsts[place] as usize..self.firsts[place + 1] as usize;
        self.rows[of].iter().map(move |row| {
            let (from_ms, to_ms) = self.held[*row as usize];
            Holding { from_ms, to_ms, rank, row: *row }
        })
    }

    pub(crate) fn text(&self, row: u32, column: usize) -> Option<&str> {
        let number = self.cells[row as usize * self.columns + column].checked_sub(1)?;
        Some(&self.texts[number as usize])
    }

    /// Bytes in memory, but for what allocations take on top.
    pub(crate) fn bytes(&self) -> usize {
        let keys = match &self.keys {
            Index::Networks(networks) => networks.bytes(),
            Index::Interfaces(places) => places.keys().map(|id| id.len() + 32).sum(),
        };
        let texts: usize = self.texts.iter().map(|text| text.len() + 32).sum();
        keys + (self.firsts.len() + self.rows.len() + self.cells.len()) * 4 + self.held.len() * 16 + texts
    }
}
