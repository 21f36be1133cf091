"""Tables of each released layout live on: they are read, finished, added to and compacted, and refused where they are newer.

They stand in `tests/tables`, made once by the program of their layout; `expected.json` holds what the naive reading finds in their
logs. A later program may plan anew what is open, and may mend what a mistake cost, so nothing here goes by ids and names of what
it writes: rows, sums, counts and exit codes only.
"""

import collections
import contextlib
import gzip
import itertools
import json
import os

import pyarrow.parquet
import pytest

import naive
import s3
from conftest import ROOT, multiset, rows

TABLES = {str(path.parent.relative_to(ROOT / "tests/tables")): path.parent for path in sorted((ROOT / "tests/tables").glob("layout-*/*/expected.json"))}
NEWER = 99
# Three records of an object that came later: two of a day that each table has, one of a day that none has.
MORE = "AWSLogs/123456789012/vpcflowlogs/us-east-1/2024/01/15/123456789012_vpcflowlogs_us-east-1_fl-09_20240115T0600Z_more.log.gz"
MORE_DAYS = {"2024-01-15": 2, "2024-01-20": 1}
STARTS = [1_705_300_000, 1_705_300_001, 1_705_752_000]


class Stored:
    """A table of an earlier program, and its logs, in a server of their own."""

    def __init__(self, server, folder):
        self.server, self.name = server, folder.name
        self.expected = json.loads((folder / "expected.json").read_text())
        self.logs = {f"s3://logs/{path.relative_to(folder / 'logs')}": path for path in (folder / "logs").rglob("*") if path.is_file()}
        self.copies = itertools.count()

    def status(self):
        process = s3.run(self.server, "status", "s3://lake/t", "--json", check=None)
        found = json.loads(process.stdout)
        is_whole = not (found["open_tasks"] or found["open_compactions"] or found["unreadable"])
        assert process.returncode == (0 if is_whole else 4), process.stderr
        return found

    def convert(self):
        """With the options of the table, of all its logs. The exit code tells whether all of them are in the table."""
        report = s3.convert(self.server, "s3://logs/", "s3://lake/t", *self.expected["convert"], check=None)
        left = self.status()
        assert left["open_tasks"] == [] and report["exit_code"] == (4 if left["unreadable"] else 0), report
        assert {item["url"] for item in left["unreadable"]} <= set(self.expected["unreadable"])
        return report

    def compact(self):
        done = json.loads(s3.run(self.server, "compact", "s3://lake/t", "--json", "--quiet").stdout)
        assert self.status()["open_compactions"] == []
        return done

    def put_more(self):
        lines = [f"2 123456789012 eni-9 10.9.9.{i} 10.0.1.7 {i} 443 6 {i} {100 + i} {start} {start + 9} ACCEPT OK\n" for i, start in enumerate(STARTS)]
        self.server.client.put_object(Bucket="logs", Key=MORE, Body=gzip.compress("".join([naive.V2, "\n", *lines]).encode()))

    def objects(self):
        """Everything that the table consists of, byte by byte."""
        get = lambda key: self.server.client.get_object(Bucket="lake", Key=key)["Body"].read()
        return {key: get(key) for key in self.server.keys("lake", "t/")}

    def copy(self, tmp_path):
        return self.server.fetch("t", tmp_path / f"copy{next(self.copies)}")

    def settled_rows(self, tmp_path):
        """Rows as a reader by listing sees them, once no compaction is on its way."""
        if self.status()["open_compactions"]:
            self.compact()
        return rows(self.copy(tmp_path))


@pytest.fixture(params=TABLES)
def stored(request):
    folder = TABLES[request.param]
    with s3.serve("--load", f"lake/t={folder / 'table'}", load=folder / "logs") as server:
        yield Stored(server, folder)


def sums(found):
    """Rows, bytes and packets of each partition."""
    by_folder = collections.defaultdict(collections.Counter)
    for folder, row in found:
        by_folder[folder].update(rows=1, bytes=row["bytes"] or 0, packets=row["packets"] or 0)
    return {folder: dict(counts) for folder, counts in by_folder.items()}


def added(*parts):
    total = collections.defaultdict(collections.Counter)
    for part in parts:
        for folder, counts in part.items():
            total[folder].update(counts)
    return {folder: dict(counts) for folder, counts in total.items()}


def is_whole(expected, found):
    """Whether a table holds all its logs, each once; of objects that a mistake cost, any may have been mended, as a whole."""
    base, mistaken = expected["partitions_finished"], list(expected["mistaken"].values())
    subsets = itertools.chain.from_iterable(itertools.combinations(mistaken, n) for n in range(len(mistaken) + 1))
    return any(added(base, *mended) == found for mended in subsets)


def rows_by_records(copy):
    """Rows of the files that commit and compaction records name, under their own keys or still aside."""
    commits = [json.loads(path.read_text()) for path in copy.glob("_flowquet/commits/**/*.json")]
    compactions = [json.loads(path.read_text()) for path in copy.glob("_flowquet/compactions/*.json")]
    retired = {file["key"] for record in compactions for file in record["retired"]}
    found = []
    for record in commits + compactions:
        for output in record["outputs"]:
            if output["key"] in retired:
                continue
            path = copy / output["key"]
            if not path.exists():
                path = copy / f"_flowquet/compacted/{record['id']}/{os.path.basename(output['key'])}"
            read = pyarrow.parquet.ParquetFile(path).read().to_pylist()
            assert len(read) == output["rows"]
            found += [(output["partition"], row) for row in read]
    return found


def as_naive(row):
    """A row as the naive reading has it: seconds, and no twins of addresses."""
    second = lambda value: int(value.timestamp()) if hasattr(value, "timestamp") else value
    return {name: second(value) for name, value in row.items() if not name.endswith("_bin")}


def test_there_are_tables_of_every_kind():
    assert {name.split("/")[1] for name in TABLES} >= {"plain", "rich-sorted", "compacted", "open", "wrong-format"}


def test_its_records_are_understood(stored):
    found, expected = stored.status(), stored.expected["status"]
    assert {name: found[name] for name in expected} == expected | {"open_tasks": found["open_tasks"]}
    assert len(found["open_tasks"]) == expected["open_tasks"]
    assert [item["url"] for item in found["unreadable"]] == stored.expected["unreadable"]


def test_its_rows_are_there(stored, tmp_path):
    copy = stored.copy(tmp_path)
    assert sums(rows_by_records(copy)) == stored.expected["partitions"]
    if not stored.expected["status"]["open_compactions"] and not stored.expected["status"]["open_tasks"]:
        assert sums(rows(copy)) == stored.expected["partitions"], "as a reader by listing sees them"


def test_its_logs_are_taken_once_and_open_tasks_finished(stored, tmp_path):
    stored.convert()
    found = stored.settled_rows(tmp_path)
    assert is_whole(stored.expected, sums(found)), sums(found)
    left_out = {*stored.expected["unreadable"], *stored.expected["mistaken"]}
    logs = [path for url, path in stored.logs.items() if url not in left_out]
    expected = multiset([("", row) for path in logs for row in naive.read(path.read_bytes())[0]], True)
    values = multiset([("", as_naive(row)) for _, row in found], True)
    # What was mended comes on top.
    assert not expected - values and (stored.expected["mistaken"] or values == expected)
    assert stored.convert()["records"] == 0
    assert multiset(stored.settled_rows(tmp_path)) == multiset(found)


def test_one_more_object_adds_its_rows(stored, tmp_path):
    stored.convert()
    before = stored.settled_rows(tmp_path)
    stored.put_more()
    report = stored.convert()
    assert (report["records"], report["rejects"]) == (3, 0)
    new = multiset(stored.settled_rows(tmp_path)) - multiset(before)
    where = {"account": "123456789012", "region": "us-east-1"}
    folder = lambda day: "/".join(f"{name}={(where | {'date': day})[name]}" for name in stored.expected["partition_by"])
    assert sums([(place, dict(zip(*row))) for place, row in new.elements()]).keys() == {folder(day) for day in MORE_DAYS}
    assert collections.Counter(place for place, _ in new.elements()) == {folder(day): count for day, count in MORE_DAYS.items()}
    assert sum(dict(zip(*row))["bytes"] for _, row in new.elements()) == 303


def test_compaction_keeps_every_row(stored, tmp_path):
    stored.compact()
    before = stored.expected["partitions"]
    # By records of this program, since an open task may have left files that a listing shows.
    assert stored.status()["records"] == stored.expected["status"]["records"]
    if not stored.expected["status"]["open_tasks"]:
        assert sums(rows(stored.copy(tmp_path))) == before
    stored.convert()
    stored.compact()
    assert is_whole(stored.expected, sums(rows(stored.copy(tmp_path))))


def newer(body):
    record = json.loads(body) | {"layout_version": NEWER}
    return json.dumps(record).encode()


@contextlib.contextmanager
def made_newer(stored, *keys):
    """These objects as a later program would have written them, and back again."""
    objects = stored.objects()
    put = lambda key, body: stored.server.client.put_object(Bucket="lake", Key=key, Body=body)
    for key in keys:
        put(key, gzip.compress(newer(gzip.decompress(objects[key]))) if key.endswith(".gz") else newer(objects[key]))
    yield
    for key in keys:
        put(key, objects[key])


def test_a_newer_table_is_refused_and_left_alone(stored):
    contract = "t/_flowquet/table.json"
    plan = stored.server.keys("lake", "t/_flowquet/plans/")[-1]
    commit = stored.server.keys("lake", "t/_flowquet/commits/")[0]
    stored.put_more()
    # Each record alone too, for one table: the other kinds of tables make no difference there.
    alone = [[contract], [plan], [commit]] if stored.name == "compacted" else []
    for keys in [[contract, plan], *alone]:
        with made_newer(stored, *keys):
            before = stored.objects()
            for command in [
                ["convert", "s3://logs/", "--out", "s3://lake/t", "--quiet", *stored.expected["convert"]],
                ["compact", "s3://lake/t", "--quiet"],
                ["status", "s3://lake/t"],
            ]:
                words = s3.run(stored.server, *command, check=1).stderr
                assert "version" in words and f"found {NEWER}" in words, (keys, command[0], words)
            assert stored.objects() == before, keys
