//! Places as they are typed: a path, or `s3://bucket/prefix`.

use std::fmt;
use std::path::PathBuf;

/// Scheme of S3 URLs.
pub const S3_SCHEME: &str = "s3://";

/// Scheme of local URLs.
pub const FILE_SCHEME: &str = "file://";

/// A place that objects are read from or written to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A local file or folder.
    Local(PathBuf),
    /// A bucket and a key or prefix in it.
    S3 {
        /// The bucket.
        bucket: String,
        /// Key or prefix, as it was typed; empty for the whole bucket.
        prefix: String,
    },
}

impl Location {
    /// Reads `text`: `s3://…` and `s3a://…` are S3, anything else is a path.
    ///
    /// # Errors
    /// A message, where the bucket's name cannot be one or the scheme is unknown.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Ok(Self::Local(PathBuf::from(text)));
        };
        match scheme {
            "file" => Ok(Self::Local(PathBuf::from(rest))),
            "s3" | "s3a" => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                let is_name = |c: char| c.is_ascii_alphanumeric() || ".-_:".contains(c);
                if bucket.len() < 3 || !bucket.chars().all(is_name) {
                    return Err(format!("expected s3://BUCKET/PREFIX, found `{text}`"));
                }
                Ok(Self::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
            }
            _ => Err(format!("expected a path or s3://BUCKET/PREFIX, found `{text}`")),
        }
    }

    /// Whether it is on S3.
    pub fn is_s3(&self) -> bool {
        self.bucket().is_some()
    }

    /// The bucket, on S3.
    pub fn bucket(&self) -> Option<&str> {
        match self {
            Self::Local(_) => None,
            Self::S3 { bucket, .. } => Some(bucket),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(path) => write!(f, "{}", path.display()),
            Self::S3 { bucket, prefix } => write!(f, "{S3_SCHEME}{bucket}/{prefix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places() {
        let s3 = |bucket: &str, prefix: &str| {
            Ok(Location::S3 { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
        };
        assert_eq!(Location::parse("logs/x"), Ok(Location::Local("logs/x".into())));
        assert_eq!(Location::parse("file:///a/b"), Ok(Location::Local("/a/b".into())));
        assert_eq!(Location::parse("s3://logs"), s3("logs", ""));
        assert_eq!(Location::parse("s3://logs/AWSLogs/"), s3("logs", "AWSLogs/"));
        assert_eq!(Location::parse("s3a://logs/a b"), s3("logs", "a b"));
        for wrong in ["s3://", "s3:///x", "s3://a b/x", "gs://bucket/x", "https://x/y"] {
            assert!(Location::parse(wrong).is_err(), "{wrong}");
        }
    }
}
