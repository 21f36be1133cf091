"""Archived objects: `convert` leaves them, `--restore` asks for them, and a later run converts them."""

import json
import time

import jsonschema
import pytest

import naive
import s3
from conftest import ROOT

SCHEMA = json.loads((ROOT / "schemas/report.schema.json").read_text())
COLD = {"GLACIER": 3, "DEEP_ARCHIVE": 2, "INTELLIGENT_TIERING": 2}


def body(n):
    return f"{naive.V2}\n2 111111111111 eni-{n:x} 10.0.0.1 10.0.0.2 443 50000 6 1 40 1705276800 1705276860 ACCEPT OK\n".encode()


def put_all(server, cold=COLD):
    """One object that can be read, and some of each class; returns the keys of those that cannot."""
    server.client.put_object(Bucket="logs", Key="now.log", Body=body(0))
    keys = []
    for storage_class, count in cold.items():
        for n in range(count):
            key = f"{storage_class.lower()}/{n}.log"
            server.client.put_object(Bucket="logs", Key=key, Body=body(len(keys) + 1), StorageClass=storage_class)
            keys.append(key)
    return sorted(keys)


def convert(server, *args, check=4):
    """The report of a run in which every object is accounted for."""
    report = s3.convert(server, "s3://logs/", "s3://lake/t", *args, check=check)
    jsonschema.validate(report, SCHEMA)
    objects = report["objects"]
    assert objects["listed"] + objects["resumed"] == objects["converted"] + objects["known"] + objects["failed"] + objects["left"]
    assert objects["archived"] == len(report["archived_objects"]) <= objects["left"]
    if restores := report.get("restores"):
        assert sum(restores[state] for state in ["requested", "ongoing", "restored", "refused"]) == objects["archived"]
    return report


def spent(server, before):
    after = server.tally()
    return {kind: n for kind in after if (n := after[kind] - before.get(kind, 0))}


def test_archived_objects_are_left_and_come_in_once_they_are_restored():
    with s3.serve("--tiered-away", "logs/intelligent_tiering/") as server:
        cold = put_all(server)
        # Readable, though of that class.
        server.client.put_object(Bucket="logs", Key="tiered.log", Body=body(99), StorageClass="INTELLIGENT_TIERING")
        report = convert(server)
        assert (report["records"], report["objects"]["failed"], report["objects"]["archived"]) == (2, 0, len(cold))
        assert [o["url"] for o in report["archived_objects"]] == [f"s3://logs/{key}" for key in cold]
        assert {o["cause"] for o in report["archived_objects"]} == {"archived"}
        assert any("--restore bulk" in hint for hint in report["hints"])
        again = convert(server)
        assert (again["records"], again["objects"]["known"], again["objects"]["archived"]) == (0, 2, len(cold))
        assert server.tally().get("RESTORE", 0) == 0, "nobody asked"
        status = s3.run(server, "status", "s3://lake/t", check=4).stdout
        assert f"complete except for {len(cold)} archived objects" in status and "unreadable" not in status
        words = s3.run(server, "convert", "s3://logs/", "--out", "s3://lake/t", check=4).stderr
        assert f"{len(cold)} left for the next run ({len(cold)} of those left archived)" in words
        assert f"done: nothing new; 2 objects already in the table, {len(cold)} archived" in words
        # By hand, as before.
        server.client.restore_object(Bucket="logs", Key=cold[0], RestoreRequest={"Days": 1})
        report = convert(server)
        assert (report["records"], report["objects"]["known"], report["objects"]["archived"]) == (1, 2, len(cold) - 1)


def test_restore_asks_once_and_a_later_run_converts(tmp_path):
    with s3.serve("--restore-ms", 4000, "--tiered-away", "logs/intelligent_tiering/") as server:
        cold = put_all(server)
        metrics = tmp_path / "m.prom"
        report = convert(server, "--restore", "standard", "--restore-days", 3, "--metrics", metrics)
        asked = time.monotonic()
        restores = report["restores"]
        assert restores == {"retrieval": "standard", "days": 3, "requested": len(cold), "ongoing": 0, "restored": 0, "refused": 0}
        assert report["hints"] == []
        text = metrics.read_text()
        for name, state in [("objects", "archived"), ("restores", "requested")]:
            assert f'flowquet_{name}{{command="convert",out="s3://lake/t",state="{state}"}} {len(cold)}\n' in text
        before = server.tally()
        report = convert(server, "--restore", "standard", check=None)
        assert "RESTORE" not in spent(server, before)
        # A machine that is very busy may be too late for this.
        if time.monotonic() - asked < 3:
            assert report["restores"]["ongoing"] == len(cold)
        time.sleep(max(0, 4.1 - (time.monotonic() - asked)))
        known = report["objects"]["known"] + report["objects"]["converted"]
        report = convert(server, "--restore", "standard", check=0)
        assert (report["records"], report["objects"]["archived"], "restores" in report) == (len(cold) + 1 - known, 0, False)
        assert server.tally()["RESTORE"] == len(cold), "each was asked for once"
        assert "complete: 8 objects" in s3.run(server, "status", "s3://lake/t").stdout


def test_what_the_store_refuses_stops_nothing():
    with s3.serve("--tiered-away", "logs/intelligent_tiering/", "--deny-restores", "logs/glacier/") as server:
        cold = put_all(server)
        report = convert(server, "--restore", "expedited")
        # Deep archives are not retrieved so, and for the others nobody has the permission.
        restores = report["restores"]
        assert (restores["requested"], restores["refused"]) == (COLD["INTELLIGENT_TIERING"], COLD["GLACIER"] + COLD["DEEP_ARCHIVE"])
        assert restores["refusal"] == "restore `s3://logs/deep_archive/0.log`: S3 has no expedited retrieval from DEEP_ARCHIVE"
        assert report["records"] == 1
        report = convert(server, "--restore", "bulk")
        assert report["records"] == COLD["INTELLIGENT_TIERING"], "of which the server restored the objects at once"
        restores = report["restores"]
        assert (restores["requested"], restores["refused"]) == (COLD["DEEP_ARCHIVE"], COLD["GLACIER"])
        assert "access denied" in restores["refusal"]
        assert any("s3:RestoreObject" in hint for hint in report["hints"]), report["hints"]
        assert convert(server)["records"] == COLD["DEEP_ARCHIVE"] and len(cold) == 7


def test_ignored_archives_are_failed_objects_that_nobody_minds():
    with s3.serve() as server:
        [cold] = put_all(server, {"GLACIER": 1})
        assert convert(server)["objects"]["archived"] == 1
        s3.run(server, "ignore", "s3://lake/t", f"s3://logs/{cold}", "--reason", "too old")
        report = convert(server, "--restore", "bulk", check=0)
        assert (report["objects"]["failed"], report["objects"]["ignored"], report["objects"]["archived"]) == (1, 1, 0)
        assert server.tally().get("RESTORE", 0) == 0


def test_shards_leave_them_too(tmp_path):
    with s3.serve() as server:
        put_all(server)
        plan = tmp_path / "plan.json"
        s3.run(server, "plan", "s3://logs/", "--out", "s3://lake/t", "--save", plan)
        process = s3.run(server, "convert", "--plan", plan, "--shard", "0/1", "--restore", "bulk", "--quiet", "--report", "-", check=4)
        report = json.loads(process.stdout)
        assert (report["records"], report["objects"]["archived"], report["restores"]["requested"]) == (3, 5, 5)
        assert process.stderr == "flowquet: 5 objects are not in s3://lake/t (exit 4); `flowquet status` names them\n"


@pytest.mark.parametrize("retrieval, storage_class", [("bulk", "GLACIER"), ("standard", "DEEP_ARCHIVE")])
def test_moto(retrieval, storage_class):
    """Whose restores are there at once."""
    with s3.moto() as server:
        [cold] = put_all(server, {storage_class: 1})
        report = convert(server, "--restore", retrieval)
        assert (report["records"], report["restores"]["requested"]) == (1, 1)
        assert 'ongoing-request="' in server.client.head_object(Bucket="logs", Key=cold)["Restore"]
        report = convert(server, "--restore", retrieval, check=None)
        assert report["records"] == 1 or report["restores"]["ongoing"] + report["restores"]["restored"] == 1


def surveyed(server):
    """What `inspect` says of a prefix: objects of flow logs, and of what is none by reason."""
    [found] = json.loads(s3.run(server, "inspect", "s3://logs/AWSLogs/", "--json", check=None).stdout)["results"]
    return sum(log["objects"] for log in found["logs"]), {other["kind"]: other["objects"] for other in found["others"]}


def put_log(server, minute, storage_class, body=b"x"):
    """An object of one and the same flow log."""
    key = f"AWSLogs/123456789012/vpcflowlogs/us-east-1/2024/01/15/123456789012_vpcflowlogs_us-east-1_fl-0123456789abcdef0_20240115T00{minute:02}Z_abcd.log"
    server.client.put_object(Bucket="logs", Key=key, Body=body, StorageClass=storage_class)
    return key


def test_a_survey_counts_each_object_once():
    """The newest object of a flow log is looked at: one of Intelligent-Tiering that cannot be read is none of the others in archives."""
    with s3.serve("--tiered-away", "logs/AWSLogs/") as server:
        put_log(server, 0, "GLACIER")
        put_log(server, 5, "DEEP_ARCHIVE")
        put_log(server, 10, "INTELLIGENT_TIERING")
        assert surveyed(server) == (0, {"archived": 3})


def test_a_restored_object_without_records_is_none_in_an_archive():
    with s3.serve("--restore-ms", 0) as server:
        put_log(server, 0, "GLACIER")
        key = put_log(server, 5, "GLACIER", b"\n\n")
        server.client.restore_object(Bucket="logs", Key=key, RestoreRequest={"Days": 1, "GlacierJobParameters": {"Tier": "Bulk"}})
        assert surveyed(server) == (0, {"empty": 1, "archived": 1})
