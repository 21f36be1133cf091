//! The arguments of `flowquet sql`: `flowquet` tells of them, and hands them to the program `flowquet-sql`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use flowquet_store::Location;

use crate::places::{S3Args, Target, target};
use crate::size::{parse_bytes, whole};

/// The program that obeys them.
pub const PROGRAM: &str = "flowquet-sql";

/// What the command is, in a line.
pub const ABOUT: &str =
    "Ask a table in SQL: an answer on the terminal or as CSV, JSON or Parquet, or a prompt";

/// What the command is.
pub const LONG_ABOUT: &str = "Answers SQL over a table, with a built-in engine. The table is called `flows`, and has the columns of all its log \
                              formats, those of its partitions, and start_time and end_time as timestamps. Reads exactly the files that the table's \
                              records name, and only what a question needs of them: give the days first, by \"date\". ip_in(srcaddr, '10.0.0.0/8') and \
                              is_private(srcaddr) compare addresses. Writes nothing but the file of --output. Without a question, a prompt asks for \
                              them. This is a separate program, flowquet-sql: docs/LOOKING.md says how to install it.";

/// Examples for the end of the help.
pub const EXAMPLES: &str = "Examples:\n  \
    flowquet sql lake/vpc_flow_logs \"SELECT srcaddr, count(*) AS n FROM flows WHERE dstport = 22 GROUP BY 1 ORDER BY n DESC LIMIT 10\"\n  \
    flowquet sql lake/vpc_flow_logs \"SELECT sum(bytes) FROM flows WHERE \\\"date\\\" = '2024-01-15' AND ip_in(dstaddr, '10.0.0.0/8')\"\n  \
    flowquet sql s3://lake/vpc_flow_logs/ --file scanners.sql -o scanners.parquet\n  \
    flowquet sql lake/vpc_flow_logs";

/// What is asked of which table.
#[derive(Debug, Args)]
pub struct SqlArgs {
    /// Folder or S3 prefix of the table
    #[arg(value_name = "TABLE", value_parser = Location::parse)]
    pub table: Location,

    /// The question: SELECT, WITH, EXPLAIN, DESCRIBE or SHOW, over the table `flows`; several with semicolons between them. `end` is a keyword of
    /// SQL: write "end" [default: standard input, or a prompt where that is a terminal]
    #[arg(value_name = "SQL")]
    pub query: Option<String>,

    /// Read the question from a file, or from standard input with `-`
    #[arg(long, short, value_name = "FILE", conflicts_with = "query")]
    pub file: Option<PathBuf>,

    /// Form of the answer [default: as the name of the file of --output ends; without one table on a terminal, csv elsewhere]
    #[arg(long = "as", value_name = "FORM", value_enum, help_heading = "Answer")]
    pub form: Option<Form>,

    /// Where the answer is written: a file, an S3 URL, or `-` for standard output
    #[arg(long, short, value_name = "FILE", value_parser = target, help_heading = "Answer")]
    pub output: Option<Target>,

    /// Number of rows that the form `table` shows; it says how many more there are
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = whole::<u32, 1, 100_000>, help_heading = "Answer")]
    pub rows: u32,

    /// Worker threads [default: number of cores]
    #[arg(long, value_name = "N", value_parser = whole::<u16, 1, 1024>, help_heading = "Resources")]
    pub threads: Option<u16>,

    /// Memory for groups, sorting and joins, such as 2G; the rest spills to the temporary folder [default: 1G, or less where there is
    /// less]
    #[arg(long, value_name = "BYTES", value_parser = parse_bytes, help_heading = "Resources")]
    pub memory: Option<u64>,

    /// How S3 is spoken to.
    #[command(flatten)]
    pub s3: S3Args,
}

/// Form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// Aligned columns, for people; the first rows
    Table,
    /// Comma-separated values with a header line
    Csv,
    /// One array of objects
    Json,
    /// An object a line
    Jsonl,
    /// A Parquet file
    Parquet,
}
