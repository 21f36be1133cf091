//! Any text in any framing: reading it whole and from a stream gives the same lines, or the same refusal.
#![no_main]

use std::convert::Infallible;
use std::io;
use std::sync::Arc;

use flowquet_format::Catalogue;
use flowquet_input::{Input, Reader};
use flowquet_parquet::Wanted;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let read = |whole_max: usize| {
        let open =
            || -> io::Result<Box<dyn io::Read + Send>> { Ok(Box::new(io::Cursor::new(data.to_vec()))) };
        let range = |range: std::ops::Range<u64>| -> io::Result<bytes::Bytes> {
            let range = range.start as usize..(range.end as usize).min(data.len());
            Ok(bytes::Bytes::copy_from_slice(data.get(range).unwrap_or_default()))
        };
        let input = Input { fetched: None, again: &|| Ok(None), open: &open, range: &range };
        let mut text = Vec::new();
        let mut reader = Reader::new(Arc::new(Catalogue::builtin().clone()), Wanted::default());
        let taken = reader.read(input, data.len() as u64, whole_max, false, &mut |window, _| {
            text.extend_from_slice(window);
            Ok::<usize, Infallible>(window.len())
        });
        taken.is_ok().then_some(text)
    };
    assert!(read(0) == read(1 << 30), "windows decide");
});
