//! Functions that the engine does not have: of addresses, of times, and some that DuckDB, Athena and Trino share.

mod addresses;
mod count_if;
#[cfg(test)]
mod tests;
mod times;

use datafusion::arrow::array::{Array, ArrayRef, AsArray as _};
use datafusion::arrow::compute::{cast, take};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{AggregateUDF, ScalarUDF};
use datafusion::scalar::ScalarValue;

pub(crate) use self::addresses::{IP_IN, network_of};
pub(crate) use self::times::{FLOW_TIME, flow_time};

/// All of one row.
pub(crate) fn scalar_functions() -> Vec<ScalarUDF> {
    vec![
        ScalarUDF::from(addresses::IpIn::default()),
        ScalarUDF::from(addresses::IsPrivate::default()),
        ScalarUDF::from(times::DateDiff::default()),
        ScalarUDF::from(times::FlowTime::default()),
    ]
}

/// All of several rows.
pub(crate) fn aggregate_functions() -> Vec<AggregateUDF> {
    vec![AggregateUDF::from(count_if::CountIf::default())]
}

/// The text of an argument that is the same for all rows; `None` of null.
fn constant(value: &ScalarValue) -> Option<&str> {
    value.try_as_str().flatten()
}

/// Does `each` with the values of an array; of a dictionary, with its different values.
fn by_value(array: &ArrayRef, each: impl Fn(&ArrayRef) -> Result<ArrayRef>) -> Result<ArrayRef> {
    match array.as_any_dictionary_opt() {
        Some(dictionary) => {
            let of_values = each(dictionary.values())?;
            Ok(take(&of_values, dictionary.keys(), None)?)
        }
        None => each(array),
    }
}

/// Texts of any kind as views.
fn texts(array: &ArrayRef) -> Result<ArrayRef> {
    match array.data_type() {
        DataType::Utf8View => Ok(array.clone()),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Null => Ok(cast(array, &DataType::Utf8View)?),
        other => exec_err!("expected text, found {other}"),
    }
}
