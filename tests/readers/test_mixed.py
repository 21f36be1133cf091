"""Made-up records of any format in every delivery at once: any compression, cut at any byte, strange lines among them; every value and every reject
against what the text was made of."""

import collections
import gzip
import random
import tomllib

import pyarrow
import pytest

import naive
from conftest import ROOT, convert, rejects, rows
from test_deliveries import BY_THEIR_LINES, DELIVERIES as ALL

# A record of one word is a record in these, and nothing that a framing could be told by.
DELIVERIES = {name: make for name, make in ALL.items() if name not in BY_THEIR_LINES}

FIELDS = {f["name"]: f for f in tomllib.loads((ROOT / "schemas/fields.toml").read_text())["field"] if "vpc" in f["logs"]}
TEXTS = ["vpc-1", "ümlaut", "%20", "a=b", "'x'", "日本", "{y}", "a,b", "back\\slash", "<&>"]


@pytest.fixture(autouse=True)
def every_table_is_read_back():
    """Naive reading knows lines alone: tables are compared here with the lines before they were framed."""


def word(field, start, random_):
    """A field's text; now and then one that its column cannot hold."""
    kind = field["kind"]
    if field["name"] == "start":
        return str(start)
    if random_.random() < 0.1:
        return "-"
    if kind == "time":
        return str(start + random_.randrange(600))
    if kind == "address":
        return random_.choice([f"10.{random_.randrange(256)}.0.1", f"2001:db8::{random_.randrange(65_536):x}"])
    if field["parquet"] == "INT32":
        return str(random_.choice([0, 22, 443, 65_535, 2**31 - 1, *([2**31, -1, "x"] if random_.random() < 0.02 else [])]))
    if field["parquet"] == "INT64":
        return str(random_.choice([0, 40, 2**31, 2**63 - 1, *([2**63, "1e3", ""] if random_.random() < 0.02 else [])]) or "1.0")
    if field["name"] == "log-status":
        return random_.choice(["OK", "OK", "NODATA", "SKIPDATA"])
    return random_.choice(TEXTS)


def lines_of(fields, count, random_):
    lines = []
    for i in range(count):
        start = 1_704_067_200 + random_.randrange(3 * 86_400)
        words = [word(FIELDS[name], start, random_) for name in fields]
        if random_.random() < 0.03:
            words = random_.choice([words[:-1], [*words, "more"], ["..."], words[:1]])
        lines.append(" ".join(words))
    return lines


def cut(data, random_):
    """Members of gzip, cut at any byte, empty ones among them."""
    places = sorted(random_.randrange(len(data) + 1) for _ in range(random_.randrange(1, 6)))
    return b"".join(gzip.compress(data[a:b], mtime=0) for a, b in zip([0, *places], [*places, len(data)], strict=True))


def frames(data, random_):
    """Frames of zstd, cut at any byte."""
    place = random_.randrange(len(data) + 1)
    zstd = pyarrow.Codec("zstd")
    return zstd.compress(data[:place], asbytes=True) + zstd.compress(data[place:], asbytes=True)


WRAPPINGS = {
    "plain": lambda data, random_: data,
    "gzip": lambda data, random_: gzip.compress(data, mtime=0),
    "members": cut,
    "zstd": lambda data, random_: pyarrow.Codec("zstd").compress(data, asbytes=True),
    "frames": frames,
    "members in gzip": lambda data, random_: gzip.compress(cut(data, random_), mtime=0),
    "zstd in members": lambda data, random_: cut(pyarrow.Codec("zstd").compress(data, asbytes=True), random_),
    "frames in gzip": lambda data, random_: gzip.compress(frames(data, random_), mtime=0),
}


def spoilt(name, lines, random_):
    """What lines have besides where nothing frames them: blanks, carriage returns, a mark, no last newline."""
    if name != "lines":
        return DELIVERIES[name](lines)
    text = "".join(line + random_.choice(["\n", "\n", "\n", "\r\n"]) for line in lines)
    return random_.choice(["", "\ufeff"]) + text.rstrip("\r\n") + random_.choice(["", "\n", "\r\n"])


@pytest.mark.parametrize("seed", range(8))
def test_every_value_of_every_delivery_in_one_run(tmp_path, seed):
    random_ = random.Random(seed)
    others = [name for name in FIELDS if name not in ("srcaddr", "start")]
    fields = ["srcaddr", "start", *random_.sample(others, random_.randrange(4, len(others)))]
    random_.shuffle(fields)
    logs = tmp_path / "logs"
    logs.mkdir()
    want, bad = collections.Counter(), collections.Counter()
    for i, name in enumerate(random_.sample(sorted(DELIVERIES), len(DELIVERIES))):
        lines = lines_of(fields, random_.randrange(20, 120), random_)
        # The first line of an object says what it is, and a record does so.
        lines.insert(0, " ".join("10.0.0.1" if n == "srcaddr" else "1704067200" if n == "start" else "-" for n in fields))
        wrapping = random_.choice(sorted(WRAPPINGS))
        path = logs / f"{i:02}-{name}-{wrapping}".replace(" ", "_").replace(",", "")
        path.write_bytes(WRAPPINGS[wrapping](spoilt(name, lines, random_).encode(), random_))
        found, numbers = naive.read("\n".join(lines).encode(), " ".join(fields))
        want.update(tuple(sorted(record.items(), key=str)) for record in found)
        bad.update((path.name, lines[number - 1]) for number in numbers)
    report = convert(logs, tmp_path / "out", "--format", " ".join(f"${{{n}}}" for n in fields))
    assert report["objects"]["converted"] == len(DELIVERIES) and report["records"] == want.total()
    columns = [naive.column(n) for n in fields]
    found = collections.Counter(tuple(sorted(((c, row[c]) for c in columns), key=str)) for _, row in rows(tmp_path / "out"))
    assert found == want
    assert collections.Counter((r["object"].rsplit("/", 1)[-1], r["raw"]) for r in rejects(tmp_path / "out")) == bad


@pytest.mark.parametrize("seed", range(20))
def test_files_that_are_cut_at_any_byte(tmp_path, seed):
    """Each part is read as what it is by itself: half a line is a reject, or a record if it happens to be one."""
    random_ = random.Random(seed)
    fields = naive.V2.split()
    lines = lines_of(fields, 200, random_)
    data = "\n".join(lines).encode()
    places = sorted(random_.randrange(len(data)) for _ in range(3))
    logs = tmp_path / "logs"
    logs.mkdir()
    want, bad = collections.Counter(), collections.Counter()
    for i, (a, b) in enumerate(zip([0, *places], [*places, len(data)], strict=True)):
        (logs / f"{i}.gz").write_bytes(cut(data[a:b], random_))
        found, numbers = naive.read(data[a:b], naive.V2)
        want.update(tuple(record.items()) for record in found)
        bad.update((f"{i}.gz", number) for number in numbers)
    # Parts without a record are not converted, and their lines are no rejects.
    report = convert(logs, tmp_path / "out", "--format", "v2", check=None)
    failed = {f["url"].rsplit("/", 1)[-1] for f in report["failed_objects"]}
    assert collections.Counter(tuple(row.items()) for _, row in rows(tmp_path / "out")) == want
    assert collections.Counter((r["object"].rsplit("/", 1)[-1], r["line"]) for r in rejects(tmp_path / "out")) == collections.Counter({k: n for k, n in bad.items() if k[0] not in failed})
