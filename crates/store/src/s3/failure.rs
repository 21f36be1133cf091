//! The SDK's errors as ours.

use aws_sdk_s3::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use flowquet_aws::{is_credentials_error, root_words};

use crate::error::{Error, ErrorKind};
use crate::location::S3_SCHEME;

/// Header by which S3 tells the region of a bucket.
const BUCKET_REGION: &str = "x-amz-bucket-region";

/// Of the SDK's words for an endpoint that is no URL: ``custom endpoint `127.0.0.1:9000` was not a valid URI``.
const NO_ENDPOINT: &str = "was not a valid URI";

/// Our error for a failed request.
pub(crate) fn failure<E>(action: &'static str, url: String, error: &SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let told = |kind, detail: String| Error::told(kind, action, url.clone(), detail);
    let service = match error {
        SdkError::ServiceError(service) => service,
        SdkError::TimeoutError(_) => return told(ErrorKind::Unreachable, "no answer in time".to_owned()),
        _ => {
            // What is wrong with the configuration is found while a request is made, and the SDK tells it only in words.
            if root_words(error).contains(NO_ENDPOINT) {
                return told(ErrorKind::InvalidEndpoint, root_words(error));
            }
            if is_credentials_error(&DisplayErrorContext(error).to_string()) {
                return told(ErrorKind::NoCredentials, root_words(error));
            }
            return told(ErrorKind::Unreachable, root_words(error));
        }
    };
    let status = service.raw().status().as_u16();
    let code = service.err().code().unwrap_or_default();
    let region = service.raw().headers().get(BUCKET_REGION).unwrap_or_default();
    let kind = kind_of(action, status, code);
    // To a HEAD there is no body that tells a code.
    if !region.is_empty() && (kind == ErrorKind::WrongRegion || (status == 400 && code.is_empty())) {
        return Error::wrong_region(action, url, region.to_owned());
    }
    let message = service.err().message().unwrap_or_default();
    let detail = match (code, message) {
        ("", "") => format!("HTTP status {status}"),
        ("", message) => message.to_owned(),
        (code, "") => code.to_owned(),
        (code, message) => format!("{code}: {message}"),
    };
    match kind {
        // These say all there is to say.
        ErrorKind::AlreadyExists | ErrorKind::NotFound => Error::new(kind, action, url),
        ErrorKind::NoBucket => {
            let bucket = url.strip_prefix(S3_SCHEME).and_then(|rest| rest.split('/').next());
            Error::new(kind, action, bucket.map_or(url.clone(), |b| format!("{S3_SCHEME}{b}/")))
        }
        _ => told(kind, detail),
    }
}

/// Source: docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html.
fn kind_of(action: &str, status: u16, code: &str) -> ErrorKind {
    match (code, status) {
        ("NoSuchBucket", _) => ErrorKind::NoBucket,
        ("NoSuchKey" | "NotFound" | "NoSuchUpload", _) => ErrorKind::NotFound,
        (
            "InvalidAccessKeyId"
            | "SignatureDoesNotMatch"
            | "ExpiredToken"
            | "InvalidToken"
            | "TokenRefreshRequired"
            | "RequestTimeTooSkewed"
            | "InvalidSecurity"
            | "NotSignedUp",
            _,
        ) => ErrorKind::Credentials,
        ("InvalidObjectState", _) => ErrorKind::Archived,
        // It is being restored already.
        ("RestoreAlreadyInProgress", _) => ErrorKind::AlreadyExists,
        // Asking again does not help before somebody buys capacity.
        ("GlacierExpeditedRetrievalNotAvailable", _) => ErrorKind::Other,
        ("PermanentRedirect" | "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException", _) => {
            ErrorKind::WrongRegion
        }
        (
            "SlowDown" | "Throttling" | "ThrottlingException" | "RequestLimitExceeded" | "TooManyRequests",
            _,
        ) => ErrorKind::Throttled,
        (
            "RequestTimeout"
            | "BadDigest"
            | "IncompleteBody"
            | "XAmzContentSHA256Mismatch"
            | "ConditionalRequestConflict"
            | "OperationAborted",
            _,
        ) => ErrorKind::Unavailable,
        (_, 301 | 307 | 308) => ErrorKind::WrongRegion,
        (_, 401 | 403) => ErrorKind::Denied,
        (_, 404) => ErrorKind::NotFound,
        (_, 412) if action == "read" => ErrorKind::Changed,
        (_, 412) => ErrorKind::AlreadyExists,
        (_, 429 | 503) => ErrorKind::Throttled,
        (_, 501) => ErrorKind::NotImplemented,
        (_, 500..) => ErrorKind::Unavailable,
        _ => ErrorKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        for (action, status, code, kind) in [
            ("read", 404, "NoSuchKey", ErrorKind::NotFound),
            ("read", 404, "", ErrorKind::NotFound),
            ("list", 404, "NoSuchBucket", ErrorKind::NoBucket),
            ("read", 403, "InvalidObjectState", ErrorKind::Archived),
            ("restore", 409, "RestoreAlreadyInProgress", ErrorKind::AlreadyExists),
            ("restore", 503, "GlacierExpeditedRetrievalNotAvailable", ErrorKind::Other),
            ("read", 403, "AccessDenied", ErrorKind::Denied),
            ("read", 403, "ExpiredToken", ErrorKind::Credentials),
            ("read", 412, "PreconditionFailed", ErrorKind::Changed),
            ("create", 412, "PreconditionFailed", ErrorKind::AlreadyExists),
            ("create", 409, "ConditionalRequestConflict", ErrorKind::Unavailable),
            ("write", 503, "SlowDown", ErrorKind::Throttled),
            ("write", 503, "", ErrorKind::Throttled),
            ("write", 500, "InternalError", ErrorKind::Unavailable),
            ("list", 501, "NotImplemented", ErrorKind::NotImplemented),
            ("write", 400, "BadDigest", ErrorKind::Unavailable),
            ("list", 301, "PermanentRedirect", ErrorKind::WrongRegion),
            ("write", 400, "InvalidArgument", ErrorKind::Other),
        ] {
            assert_eq!(kind_of(action, status, code), kind, "{action} {status} {code}");
        }
    }
}
