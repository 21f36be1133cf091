//! Any text as a log format: what is read as one is read from its own spelling as the same, and headers are told alike.

use flowquet_format::{
    Between, Catalogue, FIELDS_MAX, LogFormat, find_formats, first_header, header_between, header_format,
};

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
        "#Fields: version srcAddr \"end\"\n2 10.0.0.1 1704067200\n",
        "start bytesend start\n",
        "[version, eni, source, action=\"REJECT\"]",
        "join(\" \", [for f in [\"version\", \"end\"] : \"$${${f}}\"])",
        "create table t (version int, `end` bigint, srcaddr string)",
        "FLOWLOGS\tfl-1\t${version} ${end}\n",
        "srcaddr hop-count-new é",
    ];
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

pub(super) fn run(data: &[u8]) {
    let catalogue = Catalogue::builtin();
    let header = header_format(data, catalogue);
    if let Some(format) = &header {
        check(format, catalogue);
        let between = header_between(data, std::iter::once(format), catalogue);
        let is_same = |found: &Between| matches!(found, Between::Header(header) if header.format == *format);
        assert!(between.as_ref().is_some_and(is_same), "a header, and among records {between:?}");
    }
    if let Some(header) = first_header(data, catalogue) {
        check(&header.format, catalogue);
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
            assert!(error.text().is_char_boundary(error.offset()), "{error:?}");
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
