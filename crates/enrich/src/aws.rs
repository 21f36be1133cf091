//! AWS's `ip-ranges.json`: <https://docs.aws.amazon.com/vpc/latest/userguide/aws-ip-syntax.html>.

use std::collections::BTreeMap;

use flowquet_format::EnrichedBy;
use serde::Deserialize;

use crate::entries::{Entries, EntriesBuilder, Key};
use crate::error::Error;
use crate::networks::Network;

/// Its columns of values.
pub(crate) const COLUMNS: [&str; 3] = ["service", "region", "network_border_group"];

/// Bytes at the beginning that tell it.
const HEAD_BYTES: usize = 1024;

#[derive(Deserialize)]
struct Ranges<'a> {
    #[serde(borrow)]
    prefixes: Vec<Range<'a>>,
    #[serde(borrow, default)]
    ipv6_prefixes: Vec<Range<'a>>,
}

#[derive(Deserialize)]
struct Range<'a> {
    #[serde(borrow, alias = "ipv6_prefix")]
    ip_prefix: &'a str,
    region: &'a str,
    service: &'a str,
    #[serde(default)]
    network_border_group: &'a str,
}

/// Whether a text is such a file.
pub(crate) fn is_ranges(text: &str) -> bool {
    let head = &text.as_bytes()[..text.len().min(HEAD_BYTES)];
    let has = |word: &str| head.windows(word.len()).any(|bytes| bytes == word.as_bytes());
    text.starts_with('{') && has("\"syncToken\"") && has("\"prefixes\"")
}

/// How little a service tells: AMAZON has all prefixes, and EC2 those of services that run on it too.
fn generality(service: &str) -> u8 {
    match service {
        "AMAZON" => 2,
        "EC2" => 1,
        _ => 0,
    }
}

/// The entries of such a file. A prefix that stands there for several services counts for the one that tells most, and for the first by name of those that
/// tell as much.
///
/// # Errors
/// [`Error`].
pub(crate) fn ranges(text: &str) -> Result<Entries, Error> {
    let wrong =
        |e: serde_json::Error| Error::line(e.line() as u64, format!("expected ip-ranges.json of AWS: {e}"));
    let ranges: Ranges<'_> = serde_json::from_str(text).map_err(wrong)?;
    let line_of = |prefix: &str| {
        let at = text.find(&format!("\"{prefix}\"")).unwrap_or_default();
        text[..at].bytes().filter(|b| *b == b'\n').count() as u64 + 1
    };
    type Service<'a> = (u8, [&'a str; 3]);
    let mut best: BTreeMap<Network, Service<'_>> = BTreeMap::new();
    for range in ranges.prefixes.iter().chain(&ranges.ipv6_prefixes) {
        let network =
            Network::parse(range.ip_prefix).map_err(|what| Error::line(line_of(range.ip_prefix), what))?;
        let values = [range.service, range.region, range.network_border_group];
        let this = (generality(range.service), values);
        best.entry(network).and_modify(|other| *other = this.min(*other)).or_insert(this);
    }
    let mut entries = EntriesBuilder::new(EnrichedBy::Address, false, COLUMNS.len());
    for (network, (_, values)) in best {
        entries.add(0, Key::Network(network), (i64::MIN, i64::MAX), values.into_iter().map(Some))?;
    }
    entries.build()
}
