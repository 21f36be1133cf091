//! What may go wrong with EC2.

use std::fmt;

/// The kind of an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// No credentials, or none that EC2 accepts.
    Credentials,
    /// EC2 does not let us.
    Denied,
    /// What answers is another service.
    NotImplemented,
    /// The run was stopped meanwhile.
    Stopped,
    /// EC2 asks for fewer requests.
    Throttled,
    /// EC2 did not answer, or not as it should; it may later.
    Unavailable,
    /// Anything else that is reported.
    Other,
}

/// A failed call: in which region, after how many attempts, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    pub(crate) kind: ErrorKind,
    /// Who was asked, and for what: `EC2`, `for its flow logs`.
    pub(crate) asked: (&'static str, &'static str),
    pub(crate) region: String,
    pub(crate) attempts: u32,
    pub(crate) detail: String,
}

impl Error {
    /// The cause.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

/// Source: docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html.
pub(crate) fn kind_of(code: &str) -> ErrorKind {
    match code {
        "UnauthorizedOperation" | "OptInRequired" | "Blocked" | "AccessDenied" | "AccessDeniedException" => {
            ErrorKind::Denied
        }
        "AuthFailure"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "IncompleteSignature"
        | "InvalidClientTokenId"
        | "MissingAuthenticationToken"
        | "PendingVerification"
        | "RequestExpired"
        | "SignatureDoesNotMatch"
        | "UnrecognizedClientException" => ErrorKind::Credentials,
        "RequestLimitExceeded" | "Throttling" | "ThrottlingException" | "EC2ThrottledException" => {
            ErrorKind::Throttled
        }
        "InternalError" | "InternalFailure" | "ServiceUnavailable" | "Unavailable" => ErrorKind::Unavailable,
        _ => ErrorKind::Other,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ask {} in {} {}: {}", self.asked.0, self.region, self.asked.1, self.detail)?;
        if self.attempts > 1 {
            write!(f, ", after {} attempts", self.attempts)?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
