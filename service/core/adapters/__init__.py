"""What can be known of a stored adapter without loading it: names, header, configuration, shapes.

For workers, which have no torch, and for the engine, which checks everything again before it loads.
"""

from service.core.adapters.header import TensorEntry, header_end, read_header
from service.core.adapters.layout import LinearShapes, TensorNames, check_fit, names_by_module
from service.core.adapters.lora_config import named_base, parse_lora_config, scaling_of
from service.core.adapters.names import (
    CONFIG_NAME,
    MAX_CONFIG_BYTES,
    MAX_WEIGHTS_BYTES,
    WEIGHTS_NAME,
)

__all__ = [
    "CONFIG_NAME",
    "MAX_CONFIG_BYTES",
    "MAX_WEIGHTS_BYTES",
    "WEIGHTS_NAME",
    "LinearShapes",
    "TensorEntry",
    "TensorNames",
    "check_fit",
    "header_end",
    "named_base",
    "names_by_module",
    "parse_lora_config",
    "read_header",
    "scaling_of",
]
