"""Fixtures: the built program, made-up flow logs, and tables read by readers that we did not write."""

import collections
import functools
import gzip
import json
import os
import pathlib
import re
import subprocess

import duckdb
import pyarrow.parquet
import pytest

import naive

ROOT = pathlib.Path(__file__).resolve().parents[2]
# The programs that the Rust tests have built: their checks of overflow and their assertions are on.
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / os.environ.get("FLOWQUET_PROFILE", "debug")
FLOWQUET = TARGET / "flowquet"
FLOWLOGS = TARGET / "flowlogs"


def run(*args, check=0, **options):
    """Runs flowquet; `check` is the expected exit code, or None for any."""
    process = subprocess.run([FLOWQUET, *map(str, args)], capture_output=True, text=True, stdin=options.pop("stdin", subprocess.DEVNULL), **options)
    assert check is None or process.returncode == check, process.stderr
    return process


def convert(source, out, *args, check=0):
    """Converts and returns the report. Whatever the exit code, lines add up."""
    sources = source if isinstance(source, list) else [source]
    process = run("convert", *sources, "--out", out, "--quiet", "--report", "-", *args, check=check)
    report = json.loads(process.stdout)
    assert report["lines"] == report["records"] + report["rejects"] + report["headers"] + report["blanks"]
    return report


def flowlogs(out, *args):
    subprocess.run([FLOWLOGS, out, *map(str, args)], check=True)
    return out


def files(out):
    """Data files of a table, by key."""
    out = pathlib.Path(out)
    found = {str(p.relative_to(out)): p for p in sorted(out.rglob("*.parquet"))}
    return {key: path for key, path in found.items() if not key.startswith("_")}


def content(out):
    """All that engines see of a table, and its rejects, byte by byte."""
    out = pathlib.Path(out)
    found = {key: path.read_bytes() for key, path in files(out).items()}
    found |= {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("_flowquet/rejects/*.jsonl")}
    return found


def rows(out):
    """Rows by pyarrow, each with its partition folder."""
    found = []
    for key, path in files(out).items():
        folder = os.path.dirname(key)
        found += [(folder, row) for row in pyarrow.parquet.ParquetFile(path).read().to_pylist()]
    return found


def duckdb_rows(out):
    """The same by DuckDB, one file at a time: it has no folder column to take for a field."""
    found = []
    connection = duckdb.connect()
    for key, path in files(out).items():
        result = connection.execute("select * from read_parquet(?, hive_partitioning = false)", [str(path)])
        names = [d[0] for d in result.description]
        found += [(os.path.dirname(key), dict(zip(names, row))) for row in result.fetchall()]
    return found


def multiset(found, without_nulls=False):
    """Rows that can be compared whatever their order; `without_nulls` where files have columns that not all of their rows had.

    A row is kept as its names and its values: `dict(zip(*row))` is the row.
    """

    def kept(row):
        if without_nulls:
            row = {name: value for name, value in row.items() if value is not None}
        names = in_order(tuple(row))
        return names, tuple(map(row.__getitem__, names))

    return collections.Counter((folder, kept(row)) for folder, row in found)


# Rows are many, and the sets of names that they have are few.
in_order = functools.cache(lambda names: tuple(sorted(names)))


def rejects(out):
    lines = [line for path in sorted(pathlib.Path(out).glob("_flowquet/rejects/*.jsonl")) for line in path.read_text("utf-8").splitlines()]
    return [json.loads(line) for line in lines]


def plans(out):
    """Plan records of a table, in order."""
    return [json.loads(gzip.decompress(path.read_bytes())) for path in sorted(pathlib.Path(out).glob("_flowquet/plans/*.json.gz"))]


def expected_rows(out):
    """What the committed tasks of a table must hold, read naively from the objects that they name; None if one is gone."""
    found = []
    # What a reconversion read otherwise, and what a compaction left out, is compared by its own tests.
    if any(word in path.read_text() for path in out.glob("_flowquet/compactions/*.json") for word in ['"reconversion"', '"dedup"']):
        return None
    for plan in plans(out):
        options = plan["options"]
        # Columns that are not kept are not checked either, which the naive reading does not know.
        if options["partition_by"] != "date" or options["types"] != "aws" or {"columns", "fields", "formats", "salvage"} & options.keys():
            return None
        format = " ".join(re.findall(r"\$\{([^}]+)\}", options.get("format", ""))) or None
        for task in plan["tasks"]:
            commit = list(out.glob(f"_flowquet/commits/**/*{task['id']}.json"))
            inputs = json.loads(commit[0].read_text())["inputs"] if commit else []
            for item in inputs:
                source = pathlib.Path(item["url"].removeprefix("file://"))
                if "failed" in item:
                    continue
                if not source.exists() or source.stat().st_size != item["bytes"] or source.read_bytes()[:4] in [b"\x28\xb5\x2f\xfd", b"PAR1"]:
                    return None
                delivered = re.search(r"/vpcflowlogs/[^/]+/(\d{4})/(\d\d)/(\d\d)/", str(source))
                for record in records_of(source, format):
                    folder = "date=" + naive.date_of(record, options["partition_time"], delivered and "-".join(delivered.groups()))
                    found.append((folder, record))
    return found


@functools.cache
def records_of(source, format):
    """Tables of a test mostly have the same objects: each is read naively once."""
    return naive.read(source.read_bytes(), format)[0]


@pytest.fixture(autouse=True)
def every_table_is_read_back(tmp_path):
    """After each test: every table that it left, read by pyarrow and by DuckDB, against the naive reading of its inputs.

    Tables of many rows are left to the tests that compare them themselves: naive reading is slow.
    """
    yield
    for records in tmp_path.rglob("_flowquet"):
        out = records.parent
        if not list(records.glob("plans/*")) or sum(pyarrow.parquet.ParquetFile(p).metadata.num_rows for p in files(out).values()) > 20_000:
            continue
        # A file has the columns of all log formats that the table had, and a merged file those of all files that it replaces.
        is_merged = bool(list(records.glob("compactions/*"))) or any(len(plan.get("formats", [])) > 1 for plan in plans(out))
        by_arrow = multiset(rows(out), is_merged)
        assert multiset(duckdb_rows(out), is_merged) == by_arrow
        expected = expected_rows(out)
        assert expected is None or multiset(expected, is_merged) == by_arrow
    records_of.cache_clear()


@pytest.fixture
def out(tmp_path):
    return tmp_path / "out"


@pytest.fixture
def logs(tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    return folder
