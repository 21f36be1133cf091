//! Columns that tell where rows came from: the same for all rows of an object, but for their lines.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, TimestampMillisecondType};
use arrow_array::{Array as _, ArrayRef, Int64Array, TimestampMillisecondArray};
use flowquet_format::{EventTimes, Origin};
use flowquet_parse::Block;

use crate::dictionary::DictionaryBuilder;
use crate::growing::{Growing, Nullable};

/// What an object tells of all its rows.
#[derive(Debug, Clone, Default)]
pub struct RowOrigin {
    /// Its URL.
    pub object: String,
    /// The flow log in its key.
    pub flow_log_id: Option<String>,
    /// The account in its key.
    pub account: Option<String>,
    /// The region in its key.
    pub region: Option<String>,
    /// When it was delivered, in milliseconds since 1970.
    pub delivered_ms: Option<i64>,
    /// Times of the events of its lines.
    pub events: EventTimes,
}

/// A growing column.
#[derive(Debug)]
pub(crate) enum OriginBuilder {
    Line(Growing<i64>),
    Text(Origin, DictionaryBuilder),
    /// Of the object, or of the events of its lines.
    Time(Origin, Growing<i64>),
}

impl OriginBuilder {
    pub(crate) fn new(origin: Origin) -> Self {
        match origin {
            Origin::SourceLine => Self::Line(Growing::default()),
            time @ (Origin::DeliveredAt | Origin::EventTime) => Self::Time(time, Growing::default()),
            text => Self::Text(text, DictionaryBuilder::default()),
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Line(values) | Self::Time(_, values) => values.bytes(),
            Self::Text(_, text) => text.bytes(),
        }
    }

    /// Appends rows `range` of `block`, which is of the object that `origin` tells of.
    pub(crate) fn append(&mut self, origin: &RowOrigin, block: &Block<'_>, range: Range<usize>) {
        match self {
            Self::Line(values) => values.extend(block.lines(range).map(u64::cast_signed), false),
            Self::Text(which, text) => {
                let value = match which {
                    Origin::FlowLogId => origin.flow_log_id.as_deref(),
                    Origin::SourceAccount => origin.account.as_deref(),
                    Origin::SourceRegion => origin.region.as_deref(),
                    _ => Some(origin.object.as_str()),
                };
                text.append_run(value, range.len());
            }
            Self::Time(Origin::EventTime, values) => {
                let times = origin.events.of(block.lines(range));
                values.extend(times.into_iter().map(|ms| ms.unwrap_or(i64::NULL)), true);
            }
            Self::Time(_, values) => {
                let time = origin.delivered_ms.unwrap_or(i64::NULL);
                values.extend(std::iter::repeat_n(time, range.len()), time < 0);
            }
        }
    }

    pub(crate) fn append_array(&mut self, array: &ArrayRef) {
        match self {
            Self::Line(values) => {
                let array = array.as_primitive::<Int64Type>();
                values.extend_from_array(array.values(), array.nulls());
            }
            Self::Text(_, text) => text.append_array(array),
            Self::Time(_, values) => {
                let array = array.as_primitive::<TimestampMillisecondType>();
                values.extend_from_array(array.values(), array.nulls());
            }
        }
    }

    pub(crate) fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Line(values) => {
                let (values, nulls) = values.finish();
                Arc::new(Int64Array::new(values, nulls))
            }
            Self::Text(_, text) => text.finish(),
            Self::Time(_, values) => {
                let (values, nulls) = values.finish();
                Arc::new(TimestampMillisecondArray::new(values, nulls).with_timezone("UTC"))
            }
        }
    }
}
