//! What clients of S3 are made of.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use aws_config::{Region, SdkConfig};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::Builder;
use flowquet_aws::AwsOptions;
use tokio::runtime::Runtime;

use crate::s3::traffic::Traffic;

/// How S3 is spoken to.
#[derive(Debug, Clone)]
pub struct S3Options {
    /// URL of a store that is not AWS's, or an endpoint of one's own.
    pub endpoint_url: Option<String>,
    /// Region; by default the configured one, or the bucket's where there is none.
    pub region: Option<String>,
    /// Profile of the shared configuration.
    pub profile: Option<String>,
    /// Role to assume with the credentials that the chain finds.
    pub role_arn: Option<String>,
    /// Buckets in the path of URLs, not in the host's name. So always where the endpoint is an address.
    pub path_style: bool,
    /// Whoever reads pays, as some buckets demand.
    pub requester_pays: bool,
    /// Encryption of what is written: `AES256`, `aws:kms` or `aws:kms:dsse`.
    pub sse: Option<String>,
    /// KMS key of that encryption.
    pub sse_kms_key_id: Option<String>,
    /// What a request may take beside its transfer.
    pub timeout: Duration,
    /// When set, waiting ends within seconds and nothing is tried again.
    pub stop: Arc<AtomicBool>,
    /// What is counted of all requests.
    pub traffic: Arc<Traffic>,
}

impl S3Options {
    /// The SDK's defaults.
    pub fn new(stop: Arc<AtomicBool>) -> Self {
        Self {
            endpoint_url: None,
            region: None,
            profile: None,
            role_arn: None,
            path_style: false,
            requester_pays: false,
            sse: None,
            sse_kms_key_id: None,
            timeout: Duration::from_secs(20),
            stop,
            traffic: Arc::default(),
        }
    }
}

/// What clients are made of.
#[derive(Debug)]
pub(crate) struct Connection {
    config: SdkConfig,
    pub(crate) options: Arc<S3Options>,
}

impl Connection {
    /// Reads environment and profiles. Attempts and timeouts are ours: see `pace`.
    pub(crate) fn new(options: &S3Options, runtime: &Runtime) -> Self {
        let mut options = options.clone();
        options.path_style |= options.endpoint_url.as_deref().is_some_and(is_address);
        let config = runtime.block_on(flowquet_aws::load(&AwsOptions {
            endpoint_url: options.endpoint_url.clone(),
            region: options.region.clone(),
            profile: options.profile.clone(),
            role_arn: options.role_arn.clone(),
        }));
        Self { config, options: Arc::new(options) }
    }

    /// Who is asked, for messages.
    pub(crate) fn host(&self) -> String {
        match (self.config.endpoint_url(), self.config.region()) {
            (Some(url), _) => host_of(url).to_owned(),
            (None, region) => format!("s3.{}.amazonaws.com", region.map_or("us-east-1", |r| r.as_ref())),
        }
    }

    /// A client, for `region` if it is another than the configured one.
    pub(crate) fn client(&self, region: Option<String>) -> Client {
        let mut builder = Builder::from(&self.config).force_path_style(self.options.path_style);
        if let Some(region) = region {
            builder = builder.region(Region::new(region));
        }
        Client::from_conf(builder.build())
    }
}

/// The host and port in `url`.
fn host_of(url: &str) -> &str {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    host.split('/').next().unwrap_or_default()
}

/// Whether the host of `url` is an address or this machine: buckets cannot stand in front of it.
fn is_address(url: &str) -> bool {
    let host = host_of(url);
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name).trim_matches(['[', ']']);
    name == "localhost" || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::is_address;

    #[test]
    fn addresses() {
        for url in ["http://127.0.0.1:9000", "http://localhost:1/", "https://[::1]:80", "http://10.0.0.1"] {
            assert!(is_address(url), "{url}");
        }
        assert!(!is_address("https://s3.eu-west-1.amazonaws.com"));
    }
}
