//! Columns of few words: a table gives each row a code, and codes become keys.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::LazyLock;

use arrow_array::{ArrayRef, StringArray};
use flowquet_format::{
    FLAGS_SYN_ACK, PROTOCOL_TCP, Services, began_by_ports, protocol_name, scope_of, tcp_flag_names,
    traffic_path_name,
};

use crate::dictionary::dictionary;
use crate::growing::{Growing, Nullable};

/// Makes keys of codes, which it numbers in the order in which they first come.
#[derive(Debug, Default)]
pub(crate) struct Coder {
    /// The key of each code.
    keys: Vec<u32>,
    /// The code of each key.
    met: Vec<u32>,
}

/// In [`Coder::keys`], that a code was not met yet; one less than what null has.
const NOT_MET: u32 = u32::MAX - 1;

impl Coder {
    /// The column of these codes: 0 is null, 1 the first of `words`. Words that no row has are no values of it.
    pub(super) fn dictionary(
        &mut self,
        codes: impl Iterator<Item = u32>,
        words: &[&str],
        out: &mut Growing<u32>,
    ) -> ArrayRef {
        let Self { keys, met } = self;
        keys.clear();
        keys.push(u32::NULL);
        keys.resize(words.len() + 1, NOT_MET);
        met.clear();
        out.note_nulls();
        out.open().extend(codes.map(|code| {
            let key = keys[code as usize];
            if key != NOT_MET {
                return key;
            }
            let key = met.len() as u32;
            keys[code as usize] = key;
            met.push(code);
            key
        }));
        let values: StringArray = met.iter().map(|code| Some(words[*code as usize - 1])).collect();
        dictionary(out, values)
    }
}

/// A word or none for each byte: the distinct words, and of each byte the code, which counts them from 1.
struct Table {
    words: Vec<String>,
    codes: [u32; 256],
}

impl Table {
    fn of(word: impl Fn(u8) -> Option<String>) -> Self {
        let (mut words, mut codes) = (Vec::new(), [0; 256]);
        for (number, code) in (0..=u8::MAX).zip(&mut codes) {
            let Some(word) = word(number) else { continue };
            let place = words.iter().position(|known| *known == word).unwrap_or_else(|| {
                words.push(word);
                words.len() - 1
            });
            *code = place as u32 + 1;
        }
        Self { words, codes }
    }

    /// The column of the words of some numbers; null where a number is negative or past the table.
    fn column(
        &self,
        numbers: impl Iterator<Item = i32>,
        keys: &mut Growing<u32>,
        coder: &mut Coder,
    ) -> ArrayRef {
        let words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        let code = |number: i32| u8::try_from(number).map_or(0, |number| self.codes[usize::from(number)]);
        coder.dictionary(numbers.map(code), &words, keys)
    }
}

pub(super) fn protocol_names(protocol: &[i32], keys: &mut Growing<u32>, coder: &mut Coder) -> ArrayRef {
    static TABLE: LazyLock<Table> = LazyLock::new(|| Table::of(|p| protocol_name(p).map(str::to_owned)));
    TABLE.column(protocol.iter().copied(), keys, coder)
}

pub(super) fn path_names(path: &[i32], keys: &mut Growing<u32>, coder: &mut Coder) -> ArrayRef {
    static TABLE: LazyLock<Table> =
        LazyLock::new(|| Table::of(|p| traffic_path_name(i32::from(p)).map(str::to_owned)));
    TABLE.column(path.iter().copied(), keys, coder)
}

/// Flags of other protocols than TCP have no names; without a protocol, flags are TCP's, and that there are none tells nothing.
pub(super) fn flag_names(
    flags: &[i32],
    protocol: Option<&[i32]>,
    keys: &mut Growing<u32>,
    coder: &mut Coder,
) -> ArrayRef {
    static TABLE: LazyLock<Table> = LazyLock::new(|| Table::of(|mask| Some(tcp_flag_names(mask))));
    match protocol {
        None => TABLE.column(flags.iter().map(|f| if *f == 0 { -1 } else { *f }), keys, coder),
        Some(protocol) => {
            let of_tcp = |(flags, protocol): (&i32, &i32)| {
                if *protocol == i32::from(PROTOCOL_TCP) { *flags } else { -1 }
            };
            TABLE.column(flags.iter().zip(protocol).map(of_tcp), keys, coder)
        }
    }
}

pub(super) fn service_names(
    protocol: &[i32],
    port: &[i32],
    keys: &mut Growing<u32>,
    coder: &mut Coder,
) -> ArrayRef {
    let services = Services::builtin();
    let none = services.of_protocol(0);
    let tables: [&[u16]; 256] = std::array::from_fn(|p| services.of_protocol(p as u8));
    let code = |(protocol, port): (&i32, &i32)| {
        let table = u8::try_from(*protocol).map_or(none, |p| tables[usize::from(p)]);
        u16::try_from(*port).map_or(0, |port| u32::from(table[usize::from(port)]))
    };
    coder.dictionary(protocol.iter().zip(port).map(code), &services.names()[1..], keys)
}

pub(super) fn scopes(
    addresses: &(Rc<[u32]>, Rc<[Option<IpAddr>]>),
    keys: &mut Growing<u32>,
    coder: &mut Coder,
) -> ArrayRef {
    let mut names: Vec<&str> = Vec::new();
    let mut code = |scope: &'static str| {
        let known = names.iter().position(|known| *known == scope);
        known.unwrap_or_else(|| {
            names.push(scope);
            names.len() - 1
        }) as u32
            + 1
    };
    let (text, values) = addresses;
    let codes: Vec<u32> = values.iter().map(|a| a.map_or(0, |address| code(scope_of(address)))).collect();
    // The key of null is past all values.
    let codes = text.iter().map(|key| codes.get(*key as usize).copied().unwrap_or_default());
    coder.dictionary(codes, &names, keys)
}

/// What tells which side began: TCP flags, and ports with their protocol, as far as they are kept; negative where null.
pub(super) struct Connection<'a> {
    flags: Option<&'a [i32]>,
    protocol: Option<&'a [i32]>,
    ports: Option<(&'a [i32], &'a [i32])>,
    rows: usize,
}

impl<'a> Connection<'a> {
    /// Of flags, protocol, source and destination port.
    pub(super) fn of(columns: &'a [Option<Rc<[i32]>>; 4], rows: usize) -> Self {
        let [flags, protocol, src, dst] = columns.each_ref().map(|column| column.as_deref());
        Self { flags, protocol, ports: src.zip(dst).filter(|_| protocol.is_some()), rows }
    }

    /// Of each row the side, counted from 1; 0 where nothing tells.
    pub(super) fn sides(&self) -> impl Iterator<Item = u32> {
        let has_ports: [bool; 256] = std::array::from_fn(|p| [6, 17, 33, 132].contains(&p));
        (0..self.rows).map(move |row| {
            // Without a protocol, flags are TCP's.
            let protocol = self.protocol.map_or(i32::from(PROTOCOL_TCP), |p| p[row]);
            let flags = self.flags.map_or(-1, |f| f[row]);
            if protocol == i32::from(PROTOCOL_TCP) && flags >= 0 {
                match flags & i32::from(FLAGS_SYN_ACK) {
                    2 => return 1,
                    18 => return 2,
                    _ => {}
                }
            }
            let Some((src, dst)) = self.ports else { return 0 };
            if !u8::try_from(protocol).is_ok_and(|p| has_ports[usize::from(p)]) {
                return 0;
            }
            match (u16::try_from(src[row]), u16::try_from(dst[row])) {
                (Ok(src), Ok(dst)) => began_by_ports(src, dst).map_or(0, |side| side as u32 + 1),
                _ => 0,
            }
        })
    }
}
