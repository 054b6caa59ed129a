"""The optimizers of nano: Muon for the matrices inside the blocks, AdamW for everything else."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_ADAMW_ONLY = ("patch_embedding", "head.", "embedding", "latents", "proj_in", "modulation", "norm")


def is_hidden_matrix(name: str, parameter: Tensor) -> bool:
    """Whether a parameter is a hidden matrix, which Muon is made for: neither input nor output nor a table."""
    return parameter.ndim == 2 and not any(part in name for part in _ADAMW_ONLY)


def muon_and_adamw(
    hidden: list[nn.Parameter], others: list[nn.Parameter], learning_rate: float, *, muon_decay: float
) -> tuple[torch.optim.Optimizer, ...]:
    """Muon for hidden matrices and AdamW for the others, at one rate: Muon's update is scaled to AdamW's size."""
    return (
        torch.optim.Muon(hidden, lr=learning_rate, weight_decay=muon_decay, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=learning_rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True),
    )


def step_all(optimizers: tuple[torch.optim.Optimizer, ...], learning_rate: float) -> None:
    """Update at a rate and clear the gradients."""
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


class NanoOptimizer:
    """Muon and AdamW behind one `step`.

    Args:
        module: what is trained.   learning_rate: peak rate of both (Muon's update is scaled to AdamW's size).
    """

    def __init__(self, module: nn.Module, learning_rate: float) -> None:
        self.learning_rate = learning_rate
        named = list(module.named_parameters())
        self.names: dict[Tensor, str] = {parameter: name for name, parameter in named}
        matrices = [parameter for name, parameter in named if is_hidden_matrix(name, parameter)]
        others = [parameter for name, parameter in named if not is_hidden_matrix(name, parameter)]
        self.optimizers = muon_and_adamw(matrices, others, learning_rate, muon_decay=0.01)

    def step(self, factor: float) -> None:
        """Update all parameters at `factor` times the peak rate and clear the gradients."""
        step_all(self.optimizers, self.learning_rate * factor)

    def tensors(self) -> dict[str, Tensor]:
        """State as named tensors, for a checkpoint."""
        return {
            f"{self.names[parameter]}/{key}": value
            for optimizer in self.optimizers
            for parameter, state in optimizer.state.items()
            for key, value in state.items()
            if isinstance(value, Tensor)
        }

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Take up what `tensors` gave."""
        by_name: dict[str, dict[str, Tensor]] = {}
        for path, value in tensors.items():
            name, _, key = path.rpartition("/")
            by_name.setdefault(name, {})[key] = value
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                for parameter in group["params"]:
                    if self.names[parameter] in by_name:
                        optimizer.state[parameter] = by_name[self.names[parameter]]


class ConvOptimizer:
    """Muon for hidden convolutions, seen as matrices of outputs by everything they sum over, and AdamW for the rest.

    Args:
        module: what is trained.   hidden: names of modules whose kernels are hidden ones.
        learning_rate: peak rate of both.
    Source: Jordan et al. 2024, "Muon" (kernels are flattened to matrices).
    """

    def __init__(self, module: nn.Module, hidden: tuple[str, ...], learning_rate: float) -> None:
        self.learning_rate = learning_rate
        self.kernels: dict[nn.Parameter, nn.Parameter] = {
            parameter: nn.Parameter(parameter.detach().flatten(1))
            for name, parameter in module.named_parameters()
            if parameter.ndim > 2 and name.startswith(hidden)
        }
        others = [parameter for parameter in module.parameters() if parameter not in self.kernels]
        self.optimizers = muon_and_adamw(list(self.kernels.values()), others, learning_rate, muon_decay=0.0)

    def step(self, factor: float) -> None:
        """Update all parameters at `factor` times the peak rate and clear the gradients."""
        for kernel, matrix in self.kernels.items():
            assert kernel.grad is not None
            # The matrix is a view of the kernel: updating it updates the kernel.
            matrix.grad = kernel.grad.flatten(1)
            kernel.grad = None
        step_all(self.optimizers, self.learning_rate * factor)
