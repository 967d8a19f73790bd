"""The seeded initial weights. NumPy does not guarantee a stable stream, and all recorded figures depend on them."""

from __future__ import annotations

import hashlib

import numpy as np

from frameworks.architectures import network
from frameworks.weights import initial
from tests.golden.golden import Golden

NETWORKS = (("xception", "default"), ("xception", "narrow"), ("inception_v3", "default"))


def digest(model: str, variant: str) -> str:
    """Return the SHA-256 of all parameters sorted by name: each name, and its values as little-endian float32."""
    found = hashlib.sha256()
    for name, values in sorted(initial(network(model, variant), seed=0).items()):
        found.update(name.encode())
        found.update(np.ascontiguousarray(values, dtype="<f4").tobytes())
    return found.hexdigest()


def test_initial_weights_of_seed_0_are_unchanged(golden: Golden) -> None:
    golden.document("weights.json", {f"{model}/{variant}": digest(model, variant) for model, variant in NETWORKS})
