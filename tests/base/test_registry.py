"""Specs: text and back; functions found by name, their options bound; errors that help."""

import functools
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradaudit import registry as registry_module
from gradaudit.errors import InputError
from gradaudit.registry import Registry, Spec, carried, carry, imported, options_of, parse_spec

PACKAGE = {
    "__init__.py": "",
    "blur.py": 'def blur(x, *, width=3, mode="edge"):\n    """A blurred image.\n\n    More."""\n    return x, width, mode\n',
    "any_option.py": "def any_option(image, **options):\n    return image, options\n",
    "plain.py": "def plain(image):\n    return image\n",
    "_hidden.py": "def _hidden(image):\n    return image\n",
}
OWN = "size = 3\ndef own(image, *, depth, width=3):\n    return image, depth, width\nclass Room:\n    door = staticmethod(own)\n"


@pytest.fixture
def registry(tmp_path, monkeypatch):
    name = f"filters_{tmp_path.name}".replace("-", "_")
    (tmp_path / name).mkdir()
    for file, text in PACKAGE.items():
        (tmp_path / name / file).write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    return Registry(name, "filter")


# Specs


names = st.from_regex(r"[a-z][a-z0-9_]{0,6}(-[a-z0-9]+)?(:[a-z]+)?", fullmatch=True)
keys = st.from_regex(r"[a-z][a-z0-9_]{0,6}", fullmatch=True)
words = st.text(max_size=8) | st.sampled_from(
    ["none", "None", "true", "True", "if", "lambda", "ﬁne", "inf", "l2", "a,b", "x)", "'"]
)
atoms = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | words
values = st.recursive(
    atoms, lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(words, inner, max_size=2)
)


@given(
    names,
    st.dictionaries(keys.filter(lambda key: not __import__("keyword").iskeyword(key)), values, max_size=3),
    st.lists(values, max_size=2),
)
def test_a_spec_comes_back_from_its_text(name, options, positional):
    spec = Spec(name, options, tuple(positional))
    back = parse_spec("network", str(spec))
    assert back == spec
    assert str(back) == str(spec)
    # Equality forgives 1 == 1.0 == True; the text does not.
    assert repr(back.options) == repr({key: options[key] for key in sorted(options)})


@pytest.mark.parametrize(
    "word", ["if", "lambda", "None", "none", "True", "true", "false", "ﬁne", "inf", "", "8/255", "it's", "a\nb"]
)
def test_text_stays_text(word):
    assert parse_spec("network", str(Spec("a", {"b": word}))).options == {"b": word}


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("mlp", Spec("mlp")),
        (" mlp ", Spec("mlp")),
        ("mlp()", Spec("mlp")),
        ("mlp( width = 256 )", Spec("mlp", {"width": 256})),
        ("mlp(256, 3, act=silu)", Spec("mlp", {"act": "silu"}, (256, 3))),
        ("adversarial(norm=l2, eps=8/1)", None),
        (
            "a(b=true, c=false, d=True, e=None, f=none, g='true')",
            Spec("a", {"b": True, "c": False, "d": True, "e": None, "f": "none", "g": "true"}),
        ),
        ("a(b=-1e-3, c=[1, (2,)])", Spec("a", {"b": -1e-3, "c": [1, (2,)]})),
        ("my.module:make(width=3)", Spec("my.module:make", {"width": 3})),
    ],
)
def test_text_is_read(text, spec):
    if spec is None:
        with pytest.raises(InputError):
            parse_spec("network", text)
    else:
        assert parse_spec("network", text) == spec


def test_all_forms_of_a_spec_are_the_same():
    forms = ["mlp(width=256)", {"name": "mlp", "width": 256}, {"width": np.int64(256), "name": "mlp"}, Spec("mlp", {"width": 256})]
    assert {str(parse_spec("network", form)) for form in forms} == {"mlp(width=256)"}
    assert str(Spec("a", {"z": 1, "b": "x"})) == "a(b=x, z=1)"


def test_a_function_is_named_by_where_it_stands_and_keeps_its_bound_options(tmp_path, monkeypatch):
    (tmp_path / "mine_c.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    own, room = imported("filter", "mine_c:own"), imported("filter", "mine_c:Room")
    assert parse_spec("filter", own) == Spec("mine_c:own")
    assert parse_spec("filter", room) == Spec("mine_c:Room")
    assert str(parse_spec("filter", functools.partial(own, width=5))) == "mine_c:own(width=5)"


@pytest.mark.parametrize("unfindable", [lambda image: image, functools.partial(lambda image: image, 3)])
def test_a_function_that_nobody_finds_again_is_refused(unfindable):
    with pytest.raises(InputError, match=r"`filter` .* that stands in a module or a notebook's cell, not within another function"):
        parse_spec("filter", unfindable)


def test_what_another_process_carries_is_found_where_this_one_has_nothing_of_that_name(monkeypatch):
    monkeypatch.setattr(registry_module, "_CARRIED", {})
    monkeypatch.setattr(sys.modules["__main__"], "brought", len, raising=False)
    names = [Spec("__main__:brought"), Spec("mlp"), Spec("package:function")]
    assert carried(names) == {"__main__:brought": len}
    carry({"__main__:brought": max, "__main__:lacking": min})
    assert imported("filter", "__main__:brought") is len
    assert imported("filter", "__main__:lacking") is min


@pytest.mark.parametrize(
    "bad",
    [
        "mlp(",
        "mlp(width=",
        "mlp(width=3",
        "mlp(width=3))",
        "mlp(width=3) + 1",
        "mlp(3)(4)",
        "mlp(3).x(4)",
        "mlp(a=1, a=2)",
        "mlp(**{'a': 1})",
        "mlp(*[1])",
        "mlp(a=1; b)",
        "mlp(a=x.y)",
        "mlp(a={[]: 1})",
        "mlp(a=__import__('os'))",
    ],
)
def test_text_that_is_no_spec_names_the_argument(bad):
    with pytest.raises(InputError, match=r'`learner` .* must be written like "name\(option=value, ...\)"'):
        parse_spec("learner", bad)


@pytest.mark.parametrize("bad", ["", "  ", None, 3, ["mlp"], {"width": 3}, {"name": 3}])
def test_what_is_no_spec_at_all_names_the_argument(bad):
    with pytest.raises(InputError, match=r"`learner` .* must be a (name such as|mapping with)"):
        parse_spec("learner", bad)


# Registries


def test_names_are_the_public_modules(registry):
    assert registry.names() == ("any_option", "blur", "plain")
    assert registry.summary("blur") == "A blurred image."


def test_options_are_bound(registry):
    assert registry.bind("filter", "blur")("x") == ("x", 3, "edge")
    assert registry.bind("filter", "blur(width=5)")("x") == ("x", 5, "edge")
    assert registry.bind("filter", "blur(5, mode=wrap)")("x") == ("x", 5, "wrap")
    assert registry.bind("filter", {"name": "blur", "mode": "wrap"})("x") == ("x", 3, "wrap")
    assert registry.bind("filter", "any-option(a=1)")("x") == ("x", {"a": 1})


def test_defaults_go_only_where_they_are_known_and_not_given(registry):
    assert registry.bind("filter", "blur", width=9, seed=1)("x") == ("x", 9, "edge")
    assert registry.bind("filter", "blur(width=5)", width=9)("x") == ("x", 5, "edge")
    assert registry.bind("filter", "blur(5)", width=9)("x") == ("x", 5, "edge")
    assert registry.bind("filter", "plain", width=9)("x") == "x"


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("blurr", r"`filter` \(='blurr'\) must be the name of a filter: any_option, blur, plain \(did you mean 'blur'\?\)"),
        ("zzz", r"the name of a filter: any_option, blur, plain$"),
        ("_hidden", "the name of a filter"),
        ("__init__", "the name of a filter"),
        ("blur(depth=3)", r"`filter` \(='blur\(depth=3\)'\) must be given options that blur has: width=3, mode='edge'"),
        ("plain(depth=3)", "given options that plain has: none"),
        ("blur(1, 2, 3)", "given at most 2 options"),
        ("blur(1, width=2)", "given each option once; twice here: width"),
    ],
)
def test_errors_say_what_there_is(registry, spec, words):
    with pytest.raises(InputError, match=words):
        registry.bind("filter", spec)


def test_a_user_brings_a_function(registry, tmp_path, monkeypatch):
    (tmp_path / "mine_a.py").write_text(OWN)
    assert registry.bind("filter", "mine_a:own(depth=2)")("x") == ("x", 2, 3)
    assert registry.bind("filter", "mine_a:Room.door(depth=2)")("x") == ("x", 2, 3)
    with pytest.raises(InputError, match=r"given options that mine_a:own has: depth, width=3$"):
        registry.bind("filter", "mine_a:own(size=2)")
    with pytest.raises(InputError, match=r"`filter` \(='mine_a:size'\) must be a function"):
        registry.bind("filter", "mine_a:size")


def test_the_current_folder_is_searched(tmp_path, monkeypatch):
    (tmp_path / "mine_b.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path / "elsewhere")  # so that the path is put back afterwards
    monkeypatch.chdir(tmp_path)
    assert imported("learner", "mine_b:size") == 3


@pytest.mark.parametrize("path", ["no_such_module:f", "math:nothing", "math:", ":f", ".math:f", "math:pi.x", ":"])
def test_what_cannot_be_imported_names_the_argument(path):
    with pytest.raises(InputError, match=r"`learner` .* must be importable as package.module:function"):
        imported("learner", path)


def test_a_function_without_a_signature_has_no_options():
    assert options_of(dict) == {}
    assert Registry("gradaudit.training.objectives", "objective").bind("objective", "builtins:dict")() == {}


def test_words_may_have_hyphens():
    spec = parse_spec("null", "other(fashion-mnist, half=a-b-c)")
    assert spec == Spec("other", {"half": "a-b-c"}, ("fashion-mnist",))
    assert parse_spec("null", str(spec)) == spec
    with pytest.raises(InputError, match="null"):
        parse_spec("null", "other(a-1)")
