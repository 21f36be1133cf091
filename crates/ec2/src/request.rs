//! One request of a Query API, signed and sent.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_runtime_api::client::http::{HttpConnector as _, SharedHttpConnector};
use aws_smithy_runtime_api::http::Request;
use flowquet_aws::root_words;
use http_body_util::{BodyExt as _, Limited};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::answer::{quoted, refusal};
use crate::error::{ErrorKind, kind_of};

/// Bytes of an answer: a page of 1,000 flow logs of the longest formats has about 2 MB.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Time that an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// The type of a body that is a form.
const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";

/// What a form keeps as it is.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Who is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Service {
    Ec2,
    Sts,
}

impl Service {
    /// The name in endpoints and signatures.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ec2 => "ec2",
            Self::Sts => "sts",
        }
    }

    /// The name in variables and profiles, in capitals in the former.
    pub(crate) fn id(self) -> &'static str {
        match self {
            Self::Ec2 => "EC2",
            Self::Sts => "STS",
        }
    }
}

/// Where a service is, and who asks.
pub(crate) struct Caller<'a> {
    pub(crate) connector: &'a SharedHttpConnector,
    pub(crate) endpoint: &'a str,
    pub(crate) region: &'a str,
    pub(crate) service: Service,
    pub(crate) credentials: Credentials,
}

/// Why a request has no answer.
pub(crate) type Refused = (ErrorKind, String);

impl Caller<'_> {
    /// Sends a form and returns the body of the answer.
    pub(crate) async fn send(&self, form: &[(&str, &str)]) -> Result<String, Refused> {
        self.send_dated(form).await.0
    }

    /// The same, and the date of the answer, whatever it says.
    pub(crate) async fn send_dated(
        &self,
        form: &[(&str, &str)],
    ) -> (Result<String, Refused>, Option<String>) {
        let request = match self.signed(&body_of(form)) {
            Ok(request) => request,
            Err(error) => return (Err((ErrorKind::Other, error)), None),
        };
        let mut date = None;
        match tokio::time::timeout(ANSWER_TIMEOUT, self.answer(request, &mut date)).await {
            Ok(answer) => (answer, date),
            Err(_) => {
                let words = format!("no answer in {} s", ANSWER_TIMEOUT.as_secs());
                (Err((ErrorKind::Unavailable, words)), date)
            }
        }
    }

    fn signed(&self, body: &str) -> Result<Request, String> {
        #[expect(clippy::disallowed_methods, reason = "a signature holds for minutes; no data depends on it")]
        let now = SystemTime::now();
        let identity = self.credentials.clone().into();
        let parameters = SigningParams::builder()
            .identity(&identity)
            .region(self.region)
            .name(self.service.name())
            .time(now)
            .settings(SigningSettings::default())
            .build()
            .map_err(|e| format!("sign the request: {e}"))?
            .into();
        let headers = [("content-type", FORM)];
        let signable = SignableRequest::new(
            "POST",
            self.endpoint,
            headers.into_iter(),
            SignableBody::Bytes(body.as_bytes()),
        );
        let (instructions, _) = signable
            .and_then(|signable| sign(signable, &parameters))
            .map_err(|e| format!("sign the request: {}", root_words(&e)))?
            .into_parts();
        let request = http::Request::post(self.endpoint).header("content-type", FORM);
        let mut request = request.body(()).map_err(|e| format!("ask {}: {e}", self.endpoint))?;
        instructions.apply_to_request_http1x(&mut request);
        let body = body.to_owned();
        request.map(|()| body.into()).try_into().map_err(|e| format!("ask {}: {e}", self.endpoint))
    }

    async fn answer(&self, request: Request, date: &mut Option<String>) -> Result<String, Refused> {
        let unavailable = |what: String| (ErrorKind::Unavailable, what);
        let answer = self.connector.call(request).await;
        let answer =
            answer.map_err(|e| unavailable(format!("cannot reach {}: {}", self.endpoint, root_words(&e))))?;
        *date = answer.headers().get("date").map(str::to_owned);
        let (status, is_success) = (answer.status().as_u16(), answer.status().is_success());
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await;
        let body =
            body.map_err(|e| unavailable(format!("the answer broke off: {}", root_words(&*e))))?.to_bytes();
        let body = String::from_utf8_lossy(&body).into_owned();
        if is_success {
            return Ok(body);
        }
        Err(match refusal(&body) {
            Some((code, message)) => {
                let kind = match kind_of(&code) {
                    ErrorKind::Other if status >= 500 => ErrorKind::Unavailable,
                    kind => kind,
                };
                (kind, format!("{code}: {message}"))
            }
            None => {
                let kind = match status {
                    401 | 403 => ErrorKind::Denied,
                    429 => ErrorKind::Throttled,
                    500.. => ErrorKind::Unavailable,
                    _ => ErrorKind::Other,
                };
                (kind, format!("{} answered {status}: `{}`", self.endpoint, quoted(&body)))
            }
        })
    }
}

fn body_of(form: &[(&str, &str)]) -> String {
    let encoded = |text: &str| utf8_percent_encode(text, KEPT).to_string();
    let pairs: Vec<String> =
        form.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value))).collect();
    pairs.join("&")
}

#[cfg(test)]
mod tests {
    use super::body_of;

    #[test]
    fn forms() {
        assert_eq!(body_of(&[("NextToken", "a+/= ä~"), ("X.1", "")]), "NextToken=a%2B%2F%3D%20%C3%A4~&X.1=");
    }
}
