//! Derived columns as SQL, for views of tables that do not have them.

use flowquet_format::{AddedColumn, ColumnType, Rule, protocol_name, tcp_flag_names, traffic_path_name};

use crate::table::TableDefinition;

/// Whose SQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// DuckDB.
    DuckDb,
    /// Trino, which Athena is too.
    Trino,
}

impl Dialect {
    /// The milliseconds since 1970 of a timestamp.
    fn epoch_ms(self, timestamp: &str) -> String {
        match self {
            Self::DuckDb => format!("epoch_ms({timestamp})"),
            Self::Trino => format!("date_diff('millisecond', {TRINO_EPOCH}, {timestamp})"),
        }
    }

    /// The timestamp of milliseconds since 1970.
    fn timestamp(self, ms: &str) -> String {
        match self {
            Self::DuckDb => format!("to_timestamp({ms} / 1000.0)"),
            Self::Trino => format!("date_add('millisecond', {ms}, {TRINO_EPOCH})"),
        }
    }

    /// Whole seconds of milliseconds that are not negative.
    fn whole_seconds(self, ms: &str) -> String {
        match self {
            Self::DuckDb => format!("{ms} // 1000"),
            Self::Trino => format!("CAST(floor({ms} / 1000e0) AS integer)"),
        }
    }

    fn flags(self, mask: u8) -> String {
        match self {
            Self::DuckDb => format!("tcp_flags & {mask}"),
            Self::Trino => format!("bitwise_and(tcp_flags, {mask})"),
        }
    }
}

/// Of three digits behind the second, so that what is added to it has them.
const TRINO_EPOCH: &str = "TIMESTAMP '1970-01-01 00:00:00.000'";

/// The expression that computes a column from those that `table` has; `None` where a view cannot: for services, scopes and provenance, and where the
/// table does not have what the rule needs.
///
/// Addresses are compared as texts, which is the same where AWS wrote both.
pub fn computed_column(column: AddedColumn, table: &TableDefinition, dialect: Dialect) -> Option<String> {
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
        Rule::TcpFlagNames => flag_names(has("protocol"), dialect),
        Rule::Direction => direction(has("flow-direction"), has("pkt-srcaddr") && has("pkt-dstaddr")),
        Rule::Initiator => initiator(has, dialect),
        Rule::IsNat => is_nat(has),
        Rule::StartTime => dialect.timestamp(&ms("start", table, dialect)),
        Rule::EndTime => dialect.timestamp(&ms("end", table, dialect)),
        Rule::DurationS => {
            let (start, end) = (ms("start", table, dialect), ms("end", table, dialect));
            let seconds = dialect.whole_seconds(&format!("({end} - {start})"));
            format!("CASE WHEN {end} >= {start} THEN {seconds} END")
        }
        Rule::SrcServiceName | Rule::DstServiceName | Rule::SrcScope | Rule::DstScope => return None,
    })
}

fn has(table: &TableDefinition, field: &str) -> bool {
    table.columns.iter().any(|c| c.name == field.replace('-', "_"))
}

/// A time in milliseconds; null from 2100 on.
fn ms(column: &str, table: &TableDefinition, dialect: Dialect) -> String {
    let is_timestamp =
        table.columns.iter().any(|c| c.name == column && c.column_type == ColumnType::TimestampMs);
    let ms = match is_timestamp {
        true => dialect.epoch_ms(&format!("\"{column}\"")),
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

fn flag_names(has_protocol: bool, dialect: Dialect) -> String {
    // As the rule orders them: of all, each alone.
    let all = tcp_flag_names(u8::MAX);
    let flag = |name: &str| {
        let bit = (0..8).map(|bit| 1_u8 << bit).find(|bit| tcp_flag_names(*bit) == name);
        let flag = dialect.flags(bit.expect("a flag of one bit"));
        format!("CASE WHEN {flag} <> 0 THEN '{name}' END")
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

fn initiator(has: impl Fn(&str) -> bool, dialect: Dialect) -> String {
    let mut whens = String::new();
    if has("tcp-flags") {
        let of_tcp = if has("protocol") { "protocol = 6 AND " } else { "" };
        for (mask, side) in [(2, "src"), (18, "dst")] {
            let flags = dialect.flags(18);
            whens.push_str(&format!("WHEN {of_tcp}{flags} = {mask} THEN '{side}' "));
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
