//! `flow_time(number)`, the timestamp of a time as AWS writes it, and `date_diff(unit, from, to)` as Athena has it.

use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, AsArray as _, Int64Array, TimestampMillisecondArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Field, FieldRef, Int64Type, TimeUnit, TimestampMillisecondType,
};
use datafusion::common::{Result, exec_datafusion_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::scalar::ScalarValue;
use flowquet_format::{TIME_MS_MIN, TIME_NUMBER_MAX};

use super::constant;
use crate::columns::UTC;

/// The name of [`FlowTime`].
pub(crate) const FLOW_TIME: &str = "flow_time";

/// `flow_time` of an expression.
pub(crate) fn flow_time(number: Expr) -> Expr {
    ScalarUDF::from(FlowTime::default()).call(vec![number])
}

fn timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, Some(UTC.into()))
}

/// The timestamp of a time in seconds, or milliseconds where the number is so large; null from 2100 on, as `--add start_time` has it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct FlowTime(Signature);

impl Default for FlowTime {
    fn default() -> Self {
        Self(Signature::exact(vec![DataType::Int64], Volatility::Immutable))
    }
}

impl ScalarUDFImpl for FlowTime {
    fn name(&self) -> &str {
        FLOW_TIME
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(timestamp())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let number =
            args.args.into_iter().next().ok_or_else(|| exec_datafusion_err!("flow_time of what?"))?;
        let numbers = number.into_array(args.number_rows)?;
        let ms = |number: Option<i64>| {
            let number = number?;
            let ms = if number < TIME_MS_MIN { number.checked_mul(1000)? } else { number };
            (ms <= TIME_NUMBER_MAX).then_some(ms)
        };
        let times: TimestampMillisecondArray = numbers.as_primitive::<Int64Type>().iter().map(ms).collect();
        Ok(ColumnarValue::Array(Arc::new(times.with_timezone(UTC))))
    }
}

/// Whole units from one time to another, as Trino and Athena count them.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct DateDiff(Signature);

impl Default for DateDiff {
    fn default() -> Self {
        Self(Signature::user_defined(Volatility::Immutable))
    }
}

/// Units by name, in milliseconds.
const UNITS: [(&str, i64); 6] = [
    ("millisecond", 1),
    ("second", 1_000),
    ("minute", 60_000),
    ("hour", 3_600_000),
    ("day", 86_400_000),
    ("week", 604_800_000),
];

/// Milliseconds of a unit.
fn unit_ms(unit: &ScalarValue) -> Result<i64> {
    let unit = constant(unit).unwrap_or_default().to_lowercase();
    match UNITS.iter().find(|(name, _)| *name == unit) {
        Some((_, ms)) => Ok(*ms),
        None => {
            plan_err!("date_diff: expected one of {}, found `{unit}`", UNITS.map(|(name, _)| name).join(", "))
        }
    }
}

impl ScalarUDFImpl for DateDiff {
    fn name(&self) -> &str {
        "date_diff"
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn coerce_types(&self, arg_types: &[DataType]) -> Result<Vec<DataType>> {
        let [_, from, to] = arg_types else {
            return plan_err!(
                "date_diff takes a unit and two times: date_diff('second', start_time, end_time)"
            );
        };
        if let Some(other) = [from, to].into_iter().find(|t| t.is_numeric()) {
            return plan_err!(
                "date_diff takes times, such as start_time, found {other}: subtract numbers of seconds"
            );
        }
        Ok(vec![DataType::Utf8, timestamp(), timestamp()])
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        // A slip of the pen is told before anything is read.
        if let Some(Some(unit)) = args.scalar_arguments.first() {
            unit_ms(unit)?;
        }
        Ok(Arc::new(Field::new(self.name(), DataType::Int64, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let number = args.number_rows;
        let [unit, from, to] = <[ColumnarValue; 3]>::try_from(args.args)
            .map_err(|_| exec_datafusion_err!("date_diff takes a unit and two times"))?;
        let ColumnarValue::Scalar(unit) = unit else {
            return plan_err!("date_diff takes one unit for all rows, such as 'second'");
        };
        let ms = unit_ms(&unit)?;
        let times = |value: ColumnarValue| -> Result<ArrayRef> {
            Ok(cast(&value.into_array(number)?, &timestamp())?)
        };
        let (from, to) = (times(from)?, times(to)?);
        let both = from.as_primitive::<TimestampMillisecondType>().iter();
        let both = both.zip(to.as_primitive::<TimestampMillisecondType>());
        let found: Int64Array = both.map(|(from, to)| to?.checked_sub(from?)?.checked_div(ms)).collect();
        Ok(ColumnarValue::Array(Arc::new(found)))
    }
}
