//! `count_if(condition)`, which DuckDB, Athena and Spark have: `count(*)` of the rows of which it is true.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Result, internal_err};
use datafusion::functions_aggregate::count::count_udaf;
use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams};
use datafusion::logical_expr::function::{AccumulatorArgs, AggregateFunctionSimplification};
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, Expr, Signature, Volatility, lit};

/// The function; plans have another in its place.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct CountIf(Signature);

impl Default for CountIf {
    fn default() -> Self {
        Self(Signature::exact(vec![DataType::Boolean], Volatility::Immutable))
    }
}

impl AggregateUDFImpl for CountIf {
    fn name(&self) -> &str {
        "count_if"
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn is_nullable(&self) -> bool {
        false
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        internal_err!("count_if is planned as count")
    }

    fn simplify(&self) -> Option<AggregateFunctionSimplification> {
        Some(Box::new(|function: AggregateFunction, _| {
            let AggregateFunctionParams { args, distinct, filter, order_by, null_treatment } =
                function.params;
            let Some(condition) = args.into_iter().next() else {
                return internal_err!("count_if without a condition");
            };
            let both = match filter {
                Some(filter) => condition.and(*filter),
                None => condition,
            };
            let (one, filter) = (vec![lit(1_i64)], Some(Box::new(both)));
            let counted =
                AggregateFunction::new_udf(count_udaf(), one, distinct, filter, order_by, null_treatment);
            Ok(Expr::AggregateFunction(counted))
        }))
    }
}
