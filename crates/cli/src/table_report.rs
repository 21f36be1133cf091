//! `flowquet report`: a table as one page.

use flowquet_command::machine::threads;
use flowquet_engine::{ReportRequest, TableReport, report_on};
use flowquet_page::{PageFacts, page};
use indicatif::HumanBytes;

use crate::args::ReportArgs;
use crate::beside;
use crate::clock::{now_s, time_text};
use crate::cost::format_name;
use crate::exit::Exit;
use crate::failure::engine_failure;
use crate::logs::has_bar;
use crate::output::{Failure, counted, put, say, shown};
use crate::places::{Target, table_store};
use crate::reporter::{Reporter, Work};
use crate::resources::look_threads;
use crate::signals::{listen_for_signals, stop};
use crate::version::VERSION;

pub(crate) fn run(args: &ReportArgs) -> Result<Exit, Failure> {
    listen_for_signals();
    if args.json && matches!(args.output, Some(Target::Stdout)) {
        let message = "--json and the page cannot both go to standard output";
        return Err(Failure::message(Exit::Usage, message, Some("give --output a file, or leave it out")));
    }
    if let Some(Target::At(place)) = &args.output {
        beside::check_place(place, "--output", "page")?;
    }
    let stores = args.s3.stores();
    let request = ReportRequest {
        out: table_store(&stores, &args.table),
        filter: args.filter.filter()?,
        workers: look_threads(threads(args.threads), args.table.is_s3()),
    };
    let reporter = Reporter::new(Work::Verifying, args.quiet || !has_bar(), has_bar());
    let found = report_on(&request, &reporter, stop());
    reporter.finish();
    let found = found.map_err(|e| engine_failure(&e))?;
    if args.json {
        put(&format!("{}\n", serde_json::to_string_pretty(&found).expect("plain values with text keys")))?;
    }
    let Some(output) = &args.output else { return Ok(Exit::Success) };
    let text = page_of(&found);
    match output {
        Target::Stdout => put(&text)?,
        Target::At(place) => {
            beside::write(&stores, place, &text)?;
            if !args.quiet && !args.json {
                say(&format!(
                    "{}: {}, {}, {}",
                    shown(&place.to_string()),
                    HumanBytes(text.len() as u64),
                    counted(found.total.flows, "flow"),
                    counted(found.sizes.files, "file"),
                ));
            }
        }
    }
    Ok(Exit::Success)
}

fn page_of(found: &TableReport) -> String {
    let made_by = format!("flowquet {VERSION}");
    page(found, &PageFacts { made_at: &time_text(now_s()), made_by: &made_by, name_of_format: &format_name })
}
