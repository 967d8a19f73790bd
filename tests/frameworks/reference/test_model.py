from __future__ import annotations

import numpy as np
import pytest

from frameworks.blueprint import BatchNorm, Branches, Conv, Dropout, Flatten, Network, Residual, Sequence
from frameworks.errors import Unsupported
from frameworks.reference import build
from frameworks.reference.model import Model

ONE = np.ones((1, 1, 1, 1), np.float32)


def network(*layers: object) -> Network:
    return Network("small", "default", None, (1, 2, 1), layers)  # type: ignore[arg-type]


def test_joins_add_and_concatenate_what_they_join() -> None:
    double = Conv("double", 1, (1, 1))
    layers = (
        Residual("residual", (double,), Sequence("shortcut", (double,))),
        Branches("branches", (Sequence("left", (double,)), Sequence("right", ()))),
    )
    names = ("residual.double", "residual.shortcut.double", "branches.left.double")
    model = Model(network(*layers), {f"{name}.kernel": 2 * ONE for name in names})
    blocks = model.blocks(np.array([[[[1.0], [10.0]]]]))
    assert blocks["residual"].ravel().tolist() == [4, 40]
    assert blocks["branches"][0, 0].tolist() == [[8, 4], [80, 40]]


def test_a_training_step_normalises_by_the_batch_and_updates_the_running_statistics() -> None:
    weights = {"bn.offset": np.zeros(1), "bn.mean": np.full(1, 10.0), "bn.variance": np.full(1, 3.0)}
    model = Model(network(BatchNorm("bn", 1e-12, 0.5, scale=False, variance="unbiased")), weights)
    x = np.array([[[[1.0], [3.0]]]])
    assert model(x).ravel() == pytest.approx((x.ravel() - 10) / 3**0.5)
    model.train()
    assert model(x).ravel() == pytest.approx([-1, 1])
    assert model.weights()["bn.mean"] == pytest.approx([6])
    assert model.weights()["bn.variance"] == pytest.approx([2.5])  # half of 3, and half of the unbiased 2
    model.eval()
    assert model(x).ravel() == pytest.approx((x.ravel() - 6) / 2.5**0.5)


def test_dropout_uses_a_given_mask_or_a_random_one() -> None:
    model = Model(network(Flatten("flatten"), Dropout("dropout", 0.5)), {})
    x = np.ones((64, 1, 2, 1))
    assert model(x).tolist() == [[1, 1]] * 64
    model.train()
    assert set(model(x).ravel()) == {0, 2}
    model.masks = {"dropout": np.tile([1.0, 0.0], (64, 1))}
    assert model(x).tolist() == [[2, 0]] * 64


def test_fp32_rounds_each_layers_output_once() -> None:
    weights = {"a.kernel": np.full((1, 1, 1, 1), 0.1), "b.kernel": np.full((1, 1, 1, 1), 3.0)}
    model = Model(network(Conv("a", 1, (1, 1)), Conv("b", 1, (1, 1))), weights, "fp32")
    x = np.full((1, 1, 2, 1), 0.7, np.float32)
    out = model(x)
    first = np.float32(np.float64(np.float32(0.1)) * np.float64(np.float32(0.7)))
    assert out.dtype == np.float32
    assert out[0, 0, 0, 0] == np.float32(3 * np.float64(first))


def test_a_precision_that_numpy_does_not_have_is_unsupported() -> None:
    with pytest.raises(Unsupported, match="no bf16 in NumPy, expected one of fp64, fp32"):
        build("xception", variant="narrow", precision="bf16")
