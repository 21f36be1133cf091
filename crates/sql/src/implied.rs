//! Conditions on columns of files that follow from conditions on what is computed of them, so that statistics can pass over files,
//! row groups and pages.
//!
//! | asked | follows |
//! |---|---|
//! | `start_time >= '2024-01-15'` | `start >= 1705276800` |
//! | `start_time < '2024-01-15'` | `start < 1705276800 or start >= 253402300800`: milliseconds, which are told by their size |
//! | `ip_in(srcaddr, '10.0.0.0/8')` | `srcaddr >= '10.' and srcaddr < '10/'`, or a spelling of IPv6 that has an IPv4 address in it |
//! | the same, of a table with twins | `srcaddr_bin between x'…0a000000' and x'…0affffff'` |

use std::collections::BTreeSet;

use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::common::{Column, ScalarValue};
use datafusion::logical_expr::expr::{Between, BinaryExpr, Cast, ScalarFunction};
use datafusion::logical_expr::{Expr, Operator, lit};
use datafusion::prelude::ident;
use flowquet_format::{ADDRESS_BYTES, Network, TIME_MS_MIN, TWIN_SUFFIX};

use crate::functions::{FLOW_TIME, IP_IN, network_of};

/// Bytes before the address in one of IPv4: they stand as IPv6 maps them.
const MAPPED_BYTES: usize = 12;

/// What begins a spelling of an IPv6 address that has one of IPv4 in it: all but its last eight digits are mostly zeros.
const MAPPED_SPELLINGS: [(&str, &str); 2] = [("0", "1"), ("::", ":;")];

/// A condition on columns that each row fulfils that fulfils `asked`; `None` where nothing simple follows. `twinned` are columns of addresses
/// whose twins speak for them.
pub(crate) fn implied(asked: &Expr, twinned: &BTreeSet<String>) -> Option<Expr> {
    match asked {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            let both = [implied(left, twinned), implied(right, twinned)];
            both.into_iter().flatten().reduce(Expr::and)
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            Some(implied(left, twinned)?.or(implied(right, twinned)?))
        }
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => match (flow_time_of(left), flow_time_of(right)) {
            (Some(column), None) => of_time(column, *op, ms_of(right)?),
            (None, Some(column)) => of_time(column, op.swap()?, ms_of(left)?),
            _ => None,
        },
        Expr::Between(Between { expr, negated: false, low, high }) => {
            let column = flow_time_of(expr)?;
            let low = of_time(column, Operator::GtEq, ms_of(low)?)?;
            Some(low.and(of_time(column, Operator::LtEq, ms_of(high)?)?))
        }
        Expr::ScalarFunction(ScalarFunction { func, args }) if func.name() == IP_IN => {
            let [Expr::Column(column), Expr::Literal(network, _)] = args.as_slice() else { return None };
            let network = network_of(network.try_as_str().flatten()?).ok()?;
            if twinned.contains(column.name()) {
                return Some(in_twin(column, network));
            }
            // A twin that is asked itself.
            let is_twin = column.name().strip_suffix(TWIN_SUFFIX).is_some_and(|name| twinned.contains(name));
            if is_twin { Some(between(column.name(), network)) } else { in_text(column, network) }
        }
        _ => None,
    }
}

/// Whether an expression names only these columns, and gives the same whenever it is asked.
pub(crate) fn is_of_columns(asked: &Expr, names: &[&str]) -> bool {
    let mut is_of = !asked.is_volatile();
    let walked = asked.apply(|part| {
        is_of &= match part {
            Expr::Column(column) => names.contains(&column.name()),
            Expr::Exists(_)
            | Expr::InSubquery(_)
            | Expr::ScalarSubquery(_)
            | Expr::OuterReferenceColumn(..) => false,
            _ => true,
        };
        Ok(if is_of { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    });
    walked.is_ok() && is_of
}

/// The column of `flow_time(column)`, which the engine may have cast to another unit. Other casts give another time: a date is the
/// beginning of its day.
fn flow_time_of(of: &Expr) -> Option<&Column> {
    let of = match of {
        Expr::Cast(Cast { expr, field }) if matches!(field.data_type(), DataType::Timestamp(..)) => expr,
        of => of,
    };
    match of {
        Expr::ScalarFunction(ScalarFunction { func, args }) if func.name() == FLOW_TIME => {
            match args.as_slice() {
                [Expr::Column(column)] => Some(column),
                _ => None,
            }
        }
        _ => None,
    }
}

/// A timestamp's milliseconds, and whether it has a part of one beyond.
fn ms_of(literal: &Expr) -> Option<i64> {
    let Expr::Literal(value, _) = literal else { return None };
    match value {
        ScalarValue::TimestampSecond(Some(s), _) => s.checked_mul(1_000),
        ScalarValue::TimestampMillisecond(Some(ms), _) => Some(*ms),
        ScalarValue::TimestampMicrosecond(Some(us), _) => Some(us.div_euclid(1_000)),
        ScalarValue::TimestampNanosecond(Some(ns), _) => Some(ns.div_euclid(1_000_000)),
        _ => None,
    }
}

/// What follows for numbers from a comparison of their time with one whose milliseconds are `ms`, rounded down.
fn of_time(column: &Column, op: Operator, ms: i64) -> Option<Expr> {
    let seconds = ms.div_euclid(1_000);
    let number = || ident(column.name());
    // Milliseconds are larger than all seconds.
    let least = number().gt_eq(lit(seconds));
    let most = number().lt_eq(lit(seconds)).or(number().gt_eq(lit(TIME_MS_MIN)));
    match op {
        Operator::Eq => Some(least.and(most)),
        Operator::Gt | Operator::GtEq => Some(least),
        Operator::Lt | Operator::LtEq => Some(most),
        _ => None,
    }
}

fn in_twin(column: &Column, network: Network) -> Expr {
    between(&format!("{}{TWIN_SUFFIX}", column.name()), network)
}

fn between(twin: &str, network: Network) -> Expr {
    let [first, last] =
        network.bounds().map(|b| lit(ScalarValue::FixedSizeBinary(ADDRESS_BYTES as i32, Some(b.to_vec()))));
    ident(twin).gt_eq(first).and(ident(twin).lt_eq(last))
}

/// By what the texts begin with: whole numbers of a network of IPv4. Texts of IPv6 have no order that helps.
fn in_text(column: &Column, network: Network) -> Option<Expr> {
    let [first, last] = network.bounds();
    let common = first.iter().zip(last).take_while(|(a, b)| **a == *b).count();
    let numbers = first.get(MAPPED_BYTES..common).filter(|numbers| !numbers.is_empty())?;
    if first[..MAPPED_BYTES] != [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff] {
        return None;
    }
    let spelt: Vec<String> = numbers.iter().map(u8::to_string).collect();
    let text = || ident(column.name());
    let from = spelt.join(".");
    let spelt = match numbers.len() == ADDRESS_BYTES - MAPPED_BYTES {
        true => text().eq(view(&from)),
        // `/` follows on `.`.
        false => text().gt_eq(view(&format!("{from}."))).and(text().lt(view(&format!("{from}/")))),
    };
    let mapped = MAPPED_SPELLINGS.map(|(from, to)| text().gt_eq(view(from)).and(text().lt(view(to))));
    mapped.into_iter().fold(spelt, Expr::or).into()
}

/// A text of the kind that columns have, so that no row is cast.
fn view(text: &str) -> Expr {
    lit(ScalarValue::Utf8View(Some(text.to_owned())))
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::TimeUnit;
    use datafusion::logical_expr::{cast, col};

    use super::*;
    use crate::functions::{flow_time, scalar_functions};

    fn ip_in(column: &str, network: &str) -> Expr {
        let functions = scalar_functions();
        let function = functions.into_iter().find(|f| f.name() == IP_IN).expect("it is there");
        function.call(vec![col(column), lit(network)])
    }

    fn at(ms: i64) -> Expr {
        lit(ScalarValue::TimestampMillisecond(Some(ms), Some("UTC".into())))
    }

    #[test]
    fn what_follows() {
        let time = || flow_time(col("start"));
        let in_ns = || DataType::Timestamp(TimeUnit::Nanosecond, None);
        let none = BTreeSet::new();
        for (asked, expected) in [
            (time().gt_eq(at(1_705_276_800_500)), "start >= Int64(1705276800)"),
            (at(1_705_276_800_000).gt(time()), "start <= Int64(1705276800) OR start >= Int64(253402300800)"),
            (time().gt(at(5_000)).and(col("bytes").gt(lit(1))), "start >= Int64(5)"),
            (cast(time(), in_ns()).gt(at(5_000)), "start >= Int64(5)"),
            (
                ip_in("srcaddr", "10.1.2.3/8").and(lit(true)),
                "srcaddr >= Utf8View(\"10.\") AND srcaddr < Utf8View(\"10/\") OR srcaddr >= Utf8View(\"0\") AND srcaddr < Utf8View(\"1\") OR srcaddr >= Utf8View(\"::\") AND srcaddr < Utf8View(\":;\")",
            ),
        ] {
            let found = implied(&asked, &none).map(|e| e.to_string());
            assert_eq!(found.as_deref(), Some(expected), "{asked}");
        }
        for asked in [
            time().gt(at(5_000)).or(col("bytes").gt(lit(1))),
            time().not_eq(at(5_000)),
            cast(time(), DataType::Date32).eq(at(0)),
            cast(cast(time(), DataType::Date32), in_ns()).lt_eq(at(0)),
            cast(cast(time(), DataType::Date32), in_ns()).between(at(0), at(86_400_000)),
            col("start").gt(lit(1)),
            ip_in("srcaddr", "0.0.0.0/0"),
            ip_in("srcaddr", "128.0.0.0/1"),
            ip_in("srcaddr", "2001:db8::/32"),
            ip_in("srcaddr", "no network"),
        ] {
            assert!(implied(&asked, &none).is_none(), "{asked}");
        }
    }

    #[test]
    fn twins_speak_for_texts() {
        let twinned = BTreeSet::from(["srcaddr".to_owned()]);
        for (column, network) in [("srcaddr", "2001:db8::/32"), ("srcaddr_bin", "10.0.0.0/8")] {
            let found = implied(&ip_in(column, network), &twinned).expect("something follows").to_string();
            assert!(found.starts_with("srcaddr_bin >= FixedSizeBinary(16"), "{found}");
        }
        assert!(implied(&ip_in("dstaddr", "2001:db8::/32"), &twinned).is_none());
    }

    /// A text of an address in a network lies between the bounds, however it is spelt.
    #[test]
    fn every_spelling_lies_within() {
        for (network, texts) in [
            (
                "10.0.0.0/8",
                vec![
                    "10.0.0.0",
                    "10.255.255.255",
                    "::ffff:10.1.2.3",
                    "::FFFF:a01:203",
                    "0:0:0:0:0:ffff:10.1.2.3",
                    "0000::ffff:10.1.2.3",
                ],
            ),
            ("172.16.0.0/12", vec!["172.16.0.1", "172.31.255.255"]),
            ("10.0.1.5", vec!["10.0.1.5", "::ffff:10.0.1.5"]),
        ] {
            let is_within = |text: &str| {
                let spelling = MAPPED_SPELLINGS.iter().any(|(from, to)| (*from..*to).contains(&text));
                let parsed: Network = network.parse().expect("a network");
                let number = parsed.bounds()[0][MAPPED_BYTES].to_string();
                spelling || text.starts_with(&format!("{number}."))
            };
            let network: Network = network.parse().expect("a network");
            for text in texts {
                let address = flowquet_format::address_bytes(text).expect("an address");
                assert!(network.contains(address) && is_within(text), "{text}");
            }
        }
    }

    #[test]
    fn columns_of_conditions() {
        let names = ["date", "region"];
        assert!(is_of_columns(&col("date").eq(lit("2024-01-15")).and(col("region").is_null()), &names));
        assert!(!is_of_columns(&col("date").eq(col("start")), &names));
    }
}
