"""A scenario of a user's own: pairs of images, one pair after another. Registered through the public registry alone."""

from __future__ import annotations

from xibench.record.schema import SamplingConfig
from xibench.scenarios import OFFLINE, Scenario, register
from xibench.scenarios.prepared import PreparedCase, Timed


def run(prepared: PreparedCase) -> Timed:
    assert prepared.batch.images.shape[0] == 2
    return OFFLINE.run(prepared)


PAIRS = Scenario(
    name="image-pairs",
    label="Image pairs",
    description="two images at a time, one pair after another",
    run=run,
    metrics=("images_per_s", "p99_s", "steps", "peak_bytes"),
    headline=("images_per_s",),
    sampling=SamplingConfig(processes=2, warmup_steps=0, max_warmup_steps=0, min_steps=4, max_steps=4),
)
register(PAIRS)
