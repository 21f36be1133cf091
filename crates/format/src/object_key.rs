//! The key grammar of source objects: what an object's path tells about it before it is read.

use crate::aws_folders::{AwsFolders, FLOW_LOGS, is_account};
use crate::time::midnight;

/// When AWS delivered an object, as its key tells: UTC, minutes if the file name tells them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeliveryTime {
    /// Unix seconds, UTC.
    pub unix_s: i64,
    /// Whether the hour is known, not only the day.
    pub has_hour: bool,
}

/// What the key of a source object tells.
///
/// | layout | key |
/// |---|---|
/// | plain | `…/AWSLogs/[org/]ACCOUNT/vpcflowlogs/REGION/YYYY/MM/DD/[HH/]FILE` |
/// | Hive-compatible | `…/AWSLogs/aws-account-id=ACCOUNT/aws-service=vpcflowlogs/aws-region=REGION/year=YYYY/month=MM/day=DD/[hour=HH/]FILE` |
/// | file name | `ACCOUNT_vpcflowlogs_REGION_fl-ID_YYYYMMDDTHHmmZ_HASH.log.gz` |
///
/// Transit Gateway objects are laid out alike; the `service=` that its documentation prints is read as `aws-service=`.
/// The file name wins over the folders, and is enough where files were moved. Anything else leaves its part `None`.
/// Source: docs.aws.amazon.com/vpc/latest/userguide/flow-logs-s3-path.html.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ObjectKey {
    /// Twelve-digit account.
    pub account: Option<String>,
    /// Region code.
    pub region: Option<String>,
    /// Flow log id, `fl-…`.
    pub flow_log_id: Option<String>,
    /// When it was delivered.
    pub delivery: Option<DeliveryTime>,
}

impl ObjectKey {
    /// Reads `key`, whose parts are separated by `/`.
    pub fn parse(key: &str) -> Self {
        let mut parts: Vec<&str> = key.split('/').filter(|p| !p.is_empty()).collect();
        let name = parts.pop().unwrap_or_default();
        let mut known = Self::from_folders(&parts);
        if let Some(by_name) = Self::from_file_name(name) {
            known.account = by_name.account.or(known.account);
            known.region = by_name.region.or(known.region);
            known.flow_log_id = by_name.flow_log_id;
            known.delivery = by_name.delivery.or(known.delivery);
        }
        known
    }

    /// The minute of the delivery in Unix seconds, where the file name tells it; folders tell the hour at most.
    pub fn named_minute(&self) -> Option<i64> {
        // Only a file name of AWS's form tells the flow log.
        self.delivery.filter(|delivery| delivery.has_hour && self.flow_log_id.is_some()).map(|d| d.unix_s)
    }

    /// The flow log id that `key` tells, as [`Self::parse`] has it, without looking at the rest.
    pub fn flow_log_id_of(key: &str) -> Option<&str> {
        let name = key.rsplit('/').find(|p| !p.is_empty())?;
        file_name_parts(name).map(|[_, _, _, flow_log_id, ..]| flow_log_id)
    }

    fn from_file_name(name: &str) -> Option<Self> {
        let [account, _, region, flow_log_id, time, _hash] = file_name_parts(name)?;
        Some(Self {
            account: Some(account.to_owned()),
            region: Some(region.to_owned()),
            flow_log_id: Some(flow_log_id.to_owned()),
            delivery: file_name_time(time),
        })
    }

    fn from_folders(parts: &[&str]) -> Self {
        let found = AwsFolders::of(parts).filter(|found| found.service == Some(FLOW_LOGS));
        let Some(AwsFolders { account, region, year, month, day, hour, .. }) = found else {
            return Self::default();
        };
        Self {
            account: account.map(str::to_owned),
            region: region.map(str::to_owned),
            flow_log_id: None,
            delivery: folder_time([year, month, day, hour]),
        }
    }
}

/// The parts of a file name of AWS's form: account, service, region, flow log id, time, hash.
pub(crate) fn file_name_parts(name: &str) -> Option<[&str; 6]> {
    let mut left = name.split('.').next()?.split('_');
    let mut parts = [""; 6];
    for part in &mut parts {
        *part = left.next()?;
    }
    // A region holds dashes but no underscore, and so does a flow log id.
    let [account, service, _, flow_log_id, ..] = parts;
    let is_ours = service == FLOW_LOGS && is_account(account) && flow_log_id.starts_with("fl-");
    (is_ours && left.next().is_none()).then_some(parts)
}

pub(crate) fn number(text: &str, digits: usize) -> Option<i64> {
    (text.len() == digits && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

pub(crate) fn civil(year: i64, month: i64, day: i64) -> Option<i64> {
    let date =
        jiff::civil::Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?);
    midnight(date.ok()?)
}

/// `YYYYMMDDTHHmmZ`, the minute in which the object's five minutes begin.
fn file_name_time(text: &str) -> Option<DeliveryTime> {
    let text = text.strip_suffix('Z')?;
    let (date, time) = text.split_once('T')?;
    if date.len() != 8 || time.len() != 4 || !date.is_ascii() || !time.is_ascii() {
        return None;
    }
    let midnight = civil(number(&date[..4], 4)?, number(&date[4..6], 2)?, number(&date[6..], 2)?)?;
    let (hour, minute) = (number(&time[..2], 2)?, number(&time[2..], 2)?);
    (hour < 24 && minute < 60)
        .then_some(DeliveryTime { unix_s: midnight + hour * 3600 + minute * 60, has_hour: true })
}

fn folder_time([year, month, day, hour]: [Option<&str>; 4]) -> Option<DeliveryTime> {
    let midnight = civil(number(year?, 4)?, number(month?, 2)?, number(day?, 2)?)?;
    let hour = hour.and_then(|h| number(h, 2)).filter(|h| *h < 24);
    Some(DeliveryTime { unix_s: midnight + hour.unwrap_or(0) * 3600, has_hour: hour.is_some() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(key: &str, account: &str, region: &str, id: &str, time: Option<(i64, bool)>) {
        let text = |s: &str| (!s.is_empty()).then(|| s.to_owned());
        let expected = ObjectKey {
            account: text(account),
            region: text(region),
            flow_log_id: text(id),
            delivery: time.map(|(unix_s, has_hour)| DeliveryTime { unix_s, has_hour }),
        };
        assert_eq!(ObjectKey::parse(key), expected, "{key}");
    }

    #[test]
    fn awss_layouts() {
        let (a, r, id) = ("123456789012", "us-east-1", "fl-1234abcd");
        let file = "123456789012_vpcflowlogs_us-east-1_fl-1234abcd_20180620T1620Z_fe123456.log.gz";
        let at = Some((1_529_511_600, true));
        let midnight = Some((1_529_452_800, false));
        let hour = Some((1_529_510_400, true));
        check(&format!("p/AWSLogs/{a}/vpcflowlogs/{r}/2018/06/20/{file}"), a, r, id, at);
        check(&format!("AWSLogs/o-abc/{a}/vpcflowlogs/{r}/2018/06/20/16/{file}"), a, r, id, at);
        check(file, a, r, id, at);
        check(&format!("AWSLogs/{a}/vpcflowlogs/{r}/2018/06/20/x.log.gz"), a, r, "", midnight);
        check(&format!("AWSLogs/{a}/vpcflowlogs/{r}/2018/06/20/16/x.log.gz"), a, r, "", hour);
        for service in ["aws-service", "service"] {
            let hive = format!(
                "AWSLogs/aws-account-id={a}/{service}=vpcflowlogs/aws-region={r}/year=2018/month=06/day=20"
            );
            check(&format!("{hive}/x.gz"), a, r, "", midnight);
            check(&format!("{hive}/hour=16/x.gz"), a, r, "", hour);
            check(&format!("{hive}/hour=16/{file}"), a, r, id, at);
        }
    }

    #[test]
    fn other_keys_tell_nothing() {
        check("logs/today.log.gz", "", "", "", None);
        check("", "", "", "", None);
        check("vpcflowlogs/x.gz", "", "", "", None);
        check("12/vpcflowlogs/us-east-1/2018/13/20/x.gz", "", "us-east-1", "", None);
        check("a_vpcflowlogs_b_fl-1_20180620T1620Z_x.log.gz", "", "", "", None);
        check("123456789012_vpcflowlogs_r_fl-1_20180620T2520Z_x.log.gz", "123456789012", "r", "fl-1", None);
    }

    #[test]
    fn only_a_file_name_tells_the_minute() {
        let minute = |key: &str| ObjectKey::parse(key).named_minute();
        assert_eq!(
            minute("123456789012_vpcflowlogs_us-east-1_fl-1234abcd_20180620T1620Z_fe.log.gz"),
            Some(1_529_511_600)
        );
        assert_eq!(minute("AWSLogs/123456789012/vpcflowlogs/us-east-1/2018/06/20/16/x.log.gz"), None);
        assert_eq!(minute("x.log.gz"), None);
    }
}
