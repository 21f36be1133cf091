//! What a Parquet file is made of.

use std::fs::File;
use std::io::{Read, Seek as _, SeekFrom};

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::file::statistics::Statistics;

use crate::Error;
use crate::rows::{FOOTER_BYTES_MAX, check_footer, guarded};

/// A file's layout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileLayout {
    /// All rows.
    pub rows: i64,
    /// Rows of each row group.
    pub row_groups: Vec<i64>,
    /// Key-value metadata.
    pub metadata: Vec<(String, String)>,
    /// Program that wrote it.
    pub created_by: String,
    /// Its columns, summed over row groups.
    pub columns: Vec<ColumnLayout>,
}

/// A column of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnLayout {
    /// Its path.
    pub name: String,
    /// Its physical type.
    pub physical_type: String,
    /// Compression of its pages.
    pub compression: String,
    /// Encodings of its pages.
    pub encodings: Vec<String>,
    /// Bytes in the file.
    pub compressed_bytes: i64,
    /// Bytes before compression.
    pub uncompressed_bytes: i64,
    /// Nulls, where all row groups tell.
    pub nulls: Option<u64>,
    /// Smallest value, as text, where all row groups tell.
    pub min: Option<String>,
    /// Largest value, as text, where all row groups tell.
    pub max: Option<String>,
    /// Whether it has a page index.
    pub has_page_index: bool,
}

/// Reads the footer of `file`.
///
/// # Errors
/// If it is no Parquet file.
pub fn inspect(mut file: File) -> Result<FileLayout, Error> {
    let len = file.metadata()?.len();
    let mut tail = Vec::new();
    file.seek(SeekFrom::Start(len.saturating_sub(FOOTER_BYTES_MAX)))?;
    Read::by_ref(&mut file).take(FOOTER_BYTES_MAX).read_to_end(&mut tail)?;
    check_footer(&tail, len).map_err(Error::General)?;
    guarded(|| layout_of(file)).map_err(Error::General)?
}

fn layout_of(file: File) -> Result<FileLayout, Error> {
    let reader = SerializedFileReader::new(file)?;
    let meta = reader.metadata();
    let pairs = meta.file_metadata().key_value_metadata().into_iter().flatten();
    let mut columns: Vec<ColumnLayout> = Vec::new();
    for i in 0..meta.file_metadata().schema_descr().num_columns() {
        let chunks = || meta.row_groups().iter().map(move |g| g.column(i));
        let descr = meta.file_metadata().schema_descr().column(i);
        let mut encodings: Vec<String> = Vec::new();
        for encoding in chunks().flat_map(|c| c.encodings()) {
            let name = format!("{encoding}");
            if !encodings.contains(&name) {
                encodings.push(name);
            }
        }
        let stats: Vec<&Statistics> = chunks().filter_map(|c| c.statistics()).collect();
        let all = !stats.is_empty() && stats.len() == meta.num_row_groups();
        columns.push(ColumnLayout {
            name: descr.path().string(),
            physical_type: descr.physical_type().to_string(),
            compression: chunks().next().map_or_else(String::new, |c| format!("{}", c.compression_codec())),
            encodings,
            compressed_bytes: chunks().map(|c| c.compressed_size()).sum(),
            uncompressed_bytes: chunks().map(|c| c.uncompressed_size()).sum(),
            nulls: if all { stats.iter().map(|s| s.null_count_opt()).sum() } else { None },
            min: all.then(|| bound(&stats, true)).flatten(),
            max: all.then(|| bound(&stats, false)).flatten(),
            has_page_index: meta.num_row_groups() > 0 && chunks().all(|c| c.column_index_offset().is_some()),
        });
    }
    Ok(FileLayout {
        rows: meta.file_metadata().num_rows(),
        row_groups: meta.row_groups().iter().map(|g| g.num_rows()).collect(),
        metadata: pairs.map(|p| (p.key.clone(), p.value.clone().unwrap_or_default())).collect(),
        created_by: meta.file_metadata().created_by().unwrap_or_default().to_owned(),
        columns,
    })
}

/// The smallest (`least`) or largest bound over row groups; row groups of nulls only have none.
fn bound(stats: &[&Statistics], least: bool) -> Option<String> {
    let number = |s: &Statistics| match s {
        Statistics::Int32(v) => (if least { v.min_opt() } else { v.max_opt() }).map(|v| i64::from(*v)),
        Statistics::Int64(v) => (if least { v.min_opt() } else { v.max_opt() }).copied(),
        _ => None,
    };
    let numbers = stats.iter().filter_map(|s| number(s));
    if let Some(number) = if least { numbers.min() } else { numbers.max() } {
        return Some(number.to_string());
    }
    let texts = stats.iter().filter_map(|s| match s {
        Statistics::ByteArray(v) => (if least { v.min_opt() } else { v.max_opt() }).map(|v| v.data()),
        _ => None,
    });
    let text = if least { texts.min() } else { texts.max() };
    text.map(|t| String::from_utf8_lossy(t).into_owned())
}
