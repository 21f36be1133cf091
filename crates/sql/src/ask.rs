//! Asks questions: plans them, and asks again where files were replaced meanwhile and nobody has seen an answer yet.

use std::io::{self, IsTerminal as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::prelude::{DataFrame, SQLOptions};
use datafusion::sql::parser::{DFParserBuilder, Statement};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use flowquet_command::exit::Exit;
use flowquet_command::failure::store_failure;
use flowquet_command::output::{Failure, counted};
use flowquet_command::places::{Target, absolute, open_special};
use flowquet_command::sql::{Form, SqlArgs};
use flowquet_command::stop::stop;
use flowquet_store::{Error as StoreError, ErrorKind, LocalStore, Location, Store as _, Stores};
use futures::StreamExt as _;
use indicatif::{HumanBytes, HumanCount};
use tokio::runtime::Runtime;

use crate::answer::{Answer, Out, Stop};
use crate::failure::failure_of;
use crate::lake::Lake;

/// How often a question is asked because files of the table were replaced meanwhile.
const TRIES: usize = 4;

/// How long it takes at most until a question ends that somebody stops.
const STOPPED_WITHIN: Duration = Duration::from_millis(50);

/// Where a local file is written before it has its name.
const STAGING: &str = ".flowquet-staging";

/// How answers are given.
pub(crate) struct Asker<'a> {
    lake: Lake,
    runtime: Runtime,
    stores: &'a Stores,
    form: Form,
    target: Target,
    rows: usize,
    /// Whether a line of what was read follows an answer.
    says_what_was_read: bool,
}

impl<'a> Asker<'a> {
    pub(crate) fn new(
        args: &SqlArgs,
        stores: &'a Stores,
        lake: Lake,
        runtime: Runtime,
        is_verbose: bool,
    ) -> Result<Self, Failure> {
        let target = args.output.clone().unwrap_or(Target::Stdout);
        let is_terminal = matches!(target, Target::Stdout) && io::stdout().is_terminal();
        let form = args.form.unwrap_or_else(|| form_of(&target, is_terminal));
        if form == Form::Parquet && is_terminal {
            let message = "cannot write Parquet to a terminal";
            return Err(Failure::message(Exit::Usage, message, Some("give a file with -o answer.parquet")));
        }
        let says_what_was_read = is_verbose || (is_terminal && form == Form::Table);
        let rows = args.rows as usize;
        Ok(Self { lake, runtime, stores, form, target, rows, says_what_was_read })
    }

    /// Answers all questions of a text.
    pub(crate) fn all(&mut self, text: &str) -> Result<(), Failure> {
        let statements = parsed(text)?;
        if statements.is_empty() {
            let hint = "for example: SELECT count(*) FROM flows";
            return Err(Failure::message(Exit::Usage, "expected a question in SQL, found none", Some(hint)));
        }
        if statements.len() > 1 && !matches!(self.target, Target::Stdout) {
            let message = format!("-o takes one statement, found {}", HumanCount(statements.len() as u64));
            let hint = "run them one at a time, or without -o";
            return Err(Failure::message(Exit::Usage, &message, Some(hint)));
        }
        statements.into_iter().try_for_each(|statement| self.one(&statement, text))
    }

    /// Answers a question as the table is now.
    pub(crate) fn again(&mut self, text: &str) -> Result<(), Failure> {
        self.lake.refresh()?;
        self.all(text)
    }

    fn one(&mut self, statement: &Statement, text: &str) -> Result<(), Failure> {
        let has_begun = Arc::new(AtomicBool::new(false));
        for tried in 1.. {
            let (began, before) = (Instant::now(), self.lake.store().bytes_read());
            self.lake.store().take_error();
            match self.attempt(statement, &has_begun) {
                Ok(rows) => {
                    if self.says_what_was_read {
                        self.say_what_was_read(rows, before, began);
                    }
                    return Ok(());
                }
                Err(stopped) => {
                    let error = self.lake.store().take_error();
                    let may_be_gone = error.as_ref().is_some_and(StoreError::may_be_missing);
                    if may_be_gone && tried < TRIES && !has_begun.load(Ordering::Relaxed) {
                        self.lake.refresh()?;
                        continue;
                    }
                    return Err(match (stopped, error) {
                        (Stop::Interrupted, _) => interrupted(),
                        (_, _) if stop().load(Ordering::Relaxed) => interrupted(),
                        (Stop::Write(e), _) if e.kind() == io::ErrorKind::BrokenPipe => Failure::BrokenPipe,
                        (Stop::Write(e), _) => {
                            Failure::message(Exit::Failed, &format!("write the answer: {e}"), None)
                        }
                        (Stop::Store(e), _) => store_failure(&e),
                        (Stop::Engine(_), Some(gone)) if gone.kind() == ErrorKind::NotFound => {
                            Failure::message(
                                Exit::Failed,
                                &format!("read `{}`: the file is gone", gone.url()),
                                Some(
                                    "a compaction replaces files: ask again; `flowquet status` shows what is lost for good",
                                ),
                            )
                        }
                        (Stop::Engine(_), Some(error)) => store_failure(&error),
                        (Stop::Engine(error), None) => failure_of(&error, &[text]),
                    });
                }
            }
        }
        unreachable!("the last try returns")
    }

    /// Answers once. Returns the number of rows. Stores wait where they are called, so that the engine's threads are left alone with reading.
    fn attempt(&self, statement: &Statement, has_begun: &Arc<AtomicBool>) -> Result<u64, Stop> {
        let begin = async { self.planned(statement).await?.execute_stream().await };
        let mut stream = self.runtime.block_on(begin)?;
        let schema = stream.schema();
        let mut answer = Answer::begin(self.form, self.out(has_begun)?, &schema, self.rows)?;
        let mut rows = 0;
        while let Some(batch) = self.runtime.block_on(next(&mut stream))? {
            rows += batch.num_rows() as u64;
            if !answer.add(&batch)? {
                break;
            }
        }
        answer.finish()?;
        Ok(rows)
    }

    async fn planned(&self, statement: &Statement) -> Result<DataFrame, DataFusionError> {
        let context = self.lake.context();
        let plan = context.state().statement_to_plan(statement.clone()).await?;
        let reads =
            SQLOptions::new().with_allow_ddl(false).with_allow_dml(false).with_allow_statements(false);
        reads.verify_plan(&plan)?;
        context.execute_logical_plan(plan).await
    }

    fn out(&self, has_begun: &Arc<AtomicBool>) -> Result<Out, Stop> {
        let staged = match &self.target {
            Target::Stdout => return Ok(Out::stdout(has_begun)),
            Target::At(Location::S3 { bucket, prefix }) => self.stores.bucket(bucket).stage(prefix),
            Target::At(Location::Local(path)) => {
                let path = absolute(path);
                if let Some(opened) = open_special(&path) {
                    return Ok(Out::Special(opened?));
                }
                let folder = path.parent().unwrap_or(Path::new("/"));
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                LocalStore::new(folder, STAGING).stage(name)
            }
        };
        staged.map(Out::Staged).map_err(Stop::Store)
    }

    fn say_what_was_read(&self, rows: u64, before: u64, began: Instant) {
        let read = self.lake.store().bytes_read() - before;
        flowquet_command::output::say(&format!(
            "{}; read {} of {} in {:.2} s",
            counted(rows, "row"),
            HumanBytes(read),
            HumanBytes(self.lake.bytes()),
            began.elapsed().as_secs_f64()
        ));
    }
}

/// The next rows, unless somebody stops.
async fn next(
    stream: &mut SendableRecordBatchStream,
) -> Result<Option<datafusion::arrow::array::RecordBatch>, Stop> {
    loop {
        if stop().load(Ordering::Relaxed) {
            return Err(Stop::Interrupted);
        }
        tokio::select! {
            batch = stream.next() => return Ok(batch.transpose()?),
            () = tokio::time::sleep(STOPPED_WITHIN) => {}
        }
    }
}

fn interrupted() -> Failure {
    Failure::message(Exit::Interrupted, "stopped", None)
}

/// The form of an answer that goes somewhere.
fn form_of(target: &Target, is_terminal: bool) -> Form {
    let name = match target {
        Target::Stdout => return if is_terminal { Form::Table } else { Form::Csv },
        Target::At(Location::Local(path)) => path.to_string_lossy().to_lowercase(),
        Target::At(Location::S3 { prefix, .. }) => prefix.to_lowercase(),
    };
    match name.rsplit('.').next() {
        Some("parquet") => Form::Parquet,
        Some("json") => Form::Json,
        Some("jsonl" | "ndjson") => Form::Jsonl,
        Some("txt") => Form::Table,
        _ => Form::Csv,
    }
}

fn parsed(text: &str) -> Result<Vec<Statement>, Failure> {
    // DuckDB's own takes `count_if(action = 'REJECT')` for an argument called `action`.
    let dialect = GenericDialect {};
    let parsed =
        DFParserBuilder::new(text).with_dialect(&dialect).build().and_then(|mut p| p.parse_statements());
    parsed.map(Vec::from).map_err(|error| failure_of(&error, &[text]))
}
