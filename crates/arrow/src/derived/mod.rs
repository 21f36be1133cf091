//! Derived columns: computed from the other columns of a batch when it is handed out, by tables of what the rules of `flowquet-format` say
//! of each value.
//!
//! Columns that files of others fill are made the same way, by what such a file says of each value.
//!
//! Text is looked at once a distinct value, numbers choose from tables; nothing is computed row by row but keys.

mod codes;
mod enriched;
mod inputs;
mod pairs;
mod times;

use std::sync::Arc;

use arrow_array::{ArrayRef, Int32Array, Int64Array, TimestampMillisecondArray};
use flowquet_format::{DIRECTIONS, FormatColumn, LogFormat, Rule, SIDES};

use crate::growing::Growing;
use codes::Coder;
pub(crate) use enriched::{Enricher, Lookups};
pub(crate) use inputs::Inputs;

/// A derived column: where it is computed from, and the memory of the last one.
#[derive(Debug)]
pub(crate) struct Derivation {
    rule: Rule,
    /// Positions in the batch of the fields of the rule, in its order; `None` for one that is not kept.
    from: Vec<Option<usize>>,
    keys: Growing<u32>,
    small: Growing<i32>,
    large: Growing<i64>,
    coder: Coder,
}

impl Derivation {
    /// A column by `rule` of a batch with these `columns` of `format`.
    pub(crate) fn new(rule: Rule, fields: &[String], format: &LogFormat, columns: &[FormatColumn]) -> Self {
        let position = |name: &String| {
            let field = format.position(name)?;
            columns.iter().position(|c| c.source == flowquet_format::ColumnSource::Field(field))
        };
        Self {
            rule,
            from: fields.iter().map(position).collect(),
            keys: Growing::default(),
            small: Growing::default(),
            large: Growing::default(),
            coder: Coder::default(),
        }
    }

    /// Bytes of the column for each row, as Arrow has it, but for bits of nulls and values of dictionaries.
    pub(crate) fn row_bytes(&self) -> usize {
        match self.rule {
            Rule::StartTime | Rule::EndTime | Rule::DurationS => size_of::<i64>(),
            _ => size_of::<u32>(),
        }
    }

    /// The column of the rows of `inputs`.
    pub(crate) fn compute(&mut self, inputs: &mut Inputs<'_>) -> ArrayRef {
        let from = std::mem::take(&mut self.from);
        let array = self.of(&from, inputs);
        self.from = from;
        array
    }

    fn of(&mut self, from: &[Option<usize>], inputs: &mut Inputs<'_>) -> ArrayRef {
        let Self { keys, small, large, coder, .. } = self;
        match (self.rule, from) {
            (Rule::ProtocolName, [Some(protocol)]) => {
                codes::protocol_names(&inputs.int32(*protocol), keys, coder)
            }
            (Rule::SrcServiceName | Rule::DstServiceName, [Some(protocol), Some(port)]) => {
                let (protocol, port) = (inputs.int32(*protocol), inputs.int32(*port));
                codes::service_names(&protocol, &port, keys, coder)
            }
            (Rule::TcpFlagNames, [Some(flags), protocol]) => {
                let protocol = protocol.map(|p| inputs.int32(p));
                codes::flag_names(&inputs.int32(*flags), protocol.as_deref(), keys, coder)
            }
            (Rule::Direction, [given, pairs @ ..]) => {
                let pairs = match pairs {
                    [Some(src), Some(pkt_src), Some(dst), Some(pkt_dst)] => {
                        Some([inputs.pair(*src, *pkt_src), inputs.pair(*dst, *pkt_dst)])
                    }
                    _ => None,
                };
                let given = given.map(|g| inputs.words(g, &DIRECTIONS));
                let codes = pairs::directions(given.as_deref(), pairs.as_ref(), inputs.rows());
                coder.dictionary(codes.into_iter().map(u32::from), &DIRECTIONS, keys)
            }
            (Rule::TrafficPathName, [Some(path)]) => codes::path_names(&inputs.int32(*path), keys, coder),
            (Rule::Initiator, [flags, protocol, src, dst]) => {
                let mut column = |place: &Option<usize>| place.map(|p| inputs.int32(p));
                let columns = [column(flags), column(protocol), column(src), column(dst)];
                let columns = codes::Connection::of(&columns, inputs.rows());
                coder.dictionary(columns.sides(), &SIDES, keys)
            }
            (Rule::IsNat, [src, pkt_src, dst, pkt_dst]) => {
                let pair = |a: &Option<usize>, b: &Option<usize>| Some((((*a)?), ((*b)?)));
                let src = pair(src, pkt_src).map(|(own, packet)| inputs.pair(own, packet));
                let dst = pair(dst, pkt_dst).map(|(own, packet)| inputs.pair(own, packet));
                small.extend(pairs::is_nat(src.as_deref(), dst.as_deref(), inputs.rows()), true);
                let (values, nulls) = small.finish();
                Arc::new(Int32Array::new(values, nulls))
            }
            (Rule::StartTime | Rule::EndTime, [Some(time)]) => {
                large.extend(inputs.times_ms(*time).iter().copied(), true);
                let (values, nulls) = large.finish();
                Arc::new(TimestampMillisecondArray::new(values, nulls).with_timezone("UTC"))
            }
            (Rule::DurationS, [Some(start), Some(end)]) => {
                let (start, end) = (inputs.times_ms(*start), inputs.times_ms(*end));
                large.extend(times::seconds_between(&start, &end), true);
                let (values, nulls) = large.finish();
                Arc::new(Int64Array::new(values, nulls))
            }
            (Rule::SrcScope | Rule::DstScope, [Some(address)]) => {
                codes::scopes(&inputs.addresses(*address), keys, coder)
            }
            (rule, from) => unreachable!("{rule:?} is left out of schemas without its fields: {from:?}"),
        }
    }
}

#[cfg(test)]
mod enriched_tests;
#[cfg(test)]
mod tests;
