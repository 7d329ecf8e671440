"""A training state on its way back from the object store, proven by its manifest."""

import json

from safetensors import SafetensorError
from safetensors.torch import load

from service.core.adapters import read_header
from service.core.engine_protocol import ResumePoint
from service.core.errors import AdapterCorrupt
from service.core.storage import ObjectStore
from service.engine.adapters.files import read_listing
from service.engine.adapters.remote import remote_reader
from service.engine.parts import TrainingState

METADATA_NAME = "state.json"
TENSORS_NAME = "state.safetensors"

_MAX_METADATA_BYTES = 1024**2
_MAX_TENSORS_BYTES = 24 * 1024**3


def read_state(store: ObjectStore, point: ResumePoint) -> TrainingState:
    """Raises AdapterCorrupt for bytes that are not what the digest promises or no state at all,
    StorageUnavailable."""
    read = remote_reader(store, point.key)
    listing = read_listing(point.digest, read)
    if listing.manifest.kind != "state":
        raise AdapterCorrupt(f"{point.key} holds a {listing.manifest.kind!r}, not a state")
    metadata = listing.read(METADATA_NAME, _MAX_METADATA_BYTES, read)
    content = listing.read(TENSORS_NAME, _MAX_TENSORS_BYTES, read)
    read_header(content)
    try:
        fields = json.loads(metadata)
        tensors = load(content)
    except (ValueError, RecursionError, SafetensorError) as error:
        raise AdapterCorrupt(f"the state {point.key} does not load") from error
    if not isinstance(fields, dict):
        raise AdapterCorrupt(f"{METADATA_NAME} is not an object")
    return TrainingState(tensors, {str(name): str(value) for name, value in fields.items()})
