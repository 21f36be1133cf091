"""Engines that people query tables with: all must see the same values, also where page index, statistics and sort order let
them skip most of a file. Wrong statistics would lose rows in silence."""

import collections
import functools
import re
import shutil

import chdb
import duckdb
import polars
import pyarrow.compute
import pyarrow.dataset
import pyarrow.parquet
import pytest
import spark
from conftest import convert, files, flowlogs

COLUMNS = 21
ROWS = 120_000


@pytest.fixture(scope="module", params=["as-they-came", "sorted"])
def table(request, tmp_path_factory):
    """A table of several row groups and pages with every encoding, and its rows read without any filter."""
    folder = tmp_path_factory.mktemp(request.param)
    flowlogs(folder / "logs", "--format", "blog", "--objects", "3", "--records", "40000")
    sort = ["--sort"] if request.param == "sorted" else []
    convert(folder / "logs", folder / "out", "--row-group-rows", "50000", *sort)
    rows = [row for path in files(folder / "out").values() for row in pyarrow.parquet.ParquetFile(path, page_checksum_verification=True).read().to_pylist()]
    assert len(rows) == ROWS and len(rows[0]) == COLUMNS
    yield folder / "out", rows
    shutil.rmtree(folder)


# Each engine answers one selection under several conditions, a row for each.


def in_one(select, table, conditions):
    """One query for all: with chDB and Spark, a query of its own costs more than what it reads. Each part skips for itself."""
    return " union all ".join(f"select {n} as n, {select} from {table} where {condition}" for n, condition in enumerate(conditions))


def by_chdb(out, select, conditions):
    sql = in_one(select, f"file('{out}/date=*/*.parquet', Parquet)", conditions)
    found = chdb.query(sql, "ArrowTable").to_pylist()
    return [tuple(row.values())[1:] for row in sorted(found, key=lambda row: row["n"])]


def by_duckdb(out, select, conditions):
    table = f"read_parquet('{out}/date=*/*.parquet', hive_partitioning = false)"
    return [duckdb.sql(f"select {select} from {table} where {condition}").fetchall()[0] for condition in conditions]


def by_polars(out, select, conditions):
    frame = polars.scan_parquet(f"{out}/date=*/*.parquet", hive_partitioning=False)
    # Polars keeps a sum of 32-bit numbers to 32 bits.
    select = re.sub(r"sum\((.*?)\)", r"sum(cast(\1 as bigint))", select)
    context = polars.SQLContext(flows=frame)
    return [context.execute(f"select {select} from flows where {condition}", eager=True).row(0) for condition in conditions]


@functools.cache
def spark_view(out):
    name = f"flows_{spark_view.cache_info().currsize}"
    spark.session().read.parquet(*map(str, files(out).values())).createOrReplaceTempView(name)
    return name


def by_spark(out, select, conditions):
    # A few at a time: with many distinct counts in one query Spark copies each row for each of them.
    parts, found = select.split(", "), [()] * len(conditions)
    for start in range(0, len(parts), 5):
        sql = in_one(", ".join(parts[start : start + 5]), spark_view(out), conditions)
        rows = sorted(spark.session().sql(sql.replace('"', "`")).collect())
        found = [before + tuple(row)[1:] for before, row in zip(found, rows, strict=True)]
    return found


ENGINES = {"chdb": by_chdb, "duckdb": by_duckdb, "polars": by_polars, "spark": by_spark}


@pytest.fixture(scope="module")
def of_columns(table):
    """What is asked of each column, and the answer."""
    _, rows = table
    select, expected = [], []
    for name in rows[0]:
        present = [row[name] for row in rows if row[name] is not None]
        total = [("sum", sum)] if isinstance(present[0], int) else []
        for function, of in [("count", len), ("min", min), ("max", max), *total]:
            select.append(f'{function}("{name}") as {function}_{name}')
            expected.append(of(present))
        select.append(f'count(distinct "{name}") as distinct_{name}')
        expected.append(len(set(present)))
    return select, expected


@pytest.mark.parametrize("engine", ENGINES)
def test_every_column_is_read_alike(table, of_columns, engine):
    select, expected = of_columns
    (found,) = ENGINES[engine](table[0], ", ".join(select), ["1 = 1"])
    assert dict(zip(select, found, strict=True)) == dict(zip(select, expected))


def conditions(rows):
    """Conditions as SQL and as a function, that pages or row groups can be skipped by: of common and of rare values, of the
    smallest and the largest, of what is not there, and of null."""
    for name in ["interface_id", "srcaddr", "pkt_dstaddr", "instance_id", "action"]:
        counted = collections.Counter(row[name] for row in rows if row[name] is not None)
        by_count = [value for value, _ in counted.most_common()]
        for value in {by_count[0], by_count[-1], min(counted), max(counted), "0", "10.0", "zzz"}:
            yield f"\"{name}\" = '{value}'", lambda row, name=name, value=value: row[name] == value
        yield f'"{name}" is null', lambda row, name=name: row[name] is None
    for name in ["start", "bytes", "dstport", "packets", "protocol"]:
        values = sorted(row[name] for row in rows if row[name] is not None)
        low, high, middle = values[0], values[-1], values[len(values) // 2]
        for op, compare in [("=", int.__eq__), (">", int.__gt__), ("<=", int.__le__)]:
            for value in {low, middle, high, high + 1}:
                yield f'"{name}" {op} {value}', lambda row, name=name, value=value, compare=compare: row[name] is not None and compare(row[name], value)


@pytest.fixture(scope="module")
def of_conditions(table):
    """Conditions, and how many rows and ends they keep, and the sum of those."""
    _, rows = table
    expected = {}
    for condition, keeps in conditions(rows):
        kept = [row for row in rows if keeps(row)]
        present = [row["end"] for row in kept if row["end"] is not None]
        expected[condition] = len(kept), len(present), sum(present)
    return expected


@pytest.mark.parametrize("engine", ENGINES)
def test_pruning_loses_no_row(table, of_conditions, engine):
    found = ENGINES[engine](table[0], 'count(*) as a_rows, count("end") as a_ends, sum("end") as a_sum', list(of_conditions))
    found = {condition: (rows, ends, total or 0) for condition, (rows, ends, total) in zip(of_conditions, found, strict=True)}
    assert found == of_conditions


def test_pruning_loses_no_row_in_pyarrow(table):
    out, rows = table
    dataset = pyarrow.dataset.dataset(list(files(out).values()), format="parquet")
    for name in ["srcaddr", "start"]:
        for value in sorted({row[name] for row in rows if row[name] is not None})[::500]:
            assert dataset.count_rows(filter=pyarrow.compute.field(name) == value) == sum(row[name] == value for row in rows)


def test_sorted_row_groups_are_in_order_and_say_so(table):
    out, _ = table
    by = ["interface_id", "srcaddr", "dstaddr", "start"]
    is_sorted = out.parent.name.startswith("sorted")
    for path in files(out).values():
        file = pyarrow.parquet.ParquetFile(path)
        for group in range(file.num_row_groups):
            told = [file.schema_arrow.names[column.column_index] for column in file.metadata.row_group(group).sorting_columns]
            assert told == (by if is_sorted else [])
            found = file.read_row_group(group, columns=by).to_pylist()
            keys = [tuple((row[name] is not None, row[name] or 0) if name == "start" else (row[name] is not None, row[name] or "") for name in by) for row in found]
            assert (keys == sorted(keys)) == is_sorted


def test_sorted_files_are_smaller(tmp_path):
    flowlogs(tmp_path / "logs", "--format", "v2", "--objects", "3", "--records", "40000")
    sizes = []
    for name, sort in [("plain", []), ("sorted", ["--sort"]), ("by-port", ["--sort=dstport,srcport"])]:
        convert(tmp_path / "logs", tmp_path / name, *sort)
        sizes.append(sum(path.stat().st_size for path in files(tmp_path / name).values()))
    assert sizes[1] < sizes[0] * 0.87 and sizes[2] < sizes[0] * 0.95, sizes
