"""The policies of examples/iam: what each command was seen to ask a server for is what its policy allows, no less and no more."""

import subprocess

import pytest

import gluestub
import policies
import s3
from conftest import FLOWQUET, ROOT, flowlogs, wait_for

SOURCE, TABLE = "s3://logs/AWSLogs/", "s3://lake/vpc_flow_logs/"
PLAN = "s3://lake/plans/backfill.json"
ROLLUP = ["rollup", TABLE, "--by", "hour,srcaddr,action", "--out", "s3://lake/vpc_hourly/", "--quiet"]


class Seen:
    """A server whose access log is read."""

    def __init__(self, url, log):
        self.url, self.log, self.read_to = url, log, 0

    def run(self, *args, check=0, stop_at=None):
        """Runs a command, and returns what the server saw of it. At the request `stop_at` the command is told to stop."""
        self.take()
        env = {**s3.ENVIRONMENT, "AWS_ENDPOINT_URL": self.url, "AWS_REGION": "eu-west-1"}
        process = subprocess.Popen([FLOWQUET, *map(str, args)], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)
        if stop_at is not None:
            wait_for(stop_at, lambda: process.poll() is not None or stop_at in self.peek())
            process.terminate()
        said = process.communicate()[1]
        assert process.returncode == check, (process.returncode, said)
        return policies.of_access_log(self.take())

    def peek(self):
        return self.log.read_bytes()[self.read_to :].decode(errors="replace")

    def take(self):
        text = self.log.read_bytes()[self.read_to :]
        self.read_to += len(text)
        return text.decode(errors="replace")


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What each command asked for, over a table's life: made, added to, given up, compacted, registered."""
    folder = tmp_path_factory.mktemp("policies")
    flowlogs(folder / "logs", "--objects", 4, "--records", 5_000, "--every-s", 86_400)
    # Values that compress to little would never fill a part of an upload.
    flowlogs(folder / "long", "--objects", 24, "--records", 40_000, "--format", "v5")
    found = {}
    log = folder / "access.log"
    with s3.moto(log) as server, gluestub.serve() as glue:
        watch = Seen(server.url, log)

        def see(name, *args, **options):
            found.setdefault(name, set()).update(watch.run(*args, **options))

        def put(name, account):
            for path in sorted((folder / name).rglob("*.gz")):
                # The keys of another account.
                key = str(path.relative_to(folder / name)).replace("111111111111", account)
                server.client.put_object(Bucket="logs", Key=key, Body=path.read_bytes())

        def see_with_glue(name, *args):
            glue.calls.clear()
            see(name, *args, "--glue-endpoint-url", glue.url)
            arn = "arn:aws:glue:eu-west-1:123456789012"
            on = [f"{arn}:catalog", f"{arn}:database/lake", f"{arn}:table/lake/vpc_flow_logs"]
            # AWS asks for each action on the catalog, the database and the table.
            found[name] |= {policies.Request(f"glue:{call}", resource) for call, _ in glue.calls for resource in on}

        put("logs", "111111111111")
        # A table that shards make; it is taken away again.
        see("plan", "plan", SOURCE, "--out", TABLE, "--shards", "2", "--save", PLAN)
        see("shard", "convert", "--plan", PLAN, "--shard", "0", "--quiet")
        see("shard", "convert", "--plan", PLAN, "--shard", "1", "--quiet")
        def clear():
            for key in server.keys("lake", ""):
                server.client.delete_object(Bucket="lake", Key=key)

        clear()
        # And one that leaves an archived object, which it asks for.
        cold = "AWSLogs/cold.log"
        server.client.put_object(Bucket="logs", Key=cold, Body=b"bytes start\n1 1705276800\n", StorageClass="GLACIER")
        see("restore", "convert", SOURCE, "--out", TABLE, "--restore", "bulk", "--quiet", check=4)
        server.client.delete_object(Bucket="logs", Key=cold)
        clear()
        see("plan", "plan", SOURCE, "--out", TABLE)
        see("convert", "convert", SOURCE, "--out", TABLE, "--quiet")
        see("convert", "convert", SOURCE, "--out", TABLE, "--quiet")
        see("status", "status", TABLE)
        see("rollup", *ROLLUP)
        put("logs", "333333333333")
        see("plan", "plan", SOURCE, "--out", TABLE)
        see("status", "status", TABLE, "--json")
        see_with_glue("register", "register", TABLE, "--database", "lake", "--table", "vpc_flow_logs")
        put("long", "222222222222")
        # A long file goes up in parts, and is given up where the run is stopped meanwhile.
        see("convert", "convert", SOURCE, "--out", TABLE, "--quiet", "--compression", "none", "--threads", "1", check=130, stop_at="?uploads")
        see("convert", "convert", SOURCE, "--out", TABLE, "--quiet")
        see_with_glue("compact", "compact", TABLE, "--grace", "0", "--quiet")
        see("status", "status", TABLE)
        see("verify", "verify", TABLE, "--source", SOURCE, "--read-data", "--deep", "--quiet")
        # Its files are others now, so that those of the roll-up are replaced.
        see("rollup", *ROLLUP)
        see("look", "top", TABLE)
        see("look", "cost", TABLE)
        see("look", "report", TABLE, "--json")
        see("look", "sql", TABLE, "SELECT srcaddr, sum(bytes) FROM flows GROUP BY 1")
        # The table has columns now that it lacked.
        see_with_glue("register", "register", TABLE, "--database", "lake", "--table", "vpc_flow_logs")
    # Whether a new table lies within another one is asked, too, and who may not ask is answered that it does not.
    asked = policies.Request("s3:GetObject", "arn:aws:s3:::lake/_flowquet/table.json")
    for command in ["plan", "convert", "restore", "shard"]:
        found[command].remove(asked)
    # An upload that fails is given up by `compact` and by shards as by `convert`, but none fails here.
    aborted = {request for request in found["convert"] if request.action == "s3:AbortMultipartUpload"}
    assert aborted
    found["compact"] |= aborted
    found["shard"] |= aborted
    found["restore"] |= aborted
    found["rollup"] |= {policies.Request(request.action, request.resource.replace("/vpc_flow_logs/", "/vpc_hourly/")) for request in aborted}
    return found


@pytest.mark.parametrize("command", ["plan", "convert", "restore", "shard", "status", "verify", "look", "compact", "rollup", "register"])
def test_a_policy_allows_what_its_command_asks_for_and_no_more(seen, command):
    policy = policies.read(ROOT / f"examples/iam/{command}.json")
    assert policies.denied(policy, seen[command]) == []
    assert policies.unused(policy, seen[command]) == []
