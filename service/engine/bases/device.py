"""Which device and number format a base is loaded with."""

from pathlib import Path

import torch

from service.core.errors import ConfigurationError

_FAST_CPU_FLAGS = {"amx_bf16", "avx512_bf16"}
_CPU_INFO = Path("/proc/cpuinfo")


def choose_device(setting: str) -> torch.device:
    """Raises ConfigurationError for a device that this machine lacks."""
    if setting == "auto":
        return torch.device(_best_device())
    try:
        device = torch.device(setting)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigurationError(
            f"TUNERY_ENGINE_DEVICE={setting} is not usable here ({error}); "
            "use auto, cpu, cuda, cuda:N or mps"
        ) from error
    return device


def choose_dtype(setting: str, device: torch.device) -> torch.dtype:
    """auto: bfloat16 where the device computes it faster than float32, else float32."""
    if setting != "auto":
        dtype: torch.dtype = getattr(torch, setting)
        return dtype
    return torch.bfloat16 if _is_fast_at_bfloat16(device) else torch.float32


def _best_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _is_fast_at_bfloat16(device: torch.device) -> bool:
    match device.type:
        case "cuda":
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
        case "cpu":
            return bool(_FAST_CPU_FLAGS & _cpu_flags())
        case _:
            return False


def _cpu_flags() -> set[str]:
    """Empty where the kernel does not tell."""
    if not _CPU_INFO.is_file():
        return set()
    for line in _CPU_INFO.read_text().splitlines():
        name, _, flags = line.partition(":")
        if name.strip() == "flags":
            return set(flags.split())
    return set()
