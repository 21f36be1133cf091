//! Derived columns as expressions of DuckDB, for views of tables that do not have them.

use flowquet_format::{AddedColumn, ColumnType, Rule, protocol_name, tcp_flag_names, traffic_path_name};

use crate::table::TableDefinition;

/// The expression that computes a column from those that `table` has; `None` where a view cannot: for services, scopes and provenance, and where the
/// table does not have what the rule needs.
///
/// Addresses are compared as texts, which is the same where AWS wrote both.
pub fn duckdb_expression(column: AddedColumn, table: &TableDefinition) -> Option<String> {
    let AddedColumn::Derived(rule) = column else { return None };
    let has = |field: &str| has(table, field);
    if !column.can_tell(has) {
        return None;
    }
    Some(match rule {
        Rule::ProtocolName => {
            let words = (0..=u8::MAX).filter_map(|n| Some((i32::from(n), protocol_name(n)?)));
            by_number("protocol", words)
        }
        Rule::TrafficPathName => by_number(
            "traffic_path",
            (0..=i32::from(u8::MAX)).filter_map(|n| Some((n, traffic_path_name(n)?))),
        ),
        Rule::TcpFlagNames => flag_names(has("protocol")),
        Rule::Direction => direction(has("flow-direction"), has("pkt-srcaddr") && has("pkt-dstaddr")),
        Rule::Initiator => initiator(has),
        Rule::IsNat => is_nat(has),
        Rule::StartTime => format!("to_timestamp({} / 1000.0)", ms("start", table)),
        Rule::EndTime => format!("to_timestamp({} / 1000.0)", ms("end", table)),
        Rule::DurationS => {
            let (start, end) = (ms("start", table), ms("end", table));
            format!("CASE WHEN {end} >= {start} THEN ({end} - {start}) // 1000 END")
        }
        Rule::SrcServiceName | Rule::DstServiceName | Rule::SrcScope | Rule::DstScope => return None,
    })
}

fn has(table: &TableDefinition, field: &str) -> bool {
    table.columns.iter().any(|c| c.name == field.replace('-', "_"))
}

/// A time in milliseconds; null from 2100 on.
fn ms(column: &str, table: &TableDefinition) -> String {
    let is_timestamp =
        table.columns.iter().any(|c| c.name == column && c.column_type == ColumnType::TimestampMs);
    let ms = match is_timestamp {
        true => format!("epoch_ms(\"{column}\")"),
        false => {
            format!("(CASE WHEN \"{column}\" < 253402300800 THEN \"{column}\" * 1000 ELSE \"{column}\" END)")
        }
    };
    format!("(CASE WHEN {ms} < 4102444800000 THEN {ms} END)")
}

fn by_number<'a>(column: &str, words: impl Iterator<Item = (i32, &'a str)>) -> String {
    let whens: Vec<String> = words.map(|(number, word)| format!("WHEN {number} THEN '{word}'")).collect();
    format!("CASE \"{column}\" {} END", whens.join(" "))
}

fn flag_names(has_protocol: bool) -> String {
    // As the rule orders them: of all, each alone.
    let all = tcp_flag_names(u8::MAX);
    let flag = |name: &str| {
        let bit = (0..8).map(|bit| 1_u8 << bit).find(|bit| tcp_flag_names(*bit) == name);
        format!("CASE WHEN tcp_flags & {} <> 0 THEN '{name}' END", bit.expect("a flag of one bit"))
    };
    let names: Vec<String> = all.split('+').map(flag).collect();
    let told = if has_protocol {
        "protocol = 6 AND tcp_flags BETWEEN 0 AND 255"
    } else {
        "tcp_flags BETWEEN 1 AND 255"
    };
    format!("CASE WHEN {told} THEN concat_ws('+', {}) END", names.join(", "))
}

fn direction(is_given: bool, has_pairs: bool) -> String {
    let given = "WHEN flow_direction IN ('ingress', 'egress') THEN flow_direction ";
    let pairs = "WHEN srcaddr = pkt_srcaddr AND dstaddr <> pkt_dstaddr THEN 'ingress' \
                 WHEN srcaddr <> pkt_srcaddr AND dstaddr = pkt_dstaddr THEN 'egress' ";
    format!("CASE {}{}END", if is_given { given } else { "" }, if has_pairs { pairs } else { "" })
}

fn initiator(has: impl Fn(&str) -> bool) -> String {
    let mut whens = String::new();
    if has("tcp-flags") {
        let of_tcp = if has("protocol") { "protocol = 6 AND " } else { "" };
        for (mask, side) in [(2, "src"), (18, "dst")] {
            whens.push_str(&format!("WHEN {of_tcp}tcp_flags & 18 = {mask} THEN '{side}' "));
        }
    }
    if ["protocol", "srcport", "dstport"].into_iter().all(has) {
        let began = |asks: &str, serves: &str, side: &str| {
            format!(
                "WHEN protocol IN (6, 17, 33, 132) AND {asks} BETWEEN 1024 AND 65535 AND {serves} BETWEEN 1 AND 1023 AND {serves} <> 20 THEN '{side}' "
            )
        };
        whens.push_str(&began("srcport", "dstport", "src"));
        whens.push_str(&began("dstport", "srcport", "dst"));
    }
    format!("CASE {whens}END")
}

fn is_nat(has: impl Fn(&str) -> bool) -> String {
    let pairs = [["srcaddr", "pkt_srcaddr"], ["dstaddr", "pkt_dstaddr"]];
    let kept = pairs.iter().filter(|pair| pair.iter().all(|name| has(&name.replace('_', "-"))));
    let (others, same): (Vec<String>, Vec<String>) =
        kept.map(|[own, packet]| (format!("{own} <> {packet}"), format!("{own} = {packet}"))).unzip();
    format!("CASE WHEN {} THEN 1 WHEN {} THEN 0 END", others.join(" OR "), same.join(" AND "))
}
