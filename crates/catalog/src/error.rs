//! What may go wrong with the Glue Data Catalog.

use std::fmt;

/// The kind of an [`Error`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The table, partition or database exists.
    AlreadyExists,
    /// Another writer changed the table meanwhile.
    Conflict,
    /// No credentials, or none that Glue accepts.
    Credentials,
    /// Glue does not let us.
    Denied,
    /// The table that is there is another one than ours, or has columns of other types.
    Incompatible,
    /// No such database or table.
    NotFound,
    /// What answers is another service.
    NotImplemented,
    /// Some partitions could not be made.
    Partitions,
    /// Glue asks for fewer requests.
    Throttled,
    /// Glue did not answer, or not as it should; it may later.
    Unavailable,
    /// Anything else that is reported.
    Other,
}

/// A failed call: what was tried, on what, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    action: &'static str,
    name: String,
    detail: String,
}

impl Error {
    pub(crate) fn new(kind: ErrorKind, action: &'static str, name: &str, detail: String) -> Self {
        Self { kind, action, name: name.to_owned(), detail }
    }

    /// The cause.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

/// Sources: docs.aws.amazon.com/glue/latest/webapi/CommonErrors.html and the errors of each call.
pub(crate) fn kind_of(code: &str) -> ErrorKind {
    match code {
        "AlreadyExistsException" => ErrorKind::AlreadyExists,
        "ConcurrentModificationException" | "VersionMismatchException" => ErrorKind::Conflict,
        "AccessDeniedException" | "GlueEncryptionException" => ErrorKind::Denied,
        "EntityNotFoundException" => ErrorKind::NotFound,
        "ExpiredTokenException"
        | "InvalidSignatureException"
        | "UnrecognizedClientException"
        | "IncompleteSignature"
        | "MissingAuthenticationTokenException"
        | "InvalidClientTokenId" => ErrorKind::Credentials,
        "ThrottlingException"
        | "Throttling"
        | "LimitExceededException"
        | "RequestLimitExceeded"
        | "TooManyRequestsException"
        | "ResourceNumberLimitExceededException" => ErrorKind::Throttled,
        "InternalServiceException"
        | "InternalFailure"
        | "OperationTimeoutException"
        | "RequestTimeout"
        | "RequestTimeoutException"
        | "ServiceUnavailable"
        | "ResourceNotReadyException" => ErrorKind::Unavailable,
        _ => ErrorKind::Other,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}` in Glue: {}", self.action, self.name, self.detail)
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds() {
        for (code, kind) in [
            ("AlreadyExistsException", ErrorKind::AlreadyExists),
            ("EntityNotFoundException", ErrorKind::NotFound),
            ("ThrottlingException", ErrorKind::Throttled),
            ("ConcurrentModificationException", ErrorKind::Conflict),
            ("AccessDeniedException", ErrorKind::Denied),
            ("InvalidInputException", ErrorKind::Other),
        ] {
            assert_eq!(kind_of(code), kind, "{code}");
        }
    }
}
