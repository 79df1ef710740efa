"""Question: does training towards a denoiser's Bayes score, without an adversarial example, make a network robust?

One smooth network trained alike with cross-entropy, a penalty on the squared L2 and on the L1 norm of its loss gradient, score
alignment, and adversarially, each at several strengths: clean accuracy, accuracy under PGD (20 steps) within two L2 radii and one
of Linf, under AutoAttack within the L2 radii, and alignment. Each objective is shown at every strength, and at its best under each
attack: the highest accuracy among the strengths that cost at most 1 point of clean accuracy. So the L1 norm to the power 1 is
compared with the squared L2 norm under Linf at equal clean accuracy. With more than one of `--seeds` the accuracies are
means with an interval over them, and so are the differences from standard training and from the squared L2 norm, seed by seed.
Run: `python benchmarks/score_alignment.py --data-dir DATA`. Two hours on 2 cores, or 45 minutes of one with `--train-images 4000
--test-images 400 --attacked 40`; a stopped run continues. CIFAR-10, with a smaller network: `--cifar10 FILE.npz --sigma 0.1`, as
`cifar_sheets.py` writes it; 15 minutes of one core with `--train-images 6000 --test-images 300 --attacked 30`.

Alignment is measured with the denoiser that trained the aligned networks, so theirs says only that training did what it was to do:
`transfer` is what a network trained alike with noise sees in their images.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from joblib import Parallel, delayed
from torch import nn

import gradaudit as ga
from _record import table_parser
from gradaudit.devices import one_thread
from gradaudit.files import write_text
from gradaudit.instruments.sweep import BASE
from gradaudit.intervals import mean_interval
from gradaudit.results import versions

CLEAN = "clean"
COST = 0.01  # of clean accuracy
STANDARD, SQUARED = "standard", "squared L2 penalty"
QUERIES = "(queries=1000)"  # of AutoAttack's Square, for its time; the published standard is 5,000


class Setting(NamedTuple):
    """What one data set is tried with: the recipe that all share, attacks, each objective's strengths."""

    base: ga.Recipe
    denoiser: str
    attacks: tuple[tuple[str, tuple[float, ...]], ...]
    families: dict[str, dict[str, Any]]


def families(
    squared: tuple[float, ...], absolute: tuple[float, ...], l2: tuple[float, ...], linf: tuple[float, ...]
) -> dict[str, dict[str, Any]]:
    """Each objective with its strengths or radii."""
    return {
        SQUARED: {"name": "gradient_penalty", "strength": squared},
        "L1 penalty": {"name": "gradient_penalty", "norm": "l1", "power": 1, "strength": absolute},
        "score alignment": {"name": "score_alignment", "strength": (0.3, 1.0, 3.0, 10.0, 30.0)},
        "adversarial L2": {"name": "adversarial", "norm": "l2", "steps": 7, "eps": l2},
        "adversarial Linf": {"name": "adversarial", "norm": "linf", "steps": 7, "eps": linf},
    }


SETTINGS = {
    "mnist": Setting(
        ga.named_recipe("mnist/gradient-penalty"),
        "zoo:mnist",
        (("l2", (1.0, 2.0)), ("linf", (0.1,))),
        families((0.1, 0.3, 1.0, 3.0, 10.0), (0.01, 0.03, 0.1, 0.2, 0.5), (1.0, 2.0), (0.1,)),
    ),
    "cifar10": Setting(
        BASE.with_(objective="gradient_penalty(strength=0.1)", normalisation="cifar10", augment="flip", ramp=0.3),
        "zoo:cifar10",
        (("l2", (0.25, 0.5)), ("linf", (2 / 255,))),
        families((0.01, 0.03, 0.1, 0.3, 1.0), (0.003, 0.01, 0.03, 0.1), (0.25, 0.5), (2 / 255,)),
    ),
}
TINY = {"train_images": 256, "test_images": 16, "attacked": 8, "epochs": 1}


class Job(NamedTuple):
    """A training: the family of its objective, its strength, its recipe."""

    family: str
    strength: float
    recipe: ga.Recipe


def main() -> None:
    parser = table_parser(__file__, __doc__)
    parser.add_argument("--cifar10", type=Path, help="CIFAR-10 as cifar_sheets.py writes it, in the place of MNIST")
    parser.add_argument("--sigma", type=float, default=0.25, help="of the noise under which scores are learned and compared")
    parser.add_argument("--train-images", type=int, default=10_000)
    parser.add_argument("--test-images", type=int, default=500)
    parser.add_argument("--attacked", type=int, default=200, help="test images that AutoAttack is shown")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--draws", type=int, default=1, help="noise draws of each image that are kept; 0 for new ones")
    parser.add_argument("--families", nargs="+", default=list(SETTINGS["mnist"].families), choices=SETTINGS["mnist"].families)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--tiny", action="store_true", help="a trial that proves that it runs; its figures mean nothing")
    arguments = parser.parse_args()
    if arguments.tiny:
        vars(arguments).update(TINY)
    data = "cifar10" if arguments.cifar10 else "mnist"
    train, test = ga.load_images(arguments.cifar10 or data, folder=arguments.data_dir)
    train, test = train.sample(arguments.train_images), test.sample(arguments.test_images)
    start = time.perf_counter()
    setting = SETTINGS[data]
    jobs = jobs_of(setting, arguments)
    parts = Parallel(n_jobs=arguments.workers, return_as="generator_unordered")(
        delayed(measured)(job, setting, train, test, arguments) for job in jobs
    )
    rows = []
    for number, part in enumerate(parts, 1):
        rows += part
        print(
            f"{number}/{len(jobs)}, {time.perf_counter() - start:.0f} s: {part[0]['objective']}, {part[0]['strength']:g}",
            flush=True,
        )
    table = pd.DataFrame(rows).sort_values(["objective", "strength", "seed"], kind="stable", ignore_index=True)
    if not arguments.tiny:
        write_text(arguments.out / f"{data}.csv", table.to_csv(index=False))
    columns = list(dict.fromkeys(table["measure"]))
    shown = table.pivot_table(index=["objective", "strength"], columns="measure", values="value")[columns].round(3)
    print(shown.to_string())
    print(f"\nat its best, for at most {COST:.0%} of clean accuracy; the strength in brackets:")
    print(best(table, shown).to_string())
    if arguments.seeds > 1:
        for other in (STANDARD, SQUARED):
            print(f"\nmore than {other} at its best, the same seeds:\n{best(table, shown, less=other).to_string()}")
    print(f"{arguments.out}; {time.perf_counter() - start:.0f} s, {versions()}")


def jobs_of(setting: Setting, arguments: argparse.Namespace) -> list[Job]:
    """All trainings; those of one seed stand together, so that a worker keeps the scores that it has."""
    jobs = []
    for seed in range(arguments.seeds):
        base = setting.base.with_(epochs=arguments.epochs, seed=seed)
        if arguments.draws:
            base = base.with_(augment="none")  # alike for all: kept scores are of images as they are
        jobs.append(Job(STANDARD, 0.0, base.with_(objective=STANDARD, ramp=0)))
        for family in arguments.families:
            objective = setting.families[family]
            option = "eps" if "eps" in objective else "strength"
            scored = {"denoiser": setting.denoiser, "sigma": arguments.sigma, "draws": arguments.draws}
            given = scored if objective["name"] == "score_alignment" else {}
            jobs += [
                Job(family, strength, base.with_(objective=objective | given | {option: strength}))
                for strength in objective[option][: 1 if arguments.tiny else None]
            ]
    return jobs


def measured(
    job: Job, setting: Setting, train: ga.ImageSet, test: ga.ImageSet, arguments: argparse.Namespace
) -> list[dict[str, Any]]:
    """A row for each measure."""
    own = {"objective": job.family, "strength": job.strength, "seed": job.recipe.seed}
    store, device = ga.Store(arguments.store), arguments.device
    with one_thread():
        classifier = ga.train_once(job.recipe, train, store=store, device=device)
        oracle = ga.train_once(
            job.recipe.with_(objective=f"noise(std={arguments.sigma})", ramp=0), train, store=store, device=device
        )
        found = robustness_of(classifier, setting, test, arguments, store) + alignment_of(
            classifier, oracle, setting, test, arguments
        )
    return [own | {"measure": name, "value": value, "low": low, "high": high} for name, value, low, high in found]


def robustness_of(
    classifier: nn.Module, setting: Setting, test: ga.ImageSet, arguments: argparse.Namespace, store: ga.Store
) -> list[tuple[str, float, float, float]]:
    """Clean accuracy, that under PGD, and that of fewer images under AutoAttack, within L2 alone for its time."""
    found = []
    for attack, options, images in (("pgd", "", test), ("autoattack", QUERIES, test[: arguments.attacked])):
        for norm, radii in setting.attacks[: 1 if attack == "autoattack" else None]:
            how = {"norm": norm, "eps": (0.0, *radii), "attack": attack + options, "steps": 20, "device": arguments.device}
            rows = ga.robustness(classifier, images, store=store, **how).table.to_dict("records")
            named = [row for row in rows if row["attack"].startswith(attack)]
            for row in named:
                name = CLEAN if row["eps"] == 0 else f"{attack} {norm} {row['eps']:g}"
                if name != CLEAN or (attack, norm) == ("pgd", setting.attacks[0][0]):
                    found.append((name, row["accuracy"], row["low"], row["high"]))
    return found


def alignment_of(
    classifier: nn.Module, oracle: nn.Module, setting: Setting, test: ga.ImageSet, arguments: argparse.Namespace
) -> list[tuple[str, float, float, float]]:
    """Cosines with the Bayes score where it was trained for, at noisy images, and what the oracle sees after an ascent."""
    how: dict[str, Any] = {"gradient": "log_probability", "score": "bayes", "noise": "matched", "sigma": arguments.sigma}
    result = ga.alignment(
        classifier,
        test[: arguments.attacked],
        ga.load_denoiser(setting.denoiser),
        oracles={"noise": oracle},
        similarity=["cosine", "magnitude_cosine"],
        device=arguments.device,
        **how,
    )
    table = result.table[result.table["gradient"] == "log_probability"]
    rows = [(str(one["similarity"]), one["value"], one["low"], one["high"]) for one in table.to_dict("records")]
    seen = result.transfer.iloc[-1]
    return [*rows, ("transfer", seen["value"], seen["low"], seen["high"])]


def best(table: pd.DataFrame, shown: pd.DataFrame, less: str | None = None) -> pd.DataFrame:
    """For each objective and attack the highest mean accuracy among the strengths whose clean accuracy is good enough.

    Where `less` names an objective, how much more than it, seed by seed. In square brackets the interval over seeds.
    """
    attacks = [name for name in shown if name.startswith(("pgd", "autoattack"))]
    least = shown.loc[(STANDARD, 0.0), CLEAN] - COST
    fair = shown[shown[CLEAN] >= least]
    chosen = {name: fair.groupby(level="objective")[name].idxmax().to_dict() for name in attacks}
    seeds = table.pivot_table(index=["objective", "strength"], columns=["measure", "seed"], values="value")

    def told(objective: str, name: str) -> str:
        strength = chosen[name][objective][1]
        values = seeds.loc[chosen[name][objective], name].to_numpy()
        if less is not None:
            values = values - seeds.loc[chosen[name][less], name].to_numpy()
        value, low, high = mean_interval(values)
        within = f" [{low:.3f}, {high:.3f}]" if len(values) > 1 else ""
        return f"{value:.3f}{within} ({strength:g})"

    objectives = [name for name in chosen[attacks[0]] if name != less]
    return pd.DataFrame({name: {one: told(one, name) for one in objectives} for name in attacks})


if __name__ == "__main__":
    main()
