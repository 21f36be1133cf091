"""Every value in every file, read by pyarrow and DuckDB, against the naive reading of the text."""

import bisect
import gzip
import os
import random
import shutil
import subprocess

import pyarrow.parquet
import pytest

import naive
from conftest import convert, duckdb_rows, files, flowlogs, multiset, rejects, rows

BLOG = (
    "‘${version} ${vpc-id} ${subnet-id} ${instance-id} ${interface-id} ${account-id} ${type} ${srcaddr} ${dstaddr} ${srcport}"
    " ${dstport} ${pkt-srcaddr} ${pkt-dstaddr} ${protocol} ${bytes} ${packets} ${start} ${end} ${action} ${tcp-flags} ${log-status}’"
)


def expected(logs, format=None, time="start", delivered=None, columns=None, without_nulls=False):
    found = []
    for path in sorted(p for p in logs.rglob("*") if p.is_file()):
        for record in naive.read(path.read_bytes(), format)[0]:
            folder = "date=" + naive.date_of(record, time, delivered)
            found.append((folder, {k: v for k, v in record.items() if columns is None or k in columns}))
    return multiset(found, without_nulls)


def check(logs, out, *args, format=None, without_nulls=False, **how):
    report = convert(logs, out, *args)
    want = expected(logs, format, without_nulls=without_nulls, **how)
    assert multiset(rows(out), without_nulls) == want
    assert multiset(duckdb_rows(out), without_nulls) == want
    assert report["records"] == sum(want.values())
    return report


def test_the_blogs_ssh_connection(logs, out):
    (logs / "ssh.log").write_text(
        "3 vpc-exxxxxx2 subnet-8xxxxf3 i-0bfxxxxxxaf eni-08xxxxxxa5 48xxxxxx93 IPv4 172.31.22.145 90.90.0.200 22 62897 172.31.22.145 90.90.0.200 6 5225 24 1566328660 1566328672 ACCEPT 18 OK\n"
        "3 vpc-exxxxxx2 subnet-8xxxxf3 i-0bfxxxxxxaf eni-08xxxxxxa5 48xxxxxx93 IPv4 90.90.0.200 172.31.22.145 62897 22 90.90.0.200 172.31.22.145 6 4877 29 1566328660 1566328672 ACCEPT 2 OK\n"
    )
    report = convert(logs, out, "--format", BLOG)
    found = rows(out)
    assert {folder for folder, _ in found} == {"date=2019-08-20"} and report["records"] == 2
    assert list(found[0][1]) == [naive.column(w[2:-1]) for w in BLOG[1:-1].split()], "columns in the format's order"
    assert found[0][1] == dict(
        version=3, vpc_id="vpc-exxxxxx2", subnet_id="subnet-8xxxxf3", instance_id="i-0bfxxxxxxaf", interface_id="eni-08xxxxxxa5",
        account_id="48xxxxxx93", type="IPv4", srcaddr="172.31.22.145", dstaddr="90.90.0.200", srcport=22, dstport=62897,
        pkt_srcaddr="172.31.22.145", pkt_dstaddr="90.90.0.200", protocol=6, bytes=5225, packets=24, start=1566328660,
        end=1566328672, action="ACCEPT", tcp_flags=18, log_status="OK",
    )  # fmt: skip


@pytest.mark.parametrize("format", ["blog", "v2", "v5"])
@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--compression", "snappy", "--row-group-rows", "1000"],
        ["--compression", "gzip", "--row-group-rows", "700", "--file-bytes", "20K"],
        ["--compression", "none", "--threads", "2"],
        ["--compression", "zstd:9", "--row-group-rows", "1"],
    ],
    ids=["defaults", "snappy", "small-files", "none", "rows-of-one"],
)
def test_made_up_logs(tmp_path, out, format, options):
    few = "1" in options
    logs = flowlogs(tmp_path / "logs", "--format", format, "--objects", 3 if few else 8, "--records", 40 if few else 1500, "--every-s", 7200)
    report = check(logs, out, *options)
    assert report["objects"]["converted"] == (3 if few else 8)
    # It was read back already.
    shutil.rmtree(out)


def messy(seed):
    """Lines of all kinds under a header: good, bad, odd."""
    r = random.Random(seed)
    fields = ["version", "account-id", "srcaddr", "bytes", "start", "log-status", "new-field"]
    r.shuffle(fields)
    lines = [" ".join(fields)]
    for _ in range(r.randrange(300)):
        good = {
            "version": r.choice(["2", "5", "-", "2147483647"]), "account-id": "123456789012", "srcaddr": f"10.0.{r.randrange(9)}.{r.randrange(256)}",
            "bytes": str(r.choice([0, 40, 9223372036854775807, r.randrange(10**12)])), "start": str(1566172800 + r.randrange(-90000, 90000)),
            "log-status": r.choice(["OK", "OK", "NODATA", "SKIPDATA"]), "new-field": r.choice(["-", "ä€", "x" * r.randrange(1, 90)]),
        }  # fmt: skip
        if r.random() < 0.15:
            name = r.choice(["version", "bytes", "start"])
            good[name] = r.choice(["x", "-1", "1.5", "2147483648", "9223372036854775808", "1e3", "--", "0x1", "００"])
        line = " ".join(good[f] for f in fields)
        kind = r.random()
        line = (
            line.replace(" ", "   ") + " " if kind < 0.05
            else line + " extra" if kind < 0.08
            else line.rsplit(" ", 1)[0] if kind < 0.11
            else "" if kind < 0.14
            else lines[0] if kind < 0.16
            else line
        )  # fmt: skip
        lines.append(line)
    data = r.choice(["\n", "\r\n"]).join(lines).encode()
    data = data.replace("ä€".encode(), b"\xff\xfe", 1) if r.random() < 0.5 else data
    data = (b"\xef\xbb\xbf" if r.random() < 0.3 else b"") + data + (b"\n" if r.random() < 0.7 else b"")
    cut = len(data) // 2
    forms = [data, gzip.compress(data), gzip.compress(data[:cut]) + gzip.compress(data[cut:])]
    return data, r.choice(forms)


@pytest.mark.parametrize("seed", range(12))
def test_messy_logs(logs, out, seed):
    bad = 0
    for i in range(6):
        data, packed = messy(seed * 100 + i)
        (logs / f"{i}.log").write_bytes(packed)
        lines = naive.read(data)[1]
        bad += len(lines)
    report = check(logs, out)
    assert report["rejects"] == bad == len(rejects(out))
    for reject in rejects(out):
        data = (logs / os.path.basename(reject["object"])).read_bytes()
        data = gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data
        raw = data.split(b"\n")[reject["line"] - 1].removesuffix(b"\r")
        assert data[reject["offset"] :].startswith(raw), "the offset is that of the line"
        assert reject["raw"] == raw.decode("utf-8", "replace") and reject["reason"] and reject["detail"]


def test_zstd_and_plain_and_gzip_by_content_not_by_name(logs, out):
    lines = f"{naive.V2}\n" + "".join(f"2 1 eni-{i} 10.0.0.{i} 10.0.0.1 1 2 6 3 4 1566328660 1566328661 ACCEPT OK\n" for i in range(99))
    (logs / "plain.log.gz").write_text(lines)
    (logs / "gzip.txt").write_bytes(gzip.compress(lines.encode()))
    import pyarrow

    with pyarrow.CompressedOutputStream(str(logs / "zstd"), "zstd") as stream:
        stream.write(lines.encode())
    report = convert(logs, out)
    assert (report["records"], report["headers"]) == (297, 3)
    want = naive.read(lines.encode())[0] * 3
    assert multiset(rows(out)) == multiset(("date=2019-08-20", r) for r in want)


def test_partition_by_end_and_by_delivery(tmp_path, out, logs):
    (logs / "a.log").write_text("srcaddr start end\n10.0.0.1 1566345599 1566345600\n10.0.0.2 - 1566345600\n10.0.0.3 1566345599 -\n10.0.0.4 1566345599000 5\n")
    check(logs, out, "--partition-time", "end", time="end")
    check(logs, tmp_path / "out2")
    folder = logs / "AWSLogs/123456789012/vpcflowlogs/us-east-1/2019/08/21"
    folder.mkdir(parents=True)
    os.rename(logs / "a.log", folder / "a.log")
    report = check(logs, tmp_path / "out3", delivered="2019-08-21")
    assert (report["times_missing"], report["times_out_of_range"]) == (1, 1)


def test_partition_columns(tmp_path, out):
    logs = flowlogs(tmp_path / "logs", "--accounts", 2, "--objects", 6, "--records", 200, "--every-s", 5000)
    report = convert(logs, out, "--partition-by", "account,region,date,hour")
    want = []
    for path in logs.rglob("*.gz"):
        account, _, region = path.name.split("_")[:3]
        for record in naive.read(path.read_bytes())[0]:
            hour = f"{record['start'] // 3600 % 24:02}"
            want.append((f"account={account}/region={region}/date={naive.date_of(record)}/hour={hour}", record))
    assert multiset(rows(out)) == multiset(want)
    assert report["partitions"] == len({folder for folder, _ in want})


def test_no_partitions(tmp_path, out):
    logs = flowlogs(tmp_path / "logs", "--objects", 2, "--records", 100)
    convert(logs, out, "--partition-by", "none")
    assert {os.path.dirname(k) for k in files(out)} == {""}


def test_columns(tmp_path, out):
    logs = flowlogs(tmp_path / "logs", "--format", "blog", "--objects", 3, "--records", 500)
    check(logs, out, "--columns", "srcaddr,dstaddr,bytes,pkt-srcaddr", columns={"srcaddr", "dstaddr", "bytes", "pkt_srcaddr"})


def test_fields_file(tmp_path, out, logs):
    extra = tmp_path / "fields.toml"
    extra.write_text('[[field]]\nname = "hop-count"\nsince = 12\nlogs = ["vpc"]\nkind = "number"\nparquet = "INT32"\ndoc = "Hops."\n')
    (logs / "a.log").write_text("version hop-count start\n12 7 1566328660\n12 - 1566328660\n12 x 1566328660\n")
    report = convert(logs, out, "--fields", extra)
    assert [row["hop_count"] for _, row in rows(out)] == [7, None] and report["rejects"] == 1


def test_mixed_formats_are_one_table(logs, out):
    (logs / "a.log").write_text("version srcaddr start\n2 10.0.0.1 1566328660\n")
    (logs / "b.log").write_text("srcaddr bytes new-field start\n10.0.0.2 5 x 1566328660\n10.0.0.3 6 - 1566328660\n")
    # Two formats glued together, of as many fields.
    (logs / "c.log").write_text("version srcaddr start\n2 10.0.0.4 1566328660\nstart version srcaddr\n1566328661 2 10.0.0.5\n")
    # Each file has the columns of both formats, null where its own lacks them.
    report = check(logs, out, without_nulls=True)
    assert report["rejects"] == 0 and any("new-field" in w for w in report["warnings"])
    import duckdb

    union = duckdb.sql(f"select count(*), sum(bytes), count(version), count(new_field) from read_parquet('{out}/date=*/*.parquet', union_by_name = true)")
    assert union.fetchall() == [(5, 11, 3, 1)]


def test_standard_input(out, tmp_path):
    text = f"{naive.V2}\n2 1 eni-1 10.0.0.1 10.0.0.2 1 2 6 3 4 1566328660 1566328661 ACCEPT OK\n"
    source = tmp_path / "in"
    source.write_bytes(gzip.compress(text.encode()))
    from conftest import run

    for records in [1, 0]:
        with open(source, "rb") as stdin:
            import json

            process = run("convert", "-", "--out", out, "--report", "-", "-q", stdin=stdin)
        report = json.loads(process.stdout)
        assert report["records"] == records, "the same input is taken once"
    assert len(rows(out)) == 1 and not list(out.glob("_flowquet/spool/*"))


def test_metadata_statistics_and_page_index(tmp_path, out):
    logs = flowlogs(tmp_path / "logs", "--format", "blog", "--objects", 2, "--records", 40000)
    report = convert(logs, out)
    assert len(report["outputs"]) <= 2, "few files, not one per input"
    path = max(files(out).values(), key=os.path.getsize)
    meta = pyarrow.parquet.ParquetFile(path).metadata
    pairs = {k.decode(): v.decode() for k, v in meta.metadata.items()}
    assert pairs["flowquet.log_format"].startswith("${version} ${vpc-id}") and pairs["flowquet.version"] and len(pairs["flowquet.inputs_sha256"]) == 64
    for group in range(meta.num_row_groups):
        for c in range(meta.num_columns):
            column = meta.row_group(group).column(c)
            assert column.has_column_index and column.has_offset_index and column.is_stats_set
            assert column.compression in ("ZSTD", "UNCOMPRESSED") and column.statistics.null_count is not None
            # Ports compress; times of a few minutes, packed to the bit, do not.
            told = {"dstport": "ZSTD", "start": "UNCOMPRESSED"}
            assert column.compression == told.get(column.path_in_schema, column.compression)
    types = {f.name: str(f.type) for f in pyarrow.parquet.read_schema(path)}
    assert types["version"] == "int32" and types["bytes"] == "int64" and types["srcaddr"] == "string"


def test_queries_that_prune_lose_nothing(tmp_path, out):
    """Wrong statistics silently lose rows: filters that skip row groups and pages, against the naive answer."""
    import duckdb
    import polars
    import pyarrow.dataset

    logs = flowlogs(tmp_path / "logs", "--format", "blog", "--objects", 4, "--records", 30000, "--every-s", 21600)
    convert(logs, out, "--row-group-rows", "20000")
    records = [r for p in logs.rglob("*.gz") for r in naive.read(p.read_bytes())[0]]
    dataset = pyarrow.dataset.dataset(str(out), format="parquet", partitioning="hive", exclude_invalid_files=False)
    glob = f"{out}/date=*/*.parquet"
    frame = polars.scan_parquet(glob, hive_partitioning=False)
    pick = random.Random(1)
    for name in ["srcaddr", "dstaddr", "interface_id", "srcport", "dstport", "start", "bytes", "packets", "action", "log_status", "instance_id"]:
        present = [r[name] for r in records if r[name] is not None]
        in_order = sorted(present)
        for probe in pick.sample(present, 4):
            literal = repr(probe)
            less, not_more = bisect.bisect_left(in_order, probe), bisect.bisect_right(in_order, probe)
            for operator, op, want in [("=", "__eq__", not_more - less), ("<", "__lt__", less), (">=", "__ge__", len(present) - less)]:
                sql = f"select count(*) from read_parquet('{glob}') where \"{name}\" {operator} {literal}"
                assert duckdb.sql(sql).fetchall()[0][0] == want, sql
                assert dataset.count_rows(filter=getattr(pyarrow.dataset.field(name), op)(probe)) == want, sql
                assert frame.filter(getattr(polars.col(name), op)(probe)).select(polars.len()).collect().item() == want, sql
        nulls = len(records) - len(present)
        assert duckdb.sql(f"select count(*) from read_parquet('{glob}') where \"{name}\" is null").fetchall()[0][0] == nulls
        assert frame.filter(polars.col(name).is_null()).select(polars.len()).collect().item() == nulls


def test_the_sample_that_the_repository_carries(out):
    from conftest import FLOWLOGS, ROOT

    sample = ROOT / "tests/sample"
    report = check(sample, out)
    assert report["rejects"] == 3 and report["records"] > 1000 and report["objects"]["failed"] == 0
    assert FLOWLOGS.exists() and subprocess.run([FLOWLOGS], capture_output=True).returncode == 1
