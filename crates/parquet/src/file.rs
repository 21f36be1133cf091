//! Files: row groups appended in order, then the footer.

use std::io::Write;
use std::sync::Arc;

use parquet::file::metadata::{KeyValue, SortingColumn};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;

use crate::Error;
use crate::encoder::EncodedRowGroup;
use crate::schema::FileSchema;

fn sorting(column: &usize) -> SortingColumn {
    let column_idx = i32::try_from(*column).expect("a format has far fewer fields");
    SortingColumn { column_idx, descending: false, nulls_first: true }
}

/// A file being written. Row groups go to `W` as they come; the footer follows on [`Self::finish`].
pub struct FileWriter<W: Write + Send> {
    inner: SerializedFileWriter<W>,
    rows: u64,
}

impl<W: Write + Send> std::fmt::Debug for FileWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileWriter").field("rows", &self.rows).finish()
    }
}

impl<W: Write + Send> FileWriter<W> {
    /// Begins a file with `schema` and key-value `metadata`.
    ///
    /// # Errors
    /// If `sink` fails.
    pub fn new(sink: W, schema: &FileSchema, metadata: &[(String, String)]) -> Result<Self, Error> {
        let pairs = metadata.iter().map(|(k, v)| KeyValue::new(k.clone(), v.clone())).collect();
        let properties = WriterProperties::builder()
            .set_created_by(format!("flowquet version {}", env!("CARGO_PKG_VERSION")))
            .set_key_value_metadata(Some(pairs))
            .set_sorting_columns((!schema.sort.is_empty()).then(|| schema.sort.iter().map(sorting).collect()))
            .build();
        let inner = SerializedFileWriter::new(sink, schema.root.clone(), Arc::new(properties))?;
        Ok(Self { inner, rows: 0 })
    }

    /// Appends a row group that was encoded with the same schema.
    ///
    /// # Errors
    /// If the sink fails or the schema is another one.
    pub fn append(&mut self, row_group: EncodedRowGroup) -> Result<(), Error> {
        let mut writer = self.inner.next_row_group()?;
        self.rows += row_group.rows() as u64;
        for chunk in row_group.chunks {
            writer.append_column(&chunk.bytes, chunk.close)?;
        }
        writer.close()?;
        Ok(())
    }

    /// Rows so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes so far, without the footer.
    pub fn bytes(&self) -> u64 {
        self.inner.bytes_written() as u64
    }

    /// Writes page index and footer and hands the sink back.
    ///
    /// # Errors
    /// If the sink fails.
    pub fn finish(self) -> Result<W, Error> {
        self.inner.into_inner()
    }
}

#[cfg(test)]
mod tests;
