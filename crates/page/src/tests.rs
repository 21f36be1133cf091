use flowquet_engine::{
    ColumnCost, Cost, Coverage, FormatCost, FormatSpan, RejectExample, Rejected, Same, Tally, TopRow, Traffic,
};

use super::*;

/// What would leave an element, an attribute, a style or a comment, were it put in as it is.
const HOSTILE: [&str; 6] = [
    "</title><script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)",
    "--></style><svg onload=alert(1)>",
    "javascript:alert(1)\u{202e}\u{0}",
    "&lt;b&gt; &amp; ]]>",
];

fn report(value: &str, days: i64) -> TableReport {
    let text = || value.to_owned();
    let tally = Tally {
        flows: 7,
        refused: 3,
        bytes: 4_000,
        packets: 9,
        first_s: Some(1_705_276_800),
        last_s: Some(1_705_280_000),
    };
    let row = |values: &[&str]| TopRow {
        values: values.iter().map(|v| (*v).to_owned()).collect(),
        tally,
        targets: 5,
        targets_estimated: true,
    };
    let traffic = Traffic {
        accepted_flows: 1_234_567,
        refused_flows: 3,
        accepted_bytes: 123_456_789_012,
        skipdata: 1,
        ..Traffic::default()
    };
    let at = |i: i64| TrafficAt { start_s: 1_705_276_800 + i * 86_400, traffic };
    let column = || ColumnCost { name: text(), bytes: 100, uncompressed_bytes: 300 };
    let rows = || vec![row(&[value]); ROWS];
    const ROWS: usize = 20;
    TableReport {
        url: text(),
        partition_by: text(),
        total: tally,
        range: Some((1_705_276_800, 1_705_276_800 + days * 86_400)),
        step_s: 86_400,
        times: (0..days).map(at).collect(),
        days: (0..days).map(at).collect(),
        sources: rows(),
        targets: rows(),
        scanners: rows(),
        refused_ports: vec![row(&[value, value]); ROWS],
        flow_logs: vec![
            Coverage {
                name: text(),
                objects: 5,
                first_s: Some(1_705_276_800),
                last_s: Some(1_705_276_800 + days * 86_400),
                usual_s: Some(300),
                gap_count: 60,
                gaps: (0..50)
                    .map(|i| (1_705_276_800 + i * 7_200, 1_705_276_800 + i * 7_200 + 3_600))
                    .collect(),
                start_s: 1_705_276_800,
                step_s: 86_400,
                shares: (0..days).map(|i| Some([1.0, 0.5, 0.0][(i % 3) as usize])).collect(),
            };
            60
        ],
        rejected: vec![Rejected {
            reason: text(),
            count: 4,
            examples: vec![
                RejectExample {
                    object: text(),
                    line: 7,
                    field: Some(text()),
                    detail: text(),
                    raw: text()
                };
                3
            ],
        }],
        formats: vec![FormatSpan {
            format: text(),
            files: 1,
            rows: 2,
            bytes: 3,
            first_s: Some(1_705_276_800),
            last_s: None,
        }],
        cost: Cost {
            files: 1,
            row_groups: 2,
            rows: 10,
            bytes: 1_000,
            other_bytes: 900,
            columns: vec![column()],
            formats: vec![FormatCost {
                format: text(),
                files: 1,
                rows: 1,
                bytes: 1,
                columns: vec![column()],
            }],
            same: vec![Same { column: text(), other: text(), rows: 10, same: 10 }],
        },
        ..TableReport::default()
    }
}

fn made(report: &TableReport) -> String {
    page(
        report,
        &PageFacts { made_at: "2024-01-15T10:31:40Z", made_by: "flowquet 1", name_of_format: &str::to_owned },
    )
}

#[test]
fn what_others_have_chosen_is_text() {
    let plain = made(&report("plain", 10));
    let tags = |page: &str| {
        let mut counts = std::collections::BTreeMap::new();
        for part in page.split('<').skip(1) {
            *counts.entry(part.split([' ', '>']).next().unwrap_or_default().to_owned()).or_insert(0) += 1;
        }
        counts
    };
    for value in HOSTILE {
        let page = made(&report(value, 10));
        // Whatever is put in, the elements are the same.
        assert_eq!(tags(&page), tags(&plain), "{value}");
        assert!(!page.contains("<script") && !page.contains("<img"), "{value}");
        // No attribute is ended early: an escaped quote is none.
        assert_eq!(page.matches('"').count(), plain.matches('"').count(), "{value}");
        assert!(!page.contains('\u{202e}') && !page.contains('\u{0}'), "{value}");
    }
}

#[test]
fn nothing_is_loaded_or_run() {
    let page = made(&report("plain", 10));
    let style = STANDARD.encode(Sha256::digest(STYLE));
    assert!(
        page.contains("default-src &#39;none&#39;") || page.contains("default-src 'none'"),
        "{}",
        &page[..600]
    );
    assert!(page.contains(&style) && page.contains(&format!("<style>{STYLE}</style>")));
    for word in ["http:", "https:", "url(", "@import", "src=", " style=", " on"] {
        let body = page
            .replace(" one ", " ")
            .replace(" on average", "")
            .replace(" on which", "")
            .replace(" on 10", "");
        assert!(!body.contains(&format!("{word}=")) && (word == " on" || !body.contains(word)), "{word}");
    }
}

#[test]
fn unreadable_objects_are_noted() {
    for (unreadable, expected) in [
        (0, None),
        (1, Some("1 object is unreadable and not in the table;")),
        (2, Some("2 objects are unreadable and not in the table;")),
    ] {
        let mut report = report("plain", 10);
        report.sizes.unreadable = unreadable;
        let page = made(&report);
        assert_eq!(page.contains("unreadable and not in the table"), expected.is_some(), "{unreadable}");
        assert!(expected.is_none_or(|note| page.contains(note)), "{unreadable}");
    }
}

#[test]
fn accepted_losses_are_noted() {
    let mut report = report("plain", 10);
    assert!(!made(&report).contains("whose loss was accepted"));
    report.sizes.lost_records = 1_234;
    assert!(made(&report).contains("1,234 records are lost with files whose loss was accepted"));
}

#[test]
fn a_year_is_less_than_a_megabyte() {
    let page = made(&report("10.123.123.123", 366));
    assert!(page.len() < 1_000_000, "{}", page.len());
    assert!(made(&TableReport::default()).contains("No records with a time."));
}
