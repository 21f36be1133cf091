"""Copies of objects that a table has from another place, as people come to have them."""

import gzip
import shutil

import pytest
from conftest import convert, flowlogs, multiset, rows, run


@pytest.fixture
def table(tmp_path):
    """Four objects with AWS's names, and the table of them."""
    logs, out = flowlogs(tmp_path / "logs", "--objects", "4", "--records", "60"), tmp_path / "lake"
    convert(logs, out)
    return logs, out


def test_a_folder_that_was_copied_brings_nothing(tmp_path, table):
    logs, out = table
    before = multiset(rows(out))
    shutil.copytree(logs, tmp_path / "moved" / "archive")
    report = convert(tmp_path / "moved", out)
    assert {k: report["objects"][k] for k in ["listed", "converted", "known", "copies"]} == {"listed": 4, "converted": 0, "known": 4, "copies": 4}
    assert multiset(rows(out)) == before
    again = run("convert", tmp_path / "moved", "--out", out).stderr
    assert "4 objects listed" not in again and "(4 in the table as copies)" in again and "--copies convert" in again
    for command in [["plan"], ["convert", "--dry-run"]]:
        process = run(*command, tmp_path / "moved", "--out", out)
        assert "4 objects are copies of ones that the table has from another place" in process.stderr
    assert "4 in the table, unchanged (4 of them from another place)" in run("verify", out, "--source", tmp_path / "moved").stdout
    safe = tmp_path / "safe.txt"
    run("verify", out, "--source", tmp_path / "moved", "--read-data", "--list-safe", safe)
    assert safe.read_text() == ""

    report = convert(tmp_path / "moved", out, "--copies", "convert")
    assert report["objects"]["converted"] == 4 and "copies" not in report["objects"]
    assert len(rows(out)) == 2 * before.total()
    run("compact", out, "--dedup", "exact", "--quiet")
    assert set(multiset(rows(out))) == set(before)


def test_an_object_beside_what_was_unpacked_from_it(tmp_path):
    logs = flowlogs(tmp_path / "logs", "--objects", "3", "--records", "40")
    for path in [path for path in logs.rglob("*.gz")]:
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
    report = convert(logs, tmp_path / "lake")
    assert (report["objects"]["listed"], report["objects"]["copies"], report["records"]) == (6, 3, 120)
    assert convert(logs, tmp_path / "lake")["objects"]["converted"] == 0


def test_names_that_anybody_gives_are_told_and_converted(tmp_path):
    for folder, day in [("monday", 1), ("tuesday", 2)]:
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "flow.log").write_text(f"srcaddr start\n10.0.0.{day} 170406720{day}\n")
    convert(tmp_path / "monday", tmp_path / "lake")
    process = run("convert", tmp_path / "tuesday", "--out", tmp_path / "lake")
    assert "1 object looks like one that the table has from another place" in process.stderr
    assert f"`flowquet compact {tmp_path / 'lake'} --dedup`" in process.stderr
    assert len(rows(tmp_path / "lake")) == 2
