//! What the command lines of `flowquet` and `flowquet-sql` have in common: how they speak, what their exit codes mean, how S3 is
//! spoken to, what the machine has, and the arguments of `flowquet sql`, which the one tells of and the other obeys.
//!
//! This crate knows no conversion, no Arrow and no Parquet.
//!
//! ```
//! use flowquet_command::exit::Exit;
//! use flowquet_command::size::parse_bytes;
//!
//! assert_eq!(parse_bytes("512M"), Ok(512 << 20));
//! assert_eq!(Exit::Interrupted.code(), 130);
//! ```

mod cgroups;
pub mod environment;
pub mod exit;
pub mod failure;
pub mod logs;
pub mod machine;
pub mod output;
pub mod places;
pub mod size;
pub mod sql;
pub mod stop;
pub mod terminal;
