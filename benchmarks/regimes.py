"""Claim: along training sweeps on MNIST alignment peaks at an intermediate strength and goes with off-manifold robustness. Does it?

Gradient penalty, noise stability, Gaussian noise and adversarial training at nine strengths each, beside no regularisation: clean
accuracy, accuracy under PGD (L2, 20 steps), alignment with a denoiser's score, and the change of the softmax under noise on the
data manifold and off it. Prints regimes, peaks, Spearman's correlation of relative off-manifold robustness and alignment, and how
far the regimes depend on the length of the noise. The classifiers are those of `benchmarks/sweeps.py`: with its store, none is
trained again.
Run: `python benchmarks/regimes.py --data-dir DATA --denoiser zoo:mnist [--tangents AUTOENCODER]`. Some
minutes on 2 cores after `sweeps.py`; `--family noise --train-images 500 --test-images 40 --epochs 1` for a look.
"""

from __future__ import annotations

import time
from pathlib import Path

from _record import save_figure
from _sweeps import digits, sweep_parser
from gradaudit.cli._output import print_table, print_verdict
from gradaudit.diffusion.autoencoder import load_autoencoder, train_autoencoder
from gradaudit.diffusion.load import load_denoiser
from gradaudit.files import write_text
from gradaudit.instruments.sweep import BASE, STRENGTHS, SweepResult, sweep
from gradaudit.instruments.sweep.instrument import INSTRUMENT
from gradaudit.results import versions

EPS = (0.5, 1.0, 2.0)  # of those that sweeps.py measures
RADII = (2.0, 4.0, 8.0)  # the paper's, to scale, hardly change a standard classifier's output on MNIST
SIGMAS = (0.25, 0.5)


def main() -> None:
    parser = sweep_parser(__file__, __doc__)
    parser.add_argument("--denoiser", default="zoo:mnist")
    parser.add_argument("--tangents", type=Path, help="an autoencoder's file; one is trained unless given")
    parser.add_argument("--score", default="conditional", choices=("conditional", "unconditional", "bayes"))
    parser.add_argument("--family", action="append", choices=[*STRENGTHS], help="all unless given; may be repeated")
    arguments = parser.parse_args()
    train, test = digits(arguments)
    given = arguments.tangents
    start = time.perf_counter()
    result = sweep(
        train,
        test,
        denoiser=load_denoiser(arguments.denoiser),
        tangent_spaces=load_autoencoder(given) if given else train_autoencoder(train, seed=arguments.seed, show_progress=True),
        families=arguments.family or [*STRENGTHS],
        base=BASE.with_(epochs=arguments.epochs, seed=arguments.seed),
        sigma=SIGMAS,
        score=arguments.score,
        radius=RADII,
        eps=EPS,
        seed=arguments.seed,
        store=arguments.store,
        workers=arguments.workers,
        device="cpu",
        show_progress=True,
    )
    result.save(arguments.out / "out" / arguments.score)
    keep(result, arguments.out, arguments.score)
    for title, rows in INSTRUMENT.tables(result, "MNIST"):
        print_table(title, rows)
    print_verdict(result.verdict)
    print_dependence(result)
    print(f"{arguments.out}; {time.perf_counter() - start:.0f} s, {versions()}")


def keep(result: SweepResult, folder: Path, score: str) -> None:
    """Table and figures with the Bayes score; with another one, only what depends on it."""
    table = result.table
    if score == "bayes":
        for name, figure in {"bayes": result.plot(), "bayes_map": result.map()}.items():
            save_figure(folder / f"{name}.png", figure, dpi=85 if name == "bayes" else 90)
    else:
        table = table[table["measure"].str.startswith("alignment")]
    write_text(folder / f"{score}.csv", table.to_csv(index=False))


def print_dependence(result: SweepResult) -> None:
    """How many classifiers are in each regime, for other lengths of the noise and other borders."""
    for radius in result.settings["radius"]:
        for share in (0.3, 0.5, 0.7):
            counts = result.regimes_at(radius, share)["regime"].value_counts().to_dict()
            print(f"noise of length {radius:g}, robust below {share:g} of the unregularised change: {counts}")


if __name__ == "__main__":
    main()
