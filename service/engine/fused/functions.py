"""Element-wise functions and their gradients: what autograd would chain from a dozen operations.

Sums run in fp32 whatever the dtype of the tensors, as in transformers' layers.
"""

import torch
from torch.nn import functional as F


def inverse_rms(x: torch.Tensor, epsilon: float) -> torch.Tensor:
    """(…, 1) fp32 of `x` (…, size). Zhang & Sennrich 2019."""
    norm: torch.Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True, dtype=torch.float32)
    return norm.square_().div_(x.shape[-1]).add_(epsilon).rsqrt_()


def rms_norm(x: torch.Tensor, inverse: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """`x` with unit mean square, times `weight`, in the dtype of `x`."""
    return (x * inverse).to(x.dtype).mul_(weight)


def rms_norm_backward(
    gradient: torch.Tensor, x: torch.Tensor, inverse: torch.Tensor, weight: torch.Tensor
) -> torch.Tensor:
    """fp32: r·g − x·r³·mean(g·x), where g is `gradient` times `weight` and r `inverse`."""
    scaled = (gradient * weight).float()
    wide = x.float()
    mean = (scaled * wide).mean(-1, keepdim=True)
    return scaled.mul_(inverse).addcmul_(wide, mean.mul_(inverse.pow(3)), value=-1)


def rotate_(heads: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> None:
    """Turn each head (rows, heads, size) by the angles (rows, 1, size / 2) of its row's position,
    in place; with −`sin` it turns back, which is the gradient. Su et al. 2021, in halves as
    Llama's checkpoints have it."""
    half = heads.shape[-1] // 2
    first, second = heads[..., :half], heads[..., half:]
    kept = first.clone()
    first.mul_(cos).addcmul_(second, sin, value=-1)
    second.mul_(cos).addcmul_(kept, sin)


def swiglu(gate_up: torch.Tensor) -> torch.Tensor:
    """silu(gate) · up of (rows, gate | up). Shazeer 2020."""
    gate, up = gate_up.chunk(2, dim=-1)
    return F.silu(gate).mul_(up)


def swiglu_backward(gradient: torch.Tensor, gate_up: torch.Tensor) -> torch.Tensor:
    """The gradient of `gate_up`."""
    gate, up = gate_up.chunk(2, dim=-1)
    found = torch.empty_like(gate_up)
    gate_gradient, up_gradient = found.chunk(2, dim=-1)
    torch.mul(gradient, F.silu(gate), out=up_gradient)
    torch.ops.aten.silu_backward.grad_input(gradient * up, gate, grad_input=gate_gradient)
    return found
