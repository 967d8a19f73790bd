"""The networks in PyTorch: `build` gives a torch.nn.Module."""

from frameworks.pytorch.model import Model, build

__all__ = ["Model", "build"]
