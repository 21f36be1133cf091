"""Memory stays within --memory, whatever the input."""

import collections
import gzip
import os
import random
import shutil
import subprocess
import sys
import zlib

import duckdb
import pyarrow.parquet
import pytest

import naive
from conftest import FLOWQUET, convert, files, flowlogs, multiset, rejects, rows

MIB = 1 << 20


# Measured by a small process between: a child's peak counts what it shared with its parent before it began.
MEASURE = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:])
_, status, usage = os.wait4(process.pid, 0)
print(usage.ru_maxrss * 1024)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def peak(command):
    """Peak resident bytes of a command that succeeds, and its words."""
    process = subprocess.run([sys.executable, "-c", MEASURE, *map(str, command)], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    print(f"peak {int(process.stdout) / MIB:.0f} MiB")
    return int(process.stdout), process.stderr


def test_an_object_that_inflates_to_gigabytes(logs, out):
    text = (naive.V2 + "\n").encode()
    lines = "".join(f"2 1 eni-{i % 97} 10.0.{i % 251}.{i % 241} 10.0.0.1 {i % 60000} 443 6 3 {i * 7919 % 100003} {1566172800 + i % 300} 1566328661 ACCEPT OK\n" for i in range(100_000))
    member = gzip.compress(lines.encode(), 6)
    times = 2200 * MIB // len(lines)
    with open(logs / "large.log.gz", "wb") as file:
        file.write(gzip.compress(text))
        for _ in range(times):
            file.write(member)
    records = times * 100_000
    used, words = peak([FLOWQUET, "convert", logs, "--out", out, "--memory", "256M"])
    assert f"{records:,} records written, 0 rejected" in words
    assert used < 256 * MIB, f"{used / MIB:.0f} MiB"
    assert sum(pyarrow.parquet.ParquetFile(p).metadata.num_rows for p in files(out).values()) == records


def test_many_partitions_at_once(logs, out):
    """400 days in each object, in no order."""
    days = 400
    names = [naive.column(word) for word in naive.V2.split()]
    # By folder; kept as they are made, since naive reading of so many lines is slow.
    want = collections.defaultdict(list)
    for n in range(12):
        lines = [naive.V2]
        for i in range(60_000):
            start = 1566172800 + (i * 7919 + n * 31) % days * 86400
            row = (2, "1", f"eni-{i % 97}", f"10.0.{i % 251}.{n}", "10.0.0.1", i, 443, 6, 3, i, start, 1566328661, "ACCEPT", "OK")
            lines.append(" ".join(map(str, row)))
            want["date=" + naive.date_of({"start": start})].append(row)
        (logs / f"{n:02}.log.gz").write_bytes(gzip.compress("\n".join(lines).encode(), 1))
    used, words = peak([FLOWQUET, "convert", logs, "--out", out, "--threads", "2"])
    assert "720,000 records written, 0 rejected" in words and used < 512 * MIB, f"{used / MIB:.0f} MiB"
    # What a task carries and the files that it keeps open are limited: some partitions get a second file.
    assert days <= len(files(out)) < 1.5 * days
    found = collections.defaultdict(list)
    for key, path in files(out).items():
        table = pyarrow.parquet.ParquetFile(path).read()
        assert table.column_names == names
        columns = table.to_pydict()
        found[os.path.dirname(key)] += zip(*(columns[name] for name in names), strict=True)
    assert found.keys() == want.keys() and all(sorted(found[folder]) == sorted(want[folder]) for folder in want)


def test_lines_without_end(logs, out):
    """A line of a gigabyte is one reject, and costs its neighbours nothing."""
    good = "2 1 eni-1 10.0.0.1 10.0.0.2 1 2 6 3 4 1566328660 1566328661 ACCEPT OK\n"
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    with open(logs / "long.log.gz", "wb") as file:
        file.write(packer.compress(f"{naive.V2}\n{good}".encode()))
        for _ in range(1024):
            file.write(packer.compress(b"x" * MIB))
        file.write(packer.compress(f"\n{good}".encode()) + packer.flush())
    used, words = peak([FLOWQUET, "convert", logs, "--out", out, "--memory", "256M"])
    assert "2 records written, 1 rejected" in words and used < 256 * MIB, f"{used / MIB:.0f} MiB"
    assert multiset(rows(out)) == multiset(("date=2019-08-20", record) for record in naive.read(f"{naive.V2}\n{good}{good}".encode())[0])
    # So that it is not read naively once more, which takes long.
    (logs / "long.log.gz").unlink()


def test_memory_for_few_rows_is_small(tmp_path, out):
    logs = flowlogs(tmp_path / "logs", "--objects", 20, "--records", 50)
    used, _ = peak([FLOWQUET, "convert", logs, "--out", out])
    assert used < 64 * MIB, f"{used / MIB:.0f} MiB"


def test_compaction_of_wide_texts(logs, out):
    """Texts of up to 900 kB, each another one, that hardly compress: new files end where their distinct values would not fit."""
    for n in range(6):
        texts = [random.Random(n * 100 + i).randbytes(i * 4_500).hex() for i in range(100)]
        table = pyarrow.table({"start": [1_705_276_800 + i for i in range(100)], "tag": texts, "bytes": range(100)})
        pyarrow.parquet.write_table(table, logs / f"{n}.parquet")
        peak([FLOWQUET, "convert", logs, "--out", out])
    digest = lambda found: collections.Counter((row["start"], row["bytes"], hash(row["tag"])) for _, row in found)
    before = digest(rows(out))
    first = None
    # The default lies between; many rows are compacted with it below.
    for memory, most in [("480M", 480), ("2G", 512)]:
        copy = out.with_name(f"copy{memory}")
        shutil.copytree(out, copy)
        used, words = peak([FLOWQUET, "compact", copy, "--memory", memory])
        assert "600 rows before and after" in words and used < most * MIB, f"{used / MIB:.0f} MiB"
        assert digest(rows(copy)) == before
        # The same files, whatever the memory.
        named = {key: path.read_bytes() for key, path in files(copy).items()}
        assert 1 < len(named) < 6
        first = first or named
        assert named == first
        assert "nothing to compact" in peak([FLOWQUET, "compact", copy, "--memory", memory])[1]
        shutil.rmtree(copy)


def test_compaction_of_many_rows_and_files(tmp_path, out):
    """Days of two million rows each, of which several are compacted at once."""
    for n in range(2):
        flowlogs(tmp_path / f"logs{n}", "--objects", 20, "--records", 100_000, "--seed", n, "--every-s", 8_000)
        peak([FLOWQUET, "convert", tmp_path / f"logs{n}", "--out", out, "--file-bytes", "2M"])
    used, words = peak([FLOWQUET, "compact", out, "--threads", "2"])
    assert "4,000,000 rows before and after" in words and used < 512 * MIB, f"{used / MIB:.0f} MiB"


def test_a_format_without_a_chosen_column_costs_its_own_lines_only(logs, out):
    header, other = "version srcaddr bytes start", "version srcaddr packets start"
    line = "2 10.0.0.1 5 1704067200"
    (logs / "joined.log").write_text(f"{header}\n{line}\n{other}\n{line}\n{line}\n{header}\n{line}\n")
    (logs / "whole.log").write_text(f"{other}\n{line}\n")
    report = convert(logs, out, "--columns", "bytes", check=4)
    assert (report["records"], report["rejects_by_reason"]) == (2, {"no-columns": 2})
    assert [(r["line"], r["raw"]) for r in rejects(out)] == [(4, line), (5, line)]
    # An object that has nothing else is left whole, and comes in with its column.
    assert [o["cause"] for o in report["failed_objects"]] == ["no-columns"]
    assert convert(logs, out, "--columns", "bytes,packets")["records"] == 1


def test_many_formats_in_one_object(logs, out):
    text = "".join(f"version srcaddr start field-{i}\n2 10.0.0.1 1704067200 x\n" for i in range(3_000))
    (logs / "a.log").write_text(text)
    (logs / "b.log").write_text(f"{naive.V2}\n")
    used, words = peak([FLOWQUET, "convert", logs, "--out", out, "--memory", "256M", "--quiet"])
    assert used < 256 * MIB, f"{used / MIB:.0f} MiB"
    assert len(rows(out)) == 1_000
    reasons = collections.Counter(r["reason"] for r in rejects(out))
    assert reasons == {"too-many-formats": 2_000}
    # The naive reading, which each table is compared with, knows no limits.
    (logs / "a.log").unlink()


def test_parquet_input(logs, out):
    """Files that become far larger than they are, and ordinary row groups, of which one is in memory at a time."""
    few = 4_096
    columns = {"version": pyarrow.array([2] * few, pyarrow.int32()), "start": pyarrow.array([1_566_172_800] * few)}
    long_text = pyarrow.DictionaryArray.from_arrays(pyarrow.array([0] * few, pyarrow.int32()), pyarrow.array(["a" * 700_000]))
    pyarrow.parquet.write_table(pyarrow.table({**columns, "vpc_id": long_text}), logs / "bomb.parquet", compression="zstd")
    # Pages of five megabytes: this writer looks at their size after each thousand values.
    alone = pyarrow.table({**columns, "vpc_id": pyarrow.array(["a" * 5_000] * few, pyarrow.large_string())})
    paged = {"compression": "zstd", "use_dictionary": False, "data_page_size": 1, "write_statistics": False}
    pyarrow.parquet.write_table(alone, logs / "pages.parquet", **paged)
    prefixed = pyarrow.table({"start": [1_566_172_800] * few, "vpc_id": ["x" * 90_000 + str(i) for i in range(few)]})
    encodings = {"start": "PLAIN", "vpc_id": "DELTA_BYTE_ARRAY"}
    pyarrow.parquet.write_table(prefixed, logs / "prefixes.parquet", use_dictionary=False, column_encoding=encodings)
    assert sum(path.stat().st_size for path in logs.iterdir()) < MIB
    many = 1_200_000
    noise = random.Random(7)
    ordinary = {
        "srcaddr": [f"10.{i % 251}.{i % 241}.{i % 7}" for i in range(many)],
        "bytes": [noise.getrandbits(40) for _ in range(many)],
        "start": [1_566_172_800 + i % 86_400 for i in range(many)],
    }
    pyarrow.parquet.write_table(pyarrow.table(ordinary), logs / "ordinary.parquet", row_group_size=200_000)
    used, words = peak([FLOWQUET, "convert", logs, "--out", out, "--memory", "256M", "--columns", "srcaddr,bytes,start"])
    assert f"{many + 3 * few:,} records written, 0 rejected" in words and used < 256 * MIB, f"{used / MIB:.0f} MiB"
    wide = out.with_name("wide")
    used, words = peak([FLOWQUET, "convert", logs, "--out", wide, "--memory", "256M", "--exclude", "ordinary*"])
    assert used < 256 * MIB, f"{used / MIB:.0f} MiB"
    # Its rows are not read naively once more, which takes long.
    shutil.rmtree(wide)
    shutil.rmtree(out)


def test_row_groups_as_large_as_they_like(logs, out):
    """A file of one row group that is larger than the memory: its columns are read page by page, and nothing is lost."""
    many = 1_500_000
    noise = random.Random(11)
    # Some 200 bytes a row that no compression makes less of, in pages of a megabyte.
    texts = {name: [noise.randbytes(24).hex() for _ in range(many)] for name in ("vpc_id", "subnet_id", "instance_id", "interface_id")}
    columns = {"srcaddr": [f"10.0.{i % 251}.{i % 241}" for i in range(many)], "bytes": list(range(many)), "start": [1_566_172_800 + i % 900 for i in range(many)], **texts}
    table = pyarrow.table(columns)
    pyarrow.parquet.write_table(table, logs / "large.parquet", row_group_size=many, compression="none", use_dictionary=["srcaddr"], write_statistics=False)
    assert (logs / "large.parquet").stat().st_size > 280 * MIB
    used, words = peak([FLOWQUET, "convert", logs, "--out", out, "--memory", "256M", "--types", "rich"])
    assert f"{many:,} records written, 0 rejected" in words and used < 256 * MIB, f"{used / MIB:.0f} MiB"
    sums = duckdb.sql(f"SELECT count(*), sum(bytes), count(DISTINCT vpc_id), max(interface_id) FROM read_parquet('{out}/date=*/*.parquet')").fetchall()[0]
    assert sums == (many, many * (many - 1) // 2, len(set(texts["vpc_id"])), max(texts["interface_id"]))
    # It is not read naively once more, which takes long.
    shutil.rmtree(out)


ENDLESS = {
    "string": (b'{"logEvents":[{"message":"', b"a", 8),
    "key": (b'{"logEvents":[{"', b"a", 8),
    "objects": (b'{"a":', b'{"a":', 8),
    # Those are read to their end, twice, so they are shorter.
    "blanks": (b'{"logEvents":[ ', b" ", 3),
    "values": (b'{"x":1,', b'"k":"v",', 3),
}


@pytest.mark.parametrize("kind", ENDLESS)
def test_documents_without_end(logs, out, kind):
    """JSON of several times the memory that never ends is one unreadable object, in no more memory than others."""
    begin, unit, members = ENDLESS[kind]
    member = gzip.compress(unit * (64 * MIB // len(unit)), 1)
    with open(logs / "endless.json.gz", "wb") as file:
        file.write(gzip.compress(begin) + member * members)
    process = subprocess.run([sys.executable, "-c", MEASURE, FLOWQUET, "convert", logs, "--out", out, "--format", "v2", "--memory", "256M"], capture_output=True, text=True)
    assert process.returncode == 4 and "1 unreadable" in process.stderr and "expected" in process.stderr, process.stderr
    used = int(process.stdout)
    assert used < 256 * MIB, f"{used / MIB:.0f} MiB"
    # So that it is not read naively once more, which takes long.
    (logs / "endless.json.gz").unlink()
