//! What a flow log is: the catalogue of fields, log formats and header lines, the key grammar of source objects,
//! and the partitions of a table.
//!
//! This crate knows no I/O, no Arrow, no Parquet writer and no clock: everything here is a value or a pure function.
//!
//! ```
//! use flowquet_format::{Catalogue, LogFormat};
//!
//! let catalogue = Catalogue::builtin();
//! let format = LogFormat::parse("${srcaddr} ${dstaddr} ${bytes}", &catalogue).expect("a valid log format");
//! assert_eq!(format.fields()[2].column(), "bytes");
//! ```

mod added;
mod aws_folders;
mod carried;
mod catalogue;
mod columns;
mod derived;
mod digest;
mod enriched;
mod event_times;
mod foreign;
mod guess;
mod header;
mod hive;
mod key_filter;
mod key_group;
mod log_format;
mod loose;
mod messages;
mod nearest;
mod network;
mod object_key;
mod partition;
mod spelling;
mod tags;
mod time;
mod union;
mod unique_name;
mod values;

pub use added::{AddedColumn, AddedColumns, AddedError, Origin, Rule};
pub use aws_folders::{is_account, lost_zeros};
pub use carried::{CARRIED_MARK, ROWS_MARK, push_carried, put_back};
pub use catalogue::{
    AddedSpec, Catalogue, CatalogueError, ColumnType, FieldKind, FieldSpec, LogKind, normalised,
};
pub use columns::{
    ADDRESS_BYTES, ColumnSource, FormatColumn, TWIN_SUFFIX, Types, added_columns, address_bytes, columns_of,
    enriched_columns,
};
pub use derived::{
    DIRECTIONS, FLAGS_SYN_ACK, PROTOCOL_TCP, SIDES, Services, began_by_ports, direction_of, parsed_address,
    protocol_name, scope_of, tcp_flag_names, traffic_path_name,
};
pub use digest::{ColumnHash, hash_text, mixed_row};
pub use enriched::{
    ENRICHED_COLUMNS_MAX, ENRICHED_NAME_BYTES_MAX, ENRICHMENTS_MAX, EnrichedBy, EnrichedColumn, Enrichment,
    Enrichments, EnrichmentsError, Looked, is_enriched_name,
};
pub use event_times::{EventTimes, event_ms};
pub use foreign::{field_of_column, fields_of_columns, fields_of_names, normalised_column};
pub use guess::{guess_format, name_of_format};
pub use header::{
    Between, HeaderLine, NAME_BYTES_MAX, TELLING_LINES, first_header, header_between, header_format,
    is_known_name,
};
pub use hive::{HIVE_NULL, hive_folder, hive_values};
pub use key_filter::{Descent, KeyFilter, LeftOut, Named, service_of_path};
pub use key_group::{KeyGroup, KeyOrigin, service_of_name};
pub use log_format::{FIELDS_MAX, Field, FormatError, GIVEN_MAX, GivenError, LogFormat};
pub use loose::{EXACT_MAX, is_null_cell, is_null_word, whole_number};
pub use messages::{is_message, may_be_message, message_column};
pub use nearest::nearest;
pub use network::Network;
pub use object_key::{DeliveryTime, ObjectKey};
pub use partition::{PartitionColumn, PartitionSpec, PartitionSpecError, PartitionTime, folder_region};
pub use spelling::{FoundFormat, find_formats};
pub use tags::{TAG_FIELDS, TagKey, TagKeyError, percent_decoded, tag_entries};
pub use time::{
    TIME_MAX_S, TIME_MIN_S, TIME_MS_MIN, TIME_NUMBER_MAX, TimeSlot, seconds_of, time_ms, time_number,
    utc_text,
};
pub use union::union_fields;
pub use unique_name::{NamedForm, UniqueName};
pub use values::may_be;
