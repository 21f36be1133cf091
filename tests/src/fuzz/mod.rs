//! Fuzz targets: functions that take any bytes and panic where a promise is broken.
//!
//! They are written once. `tests/fuzz.rs` runs them in `./test` with bytes that `mutate` makes of small real inputs; the libFuzzer
//! workspace in `fuzz/` runs the same functions with a nightly compiler and coverage. A target promises more than that nothing
//! panics: what is decoded encodes to what decodes to the same, lines add up, twins agree, and nothing leaves the table.
//!
//! | target | bytes | promise |
//! |---|---|---|
//! | `checkpoints` | a checkpoint or a segment of a real table | damage changes no answer; forgery panics nowhere |
//! | `formats` | a text in which log formats are looked for | a format's own spelling is read as that format |
//! | `framing` | an object in any compression and framing | windows do not decide what its lines are; lines add up |
//! | `gzip` | gzip members | both inflaters agree, within the limit |
//! | `keys` | a key or URL | folders that are made of it stay inside the table |
//! | `listing` | keys of a bucket | objects add up, each is taken once, nothing is written outside the table |
//! | `manifests` | a manifest, an inventory or its rows | objects add up, and each is taken once |
//! | `pages` | columns | a file holds the rows that were written |
//! | `parquet` | a Parquet file | rows and lines agree; what is damaged is told |
//! | `records` | a record of a real table | what decodes encodes to the same; names stay inside; reading writes nothing |
//! | `twins` | text | all instruction sets agree with the scalar loops |

mod checkpoints;
mod formats;
mod framing;
mod gzip;
mod keys;
mod listing;
mod manifests;
mod mutate;
mod pages;
mod parquet;
mod records;
mod runner;
mod twins;
mod world;

pub use runner::{Effort, run};

/// A function that takes any bytes, and small real inputs to begin with.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Its name: of its file here, of its binary in `fuzz/`, and of its folder in `tests/finds/`.
    pub name: &'static str,
    /// Inputs of a run of `./test`: those of targets that convert are slow.
    pub inputs: u64,
    /// Panics where a promise is broken.
    pub run: fn(&[u8]),
    /// Small real inputs.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All targets.
pub const TARGETS: &[Target] = &[
    Target { name: "checkpoints", inputs: 500, run: checkpoints::run, seeds: checkpoints::seeds },
    Target { name: "formats", inputs: 2000, run: formats::run, seeds: formats::seeds },
    Target { name: "framing", inputs: 1000, run: framing::run, seeds: framing::seeds },
    Target { name: "gzip", inputs: 2000, run: gzip::run, seeds: gzip::seeds },
    Target { name: "keys", inputs: 2000, run: keys::run, seeds: keys::seeds },
    Target { name: "listing", inputs: 50, run: listing::run, seeds: listing::seeds },
    Target { name: "manifests", inputs: 200, run: manifests::run, seeds: manifests::seeds },
    Target { name: "pages", inputs: 200, run: pages::run, seeds: pages::seeds },
    Target { name: "parquet", inputs: 1000, run: parquet::run, seeds: parquet::seeds },
    Target { name: "records", inputs: 1000, run: records::run, seeds: records::seeds },
    Target { name: "twins", inputs: 2000, run: twins::run, seeds: twins::seeds },
];

/// The target of this name.
///
/// # Panics
/// If there is none.
pub fn target(name: &str) -> &'static Target {
    TARGETS.iter().find(|target| target.name == name).unwrap_or_else(|| panic!("no target {name}"))
}
