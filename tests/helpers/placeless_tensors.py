"""A watch over tensors that are made without naming a device."""

import sys

import torch
from torch.overrides import TorchFunctionMode

FACTORIES = {
    getattr(torch, name)
    for name in ("arange", "empty", "eye", "full", "linspace", "ones", "rand", "randint", "randn", "tensor", "zeros")
}


class PlacelessTensors(TorchFunctionMode):
    """Notes where the package's models make a tensor without naming a device."""

    def __init__(self, package: str = "dld_spotter/modeling"):
        super().__init__()
        self.package = package
        self.calls: list[str] = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        caller = sys._getframe(1)
        if func in FACTORIES and "device" not in kwargs and self.package in caller.f_code.co_filename:
            self.calls.append(f"{func.__name__} in {caller.f_code.co_filename}:{caller.f_lineno}")
        return func(*args, **kwargs)
