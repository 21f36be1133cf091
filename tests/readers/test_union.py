"""A table of several log formats reads whole by the plain call of each reader, as docs/READING.md prints it, and by what `flowquet schema` prints
also where older files lack columns."""

import datetime
import math
import re

import duckdb
import pandas
import polars
import pyarrow.dataset
import pyarrow.parquet
import pytest

import naive
import spark
from conftest import ROOT, convert, files, plans, run
from test_statements import MIXED, values

CALLS = re.search(r"reads it whole.*?```python\n(.*?)```", (ROOT / "docs/READING.md").read_text(), re.S)[1].strip().splitlines()

FORMATS = {"v2": naive.V2, "v5": MIXED["v5"], "odd": MIXED["few"]}


def object_of(logs, name, fields, rows=range(40), flow_log=None, day=15):
    """A log of AWS's name and place, or of none."""
    lines = [fields, *(" ".join(values(fields, i)) for i in rows)]
    if flow_log is None:
        path = logs / f"{name}.log"
    else:
        path = logs / f"AWSLogs/123456789012/vpcflowlogs/eu-west-1/2024/01/{day}/123456789012_vpcflowlogs_eu-west-1_{flow_log}_202401{day}T0000Z_{name}.log.gz"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def columns_of(formats):
    """The columns of all formats: those of the catalogue in its order, then the others by name."""
    known = re.findall(r'^\[\[field\]\]\nname = "(.*?)"', (ROOT / "schemas/fields.toml").read_text(), re.M)
    names = {name for fields in formats for name in fields.split()}
    names = [n for n in known if n in names] + sorted(n for n in names if n not in known)
    return [name.replace("-", "_") for name in names]


def expected_of(formats, columns, rows=range(40)):
    """Each record as a row of these columns, as text, sorted."""
    found = []
    for fields in formats:
        for i in rows:
            row = dict(zip(fields.replace("-", "_").split(), values(fields, i)))
            found.append(tuple(None if row.get(c, "-") == "-" else row[c] for c in columns))
    return sorted(found, key=str)


def as_text(value):
    """A value of any reader as the log has it; pandas makes floats of integers where some are null."""
    if value is None or value is pandas.NaT or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, datetime.datetime):
        return str(round(value.replace(tzinfo=value.tzinfo or datetime.timezone.utc).timestamp()))
    return str(int(value)) if isinstance(value, float) else str(value)


def rows_of(found, columns):
    """Rows of what a reader's call gives, without partition columns and twins; all columns must be there."""
    if isinstance(found, duckdb.DuckDBPyRelation):
        names, rows = found.columns, found.fetchall()
    elif isinstance(found, pandas.DataFrame):
        names, rows = list(found.columns), found.astype(object).itertuples(index=False)
    elif isinstance(found, polars.DataFrame | polars.LazyFrame):
        found = found.lazy().collect()
        names, rows = found.columns, found.rows()
    elif isinstance(found, pyarrow.Table):
        names, rows = found.column_names, (tuple(row.values()) for row in found.to_pylist())
    else:
        names, rows = found.columns, found.collect()
    assert set(columns) <= set(names) and len(names) == len(set(names)), (sorted(set(columns) - set(names)), names)
    places = [names.index(c) for c in columns]
    return sorted((tuple(as_text(row[p]) for p in places) for row in rows), key=str)


def plain_calls(out, by):
    """What the page's calls give, each with the table's place for the page's."""
    folders = "".join(f"{column}=*/" for column in by.split(","))
    readers = {"duckdb": duckdb, "pandas": pandas, "polars": polars, "ds": pyarrow.dataset, "spark": spark.session()}
    for call in CALLS:
        if call.startswith("pandas") and "region" in by:
            # It takes a column that partitions and files both have for two of different types, unless it is told its type.
            names = {}
            exec(run("schema", out, "--as", "pandas").stdout, names)
            yield call, names["flows"]
            continue
        yield call, eval(call.replace("lake/date=*/", f"{out}/{folders}").replace('"lake"', f'"{out}"'), readers)


def check_plain(out, formats, by="date"):
    # Of a column that partitions have too, readers take the folder's value.
    columns = [column for column in columns_of(formats) if column not in by.split(",")]
    expected = expected_of(formats, columns)
    for call, found in plain_calls(out, by):
        assert rows_of(found, columns) == expected, call
    for path in files(out).values():
        names = pyarrow.parquet.ParquetFile(path).schema_arrow.names
        twins = [n for n in names if n.endswith("_bin")]
        assert names[: len(names) - len(twins)] == columns_of(formats)


def test_readme_has_a_call_of_each_reader():
    assert len(CALLS) == 5 and all(any(call.startswith(name) for call in CALLS) for name in ["duckdb", "pandas", "polars", "ds", "spark"])


@pytest.mark.parametrize("types,by,options", [("aws", "date", []), ("rich", "date", ["--sort"]), ("aws", "region,date", ["--bloom-filter", "srcaddr,vpc-id"])])
def test_plain_calls_read_all_columns(logs, out, types, by, options):
    for n, (name, fields) in enumerate(FORMATS.items()):
        object_of(logs, name, fields, flow_log=f"fl-{n}")
    options = ["--types", types, "--partition-by", by, *options]
    report = convert(logs, out, *options)
    assert report["records"] == 120 and report["rejects"] == 0
    formats = list(FORMATS.values())
    check_plain(out, formats, by)
    own = [pyarrow.parquet.ParquetFile(p).metadata.metadata[b"flowquet.log_format"].decode() for p in files(out).values()]
    texts = [" ".join(f"${{{name}}}" for name in fields.split()) for fields in formats]
    assert set(own) == set(texts) and plans(out)[0]["formats"] == sorted(texts), "a file has one log format's rows, and the columns of all"
    run("compact", out)
    check_plain(out, formats, by)
    # Objects of one format, in a partition of their own: their files have all columns nevertheless, also once they are compacted.
    object_of(logs, "more", FORMATS["v2"], rows=range(100, 140), flow_log="fl-0", day=17)
    assert convert(logs, out, *options)["records"] == 40
    columns = columns_of(formats)
    for _ in range(2):
        assert all(set(columns) <= set(pyarrow.parquet.ParquetFile(p).schema_arrow.names) for p in files(out).values())
        run("compact", out)


def test_columns_that_are_kept_are_those_of_the_union(logs, out):
    for name, fields in FORMATS.items():
        object_of(logs, name, fields)
    convert(logs, out, "--columns", "start,bytes,vpc-id,hop-of-tomorrow", check=None)
    for path in files(out).values():
        assert pyarrow.parquet.ParquetFile(path).schema_arrow.names == ["bytes", "start", "vpc_id", "hop_of_tomorrow"]
    run("compact", out)
    for path in files(out).values():
        assert pyarrow.parquet.ParquetFile(path).schema_arrow.names == ["bytes", "start", "vpc_id", "hop_of_tomorrow"]


@pytest.mark.parametrize("types", ["aws", "rich"])
def test_printed_calls_read_older_files_too(logs, out, types):
    object_of(logs, "v2", FORMATS["v2"])
    convert(logs, out, "--types", types)
    names = lambda: {n for p in files(out).values() for n in pyarrow.parquet.ParquetFile(p).schema_arrow.names}
    assert "vpc_id" not in names()
    object_of(logs, "v5", FORMATS["v5"])
    object_of(logs, "odd", FORMATS["odd"])
    convert(logs, out, "--types", types)
    formats = list(FORMATS.values())
    columns = columns_of(formats)
    expected = expected_of(formats, columns)
    spark.session()
    for form in ["polars", "pandas", "pyspark"]:
        names = {}
        exec(run("schema", out, "--as", form).stdout, names)
        assert rows_of(names["flows"], columns) == expected, form
    # What older files lack comes with a compaction of their partition.
    run("compact", out)
    check_plain(out, formats)


def test_a_run_looks_only_at_what_is_new(logs, out):
    object_of(logs, "a", FORMATS["v2"], flow_log="fl-0")
    convert(logs, out)
    v2 = " ".join(f"${{{name}}}" for name in FORMATS["v2"].split())
    # Nothing tells the format of the first object of a flow log; the next one does.
    object_of(logs, "a", "", flow_log="fl-1").write_bytes(b"\x1f\x8b damaged")
    object_of(logs, "b", FORMATS["odd"], flow_log="fl-1")
    # An object of a flow log that the table knows is not looked at: its other format turns up while it is converted.
    object_of(logs, "z", "bytes start a-field-of-its-own", flow_log="fl-0")
    report = convert(logs, out, check=4)
    assert report["records"] == 80
    odd = " ".join(f"${{{name}}}" for name in FORMATS["odd"].split())
    assert [p["formats"] for p in plans(out)] == [[v2], sorted([v2, odd])]
    by_format = {}
    for path in files(out).values():
        file = pyarrow.parquet.ParquetFile(path)
        by_format.setdefault(file.metadata.metadata[b"flowquet.log_format"].decode(), set()).update(file.schema_arrow.names)
    union = set(columns_of([FORMATS["v2"], FORMATS["odd"]]))
    assert by_format[odd] == union
    assert by_format["${bytes} ${start} ${a-field-of-its-own}"] == union | {"a_field_of_its_own"}
    # The next run knows it, and the given one.
    object_of(logs, "c", FORMATS["v2"], flow_log="fl-0", day=16)
    convert(logs, out, "--format", "v3", check=4)
    formats = plans(out)[2]["formats"]
    assert len(formats) == 4 and "${bytes} ${start} ${a-field-of-its-own}" in formats and any("tcp-flags" in f for f in formats)
    convert(logs, out, "--format", "v3", check=4)
    assert len(plans(out)) == 3


def test_a_column_of_two_types_is_left_to_the_files_that_have_it(tmp_path, logs, out):
    object_of(logs, "a", "start bytes hop-count")
    convert(logs, out)
    fields = tmp_path / "fields.toml"
    fields.write_text('[[field]]\nname = "hop-count"\nsince = 12\nlogs = ["vpc"]\nkind = "number"\nparquet = "INT32"\ndoc = "Hops taken."\n')
    object_of(logs, "b", "start bytes srcaddr")
    convert(logs, out, "--fields", fields)
    assert plans(out)[1]["formats"] == ["${start} ${bytes}", "${start} ${bytes} ${srcaddr}"]
    names = [pyarrow.parquet.ParquetFile(p).schema_arrow.names for p in files(out).values()]
    assert sorted(names) == [["srcaddr", "bytes", "start"], ["start", "bytes", "hop_count"]] or sorted(names) == [
        ["start", "bytes", "hop_count"],
        ["start", "bytes", "srcaddr"],
    ]
