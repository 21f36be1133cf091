"""Slurm on loopback: one node, from Debian's packages, with a key, sockets and state of its own."""

import contextlib
import os
import pathlib
import secrets
import shutil
import socket
import subprocess
import tempfile

from conftest import end, wait_for

PROGRAMS = ["munged", "slurmctld", "slurmd", "sbatch", "sinfo"]


def missing():
    """Programs that are not installed."""
    path = f"{os.environ.get('PATH', '')}:/usr/sbin"
    return [name for name in PROGRAMS if shutil.which(name, path=path) is None]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def configuration(folder):
    host, user = socket.gethostname(), pathlib.Path(folder).owner()
    return f"""
ClusterName=flowquet
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={free_port()}
SlurmdPort={free_port()}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CryptoType=crypto/munge
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
NodeName={host} NodeAddr=127.0.0.1 CPUs={os.cpu_count()} RealMemory=4000 State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


@contextlib.contextmanager
def cluster():
    """The environment in which sbatch finds it, and the process of its node."""
    # Sockets have short paths, and munge wants folders that others cannot write.
    folder = pathlib.Path(tempfile.mkdtemp(prefix="flowquet-slurm-"))
    folder.chmod(0o755)
    for name in ["state", "spool"]:
        (folder / name).mkdir()
    (folder / "key").write_bytes(secrets.token_bytes(1024))
    (folder / "key").chmod(0o400)
    (folder / "slurm.conf").write_text(configuration(folder))
    env = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SBATCH_"))}
    env |= {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin"}
    started = []

    def start(name, *args):
        log = (folder / f"{name}.out").open("wb")
        started.append(subprocess.Popen([name, *args], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env))
        return started[-1]

    try:
        munge = {"socket": "munge.socket", "key-file": "key", "pid-file": "munged.pid", "log-file": "munged.log", "seed-file": "seed"}
        start("munged", "--foreground", "--force", *(f"--{option}={folder / name}" for option, name in munge.items()))
        wait_for("munge", (folder / "munge.socket").exists)
        start("slurmctld", "-D")
        node = start("slurmd", "-D")

        def is_idle():
            return subprocess.run(["sinfo", "--noheader", "--format=%T"], env=env, capture_output=True, text=True).stdout.strip() == "idle"

        wait_for("a node of Slurm", is_idle)
        yield env, node
    finally:
        for process in reversed(started):
            end(process)
        shutil.rmtree(folder, ignore_errors=True)
