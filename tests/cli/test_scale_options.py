"""`--store`, `--backend` and `--address` of the commands that train many networks."""

import pytest

from gradaudit.cli import main
from gradaudit.cli._options import backend_of
from gradaudit.errors import InputError

COMMANDS = {
    "diffroar": ["zoo:mnist/standard", "mnist5k", "--out", "out"],
    "mask-recovery": ["zoo:mnist/standard", "mnist5k", "--out", "out"],
    "sweep": ["mnist5k", "--denoiser", "zoo:mnist", "--family", "noise=0.1", "--out", "out"],
    "audit": ["zoo:mnist/standard", "--data", "mnist5k", "--preset", "quick", "--out", "out"],
}


def test_an_address_is_an_option_of_the_backend():
    assert str(backend_of("ray(gpus=0.25)", "10.0.0.1:6379")) == "ray(address='10.0.0.1:6379', gpus=0.25)"
    assert str(backend_of("local", None)) == "local"
    with pytest.raises(InputError, match=r"^`--backend`"):
        backend_of("ray(", None)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--backend", "raay"], "`backend` (='raay') must be the name of a backend"),
        (["--address", "auto"], "`backend` (='local(address=auto)') must be given options that local has"),
        (["--store", "nothing://there"], "`store` (='nothing://there') must be"),
    ],
)
def test_bad_places_are_refused_before_any_work(command, options, expected, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRADAUDIT_STORE", str(tmp_path / "store"))
    with pytest.raises(SystemExit) as ended:
        main([command, *COMMANDS[command], "--train-images", "60", "--test-images", "20", *options])
    assert ended.value.code != 0
    assert expected in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.rglob("*.json"))
