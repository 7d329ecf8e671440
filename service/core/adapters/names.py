"""The files of an adapter, and how large they may be."""

CONFIG_NAME = "adapter_config.json"
WEIGHTS_NAME = "adapter_model.safetensors"
"""With the manifest the only names that are ever read; whatever else lies there is not touched."""

MAX_CONFIG_BYTES = 1024**2
MAX_WEIGHTS_BYTES = 8 * 1024**3
