"""`flowquet inspect`: files, folders, prefixes and standard input. What is expected is known from how the input was made."""

import datetime
import gzip
import json
import re
import subprocess

import jsonschema
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import naive
import s3
from conftest import FLOWQUET, ROOT, convert, files, run
from test_deliveries import DELIVERIES, records

SCHEMA = jsonschema.Draft202012Validator(json.loads((ROOT / "schemas/inspect.schema.json").read_text()))
V2 = naive.V2.split()
FIRST = datetime.datetime(2026, 11, 22)


def record(at, status="OK"):
    start = int(at.replace(tzinfo=datetime.timezone.utc).timestamp())
    return f"2 111111111111 eni-0a 10.0.0.5 192.0.2.9 443 50000 6 10 840 {start} {start + 60} ACCEPT {status}"


def name(account, region, flow_log, at, suffix=".log.gz"):
    folder = f"AWSLogs/{account}/vpcflowlogs/{region}/{at:%Y/%m/%d}"
    return f"{folder}/{account}_vpcflowlogs_{region}_{flow_log}_{at:%Y%m%dT%H%MZ}_{abs(hash((flow_log, at))) % 16**8:08x}{suffix}"


def deliver(root, account, region, flow_log, times, header=naive.V2):
    """An object for each of `times`, of one record each; returns their sizes."""
    sizes = []
    for at in times:
        path = root / name(account, region, flow_log, at)
        path.parent.mkdir(parents=True, exist_ok=True)
        text = "\n".join(filter(None, [header, record(at)])) + "\n"
        path.write_bytes(gzip.compress(text.encode(), mtime=0))
        sizes.append(path.stat().st_size)
    return sizes


def every(minutes, days, without=()):
    """Times of deliveries, without those in half-open ranges of minutes from the start."""
    all_ = range(0, days * 1440, minutes)
    return [FIRST + datetime.timedelta(minutes=m) for m in all_ if not any(a <= m < b for a, b in without)]


def inspect(*args, check=0, **options):
    """The results as JSON, which its schema describes."""
    document = json.loads(run("inspect", *args, "--json", check=check, **options).stdout)
    SCHEMA.validate(document)
    return document["results"]


def utc(at):
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


@pytest.fixture
def two_logs(logs):
    """Two flow logs, every fifteen and every five minutes for two days, without 02:00 to 05:00 of the second day."""
    lost = [(1440 + 120, 1440 + 300)]
    made = {
        "fl-0aaa": ("111111111111", "eu-west-1", every(15, 2, lost)),
        "fl-0bbb": ("222222222222", "us-east-1", every(5, 2, [*lost, (600, 605)])),
    }
    sizes = {id_: deliver(logs, account, region, id_, times) for id_, (account, region, times) in made.items()}
    return {id_: (*told, sum(sizes[id_])) for id_, told in made.items()}


def test_a_folder_is_told_by_flow_log(logs, two_logs):
    [place] = inspect(logs)
    assert [log["flow_log"] for log in place["logs"]] == ["fl-0aaa", "fl-0bbb"] and place["others"] == []
    assert (place["objects"], place["bytes"]) == (sum(len(t) for _, _, t, _ in two_logs.values()), sum(b for *_, b in two_logs.values()))
    for log in place["logs"]:
        account, region, times, size = two_logs[log["flow_log"]]
        told = (log["account"], log["region"], log["objects"], log["bytes"], log["first"], log["last"], log["deliveries"])
        assert told == (account, region, len(times), size, utc(times[0]), utc(times[-1]), len(times))
        assert (log["formats"][0]["name"], log["formats"][0]["fields"], log["format_told_by"]) == ("v2", 14, "header")
        assert (log["compression"], log["framing"], log["looked_at"]) == ("gzip", "lines", 1)
        # The one delivery that is missing at ten is no gap; what is missing of the night is one.
        usual = 900 if log["flow_log"] == "fl-0aaa" else 300
        before = max(t for t in times if t.day == 23 and t.hour < 2)
        assert log["usual_pause_s"] == usual
        assert log["gaps"] == [{"from": utc(before), "to": "2026-11-23T05:00:00Z", "seconds": (5 * 3600 - (before - FIRST.replace(day=23)).seconds)}]
        # 48 characters of an hour each: three of the second day are empty, and ten o'clock of the first lacks one of twelve.
        assert (place["coverage_char_s"], place["coverage_from"]) == (3600, "2026-11-22T00:00:00Z")
        expected = ["█"] * 48
        expected[26:29] = "···"
        if log["flow_log"] == "fl-0bbb":
            expected[10] = "▇"
        assert log["coverage"] == "".join(expected)


def test_the_text_names_gaps_and_what_to_do_next(logs, two_logs):
    words = run("inspect", logs).stdout
    assert re.search(r"111111111111 +eu-west-1 +fl-0aaa +v2, 14 fields +180 +.*2026-11-22 00:00 +2026-11-23 23:45 +█{26}···█{19}", words)
    assert "gap 2026-11-23 01:45 to 05:00  fl-0aaa: 3 h 15 min without a delivery, usually every 15 min" in words
    assert "gap 2026-11-23 01:55 to 05:00  fl-0bbb: 3 h 5 min" in words
    assert "COVERAGE (1 char = 1 h)" in words
    assert words.splitlines()[-1] == f"next: flowquet convert {logs} --out TABLE"
    # The same filters, and the command that has them.
    words = run("inspect", logs, "--account", "111111111111", "--since", "2026-11-23", "--exclude", "**/x y/**").stdout
    assert "fl-0aaa" in words and "fl-0bbb" not in words and "gap 2026-11-23 01:45" in words
    assert words.splitlines()[-1] == f"next: flowquet convert {logs} --out TABLE --since 2026-11-23 --account 111111111111 --exclude '**/x y/**'"
    # And it does what it says.
    report = convert(logs, logs.parent / "out", "--account", "111111111111", "--since", "2026-11-23")
    [place] = inspect(logs, "--account", "111111111111", "--since", "2026-11-23")
    assert report["records"] == place["objects"] == 84


def test_what_is_no_flow_log_is_told_by_kind(logs, two_logs, tmp_path_factory):
    old = logs / "old"
    trail = logs / "AWSLogs/111111111111/CloudTrail/eu-west-1/2026/11/22"
    for folder in [old, trail]:
        folder.mkdir(parents=True)
    whole = gzip.compress(f"{naive.V2}\n{record(FIRST)}\n".encode() * 50)
    (trail / "111111111111_CloudTrail_eu-west-1_20261122T0000Z_abc.json.gz").write_bytes(gzip.compress(b'{"Records":[]}'))
    (old / "222222222222_CloudTrail_eu-west-1_20261122T0000Z_abc.json").write_bytes(b'{"Records":[]}')
    (old / "empty.log").touch()
    (old / "blank.log.gz").write_bytes(gzip.compress(b"\n \n"))
    (old / "damaged.log.gz").write_bytes(whole[: len(whole) // 2])
    (old / "damaged.parquet").write_bytes(b"PAR1 and nothing behind it")
    (old / "notes.txt").write_text("remember the milk\n")
    (old / "marker").write_text("Permission Check Successful")
    (old / "archive.zip").write_bytes(b"PK\x03\x04 and so on")
    (old / "good.log").write_text(f"{naive.V2}\n{record(FIRST)}\n")
    [place] = inspect(logs, check=4)
    kinds = {(o["kind"], o["service"]): o["objects"] for o in place["others"]}
    assert kinds == {
        ("service", "CloudTrail"): 2,
        ("empty", None): 2,
        ("marker", None): 1,
        ("damaged", None): 2,
        ("no-header", None): 1,
        ("not-a-log", None): 1,
    }
    # Each object is counted once: as a log, or as something else. What lies in the folder of a service is not wanted at all.
    told = sum(log["objects"] for log in place["logs"]) + sum(o["objects"] for o in place["others"])
    assert told == place["objects"] + 1 and place["left_out"] == 0
    [good] = [log for log in place["logs"] if log["flow_log"] is None]
    assert (good["origin"], good["objects"], good["formats"][0]["name"]) == ("old", 1, "v2")
    # A conversion says the same of them. Naive reading knows no such objects: the table is left where nobody reads it back.
    report = convert(logs, tmp_path_factory.mktemp("table") / "out", check=4)
    failed = sorted(o["cause"] for o in report["failed_objects"])
    assert failed == ["damaged", "damaged", "no-header", "not-a-log", "not-a-log"]
    assert report["records"] == sum(log["objects"] for log in place["logs"])
    words = run("inspect", logs, check=4).stdout
    for part in ["CloudTrail, by name", "no header line", "found `remember the milk`", "old/archive.zip", "2 objects: such as"]:
        assert part in words, part


def test_every_delivery_is_told(logs):
    """Of each delivery framing and format are told, and its lines are counted as a conversion counts them."""
    lines = records(40)
    for kind, make in DELIVERIES.items():
        content = make(lines)
        (logs / "object").write_bytes(content if isinstance(content, bytes) else content.encode())
        [found] = inspect(logs / "object")
        assert found["holds"] == "flow-log" and found["formats"][0]["name"] == "v2", kind
        report = convert(logs / "object", logs.parent / f"out-{re.sub('[^a-z]+', '-', kind.lower())}", "--format", "v2")
        counts = ["lines", "records", "rejects", "headers", "blanks"]
        assert {c: found["lines"][c] for c in counts} == {c: report[c] for c in counts}, kind
        assert found["lines"]["records_by_status"] == report["records_by_status"], kind


def test_deliveries_of_streams_and_exports_are_groups(logs, tmp_path_factory):
    uuid = "0a1b2c3d-0000-1111-2222-0123456789ab"
    lines = records(7)
    for at in every(5, 1):
        path = logs / f"fire/{at:%Y/%m/%d/%H}/my-flow-1-{at:%Y-%m-%d-%H-%M-%S}-{uuid}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(DELIVERIES["direct put"](lines))
    for stream in ["eni-0a-all", "eni-0b-all"]:
        path = logs / f"exported/{uuid}/{stream}/000000.gz"
        path.parent.mkdir(parents=True)
        path.write_bytes(gzip.compress(DELIVERIES["export, ISO"](lines).encode()))
    (logs / "exported/aws-logs-write-test").write_text("Permission Check Successful")
    [place] = inspect(logs)
    told = {log["group"]: log for log in place["logs"]}
    assert {g: (log["origin"], log["objects"], log["looked_at"], log["framing"]) for g, log in told.items()} == {
        "export": (f"exported/{uuid}", 2, 1, "cloudwatch-export"),
        "firehose": ("my-flow", 288, 1, "json"),
    }
    assert (told["firehose"]["first"], told["firehose"]["usual_pause_s"], told["firehose"]["gap_count"]) == (utc(FIRST), 300, 0)
    assert (told["export"]["first"], told["export"]["coverage"]) == (None, None)
    # No header line: the guess is in the command.
    assert all(log["format_told_by"] == "guess" for log in place["logs"]) and place["next"].endswith(" --format v2")
    assert [o["kind"] for o in place["others"]] == ["marker"]
    # Naive reading knows lines alone: the table is left where nobody reads it back.
    report = convert(logs, tmp_path_factory.mktemp("table") / "out", *place["next"].split()[5:])
    assert report["records"] == 290 * sum(len(line.split()) == 14 for line in lines)


def test_keys_that_tell_days(logs):
    for day in range(1, 21):
        if day != 7:
            path = logs / f"AWSLogs/111111111111/vpcflowlogs/eu-west-1/2026/11/{day:02}/x.log"
            path.parent.mkdir(parents=True)
            path.write_text(f"{naive.V2}\n{record(FIRST)}\n")
    [place] = inspect(logs)
    [log] = place["logs"]
    assert (log["first"], log["last"], log["usual_pause_s"]) == ("2026-11-01", "2026-11-20", 86_400)
    assert [(g["from"], g["to"]) for g in log["gaps"]] == [("2026-11-06", "2026-11-08")]
    assert "gap 2026-11-06 to 2026-11-08  111111111111 eu-west-1: 2 days" in run("inspect", logs).stdout


def test_a_file_is_told_with_its_records(logs, two_logs):
    path = logs / name(*two_logs["fl-0aaa"][:2], "fl-0aaa", FIRST)
    words = run("inspect", path, "--rows", 1, "--columns", "srcaddr,start").stdout
    start = int(FIRST.replace(tzinfo=datetime.timezone.utc).timestamp())
    for part in ["flow log, gzip", "account      111111111111", "delivered    2026-11-22T00:00:00Z", "lines        2 = 1 record + 0 rejects + 1 header + 0 blanks", f"{start} (2026-11-22T00:00:00Z)"]:
        assert part in words, part
    assert "dstaddr  " not in words
    [found] = inspect(path, "--columns", "srcaddr,start")
    assert found["records"] == [{"srcaddr": "10.0.0.5", "start": str(start)}]
    assert (found["lines"]["first_time"], found["lines"]["last_time"]) == ("2026-11-22T00:00:00Z", "2026-11-22T00:01:00Z")
    # Standard input is the same, but for its name and its key.
    with gzip.open(path) as text:
        document = json.loads(subprocess.run([FLOWQUET, "inspect", "-", "--json"], input=text.read(), capture_output=True, check=True).stdout)
    SCHEMA.validate(document)
    assert document["results"][0]["lines"] == found["lines"] and document["results"][0]["account"] is None


def test_a_damaged_file_tells_what_could_be_read(tmp_path):
    lines = [naive.V2, *(record(FIRST + datetime.timedelta(seconds=i)) for i in range(20_000))]
    whole = gzip.compress("\n".join(lines).encode())
    path = tmp_path / "damaged.log.gz"
    path.write_bytes(whole[: len(whole) // 2])
    # What zlib itself makes of the half.
    import zlib

    text = zlib.decompressobj(31).decompress(path.read_bytes())
    [found] = inspect(path, check=4)
    assert found["damage"] and found["holds"] == "flow-log" and len(found["records"]) == 5
    # A decoder may stop a little before the end of what can be had, and never gives more.
    assert 0.9 * text.count(b"\n") < found["lines"]["records"] + 1 <= text.count(b"\n")
    words = run("inspect", path, check=4).stdout
    assert "damaged      expected a whole gzip member, found it damaged or cut short" in words and "RECORD 1" in words


def test_parquet_by_others_and_by_us(tmp_path, logs, two_logs):
    table = pa.table({"version": [2, 2], "srcaddr": ["10.0.0.5", None], "srcport": pa.array([443, None], pa.int32()), "start": [1, 2]})
    path = tmp_path / name("111111111111", "eu-west-1", "fl-0ccc", FIRST, ".log.parquet")
    path.parent.mkdir(parents=True)
    pq.write_table(table.replace_schema_metadata({"who": "test"}), path)
    [found] = inspect(path, "--rows", 9)
    assert (found["flow_log"], found["holds"], found["format_told_by"]) == ("fl-0ccc", "flow-log", "columns")
    assert found["records"] == [{"version": "2", "srcaddr": "10.0.0.5", "srcport": "443", "start": "1"}, {"version": "2", "srcaddr": "-", "srcport": "-", "start": "2"}]
    meta = pq.read_metadata(path)
    assert (found["parquet"]["rows"], found["parquet"]["row_groups"]) == (meta.num_rows, [2])
    assert [(c["column"], c["compressed_bytes"]) for c in found["parquet"]["columns"]] == [
        (meta.row_group(0).column(i).path_in_schema, meta.row_group(0).column(i).total_compressed_size) for i in range(4)
    ]
    assert found["parquet"]["metadata"] == {"who": "test"}
    words = run("inspect", path, "--rows", 2).stdout
    assert "Parquet, flow log" in words and "RECORD 2" in words and "ARROW:schema = " in words and "/////" not in words
    # By standard input too, and what is none says so.
    with path.open("rb") as file:
        assert inspect("-", "--rows", 9, stdin=file)[0]["records"] == found["records"]
    pq.write_table(pa.table({"price": [1.5]}), tmp_path / "other.parquet")
    [other] = inspect(tmp_path / "other.parquet", check=4)
    assert other["holds"] == "other" and "price" in other["not_converted"]["reason"] and other["parquet"]["rows"] == 1
    # A file of ours.
    convert(logs, tmp_path / "out", "--account", "111111111111")
    [ours, *_] = [inspect(p)[0] for p in files(tmp_path / "out").values()]
    assert ours["formats"][0]["name"] == "v2" and ours["parquet"]["metadata"]["flowquet.log_format"].startswith("${version}")


def test_lines_without_a_header_are_judged_by_their_values(tmp_path):
    plain = tmp_path / "plain"
    plain.write_text(record(FIRST) + "\n")
    [found] = inspect(plain)
    assert (found["format_told_by"], found["formats"][0]["name"]) == ("guess", "v2")
    # As many values of other kinds.
    values = record(FIRST).split()
    plain.write_text(" ".join(values[::-1]) + "\n")
    [found] = inspect(plain, check=4)
    assert (found["holds"], found["not_converted"]["kind"]) == ("other", "no-header")
    # In the order of the alphabet, as the console writes fields that were chosen one by one.
    by_name = dict(zip(V2, values))
    plain.write_text(" ".join(by_name[field] for field in sorted(V2)) + "\n")
    [found] = inspect(plain)
    assert found["formats"][0]["format"] == " ".join(f"${{{field}}}" for field in sorted(V2)) and found["records"][0] == by_name
    # Whoever gives a format is believed, unless no line fits.
    [found] = inspect(plain, "--format", "version bytes", check=4)
    assert found["not_converted"]["kind"] == "no-line-fits"


def test_paths_that_cannot_be_looked_at(tmp_path):
    good = tmp_path / "good.log"
    good.write_text(f"{naive.V2}\n{record(FIRST)}\n")
    (tmp_path / "nothing").mkdir()
    process = run("inspect", tmp_path / "nope", tmp_path / "nothing", good, check=1)
    assert "no such file or folder" in process.stderr and "found no files" in process.stderr and "flow log, plain text" in process.stdout
    results = inspect(tmp_path / "nope", good, check=1)
    assert [r["what"] for r in results] == ["error", "object"]
    assert run("inspect", check=2).stdout == ""
    # A filter that leaves nothing is no error: that is what is there.
    [place] = inspect(tmp_path, "--account", "111111111111")
    assert (place["objects"], place["left_out"], place["next"]) == (0, 1, None)


def test_a_table_is_no_source(tmp_path, logs, two_logs):
    convert(logs, tmp_path / "lake")
    [place] = inspect(tmp_path)
    objects = sum(1 for path in (tmp_path / "lake").rglob("*") if path.is_file())
    assert [(t["url"].rstrip("/").rsplit("/", 1)[1], t["objects"]) for t in place["tables"]] == [("lake", objects)]
    assert place["objects"] == sum(len(times) for _, _, times, _ in two_logs.values())
    words = run("inspect", tmp_path / "lake").stdout
    assert "this is a flowquet table of" in words and "next:" not in words


def test_s3(tmp_path, logs, two_logs):
    with s3.serve(load=logs) as server:
        put = lambda key, body, **options: server.client.put_object(Bucket="logs", Key=key, Body=body, **options)
        put("AWSLogs/111111111111/CloudTrail/eu-west-1/2026/11/22/x.json.gz", b"x")
        put("old/cold.log", naive.V2, StorageClass="GLACIER")
        # Of a flow log the oldest are in the archive, of another all are.
        cold = [FIRST - datetime.timedelta(minutes=15 * n) for n in range(1, 9)]
        for at in cold:
            for flow_log in ["fl-0aaa", "fl-0ddd"]:
                put(name("111111111111", "eu-west-1", flow_log, at), naive.V2, StorageClass="DEEP_ARCHIVE")
        before = server.tally()
        document = json.loads(s3.run(server, "inspect", "s3://logs/", "--json", check=4).stdout)
        SCHEMA.validate(document)
        [place] = document["results"]
        archived = [log for log in place["logs"] if log.pop("archived")]
        assert [(log["flow_log"], log["first"]) for log in archived] == [("fl-0aaa", utc(cold[-1]))]
        assert archived[0]["objects"] == len(two_logs["fl-0aaa"][2]) + 8
        assert sum(log["objects"] for log in place["logs"]) + sum(o["objects"] for o in place["others"]) == place["objects"]
        assert sum(log["bytes"] for log in place["logs"]) + sum(o["bytes"] for o in place["others"]) == place["bytes"]
        words = s3.run(server, "inspect", "s3://logs/", check=4).stdout
        assert "fl-0aaa: 8 objects in DEEP_ARCHIVE, an archive class" in words and re.search(r"in an archive +9 objects: such as ", words)
        # Without those the bucket is the folder.
        document = json.loads(s3.run(server, "inspect", "s3://logs/", "--json", "--since", "2026-11-22").stdout)
        SCHEMA.validate(document)
        [place], [local] = document["results"], inspect(logs)
        same = ["account", "region", "flow_log", "objects", "bytes", "first", "last", "gaps", "coverage", "formats"]
        assert [{m: log[m] for m in same} for log in place["logs"]] == [{m: log[m] for m in same} for log in local["logs"]]
        assert {(o["kind"], o["service"]): (o["objects"], o["example"]) for o in place["others"]} == {
            ("service", "CloudTrail"): (0, "s3://logs/AWSLogs/111111111111/CloudTrail/"),
        }
        # One object of each flow log is read, and nothing is written.
        after = server.tally()
        spent = {kind: after[kind] - before.get(kind, 0) for kind in after if isinstance(after[kind], int)}
        assert sum(n for kind, n in spent.items() if "put" in kind.lower()) == 0
        key = name(*two_logs["fl-0aaa"][:2], "fl-0aaa", FIRST)
        document = json.loads(s3.run(server, "inspect", f"s3://logs/{key}", "--json").stdout)
        SCHEMA.validate(document)
        [found], [same] = document["results"], inspect(logs / key)
        assert found | {"name": ""} == same | {"name": ""}
        # A prefix without its slash, and what is not there.
        words = s3.run(server, "inspect", "s3://logs/AWSLogs", "--flow-region", "us-east-1").stdout
        assert "fl-0bbb" in words and "fl-0aaa" not in words
        s3.run(server, "inspect", "s3://logs/nope", check=1)
        assert "archive" in s3.run(server, "inspect", "s3://logs/old/cold.log", check=1).stderr


def test_a_narrow_terminal_loses_columns_and_no_gaps(logs, two_logs):
    """As wide as a pty says: no line of the table is longer."""
    import fcntl
    import os
    import pty
    import struct
    import termios

    def shown(width):
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
        process = subprocess.Popen([FLOWQUET, "inspect", logs], stdin=subprocess.DEVNULL, stdout=slave, stderr=subprocess.DEVNULL)
        os.close(slave)
        text = b""
        while True:
            try:
                part = os.read(master, 65536)
            except OSError:
                break
            if not part:
                break
            text += part
        process.wait()
        os.close(master)
        return text.decode().replace("\r", "")

    for width in [200, 120, 80, 60]:
        words = shown(width)
        table = [line for line in words.splitlines() if line.startswith("  ") and not line.startswith("  gap")]
        assert table and max(map(len, table)) <= width, words
        assert "gap 2026-11-23 01:45 to 05:00" in words and "fl-0" in words and "v2, 14 fields" in words
    assert "OBJECTS" in shown(200) and "FIRST" in shown(200) and "FIRST" not in shown(80)


def test_the_readme_shows_what_inspect_shows(tmp_path):
    """The example of docs/INPUT.md, made as it says; sizes and the text between the columns aside."""
    deliver(tmp_path / "logs", "111111111111", "eu-west-1", "fl-0aaa", every(15, 2, [(1440 + 120, 1440 + 300)]))
    words = run("inspect", "logs", cwd=tmp_path).stdout
    shown = (ROOT / "docs/INPUT.md").read_text().split("$ flowquet inspect logs\n")[1].split("```")[0]
    plain = lambda text: re.sub(r"[\d.]+ KiB", "SIZE", re.sub(r" +", " ", text))
    for line in shown.splitlines():
        assert plain(line) in plain(words), line
