//! Which objects are wanted, as their keys tell, and which folders can hold them: so that a month is listed by its own
//! prefixes, not by walking the bucket.

use std::collections::BTreeSet;
use std::fmt;

use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use jiff::civil::Date;

use crate::aws_folders::{AwsFolders, FLOW_LOGS, is_account};
use crate::key_group::KeyGroup;
use crate::object_key::ObjectKey;
use crate::time::midnight;

/// Seconds of a day.
const DAY_S: i64 = 86_400;

/// Which objects are wanted. The default wants all.
#[derive(Debug, Clone, Default)]
pub struct KeyFilter {
    /// Unix seconds of the first day's beginning, and of the last day's end.
    since_s: Option<i64>,
    until_s: Option<i64>,
    /// Accounts; none for all.
    pub accounts: Vec<String>,
    /// Regions; none for all.
    pub regions: Vec<String>,
    /// Flow log ids; none for all.
    pub flow_log_ids: Vec<String>,
    include: Option<GlobSet>,
    exclude: Option<GlobSet>,
}

/// What to do with a folder of a listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Descent {
    /// Nothing that is wanted lies below it.
    Skip,
    /// List all that lies below it.
    Whole,
    /// Look at its folders one by one.
    Folders,
}

/// Why an object is not wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeftOut {
    /// By a filter, or since it is of another AWS service.
    Filtered,
    /// A filter asks for what its key does not tell.
    Untold,
}

/// What a filter asks for by its name, and keys tell.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Named {
    /// An account's id.
    Account(String),
    /// A flow log's id.
    FlowLog(String),
    /// A region's code.
    Region(String),
}

impl Named {
    /// What the URL of an object tells, or that of a folder, which ends in a slash.
    pub fn told_by(url: &str) -> impl Iterator<Item = Self> {
        let told =
            if url.ends_with('/') { ObjectKey::parse(&format!("{url}x")) } else { ObjectKey::parse(url) };
        let named = [
            told.account.map(Self::Account),
            told.region.map(Self::Region),
            told.flow_log_id.map(Self::FlowLog),
        ];
        named.into_iter().flatten()
    }

    /// The account in whose folder of logs a folder is, by its URL, whatever these are logs of.
    pub fn account_of_folder(url: &str) -> Option<Self> {
        let parts: Vec<&str> = url.split('/').filter(|part| !part.is_empty()).collect();
        AwsFolders::of(&parts)?.account.map(|id| Self::Account(id.to_owned()))
    }

    /// Whether both are accounts, both flow logs or both regions.
    pub fn is_kind_of(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }

    /// What it is, in words.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Account(_) => "account",
            Self::FlowLog(_) => "flow log",
            Self::Region(_) => "region",
        }
    }

    /// The id or code.
    pub fn value(&self) -> &str {
        match self {
            Self::Account(text) | Self::FlowLog(text) | Self::Region(text) => text,
        }
    }
}

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.value())
    }
}

fn unix_s(date: &str) -> Result<i64, String> {
    let parsed: Date =
        date.parse().map_err(|_| format!("expected a date such as 2024-01-31, found `{date}`"))?;
    midnight(parsed).ok_or_else(|| format!("expected a date from 2000 to 2100, found `{date}`"))
}

/// Globs of keys: `*` stays within a folder, `**` does not.
fn globs(patterns: &[String]) -> Result<Option<GlobSet>, String> {
    if patterns.is_empty() {
        return Ok(None);
    }
    let mut set = GlobSetBuilder::new();
    for pattern in patterns {
        if pattern.is_empty() {
            return Err("expected a glob such as `**/2024/01/**`, found ``".to_owned());
        }
        let glob = GlobBuilder::new(pattern).literal_separator(true).build();
        set.add(
            glob.map_err(|e| format!("expected a glob such as `**/2024/01/**`, found `{pattern}`: {e}"))?,
        );
    }
    set.build().map(Some).map_err(|e| e.to_string())
}

impl KeyFilter {
    /// Whether no filter is set: every flow log is wanted.
    pub fn wants_all(&self) -> bool {
        self.is_by_globs() && self.include.is_none() && self.exclude.is_none()
    }

    /// Whether nothing is asked for that keys tell.
    fn is_by_globs(&self) -> bool {
        let lists = [&self.accounts, &self.regions, &self.flow_log_ids];
        lists.iter().all(|list| list.is_empty()) && (self.since_s, self.until_s) == (None, None)
    }

    /// Wants objects that AWS or Firehose delivered on these days, both included, as `YYYY-MM-DD`, UTC.
    ///
    /// # Errors
    /// A message, where one is no date or they stand the wrong way round.
    pub fn set_days(&mut self, since: Option<&str>, until: Option<&str>) -> Result<(), String> {
        self.since_s = since.map(unix_s).transpose()?;
        self.until_s = until.map(unix_s).transpose()?.map(|s| s + DAY_S);
        match (self.since_s, self.until_s) {
            (Some(first), Some(end)) if first >= end => {
                let [since, until] = [since, until].map(Option::unwrap_or_default);
                Err(format!("the first day, {since}, is after the last, {until}"))
            }
            _ => Ok(()),
        }
    }

    /// Wants objects whose key below the source matches one of `include`, if any, and none of `exclude`.
    ///
    /// # Errors
    /// A message, where one is no glob.
    pub fn set_globs(&mut self, include: &[String], exclude: &[String]) -> Result<(), String> {
        self.include = globs(include)?;
        self.exclude = globs(exclude)?;
        Ok(())
    }

    /// What is asked for by its name. Flow logs only where no days are asked for: names of folders do not tell them, so that one
    /// that delivered nothing on these days looks like one that is not there.
    pub fn named(&self) -> BTreeSet<Named> {
        let ids = if (self.since_s, self.until_s) == (None, None) { &self.flow_log_ids[..] } else { &[] };
        let accounts = self.accounts.iter().cloned().map(Named::Account);
        let regions = self.regions.iter().cloned().map(Named::Region);
        accounts.chain(regions).chain(ids.iter().cloned().map(Named::FlowLog)).collect()
    }

    fn wants_times(&self, from_s: i64, to_s: i64) -> bool {
        self.since_s.is_none_or(|s| to_s > s) && self.until_s.is_none_or(|u| from_s < u)
    }

    /// Whether an object is wanted, by its URL and by its key below the source.
    ///
    /// # Errors
    /// Why it is left out.
    pub fn admits(&self, url: &str, key: &str) -> Result<(), LeftOut> {
        let path = url.split_once("://").map_or(url, |(_, path)| path);
        if other_service(path) {
            return Err(LeftOut::Filtered);
        }
        let is_matched = self.include.as_ref().is_none_or(|g| g.is_match(key))
            && !self.exclude.as_ref().is_some_and(|g| g.is_match(key));
        if !is_matched {
            return Err(LeftOut::Filtered);
        }
        if self.is_by_globs() {
            return Ok(());
        }
        let told = ObjectKey::parse(url);
        let among = |wanted: &[String], found: &Option<String>| match found {
            _ if wanted.is_empty() => Ok(()),
            Some(found) if wanted.contains(found) => Ok(()),
            Some(_) => Err(LeftOut::Filtered),
            None => Err(LeftOut::Untold),
        };
        among(&self.accounts, &told.account)?;
        among(&self.regions, &told.region)?;
        among(&self.flow_log_ids, &told.flow_log_id)?;
        if self.since_s.is_some() || self.until_s.is_some() {
            // Names that Firehose gives tell the time, too.
            let delivery = told.delivery.or_else(|| KeyGroup::of(url, key).1);
            let day_s = delivery.ok_or(LeftOut::Untold)?.unix_s;
            if !self.wants_times(day_s, day_s + 1) {
                return Err(LeftOut::Filtered);
            }
        }
        Ok(())
    }

    /// What to do with a folder, given as its whole path in the bucket; `depth` is how many folders it lies below the source.
    pub fn descent(&self, path: &str, depth: usize) -> Descent {
        /// Folders of unknown names that are looked into, in search of AWS's.
        const UNKNOWN_DEPTH_MAX: usize = 3;
        let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
        if other_service(&format!("{}/x", parts.join("/"))) {
            return Descent::Skip;
        }
        let known = AwsFolders::of(&parts);
        let found = known.unwrap_or_default();
        let unwanted = |wanted: &[String], found: Option<&str>| {
            found.is_some_and(|f| !wanted.is_empty() && !wanted.iter().any(|w| w == f))
        };
        if unwanted(&self.accounts, found.account) || unwanted(&self.regions, found.region) {
            return Descent::Skip;
        }
        if let Some((from_s, to_s)) = times(&found) {
            if !self.wants_times(from_s, to_s) {
                return Descent::Skip;
            }
            // A day is a page or a few. Pages follow one another, days are listed side by side.
            return if found.day.is_some() { Descent::Whole } else { Descent::Folders };
        }
        if known.is_some() || depth < UNKNOWN_DEPTH_MAX { Descent::Folders } else { Descent::Whole }
    }
}

fn other_service(path: &str) -> bool {
    service_of_path(path).is_some()
}

/// The service in whose folder of logs an object is, by its path or URL, unless that is flow logs: `AWSLogs/[org/]ACCOUNT/SERVICE/…`.
pub fn service_of_path(path: &str) -> Option<&str> {
    let parts: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
    let logs = parts.iter().rposition(|p| *p == "AWSLogs")?;
    let after = &parts[logs + 1..];
    let account = after.iter().take(2).position(|p| is_account(p))?;
    // The last part is the object itself.
    (after.len() > account + 2 && after[account + 1] != FLOW_LOGS).then(|| after[account + 1])
}

/// The times that a folder holds, as far as its name is told.
fn times(found: &AwsFolders<'_>) -> Option<(i64, i64)> {
    let number = |text: Option<&str>| text.and_then(|t| t.parse::<i16>().ok());
    let year = number(Some(found.year?))?;
    let small = |n: Option<i16>| n.and_then(|n| i8::try_from(n).ok());
    let (month, day) = (small(number(found.month)), small(number(found.day)));
    let start = |year, month, day| midnight(Date::new(year, month, day).ok()?);
    match (month, day) {
        (None, _) => Some((start(year, 1, 1)?, start(year + 1, 1, 1)?)),
        (Some(12), None) => Some((start(year, 12, 1)?, start(year + 1, 1, 1)?)),
        (Some(month), None) => Some((start(year, month, 1)?, start(year, month + 1, 1)?)),
        (Some(month), Some(day)) => start(year, month, day).map(|s| (s, s + DAY_S)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(since: &str, until: &str) -> KeyFilter {
        let mut filter = KeyFilter::default();
        filter.set_days(Some(since), Some(until)).expect("dates");
        filter
    }

    const PLAIN: &str = "p/AWSLogs/123456789012/vpcflowlogs/us-east-1";

    #[test]
    fn folders_that_cannot_hold_a_day_are_not_listed() {
        let march = filter("2024-03-05", "2024-03-07");
        let hive = "AWSLogs/aws-account-id=123456789012/aws-service=vpcflowlogs/aws-region=us-east-1";
        let transit = "AWSLogs/aws-account-id=123456789012/service=vpcflowlogs/aws-region=us-east-1";
        for (path, descent) in [
            ("p/", Descent::Folders),
            ("p/AWSLogs/", Descent::Folders),
            ("p/AWSLogs/o-abc/", Descent::Folders),
            (PLAIN, Descent::Folders),
            (&format!("{PLAIN}/2023"), Descent::Skip),
            (&format!("{PLAIN}/2024"), Descent::Folders),
            (&format!("{PLAIN}/2024/02"), Descent::Skip),
            (&format!("{PLAIN}/2024/03"), Descent::Folders),
            (&format!("{PLAIN}/2024/03/04"), Descent::Skip),
            (&format!("{PLAIN}/2024/03/05"), Descent::Whole),
            (&format!("{PLAIN}/2024/03/07/"), Descent::Whole),
            (&format!("{PLAIN}/2024/03/08"), Descent::Skip),
            (&format!("{hive}/year=2024/month=02"), Descent::Skip),
            (&format!("{hive}/year=2024/month=03/day=06"), Descent::Whole),
            (&format!("{transit}/year=2025"), Descent::Skip),
            ("AWSLogs/123456789012/CloudTrail/", Descent::Skip),
            ("AWSLogs/123456789012/vpcflowlogs/", Descent::Folders),
        ] {
            assert_eq!(march.descent(path, 1), descent, "{path}");
        }
        let all = KeyFilter::default();
        assert_eq!(
            all.descent(&format!("{PLAIN}/2024/12"), 5),
            Descent::Folders,
            "days are listed side by side"
        );
        assert_eq!(all.descent(&format!("{PLAIN}/2024/12/31"), 6), Descent::Whole);
        assert_eq!(KeyFilter::default().descent("a/b/c/d", 4), Descent::Whole, "no end of unknown folders");
    }

    #[test]
    fn accounts_and_regions_choose_folders() {
        let filter = KeyFilter {
            accounts: vec!["111111111111".to_owned()],
            regions: vec!["eu-west-1".to_owned()],
            ..KeyFilter::default()
        };
        assert_eq!(filter.descent("AWSLogs/123456789012/", 1), Descent::Skip);
        assert_eq!(filter.descent("AWSLogs/111111111111/", 1), Descent::Folders);
        assert_eq!(filter.descent("AWSLogs/o-abc/", 1), Descent::Folders);
        assert_eq!(filter.descent("AWSLogs/111111111111/vpcflowlogs/us-east-1/", 1), Descent::Skip);
        assert_eq!(filter.descent("AWSLogs/111111111111/vpcflowlogs/eu-west-1/", 1), Descent::Folders);
    }

    #[test]
    fn objects() {
        let key = |day: &str| {
            format!(
                "s3://b/{PLAIN}/2024/03/{day}/123456789012_vpcflowlogs_us-east-1_fl-1_202403{day}T2355Z_x.log.gz"
            )
        };
        let march = filter("2024-03-05", "2024-03-07");
        assert_eq!(march.admits(&key("05"), "x"), Ok(()));
        assert_eq!(march.admits(&key("07"), "x"), Ok(()));
        assert_eq!(march.admits(&key("08"), "x"), Err(LeftOut::Filtered));
        assert_eq!(march.admits("s3://b/other.log", "other.log"), Err(LeftOut::Untold));
        let firehose = |day| {
            let key = format!(
                "fh/2024/03/{day}/00/flow-1-2024-03-{day}-00-00-01-0a1b2c3d-0000-1111-2222-0123456789ab"
            );
            march.admits(&format!("s3://b/{key}"), &key)
        };
        assert_eq!((firehose("05"), firehose("08")), (Ok(()), Err(LeftOut::Filtered)));
        let mut without = march.clone();
        without.set_globs(&[], &["other.*".to_owned()]).expect("globs");
        assert_eq!(
            without.admits("s3://b/other.log", "other.log"),
            Err(LeftOut::Filtered),
            "no longer a question"
        );
        let mut globs = KeyFilter::default();
        globs.set_globs(&["**/*.log.gz".to_owned()], &["tmp/**".to_owned()]).expect("globs");
        assert_eq!(globs.admits("s3://b/a/x.log.gz", "a/x.log.gz"), Ok(()));
        assert_eq!(globs.admits("s3://b/tmp/x.log.gz", "tmp/x.log.gz"), Err(LeftOut::Filtered));
        assert_eq!(globs.admits("s3://b/a/x.txt", "a/x.txt"), Err(LeftOut::Filtered));
        let ids = KeyFilter { flow_log_ids: vec!["fl-2".to_owned()], ..KeyFilter::default() };
        assert_eq!(ids.admits(&key("05"), "x"), Err(LeftOut::Filtered));
        let all = KeyFilter::default();
        assert_eq!(
            all.admits("s3://b/AWSLogs/123456789012/CloudTrail/x.json.gz", "x"),
            Err(LeftOut::Filtered)
        );
        assert_eq!(all.admits("s3://b/AWSLogs/123456789012/x.log", "x"), Ok(()));
        assert_eq!(all.admits("file:///logs/anything", "anything"), Ok(()));
    }

    #[test]
    fn mistakes_are_told() {
        let mut filter = KeyFilter::default();
        for (since, until) in
            [(Some("2024-13-01"), None), (None, Some("yesterday")), (Some("2024-02-01"), Some("2024-01-31"))]
        {
            assert!(filter.set_days(since, until).is_err());
        }
        assert!(filter.set_globs(&["a[".to_owned()], &[]).is_err());
        assert!(filter.set_globs(&[], &[String::new()]).is_err());
    }
}
