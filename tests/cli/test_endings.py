"""Commands that are ended from outside: one line, a status that says how, nothing left running, the same results after going on."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from gradaudit.cli._endings import STOPPED

SLOW = """
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored where the tests themselves run in the background
flush = os.fsync
os.fsync = lambda handle: (time.sleep(0.05), flush(handle))  # a slow disk: time enough to be ended
"""
AUDIT = """
data = "images.npz"
preset = "quick"
[classifiers]
mine = "mine.safetensors"
[diffroar]
levels = [0.1]
seeds = 4
evaluate = "retrain"
learner = "linear"
controls = ["random"]
"""
OTHERS = (
    *("contrast", "fidelity", "trust_radius", "leakage", "robustness", "alignment", "manifold_robustness"),
    *("counterfactual", "counterfactual_differences"),
)


@pytest.fixture(name="start")
def start_fixture(cli, images, tmp_path):
    """Start the audit with two workers, in a process group of its own; whatever is left of it is killed at the end."""
    assert cli("train", images, "--out", "mine.safetensors", "--network", "linear", "--epochs", 1, "--device", "cpu").status == 0
    (tmp_path / "sitecustomize.py").write_text(SLOW)
    (tmp_path / "audit.toml").write_text(AUDIT)
    started = []

    def start():
        command = [sys.executable, "-m", "gradaudit", *audit("ended", 2)]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
        how = {"cwd": tmp_path, "env": environment, "start_new_session": True, "text": True, "stderr": subprocess.PIPE}
        started.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, **how))
        return started[-1]

    yield start
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def audit(out, workers):
    skipped = [word for name in OTHERS for word in ("--skip", name)]
    return ["audit", "audit.toml", "--out", out, "--store", f"{out}_store", "--workers", str(workers), "--device", "cpu", *skipped]


def fits(store):
    return len([*Path(store).glob("fits/*/*.json")])


def wait_for(condition, process, seconds=120):
    until = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, f"ended too early: {process.stderr.read()}"
        assert time.monotonic() < until, "nothing happened in time"
        time.sleep(0.005)


def left_of(process):
    return [one for one in psutil.process_iter() if one.status() != psutil.STATUS_ZOMBIE and os.getpgid(one.pid) == process.pid]


def results(folder):
    found = json.loads((Path(folder) / "results.json").read_text())
    return {name: found[name] for name in ("results", "scores", "settings")}


def kill_workers(process):
    """Kill each worker as soon as there is one, until the audit gives up."""
    while process.poll() is None:
        with suppress(psutil.Error):
            for child in psutil.Process(process.pid).children():
                if "loky.backend.popen" in " ".join(child.cmdline()):
                    child.kill()
        time.sleep(0.02)


def send(number):
    return lambda process: process.send_signal(number)


ENDINGS = [
    (send(signal.SIGTERM), 143, STOPPED),
    (send(signal.SIGINT), 130, STOPPED),
    (kill_workers, 1, "error: a worker was killed twice"),
]


@pytest.mark.slow
def test_an_audit_goes_on_after_it_was_ended_at_random_moments_as_if_it_had_not_been(cli, start, tmp_path):
    """`benchmarks/killed_audits.py` does this at ten moments for each way of ending."""
    draw, store = random.Random(0), tmp_path / "ended_store"
    for end, status, line in ENDINGS:
        enough, process = fits(store) + draw.randrange(1, 5), start()
        wait_for(lambda enough=enough: fits(store) >= enough, process)
        begun = time.monotonic()
        end(process)
        _, errors = process.communicate(timeout=60)
        time.sleep(max(0.0, begun + 2 - time.monotonic()))
        assert left_of(process) == []
        assert process.returncode == status
        assert errors.splitlines()[-1].startswith(line)
        assert "Traceback" not in errors
    kept = fits(store)
    assert cli(*audit("ended", 1)).status == 0
    assert cli(*audit("whole", 1)).status == 0
    assert results(tmp_path / "ended") == results(tmp_path / "whole")
    assert 3 <= kept < fits(tmp_path / "whole_store")
