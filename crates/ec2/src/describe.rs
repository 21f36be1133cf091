//! The flow logs of a region, page by page.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flowquet_aws::{AwsOptions, Caller, load};
use tokio::runtime::Builder;

use crate::answer::page;
use crate::error::{Error, ErrorKind};
use crate::flow_log::FlowLog;
use crate::request::{EC2, Refused, send};

/// Version of EC2's API.
const API_VERSION: &str = "2016-11-15";

/// Flow logs of a page: as many as EC2 gives.
const PAGE_MAX: &str = "1000";

/// Pages of a region: its flow logs stay far below this, unless EC2 goes round in circles.
const PAGES_MAX: usize = 1_000;

/// Attempts at a page.
const ATTEMPTS_MAX: u32 = 6;

/// First pause between attempts; it doubles.
const PAUSE_FIRST: Duration = Duration::from_millis(200);

/// Asks EC2 for all flow logs of `regions`, or of the configured region where there are none, until `stop` is set.
///
/// # Errors
/// [`Error`], where EC2 does not answer or does not let us.
pub fn describe(options: &AwsOptions, regions: &[String], stop: &AtomicBool) -> Result<Vec<FlowLog>, Error> {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime without threads");
    runtime.block_on(async {
        let config = load(options).await;
        let configured = config.region().map_or("us-east-1", |region| region.as_ref()).to_owned();
        let regions = if regions.is_empty() { std::slice::from_ref(&configured) } else { regions };
        let mut found = Vec::new();
        for region in regions {
            let caller = Caller::new(&config, options, EC2, region);
            describe_region(&caller, region, stop, &mut found).await?;
        }
        Ok(found)
    })
}

async fn describe_region(
    caller: &Caller,
    region: &str,
    stop: &AtomicBool,
    found: &mut Vec<FlowLog>,
) -> Result<(), Error> {
    let failed = |attempts, (kind, detail): Refused| Error {
        kind,
        asked: ("EC2", "for its flow logs"),
        region: region.to_owned(),
        attempts,
        detail,
    };
    let mut token: Option<String> = None;
    for _ in 0..PAGES_MAX {
        let mut form =
            vec![("Action", "DescribeFlowLogs"), ("Version", API_VERSION), ("MaxResults", PAGE_MAX)];
        form.extend(token.as_deref().map(|token| ("NextToken", token)));
        let mut attempts = 0;
        let page = loop {
            if stop.load(Ordering::Relaxed) {
                return Err(failed(attempts, (ErrorKind::Stopped, "interrupted".to_owned())));
            }
            attempts += 1;
            let (answer, _) = send(caller, &form).await;
            match answer.and_then(|body| page(&body).map_err(|e| (ErrorKind::Unavailable, e))) {
                Ok(page) => break page,
                Err((ErrorKind::Throttled | ErrorKind::Unavailable, _)) if attempts < ATTEMPTS_MAX => {
                    tokio::time::sleep(PAUSE_FIRST * 2_u32.pow(attempts - 1)).await;
                }
                Err(refused) => return Err(failed(attempts, refused)),
            }
        };
        found.extend(page.flow_logs);
        token = page.next;
        if token.is_none() {
            return Ok(());
        }
    }
    Err(failed(1, (ErrorKind::Other, format!("expected at most {PAGES_MAX} pages of flow logs, found more"))))
}
