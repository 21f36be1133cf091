//! Names that are no logs: hidden ones, and what programs that write tables leave beside them.

/// Files that programs put beside data.
///
/// | file | from |
/// |---|---|
/// | `_SUCCESS` | Hadoop, Spark |
/// | `_metadata`, `_common_metadata` | Parquet's summary of other files: pyarrow, Dask, old Spark |
const SIDE_FILES: [&str; 3] = ["_SUCCESS", "_metadata", "_common_metadata"];

/// Beginnings of the names of files by which Databricks tells which writers have ended: `_started_1`, `_committed_1`, and
/// `_committed_vacuum1`.
const SIDE_FILE_STARTS: [&str; 2] = ["_committed_", "_started_"];

/// End of the names of files in which Athena says what columns a query's result has.
const SIDE_FILE_END: &str = ".csv.metadata";

/// Folders that programs put beside data: the log of a Delta table, and what Hadoop's writers have not committed.
const SIDE_FOLDERS: [&str; 2] = ["_delta_log", "_temporary"];

/// Whether a key below a source is left out: a name in it begins with a dot, as those that a disk hides, or is one that is known to
/// hold no logs. Other names with an underscore are not: somebody's logs may be there. A key that ends in a slash is a folder's.
pub(crate) fn is_hidden(key: &str) -> bool {
    let (folders, name) = key.rsplit_once('/').unwrap_or(("", key));
    folders.split('/').any(|folder| folder.starts_with('.') || SIDE_FOLDERS.contains(&folder))
        || name.starts_with('.')
        || SIDE_FILES.contains(&name)
        || SIDE_FILE_STARTS.iter().any(|start| name.starts_with(start))
        || name.ends_with(SIDE_FILE_END)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_names_and_no_others() {
        for key in [
            ".x",
            ".x/",
            "a/.x/b.log",
            "_SUCCESS",
            "a/_SUCCESS",
            "_metadata",
            "a/b/_common_metadata",
            "_committed_1",
            "_committed_vacuum12",
            "a/_started_1",
            "_delta_log/",
            "_delta_log/0.json",
            "a/_delta_log/_x/0.checkpoint.parquet",
            "_temporary/0/a.log",
            "a/1-2-3.csv.metadata",
        ] {
            assert!(is_hidden(key), "{key}");
        }
        for key in [
            "",
            "a.log",
            "a./b..log",
            "_a.log",
            "_logs/",
            "_logs/a.log",
            "_SUCCESS.log",
            "_SUCCESS/a.log",
            "_metadata/a.log",
            "_metadata.csv",
            "_committed",
            "_started_1/a.log",
            "_delta_log",
            "_temporary",
            "x_delta_log/a.log",
            "metadata",
            "a.csv",
            "a.csv.metadata/b.log",
            "a.metadata",
        ] {
            assert!(!is_hidden(key), "{key}");
        }
    }
}
