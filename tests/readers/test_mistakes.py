"""A mistake is never final: the right command gives the table that it would have given at once, and every command tells the present."""

import json
import shutil

import naive
from conftest import content, convert, files, rejects, rows, run
from test_runs import line

V2 = f"{naive.V2}\n{line(1)}"


def test_lost_truncated_and_stray_files_are_named_and_made_anew(logs, out):
    for i, day in enumerate([1566172800, 1566259200, 1566345600]):
        (logs / f"{i}.log").write_text(f"{naive.V2}\n{line(i)}".replace("1566172800", str(day)))
    convert(logs, out, "--file-bytes", "1")
    before = sorted(map(str, rows(out)))
    keys = list(files(out))
    (out / keys[0]).unlink()
    (out / keys[0]).parent.joinpath("copy.parquet").write_bytes(b"PAR1")
    status = json.loads(run("status", out, "--json", check=5).stdout)
    assert [f["key"] for f in status["lost"]] == [keys[0]] and len(status["stray"]) == 1
    text = run("status", out, check=5).stdout
    assert "table damaged" in text and "complete" not in text and keys[0] in text
    assert "table damaged" in run("convert", logs, "--out", out, check=5).stderr
    assert "exit 5" in run("convert", logs, "--out", out, "--quiet", check=5).stderr
    (out / keys[0]).parent.joinpath("copy.parquet").unlink()
    words = run("reconvert", out, "--lost").stderr
    assert "done: converted" in words
    assert sorted(map(str, rows(out))) == before
    assert run("status", out).stdout.splitlines()[-1].startswith("complete: 3 objects")


def test_ignored_objects_raise_no_alarm(logs, out):
    (logs / "good.log").write_text(V2)
    (logs / "bad.log").write_text("nothing here\n")
    convert(logs, out, check=4)
    assert run("convert", logs, "--out", out, "--quiet", check=4).stderr.startswith("flowquet: 1 object is not in")
    run("ignore", out, logs / "bad.log", "--reason", "AWS case 123")
    report = convert(logs, out)
    assert (report["objects"]["failed"], report["objects"]["ignored"]) == (1, 1)
    assert "AWS case 123" in run("status", out).stdout
    run("ignore", out, logs / "bad.log", "--not")
    run("status", out, check=4)
    # What is ignored is what failed: another object of that name, or one that nobody has seen yet, is converted.
    run("ignore", out, logs / "bad.log", "--reason", "AWS case 123")
    assert "is not among the unreadable objects of this table" in run("ignore", out, logs / "new.log", "--reason", "a slip").stderr
    words = run("ignore", out, f"file://{logs}/*.log", "--reason", "all", check=2).stderr
    assert "hint: a URL is taken as it stands, and no glob" in words
    (logs / "bad.log").write_text(V2)
    (logs / "new.log").write_text(V2 + line(7))
    assert convert(logs, out)["records"] == 3
    assert run("status", out).stdout.splitlines()[-1].startswith("complete: 3 objects")


def test_a_table_remembers(logs, out):
    (logs / "a.log").write_text(V2)
    convert(logs, out, "--partition-by", "account,date", "--types", "rich", "--sort=srcaddr")
    (logs / "b.log").write_text(f"{naive.V2}\n{line(2)}")
    assert convert(logs, out)["records"] == 1
    status = json.loads(run("status", out, "--json").stdout)
    assert (status["partition_by"], status["types"], status["sort"]) == ("account,date", "rich", ["srcaddr"])
    words = run("convert", logs, "--out", out, "--types", "aws", check=2).stderr
    assert "--types: the table has `rich`, this run asks for `aws`" in words


def test_max_rejects_shows_and_keeps_what_it_stops_at(logs, out):
    (logs / "a.log").write_text(f"{V2}one\ntwo\nthree\nfour\n")
    words = run("convert", logs, "--out", out, "--max-rejects", "2", check=3).stderr
    assert "4 rejects in 6 lines" in words and "a.log line 3" in words and "one" in words
    assert len(rejects(out)) == 4
    # Allowed, the same task is finished.
    assert convert(logs, out)["rejects"] == 4 and len(rejects(out)) == 4


def test_many_rejects_before_the_first_line_that_fits(logs, out):
    good = V2.splitlines()[1]
    bad = "".join(f"bad {i}\n" for i in range(5_000))
    (logs / "late.log").write_text(f"{bad}{good}\n")
    (logs / "never.log").write_text(bad)
    report = convert(logs, out, "--format", "v2", check=4)
    assert (report["records"], report["rejects"], report["objects"]["failed"]) == (1, 5_000, 1)
    assert len(rejects(out)) == 5_000
    assert "none of its 5000 lines" in report["failed_objects"][0]["reason"]


def test_reconvert_after_compaction(logs, out, tmp_path):
    swapped = "${version} ${account-id} ${interface-id} ${dstaddr} ${srcaddr} ${srcport} ${dstport} ${protocol} ${packets} ${bytes} ${start} ${end} ${action} ${log-status}"
    body = "".join(line(i) for i in range(5))
    (logs / "headerless.log").write_text(body)
    (logs / "header.log").write_text(V2)
    convert(logs, out, "--format", swapped)
    run("compact", out)
    right = tmp_path / "right"
    convert(logs, right, "--format", "v2")
    assert sorted(map(str, rows(out))) != sorted(map(str, rows(right)))
    run("reconvert", out, "--object", "headerless.log", "--format", "v2")
    assert sorted(map(str, rows(out))) == sorted(map(str, rows(right)))
    assert "complete: 2 objects" in run("status", out).stdout
    assert "no object of the table is chosen" in run("reconvert", out, "--object", "nothing", check=1).stderr


def test_a_reconversion_takes_no_records_away(logs, out):
    (logs / "headerless.log").write_text(line(1) + line(2))
    (logs / "named.log").write_text(V2)
    convert(logs, out, "--format", "v2")
    before = content(out)
    words = run("reconvert", out, "--object", "**", "--columns", "srcadr", check=2).stderr
    assert "--columns names `srcadr`, which is in none of these log formats" in words
    words = run("reconvert", out, "--object", "**", "--format", "v3", check=1).stderr
    assert "the table is unchanged" in words and "headerless.log" in words and "hint: check --format" in words
    assert content(out) == before
    # The right one goes through.
    run("reconvert", out, "--object", "**", "--columns", "srcaddr,start")
    assert {tuple(row) for _, row in rows(out)} == {("srcaddr", "start")}


def test_a_reconversion_takes_no_other_object_as_it_is_now(logs, out):
    for i in range(3):
        (logs / f"{i}.log").write_text(f"{naive.V2}\n{line(i)}{line(i + 10)}")
    convert(logs, out)
    before = sorted(map(str, rows(out)))
    ours = (logs / "1.log").read_text()
    choices = [["reconvert", out, "--object", "0.log", "--add", "direction"], ["reconvert", out, "--lost"], ["verify", out, "--repair"],
               ["verify", out, "--repair", "--accept-loss", "x"]]
    for text, has in [(ours[: len(naive.V2) + 1], "has 0 records now"), (ours.replace("10.0.", "10.9."), "has as many others now")]:
        (logs / "1.log").write_text(text)
        for i, choice in enumerate(choices):
            if i == 1:
                lost = next(iter(files(out).values()))
                whole = lost.read_bytes()
                lost.unlink()
            words = run(*choice, check=7).stderr
            assert "1.log` had 2 records when it was converted" in words and has in words and "--object" in words, words
        lost.write_bytes(whole)
        assert sorted(map(str, rows(out))) == before
    # Put back, its time is another, and that is all.
    (logs / "1.log").write_text(ours)
    run(*choices[0])
    assert len(rows(out)) == 6
    # It can be taken as it is, and the files with it.
    (logs / "1.log").write_text(f"{naive.V2}\n{line(1)}")
    next(iter(files(out).values())).unlink()
    words = run("reconvert", out, "--object", "1.log").stderr
    assert "4 records and 0 rejects before, 3 records" in words


def test_a_reconversion_takes_no_rows_of_others_in_the_same_files_as_they_are_now(logs, out):
    for i in range(2):
        (logs / f"{i}.log").write_text(f"{naive.V2}\n{line(i)}")
        convert(logs, out)
    run("compact", out)
    before = content(out)
    (logs / "1.log").write_text(f"{naive.V2}\n{line(5)}")
    words = run("reconvert", out, "--object", "0.log", "--add", "direction", check=7).stderr
    assert "1.log` had 1 record in the same files when it was converted, and has as many others now" in words
    assert content(out) == before
    (logs / "1.log").write_text(f"{naive.V2}\n{line(1)}")


def test_a_table_whose_log_was_lost_is_converted_again(logs, out):
    (logs / "0.log").write_text(f"{naive.V2}\n{line(0)}")
    convert(logs, out)
    before = sorted(map(str, rows(out)))
    shutil.rmtree(out / "_flowquet")
    words = run("convert", logs, "--out", out).stderr
    assert "stray" not in words and "damaged" not in words
    assert sorted(map(str, rows(out))) == before


def test_lines_of_two_formats_need_both(logs, out):
    """A second format alone makes rejects of what the first one read, and that is said."""
    short = "10.0.0.1 10.0.0.2 1566172800\n"
    (logs / "both.log").write_text(line(1) * 3 + short * 2)
    convert(logs, out, "--format", "v2")
    formats = ["--format", "${srcaddr} ${dstaddr} ${start}"]
    before = content(out)
    words = run("reconvert", out, "--rejects", *formats, check=3).stderr
    assert "the table is unchanged: it has 3 records of these objects, and 2 were read now" in words and "give --format once for each" in words
    assert content(out) == before
    words = run("reconvert", out, "--rejects", "--fewer-records", *formats).stderr
    assert "3 records and 2 rejects before, 2 records and 3 rejects read now" in words and "give --format once for each, including those" in words
    words = run("reconvert", out, "--rejects", *formats, "--format", "v2").stderr
    assert "5 records and 0 rejects read now" in words and "hint" not in words and len(rows(out)) == 5


def test_a_manifest_with_an_object_that_is_gone(tmp_path, logs, out):
    (logs / "a.log").write_text(V2)
    manifest = tmp_path / "manifest.txt"
    manifest.write_text(f"{logs / 'a.log'}\n{logs / 'gone.log'}\n")
    process = run("convert", "--manifest", manifest, "--out", out, check=4)
    assert "gone.log`: no such file or folder" in process.stderr and len(rows(out)) == 1
    manifest.write_text(f"{logs / 'gone.log'}\n")
    assert "error: read `file://" in run("convert", "--manifest", manifest, "--out", out, check=1).stderr
