//! What a column of a file holds, by its types.

use parquet::basic::{ConvertedType, LogicalType, TimeUnit, Type as PhysicalType};
use parquet::schema::types::ColumnDescriptor;

/// What the stored numbers and bytes of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Boolean,
    /// Days since 1970.
    Date,
    /// A whole number, and how many of its digits stand behind the point.
    Decimal(u32),
    Float,
    /// 16 bits.
    Half,
    /// Months, days and milliseconds.
    Interval,
    /// A Julian day and nanoseconds.
    Int96,
    Integer,
    Text,
    /// Of a day, and how many of its unit make a second.
    Time(i64),
    /// Since 1970.
    Timestamp {
        /// How many of its unit make a second.
        per_second: i64,
        /// Whether it is an instant; else a clock's reading, which is taken for one of UTC.
        utc: bool,
    },
    Unsigned,
    Uuid,
}

/// The kind of a column of one value a row.
///
/// Files of old writers have converted types alone, those of new ones both.
pub(crate) fn kind(column: &ColumnDescriptor) -> Result<Kind, String> {
    if column.path().parts().len() > 1 || column.max_rep_level() > 0 || column.max_def_level() > 1 {
        return Err("values that are lists or have fields of their own".to_owned());
    }
    let scale = u32::try_from(column.type_scale()).unwrap_or_default();
    match column.logical_type_ref() {
        Some(logical) => by_logical(column, logical, scale),
        None => by_converted(column, scale),
    }
    .ok_or_else(|| {
        let logical = column.logical_type_ref().map(|t| format!(" as {t:?}")).unwrap_or_default();
        format!("values of type {}{logical}", column.physical_type())
    })
}

fn by_logical(column: &ColumnDescriptor, logical: &LogicalType, scale: u32) -> Option<Kind> {
    let bytes =
        matches!(column.physical_type(), PhysicalType::BYTE_ARRAY | PhysicalType::FIXED_LEN_BYTE_ARRAY);
    match logical {
        LogicalType::Date => Some(Kind::Date),
        LogicalType::Decimal(_) => Some(Kind::Decimal(scale)),
        LogicalType::Float16 => Some(Kind::Half),
        LogicalType::Integer(integer) if integer.is_signed => Some(Kind::Integer),
        LogicalType::Integer(_) => Some(Kind::Unsigned),
        LogicalType::Bson | LogicalType::Enum | LogicalType::Json | LogicalType::String if bytes => {
            Some(Kind::Text)
        }
        LogicalType::Time(time) => Some(Kind::Time(per_second(time.unit))),
        LogicalType::Timestamp(time) => {
            Some(Kind::Timestamp { per_second: per_second(time.unit), utc: time.is_adjusted_to_u_t_c })
        }
        // A column of nothing but nulls.
        LogicalType::Unknown => physical(column),
        LogicalType::Uuid => Some(Kind::Uuid),
        _ => None,
    }
}

fn by_converted(column: &ColumnDescriptor, scale: u32) -> Option<Kind> {
    let timestamp = |per_second| Some(Kind::Timestamp { per_second, utc: true });
    match column.converted_type() {
        ConvertedType::DATE => Some(Kind::Date),
        ConvertedType::DECIMAL => Some(Kind::Decimal(scale)),
        ConvertedType::INTERVAL => Some(Kind::Interval),
        ConvertedType::TIME_MILLIS => Some(Kind::Time(1_000)),
        ConvertedType::TIME_MICROS => Some(Kind::Time(1_000_000)),
        ConvertedType::TIMESTAMP_MILLIS => timestamp(1_000),
        ConvertedType::TIMESTAMP_MICROS => timestamp(1_000_000),
        ConvertedType::UINT_8 | ConvertedType::UINT_16 | ConvertedType::UINT_32 | ConvertedType::UINT_64 => {
            Some(Kind::Unsigned)
        }
        ConvertedType::LIST | ConvertedType::MAP | ConvertedType::MAP_KEY_VALUE => None,
        _ => physical(column),
    }
}

fn physical(column: &ColumnDescriptor) -> Option<Kind> {
    Some(match column.physical_type() {
        PhysicalType::BOOLEAN => Kind::Boolean,
        PhysicalType::INT32 | PhysicalType::INT64 => Kind::Integer,
        PhysicalType::INT96 => Kind::Int96,
        PhysicalType::FLOAT | PhysicalType::DOUBLE => Kind::Float,
        PhysicalType::BYTE_ARRAY | PhysicalType::FIXED_LEN_BYTE_ARRAY => Kind::Text,
    })
}

fn per_second(unit: TimeUnit) -> i64 {
    match unit {
        TimeUnit::MILLIS => 1_000,
        TimeUnit::MICROS => 1_000_000,
        TimeUnit::NANOS => 1_000_000_000,
    }
}
