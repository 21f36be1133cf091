//! Every spelling gives the same format, and no text does harm.

use proptest::prelude::*;
use proptest::sample::select;

use crate::{Catalogue, Field, FormatError, FoundFormat, GivenError, LogFormat, find_formats};

fn given(text: &str) -> Result<LogFormat, GivenError> {
    LogFormat::given(text, Catalogue::builtin())
}

fn found(text: &str) -> Vec<FoundFormat> {
    find_formats(text, Catalogue::builtin()).unwrap_or_else(|e| panic!("{e}\n{}\nin {text}", e.pointer()))
}

#[track_caller]
fn check(text: &str, expected: &str) {
    match given(text) {
        Ok(format) => {
            let names: Vec<&str> = format.fields().iter().map(Field::name).collect();
            assert_eq!(names.join(" "), expected, "{text}");
        }
        Err(GivenError::Format(e)) => panic!("{e}\n{}\nin {text}", e.pointer()),
        Err(GivenError::Several(found)) => panic!("several: {found:?}\nin {text}"),
    }
}

#[track_caller]
fn check_error(text: &str, expected: &str) {
    let Err(GivenError::Format(error)) = given(text) else { panic!("{:?}\nin {text}", given(text)) };
    let hint = error.hint_text().map(|h| format!("; {h}")).unwrap_or_default();
    assert_eq!(format!("{error}{hint}"), expected, "{text}");
}

#[test]
fn one_format_in_code() {
    for text in [
        // Terraform.
        "$${version} $${vpc-id} $${srcaddr}",
        "\"$${version} $${vpc-id} $${srcaddr}\"",
        "log_format = \"$${version} $${vpc-id} $${srcaddr}\"",
        "  log_format           = \"$${version} $${vpc-id} $${srcaddr}\" # what we keep\n",
        "flow_log_log_format = \"$${version} $${vpc-id} $${srcaddr}\",",
        "join(\" \", [\"$${version}\", \"$${vpc-id}\", \"$${srcaddr}\"])",
        "log_format = join(\" \", [\n  # the default\n  \"$${version}\", # 2\n\n  \"$${vpc-id}\",  // id\n  /* a\n b */ \"$${srcaddr}\",\n])\n",
        "log_format = join(\" \", tolist([\"$${version}\", \"$${vpc-id}\", \"$${srcaddr}\"]))",
        "<<EOF\n$${version} $${vpc-id}\n$${srcaddr}\nEOF\n",
        "log_format = <<-EOT\n    $${version} $${vpc-id} $${srcaddr}\n  EOT",
        "log_format = trimspace(<<-EOT\n    $${version}\n  $${vpc-id} $${srcaddr}\n  EOT\n)",
        "log_format = replace(<<-EOT\n  $${version}\n  $${vpc-id}\n $${srcaddr}\nEOT\n, \"\\n\", \" \")",
        "default = \"\\${version} \\${vpc-id} \\${srcaddr}\"",
        "log_format = join(\" \", [for name in [\"version\", \"vpc-id\", \"srcaddr\"] : \"$${${name}}\"])",
        "log_format = join(\" \", formatlist(\"$${%s}\", [\"version\", \"vpc-id\", \"srcaddr\"]))",
        "log_format = join(\" \", concat([\"$${version}\"], [\"$${vpc-id}\", \"$${srcaddr}\"]))",
        "log_format = length(var.x) > 0 ? \"$${version} $${vpc-id} $${srcaddr}\" : null",
        // Shell.
        "\\${version} \\${vpc-id} \\${srcaddr}",
        "FORMAT='${version} ${vpc-id} ${srcaddr}'",
        "export FORMAT=\"\\${version} \\${vpc-id} \\${srcaddr}\"",
        "--log-format '${version} ${vpc-id} ${srcaddr}'",
        "--log-format=\"\\${version} \\${vpc-id} \\${srcaddr}\" \\",
        "'${version} ${vpc-id} \\\n ${srcaddr}'",
        // JavaScript, TypeScript, Python, others.
        "$\\{version} $\\{vpc-id} $\\{srcaddr}",
        "\\$\\{version\\} \\$\\{vpc-id\\} \\$\\{srcaddr\\}",
        "$\\${version} $\\${vpc-id} $\\${srcaddr}",
        "`\\${version} \\${vpc-id} \\${srcaddr}`;",
        "const logFormat = `\\${version} \\${vpc-id} \\${srcaddr}`;",
        "const logFormat: string = '${version} ' +\n  '${vpc-id} ${srcaddr}';",
        "['${version}', '${vpc-id}', '${srcaddr}'].join(' ')",
        "\" \".join([\"${version}\", \"${vpc-id}\", \"${srcaddr}\"])",
        "log_format=\" \".join([\n    \"${version}\",\n    \"${vpc-id}\",\n    \"${srcaddr}\",\n]),",
        "f\"${{version}} ${{vpc-id}} ${{srcaddr}}\"",
        "LOG_FORMAT = (\"${version} ${vpc-id} \"\n    \"${srcaddr}\")",
        "\"\"\"${version} ${vpc-id} ${srcaddr}\"\"\"",
        "{\"LogFormat\": \"\\u0024{version} \\u0024\\u007bvpc-id\\u007d \\u0024{srcaddr}\"}",
        "log_format: '{% raw %}${version} ${vpc-id} ${srcaddr}{% endraw %}'",
        "val logFormat = \"${'$'}{version} ${'$'}{vpc-id} ${'$'}{srcaddr}\"",
        "LogFormat: pulumi.String(\"${version} ${vpc-id} ${srcaddr}\"),",
        "let format: String = \"${version} ${vpc-id} ${srcaddr}\".to_owned();",
        "```sh\n${version} ${vpc-id}\n${srcaddr}\n```",
        "Log format: ${version} ${vpc-id} ${srcaddr}",
        "aws ec2 create-flow-logs ^\r\n --log-format \"${version} ${vpc-id} ${srcaddr}\" ^\r\n --tag x",
        "<item><logFormat>${version} ${vpc-id} ${srcaddr}</logFormat></item>",
        // CloudFormation and SAM.
        "${!version} ${!vpc-id} ${!srcaddr}",
        "!Sub '${!version} ${!vpc-id} ${!srcaddr}'",
        "!Sub '${version} ${vpc-id} ${srcaddr}'",
        "!Sub >-\n  ${!version} ${!vpc-id}\n  ${!srcaddr}\n",
        "!Sub [\"${!version} ${!vpc-id} ${!srcaddr}\", {}]",
        "LogFormat: !Sub \"${!version} ${!vpc-id} ${!srcaddr}\"",
        "LogFormat: ${version} ${vpc-id} ${srcaddr}",
        "LogFormat:\n  Fn::Sub: '${!version} ${!vpc-id} ${!srcaddr}'",
        "Fn::Sub: |\n  ${!version} ${!vpc-id} ${!srcaddr}",
        "{\"Fn::Sub\": \"${!version} ${!vpc-id} ${!srcaddr}\"}",
        "\"LogFormat\": {\"Fn::Join\": [\" \", [\"${version}\", \"${vpc-id}\", \"${srcaddr}\"]]},",
        "LogFormat: !Join [' ', ['${version}', '${vpc-id}', '${srcaddr}']]",
        "LogFormat: !Join\n  - ' '\n  - - '${version}'\n    - '${vpc-id}'\n    - '${srcaddr}'\n",
        ">-\n  ${version}\n  ${vpc-id} ${srcaddr}",
        "|\n${version} ${vpc-id} ${srcaddr}\n",
        ">2+\n  ${version} ${vpc-id} ${srcaddr}",
        "LogFormat: >\n  ${version} ${vpc-id} ${srcaddr}",
        "\"LogFormat\": \"${version} ${vpc-id} ${srcaddr}\"",
        "\"LogFormat\": \"${version} ${vpc-id} ${srcaddr}\",",
        "\\\"LogFormat\\\": \\\"${version} ${vpc-id} ${srcaddr}\\\"",
        "{\"LogFormat\": \"${version} ${vpc-id} ${srcaddr}\"}",
        // CDK.
        "[ec2.LogFormat.VERSION, ec2.LogFormat.VPC_ID, ec2.LogFormat.SRC_ADDR]",
        "logFormat: [\n  ec2.LogFormat.VERSION,\n  LogFormat.custom('${vpc-id}'),\n  LogFormat.field('srcaddr'),\n],",
        "log_format=[aws_ec2.LogFormat.VERSION, aws_ec2.LogFormat.custom(\"${vpc-id} ${srcaddr}\")]",
        "ec2.LogFormat.custom('${version} ${vpc-id} ${srcaddr}')",
        "List.of(LogFormat.VERSION, LogFormat.VPC_ID, LogFormat.SRC_ADDR)",
        "LogFormat: &[]awsec2.LogFormat{\n awsec2.LogFormat_VERSION(),\n awsec2.LogFormat_Custom(jsii.String(\"${vpc-id}\")),\n awsec2.LogFormat_SRC_ADDR(),\n},",
        "LogFormat = new [] { LogFormat.VERSION, LogFormat.VPC_ID, LogFormat.Custom(\"${srcaddr}\") }",
        "const logFormat: ec2.LogFormat[] = [ec2.LogFormat.VERSION, ec2.LogFormat.VPC_ID, ec2.LogFormat.SRC_ADDR];",
        // Names.
        "version,vpc-id,srcaddr",
        "version, vpc_id, srcaddr,",
        "version vpc-id srcaddr;",
        "[version, vpc_id, srcaddr]",
        "('version', 'vpc-id', 'srcaddr')",
        "{\"version\", \"vpc-id\", \"srcaddr\"}",
        "`version`, `vpc-id`, `srcaddr`",
        "fields = [\"version\", \"vpc_id\", \"srcaddr\"]",
        "fields: [version, vpc-id, srcaddr]",
        "- version\n- vpc-id\n- srcaddr\n",
        "fields:\n  - version\n  - 'vpc-id'\n  - \"srcaddr\"",
        "• version\n• vpc-id\n• srcaddr",
        "– version\n– vpc‑id\n– srcaddr",
        "* `version`\n* `vpc-id`\n* `srcaddr`",
        "VERSION VPC_ID SRCADDR",
        "version vpcId srcAddr",
        "[Version, VPCID, sourceAddress]",
        "1. version\n2. vpc-id\n3. `srcaddr`",
        "[version, vpcId=\"vpc-0a\", source]",
        "CREATE EXTERNAL TABLE logs (\n  version int,\n  `vpc_id` string COMMENT 'of the card',\n  srcaddr string\n)\nROW FORMAT DELIMITED FIELDS TERMINATED BY ' '",
        "“${version} ${vpc‑id} ${srcaddr}”",
        "„${version} ${vpc–id} ${srcaddr}“",
        "«${version}\u{a0}${vpc-id}\u{a0}${srcaddr}»",
        "‘${version}’, ‘${vpc\u{ad}-id}’, ‘${srcaddr}’",
    ] {
        check(text, "version vpc-id srcaddr");
    }
}

#[test]
fn documents_that_are_given_as_a_format() {
    for text in [
        "{\"FlowLogs\": [{\"FlowLogId\": \"fl-1\", \"LogFormat\": \"${version} ${vpc-id}\", \"Tags\": []}]}",
        "{\"FlowLogs\": [{\"LogFormat\": \"${version} ${vpc-id}\", \"FlowLogId\": \"fl-1\"}, {\"FlowLogId\": \"fl-2\", \"LogFormat\": \"${version} ${vpc-id}\"}]}",
        "[{\"FlowLogId\": \"fl-1\", \"LogFormat\": \"${version} ${vpc-id}\"}]",
        "resource \"aws_flow_log\" \"a\" {\n  traffic_type = \"ALL\"\n  log_format = \"$${version} $${vpc-id}\"\n}\n",
        "  A:\n    Type: AWS::EC2::FlowLog\n    Properties:\n      LogFormat: !Sub '${!version} ${!vpc-id}'\n      TrafficType: ALL\n",
        "FlowLogs:\n- FlowLogId: fl-1\n  LogFormat: ${version}\n    ${vpc-id}\n  Tags: []\n",
        "aws ec2 create-flow-logs \\\n  --traffic-type ALL \\\n  --log-format '${version} ${vpc-id}' \\\n  --tags x\n",
    ] {
        check(text, "version vpc-id");
    }
    for text in [
        "[[\"fl-1\", \"${version} ${vpc-id}\"]]",
        "[\n  [\"fl-1\", \"${version} ${vpc-id}\"],\n  [\"fl-2\", \"${version} ${vpc-id}\"]\n]",
        "[\"${version} ${vpc-id}\", \"${version} ${vpc-id}\"]",
        "fl-1\t${version} ${vpc-id}\nfl-2\t${version} ${vpc-id}\n",
        "FLOWLOGS\t2026-01-01T00:00:00Z\tSUCCESS\tfl-1\tACTIVE\t${version} ${vpc-id}\t60\tALL\nTAGS\tName\tx\n",
        "---\n|  DescribeFlowLogs  |\n+---+\n|  LogFormat  |  ${version} ${vpc-id}  |\n|  TrafficType  |  ALL  |\n+---+\n",
    ] {
        check(text, "version vpc-id");
    }
    for text in [
        "[\"${version} ${vpc-id}\",\n\"${version} ${bytes} ${end}\"]",
        "${version} ${vpc-id}\t${version} ${bytes}",
        "${version} ${vpc-id}\n${bytes} ${version}\n",
        "[[\"fl-1\", \"${version} ${vpc-id}\"], [\"fl-2\", \"${bytes}\"]]",
        "FLOWLOGS\tfl-1\t${version} ${vpc-id}\nFLOWLOGS\tfl-2\t${bytes}\n",
    ] {
        let Err(GivenError::Several(found)) = given(text) else { panic!("{:?} in {text}", given(text)) };
        assert_eq!(found.len(), 2, "{text}");
    }
    // Parts of one format.
    check("[\"${version} ${vpc-id}\", \"${srcaddr} ${bytes}\"]", "version vpc-id srcaddr bytes");
    check("${version} ${vpc-id}\n${srcaddr} ${bytes}\n", "version vpc-id srcaddr bytes");
    check("${version} ${vpc-id} ${version}", "version vpc-id version-2");
    let two = "{\"FlowLogs\": [{\"FlowLogId\": \"fl-1\", \"LogFormat\": \"${version} ${vpc-id}\"},\n{\"FlowLogId\": \"fl-2\", \"LogFormat\": \"${version}\"}]}";
    let Err(GivenError::Several(found)) = given(two) else { panic!("{:?}", given(two)) };
    let names: Vec<(usize, Option<&str>)> = found.iter().map(|f| (f.line, f.name.as_deref())).collect();
    assert_eq!(names, [(1, Some("fl-1")), (2, Some("fl-2"))]);
}

#[test]
fn nothing_is_guessed() {
    for (text, expected) in [
        (
            "log_format = \"$${version} $srcaddr\"",
            "expected a field's name, found `$` at byte 26; did you mean `${srcaddr}`?",
        ),
        (
            "join(\",\", [\"$${version}\", \"$${srcaddr}\"])",
            "expected fields joined by `\" \"`, found `\",\"` at byte 5; separate fields by single spaces, as AWS does",
        ),
        (
            "join(\"\", [\"$${version}\", \"$${srcaddr}\"])",
            "expected fields joined by `\" \"`, found `\"\"` at byte 5; separate fields by single spaces, as AWS does",
        ),
        ("[version, srcaddr", "expected the bracket that closes this one, found none at byte 0"),
        ("version, srcaddr]", "expected brackets that match, found `]` at byte 16"),
        ("[version, (srcaddr])", "expected brackets that match, found `]` at byte 18"),
        (
            "${version} ${local.more}",
            "expected a field's name, found `.` at byte 18; names are letters, digits and dashes",
        ),
        (
            "[ec2.LogFormat.VERSION, ec2.LogFormat.SRC_ADR]",
            "expected a constant of CDK's LogFormat, found `SRC_ADR` at byte 38; did you mean `LogFormat.SRC_ADDR`?",
        ),
        ("reverse(\"$${version}\")", "expected a field's name, found `(` at byte 7"),
        (
            "\"${version}\" \"${srcaddr}\" | head",
            "expected a field's name, found `|` at byte 26; names are letters, digits and dashes",
        ),
        (
            "the format is ${version} ${srcaddr}",
            "expected a field's name, found `the` at byte 0; write a field that is not in the field list as `${the}`",
        ),
        (
            "[ec2.LogFormat.VERSION, srcadr]",
            "expected a field's name, found `srcadr` at byte 24; did you mean `${srcaddr}`?",
        ),
        (
            "${version};${srcaddr}",
            "expected a space between fields, found `;` at byte 10; separate fields by single spaces, as AWS does",
        ),
        (
            "'version''srcaddr'",
            "expected a space between fields, found `s` at byte 10; separate fields by single spaces, as AWS does",
        ),
        (
            "version # srcaddr",
            "expected a field's name, found `#` at byte 8; names are letters, digits and dashes",
        ),
        (
            "log_format = \"$${version} $${srcaddr}\"\n$${dstaddr} /",
            "expected a field's name, found `/` at byte 51; names are letters, digits and dashes",
        ),
        (
            "LogFormat: '${version}'\nTrafficType: ${srcaddr}",
            "expected the end of the log format, found `TrafficType` at byte 24; the format that begins with `version` ends before; to read a whole file, name the file",
        ),
        (
            "replace(\"$${version}\", \"a\", \"b\")",
            "expected only spaces to be replaced, found `a` at byte 24",
        ),
    ] {
        check_error(text, expected);
    }
}

#[test]
fn formats_in_files() {
    let terraform = r#"
# log_format = "$${version} $${start}"
variable "format" {
  type    = string
  default = "$${version} $${srcaddr} $${dstaddr} $${bytes}"
}

locals {
  bucket = "${var.name}-${var.region}-${type}"
  fields = join(" ", [
    "$${version}", # it's the first
    "$${vpc-id}", "$${action}",
  ])
}

resource "aws_flow_log" "a" {
  log_destination = "${aws_s3_bucket.logs.arn}/x"
  log_format      = local.fields
}

resource "aws_flow_log" "b" {
  log_format = "$${version} $${vpc-id}"
}
"#;
    let template = "Resources:\n  Logs:\n    Type: AWS::EC2::FlowLog\n    Properties:\n      Tags:\n        - Key: Name\n          Value: !Sub '${AWS::StackName} ${type}'\n      LogFormat: >-\n        ${version} ${account-id}\n        ${bytes}\n      MaxAggregationInterval: 60\n  Other:\n    Type: AWS::EC2::FlowLog\n    Properties:\n      LogFormat: !Sub\n        '${!version} ${!srcaddr}'\n      LogDestination: !Sub 'arn:${AWS::Partition}:s3:::x'\n";
    let json = "{\n \"Resources\": {\n  \"Logs\": {\n   \"Type\": \"AWS::EC2::FlowLog\",\n   \"Properties\": {\n    \"LogFormat\": {\"Fn::Sub\": \"${!version} ${!bytes}\"},\n    \"TrafficType\": \"ALL\"\n   }\n  }\n }\n}\n";
    let cdk = "const vpc = new ec2.Vpc(this, 'Vpc');\n// don't keep all\nnew ec2.FlowLog(this, 'Keep', {\n  resourceType: ec2.FlowLogResourceType.fromVpc(vpc),\n  logFormat: [\n    ec2.LogFormat.VERSION, ec2.LogFormat.SRC_ADDR,\n    ec2.LogFormat.custom('${vpc-id}'),\n  ],\n  trafficType: ec2.FlowLogTrafficType.ALL,\n});\n";
    let java = "vpc.addFlowLog(\"Keep\", FlowLogOptions.builder()\n  .logFormat(List.of(LogFormat.VERSION, LogFormat.BYTES))\n  .build());\n";
    let python = "import json\n\nLOG_FORMAT = (\n    \"${version} ${srcaddr} \"\n    \"${dstaddr}\"\n)\nprint(f'{x} ${start}')\n";
    let shell = "#!/bin/sh\nset -e\necho \"from ${start} to ${end}\"\naws ec2 create-flow-logs --traffic-type ALL \\\n  --log-format '${version} ${bytes}' \\\n  --tag x\n";
    let reference = "logFormat?: ec2.LogFormat[]; // as [ec2.LogFormat.VERSION]\nlog_format: json\nLogFormat: !Ref Format\n";
    type Expected<'a> = &'a [(usize, &'a str, &'a str)];
    let cases: [(&str, Expected<'_>); 13] = [
        (
            terraform,
            &[
                (5, "var.format", "version srcaddr dstaddr bytes"),
                (10, "fields", "version vpc-id action"),
                (22, "aws_flow_log.b", "version vpc-id"),
            ],
        ),
        (template, &[(8, "Logs", "version account-id bytes"), (15, "Other", "version srcaddr")]),
        (json, &[(6, "Logs", "version bytes")]),
        (cdk, &[(5, "Keep", "version srcaddr vpc-id")]),
        (java, &[(2, "Keep", "version bytes")]),
        (python, &[(3, "LOG_FORMAT", "version srcaddr dstaddr")]),
        (shell, &[(5, "", "version bytes")]),
        (reference, &[]),
        ("", &[]),
        ("nothing to see", &[]),
        ("version vpc-id srcaddr\n2 vpc-1 10.0.0.1\n", &[(1, "", "version vpc-id srcaddr")]),
        ("\n${version} ${vpc-id}\n", &[(2, "", "version vpc-id")]),
        (
            "FLOWLOGS\t2026-01-01T00:00:00Z\tfl-1\t${version} ${vpc-id} ${bytes}\tALL\n",
            &[(1, "fl-1", "version vpc-id bytes")],
        ),
    ];
    for (text, expected) in cases {
        let found = found(text);
        let got: Vec<(usize, String, String)> = found
            .iter()
            .map(|f| {
                let names: Vec<&str> = f.format.fields().iter().map(Field::name).collect();
                (f.line, f.name.clone().unwrap_or_default(), names.join(" "))
            })
            .collect();
        let expected: Vec<(usize, String, String)> =
            expected.iter().map(|(l, n, f)| (*l, (*n).to_owned(), (*f).to_owned())).collect();
        assert_eq!(got, expected, "{text}");
    }
}

#[test]
fn names_of_other_tools() {
    let v2 = Catalogue::builtin().named_format("v2").expect("a default").join(" ");
    for text in [
        "version accountId interfaceId srcAddr dstAddr srcPort dstPort protocol packets bytes start end action logStatus",
        "[version, accountid, interfaceid, srcaddr, dstaddr, srcport, dstport, protocol, packets, bytes, start, end, action, logstatus]",
        "[version, account, eni, source, destination, srcport=\"22\", destport, protocol != 6, packets > 5, bytes, windowstart, windowend, action=\"ACCEPT\", flowlogstatus]",
        "version, account, interfaceid, sourceaddress, destinationaddress, sourceport, destinationport, protocol, numpackets, numbytes, starttime, endtime, action, logstatus",
    ] {
        check(text, &v2);
    }
    check("trafficPath flowDirection new_name", "traffic-path flow-direction new-name");
    // AWS's own spelling is what it is; so is that of records.
    check("${accountId} ${bytes}", "accountid bytes");
    let written = LogFormat::parse("accountid bytes", Catalogue::builtin()).expect("valid");
    assert_eq!(written.to_string(), "${accountid} ${bytes}");
    check("[bytes, source, reason]", "bytes source reason");
}

#[test]
fn what_files_call_them() {
    let state = |types: [&str; 2]| {
        let flow_log = |kind: &str, name: &str, format: &str| {
            format!(
                "{{\"mode\": \"managed\", \"type\": \"{kind}\", \"name\": \"{name}\", \"instances\": [{{\"attributes\": {{\"id\": \"fl-0{name}\", \"log_format\": \"{format}\"}}}}]}}"
            )
        };
        let (one, two) =
            (flow_log(types[0], "core", "${version} ${end}"), flow_log(types[1], "edge", "${bytes} ${end}"));
        format!("{{\"version\": 4, \"resources\": [{one},\n{two}]}}")
    };
    let text = state(["aws_flow_log"; 2]);
    for (name, expected) in [
        ("aws_flow_log.core", Some("${version} ${end}")),
        ("core", Some("${version} ${end}")),
        ("fl-0edge", Some("${bytes} ${end}")),
        ("2", Some("${bytes} ${end}")),
        ("aws_flow_log", None),
        ("3", None),
    ] {
        let called: Vec<_> = found(&text).into_iter().filter(|f| f.is_called(name)).collect();
        assert_eq!(called.first().map(|f| f.format.to_string()).as_deref(), expected, "{name}");
        assert!(called.len() < 2, "{name}");
    }
    let other = state(["aws_vpc"; 2]);
    assert!(found(&other).iter().all(|f| !f.is_called("core") && !f.is_called("fl-0core")));
}

#[test]
fn formats_that_other_files_have() {
    let fields = "locals {\n  names = [\n    \"version\", # first\n    \"tgw-id\",\n  ]\n}\n";
    for (text, line) in [
        (format!("{fields}x = 1\nresource \"aws_flow_log\" \"a\" {{\n  log_format = join(\" \", [for n in local.names : \"$${{${{n}}}}\"])\n}}\n"), 9),
        ("# An example:\n#   resource \"aws_flow_log\" \"a\" {\n#     log_format = \"$${version} $${tgw-id}\"\n#   }\n".to_owned(), 3),
        ("// log_format = \"$${version} $${tgw-id}\"\nx = 1\n".to_owned(), 1),
    ] {
        let found = found(&text);
        assert!(!found.is_empty() && found.iter().all(|f| f.format.to_string() == "${version} ${tgw-id}"), "{found:?} in {text}");
        assert_eq!(found.last().map(|f| f.line), Some(line), "{text}");
    }
    let page = "Use this:\n\n```text\n${version} ${tgw-id}\n${end}\n```\n\nThat is all.\n";
    let page = &found(page)[0];
    assert_eq!((page.format.to_string().as_str(), page.line), ("${version} ${tgw-id} ${end}", 4));
    let beat =
        "processors:\n  - parse_aws_vpc_flow_log:\n      format: version tgw-id end\n      field: message\n";
    assert_eq!(found(beat)[0].format.to_string(), "${version} ${tgw-id} ${end}");
    for text in [
        "format: json\n",
        "a: 1\nformat: start end\n",
        "# log_format is what it says\n",
        "# format: version\n",
    ] {
        assert_eq!(found(text), [], "{text}");
    }
}

#[test]
fn a_mistake_in_an_announced_format_is_told() {
    for (text, expected) in [
        (
            "a = 1\nlog_format = \"$${version} $${src addr}\"\n",
            "expected `}` after the field's name, found none at byte 32",
        ),
        ("log_format = \"${local.base} ${vpc-id}\"\n", "expected a field's name, found `.` at byte 21"),
        (
            "logFormat: [ec2.LogFormat.VERSION, more],\nx: 1",
            "expected a field's name, found `more` at byte 35",
        ),
    ] {
        let error = find_formats(text, Catalogue::builtin()).map_err(|e: FormatError| e.to_string());
        assert_eq!(error.err().unwrap_or_default(), expected, "{text}");
    }
}

/// How a list of fields is written in some language.
type Spelling = fn(&[&str]) -> String;

fn each(fields: &[&str], before: &str, behind: &str, between: &str) -> String {
    fields.iter().map(|f| format!("{before}{f}{behind}")).collect::<Vec<_>>().join(between)
}

const SPELLINGS: [Spelling; 20] = [
    |f| each(f, "${", "}", " "),
    |f| format!("'{}'", each(f, "${", "}", " ")),
    |f| format!("‘{}’", each(f, "${", "}", " ")),
    |f| each(f, "$${", "}", " "),
    |f| format!("log_format = \"{}\"", each(f, "$${", "}", " ")),
    |f| format!("join(\" \", [{}])", each(f, "\"$${", "}\"", ", ")),
    |f| format!("log_format = join(\" \", [\n{},\n])\n", each(f, "    \"$${", "}\"", ", # why\n")),
    |f| format!("<<-EOT\n  {}\n  EOT\n", each(f, "$${", "}", " ")),
    |f| each(f, "\\${", "}", " "),
    |f| format!("const format = `{}`;", each(f, "\\${", "}", " ")),
    |f| each(f, "$\\{", "}", " "),
    |f| format!("LogFormat: !Sub '{}'", each(f, "${!", "}", " ")),
    |f| format!("LogFormat:\n  Fn::Sub: >-\n    {}\n", each(f, "${!", "}", "\n    ")),
    |f| format!("\"LogFormat\": \"{}\",", each(f, "${", "}", " ")),
    |f| {
        format!(
            "{{\"FlowLogs\": [{{\"FlowLogId\": \"fl-1\", \"LogFormat\": \"{}\"}}]}}",
            each(f, "${", "}", " ")
        )
    },
    |f| format!("logFormat: [{}]", each(f, "ec2.LogFormat.custom('${", "}')", ", ")),
    |f| each(f, "", "", ", "),
    |f| format!("[{}]", each(f, "\"", "\"", ", ").replace('-', "_")),
    |f| each(f, "- ", "", "\n"),
    |f| each(f, "`", "`", " "),
];

fn check_spellings(fields: &[&str]) {
    let expected = LogFormat::parse(&each(fields, "${", "}", " "), Catalogue::builtin()).expect("valid");
    for (i, spelling) in SPELLINGS.iter().enumerate() {
        let text = spelling(fields);
        assert_eq!(given(&text), Ok(expected.clone()), "spelling {i}: {text}");
        let found = found(&text);
        assert!(
            found.iter().all(|f| f.format == expected) && !found.is_empty(),
            "spelling {i}: {found:?} in {text}"
        );
    }
}

#[test]
fn every_default_format_in_every_spelling() {
    let catalogue = Catalogue::builtin();
    for name in catalogue.format_names() {
        check_spellings(&catalogue.named_format(&name).expect("a default"));
    }
}

/// Pieces of code, so that random texts come close to formats.
const PIECES: [&str; 56] = [
    "${version}",
    "$${vpc-id}",
    "\\${srcaddr}",
    "${!bytes}",
    "$\\{end}",
    "${{start}}",
    "${",
    "$",
    "\\",
    "version",
    "vpc_id",
    "'",
    "\"",
    "`",
    "‘",
    "’",
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ",",
    ";",
    ":",
    "=",
    "=>",
    " ",
    "\n",
    "  - ",
    "join(\" \", [",
    "<<EOF",
    "<<-EOT\n",
    "EOF",
    "#",
    "//",
    "/*",
    "!Sub ",
    ">-\n",
    "LogFormat",
    "log_format = ",
    "ec2.LogFormat.SRC_ADDR",
    "ec2.LogFormat.custom(",
    "Fn::Sub: ",
    "fl-1",
    "FLOWLOGS\t",
    "\t",
    "| ",
    "1. ",
    "[for f in [",
    " : \"$${${f}}\"]",
    "formatlist(\"$${%s}\", ",
    "local.x",
    " ? ",
    " : null",
    "create table x (",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn every_custom_format_in_every_spelling(
        fields in proptest::collection::hash_set(0..Catalogue::builtin().fields().len(), 2..20),
    ) {
        let all = Catalogue::builtin().fields();
        let fields: Vec<&str> = fields.into_iter().map(|i| all[i].name.as_str()).collect();
        // A word of names alone may be what a shell left of others.
        check_spellings(&fields);
    }

    #[test]
    fn any_text_is_read_or_refused(text in any::<String>()) {
        harmless(&text);
    }

    #[test]
    fn any_code_is_read_or_refused(pieces in proptest::collection::vec(select(&PIECES[..]), 0..40)) {
        harmless(&pieces.concat());
    }
}

/// Reads `text` in all ways; errors must point into it.
fn harmless(text: &str) {
    let catalogue = Catalogue::builtin();
    if let Err(e) = LogFormat::parse(text, catalogue) {
        let _ = (e.pointer(), e.line());
        assert!(e.offset() <= text.len());
    }
    match LogFormat::given(text, catalogue) {
        Ok(format) => assert_eq!(LogFormat::parse(&format.to_string(), catalogue), Ok(format)),
        Err(GivenError::Format(e)) => {
            assert!(e.text().is_char_boundary(e.offset()) && !e.pointer().is_empty())
        }
        Err(GivenError::Several(found)) => assert!(found.len() > 1),
    }
    let _ = find_formats(text, catalogue).map_err(|e| e.pointer());
}

#[test]
fn commands_and_calls_of_sdks() {
    for text in [
        "aws ec2 create-flow-logs --log-format \"\\${version} \\${account-id}\"",
        "aws ec2 create-flow-logs --resource-type VPC --log-format '${version} ${account-id}' --traffic-type ALL",
        "LogFormat: aws.String(\"${version} ${account-id}\")",
        "-LogFormat '${version} ${account-id}'",
        "-LogFormat \"`${version} `${account-id}\"",
        "New-EC2FlowLog -ResourceId vpc-1 -LogFormat \"`${version} `${account-id}\" -TrafficType ALL",
    ] {
        check(text, "version account-id");
        assert_eq!(found(&format!("{text}\n")).len(), 1, "{text}");
    }
    // A field behind the format would be left out.
    let behind =
        ["--y ${srcaddr}", "y"].map(|more| format!("x --log-format '${{version}} ${{bytes}}' {more}"));
    assert!(behind.iter().all(|text| given(text).is_err()));
}
