"""The image as a job: what is in it, that it stays within its memory, and that it can be stopped and killed. Called by `run` beside this."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/readers"))

import s3  # noqa: E402
from conftest import content, flowlogs, multiset, rows, run  # noqa: E402

IMAGE = os.environ["FLOWQUET_IMAGE"]
GIGABYTES = float(os.environ.get("FLOWQUET_GIGABYTES", "2"))
MEMORY = 300 << 20
USER = "65532:65532"


def podman(*args, check=0, **options):
    process = subprocess.run(["podman", "--runtime", shutil.which("runc"), *map(str, args)], capture_output=True, text=True, **options)
    assert check is None or process.returncode == check, (process.returncode, process.stdout, process.stderr)
    return process


class Job:
    """A container as a batch system runs it: little memory, a processor, a root that cannot be written to, nobody's user."""

    def __init__(self, *args, env=(), volumes=()):
        options = [f"--env={name}={value}" for name, value in env] + [f"--volume={volume}" for volume in volumes]
        limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1000:1000", "--memory", MEMORY, "--memory-swap", MEMORY, "--cpus", "1"]
        self.id = podman("run", "--detach", "--pull=never", "--read-only", "--read-only-tmpfs=false", "--user", USER, "--network", "host", *limits, *options, IMAGE, *args).stdout.strip()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        podman("rm", "--force", self.id, check=None)

    def state(self):
        return json.loads(podman("inspect", self.id).stdout)[0]["State"]

    def wait(self):
        """The exit code, and what it said. It was not ended for its memory."""
        code = int(podman("wait", self.id).stdout)
        assert not self.state()["OOMKilled"], self.said()
        return code, self.said()

    def said(self):
        logs = podman("logs", self.id)
        return logs.stdout + logs.stderr

    def kill(self, name):
        podman("kill", "--signal", name, self.id)


def s3_env(server):
    names = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_EC2_METADATA_DISABLED"]
    return [(name, s3.ENVIRONMENT[name]) for name in names] + [("AWS_ENDPOINT_URL", server.url), ("AWS_REGION", "us-east-1")]


def test_what_is_in_the_image():
    image = json.loads(podman("image", "inspect", IMAGE).stdout)[0]
    assert image["Size"] <= 40_000_000, image["Size"]
    assert image["Config"]["User"] == USER
    labels = image["Config"]["Labels"]
    assert all(f"org.opencontainers.image.{name}" in labels for name in ["title", "licenses", "version", "revision"])
    container = podman("create", "--pull=never", IMAGE).stdout.strip()
    try:
        names = subprocess.run(f"podman export {container} | tar -t", shell=True, capture_output=True, text=True, check=True).stdout.splitlines()
    finally:
        podman("rm", container)
    files = {name for name in names if not name.endswith("/")}
    assert "usr/local/bin/flowquet" in files and "etc/ssl/certs/ca-certificates.crt" in files
    programs = {pathlib.PurePath(name).name for name in files}
    assert not programs & {"sh", "bash", "dash", "busybox", "apt", "dpkg", "ls", "cargo"}, programs
    with Job("--version") as job:
        code, said = job.wait()
    assert code == 0 and said.startswith("flowquet "), said


def test_memory_and_cores_are_those_of_the_container(tmp_path):
    """The container has one processor and less memory than two threads take."""
    made = flowlogs(tmp_path / "logs", "--objects", 12, "--records", 500)
    out = tmp_path / "lake"
    out.mkdir()
    shutil.chown(out, 65532, 65532)
    volumes = [f"{made}:/logs:ro", f"{out}:/lake"]
    with Job("convert", "/logs", "--out", "/lake/t", "--report", "-", "--quiet", volumes=volumes) as job:
        code, said = job.wait()
    assert code == 0, said
    report, _ = json.JSONDecoder().raw_decode(said[said.index("{") :])
    assert (report["threads"], report["objects"]["converted"]) == (1, 12)
    # Of the same logs, the same bytes; a table of this machine has them too.
    run("convert", made, "--out", tmp_path / "here", "-q")
    assert content(out / "t") == content(tmp_path / "here")


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """Gigabytes of text, in objects of AWS's size, by links to a few that differ."""
    folder = tmp_path_factory.mktemp("logs")
    # An object of 200,000 records of 29 fields is 53 MB of text.
    made = flowlogs(folder / "made", "--format", "blog", "--objects", 8, "--records", 200_000)
    objects = sorted(made.rglob("*.gz"))
    text = sum(int.from_bytes(path.read_bytes()[-4:], "little") for path in objects)
    copies = max(1, round(GIGABYTES * 1e9 / text))
    for copy in range(1, copies):
        for path in objects:
            # Another delivery of the same flow log.
            path.with_name(path.name[: -len("0000.log.gz")] + f"{copy:04x}.log.gz").hardlink_to(path)
    return made, text * copies


def test_gigabytes_within_its_memory_stopped_and_killed(logs):
    """From a bucket to a bucket; stopped, killed and begun again in between, the table is that of one undisturbed run."""
    made, text = logs
    with s3.serve("--latency-ms", "2", load=made) as server:
        # Small files are many tasks: some are done when it is stopped, and some are not.
        command = ["convert", "s3://logs/", "--file-bytes", "16M", "--out"]
        commits = lambda: len(server.keys("lake", "t/_flowquet/commits/"))
        peaks = []
        for name, expected in [("TERM", 130), ("KILL", 137), (None, 0)]:
            before, took = commits(), 0
            with Job(*command, "s3://lake/t", env=s3_env(server)) as job:
                status = pathlib.Path(f"/proc/{job.state()['Pid']}/status")
                highest = 0
                while job.state()["Running"]:
                    try:
                        highest = max(highest, resident(status))
                    except (OSError, TypeError):
                        # It has ended meanwhile.
                        break
                    if name and commits() > before:
                        began = time.monotonic()
                        job.kill(name)
                        podman("wait", job.id)
                        took = time.monotonic() - began
                        break
                    time.sleep(0.2)
                code, said = job.wait()
            assert code == expected, said
            assert took < 30, "the grace of Kubernetes"
            # It has found what the container has, which is less than it may take at worst.
            assert "but 300.00 MiB is available" in said, said
            peaks.append(highest)
        print(f"\n{text / 1e9:.1f} GB of text; at most {[f'{peak >> 20} MiB' for peak in peaks]} of {MEMORY >> 20} MiB")
        assert max(peaks) < MEMORY
        status = json.loads(s3.run(server, "status", "s3://lake/t", "--json").stdout)
        assert status["objects"] == len(list(made.rglob("*.gz"))) and status["open_tasks"] == []
        assert status["lines"] == status["records"] + status["rejects"] + status["headers"] + status["blanks"]
        with Job(*command, "s3://lake/whole", env=s3_env(server)) as job:
            assert job.wait()[0] == 0
        files = lambda table: {(item["Key"].removeprefix(table), item["Size"], item["ETag"]) for item in listed(server, table)}
        assert files("t/date=") == files("whole/date=") and files("t/date=")


def resident(status):
    """The most memory that a process has held so far, in bytes: what its control group counts beside it, files that are cached, goes when it is needed."""
    return int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text())[1]) << 10


def listed(server, prefix):
    pages = server.client.get_paginator("list_objects_v2").paginate(Bucket="lake", Prefix=prefix)
    return [item for page in pages for item in page.get("Contents", [])]


def test_two_at_once(tmp_path):
    made = flowlogs(tmp_path / "made", "--objects", 24, "--records", 2_000, "--every-s", 14400)
    with s3.serve("--latency-ms", "5", load=made) as server:
        jobs = [Job("convert", "s3://logs/", "--out", "s3://lake/t", env=s3_env(server)) for _ in range(2)]
        for job in jobs:
            with job:
                code, said = job.wait()
                assert code == 0, said
        s3.convert(server, "s3://logs/", "s3://lake/one")
        tables = [multiset(rows(server.fetch(name, tmp_path / name))) for name in ("t", "one")]
        assert tables[0] == tables[1]
