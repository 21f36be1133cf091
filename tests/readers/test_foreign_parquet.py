"""Parquet files that pyarrow, pandas, DuckDB and Polars wrote, as input of `convert`."""

import datetime
import decimal
import gzip
import json
import pathlib
import re
import subprocess
import sys

import duckdb
import numpy
import pandas
import polars
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq
import pytest

from conftest import convert, files, run

TIME = 1704067200
NAMES = ["version", "account_id", "srcaddr", "srcport", "packets", "bytes", "start", "end", "log_status"]
ROWS = [
    (2, "012345678901", "10.0.0.5", 443, 1, 840, TIME, TIME + 60, "OK"),
    (2, "012345678901", None, None, None, None, TIME + 120, TIME + 180, "NODATA"),
]


def columns(**changed):
    """The rows as columns, some of them changed or added."""
    of = {name: list(values) for name, values in zip(NAMES, zip(*ROWS))}
    return of | changed


def written(tmp_path, table, name="in.parquet", **options):
    path = tmp_path / name
    pq.write_table(table if isinstance(table, pa.Table) else pa.table(table), path, **options)
    return path


def rows(out):
    """All rows, in the order of their times."""
    found = [row for path in files(out).values() for row in pq.ParquetFile(path).read().to_pylist()]
    return sorted(found, key=lambda row: row.get("start") or 0)


def rejects(out):
    return [json.loads(line) for path in sorted(pathlib.Path(out).rglob("_flowquet/rejects/*.jsonl")) for line in path.read_text().splitlines()]


def check(tmp_path, source, *args, **expected):
    """Converts; nothing is rejected, and columns are the same as in `ROWS`, apart from those that are `expected`."""
    out = tmp_path / "out"
    report = convert(source, out, *args)
    assert (report["records"], report["rejects"], report["headers"]) == (len(ROWS), 0, 1)
    found = rows(out)
    of = {**columns(), **expected}
    if not args:
        assert set(found[0]) == set(of)
    for name in found[0]:
        assert [row[name] for row in found] == of[name], name
    return report


# Whole numbers, however they are stored.


@pytest.mark.parametrize(
    "kind",
    [pa.float64(), pa.float32(), pa.float16(), pa.uint16(), pa.uint32(), pa.uint64(), pa.int16(), pa.int64()]
    + [pa.decimal128(9, 0), pa.decimal128(38, 10), pa.decimal256(70, 2), pa.decimal128(18, 4), pa.string(), pa.large_string()],
    ids=str,
)
def test_numbers(tmp_path, kind):
    to = {pa.float16(): numpy.float16}.get(kind, str if pa.types.is_string(kind) or pa.types.is_large_string(kind) else lambda n: n)
    if pa.types.is_decimal(kind):
        to = decimal.Decimal
    values = [None if n is None else to(n) for n in columns()["srcport"]]
    check(tmp_path, written(tmp_path, columns(srcport=pa.array(values, kind)), store_decimal_as_integer=True))


def test_unsigned_numbers_keep_their_size(tmp_path):
    packets = pa.array([2**31 + 5, None], pa.uint32())
    check(tmp_path, written(tmp_path, columns(packets=packets)), packets=[2**31 + 5, None])


def test_numbers_that_are_none_are_rejects(tmp_path):
    """One row of each is bad; the reject names the field and the value."""
    too_large = pa.array([2**64 - 1, None], pa.uint64())
    cases = {
        "srcport": (pa.array([443.5, None]), "not-a-number", "443.5"),
        "packets": (too_large, "number-out-of-range", str(2**64 - 1)),
        "bytes": (pa.array([float("inf"), None]), "not-a-number", "inf"),
        "version": (pa.array([True, None]), "not-a-number", "true"),
        "start": (pa.array([datetime.date(2024, 1, 1), None]), "not-a-number", "2024-01-01"),
        "end": (pa.array([decimal.Decimal("1.50"), None]), "not-a-number", "1.5"),
    }
    for name, (values, reason, value) in cases.items():
        folder = tmp_path / name
        folder.mkdir()
        report = convert(written(folder, columns(**{name: values})), folder / "out")
        assert (report["records"], report["rejects"]) == (1, 1), name
        [reject] = rejects(folder / "out")
        assert (reject["field"], reject["reason"], reject["line"]) == (name, reason, 2)
        assert f"`{value}`" in reject["detail"] and value in reject["raw"]


def test_accounts_regain_their_zeros(tmp_path):
    for i, kind in enumerate([pa.int64(), pa.uint64(), pa.float64()]):
        folder = tmp_path / str(i)
        folder.mkdir()
        check(folder, written(folder, columns(account_id=pa.array([12345678901, 12345678901], kind))))


# Times.


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("zone", [None, "UTC", "Europe/Berlin"])
def test_timestamps(tmp_path, unit, zone):
    kind = pa.timestamp(unit, zone)
    times = {name: pa.array(columns()[name], pa.timestamp("s", zone)).cast(kind) for name in ["start", "end"]}
    check(tmp_path, written(tmp_path, columns(**times)))


@pytest.mark.parametrize("version", ["1.0", "2.4", "2.6"])
def test_timestamps_of_old_writers(tmp_path, version):
    times = {name: pa.array(columns()[name], pa.timestamp("s")) for name in ["start", "end"]}
    check(tmp_path, written(tmp_path, columns(**times), version=version))


def test_int96(tmp_path):
    times = {name: pa.array(columns()[name], pa.timestamp("s")).cast(pa.timestamp("ns")) for name in ["start", "end"]}
    check(tmp_path, written(tmp_path, columns(**times), use_deprecated_int96_timestamps=True))


@pytest.mark.parametrize("options", [{}, {"use_deprecated_int96_timestamps": True}], ids=["int64", "int96"])
def test_parts_of_seconds(tmp_path, options):
    """A table of AWS's types cannot hold them; one of rich types holds milliseconds."""
    end = pa.array([(TIME + 60) * 1000 + 5, (TIME + 180) * 1000], pa.timestamp("ms")).cast(pa.timestamp("ns"))
    source = written(tmp_path, columns(end=end), **options)
    report = convert(source, tmp_path / "aws")
    assert (report["records"], report["rejects"]) == (1, 1)
    [reject] = rejects(tmp_path / "aws")
    assert reject["field"] == "end" and "`2024-01-01T00:01:00.005" in reject["detail"]
    report = convert(source, tmp_path / "rich", "--types", "rich")
    assert (report["records"], report["rejects"]) == (2, 0)
    expected = datetime.datetime.fromtimestamp(TIME + 60, datetime.timezone.utc).replace(microsecond=5000)
    assert rows_by(tmp_path / "rich", "srcport")[443]["end"] == expected


def rows_by(out, name):
    found = [row for path in files(out).values() for row in pq.ParquetFile(path).read().to_pylist()]
    return {row[name]: row for row in found}


# Columns that are no field of a flow log.


def test_what_is_not_kept_is_not_looked_at(tmp_path):
    others = {
        "loaded_by": ["nightly job", "two\nlines"],
        "date": [datetime.date(2024, 1, 1)] * 2,
        "tags": [["a"], None],
        "about": [{"a": 1, "b": "x"}, None],
        "pairs": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int64())),
        "clock": [datetime.time(1, 2), None],
        "waited": pa.array([5, None], pa.duration("us")),
        "blob": [b"\xff\x00", None],
        "nothing": pa.nulls(2),
        # A field, of which nothing could be read.
        "dstaddr": [["10.0.0.9"], None],
        "protocol": [b"\xff", None],
    }
    source = written(tmp_path, columns(**others))
    check(tmp_path, source, "--columns", "srcaddr,srcport,start,end")
    report = check(tmp_path / "out2", source, "--columns", "srcaddr,srcport")
    assert report["records_by_status"] == {"NODATA": 1, "OK": 1}


def test_unknown_columns_are_text(tmp_path):
    others = {
        "loaded_by": ["nightly job", " two\r\nlines "],
        "date": [datetime.date(2024, 1, 1), None],
        "price": [0.25, 3.0],
        "seen": [True, None],
        "at": [datetime.datetime(2024, 1, 1, 2, 3, 4, 50), None],
        "clock": [datetime.time(1, 2, 3), None],
    }
    check(
        tmp_path,
        written(tmp_path, columns(**others)),
        loaded_by=["nightly job", " two\r\nlines "],
        date=["2024-01-01", None],
        price=["0.25", "3"],
        seen=["true", None],
        at=["2024-01-01T02:03:04.00005", None],
        clock=["01:02:03", None],
    )


def test_values_with_blanks_survive_compaction(tmp_path):
    names = ["a b", " ", "line\nline", "ä  漢"]
    for i in range(3):
        written(tmp_path, columns(loaded_by=[names[i], names[i + 1]]), f"{i}.parquet")
    report = convert(tmp_path, tmp_path / "out")
    assert (report["records"], report["rejects"]) == (6, 0)
    before = sorted(row["loaded_by"] for row in rows(tmp_path / "out"))
    assert before == sorted(names[i] for pair in [(0, 1), (1, 2), (2, 3)] for i in pair)
    run("compact", tmp_path / "out", "--quiet")
    assert sorted(row["loaded_by"] for row in rows(tmp_path / "out")) == before


def test_blanks_in_a_number_are_a_reject(tmp_path):
    report = convert(written(tmp_path, columns(srcport=["44 3", None])), tmp_path / "out")
    assert (report["records"], report["rejects"]) == (1, 1)
    [reject] = rejects(tmp_path / "out")
    assert (reject["field"], reject["detail"]) == ("srcport", "expected a whole number or `-` in `srcport`, found `44 3`")


def test_text_that_is_none_is_a_reject(tmp_path):
    for i, value in enumerate([b"a\xff", b"\x80", b"\xfc \xfd"]):
        folder = tmp_path / str(i)
        folder.mkdir()
        report = convert(written(folder, columns(srcaddr=[value, None])), folder / "out")
        assert (report["records"], report["rejects"]) == (1, 1)
        [reject] = rejects(folder / "out")
        assert (reject["field"], reject["reason"], reject["line"]) == ("srcaddr", "invalid-utf8", 2)


def test_a_list_that_is_wanted_is_an_unreadable_object(tmp_path):
    source = written(tmp_path, columns(tags=[["a"], None]))
    report = convert(source, tmp_path / "out", check=4)
    [failed] = report["failed_objects"]
    assert "column `tags`" in failed["reason"] and "exclude" not in json.dumps(report)
    assert "--columns" in run("convert", source, "--out", tmp_path / "hint", check=4).stderr
    # Leaving it out mends that, in the same folder.
    names = ",".join(NAMES)
    check(tmp_path, source, "--columns", names)


def test_more_columns_beside_than_of_flow_logs(tmp_path):
    others = {f"tag_{i}": [f"value {i}", None] for i in range(30)}
    check(tmp_path, written(tmp_path, columns(**others)), **others)


# Names.


def test_names_of_others(tmp_path):
    old = {
        "version": "version",
        "account": "account_id",
        "interfaceid": "interface_id",
        "sourceaddress": "srcaddr",
        "destinationaddress": "dstaddr",
        "sourceport": "srcport",
        "destinationport": "dstport",
        "numpackets": "packets",
        "numbytes": "bytes",
        "starttime": "start",
        "endtime": "end",
        "logstatus": "log_status",
    }
    more = columns(interface_id=["eni-1", "eni-1"], dstaddr=["10.0.0.6", None], dstport=[50000, None])
    for i, rename in enumerate([str, str.upper, str.title]):
        folder = tmp_path / str(i)
        folder.mkdir()
        source = written(folder, {rename(name): more[of] for name, of in old.items()})
        check(folder, source, **{name: more[name] for name in ["interface_id", "dstaddr", "dstport"]})
    folder = tmp_path / "chosen"
    folder.mkdir()
    source = written(folder, {name: more[of] for name, of in old.items()})
    check(folder, source, "--columns", "srcaddr,start")
    for i, rename in enumerate([lambda n: n.replace("_", "-"), lambda n: n.replace("_", "").upper(), lambda n: n.replace("_", " ").title()]):
        folder = tmp_path / f"spelt-{i}"
        folder.mkdir()
        check(folder, written(folder, {rename(name): values for name, values in columns().items()}))


LINES = ["2 012345678901 10.0.0.5 443 1 840 1704067200 1704067260 OK", "2 012345678901 - - - - 1704067320 1704067380 NODATA"]
LINES_FORMAT = "version account-id srcaddr srcport packets bytes start end log-status"


@pytest.mark.parametrize("name", ["message", "@message", "_raw", "Line"])
def test_a_column_of_whole_lines(tmp_path, name):
    """As CloudWatch's events are kept by those who unload them; other columns say something about the lines."""
    times = [datetime.datetime(2024, 1, 1)] * 4
    source = written(tmp_path, {"ingested": times, name: [LINES[0] + "\n", None, LINES[1], "oops"], "tags": [["a"]] * 4})
    for i, args in enumerate([(), ("--columns", ",".join(NAMES))]):
        out = tmp_path / f"out{i}"
        report = convert(source, out, "--format", LINES_FORMAT, *args)
        assert (report["records"], report["rejects"], report["blanks"], report["headers"]) == (2, 1, 1, 0)
        assert [tuple(row[n] for n in NAMES) for row in rows(out)] == ROWS
        assert [r["raw"] for r in rejects(out)] == ["oops"]
    shown = run("inspect", source, "--format", LINES_FORMAT).stdout
    assert "RECORD 2" in shown and "RECORD 3" not in shown and "reject       line 4" in shown
    # Who does not know the format is asked for it, and told where nothing fits.
    assert "--format" in run("convert", source, "--out", tmp_path / "none", check=4).stderr
    assert "none of its" in run("convert", source, "--out", tmp_path / "none", "--format", "v3", check=4).stderr


@pytest.mark.parametrize("name", ["value", "0", "data", "content", "record"])
def test_the_only_column_holds_lines(tmp_path, name):
    """As `spark.read.text` calls it, or whoever."""
    source = written(tmp_path, {name: LINES})
    assert convert(source, tmp_path / "out", "--format", LINES_FORMAT)["records"] == 2
    assert [tuple(row[n] for n in NAMES) for row in rows(tmp_path / "out")] == ROWS
    # Who does not know the format is asked for it, and nothing else is taken for lines.
    assert "give the log format" in run("convert", source, "--out", tmp_path / "none", check=4).stderr
    source = written(tmp_path, {"_c0": ["2"], "_c1": ["012345678901"]}, name="unnamed.parquet")
    said = run("convert", source, "--out", tmp_path / "unnamed", "--format", "v2", check=4).stderr
    assert "`_c0`, `_c1`" in said and "columns called as fields" in said


def test_a_column_of_lines_behind_their_header(tmp_path):
    source = written(tmp_path, {"message": [LINES_FORMAT, *LINES]}, row_group_size=1)
    assert convert(source, tmp_path / "out")["records"] == 2
    assert [tuple(row[n] for n in NAMES) for row in rows(tmp_path / "out")] == ROWS


def test_a_column_of_other_lines_is_no_flow_log(tmp_path):
    source = written(tmp_path, {"message": ["GET /", "POST /"]})
    report = convert(source, tmp_path / "out", "--format", "v2", check=4)
    assert report["failed_objects"][0]["cause"] == "no-line-fits"
    source = written(tmp_path, {"class_uid": [4001], "message": ["x"]}, name="ocsf.parquet")
    assert "OCSF" in convert(source, tmp_path / "ocsf", "--format", "v2", check=4)["failed_objects"][0]["reason"]


def test_one_field_twice(tmp_path):
    """The column that is spelt as the field is the field."""
    source = written(tmp_path, columns(sourceaddress=["192.0.2.1", None]))
    check(tmp_path, source, sourceaddress=["192.0.2.1", None])


# Writers.


@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "brotli", "zstd", "lz4"])
def test_codecs(tmp_path, codec):
    check(tmp_path, written(tmp_path, columns(), compression=codec, use_dictionary=False))


@pytest.mark.parametrize("version", ["1.0", "2.0"])
@pytest.mark.parametrize("encoding", ["PLAIN", "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"])
def test_pages_and_encodings(tmp_path, version, encoding):
    options = {"use_dictionary": False, "column_encoding": {"srcaddr": encoding}, "data_page_version": version}
    check(tmp_path, written(tmp_path, columns(), **options))
    floats = columns(srcport=[443.0, None], bytes=pa.array([840, None], pa.int64()))
    options["column_encoding"] = {"srcport": "BYTE_STREAM_SPLIT", "bytes": "DELTA_BINARY_PACKED"}
    folder = tmp_path / "numbers"
    folder.mkdir()
    check(folder, written(folder, floats, **options))


@pytest.mark.parametrize("encoding", ["DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY"])
@pytest.mark.parametrize("value", ["a", "", None])
@pytest.mark.parametrize("count", [1, 2, 300])
def test_delta_pages_of_nulls_or_of_one_value(tmp_path, encoding, value, count):
    """Such a page has no lengths behind the head that promises them."""
    times = {name: pa.array([TIME] * count, pa.int64()) for name in ["start", "end"]}
    texts = {"srcaddr": pa.array([None] * count, pa.string()), "extra": pa.array([None] * (count - 1) + [value], pa.string())}
    options = dict(use_dictionary=False, column_encoding={"srcaddr": encoding, "extra": encoding}, data_page_version="2.0")
    source = written(tmp_path, pa.table({**texts, **times}), **options)
    report = convert(source, tmp_path / "out")
    assert (report["records"], report["rejects"]) == (count, 0)
    # Text without a character is null, as everywhere.
    found = [row["extra"] for row in rows(tmp_path / "out")]
    assert sorted(found, key=bool) == [None] * (count - 1) + [value or None]


def test_duckdb_with_pages_of_version_2(tmp_path):
    source = tmp_path / "in.parquet"
    duckdb.sql(f"COPY (SELECT 2 AS version, '012345678901' AS account_id, NULL::VARCHAR AS srcaddr, {TIME}::BIGINT AS start) TO '{source}' (FORMAT parquet, PARQUET_VERSION v2)")
    assert convert(source, tmp_path / "out")["records"] == 1
    assert [(row["account_id"], row["srcaddr"]) for row in rows(tmp_path / "out")] == [("012345678901", None)]


def test_parquet_in_gzip_and_arrow_files_are_told_how_to_be_read(tmp_path):
    source = written(tmp_path, columns())
    (tmp_path / "in.gz").write_bytes(gzip.compress(source.read_bytes()))
    said = run("convert", tmp_path / "in.gz", "--out", tmp_path / "gz", check=4).stderr
    assert "a Parquet file that is compressed as a whole" in said and "`gunzip`" in said
    feather.write_feather(pa.table(columns()), tmp_path / "in.feather")
    said = run("convert", tmp_path / "in.feather", "--out", tmp_path / "arrow", check=4).stderr
    command = re.search("`(python3 .*?)`", said)[1].replace("python3", sys.executable, 1)
    subprocess.run(command.replace("FILE", str(tmp_path / "in.feather")), shell=True, check=True)
    check(tmp_path, tmp_path / "in.feather.parquet")


def test_pandas(tmp_path):
    """Integers with nulls are floats, and an index that has no name is no column."""
    frame = pandas.DataFrame(columns())
    assert frame["srcport"].dtype == "float64"
    frame.to_parquet(tmp_path / "in.parquet", index=True)
    assert "__index_level_0__" in pq.read_schema(tmp_path / "in.parquet").names
    check(tmp_path, tmp_path / "in.parquet")


def test_pandas_index_that_is_a_field(tmp_path):
    frame = pandas.DataFrame(columns())
    frame["start"] = pandas.to_datetime(frame["start"], unit="s", utc=True)
    frame.set_index("start").to_parquet(tmp_path / "in.parquet")
    check(tmp_path, tmp_path / "in.parquet")


def test_pandas_categories_and_nullable_integers(tmp_path):
    frame = pandas.DataFrame(columns()).astype({"srcport": "Int32", "log_status": "category", "packets": "UInt64"})
    frame.to_parquet(tmp_path / "in.parquet")
    check(tmp_path, tmp_path / "in.parquet")


@pytest.mark.parametrize("codec", ["uncompressed", "snappy", "gzip", "zstd", "brotli", "lz4", "lz4_raw"])
def test_duckdb(tmp_path, codec):
    frame = pa.table(columns())
    query = f"""select * replace (
        srcport::usmallint as srcport, packets::hugeint as packets, bytes::decimal(20, 0) as bytes,
        to_timestamp(start) as start, to_timestamp("end")::timestamp as "end", account_id::bigint as account_id
    ) from frame"""
    path = tmp_path / "in.parquet"
    connection = duckdb.connect()
    connection.register("frame", frame)
    try:
        connection.execute(f"copy ({query}) to '{path}' (format parquet, codec '{codec}')")
    except duckdb.Error as error:
        pytest.skip(f"this DuckDB does not write {codec}: {error}")
    check(tmp_path, path)


def test_duckdb_types(tmp_path):
    path = tmp_path / "in.parquet"
    connection = duckdb.connect()
    connection.register("frame", pa.table(columns()))
    query = """select *, '00010203-0405-0607-0809-0a0b0c0d0e0f'::uuid as id, interval '1 month 2 days' as span,
        'x'::enum('x', 'y') as kind, '{"a": 1}'::json as about from frame"""
    connection.execute(f"copy ({query}) to '{path}' (format parquet)")
    uuid = "00010203-0405-0607-0809-0a0b0c0d0e0f"
    check(tmp_path, path, id=[uuid] * 2, span=["P1M2DT0S"] * 2, kind=["x"] * 2, about=['{"a": 1}'] * 2)


@pytest.mark.parametrize("codec", ["uncompressed", "snappy", "gzip", "zstd", "brotli", "lz4"])
def test_polars(tmp_path, codec):
    frame = polars.DataFrame(columns()).with_columns(
        polars.col("srcport").cast(polars.Float64),
        polars.col("packets").cast(polars.UInt32),
        polars.from_epoch("start", time_unit="s").cast(polars.Datetime("us")),
        polars.from_epoch("end", time_unit="s").cast(polars.Datetime("ns", "UTC")),
        polars.col("log_status").cast(polars.Categorical),
        polars.col("account_id").cast(polars.Int64),
    )
    frame.write_parquet(tmp_path / "in.parquet", compression=codec)
    check(tmp_path, tmp_path / "in.parquet")


def test_many_rows_and_row_groups(tmp_path):
    count = 50_000
    start = [TIME + i % 86_000 for i in range(count)]
    table = pa.table({
        "srcport": pa.array([None if i % 7 == 0 else float(i % 65_536) for i in range(count)]),
        "start": pa.array(start, pa.timestamp("s")),
        "note": [f"note {i % 9}" for i in range(count)],
    })
    source = written(tmp_path, table, row_group_size=7_000, compression="lz4")
    report = convert(source, tmp_path / "out")
    assert (report["records"], report["rejects"]) == (count, 0)
    found = rows(tmp_path / "out")
    expected = [(None if i % 7 == 0 else i % 65_536, start[i], f"note {i % 9}") for i in range(count)]
    key = lambda row: tuple((value is None, value) for value in row)
    assert sorted(((r["srcport"], r["start"], r["note"]) for r in found), key=key) == sorted(expected, key=key)


def test_checksums_of_pages_are_checked(tmp_path):
    text = [f"10.9.{i % 7}.{i % 11}" for i in range(2)]
    path = written(tmp_path, columns(srcaddr=text), compression="none", use_dictionary=False, write_page_checksum=True, write_statistics=False)
    assert convert(path, tmp_path / "whole")["records"] == 2
    spoilt = path.read_bytes().replace(b"10.9.1.1", b"90.9.1.1", 1)
    (tmp_path / "spoilt.parquet").write_bytes(spoilt)
    report = convert(tmp_path / "spoilt.parquet", tmp_path / "out", check=4)
    assert report["failed_objects"][0]["cause"] == "damaged" and "CRC" in report["failed_objects"][0]["reason"]
