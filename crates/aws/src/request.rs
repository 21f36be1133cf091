//! Requests that are signed and sent without the SDK's crate of a service: one of the service's own takes minutes to build, for a few calls.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::{HttpConnector as _, HttpConnectorSettings, SharedHttpConnector};
use aws_smithy_runtime_api::http::Request;
use http_body_util::{BodyExt as _, Limited};

use crate::clock::{Clock, now};
use crate::endpoint::{Service, endpoint};
use crate::{AwsOptions, CONNECT_TIMEOUT, is_credentials_error, looked_for, root_words};

/// Bytes of an answer. A thousand partitions in Glue, each with some hundred columns and their comments, have about 60 MB.
const ANSWER_BYTES_MAX: usize = 256 << 20;

/// Time that an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Time that asking for credentials may take: programs that print them may ask a person.
const CREDENTIALS_TIMEOUT: Duration = Duration::from_secs(120);

/// Credentials that end sooner than this are asked for anew.
const CREDENTIALS_LEFT_MIN: Duration = Duration::from_secs(60);

/// Who sends it.
const USER_AGENT: &str = concat!("flowquet/", env!("CARGO_PKG_VERSION"));

/// Asks a service of a region, in somebody's name. Each request is sent once, and once more where the clock was off.
#[derive(Debug)]
pub struct Caller {
    connector: SharedHttpConnector,
    endpoint: Result<String, String>,
    region: String,
    service: Service,
    provider: Option<SharedCredentialsProvider>,
    profile: Option<String>,
    /// Credentials that were found.
    held: Mutex<Option<Credentials>>,
    clock: Clock,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unanswered {
    /// No credentials: where they were looked for, or what went wrong.
    Credentials(String),
    /// Such a request cannot be made.
    Invalid(String),
    /// Nobody answered, or not to the end; somebody may later.
    Unreachable(String),
}

impl Caller {
    /// Who asks `service` in `region` with what was [loaded](crate::load) by `options`. Nothing is asked yet.
    pub fn new(config: &SdkConfig, options: &AwsOptions, service: Service, region: &str) -> Self {
        let settings = HttpConnectorSettings::builder().connect_timeout(CONNECT_TIMEOUT).build();
        let connector = Connector::builder().connector_settings(settings);
        Self {
            connector: SharedHttpConnector::new(
                connector.tls_provider(Provider::Rustls(CryptoMode::Ring)).build(),
            ),
            endpoint: endpoint(config, service, region),
            region: region.to_owned(),
            service,
            provider: config.credentials_provider(),
            profile: options.profile.clone(),
            held: Mutex::new(None),
            clock: Clock::default(),
        }
    }

    /// Posts a body and returns the answer, whatever its status says.
    ///
    /// # Errors
    /// [`Unanswered`]: an answer that refuses is none.
    pub async fn post(
        &self,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<http::Response<String>, Unanswered> {
        let answer = self.post_once(headers, body).await?;
        if self.clock.set_by(&answer) { self.post_once(headers, body).await } else { Ok(answer) }
    }

    async fn post_once(
        &self,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<http::Response<String>, Unanswered> {
        let url = self.endpoint.as_deref().map_err(|what| Unanswered::Invalid(what.to_owned()))?;
        let credentials = match tokio::time::timeout(CREDENTIALS_TIMEOUT, self.credentials()).await {
            Ok(found) => found.map_err(Unanswered::Credentials)?,
            Err(_) => {
                let words = format!("no AWS credentials came in {} s", CREDENTIALS_TIMEOUT.as_secs());
                return Err(Unanswered::Credentials(words));
            }
        };
        let request = self.signed(url, headers, body, credentials);
        let request = request.map_err(|what| Unanswered::Invalid(format!("sign the request: {what}")))?;
        match tokio::time::timeout(ANSWER_TIMEOUT, self.answer(url, request)).await {
            Ok(answer) => answer,
            Err(_) => {
                let words = format!("no answer of {url} in {} s", ANSWER_TIMEOUT.as_secs());
                Err(Unanswered::Unreachable(words))
            }
        }
    }

    /// What to say of an answer that is not of the service's kind.
    pub fn unexpected(&self, answer: &http::Response<String>) -> String {
        let url = self.endpoint.as_deref().unwrap_or("the service");
        format!("{url} answered {}: `{}`", answer.status().as_u16(), quoted(answer.body()))
    }

    /// The credentials that are configured.
    async fn credentials(&self) -> Result<Credentials, String> {
        let lasts = |held: &Credentials| held.expiry().is_none_or(|end| end >= now() + CREDENTIALS_LEFT_MIN);
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(held) = held.filter(lasts) {
            return Ok(held);
        }
        let found = match &self.provider {
            Some(provider) => provider.provide_credentials().await.map_err(|e| root_words(&e)),
            None => Err("no credentials are configured".to_owned()),
        };
        let found = found.map_err(|words| {
            if !is_credentials_error(&words) && !words.contains("provider") {
                return words;
            }
            let places = looked_for(self.profile.as_deref()).join("\n  ");
            format!("no AWS credentials were found:\n  {places}")
        })?;
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = Some(found.clone());
        Ok(found)
    }

    fn signed(
        &self,
        url: &str,
        headers: &[(&str, &str)],
        body: &str,
        credentials: Credentials,
    ) -> Result<Request, String> {
        let identity = credentials.into();
        let parameters = SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name(self.service.name)
            .time(self.clock.now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|e| e.to_string())?
            .into();
        let signed = SignableBody::Bytes(body.as_bytes());
        let (instructions, _) = SignableRequest::new("POST", url, headers.iter().copied(), signed)
            .and_then(|signable| sign(signable, &parameters))
            .map_err(|e| root_words(&e))?
            .into_parts();
        let mut request = http::Request::post(url).header("user-agent", USER_AGENT);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(()).map_err(|e| format!("{url}: {e}"))?;
        instructions.apply_to_request_http1x(&mut request);
        let body = body.to_owned();
        request.map(|()| body.into()).try_into().map_err(|e| format!("{url}: {e}"))
    }

    async fn answer(&self, url: &str, request: Request) -> Result<http::Response<String>, Unanswered> {
        let answer = self
            .connector
            .call(request)
            .await
            .map_err(|e| Unanswered::Unreachable(format!("cannot reach {url}: {}", root_words(&e))))?;
        let broke_off = |what: String| Unanswered::Unreachable(format!("the answer broke off: {what}"));
        let (head, body) = answer.try_into_http1x().map_err(|e| broke_off(e.to_string()))?.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|e| broke_off(root_words(&*e)))?.to_bytes();
        Ok(http::Response::from_parts(head, String::from_utf8_lossy(&body).into_owned()))
    }
}

/// The beginning of what is no answer.
pub fn quoted(body: &str) -> String {
    /// Characters that show what it is.
    const SHOWN: usize = 80;
    body.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(SHOWN).collect()
}

/// The pause behind the attempt of this number, from 1: a random part of one that doubles from `first` to `longest`, so that those
/// who failed together do not come again together.
pub fn pause(attempts: u32, first: Duration, longest: Duration) -> Duration {
    let longest = first.saturating_mul(1 << (attempts - 1).min(10)).min(longest);
    // Each hasher begins with random keys.
    let random = RandomState::new().hash_one(attempts);
    longest.mul_f64(random as f64 / u64::MAX as f64)
}
