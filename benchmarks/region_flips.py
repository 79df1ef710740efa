"""Question: are the pixels that an attribution ranks first those whose change makes another class, to another classifier as well?

`ga.region_flips` with its defaults (SVCE, 30 steps, a fifth of the pixels) of the zoo's standard and robust classifiers on digits
and on blocks of a digit and a fixed outline, each the other's oracle, 100 images. On blocks the map `signal` is the truth: the
block that holds the digit. All figures go to `region_flips/` as a table, the differences in flips and in confirmed flips of the
logit's gradient to the record. Seconds are of the process, on one thread.

Run: `OMP_NUM_THREADS=1 python benchmarks/region_flips.py`. About a minute on one thread.
"""

from __future__ import annotations

import tempfile
import time

import pandas as pd
import torch

import gradaudit as ga
from _record import RESULTS, Row, benchmark_parser, recording
from gradaudit.files import write_text

WORLDS = {"MNIST": ("mnist5k", "mnist"), "blocks": ("blocks(of=mnist5k)", "mnist-blocks")}
OTHER = {"standard": "robust", "robust": "standard"}
COLUMNS = ["attribution", "measure", "top", "bottom", "difference", "low", "high", "lead", "lead_low", "lead_high"]


def main() -> None:
    arguments = benchmark_parser(__doc__).parse_args()
    torch.set_num_threads(1)
    tables = []
    with recording(__file__, __doc__, arguments) as rows:
        for world, (data, zoo) in WORLDS.items():
            images = ga.load_images(data)[1].sample(12 if arguments.short else 100, 0)
            for name, other in OTHER.items():
                result, seconds = measured(images, f"zoo:{zoo}/{name}", f"zoo:{zoo}/{other}", arguments.short)
                print(f"\n{world}, {name}, {seconds:.0f} s: {result.verdict}")
                print(result.table[COLUMNS].round(3).to_string(index=False))
                print(result.whole.round(3).to_string(index=False), flush=True)
                tables.append(result.table.assign(data=world, classifier=name))
                found = result.table[result.table["attribution"] == "logit_gradient"].set_index("measure")["difference"]
                rows += [Row(f"{world}, {name}: {one}, top less bottom", float(found[one])) for one in result.measures]
                rows.append(Row(f"{world}, {name}: time for {len(images)} images", seconds, "s"))
    if not arguments.short:
        table = pd.concat(tables)[["data", "classifier", "level", *COLUMNS]]
        print(write_text(RESULTS / "region_flips" / "region_flips.csv", table.round(4).to_csv(index=False)))


def measured(images: ga.ImageSet, classifier: str, oracle: str, short: bool) -> tuple[ga.RegionFlipsResult, float]:
    """The result and its seconds, with nothing kept from before."""
    maps = ["logit_gradient", "integrated_gradients"]
    if images.signal_mask is not None:
        maps.append({"signal": images.signal_mask[:, None].float()})
    start = time.process_time()
    with tempfile.TemporaryDirectory() as store:
        result = ga.region_flips(
            ga.load_classifier(classifier),
            images,
            {"other": ga.load_classifier(oracle)},
            attribution=maps,
            method="svce(steps=3)" if short else "svce(steps=30)",
            store=store,
            device="cpu",
        )
    return result, time.process_time() - start


if __name__ == "__main__":
    main()
