"""Question: what do counterfactuals need: a robust helper, the denoiser's own evidence, or neither? (docs/counterfactuals.md)

100 test images of MNIST, Fashion-MNIST or CIFAR-10, as many of each class, each towards a class that looks like it; a standard and
a robust classifier explained in turn. DVCE with a robust helper, with the denoiser's evidence as cone and as consensus, with no
helper, along the denoiser's tangent space, and where only a region may change: the ink, grown by two pixels, of digits and clothes,
and the quarter of the pixels that the gradient ranks highest; beside them SVCE and APGD, which ask no denoiser. Oracles, which no
method sees: a classifier trained separately, and the other of the two explained.

Run: `python benchmarks/guidance.py mnist --data-dir DATA --weights-dir WEIGHTS`, likewise `fashion-mnist` and `cifar10`, with
`--cifar10 FILE.npz` of `cifar_sheets.py`. An hour each on one core without bf16; a stopped run continues.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from torch import Tensor, nn
from torch.nn import functional as F

import gradaudit as ga
from _record import save_figure, table_parser
from conditional import classifiers
from counterfactuals import as_markdown, chosen, folder_name, gallery, in_short
from gradaudit.files import write_text
from gradaudit.results import versions

STEPS = 50  # of the schedule; half of them are walked
GROWN = 2
LIKE = {
    "mnist": {0: 6, 1: 7, 2: 3, 3: 8, 4: 9, 5: 6, 6: 0, 7: 9, 8: 3, 9: 4},
    "fashion-mnist": {0: 6, 1: 3, 2: 4, 3: 0, 4: 2, 5: 7, 6: 0, 7: 5, 8: 6, 9: 7},  # T-shirt to shirt, sandal to sneaker, ...
    "cifar10": {0: 8, 1: 9, 2: 0, 3: 5, 4: 7, 5: 3, 6: 2, 7: 4, 8: 0, 9: 1},  # cat to dog, deer to horse, ship to airplane, ...
}
Region = Callable[[ga.ImageSet], Any]
RUNS: dict[str, tuple[str, bool, str]] = {  # name: method, whether the robust helper takes part, region
    "DVCE, robust helper": ("dvce", True, "all"),
    "DVCE, denoiser's cone": ("dvce(helper=denoiser)", False, "all"),
    "DVCE, denoiser's consensus": ("dvce(helper=denoiser, join=consensus, cone=45.0)", False, "all"),
    "DVCE, no helper": ("dvce", False, "all"),
    "DVCE, no product": ("dvce(guidance=none)", False, "all"),
    "DVCE, tangent": ("dvce(guidance=tangent)", False, "all"),
    "DVCE, only the ink": ("dvce", False, "ink"),
    "DVCE, only the gradient's top quarter": ("dvce", False, "top"),
    "SVCE": ("svce", False, "all"),
    "APGD": ("apgd", False, "all"),
}
MEASURES = ("flip_rate", "agreed_", "l1", "l2", "frechet_")


@dataclass(frozen=True)
class Cast:
    """Who takes part: the two that are explained, the robust helper, the oracle beside the other of the two, the denoiser."""

    explained: Mapping[str, nn.Module]
    helper: nn.Module
    oracle: nn.Module
    denoiser: ga.Denoiser


def main() -> None:
    parser = table_parser(__file__, __doc__, weights=True, workers=None)
    parser.add_argument("data", choices=[*LIKE])
    parser.add_argument("--cifar10", type=Path, help="CIFAR-10 as cifar_sheets.py writes it")
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--only", default="", help="runs whose name has this in it; others as they were found before")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    own = arguments.cifar10 if arguments.data == "cifar10" else None
    train, test = ga.load_images(own or arguments.data, folder=arguments.data_dir)
    cast = CASTS[arguments.data](train, arguments)
    frames = []
    for title, explained in cast.explained.items():
        other = next(name for name in cast.explained if name != title)
        oracles = {"separate": cast.oracle, other: cast.explained[other]}
        images = chosen(explained, test, arguments.images, arguments.seed)
        out = arguments.out / "out" / arguments.data / title
        results = {}
        for name, (method, helped, region) in RUNS.items():
            if region == "ink" and arguments.data == "cifar10":
                continue
            start = time.perf_counter()
            if arguments.only in name:
                found = ga.counterfactual(
                    explained,
                    images,
                    [LIKE[arguments.data][label] for label in images.labels.tolist()],
                    cast.denoiser,
                    robust=cast.helper if helped else None,
                    method=with_steps(method, arguments.steps),
                    region=REGIONS[region](images),
                    oracles=oracles,
                    reference=train.sample(2000, arguments.seed),
                    seed=arguments.seed,
                    store=arguments.store,
                    device="cpu",
                    show_progress=True,
                )
                found.save(out / folder_name(name))
                print(f"{title}, {name}: {found.verdict} ({time.perf_counter() - start:.0f} s now)", flush=True)
            if (out / folder_name(name)).exists():
                results[name] = ga.CounterfactualResult.load(out / folder_name(name))
        frames += [in_table(title, other, name, result) for name, result in results.items()]
        save_figure(
            arguments.out / f"{arguments.data}_{title}.png",
            gallery({name: one for name, one in results.items() if "tangent" not in name}),
            dpi=80,
        )
    text = as_markdown(pd.concat(frames))
    said = f"{arguments.images} images, {arguments.steps} levels, seed {arguments.seed}, {versions()}"
    write_text(arguments.out / f"{arguments.data}.md", f"{text}\n{said}\n")
    print(text)


def in_table(explained: str, other: str, name: str, result: ga.CounterfactualResult) -> pd.DataFrame:
    """The measures that the table shows; the oracle that is the other one of the two is called so."""
    every = in_short(f"{explained}: {name}", result)
    every = every[every["measure"].str.startswith(MEASURES) & ~every["measure"].str.startswith("l1_5")]
    return every.assign(measure=every["measure"].str.replace(f"_{other}", "_the_other"))


def with_steps(method: str, steps: int) -> str:
    """Of DVCE, with so many noise levels."""
    if not method.startswith("dvce"):
        return method
    options = method.removeprefix("dvce").strip("()")
    return f"dvce({', '.join(part for part in (options, f'steps={steps}') if part)})"


def ink(images: ga.ImageSet) -> Tensor:
    """Where there is any, and two pixels around: (N, H, W) of booleans."""
    grown = F.max_pool2d(images.floats().amax(dim=1, keepdim=True), 2 * GROWN + 1, stride=1, padding=GROWN)
    return grown[:, 0] > 0.1


REGIONS: dict[str, Region] = {
    "all": lambda images: None,
    "ink": ink,
    "top": lambda images: "top(attribution=logit_gradient, share=0.25)",
}


def mnist(train: ga.ImageSet, arguments: Any) -> Cast:
    """LeNets that others trained; the package's helper and denoiser."""
    weights = Path(arguments.weights_dir)
    trained = {"standard": "mnist_lenet5_clntrained.pt", "robust": "mnist_lenet5_advtrained.pt"}
    explained = {name: ga.load_classifier("lenet5", weights / file) for name, file in trained.items()}
    oracle = once(ga.Recipe(network="convnet", epochs=3), train, arguments)
    return Cast(explained, ga.load_classifier("zoo:mnist/robust"), oracle, ga.load_denoiser("zoo:mnist"))


def fashion_mnist(train: ga.ImageSet, arguments: Any) -> Cast:
    """All trained here, but for the denoiser: the helper is another robust network."""
    recipes = {"standard": ga.named_recipe("fashion-mnist/standard", epochs=4), "robust": robust_clothes("lenet5", 0)}
    explained = {name: once(recipe, train, arguments) for name, recipe in recipes.items()}
    oracle = once(ga.Recipe(network="convnet", epochs=3), train, arguments)
    return Cast(explained, once(robust_clothes("convnet", 1), train, arguments), oracle, ga.load_denoiser("zoo:fashion-mnist"))


def robust_clothes(network: str, seed: int) -> ga.Recipe:
    """The recipe for L2 radius 1 with fewer steps and epochs."""
    return ga.named_recipe(
        "fashion-mnist/l2-1", network=network, objective="adversarial(norm=l2, eps=1.0, steps=3)", epochs=4, seed=seed
    )


def cifar10(train: ga.ImageSet, arguments: Any) -> Cast:
    """The package's classifiers and denoiser; helper and oracle are what others trained."""
    explained = {name: ga.load_classifier(f"zoo:cifar10/{name}") for name in ("standard", "robust")}
    others = classifiers("cifar10", train, arguments)
    return Cast(explained, others["robust"], others["standard"], ga.load_denoiser("zoo:cifar10"))


def once(recipe: ga.Recipe, train: ga.ImageSet, arguments: Any) -> nn.Module:
    """Trained, unless it was before."""
    return ga.train_once(recipe, train, store=arguments.store, device="cpu", show_progress=True)


CASTS: dict[str, Callable[[ga.ImageSet, Any], Cast]] = {"mnist": mnist, "fashion-mnist": fashion_mnist, "cifar10": cifar10}


if __name__ == "__main__":
    main()
