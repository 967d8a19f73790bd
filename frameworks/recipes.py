"""Recipes as data: what each framework lets a recipe choose, and what it chooses on which device.

A recipe is written as a name with, where it is to differ, choices of its own after it: `tuned`, `tuned+compiler=none`.
Importing this imports no framework.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from frameworks.errors import InvalidConfiguration, UnknownName

RECIPES: Final[Mapping[str, str]] = {
    "default": "what the framework's documentation shows first",
    "compiled": "the framework's whole-graph compiler",
    "tuned": "the best settings known for the device; the network may be rewritten where mathematics allows",
}
Told = tuple[str, str]
"""A setting, and the reason for it."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Something that a recipe decides.

    values: what it may be, the plain one first; each as people are told of it, None where there is nothing to tell.
    number: how a whole number from 1 up is told, if that is a value too, `{}` in its place. device: the one on which it
    does anything; None: on every one.
    """

    values: Mapping[str, Told | None]
    number: Told | None = None
    device: str | None = None

    @property
    def plain(self) -> str:
        """What it is unless a recipe decides otherwise."""
        return next(iter(self.values))

    def takes(self, value: str) -> bool:
        """Whether it may have this value."""
        return value in self.values or bool(self.number and value.isascii() and value.isdigit() and int(value) > 0)

    def told(self, value: str) -> Told | None:
        """The setting and its reason."""
        if value in self.values or self.number is None:
            return self.values[value]
        return self.number[0].format(value), self.number[1]


@dataclass(frozen=True, slots=True)
class Recipe:
    """A recipe as a framework carries it out on a device: each setting with the reason for it.

    choices: what it decides, by name; empty where the implementation is not ours.
    """

    name: str
    settings: tuple[Told, ...]
    choices: Mapping[str, str] = field(default_factory=dict)


FOLDED: Final = ("batch norm folded into convolutions", "one pass over each activation less; exact in real arithmetic")
MEMORY: Final = Choice({
    "returned": None,
    "kept": (
        "memory kept by the allocator",
        "large arrays are not given back to the kernel, which would zero and map their pages anew in every step",
    ),
})  # fmt: skip
AUTOMATIC: Final = "automatic"
THREADS: Final = Choice({AUTOMATIC: None}, ("{} threads within an operation", "as asked"))
JIT: Final = ("jax.jit", "the whole graph through XLA, as the documentation's first page shows")

CHOICES: Final[Mapping[str, Mapping[str, Choice]]] = {
    "pytorch": {
        "gradients": Choice({"none": ("torch.inference_mode", "no autograd bookkeeping")}),
        "layout": Choice({
            "NCHW": ("NCHW", "as the documentation's first page shows"),
            "NHWC": (
                "channels-last memory format", "oneDNN's and cuDNN's convolutions run on it without reordering"
            ),
        }),
        "batch_norm": Choice({"kept": None, "folded": FOLDED}),
        "compiler": Choice({
            "none": ("eager", "as the documentation's first page shows"),
            "inductor": ("torch.compile(model)", "TorchInductor with its default options"),
            "frozen": (
                "torch.compile with freezing",
                "parameters are constants: they are laid out for oneDNN or cuDNN once, and what follows is fused",
            ),
        }),
        "autotuning": Choice({"off": None, "on": ("autotuning", "kernels are picked per shape by timing them")}),
        "graphs": Choice(
            {"off": None, "on": ("CUDA graphs", "a step is launched at once, not kernel by kernel")}, device="cuda"
        ),
        "memory": MEMORY,
        "threads": THREADS,
    },
    "tensorflow": {
        "batch_norm": Choice({"kept": None, "folded": FOLDED}),
        "graph": Choice({
            "traced": ("tf.function", "a graph, optimised by grappler, as the guide on performance begins"),
            "frozen": (
                "tf.function, its variables frozen into constants",
                "oneDNN lays constant kernels out once, and grappler fuses what follows a convolution",
            ),
            "xla": ("tf.function(jit_compile=True)", "the whole graph through XLA"),
        }),
        "images": Choice({
            "together": None,
            "halved": (
                "a batch's halves side by side",
                "a core that waits for one half can go on with the other; an odd batch stays whole",
            ),
        }),
        "memory": MEMORY,
        "threads": THREADS,
    },
    "jax": {
        "compiler": Choice({"xla": JIT}),
        "batch_norm": Choice({"kept": None, "folded": FOLDED}),
        "depthwise": Choice({
            "grouped": None,
            "shifted": (
                "depthwise as nine shifted multiply-adds", "XLA fuses them; its grouped convolution is slow on a CPU"
            ),
        }),
        "pointwise": Choice({
            "convolution": None,
            "product": (
                "pointwise as a matrix product", "leaves XLA a plain matrix product instead of a convolution"
            ),
        }),
        "unpadded": Choice({
            "plain": None,
            "cropped": (
                "convolutions without padding computed with it, and cropped",
                "XLA runs those that keep the size faster on a CPU",
            ),
        }),
        "strided": Choice({
            "plain": None,
            "columns": (
                "convolutions of stride 2 as a matrix product of the windows' columns",
                "XLA's convolutions with a stride are slower than its matrix product on a CPU",
            ),
        }),
        "pools": Choice({
            "windows": None,
            "shifted": (
                "pools as shifted maxima and sums", "XLA fuses them; its windowed reduction is slow on a CPU"
            ),
        }),
        "vectors": Choice({
            "automatic": None,
            "512": ("vectors of 512 bits", "XLA prefers half of them where it fuses loops, even with AVX-512"),
        }, device="cpu"),
        "memory": MEMORY,
        "threads": THREADS,
    },
}  # fmt: skip
"""Framework -> what a recipe may choose there."""

TUNED_ON_CPU: Final[Mapping[str, Mapping[str, str]]] = {
    "pytorch": {"layout": "NHWC", "batch_norm": "folded", "compiler": "frozen", "memory": "kept"},
    "tensorflow": {"batch_norm": "folded", "graph": "frozen", "images": "halved"},
    "jax": {
        "batch_norm": "folded", "depthwise": "shifted", "pointwise": "product", "unpadded": "cropped",
        "strided": "columns", "pools": "shifted", "memory": "kept",
    },
}  # fmt: skip
TUNED_ON_GPU: Final[Mapping[str, Mapping[str, str]]] = {
    "pytorch": {
        "layout": "NHWC", "batch_norm": "folded", "compiler": "frozen", "autotuning": "on", "graphs": "on",
    },
    "tensorflow": {"batch_norm": "folded"},
    "jax": {"batch_norm": "folded"},
}  # fmt: skip
COMPILED: Final[Mapping[str, Mapping[str, str]]] = {
    "pytorch": {"compiler": "inductor"}, "tensorflow": {"graph": "xla"}, "jax": {},
}  # fmt: skip


def recipe(framework: str, text: str, device: str) -> Recipe:
    """A recipe as it is written. Raises UnknownName for its name or a choice, InvalidConfiguration for a value."""
    name, *parts = text.split("+")
    if name not in RECIPES:
        raise UnknownName("recipe", name, RECIPES)
    known = CHOICES[framework]
    tuned = TUNED_ON_CPU if device == "cpu" else TUNED_ON_GPU
    chosen = {"default": {}, "compiled": COMPILED[framework], "tuned": tuned[framework]}[name]
    choices = {choice: known[choice].plain for choice in known} | dict(chosen) | dict(_own(framework, text, parts))
    _check_together(framework, text, choices, device)
    told = (known[choice].told(value) for choice, value in choices.items())
    return Recipe(text, tuple(setting for setting in told if setting), choices)


def written(framework: str, choices: Mapping[str, str]) -> str:
    """The recipe with these choices, whatever `tuned` may choose: `default` with each that is not the plain one."""
    known = CHOICES[framework]
    parts = [f"{name}={value}" for name, value in choices.items() if value != known[name].plain]
    return "+".join(["default", *parts])


def open_choices(framework: str, device: str, threads: Sequence[int] = ()) -> Mapping[str, tuple[str, ...]]:
    """What can be chosen on a device: each choice with its values. threads: the numbers of them to choose from."""
    found = {
        name: (*choice.values, *(map(str, threads) if choice.number else ()))
        for name, choice in CHOICES[framework].items() if choice.device in (None, device)
    }  # fmt: skip
    return {name: values for name, values in found.items() if len(values) > 1}


def _check_together(framework: str, text: str, choices: Mapping[str, str], device: str) -> None:
    """In eager mode TorchInductor's CUDA graphs and, on a CPU, its autotuning would be told and not carried out."""
    if choices.get("compiler") != "none":
        return
    for name in ("graphs", "autotuning"):
        if choices[name] == "on" and (name == "graphs" or device == "cpu"):
            why = f"{name} is 'on' where compiler is 'none', expected a compiler beside it"
            raise InvalidConfiguration(f"recipe '{text}' in {framework}: {why}")


def _own(framework: str, text: str, parts: list[str]) -> Iterator[tuple[str, str]]:
    known = CHOICES[framework]
    for part in parts:
        choice, equals, value = part.partition("=")
        if choice not in known:
            raise UnknownName(f"choice of a recipe in {framework}", choice, known)
        if not equals or not known[choice].takes(value):
            values = [*known[choice].values, *(["a whole number from 1 up"] if known[choice].number else [])]
            raise InvalidConfiguration(
                f"recipe '{text}' in {framework}: {choice} is '{value}', expected one of {', '.join(values)}"
            )
        yield choice, value
