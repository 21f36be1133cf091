//! Where a service is: as environment and profile say, or AWS's own.

use aws_config::SdkConfig;
use aws_types::service_config::ServiceConfigKey;

/// A service of AWS, as hosts, signatures and variables call it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Service {
    /// The name in hosts and signatures: `ec2`.
    pub name: &'static str,
    /// The name in profiles, and in capitals in variables: `AWS_ENDPOINT_URL_EC2`.
    pub id: &'static str,
    /// Whether its usual hosts in GovCloud keep to FIPS, so that there are none with `-fips`.
    pub is_fips_in_gov: bool,
}

/// The URL of a service in a region, with a slash at the end. What is wrong with the configuration where there is none.
pub(crate) fn endpoint(config: &SdkConfig, service: Service, region: &str) -> Result<String, String> {
    let (is_fips, is_dual) =
        (config.use_fips().unwrap_or_default(), config.use_dual_stack().unwrap_or_default());
    let Some(url) = configured(config, service) else { return Ok(own(service, region, is_fips, is_dual)) };
    // As the SDK has it: whoever asks for such an endpoint must not be led to another one unawares.
    let asked = match (is_fips, is_dual) {
        (false, false) => return Ok(format!("{}/", url.trim_end_matches('/'))),
        (true, _) => "AWS_USE_FIPS_ENDPOINT",
        (false, true) => "AWS_USE_DUALSTACK_ENDPOINT",
    };
    Err(format!(
        "expected either {asked} (or the profile's line of that kind) or an endpoint of one's own, found both: {url}"
    ))
}

/// An endpoint of one's own. What the program was given comes first, then what is said of this service, then what is said of all.
fn configured(config: &SdkConfig, service: Service) -> Option<String> {
    let of_all = || config.endpoint_url().map(str::to_owned);
    if config.get_origin("endpoint_url").is_client_config() {
        return of_all();
    }
    let key = ServiceConfigKey::builder()
        .service_id(service.id)
        .env("AWS_ENDPOINT_URL")
        .profile("endpoint_url")
        .build()
        .expect("all of it is given");
    config.service_config().and_then(|of| of.load_config(key)).or_else(of_all)
}

/// AWS's endpoint. Source: the partitions in the SDK's rules for endpoints.
fn own(Service { name, is_fips_in_gov, .. }: Service, region: &str, is_fips: bool, is_dual: bool) -> String {
    let (domain, dual) = match region {
        r if r.starts_with("cn-") => ("amazonaws.com.cn", "api.amazonwebservices.com.cn"),
        r if r.starts_with("eu-isoe-") => ("cloud.adc-e.uk", "api.cloud-aws.adc-e.uk"),
        r if r.starts_with("eusc-") => ("amazonaws.eu", "api.amazonwebservices.eu"),
        r if r.starts_with("us-iso-") => ("c2s.ic.gov", "api.aws.ic.gov"),
        r if r.starts_with("us-isob-") => ("sc2s.sgov.gov", "api.aws.scloud"),
        r if r.starts_with("us-isof-") => ("csp.hci.ic.gov", "api.aws.hci.ic.gov"),
        _ => ("amazonaws.com", "api.aws"),
    };
    let domain = if is_dual { dual } else { domain };
    let is_plain = !is_fips || is_fips_in_gov && !is_dual && region.starts_with("us-gov-");
    format!("https://{name}{}.{region}.{domain}/", if is_plain { "" } else { "-fips" })
}

#[cfg(test)]
mod tests {
    use super::*;

    const GLUE: Service = Service { name: "glue", id: "Glue", is_fips_in_gov: false };
    const STS: Service = Service { name: "sts", id: "STS", is_fips_in_gov: true };

    /// The tests of the SDK's own rules.
    #[test]
    fn endpoints_of_aws() {
        for (service, region, is_fips, is_dual, expected) in [
            (GLUE, "eu-west-1", false, false, "https://glue.eu-west-1.amazonaws.com/"),
            (GLUE, "us-east-1", true, false, "https://glue-fips.us-east-1.amazonaws.com/"),
            (GLUE, "us-east-1", true, true, "https://glue-fips.us-east-1.api.aws/"),
            (GLUE, "us-east-1", false, true, "https://glue.us-east-1.api.aws/"),
            (GLUE, "cn-north-1", false, false, "https://glue.cn-north-1.amazonaws.com.cn/"),
            (GLUE, "cn-north-1", true, true, "https://glue-fips.cn-north-1.api.amazonwebservices.com.cn/"),
            (GLUE, "us-gov-west-1", true, false, "https://glue-fips.us-gov-west-1.amazonaws.com/"),
            (GLUE, "us-iso-east-1", false, false, "https://glue.us-iso-east-1.c2s.ic.gov/"),
            (GLUE, "us-isob-east-1", true, false, "https://glue-fips.us-isob-east-1.sc2s.sgov.gov/"),
            (STS, "us-gov-east-1", true, false, "https://sts.us-gov-east-1.amazonaws.com/"),
            (STS, "us-gov-east-1", true, true, "https://sts-fips.us-gov-east-1.api.aws/"),
            (STS, "us-west-2", true, false, "https://sts-fips.us-west-2.amazonaws.com/"),
        ] {
            assert_eq!(own(service, region, is_fips, is_dual), expected);
        }
    }

    #[test]
    fn an_endpoint_of_ones_own() {
        let of = |is_fips, is_dual| {
            let config = SdkConfig::builder().endpoint_url("http://127.0.0.1:9");
            endpoint(&config.use_fips(is_fips).use_dual_stack(is_dual).build(), GLUE, "x")
        };
        assert_eq!(of(false, false).as_deref(), Ok("http://127.0.0.1:9/"));
        for (found, words) in
            [(of(true, false), "AWS_USE_FIPS_ENDPOINT"), (of(false, true), "AWS_USE_DUALSTACK_ENDPOINT")]
        {
            let error = found.expect_err("both");
            assert!(error.contains(words) && error.contains("http://127.0.0.1:9"), "{error}");
        }
    }
}
