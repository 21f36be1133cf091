//! One request of a Query API.

use flowquet_aws::{Caller, Service, Unanswered};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::answer::refusal;
use crate::error::{ErrorKind, kind_of};

/// The flow logs of a region.
pub(crate) const EC2: Service = Service { name: "ec2", id: "EC2", is_fips_in_gov: true };

/// Who asks.
pub(crate) const STS: Service = Service { name: "sts", id: "STS", is_fips_in_gov: true };

/// The type of a body that is a form.
const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";

/// What a form keeps as it is.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Why a request has no answer.
pub(crate) type Refused = (ErrorKind, String);

/// Sends a form. Returns the body of the answer, and its date, whatever it says.
pub(crate) async fn send(
    caller: &Caller,
    form: &[(&str, &str)],
) -> (Result<String, Refused>, Option<String>) {
    let answer = match caller.post(&[("content-type", FORM)], &body_of(form)).await {
        Ok(answer) => answer,
        Err(unanswered) => return (Err(of_unanswered(unanswered)), None),
    };
    let date = answer.headers().get("date").and_then(|date| date.to_str().ok()).map(str::to_owned);
    if answer.status().is_success() {
        return (Ok(answer.into_body()), date);
    }
    let status = answer.status().as_u16();
    let refused = match refusal(answer.body()) {
        _ if status == 501 => (ErrorKind::NotImplemented, caller.unexpected(&answer)),
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
            (kind, caller.unexpected(&answer))
        }
    };
    (Err(refused), date)
}

fn of_unanswered(unanswered: Unanswered) -> Refused {
    match unanswered {
        Unanswered::Credentials(words) => (ErrorKind::Credentials, words),
        Unanswered::Invalid(words) => (ErrorKind::Other, words),
        Unanswered::Unreachable(words) => (ErrorKind::Unavailable, words),
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
