//! Files that a command writes beside the table: reports and plans.

use std::fmt::Display;
use std::io::Write as _;
use std::path::Path;

use flowquet_engine::Error;
use flowquet_store::{LocalStore, Location, Store as _, Stores};

use crate::exit::Exit;
use crate::failure::engine_failure;
use crate::output::Failure;
use crate::places::{absolute, open_special};

/// Where a local file is written before it has its name.
const STAGING: &str = ".flowquet-staging";

/// Checks that a file can have this name, and that its folder is there, before hours of work: a slip of the pen must not become a
/// folder. `option` names what the file is for, `noun` what it is.
pub(crate) fn check_place(location: &Location, option: &str, noun: &str) -> Result<(), Failure> {
    let wrong = |place: &dyn Display, what: &str, hint: &str| {
        let message = format!("write the {noun} `{place}`: {what}");
        Err(Failure::message(Exit::Usage, &message, Some(hint)))
    };
    match location {
        Location::S3 { prefix, .. } if prefix.is_empty() || prefix.ends_with('/') => wrong(
            location,
            "expected the key of an object, found a prefix",
            &format!("name the object of {option}"),
        ),
        Location::S3 { .. } => Ok(()),
        Location::Local(path) => {
            let path = absolute(path);
            if path.is_dir() {
                wrong(&path.display(), "it is a folder", &format!("name the file of {option} in it"))
            } else if path.parent().is_none_or(Path::is_dir) {
                Ok(())
            } else {
                let hint = format!("make the folder, or check the path of {option}");
                wrong(&path.display(), "its folder does not exist", &hint)
            }
        }
    }
}

/// Writes a file as a whole: who reads it meanwhile sees the one that was there.
pub(crate) fn write(stores: &Stores, location: &Location, text: &str) -> Result<(), Failure> {
    let written = match location {
        Location::Local(path) => {
            let path = absolute(path);
            if let Some(opened) = open_special(&path) {
                return opened.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| {
                    Failure::message(Exit::Failed, &format!("write `{}`: {error}", path.display()), None)
                });
            }
            let folder = path.parent().unwrap_or(Path::new("/")).to_owned();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            LocalStore::new(folder, STAGING).put(name, text.as_bytes())
        }
        Location::S3 { bucket, prefix } => stores.bucket(bucket).put(prefix, text.as_bytes()),
    };
    written.map_err(|e| engine_failure(&Error::from(e)))
}
