//! What stops a listing.

use std::collections::BTreeMap;
use std::fmt;

use flowquet_format::Named;

/// What stops a listing, or the reading of standard input. Names that cannot be objects do not; they are handed on.
#[derive(Debug)]
pub enum Error {
    /// The listing was asked to stop, or nobody takes what it lists any more.
    Interrupted,
    /// The sources hold more objects than the memory.
    ListingTooLong {
        /// Objects so far.
        objects: usize,
        /// Bytes that there are for them.
        bytes: usize,
    },
    /// A manifest that cannot be read.
    Manifest {
        /// Where it is.
        manifest: String,
        /// What was expected and found.
        what: String,
    },
    /// The sources hold no objects.
    NoObjects {
        /// What was listed.
        sources: Vec<String>,
    },
    /// The filter names what the sources do not hold.
    NothingNamed {
        /// What it names, and no key tells.
        named: Vec<Named>,
        /// What keys tell of the same kinds.
        told: Vec<Named>,
    },
    /// The filter asks for what no key tells.
    NothingTold {
        /// How many objects there are.
        objects: u64,
    },
    /// The sources hold nothing but tables, or are tables themselves.
    OnlyTables {
        /// Their URLs.
        tables: Vec<String>,
    },
    /// Standard input failed.
    Stdin(std::io::Error),
    /// A store failed.
    Store(flowquet_store::Error),
}

/// Names of one kind that are shown of many.
const SHOWN_MAX: usize = 5;

impl Error {
    /// The kind of error, as reports name it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Interrupted => "interrupted",
            Self::ListingTooLong { .. } => "listing-too-long",
            Self::Manifest { .. } => "manifest",
            Self::NoObjects { .. } => "no-objects",
            Self::NothingNamed { .. } => "nothing-named",
            Self::NothingTold { .. } => "nothing-told",
            Self::OnlyTables { .. } => "only-tables",
            Self::Stdin(_) => "stdin",
            Self::Store(error) => error.kind().name(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Interrupted => f.write_str("interrupted"),
            Self::ListingTooLong { objects, bytes } => {
                write!(
                    f,
                    "expected a listing that fits {bytes} bytes of memory, found more than {objects} objects"
                )
            }
            Self::Manifest { manifest, what } => write!(f, "read manifest `{manifest}`: {what}"),
            Self::NoObjects { sources } => {
                write!(f, "found no files in {}", sources.join(", "))
            }
            Self::NothingNamed { named, told } => {
                let named: Vec<String> = named.iter().map(ToString::to_string).collect();
                write!(f, "found no logs of {}", named.join(", "))?;
                let mut kinds: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
                for named in told {
                    kinds.entry(named.kind()).or_default().push(named.value());
                }
                for (at, (kind, values)) in kinds.iter().enumerate() {
                    let begin = if at == 0 { "; there are logs of " } else { ", of " };
                    let (plural, more) = match values.len() {
                        1 => ("", String::new()),
                        n if n > SHOWN_MAX => ("s", format!(", … ({n})")),
                        _ => ("s", String::new()),
                    };
                    write!(
                        f,
                        "{begin}{kind}{plural} {}{more}",
                        values[..values.len().min(SHOWN_MAX)].join(", ")
                    )?;
                }
                Ok(())
            }
            Self::NothingTold { objects } => {
                let plural = if *objects == 1 { "" } else { "s" };
                write!(
                    f,
                    "a filter asks for what no key tells: found no date, account, region or flow log in that of {objects} object{plural}"
                )
            }
            Self::OnlyTables { tables } => {
                let tables: Vec<String> = tables.iter().map(|url| format!("`{url}`")).collect();
                write!(f, "found no raw logs, only what flowquet wrote: {}", tables.join(", "))
            }
            Self::Stdin(_) => f.write_str("read standard input"),
            Self::Store(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Stdin(error) => Some(error),
            Self::Store(error) => error.source(),
            _ => None,
        }
    }
}

impl From<flowquet_store::Error> for Error {
    fn from(error: flowquet_store::Error) -> Self {
        if error.kind() == flowquet_store::ErrorKind::Interrupted {
            return Self::Interrupted;
        }
        Self::Store(error)
    }
}
