//! Where a new table may be made: not above another one and not within one, since the files of one would be strays of the other.

use std::ops::ControlFlow;
use std::path::Path;

use flowquet_store::{
    Entry, Error as StoreError, ErrorKind, FILE_SCHEME, Location, S3_SCHEME, Store, Stores,
};
use flowquet_table::CONTRACT_KEY;

use crate::error::Error;

/// Checks that a table that is to be made has none above it, and none directly below.
///
/// # Errors
/// [`Error::TableAbove`], [`Error::TableBelow`], and as the store reports. What may not be looked at is no table.
pub(crate) fn check_stands_alone(out: &dyn Store, stores: &Stores) -> Result<(), Error> {
    check_is_in_no_table(out, stores)?;
    check_has_no_tables(out)
}

fn check_is_in_no_table(out: &dyn Store, stores: &Stores) -> Result<(), Error> {
    /// Each is a request.
    const LEVELS_MAX: usize = 16;
    let url = out.url("");
    for above in folders_above(&url).into_iter().take(LEVELS_MAX) {
        let Ok(contract) = Location::parse(&format!("{above}{CONTRACT_KEY}")) else { continue };
        match stores.get_at_most(&contract, 0) {
            Ok(_) => return Err(Error::TableAbove { url, above }),
            Err(error) if is_no_table(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// URLs of the folders in which the one at `url` is, from the inside out, each with a slash behind it.
fn folders_above(url: &str) -> Vec<String> {
    let above = |scheme: &str, path: &str, least: usize| {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let begin = if path.starts_with('/') { "/" } else { "" };
        let folder = |len: usize| {
            let slash = if len == 0 { "" } else { "/" };
            format!("{scheme}{begin}{}{slash}", parts[..len].join("/"))
        };
        (least..parts.len()).rev().map(folder).collect()
    };
    match (url.strip_prefix(S3_SCHEME), url.strip_prefix(FILE_SCHEME)) {
        // Its first part is the bucket.
        (Some(path), _) => above(S3_SCHEME, path, 1),
        (_, Some(path)) => match std::path::absolute(Path::new(path)) {
            Ok(path) => above(FILE_SCHEME, &path.to_string_lossy(), 0),
            Err(_) => Vec::new(),
        },
        _ => Vec::new(),
    }
}

fn is_no_table(error: &StoreError) -> bool {
    matches!(error.kind(), ErrorKind::Denied | ErrorKind::NotFound | ErrorKind::NotAFolder)
}

/// Whether another one lies directly below.
fn check_has_no_tables(out: &dyn Store) -> Result<(), Error> {
    /// A page of a listing.
    const LISTED_MAX: usize = 1_000;
    /// Each is a request. Where there are more folders they are something else than tables.
    const LOOKED_AT_MAX: usize = 100;
    let (mut listed, mut folders) = (0, Vec::new());
    let walked = out.walk("", "", true, &mut |entry| {
        listed += 1;
        if let Entry::Folder(folder) = entry
            && !folder.starts_with(['_', '.'])
        {
            folders.push(folder);
        }
        let is_enough = listed == LISTED_MAX || folders.len() == LOOKED_AT_MAX;
        if is_enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    match walked {
        // The folder is made later.
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    for folder in folders {
        match out.head(&format!("{folder}{CONTRACT_KEY}")) {
            Ok(_) => return Err(Error::TableBelow { url: out.url(""), below: out.url(&folder) }),
            Err(error) if is_no_table(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_from_the_inside_out() {
        for (url, expected) in [
            ("s3://lake/a/b/", &["s3://lake/a/", "s3://lake/"][..]),
            ("s3://lake/a", &["s3://lake/"]),
            ("s3://lake/", &[]),
            ("file:///a/b", &["file:///a/", "file:///"]),
            ("file:///", &[]),
            ("memory://a/b/c", &[]),
        ] {
            assert_eq!(folders_above(url), expected, "{url}");
        }
        let here = std::env::current_dir().expect("there is one");
        assert_eq!(folders_above("file://lake")[0], format!("file://{}/", here.display()));
    }
}
