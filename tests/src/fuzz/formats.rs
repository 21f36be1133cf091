//! Any text as a log format: what is read as one is read from its own spelling as the same, and headers are told alike.

use flowquet_format::{Catalogue, FIELDS_MAX, LogFormat, find_formats, header_format, is_strange_header};

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        "v5",
        "${version} ${vpc-id} ${srcaddr} ${tcp-flags}",
        "log_format = \"$${version} $${vpc-id} $${x-new}\"",
        "log_format = join(\" \", [\"$${version}\", \"$${vpc-id}\"])\n",
        "log_format = <<-EOT\n  $${version}\n  $${vpc-id}\nEOT\n",
        "\\${version} \\${bytes}",
        "$\\{version} $\\{bytes}",
        "new ec2.FlowLog(this, 'x', { logFormat: [ec2.LogFormat.VERSION, ec2.LogFormat.custom('${vpc-id}')] });",
        "f\"${{version}} ${{bytes}}\"",
        "LogFormat: !Sub '${!version} ${!vpc-id}'\n",
        "LogFormat:\n  Fn::Sub: >-\n    ${!version}\n    ${!bytes}\n",
        "version, vpc-id, bytes",
        "[\"version\", \"vpc_id\"]",
        "- version\n- vpc-id\n",
        r#"{"FlowLogs":[{"FlowLogId":"fl-1","LogFormat":"${version} ${srcaddr}"}]}"#,
        "version account-id interface-id srcaddr dstaddr",
        "srcaddr hop-count-new é",
    ];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

pub(super) fn run(data: &[u8]) {
    let catalogue = Catalogue::builtin();
    let header = header_format(data, catalogue);
    if let Some(format) = &header {
        check(format, catalogue);
        assert!(!is_strange_header(data, catalogue), "a header and a strange one");
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    for format in
        [LogFormat::parse(text, catalogue).ok(), LogFormat::given(text, catalogue).ok()].iter().flatten()
    {
        check(format, catalogue);
    }
    match find_formats(text, catalogue) {
        Ok(found) => found.iter().for_each(|found| check(&found.format, catalogue)),
        Err(error) => {
            assert!(error.offset() <= text.len() && text.is_char_boundary(error.offset()), "{error:?}");
            assert!(!error.pointer().is_empty() || text.is_empty(), "{error:?}");
        }
    }
}

fn check(format: &LogFormat, catalogue: &Catalogue) {
    let fields = format.fields().len();
    assert!((1..=FIELDS_MAX).contains(&fields), "{fields} fields");
    let text = format.to_string();
    let again = LogFormat::parse(&text, catalogue);
    assert_eq!(again.as_ref(), Ok(format), "{text}");
}
