"""Weights are data: seeded, named, in canonical layout, checked on the way in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from frameworks.architectures import network
from frameworks.errors import InvalidWeights
from frameworks.weights import check, digest, initial, load, resolve, save

NARROW = network("xception", "narrow", resolution=71)


def test_the_same_seed_gives_the_same_weights_and_another_seed_others() -> None:
    first, again, other = initial(NARROW, 1), initial(NARROW, 1), initial(NARROW, 2)
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not any(np.array_equal(first[name], other[name]) for name in first)


def test_a_parameter_does_not_depend_on_what_else_the_network_has() -> None:
    plain = initial(network("inception_v3", "narrow"))
    scaled = initial(network("inception_v3", "narrow", batch_norm_scale=True))
    assert set(plain) < set(scaled)
    assert all(np.array_equal(plain[name], scaled[name]) for name in plain)


def test_kernels_have_the_variance_of_he_et_al() -> None:
    weights = initial(network("inception_v3"))
    kernel = weights["mixed_7c.branch3x3dbl.conv2.conv.kernel"]
    assert kernel.std() == pytest.approx(np.sqrt(2 / (9 * 448)), rel=0.01)
    assert kernel.dtype == np.float32


def test_a_file_gives_back_what_went_in_and_is_the_same_bytes_each_time(tmp_path: Path) -> None:
    weights = initial(NARROW)
    save(tmp_path / "a.safetensors", NARROW, weights)
    save(tmp_path / "b.safetensors", NARROW, weights)
    loaded = load(tmp_path / "a.safetensors")
    assert all(np.array_equal(loaded[name], weights[name]) for name in weights)
    assert set(loaded) == set(weights)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_weights_come_from_a_seed_a_file_or_a_mapping(tmp_path: Path) -> None:
    weights = initial(NARROW, 3)
    save(tmp_path / "w.safetensors", NARROW, weights)
    name = "block1.conv1.conv.kernel"
    for source in (3, tmp_path / "w.safetensors", str(tmp_path / "w.safetensors"), weights):
        assert np.array_equal(resolve(NARROW, source)[name], weights[name])
    assert np.array_equal(resolve(NARROW, None)[name], initial(NARROW, 0)[name])


def test_weights_that_do_not_fit_are_refused_by_name(tmp_path: Path) -> None:
    weights = initial(NARROW)
    missing = {name: array for name, array in weights.items() if name != "block1.conv1.bn.mean"}
    with pytest.raises(InvalidWeights, match=r"'block1.conv1.bn.mean' is missing, expected an array of shape \(8,\)"):
        check(NARROW, missing)
    with pytest.raises(InvalidWeights, match=r"'block1.conv1.conv.kernel' has shape \(3, 3, 3, 32\), expected \(3, 3"):
        check(NARROW, initial(network("xception")))
    with pytest.raises(InvalidWeights, match=r"'extra' is not a parameter of it \(1 unexpected\)"):
        check(NARROW, weights | {"extra": np.zeros(1, np.float32)})


def test_a_file_that_is_none_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "text.safetensors").write_text("no weights")
    with pytest.raises(InvalidWeights, match=r"no file at .*; `xibench weights init MODEL` writes one"):
        load(tmp_path / "none.safetensors")
    with pytest.raises(InvalidWeights, match=r"text.safetensors is not a safetensors file"):
        load(tmp_path / "text.safetensors")


def test_a_digest_is_of_names_shapes_and_values_in_whatever_order() -> None:
    ones, twos = np.ones((2, 3), np.float32), np.full((2, 3), 2, np.float32)
    found = digest({"a": ones, "b": twos})
    assert found == digest({"b": twos, "a": ones})
    assert found == digest({"a": np.asfortranarray(ones), "b": twos})
    others = ({"a": twos, "b": ones}, {"a": ones, "c": twos}, {"a": ones.reshape(3, 2), "b": twos})
    assert found not in [digest(other) for other in others]
