//! Formats as heads of tables, templates of log shippers, markup, and what Terraform and the AWS CLI print.

use crate::{Catalogue, Field, GivenError, LogFormat, find_formats};

fn names(format: &LogFormat) -> String {
    format.fields().iter().map(Field::name).collect::<Vec<_>>().join(" ")
}

/// What a text is read as when it is given, and in a file: names of fields, or what was expected.
fn read(text: &str) -> (String, String) {
    let given = match LogFormat::given(text, Catalogue::builtin()) {
        Ok(format) => names(&format),
        Err(GivenError::Format(error)) => error.to_string(),
        Err(GivenError::Several(found)) => format!("{} formats", found.len()),
    };
    let found = match find_formats(text, Catalogue::builtin()) {
        Ok(found) => found.iter().map(|f| names(&f.format)).collect::<Vec<_>>().join(" / "),
        Err(error) => error.to_string(),
    };
    (given, found)
}

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(read(text), (expected.to_owned(), expected.to_owned()), "{text}");
}

#[track_caller]
fn check_file(text: &str, expected: &str) {
    assert_eq!(read(text).1, expected, "{text}");
}

const FIELDS: &str = "${version} ${account-id} ${srcaddr}";

#[test]
fn markup_hides_no_field() {
    for (before, behind) in [
        ("<code>", "</code>\n"),
        ("Our format is **", "** since May.\n"),
        ("see *", "*"),
        ("~", "~"),
        ("->", "<-"),
        ("a:", "\n"),
        ("%", "%"),
    ] {
        check_file(&format!("{before}{FIELDS}{behind}"), "version account-id srcaddr");
    }
    // The only format of a document may be given itself.
    for (before, behind) in [
        ("<td>", "</td>"),
        ("<property name=\"logFormat\">", "</property>"),
        ("<LogFormat>", "</LogFormat>\n"),
        ("Log line format\nCustom\n", "\n"),
        ("variable \"log_format\" {\n  type = string\n  default = \"", "\"\n}\n"),
        ("Parameters:\n  Format:\n    Type: String\n    Default: '", "'\n"),
    ] {
        check(&format!("{before}{FIELDS}{behind}"), "version account-id srcaddr");
    }
    for behind in ["' + EXTRA", "'\nFORMAT=\"$FORMAT \\${vpc-id}\""] {
        assert!(read(&format!("format = '{FIELDS}{behind}")).0.contains("expected"), "{behind}");
    }
    assert!(
        read(&format!("x{FIELDS}")).0.contains("expected"),
        "nothing stands before a field that is given"
    );
}

#[test]
fn heads_of_tables() {
    for text in [
        "version|account-id|srcaddr|log-status",
        "| version | account_id | srcaddr | log_status |",
        "version;account-id;srcaddr;log-status",
        "Version, Account Id, Srcaddr, Log Status",
        "version int, account_id string, srcaddr string, log_status string",
        "version int,\n  `account_id` varchar(12) COMMENT 'of the owner',\n  srcaddr string,\n  log_status string\n",
        "version int\naccount_id string\nsrcaddr string\nlog_status string\n",
        "version, account-id srcaddr log-status",
    ] {
        check(text, "version account-id srcaddr log-status");
    }
    for text in ["version, account-id, srcaddr and dstaddr", "version, my field, srcaddr"] {
        assert!(read(text).0.starts_with("expected one name of a field"), "{text}: {}", read(text).0);
    }
}

#[test]
fn comments_of_yaml() {
    for text in [
        "LogFormat: ${version} ${account-id} ${srcaddr} # ours\n",
        "Resources:\n  F:\n    LogFormat: ${version} ${account-id} ${srcaddr} # ours\n    TrafficType: ALL # yes\n",
        "LogFormat: !Join\n  - ' '\n  - - ${version} # v2\n    - ${account-id}   # who\n    - ${srcaddr}\n",
        "LogFormat: &format ${version} ${account-id} ${srcaddr}\n",
        "LogFormat: &format '${version} ${account-id} ${srcaddr}'\n",
    ] {
        check(text, "version account-id srcaddr");
    }
    // A field in it is a slip more likely.
    assert!(read("LogFormat: ${version} # ${srcaddr}\n").0.contains("expected"));
    assert!(read("${version} # ${srcaddr}").0.contains("expected"));
}

#[test]
fn what_terraform_says() {
    let plan = format!(
        "  + resource \"aws_flow_log\" \"a\" {{\n      + arn                  = (known after apply)\n      + log_format           = \"{FIELDS}\"\n      + traffic_type         = \"ALL\"\n    }}\n"
    );
    check_file(&plan, "version account-id srcaddr");
    check("log_format = \"${version} \" +\n  \"${account-id} ${srcaddr}\"\n", "version account-id srcaddr");
    check("log_format = \"${version} \"\n  + \"${account-id} ${srcaddr}\"\n", "version account-id srcaddr");
    for call in ["coalesce(var.format, ", "try(local.format, ", "coalesce(var.a, local.b, "] {
        check(&format!("log_format = {call}\"$${{version}} $${{srcaddr}}\")\n"), "version srcaddr");
    }
    assert!(
        read("log_format = coalesce(\"$${version} $${srcaddr}\", \"$${end} $${start}\")")
            .0
            .contains("one log format")
    );
}

#[test]
fn templates_of_shippers() {
    check("%{version} %{account-id} %{srcaddr}", "version account-id srcaddr");
    check("%{INT:version:int} %{DATA:account_id} %{IP:srcaddr}", "version account-id srcaddr");
    check("parse @message \"* * *\" as version, account_id, srcaddr", "version account-id srcaddr");
    check(
        "fields @timestamp | parse @message '* * *' as version, account_id, srcaddr | limit 20",
        "version account-id srcaddr",
    );
    for text in [
        "%{version} %{?skip} %{srcaddr}",
        "%{INT:version} %{IP}",
        "parse @message \"* *\" as version, a, srcaddr",
    ] {
        assert!(read(text).0.contains("expected"), "{text}: {}", read(text).0);
    }
}

#[test]
fn tables_of_the_cli() {
    let row = |key: &str, value: &str| format!("||  {key:<12}|  {value:<40} ||\n");
    let text = format!(
        "{line}|{title:^60}|\n{line}||{flow:^58}||\n|+{dashes}+|\n{}{}{}|+{dashes}+|\n",
        row("FlowLogId", "fl-0123456789abcdef0"),
        row("LogFormat", FIELDS),
        row("TrafficType", "ALL"),
        line = format!("{}\n", "-".repeat(62)),
        dashes = "-".repeat(58),
        title = "DescribeFlowLogs",
        flow = "FlowLogs",
    );
    check(&text, "version account-id srcaddr");
}
