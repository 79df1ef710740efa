"""Errors say which argument, what it was and what was expected, and survive the way back from a worker."""

import pickle

import numpy as np
import pytest
import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from gradaudit.errors import InputError, MissingExtraError, StoreError, TrainingError, invalid, require, require_whole


def test_the_message_has_argument_value_and_expectation():
    error = InputError("levels", 1.5, "between 0 and 1")
    assert str(error) == "`levels` (=1.5) must be between 0 and 1"
    assert error.argument == "levels"
    assert str(error.within("diffroar")) == "`diffroar.levels` (=1.5) must be between 0 and 1"
    assert error.within("diffroar").argument == "diffroar.levels"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (torch.zeros(2, 3), "Tensor of shape (2, 3), torch.float32"),
        (np.zeros((4, 1), dtype=np.uint8), "ndarray of shape (4, 1), uint8"),
        (torch.tensor(3), "tensor(3)"),
        ("x" * 250 + "y" * 250, "'" + "x" * 97 + "..." + "y" * 97 + "'"),
    ],
)
def test_a_large_value_is_shown_short(value, shown):
    assert str(InputError("x", value, "small")) == f"`x` (={shown}) must be small"


def test_require_raises_only_where_the_condition_fails():
    require(True, "x", 1, "anything")
    with pytest.raises(InputError, match=r"`x` \(=1\) must be 2"):
        require(False, "x", 1, "2")


@pytest.mark.parametrize(
    "error",
    [
        InputError("eps", torch.zeros(1000), "a number"),
        MissingExtraError("timm", "timm", "a timm network"),
        TrainingError("diverged"),
        StoreError(28, "cannot write x: No space left on device"),
    ],
)
def test_an_error_comes_back_from_a_worker_as_it_was(error):
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is type(error)
    assert str(back) == str(error)
    assert back.__dict__ == error.__dict__


def test_a_missing_package_is_named_with_the_command_that_installs_it():
    message = str(MissingExtraError("timm", "vision", "the name timm:resnet18"))
    assert message == "the name timm:resnet18 needs the package `timm`: pip install 'gradaudit[vision]'"


class Cake(BaseModel):
    model_config = ConfigDict(extra="forbid")

    layers: int = Field(2, ge=1)
    icing: str = "none"

    @field_validator("icing")
    @classmethod
    def _icing(cls, value):
        require(value != "mud", "icing", value, "edible")
        return value

    @model_validator(mode="after")
    def _stands(self):
        if self.layers > 9:
            raise ValueError("too tall")
        return self


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"layers": 0}, "`layers` (=0) must be greater than or equal to 1"),
        ({"icing": "mud"}, "`icing` (='mud') must be edible"),
        ({"cherries": 3}, "`cherries` (=3) must be left out: a cake has only layers, icing"),
        ({"layers": 10}, "`a cake` (={'layers': 10}) must be Value error, too tall"),
    ],
)
def test_what_pydantic_refuses_reads_like_the_rest(fields, message):
    with pytest.raises(ValidationError) as caught:
        Cake(**fields)
    found = invalid(caught.value, "a cake", Cake.model_fields)
    assert isinstance(found, InputError)
    assert str(found) == message


@pytest.mark.parametrize("value", [1, 7, np.uint8(3), np.int64(7)])
def test_whole_numbers_within_their_bounds_are_taken_whatever_their_type(value):
    require_whole("steps", value, 1, 7)


@pytest.mark.parametrize("value", [0, 8, True, np.True_, 2.0, "2", None, [2]])
def test_other_values_are_no_whole_numbers_within_the_bounds(value):
    with pytest.raises(InputError, match=r"`steps` .* must be a whole number from 1 to 7$"):
        require_whole("steps", value, 1, 7)


def test_without_a_largest_value_the_least_one_is_told():
    require_whole("seed", 2**64)
    with pytest.raises(InputError, match=r"must be a whole number, 0 or more$"):
        require_whole("seed", -1)
