//! Which folder of a path is what, where AWS's services deliver logs.

/// The service of flow logs, as folders and file names call it.
pub(crate) const FLOW_LOGS: &str = "vpcflowlogs";

/// What the folders of a path are, as far as it goes: a whole key has all, a prefix of a listing the first ones.
///
/// | layout | folders |
/// |---|---|
/// | plain | `AWSLogs/[org/]ACCOUNT/SERVICE/REGION/YYYY/MM/DD/[HH/]` |
/// | Hive-compatible | `AWSLogs/aws-account-id=ACCOUNT/aws-service=SERVICE/aws-region=REGION/year=YYYY/month=MM/day=DD/[hour=HH/]` |
///
/// Transit Gateway's documentation prints `account-id=`, `service=` and `region=`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct AwsFolders<'a> {
    /// Of a plain layout only [`FLOW_LOGS`].
    pub(crate) service: Option<&'a str>,
    /// Twelve digits.
    pub(crate) account: Option<&'a str>,
    pub(crate) region: Option<&'a str>,
    pub(crate) year: Option<&'a str>,
    pub(crate) month: Option<&'a str>,
    pub(crate) day: Option<&'a str>,
    pub(crate) hour: Option<&'a str>,
}

impl<'a> AwsFolders<'a> {
    /// The folders of a path whose parts are `parts`; `None` where they are not AWS's.
    pub(crate) fn of(parts: &[&'a str]) -> Option<Self> {
        // What stands last is nearest to the object.
        let hive = |names: [&str; 2]| {
            let named = parts.iter().rev().filter_map(|p| p.split_once('='));
            named.filter(|(name, _)| names.contains(name)).map(|(_, value)| value).next()
        };
        let (service, account) = (hive(["aws-service", "service"]), hive(["aws-account-id", "account-id"]));
        if service.is_some() || account.is_some() {
            return Some(Self {
                service,
                account: account.filter(|a| is_account(a)),
                region: hive(["aws-region", "region"]),
                year: hive(["year", ""]),
                month: hive(["month", ""]),
                day: hive(["day", ""]),
                hour: hive(["hour", ""]),
            });
        }
        if let Some(service) = parts.iter().rposition(|p| *p == FLOW_LOGS) {
            let at = |i: usize| parts.get(service + i).copied();
            return Some(Self {
                service: at(0),
                account: service.checked_sub(1).map(|i| parts[i]).filter(|a| is_account(a)),
                region: at(1),
                year: at(2),
                month: at(3),
                day: at(4),
                hour: at(5),
            });
        }
        let logs = parts.iter().rposition(|p| *p == "AWSLogs")?;
        let account = parts[logs + 1..].iter().copied().find(|p| is_account(p));
        Some(Self { account, ..Self::default() })
    }
}

/// Digits of an AWS account's id.
const ACCOUNT_DIGITS: usize = 12;

/// Whether `text` can be an account id: twelve digits.
pub fn is_account(text: &str) -> bool {
    text.len() == ACCOUNT_DIGITS && text.bytes().all(|b| b.is_ascii_digit())
}

/// The zeros that an account id has lost which was kept as the number `digits`; none where that is no number.
pub fn lost_zeros(digits: &[u8]) -> &'static [u8] {
    const ZEROS: [u8; ACCOUNT_DIGITS] = [b'0'; ACCOUNT_DIGITS];
    let lost =
        if digits.iter().all(u8::is_ascii_digit) { ACCOUNT_DIGITS.saturating_sub(digits.len()) } else { 0 };
    &ZEROS[..lost]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_as_far_as_they_go() {
        let a = "123456789012";
        let check = |path: &str, expected: Option<[&str; 4]>| {
            let parts: Vec<&str> = path.split('/').collect();
            let told = |part: Option<&'static str>| part.unwrap_or("-");
            let parts: Vec<&'static str> = parts.into_iter().map(|p| &*p.to_owned().leak()).collect();
            let found = AwsFolders::of(&parts)
                .map(|f| [told(f.service), told(f.account), told(f.region), told(f.day)]);
            assert_eq!(found, expected, "{path}");
        };
        let plain = format!("p/AWSLogs/{a}/vpcflowlogs/eu-west-1/2024/01/15/10");
        check(&plain, Some(["vpcflowlogs", a, "eu-west-1", "15"]));
        check(&plain[..plain.len() - 9], Some(["vpcflowlogs", a, "eu-west-1", "-"]));
        check(&format!("AWSLogs/o-1/{a}"), Some(["-", a, "-", "-"]));
        check("AWSLogs", Some(["-", "-", "-", "-"]));
        let hive = format!(
            "day=01/aws-account-id={a}/aws-service=vpcflowlogs/aws-region=eu-west-1/year=2024/month=01/day=15"
        );
        check(&hive, Some(["vpcflowlogs", a, "eu-west-1", "15"]));
        check(&format!("account-id={a}/service=x"), Some(["x", a, "-", "-"]));
        check("aws-account-id=1", Some(["-", "-", "-", "-"]));
        check("logs/2024/01/15", None);
    }
}
