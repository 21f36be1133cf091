//! Benchmarks. Each checks its answer while it measures; see README.md in this folder. Here is what they share.

use flowquet_parse::{Block, Parser, Step};

/// Calls `take` with each block of `text`. Returns the records seen.
///
/// # Panics
/// If `text` is no flow log, or has lines that are no records: made-up logs have none.
pub fn for_each_block(text: &[u8], parser: &mut Parser, mut take: impl FnMut(&Block<'_>)) -> usize {
    let (mut at, mut records, mut rejects) = (0, 0, Vec::new());
    parser.start();
    loop {
        match parser.next_block(&text[at..], true, &mut rejects).expect("a flow log") {
            Step::Done | Step::NeedMore => break,
            Step::Skipped(len) => at += len,
            Step::Block { consumed, block } => {
                at += consumed;
                records += block.rows().len();
                take(&block);
            }
        }
    }
    assert!(rejects.is_empty(), "made-up logs have no rejects");
    records
}
