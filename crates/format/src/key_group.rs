//! Which source objects belong together, as their keys tell it, and when they were delivered.

use crate::aws_folders::FLOW_LOGS;
use crate::object_key::{DeliveryTime, ObjectKey, civil, number};

/// What objects have in common that one look at one of them tells about all, or that lie in one folder.
///
/// | key below the source | group |
/// |---|---|
/// | `…/111122223333_vpcflowlogs_eu-west-1_fl-0a_20240101T0000Z_1f.log.gz` | account, region, flow log `fl-0a` |
/// | `AWSLogs/111122223333/vpcflowlogs/eu-west-1/2024/01/01/x.log.gz` | account, region |
/// | `logs/2024/01/01/00/flow-1-2024-01-01-00-05-10-UUID.gz` | stream `flow`, as Firehose names what it delivers |
/// | `exported/UUID/eni-0a-all/000000.gz` | `exported/UUID`, an export of a log group |
/// | `old/2024/01/x.log.gz`, `old/date=2024-01-01/x.log.gz` | folder `old` |
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyGroup {
    /// Account, as [`ObjectKey`] has it.
    pub account: Option<String>,
    /// Region.
    pub region: Option<String>,
    /// Flow log.
    pub flow_log_id: Option<String>,
    /// How the objects were delivered, as their names tell.
    pub origin: KeyOrigin,
}

/// How objects were delivered, as their names tell.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyOrigin {
    /// By an export of a CloudWatch log group: the folder of the export.
    Export(String),
    /// By a Firehose stream of this name.
    Firehose(String),
    /// Nobody knows: the folder below the source, without what is a date in it. Empty where account and region say more.
    Folder(String),
}

impl Default for KeyOrigin {
    fn default() -> Self {
        Self::Folder(String::new())
    }
}

impl KeyGroup {
    /// The group of an object, by its URL and its key below the source, and when it was delivered.
    pub fn of(url: &str, key: &str) -> (Self, Option<DeliveryTime>) {
        let told = ObjectKey::parse(url);
        let (folder, name) = key.rsplit_once('/').unwrap_or(("", key));
        let is_told = told.account.is_some() || told.region.is_some();
        let (origin, delivery) = if is_told {
            (KeyOrigin::default(), told.delivery)
        } else if let Some((stream, unix_s)) = firehose(name) {
            (KeyOrigin::Firehose(stream), Some(DeliveryTime { unix_s, has_hour: true }))
        } else if let Some(export) = export(folder, name) {
            (KeyOrigin::Export(export.to_owned()), None)
        } else {
            (KeyOrigin::Folder(undated(folder).to_owned()), told.delivery)
        };
        (Self { account: told.account, region: told.region, flow_log_id: told.flow_log_id, origin }, delivery)
    }

    /// Whether all objects of it surely have one log format: they are of one flow log, or came by one stream or export.
    pub fn is_of_one_format(&self) -> bool {
        self.flow_log_id.is_some() || !matches!(self.origin, KeyOrigin::Folder(_))
    }
}

/// The service of AWS whose log an object is by its name, `ACCOUNT_SERVICE_REGION_…`, unless that is flow logs.
pub fn service_of_name(key: &str) -> Option<&str> {
    let name = key.rsplit('/').next()?;
    let mut parts = name.split('_');
    let (account, service, _region) = (parts.next()?, parts.next()?, parts.next()?);
    let is_word =
        |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let is_account = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
    (is_account && is_word(service) && service != FLOW_LOGS).then_some(service)
}

/// Stream and time of a name that Firehose gave: `STREAM-VERSION-YYYY-MM-DD-HH-MM-SS-UUID`, whatever follows a dot.
/// Source: docs.aws.amazon.com/firehose/latest/dev/s3-object-name.html.
pub(crate) fn firehose(name: &str) -> Option<(String, i64)> {
    let parts: Vec<&str> = name.split('.').next()?.split('-').collect();
    let stem = parts.len().checked_sub(12).filter(|n| *n > 0)?;
    let (stream, rest) = parts.split_at(stem);
    let is_version = !rest[0].is_empty() && rest[0].bytes().all(|b| b.is_ascii_digit());
    if !is_version || !is_uuid(&rest[7..]) {
        return None;
    }
    let midnight = civil(number(rest[1], 4)?, number(rest[2], 2)?, number(rest[3], 2)?)?;
    let (hour, minute, second) = (number(rest[4], 2)?, number(rest[5], 2)?, number(rest[6], 2)?);
    let is_time = hour < 24 && minute < 60 && second < 60;
    is_time.then(|| (stream.join("-"), midnight + hour * 3600 + minute * 60 + second))
}

/// The folder of an export of a log group, `…/UUID`, which holds a folder for each log stream.
/// Source: docs.aws.amazon.com/AmazonCloudWatch/latest/logs/S3Export.html.
pub(crate) fn export<'a>(folder: &'a str, name: &str) -> Option<&'a str> {
    let number = name.strip_suffix(".gz")?;
    let (task, _stream) = folder.rsplit_once('/')?;
    let id = task.rsplit('/').next()?;
    let is_number = number.len() == 6 && number.bytes().all(|b| b.is_ascii_digit());
    (is_number && is_uuid(&id.split('-').collect::<Vec<_>>())).then_some(task)
}

fn is_uuid(parts: &[&str]) -> bool {
    parts.iter().map(|p| p.len()).eq([8, 4, 4, 4, 12])
        && parts.iter().all(|p| p.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// A folder without those at its end that are parts of a date: `2024`, `01`, `2024-01-01`, `day=01`.
fn undated(folder: &str) -> &str {
    let is_date = |part: &str| {
        let value = match part.split_once('=') {
            Some((name, value)) => {
                let names = ["year", "month", "day", "hour", "date", "dt"];
                return names.contains(&name) && !value.is_empty();
            }
            None => part,
        };
        let is_number = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
        let is_day = value.len() == 10
            && value.bytes().enumerate().all(
                |(i, b)| {
                    if i == 4 || i == 7 { b == b'-' } else { b.is_ascii_digit() }
                },
            );
        is_day || (is_number && [2, 4, 6, 8].contains(&value.len()))
    };
    let mut left = folder;
    while let Some(part) = left.rsplit('/').next()
        && is_date(part)
    {
        left = left.rsplit_once('/').map_or("", |(rest, _)| rest);
    }
    left
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "0a1b2c3d-0000-1111-2222-0123456789ab";

    fn told(key: &str) -> String {
        let (group, delivery) = KeyGroup::of(&format!("s3://b/{key}"), key);
        let part = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let origin = match &group.origin {
            KeyOrigin::Export(at) => format!("export {at}"),
            KeyOrigin::Firehose(stream) => format!("firehose {stream}"),
            KeyOrigin::Folder(folder) => format!("in {folder}"),
        };
        let delivery = delivery.map_or_else(|| "-".to_owned(), |d| d.unix_s.to_string());
        [part(&group.account), part(&group.region), part(&group.flow_log_id), origin, delivery].join(", ")
    }

    #[test]
    fn keys_tell_what_belongs_together() {
        let file = "111122223333_vpcflowlogs_eu-west-1_fl-0a_20240101T0005Z_1f.log.gz";
        for (key, expected) in [
            (format!("x/{file}"), "111122223333, eu-west-1, fl-0a, in , 1704067500"),
            (
                "AWSLogs/111122223333/vpcflowlogs/eu-west-1/2024/01/01/x.log.gz".to_owned(),
                "111122223333, eu-west-1, -, in , 1704067200",
            ),
            (
                format!("p/2024/01/01/00/my-flow-logs-1-2024-01-01-00-05-10-{UUID}.gz"),
                "-, -, -, firehose my-flow-logs, 1704067510",
            ),
            (format!("p/flow-1-2024-13-01-00-05-10-{UUID}"), "-, -, -, in p, -"),
            (format!("p/1-2024-01-01-00-05-10-{UUID}"), "-, -, -, in p, -"),
            (format!("exported/{UUID}/eni-0a-all/000000.gz"), &format!("-, -, -, export exported/{UUID}, -")),
            (
                format!("exported/{UUID}/eni-0a-all/0000.gz"),
                &format!("-, -, -, in exported/{UUID}/eni-0a-all, -"),
            ),
            ("old/2024/01/x.log".to_owned(), "-, -, -, in old, -"),
            ("old/date=2024-01-01/hour=03/x.log".to_owned(), "-, -, -, in old, -"),
            ("2024-01-01/x.log".to_owned(), "-, -, -, in , -"),
            ("host-17/x.log".to_owned(), "-, -, -, in host-17, -"),
            ("a=1/x.log".to_owned(), "-, -, -, in a=1, -"),
            ("x.log".to_owned(), "-, -, -, in , -"),
        ] {
            assert_eq!(told(&key), *expected, "{key}");
        }
    }

    #[test]
    fn other_services_are_told_by_their_names() {
        for (key, service) in [
            ("x/111122223333_CloudTrail_eu-west-1_20240101T0005Z_abc.json.gz", Some("CloudTrail")),
            ("111122223333_elasticloadbalancing_eu-west-1_app.lb_2024.log.gz", Some("elasticloadbalancing")),
            ("111122223333_vpcflowlogs_eu-west-1_fl-0a_20240101T0005Z_1f.log.gz", None),
            ("111122223333_x.log", None),
            ("my_own_file.log", None),
        ] {
            assert_eq!(service_of_name(key), service, "{key}");
        }
    }
}
