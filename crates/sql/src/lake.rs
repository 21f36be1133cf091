//! A table that is open for questions: its log, and the engine to which it is told.

use std::sync::Arc;

use datafusion::common::{DataFusionError, Result as EngineResult};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::logical_expr::Expr;
use datafusion::prelude::{SessionConfig, SessionContext, ident};
use flowquet_catalog::{Conflict, TableName};
use flowquet_command::exit::Exit;
use flowquet_command::failure::log_failure;
use flowquet_command::output::Failure;
use flowquet_store::{Location, Store};
use flowquet_table::{Error as LogError, Log};
use object_store::path::Path;

use crate::columns::Columns;
use crate::failure::failure_of;
use crate::functions::{aggregate_functions, flow_time, scalar_functions};
use crate::names::FLOWS;
use crate::object_store::TableStore;
use crate::provider::{FlowTable, TableFile};

/// The table as its files have it, which [`FLOWS`] adds columns to.
const FILES: &str = "flows_as_stored";

/// What the table's store is called within the engine.
const STORE_URL: &str = "flowquet://table";

/// Times of files, and the timestamps that are made of them.
const TIMES: [(&str, &str); 2] = [("start", "start_time"), ("end", "end_time")];

/// Memory that footers of files are kept in, for the questions that follow.
const FOOTERS_BYTES_MAX: usize = 128 << 20;

/// What the engine may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Threads that work.
    pub(crate) threads: usize,
    /// Bytes of groups, sorted rows and tables to join; what is more goes to temporary files.
    pub(crate) memory: usize,
}

/// A table and the engine.
pub(crate) struct Lake {
    log: Log,
    store: Arc<TableStore>,
    context: SessionContext,
    /// The table's names in questions.
    names: Vec<String>,
    /// Bytes of its files.
    bytes: u64,
}

impl Lake {
    /// Reads the log of the table at `out`.
    ///
    /// # Errors
    /// A message where there is no table, its log cannot be read, or it has no files.
    pub(crate) fn open(out: &Arc<dyn Store>, location: &Location, limits: Limits) -> Result<Self, Failure> {
        let log = Log::open_with_files(out).map_err(|e| log_failure(&e))?;
        let store = Arc::new(TableStore::new(out.clone()));
        let context = context(limits, &store).map_err(|e| engine_failure(&e))?;
        let names = [Some(FLOWS.to_owned()), name_of(location)].into_iter().flatten().collect();
        let mut lake = Self { log, store, context, names, bytes: 0 };
        lake.tell()?;
        Ok(lake)
    }

    /// Reads what is new in the log. The engine is told the files that there are now.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub(crate) fn refresh(&mut self) -> Result<(), Failure> {
        self.log.refresh().map_err(|e| log_failure(&e))?;
        self.tell()
    }

    /// The engine.
    pub(crate) fn context(&self) -> &SessionContext {
        &self.context
    }

    /// The table's store, which counts.
    pub(crate) fn store(&self) -> &TableStore {
        &self.store
    }

    /// Bytes of the table's files.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    fn tell(&mut self) -> Result<(), Failure> {
        let contents = self.log.ask(|state| {
            let files = state.files();
            let live = files.all()?.into_iter().map(|file| (files.places(file), file.output.clone()));
            Ok((live.collect::<Vec<_>>(), files.formats()?))
        });
        let (live, formats) = contents.map_err(|e: LogError| log_failure(&e))?;
        let columns =
            Columns::of(&formats, &self.log.state().contract().partition_by).map_err(|e| match e {
                Conflict::NoFormats => {
                    let message = format!("no files in the table `{}`", self.log.out().url(""));
                    Failure::message(Exit::Failed, &message, Some("`flowquet convert` fills it"))
                }
                conflict => Failure::message(
                    Exit::Failed,
                    &conflict.to_string(),
                    Some("files of one table must agree: `flowquet reconvert` converts some of them again"),
                ),
            })?;
        self.bytes = live.iter().map(|(_, output)| output.bytes).sum();
        let out = self.log.out();
        let files: Result<Vec<TableFile>, Failure> = live
            .into_iter()
            .map(|(places, output)| {
                let path = Path::parse(places.now(out.as_ref())).map_err(|e| {
                    Failure::message(Exit::Failed, &format!("read a file of the table: {e}"), None)
                })?;
                Ok(TableFile {
                    key: path,
                    partition: output.partition,
                    bytes: output.bytes,
                    rows: output.rows,
                })
            })
            .collect();
        let url = ObjectStoreUrl::parse(STORE_URL).map_err(|e| engine_failure(&e))?;
        self.register(FlowTable::new(files?, columns, self.store.clone(), url))
            .map_err(|e| engine_failure(&e))
    }

    /// Registers the table under its names, with timestamps beside its times.
    fn register(&self, table: FlowTable) -> EngineResult<()> {
        let context = &self.context;
        context.deregister_table(FILES)?;
        context.register_table(FILES, Arc::new(table))?;
        let frame = futures::executor::block_on(context.table(FILES))?;
        let schema = frame.schema().as_arrow().clone();
        let mut shown: Vec<Expr> = schema.fields().iter().map(|f| ident(f.name())).collect();
        for (number, time) in TIMES {
            if schema.column_with_name(time).is_some() {
                continue;
            }
            if let Some((_, field)) = schema.column_with_name(number) {
                let of = ident(number);
                shown.push(if field.data_type().is_temporal() { of } else { flow_time(of) }.alias(time));
            }
        }
        let view = frame.select(shown)?.into_view();
        for name in &self.names {
            context.deregister_table(name.as_str())?;
            context.register_table(name.as_str(), view.clone())?;
        }
        context.deregister_table(FILES)?;
        Ok(())
    }
}

/// The table's own name, of its folder or prefix, where SQL takes it without quotes.
fn name_of(location: &Location) -> Option<String> {
    let path = match location {
        Location::Local(path) => path.canonicalize().ok()?.to_string_lossy().into_owned(),
        Location::S3 { prefix, .. } => prefix.clone(),
    };
    let name: TableName = path.trim_end_matches('/').rsplit('/').next()?.parse().ok()?;
    let is_free = name.as_str() != FLOWS && !name.as_str().starts_with(|c: char| c.is_ascii_digit());
    is_free.then(|| name.to_string())
}

fn context(limits: Limits, store: &Arc<TableStore>) -> EngineResult<SessionContext> {
    let mut config =
        SessionConfig::new().with_target_partitions(limits.threads).with_information_schema(true);
    let options = config.options_mut();
    // As DuckDB, Athena and Spark's descending order have it.
    options.sql_parser.default_null_ordering = "nulls_last".to_owned();
    options.execution.time_zone = Some(crate::columns::UTC.to_owned());
    // Rows are compared where they are decoded, the rarest column first, and pages of other columns are passed over.
    options.execution.parquet.pushdown_filters = true;
    options.execution.parquet.reorder_filters = true;
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(limits.memory)))
        .with_metadata_cache_limit(FOOTERS_BYTES_MAX.min(limits.memory / 4))
        .build_arc()?;
    let context = SessionContext::new_with_config_rt(config, runtime);
    context.register_object_store(ObjectStoreUrl::parse(STORE_URL)?.as_ref(), store.clone());
    scalar_functions().into_iter().for_each(|function| context.register_udf(function));
    aggregate_functions().into_iter().for_each(|function| context.register_udaf(function));
    Ok(context)
}

fn engine_failure(error: &DataFusionError) -> Failure {
    failure_of(error, &[])
}
