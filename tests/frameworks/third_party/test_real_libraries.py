"""The installed torchvision and timm, in the environment that `make third-party` creates, with our weights.

Each network is compared in the form that computes the library's function: with its padding, its average over the border
and its epsilon. How the library's model differs from our other variants is in tests/frameworks/third_party/
test_torch_modules.py, which needs no library.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from frameworks.api import THIRD_PARTY
from frameworks.third_party import timm, torchvision
from tests.cli.command import xibench
from xibench.analysis.checks import relative_error
from xibench.analysis.verify_workers import Workers
from xibench.workers import session
from xibench.workers.messages import ForwardPass

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        session.interpreters()["pytorch"] == "parent", reason="`make third-party` installs torchvision and timm"
    ),
]
LIBRARIES: Final = {"torchvision": torchvision.MODELS, "timm": timm.MODELS}
SAME_FUNCTION: Final = [
    (library, model, known.variant) for library, models in LIBRARIES.items() for model, known in models.items()
]
RESOLUTION: Final = 128
TOLERANCE: Final = 1e-5


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    with Workers(("pytorch", *LIBRARIES), tmp_path_factory.mktemp("real")) as started:
        yield started
        assert not started.missing


@pytest.mark.parametrize(("library", "model", "variant"), SAME_FUNCTION)
def test_the_library_computes_our_network_with_our_weights(
    library: str, model: str, variant: str, workers: Workers
) -> None:
    size = 224 if model == "vgg16" else RESOLUTION  # the shape of a dense layer follows from the size of an image
    job = ForwardPass(model=model, variant=variant, resolution=size, precision="fp32", recipe="default")
    arrays = workers.ask(("pytorch", library), job)
    assert relative_error(arrays[library]["head"], arrays["pytorch"]["head"]) < TOLERANCE


@pytest.mark.parametrize(("library", "model"), [("torchvision", "inception_v3"), ("timm", "xception")])
def test_the_compiled_channels_last_model_computes_the_same(library: str, model: str, workers: Workers) -> None:
    variant = LIBRARIES[library][model].variant
    job = ForwardPass(model=model, variant=variant, resolution=RESOLUTION, precision="fp32", recipe="tuned")
    plain = ForwardPass(model=model, variant=variant, resolution=RESOLUTION, precision="fp32", recipe="default")
    arrays, right = workers.ask((library,), job), workers.ask(("pytorch",), plain)
    assert relative_error(arrays[library]["head"], right["pytorch"]["head"]) < TOLERANCE


def test_a_run_measures_the_libraries_in_their_environment_and_records_their_versions(tmp_path: Path) -> None:
    brief = ("--images", "noise", "--no-ceilings", "--repeats", "0", "--min-steps", "2", "--budget", "0.1", "--json")
    case = ("-f", ",".join(("pytorch", *LIBRARIES)), "-m", "inception_v3", "--variant", "torchvision", "--batch", "1")
    done = xibench("run", *case, "--resolution", str(RESOLUTION), "--device", "cpu", *brief, cwd=tmp_path)
    shown = json.loads(done.stdout)
    assert {r["case"]["framework"]: r["status"] for r in shown["records"]} == dict.fromkeys(
        ("pytorch", *LIBRARIES), "ok"
    ), done.stderr
    assert all(not r["substitutions"] for r in shown["records"]), "the variant computes the same function"
    assert shown["environment"]["interpreters"]["pytorch"] == ".venvs/pytorch"
    versions = {r["case"]["framework"]: r["versions"] for r in shown["records"]}
    assert all(versions[known][name] for known in LIBRARIES for name in THIRD_PARTY[known].distributions)
