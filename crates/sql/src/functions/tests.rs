use datafusion::arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::prelude::SessionContext;

use super::*;

/// The values of the one column of an answer, or the error's first line.
fn ask(question: &str) -> Result<Vec<String>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a thread");
    let context = SessionContext::new();
    scalar_functions().into_iter().for_each(|function| context.register_udf(function));
    aggregate_functions().into_iter().for_each(|function| context.register_udaf(function));
    let answer = runtime.block_on(async { context.sql(question).await?.collect().await });
    let batches =
        answer.map_err(|e| e.find_root().strip_backtrace().lines().next().unwrap_or_default().to_owned())?;
    let options = FormatOptions::default().with_null("null");
    let mut values = Vec::new();
    for batch in &batches {
        let formatter = ArrayFormatter::try_new(batch.column(0).as_ref(), &options).expect("values");
        values.extend((0..batch.num_rows()).map(|row| formatter.value(row).to_string()));
    }
    Ok(values)
}

#[track_caller]
fn check(question: &str, expected: &[&str]) {
    assert_eq!(ask(question), Ok(expected.iter().map(|v| (*v).to_owned()).collect()), "{question}");
}

const ADDRESSES: &str = "(VALUES ('10.1.2.3'), ('11.0.0.0'), ('2001:db8::1'), ('::ffff:10.0.0.9'), ('fd00::1'), ('x'), (NULL), ('10.1.2.3')) AS t (a)";

/// The ways in which text comes.
const KINDS: [&str; 4] = ["Utf8", "LargeUtf8", "Utf8View", "Dictionary(Int32, Utf8)"];

#[test]
fn networks_of_every_kind_of_text() {
    for kind in KINDS {
        let of =
            |call: &str| format!("SELECT {call} FROM (SELECT arrow_cast(a, '{kind}') AS a FROM {ADDRESSES})");
        check(
            &of("ip_in(a, '10.0.0.0/8')"),
            &["true", "false", "false", "true", "false", "false", "null", "true"],
        );
        check(
            &of("ip_in(a, '2001:db8::/32')"),
            &["false", "false", "true", "false", "false", "false", "null", "false"],
        );
        check(&of("is_private(a)"), &["true", "false", "false", "true", "true", "false", "null", "true"]);
        // A network in each row.
        check(
            &of("ip_in(a, CASE WHEN a LIKE '1%' THEN '10.0.0.0/8' WHEN a = 'x' THEN NULL ELSE '::/0' END)"),
            &["true", "false", "true", "true", "true", "null", "null", "true"],
        );
        check(&of("ip_in(a, NULL)"), &["null"; 8]);
    }
    check("SELECT ip_in('10.0.0.1', '10.0.0.0/8')", &["true"]);
    check("SELECT ip_in(NULL, '10.0.0.0/8')", &["null"]);
    let twin = "arrow_cast(arrow_cast('abcdefghijklmnop', 'Binary'), 'FixedSizeBinary(16)')";
    check(&format!("SELECT ip_in({twin}, '6162::/16')"), &["true"]);
    check(&format!("SELECT is_private({twin})"), &["false"]);
}

#[test]
fn wrong_networks_are_told() {
    for (call, expected) in [
        ("ip_in(a, '10.0.0/8')", "expected an address or a network such as 10.0.0.0/8, found `10.0.0/8`"),
        ("ip_in(a, a || '/40')", "expected an address or a network such as 10.0.0.0/8, found `10.1.2.3/40`"),
        ("ip_in(a)", "ip_in takes an address and a network"),
        ("ip_in(1, '10.0.0.0/8')", "ip_in takes text, such as srcaddr, found Int64"),
        ("is_private(a, a)", "is_private takes an address"),
    ] {
        let error = ask(&format!("SELECT {call} FROM {ADDRESSES}")).expect_err(call);
        assert!(error.contains(expected), "{call}: {error}");
    }
}

#[test]
fn times_of_numbers() {
    check(
        "SELECT flow_time(n) FROM (VALUES (1705276800), (1705276800123), (NULL), (4102444800), (-1), (9223372036854775807)) AS t (n)",
        &["2024-01-15T00:00:00Z", "2024-01-15T00:00:00.123Z", "null", "null", "1969-12-31T23:59:59Z", "null"],
    );
}

#[test]
fn differences_of_times() {
    for (unit, expected) in
        [("second", "93784"), ("MINUTE", "1563"), ("hour", "26"), ("day", "1"), ("millisecond", "93784000")]
    {
        let (from, to) = ("TIMESTAMP '2024-01-15 00:00:00'", "TIMESTAMP '2024-01-16 02:03:04'");
        check(&format!("SELECT date_diff('{unit}', {from}, {to})"), &[expected]);
        check(&format!("SELECT date_diff('{unit}', {to}, {from})"), &[&format!("-{expected}")]);
        check(&format!("SELECT date_diff('{unit}', {from}, NULL)"), &["null"]);
    }
    for (call, expected) in [
        ("date_diff('fortnight', now(), now())", "expected one of millisecond, second"),
        ("date_diff('second', 1, 2)", "date_diff takes times, such as start_time, found Int64"),
        ("date_diff('second', now())", "date_diff takes a unit and two times"),
    ] {
        let error = ask(&format!("SELECT {call}")).expect_err(call);
        assert!(error.contains(expected), "{call}: {error}");
    }
}

#[test]
fn rows_are_counted_that_fulfil() {
    let rows = "(VALUES (1, 'a'), (2, 'a'), (3, 'b'), (NULL, 'b')) AS t (n, k)";
    check(&format!("SELECT count_if(n > 1) FROM {rows}"), &["2"]);
    check(&format!("SELECT count_if(n > 9) FROM {rows}"), &["0"]);
    check(&format!("SELECT count_if(n > 1) FILTER (WHERE k = 'a') FROM {rows}"), &["1"]);
    check(&format!("SELECT count_if(n > 1) FROM {rows} GROUP BY k ORDER BY k"), &["1", "1"]);
    check(&format!("SELECT k FROM {rows} GROUP BY k HAVING count_if(n = 3) > 0"), &["b"]);
}
