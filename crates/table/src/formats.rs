//! What a table's records tell of log formats.

use std::collections::HashSet;
use std::sync::Arc;

use flowquet_format::{AddedColumns, Enrichments, ObjectKey};

use crate::objects::SourceObject;
use crate::options::Options;

/// The log formats of a table, and the flow logs whose format is among them.
#[derive(Debug, Clone, Default)]
pub struct TableFormats {
    written: Vec<(Arc<str>, Arc<Options>)>,
    flow_logs: HashSet<String>,
}

impl TableFormats {
    /// What a checkpoint tells.
    pub(crate) fn stored(written: Vec<(Arc<str>, Arc<Options>)>, flow_logs: HashSet<String>) -> Self {
        Self { written, flow_logs }
    }

    /// Ids of flow logs whose format is known, in no order.
    pub(crate) fn flow_logs(&self) -> impl Iterator<Item = &String> {
        self.flow_logs.iter()
    }

    /// Files of a format were written, or are about to be.
    pub(crate) fn add(&mut self, format: &Arc<str>, options: &Arc<Options>) {
        let is_known = |(known, with): &(Arc<str>, Arc<Options>)| {
            known == format && (Arc::ptr_eq(with, options) || with == options)
        };
        if !self.written.iter().any(is_known) {
            self.written.push((format.clone(), options.clone()));
        }
    }

    /// The format of an object's flow log is among those that are known.
    pub(crate) fn add_flow_log_of(&mut self, object: &SourceObject) {
        if let Some(id) = ObjectKey::flow_log_id_of(object.url())
            && !self.flow_logs.contains(id)
        {
            self.flow_logs.insert(id.to_owned());
        }
    }

    /// Each log format that tasks wrote files of, with the options of their plan, no matter what compactions made of them.
    pub fn written(&self) -> &[(Arc<str>, Arc<Options>)] {
        &self.written
    }

    /// The columns that any of its files had added.
    pub fn added(&self) -> AddedColumns {
        self.written.iter().fold(AddedColumns::default(), |all, (_, options)| all.with(&options.add))
    }

    /// The files that fill columns of its files: of each name the latest, with the columns of all.
    pub fn enrichments(&self) -> Enrichments {
        self.written.iter().fold(Enrichments::default(), |all, (_, options)| all.with(&options.enrich))
    }

    /// Whether the format of a flow log is known.
    pub fn has_flow_log(&self, id: &str) -> bool {
        self.flow_logs.contains(id)
    }
}
