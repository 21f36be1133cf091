"""Columns that are added: computed from fields, held to rules that share no code with flowquet, and what tells where a record came from."""

import collections
import datetime
import gzip
import ipaddress
import json
import os
import random

import duckdb
import jsonschema
import pyarrow
import pyarrow.parquet
import pytest
import sqlglot

import naive
import naive_columns
from conftest import ROOT, convert, files, flowlogs, plans, run

DERIVED = list(naive_columns.derived({}))
PROVENANCE = ["source_object", "source_line", "flow_log_id", "source_account", "source_region", "delivered_at", "event_time"]
TIMES = ["start_time", "end_time", "delivered_at", "event_time"]
TYPES = collections.defaultdict(lambda: ("VARCHAR", "string", "string"), {
    "is_nat": ("INTEGER", "int32", "int"),
    "duration_s": ("BIGINT", "int64", "bigint"),
    "source_line": ("BIGINT", "int64", "bigint"),
    **{name: ("TIMESTAMP WITH TIME ZONE", "timestamp[ms, tz=UTC]", "timestamp") for name in TIMES},
})  # fmt: skip
V3 = "version vpc-id subnet-id instance-id interface-id account-id type srcaddr dstaddr srcport dstport pkt-srcaddr pkt-dstaddr protocol bytes packets start end action tcp-flags log-status"
TGW = "version interface-id account-id vpc-id subnet-id instance-id srcaddr dstaddr srcport dstport protocol tcp-flags type pkt-srcaddr pkt-dstaddr action log-status"
V5 = "version srcaddr dstaddr srcport dstport protocol start end type packets bytes account-id vpc-id subnet-id instance-id interface-id region az-id sublocation-type sublocation-id action tcp-flags pkt-srcaddr pkt-dstaddr pkt-src-aws-service pkt-dst-aws-service traffic-path flow-direction log-status"
PLACE = "vpc-abcdefab012345678 subnet-aaaaaaaa012345678 i-01234567890123456 eni-1235b8ca123456789 123456789010 IPv4"

# The connection of AWS's blog, and the records of docs.aws.amazon.com/vpc/latest/userguide/flow-logs-records-examples.html, with what they tell.
RECORDS = [
    (V3, "3 vpc-exxxxxx2 subnet-8xxxxf3 i-0bfxxxxxxaf eni-08xxxxxxa5 48xxxxxx93 IPv4 172.31.22.145 90.90.0.200 22 62897 172.31.22.145 90.90.0.200 6 5225 24 1566328660 1566328672 ACCEPT 18 OK",
     dict(protocol_name="TCP", src_service_name="ssh", dst_service_name=None, tcp_flag_names="SYN+ACK", initiator="dst", is_nat=0, direction=None, duration_s=12, src_scope="private", dst_scope="public", start_time=1566328660000)),
    (V3, "3 vpc-exxxxxx2 subnet-8xxxxf3 i-0bfxxxxxxaf eni-08xxxxxxa5 48xxxxxx93 IPv4 90.90.0.200 172.31.22.145 62897 22 90.90.0.200 172.31.22.145 6 4877 29 1566328660 1566328672 ACCEPT 2 OK",
     dict(dst_service_name="ssh", tcp_flag_names="SYN", initiator="src", src_scope="public", dst_scope="private")),
    (naive.V2, "2 123456789010 eni-1235b8ca123456789 172.31.16.139 172.31.16.21 20641 22 6 20 4249 1418530010 1418530070 ACCEPT OK",
     dict(dst_service_name="ssh", initiator="src", tcp_flag_names=None, is_nat=None, direction=None, duration_s=60)),
    (naive.V2, "2 123456789010 eni-1235b8ca123456789 172.31.9.69 172.31.9.12 49761 3389 6 20 4249 1418530010 1418530070 REJECT OK",
     dict(dst_service_name="ms-wbt-server", initiator=None)),
    (naive.V2, "2 123456789010 eni-1235b8ca123456789 - - - - - - - 1431280876 1431280934 - NODATA",
     dict(dict.fromkeys(DERIVED), start_time=1431280876000, end_time=1431280934000, duration_s=58)),
    (naive.V2, "2 123456789010 eni-11111111aaaaaaaaa - - - - - - - 1431280876 1431280934 - SKIPDATA", dict(protocol_name=None)),
    (naive.V2, "2 123456789010 eni-1235b8ca123456789 203.0.113.12 172.31.16.139 0 0 1 4 336 1432917027 1432917142 ACCEPT OK",
     dict(protocol_name="ICMP", src_service_name=None, initiator=None, src_scope="documentation", duration_s=115)),
    (naive.V2, "2 123456789010 eni-1235b8ca123456789 172.31.16.139 203.0.113.12 0 0 1 4 336 1432917094 1432917142 REJECT OK", {}),
    (naive.V2, "2 123456789010 eni-1235b8ca123456789 2001:db8:1234:a100:8d6e:3477:df66:f105 2001:db8:1234:a102:3304:8879:34cf:4071 34892 22 6 54 8855 1477913708 1477913820 ACCEPT OK",
     dict(dst_scope="documentation", initiator="src")),
    *[(V3, f"3 {PLACE} {addresses} 6 568 8 1566848875 1566848933 ACCEPT {flags} OK", dict(tcp_flag_names=names, initiator=began))
      for addresses, flags, names, began in [
          ("52.213.180.42 10.0.0.62 43416 5001 52.213.180.42 10.0.0.62", 2, "SYN", "src"),
          ("10.0.0.62 52.213.180.42 5001 43416 10.0.0.62 52.213.180.42", 18, "SYN+ACK", "dst"),
          ("10.0.0.62 52.213.180.42 5001 43418 10.0.0.62 52.213.180.42", 1, "FIN", None),
          ("52.213.180.42 10.0.0.62 43638 5001 52.213.180.42 10.0.0.62", 3, "SYN+FIN", "src"),
          ("10.0.0.62 52.213.180.42 5001 43638 10.0.0.62 52.213.180.42", 19, "SYN+ACK+FIN", "dst"),
          ("10.0.0.62 52.213.180.42 5001 43638 10.0.0.62 52.213.180.42", 0, "", None),
      ]],
    *[("instance-id interface-id srcaddr dstaddr pkt-srcaddr pkt-dstaddr", f"- eni-1235b8ca123456789 {addresses}", dict(direction=way, is_nat=nat))
      for addresses, way, nat in [
          ("10.0.1.5 10.0.0.220 10.0.1.5 203.0.113.5", "ingress", 1),
          ("10.0.0.220 203.0.113.5 10.0.0.220 203.0.113.5", None, 0),
          ("203.0.113.5 10.0.0.220 203.0.113.5 10.0.0.220", None, 0),
          ("10.0.0.220 10.0.1.5 203.0.113.5 10.0.1.5", "egress", 1),
      ]],
    (TGW, "3 eni-33333333333333333 123456789010 vpc-abcdefab012345678 subnet-22222222bbbbbbbbb i-01234567890123456 10.20.33.164 10.40.2.236 39812 80 6 3 IPv4 10.20.33.164 10.40.2.236 ACCEPT OK",
     dict(dst_service_name="http", initiator="src", is_nat=0)),
    (TGW, "3 eni-11111111111111111 123456789010 vpc-abcdefab012345678 subnet-11111111aaaaaaaaa - 10.40.1.175 10.40.2.236 39812 80 6 3 IPv4 10.20.33.164 10.40.2.236 ACCEPT OK",
     dict(is_nat=1, direction="egress")),
    (TGW, "3 eni-22222222222222222 123456789010 vpc-abcdefab012345678 subnet-22222222bbbbbbbbb - 10.40.2.236 10.40.2.31 80 39812 6 19 IPv4 10.40.2.236 10.20.33.164 ACCEPT OK",
     dict(is_nat=1, direction="ingress")),
    (V5, "5 52.95.128.179 10.0.0.71 80 34210 6 1616729292 1616729349 IPv4 14 15044 123456789012 vpc-abcdefab012345678 subnet-aaaaaaaa012345678 i-0c50d5961bcb2d47b eni-1235b8ca123456789 ap-southeast-2 apse2-az3 - - ACCEPT 19 52.95.128.179 10.0.0.71 S3 - - ingress OK",
     dict(direction="ingress", traffic_path_name=None, initiator="dst")),
    (V5, "5 10.0.0.71 52.95.128.179 34210 80 6 1616729292 1616729349 IPv4 7 471 123456789012 vpc-abcdefab012345678 subnet-aaaaaaaa012345678 i-0c50d5961bcb2d47b eni-1235b8ca123456789 ap-southeast-2 apse2-az3 - - ACCEPT 3 10.0.0.71 52.95.128.179 - S3 8 egress OK",
     dict(direction="egress", traffic_path_name="internet-gateway", initiator="src")),
]  # fmt: skip


@pytest.fixture(autouse=True)
def every_table_is_read_back():
    """Naive reading of lines knows fields alone: tables are compared here."""


def in_ms(value):
    return round(value.timestamp() * 1000) if hasattr(value, "timestamp") else value


def added(out, names, key=None):
    """Rows of a table: its fields, and the added columns of these names."""
    found = []
    for path in files(out).values():
        for row in pyarrow.parquet.ParquetFile(path).read().to_pylist():
            columns = {name: in_ms(row.pop(name)) for name in list(row) if name in DERIVED + PROVENANCE}
            found.append((row, {name: columns[name] for name in names}))
    return found


def check_derived(out):
    rows = added(out, DERIVED)
    for record, columns in rows:
        record = {name: value for name, value in record.items() if not name.endswith("_bin")}
        record |= {name: in_ms(record[name]) for name in ("start", "end") if name in record}
        assert columns == naive_columns.derived(record), record
    return rows


@pytest.mark.parametrize("format, line, told", RECORDS)
def test_records_that_aws_shows(logs, out, format, line, told):
    (logs / "a.log").write_text(f"{format}\n{line}\n")
    convert(logs, out, "--add", "derived")
    [(record, columns)] = check_derived(out)
    assert record == {k: v for k, v in naive.read(f"{format}\n{line}\n".encode())[0][0].items()}
    assert {name: columns[name] for name in told} == told


@pytest.mark.parametrize("format", ["blog", "v2", "v5"])
@pytest.mark.parametrize("types", ["aws", "rich"])
def test_made_up_logs(tmp_path, out, format, types):
    logs = flowlogs(tmp_path / "logs", "--format", format, "--objects", 3, "--records", 1500)
    convert(logs, out, "--add", ",".join(DERIVED), "--types", types, "--row-group-rows", 1000)
    rows = check_derived(out)
    seen = {name: {columns[name] for _, columns in rows} for name in DERIVED}
    # There is something to tell, and something that cannot be told.
    for name in ["protocol_name", "dst_service_name", "initiator", "src_scope"]:
        assert len(seen[name]) > 1 and None in seen[name], name
    run("compact", out)
    check_derived(out)
    run("verify", out, "--read-data", "--deep")


def addresses(random):
    """Addresses at and beside the edges of networks that registries name, and others."""
    edges = ["0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24",
             "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "::1/128", "100::/64", "2001::/23",
             "2001:db8::/32", "2001:20::/28", "fc00::/7", "fe80::/10", "ff00::/8", "fd00:ec2::/32"]  # fmt: skip
    found = list(naive_columns.AWS) + ["255.255.255.255", "::", "192.0.0.9", "192.0.0.10", "-"]
    for edge in map(ipaddress.ip_network, edges):
        first, last = int(edge[0]), int(edge[-1])
        make = type(edge[0])
        found += [str(make(n)) for n in (first - 1, first, random.randint(first, last), last, last + 1) if 0 <= n < 1 << edge.max_prefixlen]
    found += [str(ipaddress.IPv4Address(random.getrandbits(32))) for _ in range(200)]
    return found


def test_values_at_the_edges(logs, out):
    names = "version srcaddr dstaddr pkt-srcaddr pkt-dstaddr srcport dstport protocol tcp-flags traffic-path flow-direction start end log-status"
    pick = random.Random(7)
    ips, ports = addresses(pick), [0, 1, 20, 22, 53, 80, 443, 1023, 1024, 5001, 49150, 65535, 65536, "-"]
    lines = []
    for i in range(4000):
        src, dst = (ips[(i * k) % len(ips)] for k in (1, 7))
        packet = lambda own: own if pick.random() < 0.6 else pick.choice(ips)
        start = pick.choice([1700000000, 1700000000, 1700000000500, "-", 4102444799, 0])
        end = pick.choice([1700000060, 1700000060, 1699999999, 4102444800, "-"])
        protocol, flags = pick.choice([6, 6, 17, 1, 33, 132, 58, 61, 255, 256, i % 256, "-"]), pick.choice([0, 1, 2, 3, 7, 18, 19, 255, 256, i % 256, "-"])
        lines.append(
            f"5 {src} {dst} {packet(src)} {packet(dst)} {pick.choice(ports)} {pick.choice(ports)} {protocol} {flags} "
            f"{pick.choice([*range(10), '-'])} {pick.choice(['ingress', 'egress', '-', '-', 'x'])} {start} {end} OK"
        )
    (logs / "a.log").write_text("\n".join([names, *lines]) + "\n")
    report = convert(logs, out, "--add", "derived")
    assert report["records"] == 4000
    rows = check_derived(out)
    assert {columns["src_scope"] for _, columns in rows} >= {"private", "public", "cgnat", "link-local", "multicast", "aws-reserved", "reserved", None}


def aws_key(flow_log="fl-0a1b2c3d", minute=5, account="123456789012", region="eu-west-1"):
    folder = f"AWSLogs/{account}/vpcflowlogs/{region}/2024/01/15"
    return f"{folder}/{account}_vpcflowlogs_{region}_{flow_log}_20240115T10{minute:02}Z_0a1b2c3d.log.gz"


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())


def line(n):
    return f"2 123456789010 eni-{n} 10.0.0.{n % 250} 10.0.1.1 {n + 1024} 22 6 20 {n} {1705312800 + n} {1705312860 + n} ACCEPT OK"


def test_where_records_come_from(logs, out):
    header = naive.V2
    write(logs / aws_key(minute=5), "\n".join([header, *map(line, range(5)), "", "what is this", line(7)]) + "\n")
    write(logs / aws_key("fl-0f", 10), "\n".join([header, *map(line, range(10, 2010))]) + "\n")
    write(logs / "moved" / "x.log", "\n".join([header, line(9001)]) + "\n")
    # Lines of the text behind its framing.
    write(logs / "export" / "000000.gz", f"2024-01-15T10:00:00.000Z {header}\n2024-01-15T10:00:00.000Z {line(9002)}\n2024-01-15T10:00:01.000Z {line(9003)}\n")
    write(logs / "firehose" / "a.json", "".join(json.dumps({"message": text}) for text in [header, line(9004)]))
    events = [{"id": str(n), "timestamp": 1705312800123 + n, "message": text} for n, text in enumerate([header, line(9005), line(9006)])]
    write(logs / "subscription" / "a.json", json.dumps({"messageType": "DATA_MESSAGE", "logEvents": events}))
    write(logs / "console" / "a.csv", f'timestamp,message\n1705312800200,{header}\n1705312800201,"{line(9007)}"\n2024-01-15T10:00:00.202Z,{line(9008)}\n')
    report = convert(logs, out, "--add", "provenance")
    assert report["rejects"] == 1
    by_bytes = {record["bytes"]: columns for record, columns in added(out, PROVENANCE)}
    at = lambda minute: 1705312800000 + minute * 60_000
    plain = dict(flow_log_id=None, source_account=None, source_region=None, delivered_at=None, event_time=None)
    first = dict(source_object=f"file://{logs / aws_key()}", flow_log_id="fl-0a1b2c3d", source_account="123456789012", source_region="eu-west-1", delivered_at=at(5), event_time=None)
    assert [by_bytes[n] for n in [*range(5), 7]] == [dict(first, source_line=n) for n in [2, 3, 4, 5, 6, 9]]
    second = dict(first, source_object=f"file://{logs / aws_key('fl-0f', 10)}", flow_log_id="fl-0f", delivered_at=at(10))
    assert [by_bytes[n] for n in range(10, 2010)] == [dict(second, source_line=n - 8) for n in range(10, 2010)]
    assert by_bytes[9001] == dict(plain, source_object=f"file://{logs}/moved/x.log", source_line=2)
    assert [by_bytes[n]["source_line"] for n in range(9002, 9009)] == [2, 3, 2, 2, 3, 2, 3]
    assert [by_bytes[n]["event_time"] for n in range(9002, 9009)] == [at(0), at(0) + 1000, None, at(0) + 124, at(0) + 125, at(0) + 201, at(0) + 202]
    # The line of a reject is counted alike.
    [reject] = [json.loads(text) for path in out.rglob("rejects/*.jsonl") for text in path.read_text().splitlines()]
    assert reject["line"] == 8

    # A compaction carries them, and a look at the raw logs proves them.
    run("compact", out)
    assert {record["bytes"]: columns for record, columns in added(out, PROVENANCE)} == by_bytes
    told = json.loads(run("verify", out, "--read-data", "--deep", "--json").stdout)
    assert not told["findings"]
    # Columns of objects of Parquet: the row, counted behind the line of names.
    path = next(iter(files(out).values()))
    source = logs.parent / "parquet"
    source.mkdir()
    pyarrow.parquet.write_table(pyarrow.parquet.ParquetFile(path).read(columns=["srcaddr", "dstaddr", "bytes", "start", "end", "log_status"]), source / "a.parquet")
    convert(source, out.parent / "again", "--add", "source_line")
    assert {c["source_line"] for _, c in added(out.parent / "again", ["source_line"])} == set(range(2, 2 + sum(1 for _ in added(out.parent / "again", []))))


def test_a_table_gets_columns(logs, out):
    write(logs / aws_key(minute=5), "\n".join([naive.V2, *map(line, range(3))]) + "\n")
    convert(logs, out)
    assert "add" not in plans(out)[0]["options"]
    old = next(iter(files(out)))
    write(logs / aws_key(minute=10), "\n".join([naive.V2, *map(line, range(10, 13))]) + "\n")
    convert(logs, out, "--add", "dst_service_name,source_line")
    assert plans(out)[1]["options"]["add"] == ["dst_service_name", "source_line"]
    query = f"SELECT bytes, dst_service_name, source_line FROM read_parquet('{out}/date=*/*.parquet', union_by_name=true) ORDER BY bytes"
    by_now = [(0, None, None), (1, None, None), (2, None, None), (10, "ssh", 2), (11, "ssh", 3), (12, "ssh", 4)]
    assert duckdb.sql(query).fetchall() == by_now
    # What a table has, later files have too, also where nobody asks for it again.
    write(logs / aws_key(minute=15), "\n".join([naive.V2, line(20)]) + "\n")
    convert(logs, out)
    assert duckdb.sql(query).fetchall() == [*by_now, (20, "ssh", 2)]
    statement = run("schema", out, "--as", "duckdb").stdout
    con = duckdb.connect()
    con.sql(statement)
    assert con.sql("SELECT count(source_line), count(*) FROM vpc_flow_logs").fetchall() == [(4, 7)]
    # Merged with old files, their rows still have nulls; the digests of both are what they were.
    run("compact", out)
    assert duckdb.sql(query).fetchall() == [*by_now, (20, "ssh", 2)]
    run("verify", out, "--read-data", "--deep")
    # A reconversion computes them.
    run("reconvert", out, "--object", "**", "--add", "dst_service_name,source_line,protocol_name")
    schemas = {name: json.loads((ROOT / f"schemas/{name}.schema.json").read_text()) for name in ("plan", "compaction")}
    records = [path.read_text() for path in sorted(out.glob("_flowquet/compactions/*.json"))]
    assert len(records) > 1 and all('"add"' in record for record in records)
    for record in records:
        jsonschema.validate(json.loads(record), schemas["compaction"])
    for plan in plans(out):
        jsonschema.validate(plan, schemas["plan"])
    query = query.replace("source_line", "source_line, protocol_name")
    whole = [(n, "ssh", n % 10 + 2, "TCP") for n in [0, 1, 2, 10, 11, 12, 20]]
    assert duckdb.sql(query).fetchall() == whole
    run("verify", out, "--read-data", "--deep")
    run("compact", out)
    assert duckdb.sql(query).fetchall() == whole
    assert old not in files(out)
    run("verify", out, "--read-data", "--deep")


def test_the_environment_and_a_job_add_too(logs, out, tmp_path):
    write(logs / "a.log", "\n".join([naive.V2, line(1)]) + "\n")
    run("convert", logs, "--out", out, env={**os.environ, "FLOWQUET_ADD": "protocol_name,duration_s"})
    [(_, columns)] = added(out, ["protocol_name", "duration_s"])
    assert columns == {"protocol_name": "TCP", "duration_s": 60}
    (tmp_path / "flowquet.toml").write_text(f'[jobs.hourly]\nsource = ["{logs}"]\nout = "{tmp_path}/job"\nadd = ["initiator"]\n')
    run("convert", "@hourly", cwd=tmp_path)
    assert added(tmp_path / "job", ["initiator"])[0][1] == {"initiator": "src"}


def test_bytes_are_repeatable(tmp_path):
    logs = flowlogs(tmp_path / "logs", "--format", "v5", "--objects", 6, "--records", 700)
    content = []
    for threads, memory in [(1, "300M"), (2, "600M")]:
        out = tmp_path / f"out-{threads}"
        convert(logs, out, "--add", "provenance,derived", "--threads", threads, "--memory", memory, "--row-group-rows", 900)
        content.append({key: path.read_bytes() for key, path in files(out).items()})
    assert content[0] == content[1] and content[0]


def test_readers_have_the_documented_types(logs, out):
    write(logs / aws_key(), "\n".join([V3, RECORDS[0][1]]) + "\n")
    convert(logs, out, "--add", "derived,provenance")
    path = str(next(iter(files(out).values())))
    duck = {row[0]: row[1] for row in duckdb.sql(f"DESCRIBE SELECT * FROM read_parquet('{path}')").fetchall()}
    arrow = pyarrow.parquet.read_schema(path)
    glue = run("schema", out, "--as", "athena", "--location", "s3://lake/t/").stdout
    told = json.loads(run("schema", out, "--as", "json").stdout)["columns"]
    listed = [column["column"] for column in told if column["kind"] in ("derived", "provenance")]
    assert listed == DERIVED + PROVENANCE == list(arrow.names)[-len(listed):]
    for name in listed:
        of_duckdb, of_arrow, of_hive = TYPES[name]
        assert (duck[name], str(arrow.field(name).type)) == (of_duckdb, of_arrow), name
        assert f"`{name}` {of_hive} COMMENT" in glue
    # The same without a table.
    given = json.loads(run("schema", "--format", "v3", "--add", "derived,provenance", "--as", "json").stdout)["columns"]
    assert [c for c in given if c["column"] in listed] == [c for c in told if c["column"] in listed]


def test_spark_reads_them(logs, out):
    import spark

    write(logs / aws_key(), "\n".join([V3, RECORDS[0][1]]) + "\n")
    (logs.parent / "net.csv").write_text("cidr,team\n172.31.0.0/16,web\n")
    convert(logs, out, "--add", "derived,provenance", "--enrich", f"net={logs.parent}/net.csv")
    spark.create(run("schema", out, "--as", "spark", "--table", "added_columns").stdout)
    frame = spark.session().table("added_columns")
    types = dict(frame.dtypes)
    assert {name: types[name] for name in DERIVED + PROVENANCE} == {name: TYPES[name][2] for name in DERIVED + PROVENANCE}
    assert types["src_net_team"] == types["dst_net_team"] == "string"
    [row] = frame.select("src_net_team", "dst_net_team").collect()
    assert "web" in tuple(row)
    # And a roll-up of them.
    up = out.parent / "up"
    run("rollup", out, "--by", "hour,protocol_name,src_net_team,is_nat", "--out", up)
    spark.create(run("schema", up, "--as", "spark", "--table", "rolled_up").stdout)
    rolled_up = spark.session().table("rolled_up")
    expected = {"start": "bigint", "protocol_name": "string", "src_net_team": "string", "is_nat": "int", "flows": "bigint", "packets": "bigint", "bytes": "bigint"}
    expected |= {"first_start": "bigint", "last_end": "bigint", "tcp_flags": "int"}
    assert {name: kind for name, kind in rolled_up.dtypes if name != "date"} == expected
    assert rolled_up.select("protocol_name", "flows").collect()[0][:] == ("TCP", 1)
    [row] = frame.select("initiator", "duration_s", "source_line", "start_time").collect()
    assert (row[0], row[1], row[2], row[3].isoformat()) == ("dst", 12, 2, "2019-08-20T19:17:40")


@pytest.mark.parametrize("args, message", [
    (["--add", "protcol_name"], "found `protcol_name`; did you mean `protocol_name`?"),
    (["--add", "is_nat", "--columns", "srcaddr,dstaddr"], "--add names `is_nat`, which is computed from srcaddr, pkt-srcaddr, dstaddr, pkt-dstaddr, and --columns leaves them out"),
    (["--columns", "srcaddr,is_nat"], "--columns names `is_nat`, which is not a field"),
])  # fmt: skip
def test_slips(logs, out, args, message):
    write(logs / "a.log", "\n".join([naive.V2, line(1)]) + "\n")
    assert message in run("convert", logs, "--out", out, *args, check=2).stderr


def test_a_field_keeps_its_name(logs, out):
    """A log format may have a field that is called like an added column: it is the field then, in its own files."""
    names = "srcaddr bytes start end is-nat log-status"
    write(logs / "a.log", f"{names}\n10.0.0.1 1 1705312800 1705312860 maybe OK\n")
    convert(logs, out, "--add", "is_nat,duration_s")
    [(record, columns)] = added(out, ["is_nat", "duration_s"])
    assert columns == {"is_nat": "maybe", "duration_s": 60}
    run("verify", out, "--read-data", "--deep")
    run("compact", out)
    run("verify", out, "--read-data", "--deep")


def test_a_view_computes_what_a_table_lacks(tmp_path):
    """Columns that DuckDB's view computes of a table without them are those that a conversion computes."""
    names = [name for name in DERIVED if not name.endswith(("service_name", "scope"))]
    logs = flowlogs(tmp_path / "logs", "--format", "v5", "--objects", 2, "--records", 1500)
    (logs / "aws.log").write_text("".join(f"{format}\n{line}\n" for format, line, _ in RECORDS))
    for types in ["aws", "rich"]:
        convert(logs, tmp_path / f"with-{types}", "--types", types, "--add", ",".join(names))
        convert(logs, tmp_path / f"without-{types}", "--types", types)
        found = []
        for table in ["with", "without"]:
            con = duckdb.connect()
            con.sql(run("schema", tmp_path / f"{table}-{types}", "--as", "duckdb", "--add", ",".join(names)).stdout)
            found.append(collections.Counter(con.sql(f"SELECT srcaddr, bytes, {', '.join(names)} FROM vpc_flow_logs").fetchall()))
        assert found[0] == found[1] and found[0].total() == 3000 + len(RECORDS)
        # The same for Athena and Trino, as DuckDB understands it.
        without = tmp_path / f"without-{types}"
        for form, place in [("athena", '"default"'), ("trino", 'hive."default"')]:
            text = run("schema", without, "--as", form, "--location", "s3://lake/t/", "--add", ",".join(names)).stdout
            view = text[text.index("CREATE OR REPLACE VIEW") :]
            assert view.startswith(f'CREATE OR REPLACE VIEW {place}."vpc_flow_logs_computed" AS') and view.endswith(f'FROM {place}."vpc_flow_logs";\n')
            (statement,) = sqlglot.transpile(view, read="trino", write="duckdb", error_level=sqlglot.ErrorLevel.RAISE)
            con = duckdb.connect()
            con.sql("SET TimeZone = 'UTC'")
            con.sql(run("schema", without, "--as", "duckdb").stdout)
            con.sql(statement.replace('hive."default".', "").replace('"default".', ""))
            by_trino = con.sql(f"SELECT srcaddr, bytes, {', '.join(names)} FROM vpc_flow_logs_computed").fetchall()
            times = [i for i, name in enumerate(["srcaddr", "bytes", *names]) if name in {"start_time", "end_time"}]
            utc = lambda i, v: v.replace(tzinfo=datetime.timezone.utc) if i in times and v is not None else v
            of_table = [tuple(v.astimezone(datetime.timezone.utc) if i in times and v is not None else v for i, v in enumerate(row)) for row in found[0].elements()]
            assert collections.Counter(tuple(utc(i, v) for i, v in enumerate(row)) for row in by_trino) == collections.Counter(of_table)
    table = tmp_path / "without-aws"
    assert "the table has no column src_scope" in run("schema", table, "--as", "duckdb", "--add", "src_scope", check=1).stderr
    refused = run("schema", table, "--as", "spark", "--location", "s3://lake/t/", "--add", "is_nat", check=1).stderr
    assert "`flowquet reconvert TABLE --object '**' --add is_nat` computes it from the raw logs" in refused
