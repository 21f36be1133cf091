"""Flow logs in every delivery that people have: the same records come out of each, in any compression."""

import base64
import collections
import csv
import gzip
import io
import json
import random
import re

import pytest
import pyarrow

import naive
import s3
from conftest import ROOT, convert, rejects, rows, run

FIELDS = naive.V2.split()


@pytest.fixture(autouse=True)
def every_table_is_read_back():
    """Naive reading knows lines alone: tables are compared here with the lines before they were framed."""


def records(count, seed=0):
    """Lines of version 2, every seventh without data, every eleventh no record."""
    random_ = random.Random(seed)
    lines = []
    for i in range(count):
        start = 1_704_067_200 + i * 7
        if i % 7 == 3:
            lines.append(f"2 111122223333 eni-0aa{i % 5} - - - - - - - {start} {start + 60} - NODATA")
        else:
            ports = " ".join(str(random_.randrange(65_536)) for _ in range(2))
            lines.append(f"2 111122223333 eni-0aa{i % 5} 10.0.{i % 9}.5 192.0.2.9 {ports} 6 {i} {i * 40} {start} {start + 60} ACCEPT OK")
    return [line if i % 11 != 5 else f"{line} more" for i, line in enumerate(lines)]


def time_of(line):
    """The record's time, wherever its format has it, in milliseconds; that of an event without one is any."""
    found = re.search(r"\b17\d{8}\b", line)
    return int(found[0] if found else 1_704_067_200) * 1000


def subscription(lines, kind="DATA_MESSAGE"):
    events = [{"id": str(i), "timestamp": time_of(line), "message": line} for i, line in enumerate(lines)]
    return {"messageType": kind, "owner": "1", "logGroup": "flow", "logStream": "eni-0aa0-all", "subscriptionFilters": ["all"], "logEvents": events}


CONTROL = {"messageType": "CONTROL_MESSAGE", "owner": "CloudwatchLogs", "logEvents": [{"id": "", "message": "CWL CONTROL MESSAGE: Checking health of destination"}]}


def pieces(lines):
    return [lines[i : i + 9] for i in range(0, len(lines), 9)]


def table(lines, separator=",", quoting=csv.QUOTE_MINIMAL, header=("timestamp", "message")):
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, quoting=quoting, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([time_of(line), line] for line in lines)
    return text.getvalue()


def iso(line):
    return naive.day(time_of(line) // 86_400_000) + "T00:00:00.000Z"


DELIVERIES = {
    "lines": lambda lines: "\n".join(lines),
    "export, ISO": lambda lines: "".join(f"{iso(line)} {line}\n" for line in lines),
    "export, milliseconds": lambda lines: "".join(f"{time_of(line)} {line}\n" for line in lines),
    "aws logs tail": lambda lines: "".join(f"{iso(line)[:-1]}000+00:00 eni-0aa1-all {line}\n" for line in lines),
    "subscription": lambda lines: json.dumps(subscription(lines)),
    "subscription, concatenated": lambda lines: json.dumps(CONTROL) + "".join(json.dumps(subscription(p)) for p in pieces(lines)),
    "subscription, a line each": lambda lines: "".join(json.dumps(subscription(p)) + "\n" for p in pieces(lines)),
    "subscription, pretty": lambda lines: "\n".join(json.dumps(subscription(p), indent=2) for p in pieces(lines)),
    "direct put": lambda lines: "".join(json.dumps({"message": line}) for line in lines),
    "direct put, a line each": lambda lines: "".join(json.dumps({"message": line + "\n"}) + "\n" for line in lines),
    "get-log-events": lambda lines: json.dumps({"events": [{"timestamp": time_of(x), "message": x, "ingestionTime": 1} for x in lines], "nextForwardToken": "f/1"}, indent=4),
    "messages alone": lambda lines: json.dumps(lines, indent=4),
    "text of the CLI": lambda lines: "b/1/s\tf/2/s\n" + "".join(f"EVENTS\t1\t{x}\t{time_of(x)}\n" for x in lines),
    "log shipper": lambda lines: "".join(json.dumps({"log": x, "stream": "stdout"}) + "\n" for x in lines),
    "array": lambda lines: json.dumps([{"message": line} for line in lines]),
    "insights, JSON": lambda lines: json.dumps({"results": [[{"field": "@timestamp", "value": "x"}, {"field": "@message", "value": x}] for x in lines]}),
    "console, CSV": table,
    "insights, CSV": lambda lines: table(lines, quoting=csv.QUOTE_ALL, header=("@timestamp", "@message")),
    "console, TSV": lambda lines: table(lines, separator="\t"),
    "column of lines": lambda lines: table(lines, header=("_time", "_raw")),
    "lines in quotes": lambda lines: "".join(json.dumps(line) + "\n" for line in lines),
    "any key": lambda lines: "".join(json.dumps({"textPayload": x, "insertId": str(i)}) + "\n" for i, x in enumerate(lines)),
    "Loki": lambda lines: json.dumps({"data": {"resultType": "streams", "result": [{"stream": {"app": "flow"}, "values": [[f"{time_of(x)}000000", x] for x in lines]}]}}),
    "OpenTelemetry": lambda lines: json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": [{"timeUnixNano": "1", "body": {"stringValue": x}} for x in lines]}]}]}),
    "text in text": lambda lines: "".join(json.dumps({"Type": "Notification", "Message": json.dumps(subscription(p))}) for p in pieces(lines)),
    "quotes in text": lambda lines: "".join(json.dumps({"message": json.dumps(x)}) + "\n" for x in lines),
    "time in text": lambda lines: "".join(json.dumps({"message": f"{iso(x)} {x}"}) + "\n" for x in lines),
    "Lambda": lambda lines: json.dumps({"awslogs": {"data": base64.b64encode(gzip.compress(json.dumps(subscription(lines)).encode(), mtime=0)).decode()}}),
    "not processed": lambda lines: "".join(json.dumps({"attemptsMade": 4, "errorCode": "Lambda.FunctionError", "rawData": base64.b64encode(x.encode()).decode()}) + "\n" for x in lines),
    "fluentd": lambda lines: "".join(f"{iso(x)}\tvpc.flow\t" + json.dumps({"message": x}) + "\n" for x in lines),
    "containers": lambda lines: "".join(f"{iso(x)} stdout F {x}\n" for x in lines),
    "columns, any name": lambda lines: table(lines, header=("when", "what")),
    "no header, CSV": lambda lines: table(lines).split("\n", 1)[1],
    "comments": lambda lines: "# exported\n#\n" + "\n".join(lines) + "\n",
}

# Told by lines that look like records: other lines are not taken for lines there.
BY_THEIR_LINES = {"messages alone", "text of the CLI", "log shipper", "any key", "Loki", "OpenTelemetry", "not processed", "columns, any name", "no header, CSV"}

COMPRESSIONS = {
    "plain": lambda data: data,
    "gzip": lambda data: gzip.compress(data, mtime=0),
    "zstd": lambda data: pyarrow.Codec("zstd").compress(data, asbytes=True),
    "gzip in gzip": lambda data: gzip.compress(gzip.compress(data, mtime=0), mtime=0),
    "members": lambda data: gzip.compress(data[: len(data) // 3], mtime=0) + gzip.compress(data[len(data) // 3 :], mtime=0),
}


def expected(lines):
    return naive.read("\n".join(lines).encode(), naive.V2)


def ordered(found):
    return sorted(found, key=lambda row: json.dumps(row, sort_keys=True, default=str))


def check(out, report, lines):
    want, bad = expected(lines)
    assert (report["records"], report["rejects"], report["lines"]) == (len(want), len(bad), len(want) + len(bad))
    assert ordered([{k: row.get(k) for k in want[0]} for _, row in rows(out)]) == ordered(want)
    return bad


@pytest.mark.parametrize("delivery", DELIVERIES)
def test_the_same_records_from_each_delivery(tmp_path, delivery):
    lines = records(200)
    for name, compress in COMPRESSIONS.items():
        logs, out = tmp_path / f"{name}.in", tmp_path / name
        logs.mkdir()
        (logs / "object").write_bytes(compress(DELIVERIES[delivery](lines).encode()))
        bad = check(out, convert(logs, out, "--format", "v2"), lines)
        # Line numbers are those of the innermost text.
        assert sorted(r["line"] for r in rejects(out)) == bad, name


def test_all_in_one_run_and_through_little_memory(tmp_path):
    """Long texts are streamed, in pieces that end anywhere."""
    logs, out = tmp_path / "logs", tmp_path / "out"
    logs.mkdir()
    lines = records(50_000)
    for i, make in enumerate(DELIVERIES.values()):
        data = make(lines).encode()
        (logs / f"{i:02}").write_bytes(gzip.compress(data, 1, mtime=0) if i % 2 else data)
    report = convert(logs, out, "--format", "v2", "--memory", "256M")
    want, bad = expected(lines)
    count = len(DELIVERIES)
    assert (report["records"], report["rejects"]) == (count * len(want), count * len(bad))
    of_start = collections.Counter(row["start"] for _, row in rows(out))
    assert of_start == {row["start"]: count for row in want}


def test_tables_and_documents_with_a_column_a_field(tmp_path):
    lines = [line for line in records(60) if not line.endswith("more")]
    names = {
        "05.csv": (",", [name.replace("-", "_") for name in FIELDS]),
        "05q.csv": (",", FIELDS),
        "05.tsv": ("\t", FIELDS),
        "05.unload": ("\x01", FIELDS),
        "05q.blanks": (" ", FIELDS),
        "hive.tsv": ("\t", [f"flow.{name.replace('-', '_')}" for name in FIELDS]),
        "insights.csv": (",", ["version", "accountId", "interfaceId", "srcAddr", "dstAddr", "srcPort", "dstPort", "protocol", "packets", "bytes", "start", "end", "action", "logStatus"]),
    }  # fmt: skip
    for name, (separator, header) in names.items():
        logs, out = tmp_path / name, tmp_path / f"{name}.out"
        logs.mkdir()
        quote = csv.QUOTE_ALL if "q" in name else csv.QUOTE_MINIMAL
        with open(logs / name, "w", encoding="utf-8-sig" if "q" in name else "utf-8", newline="") as file:
            csv.writer(file, delimiter=separator, quoting=quote).writerows([header] + [line.split() for line in lines])
        report = convert(logs, out)
        want, _ = expected(lines)
        assert (report["records"], report["rejects"]) == (len(want), 0), name
        assert ordered([{k: row.get(k) for k in want[0]} for _, row in rows(out)]) == ordered(want), name
    for name, write in {"lines.json": lambda d: json.dumps(d) + "\n", "glued.json": json.dumps}.items():
        logs, out = tmp_path / name, tmp_path / f"{name}.out"
        logs.mkdir()
        documents = []
        for line in lines:
            values = {f.replace("-", "_"): int(v) if v.isdigit() and f not in ("account-id",) else v for f, v in zip(FIELDS, line.split())}
            # Some writers leave nulls out.
            documents.append({k: None if v == "-" else v for k, v in values.items() if v != "-" or len(documents) % 2})
        (logs / name).write_text("".join(map(write, documents)))
        report = convert(logs, out)
        want, _ = expected(lines)
        assert (report["records"], report["rejects"]) == (len(want), 0), name
        assert ordered([{k: row.get(k) for k in want[0]} for _, row in rows(out)]) == ordered(want), name


def test_blanks_in_values_of_tables_and_documents_are_kept(tmp_path):
    """A tag may hold anything; numbers and addresses have no blanks that mean something."""
    tags = ["my team", "a, \"b\"  c", " before", "behind ", "line\nbreak", "tab\there", "", "-", "null", "ümlaut ☃"]
    records = [{"version": "11", "srcaddr": f"10.0.0.{i}", "start": f" {1_704_067_200 + i} " if i % 2 else str(1_704_067_200 + i), "instance_tag": tag, "bytes": str(i)} for i, tag in enumerate(tags)]
    # What is no number is a reject, at its own place.
    records.insert(4, {**records[0], "bytes": "1 2"})
    # Rows in the bytes of Latin-1 are rejects, also one with a value too many: no byte of theirs stands for another.
    latin = tmp_path / "latin"
    latin.write_bytes("version,srcaddr,start,x\n2,10.0.0.1,1704067200,a b\n2,10.0.0.1,1704067200,ü ü,more\n2,10.0.0.1,1704067200,ü\n".encode("latin-1"))
    report = convert(latin, tmp_path / "latin.out")
    assert (report["records"], report["rejects_by_reason"]) == (1, {"invalid-utf8": 2})
    for name, separator in {"table.csv": ",", "table.tsv": "\t", "table;csv": ";", "lines.json": None}.items():
        logs, out = tmp_path / name, tmp_path / f"{name}.out"
        logs.mkdir()
        with open(logs / name, "w", encoding="utf-8", newline="") as file:
            if separator is None:
                file.writelines(json.dumps(r) + "\n" for r in records)
            else:
                writer = csv.DictWriter(file, list(records[0]), delimiter=separator, lineterminator="\n", quoting=csv.QUOTE_ALL)
                writer.writeheader()
                writer.writerows(records)
        report = convert(logs, out)
        assert (report["records"], report["rejects"]) == (len(tags), 1), name
        nulls = {"", "-"} if separator is None else {"", "-", "null"}
        want = {i: None if tag in nulls else tag for i, tag in enumerate(tags)}
        assert {row["bytes"]: row["instance_tag"] for _, row in rows(out)} == want, name
        (reject,) = rejects(out)
        assert (reject["line"], reject["field"]) == (6, "bytes") and "my team 1 2" in reject["raw"], reject
        text = "version srcaddr start instance-tag bytes\n" + "".join(f"11 {r['srcaddr']} {r['start'].strip()} {r['instance_tag'] or '-'} {r['bytes']}\n" for r in records[:4])
        assert reject["offset"] == len(text.encode()), reject


def test_days_of_what_firehose_delivered(tmp_path):
    """Its names tell the time; those of an export of a log group tell none, which is no quiet day."""
    lines = records(20)
    for day in (26, 27):
        folder = tmp_path / "fh" / "2026" / "11" / str(day) / "00"
        folder.mkdir(parents=True)
        (folder / f"flow-1-2026-11-{day}-00-00-01-0a1b2c3d-0000-1111-2222-0123456789ab.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    export = tmp_path / "cw" / "0a1b2c3d-0000-1111-2222-0123456789ab" / "eni-0a-all"
    export.mkdir(parents=True)
    (export / "000000.gz").write_bytes(gzip.compress("\n".join(f"{iso(line)} {line}" for line in lines).encode()))
    report = convert(tmp_path / "fh", tmp_path / "t", "--since", "2026-11-27", "--format", "v2")
    assert (report["objects"]["converted"], report["objects"]["left_out"]) == (1, 1)
    words = run("convert", tmp_path / "cw", "--out", tmp_path / "t2", "--since", "2026-11-27", "--format", "v2", "--quiet", check=1).stderr
    assert "error: a filter asks for what no key tells" in words and "hint: leave out the filter" in words, words
    # A manifest may be of an hour in which this account had nothing.
    (tmp_path / "hour.txt").write_text("".join(f"{path}\n" for path in (tmp_path / "fh").rglob("*.gz")))
    quiet = run("convert", "--manifest", tmp_path / "hour.txt", "--out", tmp_path / "t3", "--account", "111122223333", "--format", "v2").stderr
    assert "done: nothing to do: no object matches --account 111122223333" in quiet, quiet
    both = run("convert", tmp_path / "cw", tmp_path / "fh", "--out", tmp_path / "t", "--since", "2026-11-27", "--format", "v2").stderr
    assert "warning: skipped 1 object without a date" in both and "1 object already in the table" in both, both


def test_all_of_them_in_a_bucket(tmp_path):
    """The same objects as in a folder, in every compression."""
    lines = records(80)
    logs = tmp_path / "logs"
    for name, compress in COMPRESSIONS.items():
        for i, make in enumerate(DELIVERIES.values()):
            path = logs / name / f"{i:02}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(compress(make(lines).encode()))
    with s3.serve(load=logs) as server:
        report = s3.convert(server, "s3://logs/", "s3://lake/t/", "--format", "v2")
        out = server.fetch("t", tmp_path / "out")
    want, bad = expected(lines)
    count = len(DELIVERIES) * len(COMPRESSIONS)
    assert (report["objects"]["converted"], report["records"], report["rejects"]) == (count, count * len(want), count * len(bad))
    assert ordered([{k: row.get(k) for k in want[0]} for _, row in rows(out)]) == ordered(want * count)
    assert sorted(r["line"] for r in rejects(out)) == sorted(bad * count)


RECORDS = [line for line in records(5) if not line.endswith("more")]


@pytest.mark.parametrize(
    "text, bad",
    [
        # Streams and files without newlines: Firehose adds none, and `cat` joins what has none at its end.
        ("".join(RECORDS), 0),
        (f"{naive.V2}\n{''.join(RECORDS)}", 0),
        (f"{RECORDS[0]}{RECORDS[1]}\n{RECORDS[2]} more\n" + "\n".join(RECORDS[2:]), 1),
        # Bytes that a crash or an editor left around lines.
        ("\0" * 600 + "\n".join(RECORDS), 0),
        ("\n".join(RECORDS) + "\n" + "\0" * 600, 0),
        (RECORDS[0] + "\n2 1 \0 x\n" + "\n".join(RECORDS[1:]) + "\n\x1a", 1),
        ("".join(f"\t{line}\t\r\n" for line in RECORDS), 0),
        # Files that were joined, an export behind others.
        (RECORDS[0] + "\n" + "".join(f"{iso(line)} {line}\n" for line in RECORDS[1:]), 0),
        ("\n".join([RECORDS[0], *(line.replace(" ", "\t", 3) for line in RECORDS[1:])]), 0),
    ],
)
def test_records_are_told_from_what_stands_around_them(tmp_path, text, bad):
    (tmp_path / "object").write_text(text, newline="")
    report = convert(tmp_path / "object", tmp_path / "out", "--format", "v2")
    assert (report["records"], report["rejects"]) == (len(RECORDS), bad)
    want, _ = expected(RECORDS)
    assert ordered([{k: row.get(k) for k in want[0]} for _, row in rows(tmp_path / "out")]) == ordered(want)


def test_records_that_could_come_apart_in_two_ways_are_rejects(tmp_path):
    """`start` and `version` have no seam that can be seen, nor has a tag."""
    for i, (format, line) in enumerate({"version srcaddr bytes": "2 10.0.0.5 8402 10.0.0.6 7", "version start instance-tag": "2 1704067200 a2 1704067200 b"}.items()):
        (tmp_path / f"{i}").write_text(f"{format}\n2 - -\n{line}\n")
        report = convert(tmp_path / f"{i}", tmp_path / f"{i}.out")
        assert (report["records"], report["rejects_by_reason"]) == (1, {"too-many-fields": 1})


@pytest.mark.parametrize(
    "data, says",
    [
        ("\ufeffversion".encode("utf-16"), "iconv"),
        (b"PK\x03\x04rest", "unzip"),
        ("2 111122223333 eni-1".encode("utf-16-le"), "iconv"),
        (b"\x78\x9crest", "zlib"),
        (b"ARROW1\0\0rest", "Arrow"),
        (b"\x7fELF\x02\x01\x01\0\0\0", "binary"),
        (b"BZh91AY&SY", "bunzip2"),
        (b"\xfd7zXZ\x00", "unxz"),
        (b'{"class_uid": 4001, "metadata": {}}', "OCSF"),
        (b'{"Records": [{"eventVersion": "1.08", "eventName": "x"}]}', "found a document"),
        (b'{"message": "2 a', "without an end"),
    ],
)
def test_what_is_known_and_not_read_is_named(tmp_path, data, says):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "object").write_bytes(data)
    report = convert(tmp_path / "in", tmp_path / "out", "--format", "v2", check=4)
    assert says in report["failed_objects"][0]["reason"] and report["failed_objects"][0]["cause"] == "not-a-log"


def test_markers_are_no_data_and_no_error(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "aws-logs-write-test").write_text("Permission Check Successful")
    report = convert(tmp_path / "in", tmp_path / "out", "--format", "v2")
    assert (report["objects"]["converted"], report["lines"]) == (1, 0)


def test_broken_documents_cost_no_good_line(tmp_path):
    lines = [line for line in records(50) if not line.endswith("more")]
    text = [json.dumps(subscription(p)) for p in pieces(lines)]
    text.insert(2, '{"messageType": "DATA_MESSAGE", "logEvents": [{"message": "2 1')
    text.insert(4, '{"unknown": true}')
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "object").write_text("\n".join(text))
    report = convert(tmp_path / "in", tmp_path / "out", "--format", "v2")
    assert (report["records"], report["rejects"]) == (len(lines), 2)
    assert all(r["raw"].startswith("{") for r in rejects(tmp_path / "out"))


# What docs/INPUT.md says goes in, and the deliveries here that show it.
PAGE = {
    "S3 delivery": ["lines", "comments"],
    "CloudWatch export": ["export, ISO", "export, milliseconds", "aws logs tail", "containers"],
    "CloudWatch subscription": ["subscription", "subscription, concatenated", "subscription, a line each", "subscription, pretty", "text in text", "Lambda"],
    "Firehose, Direct PUT": ["direct put", "direct put, a line each", "array", "not processed"],
    "`aws logs get-log-events`": ["get-log-events", "messages alone", "text of the CLI"],
    "Logs Insights, JSON": ["insights, JSON"],
    "Console or Insights, CSV and TSV": ["console, CSV", "insights, CSV", "console, TSV"],
    "a column a field": [],
    "shipped by other programs": ["log shipper", "any key", "Loki", "OpenTelemetry", "quotes in text", "time in text", "fluentd"],
    "tables with a column of lines": ["column of lines", "lines in quotes", "columns, any name", "no header, CSV"],
    "Parquet": [],
}


def test_the_page_says_what_goes_in():
    section = (ROOT / "docs/INPUT.md").read_text().split("# Input formats")[1].split("\n## ")[0]
    told = [row.split("|")[1].strip() for row in section.splitlines() if row.startswith("| ")][1:]
    assert told == list(PAGE) and sorted(sum(PAGE.values(), [])) == sorted(DELIVERIES)


def test_inspect_names_the_framing(tmp_path):
    (tmp_path / "export").write_text(DELIVERIES["export, ISO"](records(5)))
    assert "CloudWatch export" in run("inspect", tmp_path / "export").stdout
    (tmp_path / "documents").write_text(DELIVERIES["subscription"](records(5)))
    words = run("inspect", tmp_path / "documents").stdout
    assert "JSON documents" in words and "v2 (a default)" in words
