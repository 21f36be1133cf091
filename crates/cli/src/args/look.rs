//! Arguments of the commands that look into a table: `top`, `cost` and `report`.

use std::ops::RangeInclusive;

use clap::{Args, ValueEnum};
use flowquet_engine::{Order, RecordFilter};
use flowquet_format::{Network, protocol_name, seconds_of};
use flowquet_store::Location;

use crate::clock::{age_s, now_s};
use crate::exit::Exit;
use crate::output::Failure;
use crate::places::{S3Args, Target, target};
use crate::size::whole;

const DAY_S: i64 = 86_400;

#[derive(Debug, Args)]
pub(crate) struct TopArgs {
    /// Folder or S3 prefix of the table
    #[arg(value_name = "TABLE", value_parser = Location::parse)]
    pub(crate) table: Location,

    /// Columns by whose values records are counted, comma-separated; records without a value are left out
    #[arg(long, value_name = "FIELDS", value_delimiter = ',', default_value = "srcaddr")]
    pub(crate) by: Vec<String>,

    /// What to sort by; targets are distinct peer addresses
    #[arg(long, value_name = "WHAT", value_enum, default_value = "flows")]
    pub(crate) order: OrderArg,

    /// Number of rows to show
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = whole::<u32, 1, 100_000>)]
    pub(crate) limit: u32,

    #[command(flatten)]
    pub(crate) filter: RecordArgs,

    /// Print as JSON (schemas/top.schema.json)
    #[arg(long, help_heading = "Reports")]
    pub(crate) json: bool,

    /// Worker threads [default: number of cores]
    #[arg(long, value_name = "N", value_parser = whole::<u16, 1, 1024>, help_heading = "Resources")]
    pub(crate) threads: Option<u16>,

    #[command(flatten)]
    pub(crate) s3: S3Args,
}

#[derive(Debug, Args)]
pub(crate) struct CostArgs {
    /// Folder or S3 prefix of a table, or a Parquet file
    #[arg(value_name = "TABLE", value_parser = Location::parse)]
    pub(crate) table: Location,

    /// Print as JSON (schemas/cost.schema.json)
    #[arg(long)]
    pub(crate) json: bool,

    /// Worker threads [default: number of cores]
    #[arg(long, value_name = "N", value_parser = whole::<u16, 1, 1024>)]
    pub(crate) threads: Option<u16>,

    #[command(flatten)]
    pub(crate) s3: S3Args,
}

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Folder or S3 prefix of the table
    #[arg(value_name = "TABLE", value_parser = Location::parse)]
    pub(crate) table: Location,

    /// Where the page is written: a file, an S3 URL, or `-` for standard output
    #[arg(long, short, value_name = "FILE", value_parser = target, required_unless_present = "json")]
    pub(crate) output: Option<Target>,

    #[command(flatten)]
    pub(crate) filter: RecordArgs,

    /// Print what the page shows as JSON (schemas/table-report.schema.json)
    #[arg(long, help_heading = "Reports")]
    pub(crate) json: bool,

    /// Print errors only
    #[arg(long, short, help_heading = "Reports")]
    pub(crate) quiet: bool,

    /// Worker threads [default: number of cores]
    #[arg(long, value_name = "N", value_parser = whole::<u16, 1, 1024>, help_heading = "Resources")]
    pub(crate) threads: Option<u16>,

    #[command(flatten)]
    pub(crate) s3: S3Args,
}

/// What rows are ordered by.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum OrderArg {
    Bytes,
    Flows,
    Packets,
    Targets,
}

impl OrderArg {
    pub(crate) fn order(self) -> Order {
        match self {
            Self::Bytes => Order::Bytes,
            Self::Flows => Order::Flows,
            Self::Packets => Order::Packets,
            Self::Targets => Order::Targets,
        }
    }
}

/// Which records are counted.
#[derive(Debug, Args)]
#[command(next_help_heading = "Choosing records")]
pub(crate) struct RecordArgs {
    /// Earliest time (by the table's partition time): YYYY-MM-DD, YYYY-MM-DDTHH:MM (UTC), or an age such as 36h or
    /// 7d
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<i64>,

    /// Latest time; a date includes that whole day
    #[arg(long, value_name = "TIME", value_parser = until)]
    until: Option<i64>,

    /// Destination ports, comma-separated: 22, 1024-65535
    #[arg(long, value_name = "PORTS", value_delimiter = ',', value_parser = port)]
    port: Vec<RangeInclusive<i64>>,

    /// Action, as logged: ACCEPT or REJECT
    #[arg(long, value_name = "ACTION", value_delimiter = ',', value_parser = action)]
    action: Vec<String>,

    /// Protocols, comma-separated: tcp, udp, icmp, icmpv6, or another of IANA's names or numbers
    #[arg(long, value_name = "PROTOCOLS", value_delimiter = ',', value_parser = protocol)]
    protocol: Vec<i64>,

    /// Networks or addresses that flows come from, comma-separated: 10.0.0.0/8, 2001:db8::/32
    #[arg(long, value_name = "NETWORKS", value_delimiter = ',')]
    src: Vec<Network>,

    /// Networks or addresses that they go to
    #[arg(long, value_name = "NETWORKS", value_delimiter = ',')]
    dst: Vec<Network>,
}

impl RecordArgs {
    pub(crate) fn filter(&self) -> Result<RecordFilter, Failure> {
        if let (Some(since), Some(until)) = (self.since, self.until)
            && since >= until
        {
            return Err(Failure::message(Exit::Usage, "--since is after --until", None));
        }
        Ok(RecordFilter {
            since_s: self.since,
            until_s: self.until,
            actions: self.action.clone(),
            ports: self.port.clone(),
            protocols: self.protocol.clone(),
            sources: self.src.clone(),
            targets: self.dst.clone(),
        })
    }
}

/// A time, and the length of what it names: a day, or a minute.
fn time(text: &str) -> Result<(i64, i64), String> {
    let at = |text: &str| seconds_of(text);
    let found = if let Some(age) = age_s(text) {
        Some((now_s() - age, 0))
    } else if let Some(day) = at(&format!("{text}T00:00:00Z")).filter(|_| text.len() == 10) {
        Some((day, DAY_S))
    } else if let Some(minute) = at(&format!("{text}:00Z")).filter(|_| text.len() == 16) {
        Some((minute, 0))
    } else {
        at(text).map(|second| (second, 0))
    };
    found.ok_or_else(|| {
        format!("expected a time such as 2024-01-15, 2024-01-15T10:30, 36h or 7d, found `{text}`")
    })
}

fn since(text: &str) -> Result<i64, String> {
    time(text).map(|(at, _)| at)
}

fn until(text: &str) -> Result<i64, String> {
    time(text).map(|(at, length)| at + length)
}

fn port(text: &str) -> Result<RangeInclusive<i64>, String> {
    let error = || format!("expected a port or a range such as 1024-65535, found `{text}`");
    let number = |text: &str| text.parse::<u16>().map(i64::from).map_err(|_| error());
    match text.split_once('-') {
        None => number(text).map(|port| port..=port),
        Some((first, last)) => {
            let ports = number(first)?..=number(last)?;
            if ports.is_empty() { Err(error()) } else { Ok(ports) }
        }
    }
}

fn action(text: &str) -> Result<String, String> {
    let word = text.to_ascii_uppercase();
    let is_known = ["ACCEPT", "REJECT"].contains(&word.as_str());
    is_known.then_some(word).ok_or_else(|| format!("expected ACCEPT or REJECT, found `{text}`"))
}

/// A number, or a name of IANA's; also the one that people have for `IPv6-ICMP`.
fn protocol(text: &str) -> Result<i64, String> {
    let name = if text.eq_ignore_ascii_case("icmpv6") { "IPv6-ICMP" } else { text };
    let named =
        (0..=u8::MAX).find(|n| protocol_name(*n).is_some_and(|known| known.eq_ignore_ascii_case(name)));
    let number = text.parse().ok().or(named).map(i64::from);
    number.ok_or_else(|| {
        format!(
            "expected tcp, udp, icmp, icmpv6, another name of IANA's, or a number up to 255, found `{text}`"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (text, from, to) in [
            ("2024-01-15", 1_705_276_800, 1_705_363_200),
            ("2024-01-15T10:30", 1_705_314_600, 1_705_314_600),
            ("2024-01-15T10:30:05Z", 1_705_314_605, 1_705_314_605),
            ("2024-01-15T12:30:05+02:00", 1_705_314_605, 1_705_314_605),
        ] {
            assert_eq!((since(text), until(text)), (Ok(from), Ok(to)), "{text}");
        }
        let ago = |text| now_s() - since(text).expect("a time");
        for (text, expected) in [("7d", 7 * DAY_S), ("36h", 36 * 3_600), ("5m", 300)] {
            assert!((expected..expected + 60).contains(&ago(text)), "{text}");
        }
        for text in ["", "d", "-1d", "1.5h", "2024-13-01", "2024-01-15T10", "yesterday", "99999999999d"] {
            assert!(since(text).is_err(), "{text}");
        }
    }

    #[test]
    fn ports_and_protocols() {
        assert_eq!((port("22"), port("1024-65535")), (Ok(22..=22), Ok(1024..=65_535)));
        for text in ["", "65536", "30-20", "-", "1-2-3", "ssh"] {
            assert!(port(text).is_err(), "{text}");
        }
        for (text, number) in [
            ("tcp", 6),
            ("UDP", 17),
            ("icmp", 1),
            ("icmpv6", 58),
            ("ipv6-icmp", 58),
            ("sctp", 132),
            ("132", 132),
        ] {
            assert_eq!(protocol(text), Ok(number));
        }
        assert!(protocol("256").is_err() && protocol("x").is_err());
        assert_eq!(action("reject"), Ok("REJECT".to_owned()));
        assert!(action("DENY").is_err());
    }
}
