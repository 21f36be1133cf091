//! Page compression.

use std::fmt;
use std::str::FromStr;

use parquet::basic::CompressionCodec;
use zstd::bulk::Compressor;
use zstd::zstd_safe::{CParameter, ParamSwitch};

use crate::Error;

/// How pages are compressed. All are read by Athena, Spark, Trino, DuckDB and Polars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// gzip, level 6.
    Gzip,
    /// No compression.
    None,
    /// Snappy.
    Snappy,
    /// Zstandard with its level, 1 to 22.
    Zstd(i32),
}

/// Level of `zstd` without a level. Dictionary keys hardly compress further; higher levels cost time and save little.
const ZSTD_LEVEL: i32 = 1;

/// Level of gzip pages: zlib's own default.
const GZIP_LEVEL: i32 = 6;

impl Default for Compression {
    fn default() -> Self {
        Self::Zstd(ZSTD_LEVEL)
    }
}

/// A text that names no compression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompressionError(String);

impl fmt::Display for CompressionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected zstd, zstd:N (N from 1 to 22), snappy, gzip or none, found `{}`", self.0)
    }
}

impl std::error::Error for CompressionError {}

impl FromStr for Compression {
    type Err = CompressionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || CompressionError(text.to_owned());
        match text {
            "gzip" => Ok(Self::Gzip),
            "none" => Ok(Self::None),
            "snappy" => Ok(Self::Snappy),
            "zstd" => Ok(Self::default()),
            _ => {
                let level: i32 =
                    text.strip_prefix("zstd:").ok_or_else(error)?.parse().map_err(|_| error())?;
                if (1..=22).contains(&level) { Ok(Self::Zstd(level)) } else { Err(error()) }
            }
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gzip => f.write_str("gzip"),
            Self::None => f.write_str("none"),
            Self::Snappy => f.write_str("snappy"),
            Self::Zstd(level) => write!(f, "zstd:{level}"),
        }
    }
}

/// A compressor with its state, reused from page to page.
pub(crate) enum Codec {
    Gzip(libdeflater::Compressor),
    None,
    Snappy(Box<snap::raw::Encoder>),
    Zstd(Zstd),
}

/// Two compressors whose frames any Zstandard reader reads.
pub(crate) struct Zstd {
    /// Looks for repeats, as its level says.
    repeats: Compressor<'static>,
    /// Looks for none: bytes get codes by how often they are there, and that is all.
    entropy: Compressor<'static>,
}

impl Zstd {
    fn new(level: i32) -> Result<Self, Error> {
        // Of negative levels the least looks for repeats once a block, and no negative level gives codes to bytes unless it is told to.
        let mut entropy = Compressor::new(*zstd::compression_level_range().start()).map_err(external)?;
        entropy.set_parameter(CParameter::LiteralCompressionMode(ParamSwitch::Enable)).map_err(external)?;
        Ok(Self { repeats: Compressor::new(level).map_err(external)?, entropy })
    }
}

impl Codec {
    pub(crate) fn new(compression: Compression) -> Result<Self, Error> {
        Ok(match compression {
            Compression::Gzip => {
                let level = libdeflater::CompressionLvl::new(GZIP_LEVEL).expect("a valid level");
                Self::Gzip(libdeflater::Compressor::new(level))
            }
            Compression::None => Self::None,
            Compression::Snappy => Self::Snappy(Box::new(snap::raw::Encoder::new())),
            Compression::Zstd(level) => Self::Zstd(Zstd::new(level)?),
        })
    }

    /// Whether this leaves pages as they are.
    pub(crate) fn is_none(&self) -> bool {
        matches!(self, Self::None)
    }

    /// The codec's name in column metadata.
    pub(crate) fn parquet(&self) -> CompressionCodec {
        match self {
            Self::Gzip(_) => CompressionCodec::GZIP,
            Self::None => CompressionCodec::UNCOMPRESSED,
            Self::Snappy(_) => CompressionCodec::SNAPPY,
            Self::Zstd(_) => CompressionCodec::ZSTD,
        }
    }

    pub(crate) fn compress(&mut self, raw: &[u8]) -> Result<Vec<u8>, Error> {
        match self {
            Self::Gzip(compressor) => {
                let mut out = vec![0; compressor.gzip_compress_bound(raw.len())];
                let len = compressor.gzip_compress(raw, &mut out).map_err(external)?;
                out.truncate(len);
                Ok(out)
            }
            Self::None => Ok(raw.to_vec()),
            Self::Snappy(encoder) => encoder.compress_vec(raw).map_err(external),
            Self::Zstd(zstd) => zstd.repeats.compress(raw).map_err(external),
        }
    }

    /// Compresses without looking for repeats; `None` where the codec always does.
    pub(crate) fn compress_by_entropy(&mut self, raw: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        match self {
            Self::Zstd(zstd) => zstd.entropy.compress(raw).map(Some).map_err(external),
            Self::Gzip(_) | Self::None | Self::Snappy(_) => Ok(None),
        }
    }
}

fn external(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::External(Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        for text in ["gzip", "none", "snappy", "zstd:1", "zstd:22"] {
            assert_eq!(text.parse::<Compression>().expect("valid").to_string(), text);
        }
        assert_eq!("zstd".parse(), Ok(Compression::Zstd(1)));
        for text in ["", "lz4", "zstd:", "zstd:0", "zstd:23", "zstd:x", "ZSTD"] {
            let error = text.parse::<Compression>().expect_err("invalid").to_string();
            assert!(error.ends_with(&format!("found `{text}`")), "{error}");
        }
    }
}
