//! A table as the engine scans it: exactly the files that its log says are live.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, BooleanArray, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{Schema, SchemaRef};
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{DFSchema, DataFusionError, Result, Statistics, project_schema};
use datafusion::datasource::TableType;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::scalar::ScalarValue;
use flowquet_format::{HIVE_NULL, hive_values};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use object_store::ObjectStoreExt as _;
use object_store::path::Path;

use crate::columns::Columns;
use crate::implied::{implied, is_of_columns};
use crate::object_store::TableStore;

/// Files that are looked at one by one where none of them is read. Of more, the table is listed: a thousand names a request.
const LOOKED_AT_MAX: usize = 64;

/// Files that are looked at, at once.
const LOOKS_AHEAD: usize = 32;

/// Bytes at a file's end that are read first: what most footers with their page index take.
const FOOTER_BYTES: usize = 32 << 10;

/// A file of the table.
#[derive(Debug, Clone)]
pub(crate) struct TableFile {
    /// Where it is to be read now, below the table's root.
    pub(crate) key: Path,
    /// Its folder.
    pub(crate) partition: Arc<str>,
    /// Its size.
    pub(crate) bytes: u64,
    /// Its rows.
    pub(crate) rows: u64,
}

impl TableFile {
    /// The values of the folder's columns; `None` where a column has none.
    fn values(&self) -> Vec<Option<String>> {
        hive_values(&self.partition).into_iter().map(|value| (value != HIVE_NULL).then_some(value)).collect()
    }
}

/// The files of a table at a moment, with its columns.
#[derive(Debug)]
pub(crate) struct FlowTable {
    files: Vec<TableFile>,
    columns: Columns,
    /// Where they are.
    store: Arc<TableStore>,
    /// What its store is registered as.
    url: ObjectStoreUrl,
    /// Files and partitions together.
    table: TableSchema,
}

impl FlowTable {
    pub(crate) fn new(
        files: Vec<TableFile>,
        columns: Columns,
        store: Arc<TableStore>,
        url: ObjectStoreUrl,
    ) -> Self {
        let table = TableSchema::builder(columns.files.clone())
            .with_table_partition_cols(columns.partitions.clone())
            .build();
        Self { files, columns, store, url, table }
    }

    fn partition_names(&self) -> Vec<&str> {
        self.columns.partitions.iter().map(|field| field.name().as_str()).collect()
    }

    /// The files whose folders pass all conditions that are about folders alone.
    fn chosen(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<&TableFile>> {
        let names = self.partition_names();
        let asked = filters.iter().filter(|filter| is_of_columns(filter, &names)).cloned();
        let Some(asked) = conjunction(asked) else { return Ok(self.files.iter().collect()) };
        let values: Vec<Vec<Option<String>>> = self.files.iter().map(TableFile::values).collect();
        let column = |i: usize| -> ArrayRef {
            Arc::new(values.iter().map(|of| of.get(i).cloned().flatten()).collect::<StringArray>())
        };
        let schema = Arc::new(Schema::new(self.columns.partitions.clone()));
        let batch = RecordBatch::try_new(schema.clone(), (0..names.len()).map(column).collect())?;
        let asked = state.create_physical_expr(asked, &DFSchema::try_from(schema)?)?;
        let passes = asked.evaluate(&batch)?.into_array(self.files.len())?;
        let Some(passes) = passes.as_any().downcast_ref::<BooleanArray>() else {
            return Ok(self.files.iter().collect());
        };
        Ok(self.files.iter().zip(passes).filter(|(_, pass)| *pass == Some(true)).map(|(f, _)| f).collect())
    }

    /// Looks whether files are there, with their sizes. The engine answers from the log what needs no column, so that nobody would notice.
    async fn look_at(&self, files: &[&TableFile]) -> Result<()> {
        let listed = if files.len() > LOOKED_AT_MAX { self.store.sizes().await? } else { HashMap::new() };
        // One that was put in place since, or is still aside, is in no listing.
        let left = files.iter().filter(|file| listed.get(file.key.as_ref() as &str) != Some(&file.bytes));
        let looks: Vec<_> =
            left.map(|file| look_at(self.store.clone(), file.key.clone(), file.bytes)).collect();
        stream::iter(looks).buffer_unordered(LOOKS_AHEAD).try_collect::<()>().await
    }

    fn statistics_of(&self, rows: u64) -> Statistics {
        let rows = usize::try_from(rows).map_or(Precision::Absent, Precision::Exact);
        Statistics { num_rows: rows, ..Statistics::new_unknown(self.table.table_schema()) }
    }

    fn partitioned(&self, file: &TableFile) -> PartitionedFile {
        let mut scanned = PartitionedFile::new(String::new(), file.bytes);
        scanned.object_meta.location = file.key.clone();
        scanned.partition_values = file.values().into_iter().map(ScalarValue::Utf8).collect();
        scanned.partition_values.resize(self.columns.partitions.len(), ScalarValue::Utf8(None));
        scanned.statistics = Some(Arc::new(self.statistics_of(file.rows)));
        scanned
    }

    /// Files in `groups` of about the same bytes, each in the order of keys.
    fn grouped(&self, files: &[&TableFile], groups: usize) -> Vec<FileGroup> {
        let mut by_size: Vec<(usize, u64)> = files.iter().map(|file| file.bytes).enumerate().collect();
        by_size.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        let mut shares: Vec<(u64, Vec<usize>)> = vec![(0, Vec::new()); groups.clamp(1, files.len().max(1))];
        for (file, bytes) in by_size {
            let least = shares.iter_mut().min_by_key(|(sum, _)| *sum).expect("there is one");
            least.0 += bytes;
            least.1.push(file);
        }
        let group = |(_, mut share): (u64, Vec<usize>)| {
            share.sort_unstable();
            let rows = share.iter().map(|file| files[*file].rows).sum();
            let scanned = share.into_iter().map(|file| self.partitioned(files[file])).collect();
            FileGroup::new(scanned).with_statistics(Arc::new(self.statistics_of(rows)))
        };
        shares.into_iter().map(group).collect()
    }
}

/// Looks whether a file is there with its size.
async fn look_at(store: Arc<TableStore>, key: Path, bytes: u64) -> Result<()> {
    let found = store.head(&key).await?.size;
    if found == bytes {
        return Ok(());
    }
    let url = store.url(&key);
    Err(DataFusionError::Execution(format!("read `{url}`: expected {bytes} bytes, found {found}")))
}

#[async_trait]
impl TableProvider for FlowTable {
    fn schema(&self) -> SchemaRef {
        self.table.table_schema().clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let names = self.partition_names();
        let of = |filter: &&Expr| match is_of_columns(filter, &names) {
            true => TableProviderFilterPushDown::Exact,
            false => TableProviderFilterPushDown::Inexact,
        };
        Ok(filters.iter().map(of).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let files = self.chosen(state, filters)?;
        if files.is_empty() {
            let schema = project_schema(&self.schema(), projection)?;
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        if projection.is_some_and(Vec::is_empty) {
            self.look_at(&files).await?;
        }
        let runtime = state.runtime_env();
        let store = runtime.object_store(&self.url)?;
        let footers = runtime.cache_manager.get_file_metadata_cache();
        let mut source = ParquetSource::new(self.table.clone())
            .with_table_parquet_options(state.default_table_options().parquet)
            .with_metadata_size_hint(FOOTER_BYTES)
            .with_parquet_file_reader_factory(Arc::new(CachedParquetFileReaderFactory::new(store, footers)));
        // What was asked itself comes by the engine's own push-down, from above.
        if let Some(follows) =
            conjunction(filters.iter().filter_map(|asked| implied(asked, &self.columns.twinned)))
        {
            let schema = DFSchema::try_from(self.schema())?;
            source = source.with_predicate(state.create_physical_expr(follows, &schema)?);
        }
        let rows = files.iter().map(|file| file.rows).sum();
        let groups = self.grouped(&files, state.config().target_partitions());
        let config = FileScanConfigBuilder::new(self.url.clone(), Arc::new(source))
            .with_file_groups(groups)
            .with_statistics(self.statistics_of(rows))
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }
}
