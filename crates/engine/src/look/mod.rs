//! What a table holds, counted: who talks most, what each column costs, and all that a report shows.
//!
//! A table is what its log says. Files and row groups that cannot have what is asked for are passed over by records and statistics; of
//! the others only the columns that are asked for are read, a few row groups a thread at once. Each is counted by keys of its
//! dictionaries and comes to a small part; parts are added in the order of the files, so that threads change nothing.
//!
//! Memory is bounded: values past [`groups`]' limits are forgotten where they count least, different values past those of [`distinct`]
//! are estimated, and both are told.

mod cost;
mod count;
mod distinct;
mod filter;
mod groups;
mod history;
mod report;
mod scan;
mod spread;
mod timeline;
mod top;
mod values;

pub use cost::{ColumnCost, Cost, FormatCost, Same, cost, cost_of_layout};
pub use filter::RecordFilter;
pub use groups::{Forgotten, Order, Tally};
pub use history::{Coverage, FormatSpan, RejectExample, Rejected, Sizes};
pub use report::{ReportRequest, TableReport, report_on};
pub use scan::Reading;
pub use timeline::{Traffic, TrafficAt};
pub use top::{Top, TopRequest, TopRow, top};
