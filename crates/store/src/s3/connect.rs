//! Credentials, region and endpoint: the SDK's own chain, and what the user sets beside it.

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use aws_config::sts::AssumeRoleProvider;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{Builder, StalledStreamProtectionConfig};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use tokio::runtime::Runtime;

/// Asked where no region is set anywhere; S3 tells there where a bucket is.
const DEFAULT_REGION: &str = "us-east-1";

/// Time to reach the store.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

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
    pub stop: &'static AtomicBool,
}

impl S3Options {
    /// The SDK's defaults.
    pub fn new(stop: &'static AtomicBool) -> Self {
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
    /// Reads environment and profiles.
    pub(crate) fn new(options: &S3Options, runtime: &Runtime) -> Self {
        let mut options = options.clone();
        options.path_style |= options.endpoint_url.as_deref().is_some_and(is_address);
        let config = runtime.block_on(async {
            let http = aws_smithy_http_client::Builder::new();
            let http = http.tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
            // Attempts and timeouts are ours: see `pace`.
            let mut loader = aws_config::defaults(BehaviorVersion::latest())
                .http_client(http)
                .retry_config(RetryConfig::disabled())
                .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
                .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).build());
            if let Some(profile) = &options.profile {
                loader = loader.profile_name(profile);
            }
            if let Some(url) = &options.endpoint_url {
                loader = loader.endpoint_url(url);
            }
            if let Some(region) = &options.region {
                loader = loader.region(Region::new(region.clone()));
            }
            let config = loader.load().await;
            let config = match config.region() {
                Some(_) => config,
                None => config.into_builder().region(Region::new(DEFAULT_REGION)).build(),
            };
            let Some(role) = &options.role_arn else { return config };
            let provider = AssumeRoleProvider::builder(role).session_name("flowquet").configure(&config);
            let provider = provider.build().await;
            let provider = aws_credential_types::provider::SharedCredentialsProvider::new(provider);
            config.into_builder().credentials_provider(provider).build()
        });
        Self { config, options: Arc::new(options) }
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

/// Whether the host of `url` is an address or this machine: buckets cannot stand in front of it.
fn is_address(url: &str) -> bool {
    let host = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or_default();
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
