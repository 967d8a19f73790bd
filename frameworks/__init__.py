"""The networks under test and their implementations. Importing this package imports no framework."""

from frameworks.api import register
from frameworks.jax.framework import JAX
from frameworks.pytorch.framework import PYTORCH
from frameworks.reference.framework import REFERENCE
from frameworks.tensorflow.framework import TENSORFLOW
from frameworks.third_party.framework import THIRD_PARTY

for _framework in (PYTORCH, TENSORFLOW, JAX, *THIRD_PARTY, REFERENCE):
    register(_framework)
