"""Faults that were planted in deduplicated and enriched tables: files that this program wrote, of other rows, and that sizes and checksums of the records are made to fit."""

import json
import re
import shutil
import zlib

import pytest

import naive
from conftest import convert, files, rows, run

LINES = [f"2 123456789012 eni-{n % 3} 10.0.0.{n} 10.0.1.{n % 4} {n} 443 6 1 {100 + n} 1705313400 1705313460 ACCEPT OK" for n in range(40)]


@pytest.fixture(autouse=True)
def every_table_is_read_back():
    """Tables of these tests do not hold what lines say."""


def table(folder, lines, *args):
    folder.mkdir()
    (folder / "a.log").write_text("\n".join([naive.V2, *lines, ""]))
    convert(folder / "a.log", folder / "lake", "--compression", "none", *args)
    return folder / "lake"


def only_file(lake):
    ((key, path),) = files(lake).items()
    return key, path


def plant(lake, donor, fits=True):
    """Puts the file of another table in the place of this one's. With `fits` the record tells its size and checksum."""
    key, path = only_file(lake)
    other_key, other = only_file(donor)
    id_of = lambda key: re.search(r"([0-9a-f]{16})-\d+\.parquet$", key)[1].encode()
    planted = other.read_bytes().replace(id_of(other_key), id_of(key))
    path.write_bytes(planted)
    if not fits:
        return
    for record in [*lake.glob("_flowquet/commits/**/*.json"), *lake.glob("_flowquet/compactions/*.json")]:
        told = json.loads(record.read_text())
        for output in told.get("outputs", []):
            if output["key"] == key:
                output.update(bytes=len(planted), crc32=f"{zlib.crc32(planted):08x}")
                told.pop("crc32", None)
                record.write_text(json.dumps(told))
    shutil.rmtree(lake / "_flowquet/checkpoints", ignore_errors=True)


def found(lake, *args):
    told = json.loads(run("verify", lake, "--json", *args, check=None).stdout)
    return [(finding["fault"], finding["place"]) for finding in told["findings"]]


def without(lines, n):
    return lines[:n] + lines[n + 1 :]


DEDUPLICATED = [
    ("a row is gone", without(LINES, 7), [], ["rows-differ"]),
    ("a row is there twice", [*LINES, LINES[7]], [], ["rows-differ"]),
    ("one for another", [*without(LINES, 7), LINES[8]], [], ["digest-differs"]),
    ("a value", [*without(LINES, 7), LINES[7].replace(" 443 ", " 444 ")], [], ["digest-differs"]),
    ("none", LINES, [], []),
]


@pytest.mark.parametrize("what, lines, args, faults", DEDUPLICATED, ids=lambda value: value if isinstance(value, str) else "")
def test_of_a_deduplicated_table(tmp_path, what, lines, args, faults):
    """What was left out as a duplicate stays accounted for, and hides nothing else."""
    lake = table(tmp_path / "a", LINES + LINES[:25])
    run("compact", lake, "--dedup", "exact", "--compression", "none", "--quiet")
    assert len(rows(lake)) == len(LINES) and found(lake, "--read-data", "--deep") == []
    donor = table(tmp_path / "b", lines)
    run("compact", donor, "--compression", "none", "--sort", "srcaddr,dstaddr,start", "--quiet")
    plant(lake, donor)
    key, _ = only_file(lake)
    assert found(lake, "--read-data") == [(fault, key) for fault in faults]
    if faults == ["rows-differ"]:
        assert found(lake) == [("rows-differ", key)], "footers tell"
    run("verify", lake, "--read-data", "--repair", check=None)
    assert sorted(str(row) for _, row in rows(lake)) == sorted(str(row) for _, row in rows(table(tmp_path / "c", LINES + LINES[:25] if faults else LINES)))
    assert found(lake, "--read-data", "--deep") == []


def test_compact_says_that_a_file_is_damaged(tmp_path):
    lake = table(tmp_path / "a", LINES)
    plant(lake, table(tmp_path / "b", [*without(LINES, 7), LINES[8]]))
    before = rows(lake)
    words = run("compact", lake, check=5).stderr
    assert "error: a file of `date=2024-01-15` is damaged: the partition has rows of digest " in words and "with the table's _flowquet folder" not in words
    assert f"`flowquet verify {lake} --read-data --repair` finds the file" in words and rows(lake) == before
    run("verify", lake, "--read-data", "--repair")
    run("compact", lake)


@pytest.mark.parametrize("column", ["src_net_team", "protocol_name"])
@pytest.mark.parametrize("types", ["aws", "rich"])
def test_compact_proves_columns_that_digests_leave_out(tmp_path, column, types):
    """A file that is filled otherwise, or a value that was changed on the disk: the digest is that of the record."""
    filled = lambda team: (tmp_path / f"{team}.csv").write_text(f"cidr,team\n10.0.0.0/16,{team}\n") and f"net={tmp_path}/{team}.csv"
    if column == "src_net_team":
        lake = table(tmp_path / "a", LINES, "--types", types, "--enrich", filled("web"))
        plant(lake, table(tmp_path / "b", LINES, "--types", types, "--enrich", filled("wet")), fits=False)
        right, wrong = "web", "wet"
    else:
        lake = table(tmp_path / "a", LINES, "--types", types, "--add", "protocol_name")
        _, path = only_file(lake)
        whole = path.read_bytes()
        path.write_bytes(whole.replace(b"\x03\0\0\0TCP", b"\x03\0\0\0UCP"))
        right, wrong = "TCP", "UCP"
    values = lambda: {row[column] for _, row in rows(lake)}
    key, path = only_file(lake)
    told = next(o["crc32"] for record in lake.glob("_flowquet/commits/**/*.json") for o in json.loads(record.read_text())["outputs"])
    for args in [[], ["--dedup", "exact"]]:
        words = run("compact", lake, *args, check=5).stderr
        assert f"error: `{key}` is damaged: expected bytes of CRC-32 {told}, found {zlib.crc32(path.read_bytes()):08x}" in words
        assert f"nothing was replaced: `flowquet verify {lake} --read-data --repair` converts its objects again" in words and values() == {wrong}
    run("verify", lake, "--read-data", "--repair", check=None)
    run("compact", lake, "--sort", "start")
    assert values() == {right} and found(lake, "--read-data", "--deep") == []
    # What a compaction wrote is proven as well.
    _, path = only_file(lake)
    whole = path.read_bytes()
    at = whole.index(b"flowquet.compaction")
    path.write_bytes(whole[:at] + b"F" + whole[at + 1 :])
    assert "expected bytes of CRC-32" in run("compact", lake, check=5).stderr
    path.write_bytes(whole)
    run("compact", lake)


def test_of_an_enriched_table(tmp_path):
    """Digests are of what lines say: of columns that files fill, sizes and checksums tell."""
    for name, team in [("web", "web"), ("wet", "wet")]:
        (tmp_path / f"{name}.csv").write_text(f"cidr,team\n10.0.0.0/16,{team}\n")
    enriched = lambda folder, lines, team="web": table(tmp_path / folder, lines, "--enrich", f"net={tmp_path}/{team}.csv")
    lake = enriched("a", LINES)
    assert found(lake, "--read-data", "--deep") == []
    key, path = only_file(lake)
    whole = path.read_bytes()
    for n, (lines, faults) in enumerate([(without(LINES, 3), ["rows-differ"]), ([*without(LINES, 3), LINES[4]], ["digest-differs"])]):
        changed = shutil.copytree(lake, tmp_path / f"copy{n}")
        plant(changed, enriched(f"donor{n}", lines))
        assert found(changed, "--read-data") == [(fault, key) for fault in faults]
    # Another file had filled the columns: as many bytes, and other ones.
    plant(lake, enriched("other", LINES, "wet"), fits=False)
    assert {row["src_net_team"] for _, row in rows(lake)} == {"wet"}
    assert len(path.read_bytes()) == len(whole) and found(lake) == [] and found(lake, "--read-data") == [("file-bytes", key)]
    said = run("verify", lake, "--read-data", check=5).stdout
    assert "rows match the raw logs, but enriched or computed columns may differ" in said
    run("verify", lake, "--read-data", "--repair")
    assert {row["src_net_team"] for _, row in rows(lake)} == {"web"} and found(lake, "--read-data", "--deep") == []


def test_of_copies_of_files_that_fill_columns(tmp_path):
    (tmp_path / "net.csv").write_text("cidr,team\n10.0.0.0/16,web\n")
    lake = table(tmp_path / "a", LINES, "--enrich", f"net={tmp_path}/net.csv")
    (copy,) = (lake / "_flowquet/enrichments").iterdir()
    whole, place = copy.read_bytes(), str(copy.relative_to(lake))
    again = lambda: convert(tmp_path / "a/a.log", lake, "--compression", "none", "--enrich", f"net={tmp_path}/net.csv")
    # Gone: a listing tells.
    copy.unlink()
    assert found(lake) == [("enrichment-gone", place)]
    said = run("verify", lake, check=5).stdout
    assert f"{place}: the table's copy of the file of `net` is gone" in said
    assert f"give `flowquet convert SOURCE --out {lake}` the same files once more with --enrich net=FILE" in said
    again()
    assert copy.read_bytes() == whole and found(lake, "--read-data") == []
    # Cut off, or with another byte: reading tells. Of another size it is put again.
    copy.write_bytes(whole[:-3])
    assert found(lake) == [] and found(lake, "--read-data") == [("enrichment-damaged", place)]
    again()
    assert copy.read_bytes() == whole
    copy.write_bytes(whole.replace(b"web", b"wex"))
    assert found(lake, "--read-data") == [("enrichment-damaged", place)]
    assert "is not what its name says" in run("verify", lake, "--read-data", check=5).stdout
    # It is never looked into.
    (tmp_path / "b.log").write_text("\n".join([naive.V2, LINES[0].replace("ACCEPT", "REJECT"), ""]))
    assert "with SHA-256" in run("convert", tmp_path / "b.log", "--out", lake, check=1).stderr
    copy.unlink()
    again()
    assert found(lake, "--read-data") == []
    # A file that nothing will look into any more is not missed.
    (tmp_path / "net.csv").write_text("cidr,team\n10.0.0.0/16,new\n")
    run("reconvert", lake, "--object", "**", "--enrich", f"net={tmp_path}/net.csv", "--quiet")
    copy.unlink()
    assert found(lake, "--read-data") == []
