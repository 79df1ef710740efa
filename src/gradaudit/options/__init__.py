"""Options declared once: default, what values they take, what they are for.

The options of an instrument are a frozen dataclass, an `Options`. From it come the keyword arguments of the Python function and
their documentation, the options of the command, the keys of an audit's TOML section, their JSON Schema, and the reference in the
docs.
"""

from gradaudit.options.declared import Option, Options, declared, option, option_schema, takes
from gradaudit.options.forms import (
    Anything,
    Bytes,
    Choice,
    Choices,
    File,
    Files,
    Flag,
    Form,
    Names,
    Number,
    Numbers,
    Spec,
    SpecList,
    Specs,
    Whole,
    WholeOr,
    Wholes,
)

__all__ = [
    "Anything",
    "Bytes",
    "Choice",
    "Choices",
    "File",
    "Files",
    "Flag",
    "Form",
    "Names",
    "Number",
    "Numbers",
    "Option",
    "Options",
    "Spec",
    "SpecList",
    "Specs",
    "Whole",
    "WholeOr",
    "Wholes",
    "declared",
    "option",
    "option_schema",
    "takes",
]
