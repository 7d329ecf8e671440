"""What results depend on beside the request: told with every training session."""

import platform

import torch
import transformers

from service.engine.parts import LoadedBase


def environment_of(base: LoadedBase) -> dict[str, str]:
    """Device, number format, threads and versions."""
    device = base.device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {
        "device": f"{device.type} ({name})",
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "dtype": str(next(base.model.parameters()).dtype).removeprefix("torch."),
        "threads": str(torch.get_num_threads()),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "python": platform.python_version(),
    }
