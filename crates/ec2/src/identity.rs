//! Who asks: the account and name that the credentials are of, as STS tells, and how far the clock is off by its answer.

use flowquet_aws::{AwsOptions, Caller, load, now_s, seconds_of_date};
use serde::Deserialize;
use tokio::runtime::Builder;

use crate::error::{Error, ErrorKind};
use crate::request::{STS, send};

/// Version of STS's API.
const API_VERSION: &str = "2011-06-15";

/// Who the credentials are of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Twelve digits.
    pub account: String,
    /// Name of the user or of the role's session.
    pub arn: String,
}

/// What STS answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhoAmI {
    /// The region that is configured.
    pub region: String,
    /// Who the credentials are of.
    pub identity: Result<Identity, Error>,
    /// Seconds that this machine's clock is ahead of the service's; none where it told no time.
    pub ahead_s: Option<i64>,
}

/// Asks STS who the credentials are of. Every identity may ask that.
pub fn who_am_i(options: &AwsOptions) -> WhoAmI {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime without threads");
    runtime.block_on(async {
        let config = load(options).await;
        let region = config.region().map_or("us-east-1", |region| region.as_ref()).to_owned();
        let failed = |(kind, detail)| Error {
            kind,
            asked: ("STS", "who asks"),
            region: region.clone(),
            attempts: 1,
            detail,
        };
        let caller = Caller::new(&config, options, STS, &region);
        let form = [("Action", "GetCallerIdentity"), ("Version", API_VERSION)];
        let (answer, date) = send(&caller, &form).await;
        let ahead_s = date.as_deref().and_then(seconds_of_date).map(|told| now_s() - told);
        let identity = answer.and_then(|body| {
            identity_of(&body).ok_or_else(|| (ErrorKind::Unavailable, "the answer is none of STS".to_owned()))
        });
        WhoAmI { identity: identity.map_err(failed), ahead_s, region: region.clone() }
    })
}

fn identity_of(body: &str) -> Option<Identity> {
    #[derive(Deserialize)]
    struct Response {
        #[serde(rename = "GetCallerIdentityResult")]
        result: CallerIdentity,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct CallerIdentity {
        account: String,
        arn: String,
    }
    let response: Response = quick_xml::de::from_str(body).ok()?;
    Some(Identity { account: response.result.account, arn: response.result.arn })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        let body = r#"<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/a&amp;b</Arn><UserId>AIDA</UserId><Account>123456789012</Account></GetCallerIdentityResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></GetCallerIdentityResponse>"#;
        let expected =
            Identity { account: "123456789012".into(), arn: "arn:aws:iam::123456789012:user/a&b".into() };
        assert_eq!(identity_of(body), Some(expected));
        assert_eq!(identity_of("<html/>"), None);
    }
}
