"""Claim: how well each fill hides the mask (docs/retrain.md); generative imputation against noisy linear.

MNIST, the standard LeNet-5 that others trained, the label's gradient, 10 % kept, both sides: a network that recovers the mask from
filled images, and a learner for the label from the recovered mask.

Run: `python benchmarks/mask_recovery.py --data-dir DATA --weights-dir WEIGHTS`. 20 minutes on 2 cores; a stopped run continues.
"""

from __future__ import annotations

import time
from pathlib import Path

import gradaudit as ga
from _record import table_parser
from gradaudit.files import write_text
from gradaudit.results import versions

FILLS = ("zero", "mean", "noise", "blur", "imputation", "imputation(noise=0.1)", "generative(denoiser='zoo:mnist')")


def main() -> None:
    parser = table_parser(__file__, __doc__, weights=True)
    parser.add_argument("--train-images", type=int, default=2000)
    parser.add_argument("--test-images", type=int, default=500)
    arguments = parser.parse_args()
    train, test = ga.load_images("mnist", folder=arguments.data_dir)
    classifier = ga.load_classifier("lenet5", Path(arguments.weights_dir) / "mnist_lenet5_clntrained.pt")
    start = time.perf_counter()
    result = ga.mask_recovery(
        classifier,
        train.sample(arguments.train_images, 0),
        test.sample(arguments.test_images, 0),
        fills=FILLS,
        levels=(0.1,),
        store=arguments.store,
        workers=arguments.workers,
        device="cpu",
        show_progress=True,
    )
    result.save(arguments.out / "out")
    text = result.table.round(3).to_string(index=False)
    write_text(arguments.out / "mask_recovery.txt", f"{text}\n\n{time.perf_counter() - start:.0f} s, {versions()}\n")
    print(text)
    print(result.verdict)


if __name__ == "__main__":
    main()
