//! What `convert` and `plan` have in common: the job that the arguments describe.

use std::sync::Arc;

use flowquet_engine::{Budget, Copies, EnrichmentFile, Error, Request, Resume};
use flowquet_format::{Enrichments, KeyFilter, PartitionColumn, PartitionTime, normalised_column};
use flowquet_sources::Source;
use flowquet_store::{Location, Store, Stores};
use flowquet_table::{Log, Options, TableContract};

use crate::args::{CopiesArg, JobArgs, PartitionTimeArg, TableLayout};
use crate::described::Asked;
use crate::enrich::enriching;
use crate::exit::Exit;
use crate::failure::engine_failure;
use crate::formats::Formats;
use crate::output::{Failure, shown};
use crate::places::table_store;
use crate::plan_file::PlanFile;
use crate::resources::budget;

/// What `convert` and `plan` have in common, resolved.
pub(crate) struct Prepared {
    pub(crate) sources: Vec<Source>,
    filter: KeyFilter,
    pub(crate) stores: Arc<Stores>,
    pub(crate) out: Arc<dyn Store>,
    /// The destination.
    pub(crate) location: Location,
    /// The destination as it was typed.
    pub(crate) out_text: String,
    pub(crate) options: Options,
    enrich: Vec<EnrichmentFile>,
    copies: Copies,
    contract: Option<TableContract>,
    budget: Budget,
}

impl Prepared {
    pub(crate) fn new(
        args: &JobArgs,
        threads: usize,
        stores: Arc<Stores>,
        plan: Option<&PlanFile>,
    ) -> Result<Self, Failure> {
        let formats = Formats::resolve(
            &args.format,
            &Asked::of(&args.s3, args.filter.regions(), args.filter.flow_log_ids()),
        )?;
        check_fields_of_sort(args, &formats)?;
        let mut sources = args.sources.clone();
        sources.extend(args.manifest.iter().cloned().map(Source::Manifest));
        let out = match (&args.out, plan) {
            (Some(out), _) => out.clone(),
            (None, Some(plan)) => plan.location()?,
            (None, None) => return Err(Failure::message(Exit::Usage, "--out is required", None)),
        };
        // A manifest on a disk may name objects in S3.
        let is_remote = |s: &Source| match s {
            Source::At(location) => location.is_s3(),
            Source::Manifest(_) => true,
            Source::Stdin => false,
        };
        let remote_input = sources.iter().any(is_remote) || plan.is_some();
        let budget = budget(threads, args.memory, remote_input, out.is_s3())?;
        let filter = args.filter.filter()?;
        let store = table_store(&stores, &out);
        let contract = Log::find_contract(store.as_ref()).map_err(|e| engine_failure(&Error::from(e)))?;
        let (enrich, enrichments) = enriching(&args.add.enrich, &formats, &stores)?;
        let planned = plan.and_then(|p| p.plan.as_ref()).map(|p| p.options.clone());
        let options = planned.map_or_else(|| options(args, &formats, enrichments, contract.as_ref()), Ok)?;
        Ok(Self {
            sources,
            filter,
            out: store,
            contract,
            stores,
            out_text: out.to_string().trim_end_matches('/').to_owned(),
            location: out,
            options,
            enrich,
            budget,
            copies: if args.copies == CopiesArg::Convert { Copies::Convert } else { Copies::Skip },
        })
    }

    pub(crate) fn request(self) -> Request {
        Request {
            sources: self.sources,
            filter: self.filter,
            stores: self.stores,
            out: self.out,
            contract: self.contract,
            options: self.options,
            enrich: self.enrich,
            budget: self.budget,
            max_rejects: None,
            resume: Resume::All,
            copies: self.copies,
        }
    }
}

/// The fields of `--sort` may be left out, so that a word behind a blank is a source: where there is none of that name, it was meant for fields.
fn check_fields_of_sort(args: &JobArgs, formats: &Formats) -> Result<(), Failure> {
    if args.sort.is_none() {
        return Ok(());
    }
    let is_field = |word: &str| {
        let column = normalised_column(word);
        formats.catalogue.fields().iter().any(|field| normalised_column(&field.name) == column)
    };
    for source in &args.sources {
        let Source::At(Location::Local(path)) = source else { continue };
        let Some(text) = path.to_str() else { continue };
        if !path.exists() && text.split(',').all(is_field) {
            let message = format!("`{}` is taken for a SOURCE, and there is no such file", shown(text));
            let hint = format!("give fields to sort by behind an equals sign: --sort={}", shown(text));
            return Err(Failure::message(Exit::Usage, &message, Some(&hint)));
        }
    }
    Ok(())
}

/// Options of a run: what was asked for, and what the table has where nothing was.
fn options(
    args: &JobArgs,
    formats: &Formats,
    enrich: Enrichments,
    contract: Option<&TableContract>,
) -> Result<Options, Failure> {
    let default = Options::default();
    let of_table = |time: PartitionTimeArg| match time {
        PartitionTimeArg::Start => PartitionTime::Start,
        PartitionTimeArg::End => PartitionTime::End,
    };
    let sort = match (&args.sort, contract) {
        (None, Some(contract)) => contract.sort.clone(),
        (asked, _) => formats.columns_named("--sort", "sorted by", asked.as_deref())?,
    };
    let partition_by = args.partition_by.clone().or_else(|| contract.map(|c| c.partition_by.clone()));
    let partition_by = partition_by.unwrap_or(default.partition_by);
    let partition_by = match args.table_layout {
        Some(TableLayout::Split) => partition_by.split(),
        // `--partition-by log` asks for folders, and says so more exactly.
        Some(TableLayout::One) if args.partition_by.is_none() => partition_by.joined(),
        Some(TableLayout::One) | None => partition_by,
    };
    Ok(Options {
        own_region: partition_by.contains(PartitionColumn::Region),
        partition_by,
        partition_time: args
            .partition_time
            .map(of_table)
            .or_else(|| contract.map(|c| c.partition_time))
            .unwrap_or(default.partition_time),
        types: args.types.or_else(|| contract.map(|c| c.types)).unwrap_or(default.types),
        columns: formats.selection.names().map(|names| names.map(str::to_owned).collect()),
        add: formats.added(&args.add)?,
        enrich,
        dedup: None,
        sort,
        bloom_filter: formats.columns_named("--bloom-filter", "filtered", Some(&args.bloom_filter))?,
        compression: args.compression.to_string(),
        row_group_rows: args.row_group_rows,
        file_bytes: args.file_bytes,
        reading: formats.reading.clone(),
        salvage: args.salvage,
        rejects_max: args.rejects_max,
    })
}
