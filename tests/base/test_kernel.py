"""A real Jupyter kernel: what shows there, what reaches workers, what an interrupt leaves, and what an edited cell changes."""

import json
import queue
import re
import time
import warnings
from typing import NamedTuple

import pytest

manager = pytest.importorskip("jupyter_client.manager", reason="needs Jupyter: pip install 'gradaudit[dev]'")
pytest.importorskip("ipykernel", reason="needs Jupyter: pip install 'gradaudit[dev]'")

PATIENCE = 300  # seconds
IMAGES = """
import gradaudit as ga, torch
from torch import nn

train, test = (half[:80] for half in ga.load_images("mnist5k"))
store = "store"
SMALL = {"levels": (0.2,), "controls": ("random",), "gap": 0, "seeds": 3, "evaluator": ga.Recipe(network="mlp(width=8)", epochs=1)}
"""
NETWORK = """
class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(784, 16), nn.Linear(16, 10)

    def forward(self, images):
        return self.last(ACTIVATION(self.first(images.flatten(1))))

ACTIVATION = torch.relu
torch.manual_seed(0)
network = Network()
"""
ATTRIBUTION = """
POWER = 1

def size(gradient):
    return gradient.abs() ** POWER

def ours(classifier, images, targets):
    images = images.detach().requires_grad_()
    (gradient,) = torch.autograd.grad(classifier(images).gather(1, targets[:, None]).sum(), images)
    return size(gradient * images)
"""


class Shown(NamedTuple):
    """What a cell left: its outputs as a notebook keeps them, how many messages said so, and the error's name."""

    outputs: list[dict[str, str]]
    updates: int
    printed: dict[str, str]
    error: str

    @property
    def html(self):
        return "".join(one.get("text/html", "") for one in self.outputs)


class Kernel:
    """A kernel, asked cell by cell."""

    def __init__(self, folder):
        self.manager, self.client = manager.start_new_kernel(kernel_name="python3", cwd=str(folder))

    def run(self, code, *, interrupt_at=None):
        """Run a cell; interrupt the kernel as soon as something shows that holds these words."""
        asked, found = self.client.execute(code), []
        end, waiting = time.monotonic() + PATIENCE, interrupt_at
        while not found or found[-1]["content"].get("execution_state") != "idle":
            assert time.monotonic() < end, "it takes too long"
            try:
                message = self.client.get_iopub_msg(timeout=1)
            except queue.Empty:
                continue
            if message["parent_header"].get("msg_id") == asked:
                found.append(message)
                if waiting is not None and waiting in json.dumps(message["content"].get("data", {})):
                    self.manager.interrupt_kernel()
                    waiting = None
        return _shown(found)

    def value(self, expression):
        """What an expression's `repr` is in the kernel, as JSON; the cell must not fail."""
        shown = self.run(f"import json; print(json.dumps({expression}))")
        assert not shown.error
        return json.loads(shown.printed["stdout"])

    def end(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


def _shown(messages):
    outputs, places, printed, error, updates = [], {}, {}, "", 0
    for message in messages:
        kind, content = message["msg_type"], message["content"]
        mark = content.get("transient", {}).get("display_id")
        if kind in ("display_data", "execute_result"):
            places[mark] = len(outputs)
            outputs.append(content["data"])
        elif kind == "update_display_data":
            updates += 1
            outputs[places[mark]] = content["data"]
        elif kind == "stream":
            printed[content["name"]] = printed.get(content["name"], "") + content["text"]
        elif kind == "error":
            error = content["ename"]
    return Shown(outputs, updates, printed, error)


@pytest.fixture(scope="module", name="kernel")
def kernel_fixture(tmp_path_factory):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Jupyter's own libraries
        kernel = Kernel(tmp_path_factory.mktemp("kernel"))
        for code in (IMAGES, NETWORK, ATTRIBUTION):
            assert not kernel.run(code).error
        yield kernel
        kernel.end()


@pytest.mark.slow
def test_a_result_shows_verdict_table_and_figure_and_nothing_is_printed(kernel):
    shown = kernel.run("result = ga.fidelity(network, test[:20], attribution=ours, levels=(0.2,)); result")
    assert (shown.error, shown.printed, len(shown.outputs)) == ("", {}, 1)
    label = kernel.value("result.verdict.label")
    assert shown.html.startswith(f"<p><strong>{label}</strong>: ")
    assert shown.html.index("<table") < shown.html.index('<img alt="The figure of fidelity" src="data:image/')
    assert shown.outputs[0]["text/plain"] == f"FidelityResult({label}: {kernel.value('result.verdict.sentence')})"


@pytest.mark.slow
def test_an_audit_shows_its_answer_and_nothing_asks_for_widgets(kernel):
    left = ("diffroar", "counterfactual_differences", "counterfactual", "manifold_robustness", "robustness", "trust_radius")
    how = "preset='quick', denoiser=ga.load_denoiser('zoo:mnist'), store=store, workers=1"
    shown = kernel.run(f"audit = ga.audit({{'mine': network}}, train, test, {how}, options=dict.fromkeys({left}, False)); audit")
    assert (shown.error, shown.printed, len(shown.outputs)) == ("", {}, 1)
    label = kernel.value("audit.answer['mine'].label")
    assert f"<strong>mine: {label}</strong>" in shown.html
    assert shown.html.count("<summary>mine, ") == kernel.value("len(audit.results['mine'])") > 1


@pytest.mark.slow
def test_progress_is_one_line_that_is_updated_in_place(kernel):
    code = "from gradaudit.progress import progress\nimport time\nwith progress('training', 5000) as advance:\n"
    shown = kernel.run(code + "    for _ in range(5000):\n        advance(); time.sleep(0.0002)")
    assert (shown.error, shown.printed, len(shown.outputs)) == ("", {}, 1)
    assert re.fullmatch(r"training: 5000/5000, \d+\.\d s spent", shown.outputs[0]["text/plain"])
    assert shown.html.startswith('<progress max="5000" value="5000.0"></progress> training: 5000/5000, ')
    assert 2 <= shown.updates <= 50


@pytest.mark.slow
@pytest.mark.parametrize(
    "how",
    [
        "",
        "evaluate='retrain', learner=learner, conditional=False",
        "evaluate='retrain', learner=ga.Recipe(network=functools.partial(learner, width=4), objective=smoothed), conditional=False",
        "evaluate='retrain', learner='mlp(width=4)', fill=grey, conditional=False",
    ],
)
def test_what_is_defined_in_cells_gives_the_same_on_two_workers_bit_for_bit(kernel, how):
    defined = """
import functools, tempfile

def scaled(values):
    return values / 2

def learner(shape, classes, *, width=8):
    class Inner(nn.Sequential):
        def forward(self, images):
            return super().forward(scaled(images))
    return Inner(nn.Flatten(), nn.Linear(784, width), nn.ReLU(), nn.Linear(width, classes))

def smoothed(classifier, images, labels, *, amount=0.1):
    return nn.functional.cross_entropy(classifier(images), labels, label_smoothing=amount)

def grey(kept, mask):
    return torch.full_like(kept, 0.5)
"""
    assert not kernel.run(defined).error
    run = f"ga.diffroar(network, train, test, attribution=ours, workers=%d, store=tempfile.mkdtemp(dir='.'), **SMALL, {how})"
    shown = kernel.run(f"one, two = {run % 1}, {run % 2}")
    assert (shown.error, shown.printed) == ("", {})
    assert kernel.value("one.table.equals(two.table)")
    assert kernel.value("one.to_json() == two.to_json()")


@pytest.mark.slow
def test_what_was_edited_in_a_cell_is_measured_anew_and_nothing_else(kernel):
    audit = "ga.audit(network, train, test[:40], preset='quick', store=store, options=OPTIONS)"
    left = ("diffroar", "counterfactual_differences", "counterfactual", "manifold_robustness", "robustness", "leakage", "contrast")
    kernel.run(f"OPTIONS = {{**dict.fromkeys({left}, False), 'fidelity': {{'attribution': ours}}}}")

    def scores():
        assert not kernel.run(f"found = {audit}.results['classifier']").error
        return [kernel.value(f"found[{kind!r}].to_json()['table']") for kind in ("trust_radius", "fidelity")]

    first = scores()
    kernel.run(ATTRIBUTION)  # the same again
    kernel.run("OPTIONS['fidelity'] = {'attribution': ours}")
    assert scores() == first
    kernel.run("def size(gradient):\n    return -1 / (1 + gradient.abs())")  # which only `ours` calls
    second = scores()
    assert second[0] == first[0]
    assert second[1] != first[1]
    kernel.run(NETWORK.replace("torch.relu", "torch.tanh"))
    third = scores()
    assert third[0] != first[0]
    kernel.run(NETWORK)


@pytest.mark.slow
def test_an_interrupt_ends_workers_and_keeps_what_was_finished(kernel):
    kernel.run("SLOW = {**SMALL, 'seeds': 6, 'evaluator': ga.named_recipe('evaluators/convnet', epochs=8), 'store': 'interrupted'}")
    run = "result = ga.diffroar(network, train, test, attribution=ours, workers=2, show_progress=True, **SLOW)"
    shown = kernel.run(run, interrupt_at="training evaluators: ")
    assert (shown.error, shown.printed.keys()) == ("KeyboardInterrupt", {"stdout"})
    assert shown.printed["stdout"].startswith("DiffROAR: 6 networks to train with 2 workers")
    kernel.run("import psutil")
    commands = kernel.value("[' '.join(one.cmdline()) for one in psutil.Process().children()]")
    assert [command for command in commands if "loky.backend.popen" in command] == []
    again = kernel.run(run)
    assert again.error == ""
    assert re.match(r"DiffROAR: 6 networks to train \([1-5] already in the store\)", again.printed["stdout"]), again.printed
    assert kernel.value("len(result.table)") == 2 * 6
