//! Benchmarks. Each checks its answer while it measures; see README.md in this folder.
