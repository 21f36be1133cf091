//! Credentials, region and endpoint of AWS services: the SDK's own chain, and what the user sets beside it.
//!
//! This crate knows no service, no logs and no tables. Whoever speaks to a service makes the SDK's client of what
//! [`load`] returns, or a [`Caller`], and decides about retries.
//!
//! ```
//! use flowquet_aws::{AwsOptions, load};
//!
//! async fn region() -> Option<String> {
//!     let options = AwsOptions { region: Some("eu-west-1".to_owned()), ..AwsOptions::default() };
//!     load(&options).await.region().map(|region| region.as_ref().to_owned())
//! }
//! ```

mod chain;
mod clock;
mod endpoint;
mod request;

use std::error::Error;
use std::time::Duration;

use aws_config::profile::ProfileFileCredentialsProvider;
use aws_config::provider_config::ProviderConfig;
use aws_config::retry::RetryConfig;
use aws_config::stalled_stream_protection::StalledStreamProtectionConfig;
use aws_config::sts::AssumeRoleProvider;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

pub use chain::looked_for;
pub use clock::{now_s, seconds_of_date};
pub use endpoint::Service;
pub use request::{Caller, Unanswered, pause, quoted};

/// Asked where no region is set anywhere; S3 tells there where a bucket is.
const DEFAULT_REGION: &str = "us-east-1";

/// Time to reach a service.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// What the user sets beside environment and profiles.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AwsOptions {
    /// URL of a service that is not AWS's, or an endpoint of one's own.
    pub endpoint_url: Option<String>,
    /// Region; by default the configured one.
    pub region: Option<String>,
    /// Profile of the shared configuration. Credentials come from it alone, whatever the environment has, as with AWS's own tools;
    /// one that `AWS_PROFILE` names comes after keys in the environment.
    pub profile: Option<String>,
    /// Role to assume with the credentials that the chain finds.
    pub role_arn: Option<String>,
}

/// Reads environment and profiles. Nothing is asked yet, but of STS where a role is assumed. Requests are not tried again
/// unless a service's client is told to.
pub async fn load(options: &AwsOptions) -> SdkConfig {
    let http = aws_smithy_http_client::Builder::new();
    let http = http.tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http.clone())
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
    let config = match &options.profile {
        None => config,
        Some(profile) => {
            let of_profile =
                ProviderConfig::without_region().with_region(config.region().cloned()).with_http_client(http);
            let provider = ProfileFileCredentialsProvider::builder()
                .configure(&of_profile)
                .profile_name(profile)
                .build();
            config.into_builder().credentials_provider(SharedCredentialsProvider::new(provider)).build()
        }
    };
    let Some(role) = &options.role_arn else { return config };
    let provider =
        AssumeRoleProvider::builder(role).session_name("flowquet").configure(&config).build().await;
    config.into_builder().credentials_provider(SharedCredentialsProvider::new(provider)).build()
}

/// Whether an error of the SDK, in its own words, tells that credentials are missing: they are looked for while a request is
/// made, and the SDK tells their absence only in words.
pub fn is_credentials_error(words: &str) -> bool {
    let words = words.to_lowercase();
    ["credential", "identity", "sso", "token", "profile"].iter().any(|w| words.contains(w))
}

/// Why a service was not reached, in the words of what failed first: `connection refused`. The SDK's own words wrap it three
/// times and end in a debugging dump.
pub fn root_words(error: &dyn Error) -> String {
    let mut root = error;
    while let Some(source) = root.source() {
        root = source;
    }
    let words = root.to_string();
    // The number says no more than the words before it.
    let words = words.split(" (os error").next().unwrap_or(&words).trim();
    let mut letters = words.chars();
    // `Connection refused` within a sentence; `TLS` stays.
    match (letters.next(), letters.clone().next()) {
        (Some(first), Some(second)) if second.is_lowercase() => first.to_lowercase().chain(letters).collect(),
        _ => words.to_owned(),
    }
}
