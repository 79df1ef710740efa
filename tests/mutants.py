"""Mutation testing of the mathematics: small faults of the kind a person makes, each of which some test must notice.

    python tests/mutants.py                      # all of them, a quarter of an hour on one core
    python tests/mutants.py --list
    python tests/mutants.py --only cone-radians  # may be given again

Each fault goes into a copy of `src` in a temporary folder, never into the tree itself, and the tests that should notice it run
against the copy. A table says which test noticed, and after how many seconds of CPU. The exit status is 1 if a fault survives, if a
text to be replaced is not found exactly once, or if the tests fail without any fault. `test_mutants.py` keeps the list true.
"""

from __future__ import annotations

import argparse
import ast
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TESTS, PACKAGE = ROOT / "tests", Path("src", "gradaudit")
PATIENCE = 3600  # seconds after which a run is given up, far above any of them
FAILED = ("FAILED ", "ERROR ")  # how pytest's summary begins the line of a test that noticed


@dataclass(frozen=True)
class Fault:
    """One replacement in one file.

    Args:
        name: how `--only` asks for it.
        file: below `src/gradaudit`.
        old: what is replaced, found exactly once.
        new: by what.
        why: what would be wrong with it.
        tests: test files below `tests`, or tests in them as `file::test`, that should notice.
    """

    name: str
    file: str
    old: str
    new: str
    why: str
    tests: tuple[str, ...]

    @property
    def path(self) -> Path:
        """Of the sound file."""
        return ROOT / PACKAGE / self.file

    def applied(self, source: str) -> str:
        """The file's source with the fault in it."""
        return source.replace(self.old, self.new)

    def problem(self) -> str:
        """What is no longer true of the entry; empty if nothing."""
        if not self.path.is_file():
            return f"no such file: {self.file}"
        found = self.path.read_text("utf-8").count(self.old)
        if found != 1:
            return f"its text is found {found} times in {self.file}, not once"
        missing = [test for test in self.tests if not _exists(test)]
        return f"no such test: {', '.join(missing)}" if missing else ""


def _exists(test: str) -> bool:
    file, *names = test.split("::")
    return (TESTS / file).is_file() and set(names) <= _defined(TESTS / file)


@cache
def _defined(file: Path) -> set[str]:
    """The names of a file's tests, and of the classes around them."""
    nodes = ast.walk(ast.parse(file.read_text("utf-8")))
    return {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef))}


@dataclass(frozen=True)
class Outcome:
    """How a run of tests ended: pytest's exit status (None where it was given up), the CPU seconds and what it printed."""

    status: int | None
    seconds: float
    output: str

    @property
    def verdict(self) -> str:
        """`killed` where a test failed, `SURVIVED` where none did; anything else says nothing of the tests."""
        if self.status == 0:
            return "SURVIVED"
        return "killed" if self.status == 1 and self.noticed else "NOT RUN"

    @property
    def noticed(self) -> str:
        """The first test that failed."""
        lines = (line for line in self.output.splitlines() if line.startswith(FAILED))
        return next(lines, "").split(" - ")[0].partition(" ")[2].removeprefix("tests/")


def run(copy: Path, tests: Iterable[str]) -> Outcome:
    """The tests, up to the first that fails, with the package from the copy; hypothesis draws the same each time."""
    own = {"PYTHONPATH": str(copy / "src"), "HYPOTHESIS_STORAGE_DIRECTORY": str(copy / "examples")}
    own |= {"PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    options = ("-x", "-q", "-p", "no:cacheprovider", "--tb=no", "-rfE", "--hypothesis-seed=0")
    command = (sys.executable, "-m", "pytest", *options, *(f"tests/{test}" for test in tests))
    before = _children()
    try:
        done = subprocess.run(command, cwd=ROOT, env=os.environ | own, capture_output=True, text=True, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return Outcome(None, _children() - before, "")
    return Outcome(done.returncode, _children() - before, done.stdout + done.stderr)


def _children() -> float:
    times = os.times()
    return times.children_user + times.children_system


@contextmanager
def copied() -> Iterator[Path]:
    """A temporary folder with a copy of `src`, without compiled files: one of the same second and size would hide a fault."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        shutil.copytree(ROOT / "src", Path(folder, "src"), ignore=shutil.ignore_patterns("__pycache__"))
        yield Path(folder)


@contextmanager
def broken(copy: Path, fault: Fault) -> Iterator[None]:
    """The copy has the fault inside."""
    file = copy / PACKAGE / fault.file
    source = file.read_text("utf-8")
    file.write_text(fault.applied(source), "utf-8")
    try:
        yield
    finally:
        file.write_text(source, "utf-8")


def stale(faults: Sequence[Fault]) -> list[str]:
    """What is no longer true of the list."""
    return [f"{fault.name}: {fault.problem()}" for fault in faults if fault.problem()]


def check(faults: Sequence[Fault]) -> int:
    """Run every fault and print the table; the exit status."""
    problems = stale(faults)
    if problems:
        print(*problems, sep="\n")
        return 1
    with copied() as copy:
        sound = run(copy, dict.fromkeys(test for fault in faults for test in fault.tests))
        if sound.status != 0:
            print(sound.output, f"without any fault: {sound.noticed or 'the tests did not run'}", sep="\n")
            return 1
        width = max(len(fault.name) for fault in faults)
        verdicts = []
        for fault in faults:
            with broken(copy, fault):
                outcome = run(copy, fault.tests)
            print(f"{fault.name:{width}}  {outcome.verdict:8}  {outcome.seconds:5.1f} s  {outcome.noticed}", flush=True)
            verdicts.append(outcome.verdict)
    killed = verdicts.count("killed")
    print(f"{killed} of {len(faults)} killed")
    return 0 if killed == len(faults) else 1


def show(faults: Sequence[Fault]) -> int:
    """Print what each fault is."""
    for fault in faults:
        print(f"{fault.name}  ({fault.file})\n    {fault.old}\n -> {fault.new}\n    {fault.why}\n    {', '.join(fault.tests)}")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Faults in the mathematics, each of which some test must notice.")
    parser.add_argument(
        "--only", action="append", metavar="ID", choices=[fault.name for fault in FAULTS], help="this one; repeatable"
    )
    parser.add_argument("--list", action="store_true", help="print the faults and run nothing")
    given = parser.parse_args(arguments)
    chosen = [fault for fault in FAULTS if not given.only or fault.name in given.only]
    return show(chosen) if given.list else check(chosen)


def faults(file: str, tests: Sequence[str], *entries: tuple[str, str, str, str]) -> Iterator[Fault]:
    """Faults in one file that the same tests should notice, each `(name, old, new, why)`."""
    return (Fault(name, file, old, new, why, tuple(tests)) for name, old, new, why in entries)


# fmt: off
FAULTS: tuple[Fault, ...] = (
    # Flips by region
    *faults("instruments/region_flips/audit.py", ["region_flips/test_region_flips.py"],
        ("region-flips-seen-before", " & (self.seen[name] != self.targets).numpy()", "",
         "an oracle that never changes its mind would confirm"),
        ("region-flips-unflipped", "name: flipped & self._sees", "name: self._sees",
         "what others see would count where nothing was flipped"),
        ("region-flips-everywhere", "changing.within(region)", "changing.within(None)", "all of an image could change"),
    ),
    *faults("instruments/region_flips/result.py", ["region_flips/test_region_flips.py"],
        ("region-flips-helper-judges", 'if not one["helper"]]', "]", "who guided the change would judge it"),
    ),
    *faults("instruments/region_flips/verdict.py", ["region_flips/test_region_flips.py"],
        ("region-flips-by-flips", "_label(own.loc[CONFIRMED], wholes[CONFIRMED])", "_label(own.loc[FLIPPED], wholes[FLIPPED])",
         "the classifier's own flips, which flatter its gradient, would decide"),
    ),
    # Contrast
    *faults("instruments/contrast/neighbours.py", ["contrast/test_neighbours.py"],
        ("contrast-turned", "(near - unlike).view", "(unlike - near).view", "maps would point to the other class"),
        ("contrast-of-itself", "for row, which in enumerate(copies[part]):", "for row, which in enumerate(copies[part][:0]):",
         "an image would be its own nearest neighbour"),
        ("contrast-copies-of-others", "enumerate(copies[part])", "enumerate(copies)", "copies would be those of the first chunk"),
        ("contrast-tied-vote", "counts + 0.5 * first", "counts", "where votes are even the first class would win"),
        ("contrast-one-too-few", "found > neighbours and", "found >= neighbours and",
         "an image would lack a neighbour of its class beside itself"),
    ),
    *faults("instruments/contrast/audit.py", ["contrast/test_contrast.py"],
        ("contrast-other-class", "found[places] = places.roll(-1)", "found[places] = found[places]",
         "what a map owes to its class would count as a lead"),
    ),
    *faults("instruments/alignment/similarities/cosine.py", ["contrast/test_contrast.py"],
        ("contrast-unscaled", "correlated(scaled(gradients).flatten(1)", "correlated(gradients.flatten(1)",
         "tiny gradients would have no direction"),
    ),
    *faults("instruments/alignment/similarities/magnitude_cosine.py", ["contrast/test_contrast.py"],
        ("contrast-signed-magnitudes", "cosine(gradients.abs(),", "cosine(gradients,",
         "maps that point the other way would not lie there"),
    ),
    *faults("instruments/contrast/verdict.py", ["contrast/test_contrast.py"],
        ("contrast-elsewhere-by-controls", "ELSEWHERE if leads[OTHER][2] < 0", "ELSEWHERE if min(one[2] for one in rivals) < 0",
         "maps that know nothing would lie elsewhere in half of all runs"),
        ("contrast-controls-not-beaten", "all(low > 0 for _, low, _ in rivals)", "rivals[0][1] > 0",
         "a control that does better would not count"),
    ),
    *faults("instruments/fidelity/verdict.py", ["fidelity/test_fidelity.py"],
        ("fidelity-nothing-to-lose", "if self.whole(fill) <= self.luck or not", "if not",
         "a classifier at chance would use what its map knows of the label"),
    ),
    # Rankings
    *faults("attributions/_ranking.py", ["attributions/test_ranking.py"],
        ("rank-upside-down", "((0x7FFFFFFF - bits) << 32)", "(bits << 32)", "the lowest scores would be the top features"),
        ("rank-ties-by-position", "(noise << width)", "(noise * 0 << width)", "the order of zeros would tell positions"),
        ("rank-seed-ignored", "Philox(key=[seed, place])", "Philox(key=[0, place])", "no seed would move the ties"),
        ("rank-place-in-batch", "_random_bits(seed, first + row,", "_random_bits(seed, row,", "ties would rest on the batch"),
        ("rank-chunk-start", "first + start, seed)", "first, seed)",
         "ties of large images would rest on how many are sorted at once"),
        ("rank-signed-sum", "scores.abs().sum(dim=1)", "scores.sum(dim=1).abs()",
         "channels that oppose would cancel in a pixel's rank"),
        ("rank-dtype-overflow", '("int8", 2**8)', '("int8", 2**9)', "ranks of 300 features would wrap around"),
        ("level-rounded-down", "round(level * count)", "int(level * count)", "one feature too few would be kept"),
        ("level-keeps-all", ", 1), count - 1)", ", 1), count)", "a level near 1 would remove nothing"),
        ("kept-one-too-many", "ranks < keep - count // 2", "ranks <= keep - count // 2", "top and bottom would overlap"),
    ),
    *faults("instruments/diffroar/rankings.py", ["diffroar/test_rankings.py"],
        ("ranker-every-batch-first", "rank(scores.cpu(), where.start,", "rank(scores.cpu(), 0,", "ties would rest on the batch"),
        ("ranker-stale-seed", '"seed": self.seed,\n            "device"', '"device"',
         "another seed would find the first one's ties in the store"),
        ("ranker-stale-target", '"target": self.target}', "}", "another target would find the first one's ranking in the store"),
        ("ranker-stale-features", '            "features": self.features,\n', "",
         "pixels would find the ranking of coordinates in the store"),
        ("ranker-channels", 'channels if self.features == "coordinates" else 1', 'channels if self.features == "pixels" else 1',
         "rankings would have another number of features than images"),
    ),
    # Attributions
    *faults("attributions/_beside.py", ["fidelity/test_controls.py"],
        ("controls-of-the-gradient", 'Spec(name, {"of": first})', "Spec(name)",
         "controls would be of the gradient whatever is audited"),
    ),
    # The answer
    *faults("answering/answers.py", ["answering/test_answers.py"],
        ("answer-at-the-value", 'worst, best = self.likes("low", shrink), self.likes("high", shrink)',
         'worst, best = self.likes("value"), self.likes("value")', "intervals would not count"),
        ("answer-trusts-bad-ones", "and worst.bad <= MOST_BAD * worst.count", "", "bad maps among the nearest would not count"),
        ("answer-of-strange-images", "        if strange:\n", "        if False:\n",
         "images such as no planted one would be judged"),
        ("answer-for-the-first", 'return f"{TRUST} for {', 'return f"{TRUST}, {', "which attribution is trusted would not be said"),
    ),
    *faults("answering/planted.py", ["answering/test_planted.py"],
        ("planted-middling-fitted", "clear = (quality >= GOOD) | (quality <= BAD)", "clear = quality > -9",
         "middling maps would be fitted as bad"),
        ("planted-any-sign", "bounds = [(LEAST if len(measures) == 1 else 0, None)]", "bounds = [(None, None)]",
         "a larger number could make a map worse"),
        ("planted-farthest", 'np.argsort(apart, kind="stable")', 'np.argsort(-apart, kind="stable")',
         "the farthest maps would be counted"),
    ),
    *faults("attributions/_gradients.py", ["attributions/test_gradient_attributions.py"],
        ("gradient-of-first-logit", "logits.gather(1, targets[:, None])\n\n\ndef _loss", "logits[:, :1]\n\n\ndef _loss",
         "every image would be asked about class 0"),
        ("loss-in-single", "F.cross_entropy(logits.double(),", "F.cross_entropy(logits,",
         "a sure classifier's gradient would round to 0"),
        ("softmax-in-single", "logits.double().softmax(1)", "logits.softmax(1)", "a sure classifier's gradient would round to 0"),
    ),
    *faults("attributions/smoothgrad.py", ["attributions/test_smoothgrad.py"],
        ("smoothgrad-no-square", "gradient.square() if squared", "gradient.abs() if squared",
         "the squared variant would be another method"),
        ("smoothgrad-sum", "return total / samples", "return total", "scores would grow with the number of copies"),
        ("smoothgrad-variance", "images + noise * normal", "images + noise**2 * normal",
         "the noise's variance would be taken for its deviation"),
    ),
    *faults("attributions/_path.py", ["attributions/test_integrated_gradients.py"],
        ("integrated-half-way", "(1 + float(place)) / 2 * difference", "(1 + float(place)) / 4 * difference",
         "the way would end half-way to the image"),
        ("integrated-from-black", "difference = end - start", "difference = end",
         "scores would not add up unless the baseline is black"),
    ),
    *faults("diffusion/geodesics.py", ["attributions/test_manifold_integrated_gradients.py"],
        ("geodesic-uphill", "trial[:, 1:-1] -= length", "trial[:, 1:-1] += length", "no sweep would shorten the path"),
        ("geodesic-takes-all", "better = lower < energy", "better = lower < torch.inf", "the energy could rise"),
    ),
    *faults("diffusion/attributions/manifold_integrated_gradients.py", ["attributions/test_manifold_integrated_gradients.py"],
        ("manifold-without-residual", "return total + along_line(classifier, nodes[-1], images, targets, steps=steps, of=of)",
         "return total", "the reconstruction would be explained in the image's place"),
        ("manifold-end-to-end", "* (end - start).float()", "* (nodes[-1] - nodes[0]).float() / steps",
         "on a curved path the scores would not add up, as in the published code"),
    ),
    *faults("attributions/edges.py", ["attributions/test_controls.py"],
        ("edges-same-direction", "_sobel(pixels, -2, -1)", "_sobel(pixels, -1, -2)", "edges of one direction would not be seen"),
    ),
    *faults("attributions/blurred_random.py", ["attributions/test_controls.py"],
        ("blur-over-channels", "(0, 0, sigma, sigma)", "(0, sigma, sigma, sigma)", "channels of the control would be tied"),
        ("blur-border", 'mode="wrap"', 'mode="constant"', "the border would rank low by its smaller spread"),
    ),
    *faults("attributions/_attribute.py", ["attributions/test_attribute.py"],
        ("all-classes-signed", "sum((more.abs() for more in each), scores.abs())", "sum(each, scores)",
         "what raises one class would cancel what lowers another"),
    ),
    # Unmasking and fills
    *faults("instruments/diffroar/unmasking.py", ["diffroar/test_unmasking.py"],
        ("unmask-always-top", "kept(ranking, self.keep, self.side)", 'kept(ranking, self.keep, "top")',
         "top and bottom would be the same images"),
        ("unmask-shift-back", "(indices + self.shift) % len(ranks)", "(indices - self.shift) % len(ranks)",
         "learners and evaluators would shift random rankings apart"),
    ),
    *faults("fills/_constant.py", ["fills/test_cheap_fills.py"],
        ("constant-swapped", "(1 - shown).mul_(", "shown.mul_(",
         "kept values would be raised by the fill and removed ones left black"),
    ),
    *faults("fills/_moments.py", ["fills/test_cheap_fills.py"],
        ("moments-variance", "(variance.sqrt() / 255)", "(variance / 255)", "the noise would be as large as its variance"),
        ("moments-mean-not-squared", "len(train) - mean.square())", "len(train) - mean)", "the variance would hold the mean"),
    ),
    *faults("fills/blur.py", ["fills/test_cheap_fills.py"],
        ("blur-fill-unnormalised", "_convolved(planes, sigma) / weight.clamp(min=FAINT)", "_convolved(planes, sigma)",
         "fills would darken with the number of removed neighbours"),
        ("blur-fill-width", "(2 * sigma**2)", "sigma**2", "the Gaussian would be narrower than it says"),
    ),
    *faults("fills/_fill.py", ["fills/test_every_fill.py"],
        ("fill-sees-removed", "kept = torch.where(mask, kept, 0.0)", "kept = kept.clone()",
         "a fill would be shown what was removed"),
        ("fill-unclamped", "filled.to(kept).clamp(0, 1)", "filled.to(kept)", "fills would leave the range of pixels"),
    ),
    *faults("fills/_stencil.py", ["fills/test_imputation.py"],
        ("imputation-tolerance", "TOLERANCE = 2e-6", "TOLERANCE = 2e-2", "the system would be left unsolved"),
        ("imputation-border", "last = pairs[-1] + x[-1]", "last = pairs[-1] + 2 * x[-1]",
         "the last row would weigh its own pixel as a neighbour"),
    ),
    *faults("fills/_linear.py", ["fills/test_imputation.py"],
        ("imputation-slope", "torch.addcmul(z, p, rz / before", "torch.addcmul(z, p, before / rz",
         "conjugate gradients would lose their directions"),
    ),
    *faults("fills/_multigrid.py", ["fills/test_multigrid.py"],
        ("multigrid-outside", "inside * _averages(", "_averages(", "what pads a plane would be its neighbours"),
        ("multigrid-crop", "max(0, int(places[0]) - 1)", "max(0, int(places[0]))", "known neighbours of a hole would be cut off"),
        ("multigrid-empty", "weights.amax(dim=(1, 2), keepdim=True) > 0", "weights.amax(dim=(1, 2), keepdim=True) >= 0",
         "planes of which nothing is known would become black"),
    ),
    *faults("fills/imputation.py", ["fills/test_imputation.py"],
        ("imputation-noise-square", "filled + noise * normal", "filled + noise**2 * normal",
         "the noise's variance would be taken for its deviation"),
        ("imputation-mask-unseen", "kept.masked_fill(~mask, -1.0)", "kept",
         "images whose kept values are black would share their noise"),
        ("imputation-empty-channel", "mask.flatten(2).any(dim=2)", "mask.flatten(2).all(dim=2)",
         "fills would begin from no data where some are kept"),
    ),
    *faults("fills/generative.py", ["fills/test_generative_fill.py"],
        ("generative-share", "share = (following / sigma) ** 2", "share = following / sigma",
         "draws would keep too much of the noise"),
        ("generative-renoise", "sqrt(sigma**2 - following**2)", "(sigma - following)",
         "a step that is undone would come back with too little noise"),
    ),
    # Bits: usable information, the evaluator, DiffROAR of values
    *faults("usable_information.py", ["diffroar/test_usable_information.py"],
        ("prior-without-floor", ".clip(min=1)", ".clip(min=0)",
         "a class that is not among the training labels would cost infinitely many bits"),
        ("nothing-in-nats", "float(-np.log2(prior)[labels].mean())", "float(-np.log(prior)[labels].mean())",
         "bits and nats would be subtracted"),
        ("bits-in-nats", "labels]) / np.log(2)", "labels])", "a learner's bits would be nats"),
        ("calibrated-on-judged", "best_exponent(logits[fitted], labels[fitted],", "best_exponent(logits[judged], labels[judged],",
         "images would judge an exponent that they chose"),
        ("calibrated-without-stranger", "strange = 1 / (len(labels) + 1)", "strange = 0.0",
         "a half without an error would trust itself without bound"),
        ("calibrated-slope-sign", "(expected - of_label).mean()", "(of_label - expected).mean()",
         "the exponent of most bits would be taken for the best"),
        ("ignore-by-own-half", "bits[compared].mean() <= without[compared].mean()", "bits[judged].mean() <= without[judged].mean()",
         "images would choose the learner that judges them"),
        ("packed-overflow", "bits.clip(max=float(half.max)).astype", "bits.astype",
         "very bad predictions would be stored as infinity"),
    ),
    *faults("usable_information.py", ["evaluator/test_reading.py"],
        ("divergence-sign", "- np.log(total)) / np.log(2)", "+ np.log(total)) / np.log(2)",
         "leanings would be measured with the wrong sign"),
    ),
    *faults("usable_information.py", ["evaluator/test_reading.py"],
        ("resolution-reversed", "_divergence(odds, prior, exponent) < resolution",
         "_divergence(odds, prior, exponent) > resolution", "every sure prediction would count as the prior"),
    ),
    *faults("evaluator/masks.py", ["evaluator/test_evaluator.py"],
        ("masks-uniform-levels", "torch.exp(torch.empty(count).uniform_(math.log(self.least), math.log(MOST)))",
         "torch.empty(count).uniform_(self.least, MOST)", "few masks would keep as few pixels as audited ones"),
        ("masks-lowest-not-halved", "max(lowest / 2, 1 / self.count)", "max(lowest, 1 / self.count)",
         "the lowest level would be at the edge of what was seen"),
        ("masks-top-only", "(torch.rand(count) < 0.5)", "(torch.rand(count) < 2.0)", "no mask would look like a bottom one"),
        ("masks-bottom-off-by-one", "ranks >= self.count - keep + lowest", "ranks > self.count - keep + lowest",
         "bottom masks would keep a feature less"),
        ("masks-rankings-once", "+ 2 * ([[one.to", "+ 1 * ([[one.to",
         "a third of the masks would look like audited ones, not half"),
        ("masks-seed-ignored", "np.random.default_rng([seed, 1])", "np.random.default_rng([0, 1])",
         "evaluators of different seeds would share their smooth masks"),
        ("masks-specialist-bottom", 'chosen, keep, "top").view(count', 'chosen, keep, "bottom").view(count',
         "the gap would be measured to another kind of mask"),
    ),
    *faults("evaluator/blocks.py", ["evaluator/test_evaluator.py"],
        ("blocks-places-not-shares", "(np.arange(len(order)) + rng.random()) / len(order)", "np.arange(len(order)) + rng.random()",
         "classes of different size would not meet in proportion"),
        ("blocks-not-alike", 'order = part[np.argsort(direction[part], kind="stable")]', "order = part",
         "images of a block would not be alike"),
    ),
    *faults("evaluator/training.py", ["evaluator/test_evaluator.py"],
        ("blocks-mask-an-image", "masks(chosen[:, 0]).repeat_interleave(chosen.shape[1], dim=0)", "masks(chosen.flatten())",
         "coincidences of mask and class would be all there is to learn of a mask"),
    ),
    *faults("evaluator/evaluator.py", ["evaluator/test_reading.py"],
        ("read-own-image", "np.roll(order, 1)", "np.roll(order, 0)", "the calibration would read the choice of pixels"),
        ("read-blind-labels", "best_exponent(swapped, labels[other], prior, SHARPEST)",
         "best_exponent(swapped, labels, prior, SHARPEST)", "the calibration would be against other images' labels"),
        ("read-sharpened", "bits=calibrated_bits(own, labels, prior, seed, blind, RESOLUTION)",
         "bits=calibrated_bits(own, labels, prior, seed, SHARPEST, RESOLUTION)",
         "an exponent raised by the choice would count the choice as values"),
        ("read-choice-of-other", "choice=calibrated_bits(swapped, labels,", "choice=calibrated_bits(swapped, labels[other],",
         "the swap test would measure values and not the choice"),
        ("read-as-read-calibrated", "as_read=bits_at(own, labels, prior, blind, RESOLUTION)",
         "as_read=calibrated_bits(own, labels, prior, seed, blind, RESOLUTION)", "what misleads would be tempered away"),
        ("read-without-resolution", "RESOLUTION = 0.02", "RESOLUTION = 0.0",
         "leanings that two trainings do not share would count"),
        ("read-hits-unknown-class", "own[:, : len(prior)].argmax(axis=1)", "own.argmax(axis=1)",
         "logits beyond the classes would win"),
        ("bits-sign", "-np.log2(self.prior)[images.labels.numpy()] - self.read",
         "np.log2(self.prior)[images.labels.numpy()] + self.read", "telling pixels would have bits below 0"),
    ),
    *faults("instruments/diffroar/reading.py", ["diffroar/test_unmasking.py"],
        ("reading-shift-back", "roll(-self.shift, 0)", "roll(self.shift, 0)",
         "learners and evaluators would shift random rankings apart"),
        ("reading-always-top", "kept(ranks, self.keep, self.side)", 'kept(ranks, self.keep, "top")',
         "the bottom would be read under the top's masks"),
    ),
    *faults("instruments/diffroar/reading.py", ["diffroar/test_values_numbers.py"],
        ("reading-choice-for-values", '_packed("come_", found.as_read)', '_packed("come_", found.bits)',
         "what misleads would not show"),
    ),
    *faults("instruments/diffroar/measures.py", [
        "diffroar/test_statistics.py",
        "diffroar/test_diffroar.py::test_every_accuracy_is_that_of_a_learner_on_a_masked_copy",
    ],
        ("bits-measure-sign", '{"bits_top": -1, "bits_bottom": 1}', '{"bits_top": 1, "bits_bottom": -1}',
         "fewer bits left open would count as fewer known"),
        ("conditional-sign", '"bits_mask_bottom": -1, "bits_both_bottom": 1}', '"bits_mask_bottom": 1, "bits_both_bottom": -1}',
         "the sides would be added, not subtracted"),
    ),
    *faults("instruments/diffroar/measures.py", ["diffroar/test_values_numbers.py"],
        ("values-sign", '{"values_top": 1, "values_bottom": -1}', '{"values_top": -1, "values_bottom": 1}',
         "the verdict would be upside down"),
    ),
    *faults("instruments/diffroar/values.py", ["diffroar/test_values_numbers.py"],
        ("values-nats", "nothing = -np.log2(self._prior)[test]", "nothing = -np.log(self._prior)[test]",
         "images' values would be in two units at once"),
        ("values-swap-is-as-read", 'f"swap_{side}": self._nothing - outcome["choice_bits"]',
         'f"swap_{side}": self._nothing - outcome["come_bits"]', "the swap test would not be one"),
        ("values-gap-sign", 'unpacked_bits(ours["image_bits"]) - unpacked_bits(alone["image_bits"])',
         'unpacked_bits(alone["image_bits"]) - unpacked_bits(ours["image_bits"])',
         "an evaluator that knows too little would seem to know more"),
        ("values-gap-error", "difference.std(ddof=1)) / count**0.5", "difference.std(ddof=1)) / count",
         "the gap would seem surer than it is"),
        ("values-against-unpaired", "VALUES.of(images[name, level]) - VALUES.of(images[control, level])",
         "VALUES.of(images[name, level])", "nobody would be compared with the controls"),
        ("values-against-no-images", "1 / test, part, test)", "1 / test, 0.0, test)",
         "the lead would seem surer than the choice of test images allows"),
        ("values-lowest-level", "lowest = min(LOWEST, *self.compared.levels)", "lowest = LOWEST",
         "levels below 2 % would be read by who never saw them"),
    ),
    *faults("instruments/diffroar/values.py", [
        "diffroar/test_values.py::test_selection_is_what_learners_of_mask_and_pixels_know_beyond",
    ],
        ("values-selection-sign", 'row[f"selection_{side}"] = outcome["bits"] - both["bits"]',
         'row[f"selection_{side}"] = both["bits"] - outcome["bits"]', "selection would count against an attribution"),
    ),
    # Statistics and intervals
    *faults("instruments/diffroar/statistics.py", ["diffroar/test_statistics.py"],
        ("image-variance-ddof", "of_images.var(ddof=1) / images", "of_images.var(ddof=0) / images",
         "the images' part would be too small for few images"),
        ("image-variance-residual", "/ freedom / (seeds * images)", "/ freedom / images",
         "the residual would be subtracted once a seed"),
        ("image-variance-centre", "keepdims=True) + differences.mean()", "keepdims=True) - differences.mean()",
         "a mean difference would count as residual"),
        ("image-variance-negative", "return max(float(part), 0.0)", "return float(part)",
         "a variance below 0 would shrink the interval"),
        ("interval-resolution", "resolution**2) / count", "resolution) / count",
         "equal seeds would be far less certain than a test image"),
        ("interval-no-root", "float(np.sqrt(variance))", "float(variance)", "intervals would be as wide as a variance"),
        ("interval-one-sided", "(1 - CONFIDENCE) / 2 / number", "(1 - CONFIDENCE) / number", "95 % would be 90 %"),
        ("interval-freedom", "image_part**2 / (images - 1))", "image_part**2 / (count - 1))",
         "the images' part would have the seeds' few degrees of freedom"),
        ("interval-sum-of-errors", "variance = seed_part + image_part", "variance = max(seed_part, image_part)",
         "one source of chance would hide the other"),
        ("detectable-no-root", "errors = np.sqrt(stats.chi2.ppf((np.arange(2000) + 0.5) / 2000, freedom) / freedom)",
         "errors = stats.chi2.ppf((np.arange(2000) + 0.5) / 2000, freedom) / freedom",
         "the smallest difference that is found would be misstated"),
        ("summary-uncorrected", 'comparisons = table["level"].nunique()', "comparisons = 1",
         "intervals for all levels at once would hold for one"),
    ),
    *faults("intervals.py", ["base/test_intervals.py"],
        ("mean-interval-freedom", "(1 + confidence) / 2, count - 1)", "(1 + confidence) / 2, count)",
         "intervals of few values would be too narrow"),
        ("mean-interval-ddof", "values.std(ddof=1)", "values.std(ddof=0)", "intervals of few values would be too narrow"),
        ("mean-interval-no-root", "/ np.sqrt(count))", "/ count)", "intervals of means would be too narrow"),
        ("mean-interval-unclamped", "min(mean + half, most)", "mean + half", "shares would lie above 1"),
        ("share-interval-low", "total - successes + 1)", "total - successes)", "the lower end would not be Clopper and Pearson's"),
        ("share-interval-high", "successes + 1, total - successes))", "successes, total - successes))",
         "the upper end would not be Clopper and Pearson's"),
        ("resamples-seed-ignored", "np.random.default_rng(seed)", "np.random.default_rng(0)", "no seed would move the bootstrap"),
    ),
    *faults("instruments/sweep/statistics.py", ["sweep/test_regimes.py"],
        ("spearman-variance", "sizes = np.sqrt((centred[0]", "sizes = ((centred[0]",
         "correlations would shrink with the number of classifiers"),
        ("spearman-pairs-apart", "_rank_correlations(x[drawn], y[drawn])", "_rank_correlations(x[drawn], y[drawn[::-1]])",
         "resamples would tear the pairs apart"),
    ),
    *faults("instruments/sweep/trends.py", ["sweep/test_regimes.py"],
        ("peak-weakest-counts", "(drawn > 1)", "(drawn > 0)", "the weakest objective would count as an intermediate one"),
    ),
    # Leakage
    *faults("instruments/leakage/measures.py", ["leakage/test_leakage_measures.py"],
        ("leakage-inside", "(values * ~inside).sum(1)", "(values * inside).sum(1)", "what stays on the signal would leak"),
        ("leakage-scale-of-batch", "magnitude.double().amax(1, keepdim=True)", "magnitude.double().amax()",
         "an image's share would vanish beside a larger one"),
        ("leakage-zero-map", "(~inside).double().mean(1)", "inside.double().mean(1)",
         "a map of zeros would count as the signal's area"),
        ("auroc-ties", "(below + upto + 1).double() / 2", "(2 * below + 2).double() / 2", "ties would count against the signal"),
        ("auroc-least", "positives * (positives + 1) / 2", "positives * positives / 2", "the curve's area would be off"),
        ("leakage-one-more", "(~hits[:, :keep])", "(~hits[:, : keep + 1])", "one feature too many would count as top"),
        ("leakage-rank-from-zero", "hits.argmax(1) + 1", "hits.argmax(1)", "the best rank would be 0"),
        ("leakage-bottom-is-second", "hits[:, -1]", "hits[:, -2]", "the quality would be that of another feature"),
        ("leakage-flat-ties", "rank(scores.cpu(), first, seed, features)", "rank(scores.cpu(), 0, seed, features)",
         "ties would rest on the batch"),
    ),
    *faults("instruments/leakage/statistics.py", ["leakage/test_leakage_measures.py"],
        ("ratio-added", "(over / top - under / bottom)", "(over / top + under / bottom)",
         "what both share would widen the ratio's interval"),
        ("ratio-no-root", "/ np.sqrt(len(over))", "/ len(over)", "the ratio would seem surer than it is"),
    ),
    *faults("instruments/leakage/noise.py", ["leakage/test_sensitivity.py"],
        ("sensitivity-parts-swapped", "enumerate((signal, ~signal))", "enumerate((~signal, signal))",
         "a distracted classifier would be called focused"),
        ("sensitivity-mean-over-classes", "(noisy - clean).abs().sum(1)", "(noisy - clean).abs().mean(1)",
         "an L1 distance would shrink with the classes"),
    ),
    *faults("instruments/leakage/boxes.py", ["leakage/test_boxes.py"],
        ("box-one-row-more", "top:bottom, left:right", "top : bottom + 1, left:right", "a box would reach beyond its edge"),
        ("box-transposed", "mask[place, top:bottom, left:right]", "mask[place, left:right, top:bottom]", "boxes would be mirrored"),
    ),
    *faults("instruments/leakage/verdict.py", ["leakage/test_leakage.py"],
        ("leakage-half-of-chance", 'half = PART * row["chance"]', 'half = row["chance"]',
         "who does half as well as chance would stay"),
    ),
    # Alignment
    *faults("instruments/alignment/statistics.py", ["alignment/test_alignment_directions.py"],
        ("vanishing-holds-zero", "(magnitudes > 0) &", "(magnitudes >= 0) &", "maps of zeros would be counted twice"),
        ("vanishing-of-mean", "VANISHING * magnitudes.max()", "VANISHING * magnitudes.mean()",
         "few large maps would no longer dwarf the others"),
    ),
    *faults("instruments/alignment/similarities/_maps.py", ["alignment/test_similarities.py"],
        ("scaled-by-batch", "maps.abs().amax(dim=(1, 2, 3), keepdim=True)", "maps.abs().amax()",
         "a map's brightness would rest on its batch"),
        ("cosine-one-length", "torch.linalg.vector_norm(first, dim=1) * torch.linalg.vector_norm(second, dim=1)",
         "torch.linalg.vector_norm(first, dim=1) ** 2", "a cosine would leave [-1, 1]"),
    ),
    *faults("instruments/alignment/similarities/rank_correlation.py", ["alignment/test_similarities.py"],
        ("spearman-first-of-ties", "(first + last).double() / 2", "first.double()",
         "equal values would have unequal ranks' weight"),
        ("spearman-uncentred", "second - second.mean(1, keepdim=True))", "second)", "ranks would all correlate by their mean"),
    ),
    *faults("instruments/alignment/similarities/features.py", ["alignment/test_similarities.py"],
        ("features-silent", "for length in lengths) / 2", "for length in lengths)",
         "two silent activations would agree twice over"),
        ("features-range", "scaled(scores)]) + 1) / 2", "scaled(scores)]) + 1)", "the network would be shown images beyond white"),
    ),
    *faults("instruments/alignment/scores/bayes.py", ["alignment/test_alignment_exact.py"],
        ("bayes-swapped", "score(targets) - score(None)", "score(None) - score(targets)",
         "every Bayes-optimal classifier would point the wrong way"),
    ),
    *faults("instruments/alignment/measure.py", ["alignment/test_alignment_exact.py", "alignment/test_alignment_invariances.py"],
        ("alignment-control-is-noise", "batch.images + sigma * batch.noise", "batch.images + sigma * batch.random",
         "the random control would point where the score does"),
        ("alignment-order", "back = order.argsort().numpy()", "back = order.numpy()", "values would stand at other images"),
    ),
    *faults("instruments/alignment/verdict.py", ["alignment/test_alignment_verdict.py"],
        ("alignment-uncorrected", '1 - (1 - CONFIDENCE) / len(settings["sigma"])', "CONFIDENCE",
         "the best of many sigmas would be believed"),
        ("alignment-easier-control", "(min(ends) for ends in", "(max(ends) for ends in", "beating one control would do"),
        ("alignment-room", "room = 1 - float(chance.mean())", "room = 1 + float(chance.mean())",
         "the way from chance to 1 would be misjudged"),
        ("alignment-edges-unpaired", "if mean_interval(own - edges)[1] <= 0:",
         "if mean_interval(own)[1] <= mean_interval(edges)[2]:",
         "gradients surely nearer than edges would be called no nearer"),
    ),
    # The diffusion behind it
    *faults("diffusion/denoiser.py", ["diffusion/test_denoiser.py", "diffusion/test_mixture.py"],
        ("score-by-deviation", "deviations(sigma, noisy).square()[:, None, None, None]",
         "deviations(sigma, noisy)[:, None, None, None]", "scores would have the wrong scale at every sigma"),
    ),
    *faults("diffusion/samplers/heun.py", ["diffusion/test_samplers.py"],
        ("heun-first-order", "(following - raised) * (slope + again) / 2", "(following - raised) * slope",
         "the method would be Euler's at twice the price"),
        ("heun-churn", "sqrt(raised**2 - sigma**2)", "(raised - sigma)",
         "the noise that is added would be less than what the denoiser is told"),
    ),
    *faults("diffusion/samplers/dpm2.py", ["diffusion/test_samplers.py"],
        ("dpm2-middle", "middle = sqrt(sigma * following)", "middle = (sigma + following) / 2",
         "the middle would not be that of log sigma"),
    ),
    *faults("diffusion/preconditioning.py", ["diffusion/test_preconditioning.py"],
        ("preconditioning-skip", "self.sigma_data**2 / total, self", "deep.square() / total, self",
         "noise would be passed on and images dropped"),
        ("preconditioning-width", "x, sigma = 2 * noisy - 1, 2 * sigma", "x, sigma = 2 * noisy - 1, sigma",
         "the noise would be half of what the network is told"),
    ),
    *faults("diffusion/objective.py", ["diffusion/test_denoising_objective.py"],
        ("objective-weight", "/ (sigma * model.sigma_data).square()", "/ (sigma * model.sigma_data)",
         "loud noise would weigh too much in training"),
    ),
    *faults("diffusion/mixture.py", ["diffusion/test_mixture.py"],
        ("mixture-volume", "few * near.log() + rest * far.log()", "rest * near.log() + few * far.log()",
         "the oracle's density would not be one"),
        ("mixture-farthest", "self._joint(x, 0.0).argmax(dim=1)", "self._joint(x, 0.0).argmin(dim=1)",
         "tangent spaces would be those of the unlikeliest component"),
        ("mixture-tweedie", "along * (self.spread**2 / near)", "along * (self.spread / near.sqrt())",
         "the oracle would not be the posterior mean"),
    ),
    *faults("noise.py", ["attributions/test_controls.py"],
        ("noise-seed-ignored", 'key=f"{seed}{purpose}".encode()', 'key=b"0"', "no seed would move any image's noise"),
    ),
    # Counterfactuals: the cone
    *faults("instruments/counterfactual/guidance/cone.py", ["counterfactual/test_cone.py"],
        ("cone-radians", "turn = math.radians(degrees)", "turn = degrees", "30 degrees would be 30 radians"),
        ("cone-sine-for-cosine", "math.cos(turn) * axis + math.sin(turn) * sideways",
         "math.sin(turn) * axis + math.cos(turn) * sideways", "a narrow cone would be a wide one"),
        ("cone-not-orthogonal", "across = helper - along(_products(helper, axis), axis) * axis", "across = helper - axis",
         "directions would leave the cone"),
        ("cone-half-angle", "2 * torch.atan2(lengths(one - other)", "torch.atan2(lengths(one - other)",
         "angles would be half of what they are"),
        ("cone-inside-swapped", 'helper if inside == "robust" else axis', 'axis if inside == "robust" else helper',
         "the paper's way and its code's would change places"),
        ("cone-opposite", "angles(explained, robust) <= max(degrees", "angles(explained, robust) >= max(degrees",
         "what is within would be turned and what is outside followed"),
        ("cone-of-zero", "along(lengths(axis) > 0, axis)", "along(lengths(helper) > 0, axis)",
         "a helper alone would explain another classifier"),
    ),
    *faults("instruments/counterfactual/guidance/vectors.py", ["counterfactual/test_cone.py", "counterfactual/test_guided_step.py"],
        ("length-of-batch", "torch.linalg.vector_norm(vectors.detach().double().flatten(1), dim=1)",
         "torch.linalg.vector_norm(vectors.detach().double()).expand(len(vectors))", "an image's step would rest on its batch"),
        ("length-in-single", "vectors.detach().double().flatten(1)", "vectors.detach().flatten(1)",
         "small gradients would count as zero"),
    ),
    *faults("instruments/counterfactual/guidance/adaptive.py",
        ["counterfactual/test_guided_step.py", "counterfactual/test_tangent_guidance.py"],
        ("tangent-after-rescaling", "pull.joined(found.carried(point.back), point.noise, None",
         "pull.joined(found, point.noise, None",
         "the pull along the manifold would be shorter than the strengths say"),
        ("tangent-joined-off", "return point.back(joined), diagnostics", "return joined, diagnostics",
         "pixels that agree would take the pull off the manifold"),
        ("inner-steps-in-place", "images + point.reach * self.problem", "images + 0 * self.problem",
         "every inner step would have the same gradient"),
        ("dvce-away-from-original", "followed - self.distance_strength * unit(found.distance)",
         "followed + self.distance_strength * unit(found.distance)", "counterfactuals would flee their original"),
        ("dvce-norm-power", "** (self.p - 1)\n        return gradient", "** self.p\n        return gradient",
         "the distance's gradient would be that of another norm"),
        ("dvce-noise-length", "along(lengths(noise).to(noise), noise) * pull",
         "along(lengths(found.explained).to(noise), noise) * pull", "strengths would no longer be shares of the noise"),
    ),
    *faults("instruments/counterfactual/guidance/repulsion.py", ["counterfactual/test_repelled_sets.py"],
        ("repelled-by-the-farthest", "distances.argmin(dim=1)", "distances.argmax(dim=1)",
         "a third counterfactual would come to lie on the second"),
        ("repelled-towards", "images[:, None] - problem.found", "problem.found - images[:, None]",
         "a set would be one image over and over"),
    ),
    *faults("instruments/counterfactual/guidance/samplers/ddpm.py", ["counterfactual/test_guided_step.py"],
        ("ddpm-variance-swapped", "large * (1 - following.keep) / (1 - level.keep)",
         "large * (1 - level.keep) / (1 - following.keep)", "beta-tilde would exceed beta"),
        ("ddpm-pull-by-deviation", "+ spread * step.pull + spread**0.5", "+ spread**0.5 * step.pull + spread**0.5",
         "guidance would not be that of a score"),
    ),
    *faults("instruments/counterfactual/guidance/samplers/ddim.py", ["counterfactual/test_guided_step.py"],
        ("ddim-pull-sign", "step.noise - level.spread * step.pull", "step.noise + level.spread * step.pull",
         "guidance would push away from the target"),
    ),
    *faults("instruments/counterfactual/guidance/samplers/second_order.py", ["counterfactual/test_guided_step.py"],
        ("second-order-ratio", "stride / (2 * before[1])", "stride / before[1]", "the correction would be twice as large"),
    ),
    *faults("instruments/counterfactual/guidance/process.py", ["counterfactual/test_guided_step.py"],
        ("process-width", "level.spread / level.signal / self.pixels.width", "level.spread / level.signal",
         "a denoiser of images in [0, 1] would be told twice the noise"),
        ("process-start", "max(1, round(steps * start))", "max(1, round(steps * (1 - start)))",
         "the walk would begin from the other share of the noise"),
    ),
    *faults("instruments/counterfactual/guidance/blended.py", ["counterfactual/test_blended.py"],
        ("blended-sign", "self.class_strength * towards - away", "self.class_strength * towards + away",
         "images would flee their original"),
        ("blended-range", "2 * (images - images.clamp(0, 1))", "2 * images.clamp(0, 1)",
         "bright pixels would be punished, not those outside the range"),
    ),
    # Against another classifier
    *faults("instruments/counterfactual/problem.py", ["counterfactual/test_against.py"],
        ("against-forgotten", "log_probabilities(images, views).sum(dim=1)", "log_probabilities(images, views)[:, 0]",
         "the other classifier would be held to nothing"),
        ("against-target", "target_log_probability(self.against.classifier, images, classes)",
         "target_log_probability(self.against.classifier, images, self.targets.repeat_interleave(views))",
         "the other classifier would be pulled to the target too"),
    ),
    *faults("instruments/counterfactual/measures/validity.py", ["counterfactual/test_against.py"],
        ("against-flip", 'reached & told["kept"]', "reached", "agreement on the target would count as disagreement"),
    ),
    *faults("instruments/counterfactual/measures/agreement.py", ["counterfactual/test_against.py"],
        ("against-sides", "== evidence.against.classes", "!= evidence.against.classes", "oracles would side with the wrong one"),
    ),
    # Frank-Wolfe and Auto-PGD
    # Fidelity
    *faults("instruments/fidelity/finetuning.py", ["fidelity/test_finetuning.py"],
        ("copy-is-the-classifier", "copy.deepcopy(self.classifier)", "self.classifier", "the audited classifier would be changed"),
        ("copy-sees-kept-filled", "self.fill(images, ~removed)", "self.fill(images, removed)",
         "what is to be removed would be kept"),
        ("copy-beyond-stated", "(most * torch.rand(count)", "(torch.rand(count)", "more than the stated share would be removed"),
        ("copy-single-pixels", "math.log(largest)).round()", "0.0).round()", "only single pixels would be removed"),
    ),
    *faults("instruments/fidelity/audit.py", ["fidelity/test_finetuning.py", "fidelity/test_controls.py"],
        ("copy-not-asked", "replace(subject, classifier=copies[name]) if copies else subject", "subject",
         "the classifier would be asked in the copy's place"),
        ("copy-not-asked-of-patches", "_drops(asked[name], fill", "_drops(subject, fill",
         "single patches would be taken from the classifier, not from its copy"),
    ),
    *faults("instruments/fidelity/verdict.py", ["fidelity/test_controls.py"],
        ("untrained-only-if-used", 'label != USED and kind != "untrained"', "label != USED",
         "a map that an untrained network has as well would pass in silence"),
    ),
    *faults("instruments/counterfactual/frank_wolfe.py", ["counterfactual/test_linear_step.py"],
        ("wolfe-exponent", "logs = slopes.log() / (p - 1)", "logs = slopes.log() / p",
         "the step would not be the linear program's"),
        ("wolfe-spent", "spent = wanted.cumsum(dim=1) - wanted", "spent = wanted.cumsum(dim=1)",
         "the largest gradient would get nothing"),
        ("wolfe-smallest-first", "slopes.argsort(dim=1, descending=True, stable=True)", "slopes.argsort(dim=1, stable=True)",
         "the smallest gradients would be served first"),
        ("wolfe-bounds-swapped", "torch.where(slopes > 0, high", "torch.where(slopes < 0, high", "steps would leave the box"),
        ("wolfe-no-root", "- left) / p, reached)", "- left), reached)", "the radius would not be used up"),
        ("wolfe-units", "shares = bounds / radius", "shares = bounds", "bounds would be compared with a radius of 1"),
        ("wolfe-own-counted", "after = torch.cat([rest[:, 1:],", "after = torch.cat([rest[:, :-1],",
         "an entry would count twice at its breakpoint"),
    ),
    *faults("instruments/counterfactual/radius.py", ["counterfactual/test_svce.py", "counterfactual/test_apgd.py"],
        ("radius-power", "** (1 / p))", "** p)", "small images would change more or less than the published ones"),
    ),
    *faults("instruments/counterfactual/ascent.py", ["counterfactual/test_svce.py", "counterfactual/test_apgd.py"],
        ("ascent-keeps-last", "better = self.value > self.best_value", "better = self.value > -math.inf",
         "the last point would be taken for the best"),
        ("ascent-checkpoints", "interval - 0.03, 0.06", "interval + 0.03, 0.06", "step sizes would be judged ever more rarely"),
        ("ascent-halves-good", "self.rises < RISING * self.since", "self.rises > RISING * self.since",
         "steps that do well would be halved"),
        ("ascent-momentum", "momentum * self.direction + (1 - momentum) * self.gradient",
         "(1 - momentum) * self.direction + momentum * self.gradient", "the running mean would forget at once"),
    ),
    *faults("instruments/counterfactual/measures/_frechet.py", ["counterfactual/test_measure_sets.py"],
        ("frechet-cross", "- 2 * cross", "- cross", "equal sets would have a distance"),
        ("frechet-ddof", "(len(features) - 1) ** 0.5", "len(features) ** 0.5", "small sets would seem nearer"),
    ),
    *faults("instruments/counterfactual/measures/cout.py", ["counterfactual/test_measures.py"],
        ("cout-least-first", "changes.argsort(dim=1, descending=True, stable=True)", "changes.argsort(dim=1, stable=True)",
         "pixels would enter from the least changed"),
    ),
    *faults("instruments/counterfactual/measures/closeness.py", ["counterfactual/test_measures.py"],
        ("closeness-no-root", ".sum(dim=1).pow(1 / p)", ".sum(dim=1)", "norms would be powers of norms"),
    ),
    *faults("instruments/counterfactual/measures/outside_mask.py", ["counterfactual/test_measures.py"],
        ("outside-is-inside", "changes * ~evidence.mask", "changes * evidence.mask",
         "changes of the signal would count as changes beside it"),
    ),
    # The trust radius
    *faults("instruments/trust_radius/surroundings.py", ["trust_radius/test_trust_radius_oracles.py"],
        ("trust-no-sigma", "sigma * start.along, start.rounding", "start.along, start.rounding",
         "what is foretold would not grow with the noise"),
        ("trust-deviation", "_signed(margins.values, sigma * ", "_signed(margins.values, ", "the noise's size would not count"),
        ("trust-mirrored", "images[:, None] - noise", "images[:, None] + noise",
         "a linear margin's mean would be off by its noise"),
        ("trust-ties", "torch.where(values >= 0,", "torch.where(values > 0,",
         "a constant classifier would be said to change its class"),
        ("trust-bound", "ndtr(-self.distance", "ndtr(self.distance", "the union bound would count what is sure"),
        ("trust-cosines", "unit = vectors / torch.where(lengths > 0, lengths, 1.0)",
         "unit = vectors / lengths.mean(dim=1, keepdim=True)", "correlations would depend on the lengths of gradients"),
    ),
    *faults("instruments/trust_radius/surroundings.py", ["trust_radius/test_trust_radius.py"],
        ("trust-nearest", "margins.values / margins.gradients.norm(dim=2)",
         "margins.values + 0 * margins.gradients.norm(dim=2)", "the rival of the smallest margin would pass for the nearest"),
        ("trust-unclamped", "share, 0.0).clamp(0, 1))", "share, 0.0))", "a gradient worse than none would outweigh all others"),
        ("trust-seed", "generators(images, self.seed), several", "generators(images, 0), several",
         "no seed would change the noise"),
        ("trust-elsewhere", "known[:, None]).all(dim=2)", "known[:, None]).any(dim=2)",
         "all copies would seem to end elsewhere"),
    ),
    *faults("instruments/trust_radius/statistics.py", ["trust_radius/test_trust_radius_oracles.py"],
        ("trust-monte-carlo", "kept * (1 - kept) / (copies - 1)", "kept * (1 - kept) / copies",
         "few copies would be held against an exact estimate"),
        ("trust-linear-scale", "(sigmas[place] / sigmas[place - 1]) ** share",
         "(1 + (sigmas[place] / sigmas[place - 1] - 1) * share)", "between two sigmas the radius would lie too far out"),
    ),
    *faults("instruments/trust_radius/result.py", ["trust_radius/test_trust_radius_oracles.py"],
        ("trust-own-half", 'found["kept"][:, 1 - one]', 'found["kept"][:, one]',
         "moments would share the noise of what judges them"),
    ),
    *faults("instruments/trust_radius/orthants.py", ["trust_radius/test_orthants.py"],
        ("orthant-no-shift", "bounds[:, place, None] - shift", "bounds[:, place, None] - 0 * shift",
         "all margins would pass for independent"),
        ("orthant-unscaled", "ndtr(room / np.where(deviation > 0, deviation, 1.0))", "ndtr(room)",
         "conditional deviations would all be 1"),
        ("orthant-degenerate", "certain = (room >= -DEGENERATE)", "certain = (room <= -DEGENERATE)",
         "what follows from others would be turned round"),
    ),

    # Tangent spaces and robustness along them
    *faults("diffusion/tangents/_bases.py", ["diffusion/test_tangents.py"],
        ("tangents-trailing", "basis @ turn[:, :, :dimensions]", "basis @ turn[:, :, -dimensions:]",
         "the directions that vary least would be kept"),
    ),
    *faults("diffusion/tangents/local_pca.py", ["diffusion/test_tangents.py"],
        ("pca-uncentred", "cloud = near - near.mean(dim=1, keepdim=True)", "cloud = near",
         "the first direction would be that of the mean image"),
        ("pca-centre-of-batch", "near.mean(dim=1, keepdim=True)", "near.mean(dim=(0, 1), keepdim=True)",
         "an image's tangent space would rest on its batch"),
        ("pca-distance", "- 2 * flat @ part.mT", "- flat @ part.mT", "dark images would be everybody's neighbours"),
        ("pca-copies", "exact.masked_fill(exact == 0, torch.inf)", "exact", "an image would be its own neighbour"),
    ),
    *faults("diffusion/tangents/denoiser_jacobian.py", ["diffusion/test_tangents.py"],
        ("jacobian-right-side", "torch.linalg.svd(jacobian.products(basis, transposed=True), full_matrices=False)",
         "torch.linalg.svd(jacobian.products(basis), full_matrices=False)",
         "the directions within the span would be those of another matrix"),
        ("jacobian-no-iteration", "for _ in range(iterations):\n        basis = _ortho",
         "for _ in range(iterations - 1):\n        basis = _ortho",
         "one pass fewer than asked would leave the leading directions mixed"),
    ),
    *faults("instruments/manifold_robustness/measure.py", ["manifold_robustness/test_changes_on_and_off.py"],
        ("off-is-all", "torch.stack([on, noise - on], dim=1)", "torch.stack([on, noise], dim=1)",
         "noise off the manifold would lie partly on it"),
        ("noise-length-of-batch", "torch.linalg.vector_norm(both, dim=2, keepdim=True)",
         "torch.linalg.vector_norm(both, dim=(0, 2), keepdim=True)", "an image's noise would shrink with its batch"),
        ("explained-no-square", "way).square().sum(dim=1)", "way).abs().sum(dim=1)", "a share would be no share"),
        ("changes-sum", "return total / samples", "return total", "changes would grow with the draws"),
    ),
    *faults("instruments/manifold_robustness/statistics.py", ["manifold_robustness/test_changes_on_and_off.py"],
        ("ratio-upside-down", "np.log(on) - np.log(off)", "np.log(off) - np.log(on)", "on over off would be off over on"),
        ("ratio-sum-of-logs", "logs.mean(axis=0)", "logs.sum(axis=0)", "the geometric mean over radii would be a product"),
        ("bootstrap-ends", "[tail, 1 - tail], axis=1", "[2 * tail, 1 - 2 * tail], axis=1", "95 % would be 90 %"),
    ),
    # Projected gradient descent
    *faults("training/perturbations.py", ["training/test_perturbations.py", "objectives/test_pgd_restarts.py"],
        ("pgd-length-of-batch", "torch.linalg.vector_norm(delta, dim=(1, 2, 3), keepdim=True)", "torch.linalg.vector_norm(delta)",
         "an image's ball would rest on its batch"),
        ("pgd-to-the-surface", ".clamp_min(1e-12)).clamp_max(1)", ".clamp_min(1e-12))",
         "points inside the ball would be thrown to its surface"),
        ("pgd-out-of-box", ".add_(images).clamp_(0, 1)", ".add_(images)", "adversarial images would not be images"),
        ("pgd-step-size", "step = 2.5 * eps / steps if", "step = 2.5 * eps if", "every step would cross the ball"),
        ("pgd-descent", "ascent_direction(gradient, norm), alpha=step)", "ascent_direction(gradient, norm), alpha=-step)",
         "attacks would help the classifier"),
        ("pgd-start-near-centre", "radius ** (1 / prod(images.shape[1:]))", "radius", "random starts would crowd at the centre"),
        ("pgd-start-one-sided", ".mul_(2 * eps).sub_(eps)", ".mul_(eps)", "random starts would only brighten"),
        ("pgd-best-restart", "new_losses > losses[left]", "new_losses < losses[left]", "the weakest of the attacks would be kept"),
        ("pgd-restart-over-misled", "left = (~misled).nonzero()", "left = torch.ones_like(misled).nonzero()",
         "an attack that succeeded would be given up for a later one"),
        ("pgd-tiny-gradient", "gradient = gradient / gradient.abs().amax(", "gradient = gradient / torch.ones_like(gradient).amax(",
         "small gradients would vanish in their squares"),
        ("pgd-linf-as-l2", '    if norm == "linf":\n        return gradient.sign()',
         '    if norm == "none":\n        return gradient.sign()', "linf steps would be l2 steps"),
    ),
    # Objectives
    *faults("training/objectives/gradient_penalty.py", ["objectives/test_objective_oracles.py"],
        ("penalty-mean-of-all", "norm, power).sum() / len(images)", "norm, power).sum() / images.numel()",
         "the penalty would shrink with the pixels"),
        ("penalty-of-mean", "layers.input_gradient(values.sum())", "layers.input_gradient(values.mean())",
         "the penalty would shrink with the batch"),
        ("penalty-norm", "squares = flat.square().sum(dim=1)", "squares = flat.abs().sum(dim=1)", "the norm would be another one"),
        ("penalty-of-swapped", 'losses if of == "loss" else logits', 'losses if of == "logit" else logits',
         "loss and logit would change places"),
    ),
    *faults("training/objectives/noise_stability.py", ["objectives/test_objective_oracles.py"],
        ("stability-sum", "change.square().sum() / len(images)", "change.square().sum()", "the penalty would grow with the batch"),
        ("stability-held", "at_least_fp32(noisy) - at_least_fp32(logits)", "at_least_fp32(noisy) - at_least_fp32(logits).detach()",
         "only one side of the change would be trained"),
    ),
    *faults("instruments/alignment/transfer.py", ["alignment/test_transfer.py"],
        ("transfer-unchanged", "_sees(judge, changed, targets)", "_sees(judge, start, targets)",
         "the images would be judged as they were before"),
        ("transfer-own-class", "source.integers(1, classes)", "source.integers(0, classes)",
         "some images would climb towards the class that they show"),
    ),
    *faults("instruments/alignment/rows.py", ["alignment/test_transfer.py"],
        ("rows-older", 'settings.get("fixed_controls", (RANDOM,))', 'settings.get("fixed_controls", FIXED)',
         "results without edges could not be read"),
    ),
    *faults("classifiers/odds.py", ["objectives/test_score_alignment.py"],
        ("odds-with-own", "logits.scatter(1, own, -math.inf)", "logits", "the gradient would vanish where a probability saturates"),
    ),
    *faults("diffusion/objectives/score_alignment.py", ["objectives/test_score_alignment.py"],
        ("alignment-sign", "(1 - cosines).where", "(1 + cosines).where", "gradients would be turned away from the scores"),
        ("alignment-zero", "squares.where(~zero, 1.0).sqrt()", "squares.sqrt()", "a gradient of zeros would spoil the weights"),
    ),
    *faults("diffusion/objectives/_points.py", ["objectives/test_score_alignment.py"],
        ("alignment-label-first", "chances.scatter(1, labels[:, None], 2.0)", "chances",
         "the label's own gradient would be left out"),
        ("alignment-conditional", "score(denoiser, inputs, sigma, one) - whatever", "score(denoiser, inputs, sigma, one)",
         "the class's score would stand for the Bayes score"),
    ),
    *faults("training/objectives/trades.py", ["objectives/test_objective_oracles.py"],
        ("trades-divergence-swapped", "F.kl_div(there, here,", "F.kl_div(here, there,",
         "the divergence would be the other way round"),
        ("trades-sum", "_divergence(logits, classifier(neighbours)) / len(images)", "_divergence(logits, classifier(neighbours))",
         "the divergence would grow with the batch"),
        ("trades-from-image", "START * torch.randn_like(images)", "0 * torch.randn_like(images)",
         "the ascent would begin where there is no gradient"),
    ),
    *faults("training/objectives/noise.py", ["objectives/test_objective_oracles.py"],
        ("noise-clamped", "classifier(images + std * torch.randn_like(images))",
         "classifier((images + std * torch.randn_like(images)).clamp(0, 1))",
         "the certificate's noise would not be that of the training"),
    ),
    *faults("training/objectives/_activations.py", ["objectives/test_second_order.py"],
        ("silu-second", "s.mul(-2).add_(1)", "s.mul(-1).add_(1)", "the penalty's gradient would be wrong"),
        ("gelu-second", "square.neg_().add_(2)", "square.neg_().add_(1)", "the penalty's gradient would be wrong"),
        ("softplus-second", "value=-1).mul_(beta)", "value=-1)", "the penalty's gradient would be wrong but for beta 1"),
    ),
    *faults("instruments/costs.py", ["instruments/test_passes_of_maps.py"],
        ("passes-of-two", "(first - sum(rest) for first", "(first for first", "each map would cost as many passes as two"),
        ("passes-checked", "found.update(gradients=0, forwards=0)", "pass", "what is checked once would count for every image"),
        ("passes-either", 'given[0].requires_grad else "forwards"', 'given[0].requires_grad else "gradients"',
         "a pass forward would be taken for one there and back"),
    ),
    *faults("training/objectives/_batch_norm.py", ["objectives/test_second_order.py"],
        ("norm-weight", "to_weight = how.inverse * (products", "to_weight = (products", "the penalty's gradient would be wrong"),
        ("norm-deviation", "- scale / how.inverse * to_weight)", ")", "the deviation would be taken as fixed"),
        ("norm-mean", "- by_inputs * how.mean", "", "the penalty's gradient would be wrong but for a mean of 0"),
        ("norm-eps", "(variance + eps).rsqrt()", "variance.rsqrt()", "a classifier in evaluation mode would be another"),
    ),
    *faults("training/averaging.py", ["recipes/test_averaging.py"],
        ("average-share", "mean.lerp_(live, 1 - keep)", "mean.lerp_(live, keep)", "the average would follow the last step"),
    ),
    # Certificates and checks of attacks
    *faults("instruments/robustness/attacks/smoothing.py", ["robustness/test_smoothing.py"],
        ("certificate-two-sided", "beta.ppf(alpha, successes,", "beta.ppf(alpha / 2, successes,",
         "radii would be smaller than their confidence allows"),
        ("certificate-bound", "n - successes + 1))", "n - successes))", "certificates would be wrong more often than alpha"),
        ("certificate-without-sigma", "return sigma * float(norm.ppf(lower))", "return float(norm.ppf(lower))",
         "radii would not be in pixel values"),
        ("certificate-abstains", "if lower > 0.5 else 0.0", "if lower > 0.0 else 0.0", "radii would be below 0"),
        ("certificate-same-class-draws", "sigma, n0, source, batch_size).argmax()", "sigma, 1, source, batch_size).argmax()",
         "the class would be chosen by a single draw"),
    ),
    *faults("instruments/robustness/attacks/_counting.py", ["robustness/test_smoothing.py"],
        ("counting-variance", "image + sigma * noise[part]", "image + sigma**2 * noise[part]",
         "the noise's variance would be taken for its deviation"),
        ("counting-last-block", "(min(block, samples - start), *image.shape)", "(block, *image.shape)",
         "more draws than asked would be counted"),
    ),
    *faults("instruments/robustness/attacks/gaussian.py", ["robustness/test_smoothing.py", "robustness/test_robust_accuracy.py"],
        ("average-case-of-first", "source, batch_size)[own] / samples", "source, batch_size)[:1] / samples",
         "shares would be those of class 0"),
    ),
    *faults("instruments/robustness/attack_checks.py", ["robustness/test_attack_checks.py"],
        ("masking-any-zero", "gradient.flatten(1).abs().amax(dim=1) == 0", "gradient.flatten(1).abs().amin(dim=1) == 0",
         "one zero pixel would count as no gradient"),
        ("more-steps-kept", "(1 - _share_kept(outcomes, method, eps, standing, **twice))",
         "_share_kept(outcomes, method, eps, standing, **twice)", "images that stand would count as broken"),
    ),
    *faults("instruments/mask_recovery/measures.py", ["mask_recovery/test_mask_recovery_measures.py"],
        ("recovery-over-features", "start : start + step], axis=0)", "start : start + step], axis=1)",
         "where masks tend to lie would count as recovered"),
        ("recovery-nats", "/ masks.numel() / log(2)", "/ masks.numel()", "bits would be nats"),
    ),
)
# fmt: on

if __name__ == "__main__":
    sys.exit(main())
