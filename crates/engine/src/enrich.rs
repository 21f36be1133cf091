//! Files that fill columns: those that a run is given, and the table's copies of what its records name.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use flowquet_enrich::{DATABASE_BYTES_MAX, Enriching, EnrichmentTable, Error as FileError};
use flowquet_format::{Enrichment, Enrichments, EnrichmentsError};
use flowquet_table::{Log, Options, TableState, enrichment_key};

use crate::budget::Budget;
use crate::context::PlanContext;
use crate::error::Error;

/// A file that a run is given.
#[derive(Debug, Clone)]
pub struct EnrichmentFile {
    /// What its columns are called after.
    pub name: String,
    bytes: Bytes,
    table: Arc<EnrichmentTable>,
}

impl EnrichmentFile {
    /// Reads the bytes of a file.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(name: String, bytes: Bytes) -> Result<Self, FileError> {
        let table = Arc::new(EnrichmentTable::read(bytes.clone())?);
        Ok(Self { name, bytes, table })
    }

    /// Whether all files of `of` are among `files`.
    pub(crate) fn are_all_of(files: &[Self], of: &Enrichments) -> bool {
        let is_given = |named: &Enrichment| files.iter().any(|file| file.table.sha256() == named.sha256);
        of.files().iter().all(is_given)
    }

    /// What options say of these files.
    ///
    /// # Errors
    /// [`EnrichmentsError`], such as one name for two files.
    pub fn enrichments(files: &[Self]) -> Result<Enrichments, EnrichmentsError> {
        let of = |file: &Self| file.table.enrichment(&file.name);
        Enrichments::try_from(files.iter().map(of).collect::<Vec<_>>())
    }
}

/// The options of what is planned from now on: as `options`, with the columns that files of the table have, so that readers that take the columns of one
/// file for those of all lose none; and with the files that fill them.
///
/// # Errors
/// [`Error::OtherEnrichment`] where the table has another file of a name, and only a reconversion may bring another one.
pub(crate) fn with_columns_of(state: &TableState, options: &Options) -> Result<Options, Error> {
    let formats = state.formats();
    let of_table = formats.enrichments();
    for file in options.enrich.files() {
        let Some(known) = of_table.named(&file.name) else { continue };
        if known.sha256 != file.sha256 && known.version >= file.version {
            return Err(Error::OtherEnrichment {
                name: file.name.clone(),
                table: known.sha256.clone(),
                given: file.sha256.clone(),
                is_same_key: known.by == file.by,
            });
        }
    }
    let enrich = options.enrich.clone().with(&of_table);
    // Names that are fine alone may not be so together.
    let enrich = Enrichments::try_from(Vec::from(enrich)).map_err(|e| Error::Enrichments(e.to_string()))?;
    Ok(Options { add: options.add.clone().with(&formats.added()), enrich, ..options.clone() })
}

/// What a reconversion that is given `files` makes of the files of a table: another one of a name is the next version of it.
///
/// # Errors
/// [`Error::OtherEnrichment`] where the table looks other things up in the file of a name.
pub(crate) fn next_versions(state: &TableState, files: &Enrichments) -> Result<Enrichments, Error> {
    let of_table = state.formats().enrichments();
    let next = |file: &Enrichment| {
        let Some(known) = of_table.named(&file.name) else { return Ok(file.clone()) };
        if known.by != file.by {
            return Err(Error::OtherEnrichment {
                name: file.name.clone(),
                table: known.sha256.clone(),
                given: file.sha256.clone(),
                is_same_key: false,
            });
        }
        let version = known.version + u32::from(known.sha256 != file.sha256);
        Ok(Enrichment { version, ..file.clone() })
    };
    let next = files.files().iter().map(next).collect::<Result<Vec<_>, _>>()?;
    let next = Enrichments::try_from(next).map_err(|e| Error::Enrichments(e.to_string()))?;
    // With the columns that the table has of them.
    let known = of_table.files().iter().filter(|file| next.named(&file.name).is_some());
    let known = Enrichments::try_from(known.cloned().collect::<Vec<_>>());
    Ok(next.with(&known.map_err(|e| Error::Enrichments(e.to_string()))?))
}

/// The files of a run, by the digests of their bytes.
#[derive(Debug)]
pub(crate) struct EnrichmentFiles<'a> {
    given: &'a [EnrichmentFile],
    /// The table's copies that were read.
    read: HashMap<String, Arc<EnrichmentTable>>,
}

impl<'a> EnrichmentFiles<'a> {
    pub(crate) fn new(given: &'a [EnrichmentFile]) -> Self {
        Self { given, read: HashMap::new() }
    }

    /// Puts copies of the given files into the table that `of` names, unless it has them whole, as far as their sizes tell. They are read as a whole before: records are to rest on them.
    ///
    /// # Errors
    /// [`Error::EnrichmentFile`] where one is damaged; others as the store reports.
    pub(crate) fn keep(&self, log: &Log, of: &Enrichments) -> Result<(), Error> {
        for file in self.given {
            let sha256 = file.table.sha256();
            let is_named = of.files().iter().any(|named| named.sha256 == sha256);
            if is_named && log.enrichment_bytes(sha256)? != Some(file.bytes.len() as u64) {
                let wrong = |error| Error::EnrichmentFile { name: file.name.clone(), error };
                file.table.check().map_err(wrong)?;
                log.put_enrichment(sha256, &file.bytes)?;
            }
        }
        Ok(())
    }

    /// The files of `of`, read.
    ///
    /// # Errors
    /// [`Error::EnrichmentGone`] where the table's copy of one is not there or has other bytes, and the run is not given it either.
    fn read(&mut self, log: &Log, of: &Enrichments) -> Result<Enriching, Error> {
        let mut tables = Vec::with_capacity(of.files().len());
        for file in of.files() {
            let given = self.given.iter().find(|given| given.table.sha256() == file.sha256);
            let known = given.map(|given| &given.table).or_else(|| self.read.get(&file.sha256));
            let table = match known {
                Some(table) => table.clone(),
                None => {
                    let copy = log.enrichment(&file.sha256, DATABASE_BYTES_MAX)?;
                    let table = copy.and_then(|bytes| EnrichmentTable::read(bytes.into()).ok());
                    let table = table.filter(|table| table.sha256() == file.sha256);
                    let gone = || Error::EnrichmentGone {
                        name: file.name.clone(),
                        sha256: file.sha256.clone(),
                        url: log.out().url(&enrichment_key(&file.sha256)),
                    };
                    Arc::new(table.ok_or_else(gone)?)
                }
            };
            self.read.insert(file.sha256.clone(), table.clone());
            tables.push(table);
        }
        Ok(Enriching::new(of.clone(), tables))
    }

    /// What tasks of a plan with these options and formats share.
    ///
    /// # Errors
    /// As [`Self::read`] and [`PlanContext::new`].
    pub(crate) fn context(
        &mut self,
        log: &Log,
        options: &Options,
        formats: &[String],
    ) -> Result<Arc<PlanContext>, Error> {
        let enriching = self.read(log, &options.enrich)?;
        Ok(Arc::new(PlanContext::new(options)?.with_union(formats)?.enriched_by(enriching)))
    }

    /// What they leave of a budget.
    pub(crate) fn left_of(&self, mut budget: Budget) -> Budget {
        budget.divide(self.memory());
        budget
    }

    /// Bytes that they take in memory.
    pub(crate) fn memory(&self) -> usize {
        let given = self.given.iter().map(|file| file.table.bytes() + file.bytes.len());
        let is_given = |sha256: &str| self.given.iter().any(|file| file.table.sha256() == sha256);
        let read = self.read.iter().filter(|(sha256, _)| !is_given(sha256)).map(|(_, table)| table.bytes());
        given.chain(read).sum()
    }
}
