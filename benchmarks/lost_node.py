"""Claim: a grid on two Ray nodes of which one is killed in the middle has the table of a local run; only running fits are repeated.

Two nodes of one core each, as processes of this machine. Once a third of the fits is in the store, every process of the second node
is killed (SIGKILL). Fits are counted as they begin; what was finished before must not be written again.
Run: `python benchmarks/lost_node.py`. About 1 minute on 2 cores; it needs `pip install 'gradaudit[ray]'`.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

import gradaudit as ga
from _record import Row, benchmark_parser, recording
from _small_grid import BEGUN, LEVELS, small_grid, whole_files


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--seeds", type=int, default=12)
    arguments = parser.parse_args()
    seeds = 2 if arguments.short else arguments.seeds
    with recording(__file__, __doc__, arguments) as rows, tempfile.TemporaryDirectory() as folder:
        rows += lost(Path(folder), seeds, seeds * (1 + 2 * len(LEVELS)))


def lost(folder: Path, seeds: int, fits: int) -> list[Row]:
    begun = folder / "begun"
    os.environ[BEGUN] = str(begun)  # the nodes' processes inherit it
    with two_nodes() as (cluster, second):
        grid, found = started(folder / "ray", seeds, backend="ray", workers=2)
        while len(before := whole_files(folder / "ray")) < fits // 3 or len(workers_in(begun)) < len(before) + 2:
            if not grid.is_alive():
                raise RuntimeError("the grid ended before a node could be killed")
            time.sleep(0.005)
        start = time.perf_counter()
        lose(cluster, second)
        print(f"{len(before)} of {fits} fits finished, 2 running: the second node is killed")
        grid.join()
        seconds = time.perf_counter() - start
    after = whole_files(folder / "ray")
    repeated = len(workers_in(begun)) - fits
    del os.environ[BEGUN]
    local = small_grid(folder / "local", seeds, workers=1)
    rewritten = sum(after[path] != mark for path, mark in before.items())
    print(f"killed; the grid was done {seconds:.1f} s later; {repeated} fits were begun again")
    return [
        Row("fits finished when a node was killed", len(before), f"of {fits}"),
        Row("fits begun again", repeated, "fits", at_most=2),
        Row("finished fits that were written again", rewritten, "fits", at_most=0),
        Row("fits in the store at the end", len(after), "fits", at_least=fits, at_most=fits),
        Row("rows of the table that differ from a local run's", differing(found[0], local), "rows", at_most=0),
    ]


def lose(cluster: Any, node: Any) -> None:
    """Kill every process of the node at once, as when its machine loses power."""
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    for process in (raylet, *raylet.children(recursive=True)):
        process.kill()
    cluster.remove_node(node, allow_graceful=False)


def workers_in(begun: Path) -> list[int]:
    """The process of every fit that was begun, this one's trials left out."""
    found = [int(line) for line in begun.read_text().split()] if begun.exists() else []
    return [process for process in found if process != os.getpid()]


@contextmanager
def two_nodes() -> Iterator[tuple[Any, Any]]:
    import ray
    from ray.cluster_utils import Cluster

    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    node = {"num_cpus": 1, "object_store_memory": 200_000_000}
    cluster = Cluster(initialize_head=True, head_node_args={**node, "include_dashboard": False})
    second = cluster.add_node(**node)
    os.environ["RAY_ADDRESS"] = cluster.address
    try:
        yield cluster, second
    finally:
        ray.shutdown()
        cluster.shutdown()


def started(store: Path, seeds: int, **options: Any) -> tuple[threading.Thread, list[ga.DiffROARResult]]:
    """The grid in a thread of its own, and where its result will be."""
    found: list[ga.DiffROARResult] = []
    thread = threading.Thread(target=lambda: found.append(small_grid(store, seeds, **options)))
    thread.start()
    return thread, found


def differing(one: ga.DiffROARResult, other: ga.DiffROARResult) -> int:
    """How many rows of the tables are not the same to the last digit."""
    return int((~one.table.eq(other.table) & ~(one.table.isna() & other.table.isna())).any(axis=1).sum())


if __name__ == "__main__":
    main()
