"""What `flowquet plan` expects, against what `flowquet convert` comes to, and against arithmetic of our own."""

import json
import pathlib
import shutil

import jsonschema
import pytest

import s3
import test_archives
from conftest import ROOT, convert, flowlogs, run

SCHEMA = json.loads((ROOT / "schemas/plan-file.schema.json").read_text())
# S3's list prices of us-east-1, by hand: dollars for a thousand requests and for a GB, by archive and retrieval.
RESTORE = {
    ("GLACIER", "bulk"): (0, 0),
    ("GLACIER", "standard"): (0.05, 0.01),
    ("GLACIER", "expedited"): (10, 0.03),
    ("DEEP_ARCHIVE", "bulk"): (0.025, 0.0025),
    ("DEEP_ARCHIVE", "standard"): (0.10, 0.02),
    ("ARCHIVE_ACCESS", "bulk"): (0, 0),
    ("ARCHIVE_ACCESS", "standard"): (0, 0),
    ("ARCHIVE_ACCESS", "expedited"): (10, 0.03),
}


def document(text):
    plan = json.loads(text)
    # The plan's own form has a schema of its own.
    jsonschema.validate(plan | {"plan": None}, SCHEMA | {"properties": SCHEMA["properties"] | {"plan": {}}})
    return plan


def check_sums(plan):
    """Rows add up to the whole, and money is what prices and amounts come to."""
    forecast, estimate = plan["forecast"], plan["estimate"]
    for what in ["records", "parquet_bytes", "core_seconds"]:
        for bound in ["low", "likely", "high"]:
            assert forecast[what][bound] == pytest.approx(sum(row[what][bound] for row in forecast["flow_logs"]))
        assert forecast[what]["low"] <= forecast[what]["likely"] <= forecast[what]["high"]
    money = forecast["dollars"]
    requests = (estimate["list_requests"] + estimate["put_requests"]) * 0.005 + estimate["get_requests"] * 0.0004
    assert money["requests"] == pytest.approx(requests / 1000)
    for bound in ["low", "likely", "high"]:
        compute = forecast["core_seconds"][bound] / 3600 * money["per_vcpu_hour"]
        assert money["compute"][bound] == pytest.approx(compute)
        assert money["once"][bound] == pytest.approx(requests / 1000 + compute)
        assert money["storage_month"][bound] == pytest.approx(forecast["parquet_bytes"][bound] / 2**30 * 0.023)
        assert forecast["seconds"][bound] == pytest.approx(forecast["core_seconds"][bound] / forecast["threads"])


def within(value, span):
    return span["low"] <= value <= span["high"]


@pytest.mark.parametrize("format", ["v2", "v5"])
def test_a_sample_tells_what_all_comes_to(tmp_path, format):
    logs = flowlogs(tmp_path / "logs", "--objects", 60, "--records", 2_000, "--format", format)
    plan = document(run("plan", logs, "--out", tmp_path / "lake", "--json", "--threads", 2).stdout)
    assert not (tmp_path / "lake").exists()
    check_sums(plan)
    forecast = plan["forecast"]
    assert forecast["trial"]["objects"] == 3 and not forecast["is_timed"], "three of one flow log, too few bytes for a speed"
    report = convert(logs, tmp_path / "lake")
    assert within(report["records"], forecast["records"]) and within(report["bytes_out"], forecast["parquet_bytes"])
    assert forecast["records"]["likely"] == pytest.approx(report["records"], rel=0.02)
    assert forecast["parquet_bytes"]["likely"] == pytest.approx(report["bytes_out"], rel=0.1)
    # By sizes alone it is a guess, and wider.
    by_size = document(run("plan", logs, "--out", tmp_path / "other", "--json", "--sample", 0).stdout)["forecast"]
    assert "trial" not in by_size and by_size["flow_logs"][0]["tried"] == 0
    assert by_size["records"]["high"] - by_size["records"]["low"] > forecast["records"]["high"] - forecast["records"]["low"]
    assert "from sizes alone" in run("plan", logs, "--out", tmp_path / "other", "--sample", 0).stdout
    # What is in the table needs nothing.
    again = document(run("plan", logs, "--out", tmp_path / "lake", "--json").stdout)["forecast"]
    assert again["flow_logs"] == [] and again["records"]["high"] == 0


def test_a_sample_of_all_is_exact_and_rows_are_by_flow_log(tmp_path):
    logs = flowlogs(tmp_path / "logs", "--objects", 2, "--records", 500)
    other = tmp_path / "logs2"
    for path in sorted(p for p in logs.rglob("*") if p.is_file()):
        to = other / str(path.relative_to(logs)).replace("111111111111", "222222222222")
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, to)
    plan = document(run("plan", logs, other, "--out", tmp_path / "lake", "--json", "--shards", 2, "--price-vcpu-hour", "0.5").stdout)
    check_sums(plan)
    forecast = plan["forecast"]
    assert [row["account"] for row in forecast["flow_logs"]] == ["111111111111", "222222222222"]
    assert {(row["objects"], row["tried"], row["records"]["low"], row["records"]["high"]) for row in forecast["flow_logs"]} == {(2, 2, 1_000, 1_000)}
    assert forecast["dollars"]["per_vcpu_hour"] == 0.5
    assert forecast["shard_seconds"]["likely"] <= forecast["seconds"]["likely"]
    words = run("plan", logs, other, "--out", tmp_path / "lake").stdout
    assert "records     2,000\n" in words and "by converting a sample (4 objects" in words
    assert convert(other, tmp_path / "lake")["records"] == 1_000
    # An object that is too large for the sample is not tried: the other flow log tells what it comes to.
    largest = max(p.stat().st_size for p in logs.rglob("*") if p.is_file())
    tight = document(run("plan", logs, "--out", tmp_path / "new", "--json", "--sample", largest).stdout)["forecast"]
    assert tight["trial"]["objects"] == 1 and tight["trial"]["bytes"] <= largest
    for price in ["-1", "nan", "much"]:
        assert "expected dollars" in run("plan", logs, "--out", tmp_path / "new", f"--price-vcpu-hour={price}", check=2).stderr


def test_what_is_no_log_teaches_nothing(tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.log").write_text("remember the milk\n" * 100)
    plan = document(run("plan", tmp_path / "logs", "--out", tmp_path / "lake", "--json").stdout)
    check_sums(plan)
    assert "trial" not in plan["forecast"]


def test_archives_are_told_apart_with_what_a_restore_costs():
    gb = 2**30
    with s3.serve("--restore-ms", 600_000, "--tiered-away", "logs/intelligent_tiering/") as server:
        test_archives.put_all(server, {"GLACIER": 4, "DEEP_ARCHIVE": 2, "INTELLIGENT_TIERING": 2})
        server.client.restore_object(Bucket="logs", Key="glacier/0.log", RestoreRequest={"Days": 1})
        before = server.tally()
        plan = document(s3.run(server, "plan", "s3://logs/", "--out", "s3://lake/t", "--json").stdout)
        assert set(test_archives.spent(server, before)) <= {"GET", "HEAD", "LIST"} and server.keys("lake", "") == []
        check_sums(plan)
        forecast = plan["forecast"]
        found = {a["archive"]: (a["objects"], a["restored"], a["ongoing"]) for a in forecast["archives"]}
        assert found == {"GLACIER": (4, 0, 1), "DEEP_ARCHIVE": (2, 0, 0), "ARCHIVE_ACCESS": (2, 0, 0)}
        size = len(test_archives.body(1))
        for archive in forecast["archives"]:
            cold = archive["objects"] - archive["ongoing"]
            ways = {way["retrieval"]: way for way in archive["restore"]}
            assert set(ways) == {retrieval for name, retrieval in RESTORE if name == archive["archive"]}
            for retrieval, way in ways.items():
                per_1000, per_gb = RESTORE[archive["archive"], retrieval]
                assert way["dollars"] == pytest.approx(cold / 1000 * per_1000 + cold * size / gb * per_gb)
                copies = 0 if archive["archive"] == "ARCHIVE_ACCESS" else cold * size / gb * 0.023 * 7 / 30
                assert way["copies_dollars"] == pytest.approx(copies)
        assert (sum(row["objects"] for row in forecast["flow_logs"]), sum(row["archived"] for row in forecast["flow_logs"])) == (1, 8)
        words = s3.run(server, "plan", "s3://logs/", "--out", "s3://lake/t").stdout
        assert "1 to convert of 9 listed" in words and "(8 archived, 0 already in the table" in words
        assert "4 objects in GLACIER" in words and "1 being restored, 3 left until restored" in words
        assert "--restore bulk      takes up to 48 h" in words and "--restore expedited takes 1 min to 5 min" in words
        # Once a run has met them they are in no plan any more, and told all the same.
        s3.convert(server, "s3://logs/", "s3://lake/t", check=4)
        again = document(s3.run(server, "plan", "s3://logs/", "--out", "s3://lake/t", "--json", check=4).stdout)["forecast"]
        assert {a["archive"]: (a["objects"], a["ongoing"]) for a in again["archives"]} == {"GLACIER": (4, 1), "DEEP_ARCHIVE": (2, 0), "ARCHIVE_ACCESS": (2, 0)}


def test_restored_objects_are_to_be_converted():
    with s3.serve() as server:
        test_archives.put_all(server, {"GLACIER": 2})
        server.client.restore_object(Bucket="logs", Key="glacier/0.log", RestoreRequest={"Days": 1})
        forecast = document(s3.run(server, "plan", "s3://logs/", "--out", "s3://lake/t", "--json").stdout)["forecast"]
        assert [(a["objects"], a["restored"]) for a in forecast["archives"]] == [(2, 1)]
        assert forecast["records"]["likely"] == 2 == s3.convert(server, "s3://logs/", "s3://lake/t", check=4)["records"]
        # The class of what is readable says nothing; that it may be in an archive is asked.
        server.client.put_object(Bucket="logs", Key="tiered.log", Body=test_archives.body(9), StorageClass="INTELLIGENT_TIERING")
        place = json.loads(s3.run(server, "inspect", "s3://logs/", "--json", check=None).stdout)["results"][0]
        assert {name: n for log in place["logs"] for name, n in log["classes"].items()} == {"GLACIER": 2, "INTELLIGENT_TIERING": 1}
        assert s3.convert(server, "s3://logs/", "s3://lake/t", check=4)["records"] == 1


def test_a_plan_without_objects_of_two_buckets():
    with s3.serve() as server:
        server.client.put_object(Bucket="logs", Key="AWSLogs/a.log", Body=b"x")
        words = s3.run(server, "plan", "s3://logs/AWSLogs/", "--out", "s3://lake/t", "--exclude", "**").stdout
        assert " LIST, " in words and "if both sides were S3" not in words
