//! Archived objects: whether they are restored, and asking that they be.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use flowquet_sources::SourceSet;
use flowquet_store::{
    Archived, Asked, Error as StoreError, ErrorKind, Permission, Restoration, RestoreRequest, Retrieval,
};
use rayon::prelude::*;
use serde::Serialize;

use crate::error::Error;
use crate::threads::pool;

/// Requests that are under way at once. S3 takes a thousand of them a second from an account.
const AHEAD: usize = 32;

/// Refusals after which nobody is asked any more, if all were refused: what is missing is a permission.
const REFUSED_MAX: u64 = 100;

/// What came of asking that objects be restored; each is one of these.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Restores {
    /// How fast: `bulk`, `standard` or `expedited`.
    pub retrieval: &'static str,
    /// Days that copies are kept.
    pub days: u16,
    /// Asked for by this run.
    pub requested: u64,
    /// Asked for before, and not there yet.
    pub ongoing: u64,
    /// There by now: the next run converts them.
    pub restored: u64,
    /// Not asked for, or the store refused.
    pub refused: u64,
    /// Why the first of those was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refusal: Option<String>,
    /// What the credentials lack, where that was why.
    #[serde(skip)]
    pub lacking: Option<Permission>,
}

/// Asks for each of some archived objects once that it be restored, unless it is or will be. What goes wrong is counted.
pub fn restore(
    sources: &SourceSet,
    urls: &[&str],
    retrieval: Retrieval,
    days: u16,
    stop: &AtomicBool,
) -> Restores {
    let counts: [AtomicU64; 4] = Default::default();
    let [requested, ongoing, restored, refused] = &counts;
    let refusal: Mutex<Option<(usize, Refusal)>> = Mutex::new(None);
    let count = |of: &AtomicU64| of.fetch_add(1, Ordering::Relaxed);
    pool(AHEAD.min(urls.len()), "restore").install(|| {
        urls.par_iter().enumerate().for_each(|(at, url)| {
            let all_refused = [requested, ongoing, restored].iter().all(|n| n.load(Ordering::Relaxed) == 0);
            if stop.load(Ordering::Relaxed) || (all_refused && refused.load(Ordering::Relaxed) >= REFUSED_MAX)
            {
                count(refused);
                return;
            }
            let why = match ask(sources, url, retrieval, days) {
                Ok(found) => {
                    count(match found {
                        Restoration::Archived => requested,
                        Restoration::Ongoing => ongoing,
                        Restoration::Restored => restored,
                    });
                    return;
                }
                Err(why) => why,
            };
            count(refused);
            let mut first = refusal.lock().unwrap_or_else(PoisonError::into_inner);
            if first.as_ref().is_none_or(|(before, _)| at < *before) {
                *first = Some((at, why));
            }
        });
    });
    let [requested, ongoing, restored, refused] = counts.map(AtomicU64::into_inner);
    let refusal = refusal.into_inner().unwrap_or_else(PoisonError::into_inner).map(|(_, why)| why);
    let (refusal, lacking) = refusal.map_or((None, None), |Refusal { why, lacking }| (Some(why), lacking));
    Restores { retrieval: retrieval.name(), days, requested, ongoing, restored, refused, refusal, lacking }
}

/// Why an object could not be asked for.
struct Refusal {
    why: String,
    lacking: Option<Permission>,
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        let lacking = (error.kind() == ErrorKind::Denied).then(|| error.permission());
        Self { why: error.to_string(), lacking }
    }
}

/// Asks for an object to be restored if it is archived. Returns the state that it was in, or why it could not be asked for.
fn ask(sources: &SourceSet, url: &str, retrieval: Retrieval, days: u16) -> Result<Restoration, Refusal> {
    let Some(Archived { tier, restoration }) = sources.archived(url)? else {
        return Ok(Restoration::Restored);
    };
    if restoration != Restoration::Archived {
        return Ok(restoration);
    }
    if !tier.offers(retrieval) {
        let why = format!("restore `{url}`: S3 has no {retrieval} retrieval from {}", tier.name());
        return Err(Refusal { why, lacking: None });
    }
    let days = tier.is_copied().then_some(days);
    Ok(match sources.restore(url, &RestoreRequest { retrieval, days })? {
        Asked::Requested => Restoration::Archived,
        Asked::Ongoing => Restoration::Ongoing,
    })
}

/// Where each of some objects lies in an archive, in their order; `None` for one that can be read as any other, or is gone.
///
/// # Errors
/// As the store reports.
pub fn look_at_archives(
    sources: &SourceSet,
    urls: &[&str],
    stop: &AtomicBool,
) -> Result<Vec<Option<Archived>>, Error> {
    pool(AHEAD.min(urls.len()), "archive").install(|| {
        let look = |url: &&str| match sources.archived(url) {
            _ if stop.load(Ordering::Relaxed) => Err(Error::Interrupted),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            looked => Ok(looked?),
        };
        urls.par_iter().map(look).collect()
    })
}
