"""The seeded initial weights: NumPy promises no stream that stays, and every figure and proof rests on them."""

from __future__ import annotations

import hashlib

import numpy as np

from frameworks.architectures import network
from frameworks.weights import initial
from tests.golden.golden import Golden

NETWORKS = (("xception", "default"), ("xception", "narrow"), ("inception_v3", "default"))


def digest(model: str, variant: str) -> str:
    """SHA-256 over each parameter in the order of its name: the name, and the values as little-endian float32."""
    found = hashlib.sha256()
    for name, values in sorted(initial(network(model, variant), seed=0).items()):
        found.update(name.encode())
        found.update(np.ascontiguousarray(values, dtype="<f4").tobytes())
    return found.hexdigest()


def test_initial_weights_of_seed_0_are_those_that_every_record_was_measured_with(golden: Golden) -> None:
    golden.document("weights.json", {f"{model}/{variant}": digest(model, variant) for model, variant in NETWORKS})
