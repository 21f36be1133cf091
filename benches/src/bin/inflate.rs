//! Inflates all gzip files below a folder with libdeflate, on one thread, and throws the text away: what a conversion costs at
//! least. `inflate FOLDER` prints how many bytes of text there were.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::path::Path;

use flowquet_input::inflate::GzipInflater;

fn main() {
    let folder = std::env::args_os().nth(1).expect("usage: inflate FOLDER");
    let (mut inflater, mut out) = (GzipInflater::new(), Vec::new());
    println!("{} bytes", inflate_all(Path::new(&folder), &mut inflater, &mut out));
}

fn inflate_all(folder: &Path, inflater: &mut GzipInflater, out: &mut Vec<u8>) -> usize {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        bytes += if path.is_dir() {
            inflate_all(&path, inflater, out)
        } else {
            let packed = std::fs::read(&path).expect("readable");
            inflater.inflate(&packed, out, 1 << 32).expect("gzip")
        };
    }
    bytes
}
