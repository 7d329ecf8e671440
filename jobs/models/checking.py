"""What is checked of an adapter before anything loads it: only its header is ever read here."""

from collections.abc import Mapping
from dataclasses import dataclass

from service.core.adapters import (
    CONFIG_NAME,
    WEIGHTS_NAME,
    LinearShapes,
    check_fit,
    header_end,
    named_base,
    names_by_module,
    parse_lora_config,
    read_header,
)
from service.core.engine_protocol import LoraTuning
from service.core.errors import AdapterCorrupt, InvalidAdapter
from service.core.storage import ObjectStore, StoredObject

_LENGTH_BYTES = 8


@dataclass(frozen=True)
class CheckedAdapter:
    """It fits the base, as far as its header tells."""

    tuning: LoraTuning
    modules: tuple[str, ...]
    """Last parts of the adapted layers' names."""
    warnings: tuple[str, ...]


def check_adapter(
    store: ObjectStore, files: Mapping[str, StoredObject], shapes: LinearShapes, base: str
) -> CheckedAdapter:
    """Raises InvalidAdapter, UnsupportedParameter naming a field of peft's configuration that
    would change the result and is not served, StorageUnavailable."""
    config = store.get_bytes(files[CONFIG_NAME].key)
    try:
        tuning = parse_lora_config(config)
        named = named_base(config)
        entries = read_header(_header(store, files[WEIGHTS_NAME]), total=files[WEIGHTS_NAME].bytes)
        names = names_by_module(entries)
        check_fit(names, entries, tuning, shapes)
    except AdapterCorrupt as error:
        raise InvalidAdapter(f"The adapter does not fit the base {base}: {error}") from error
    modules = sorted({module.rpartition(".")[2] for module in names})
    return CheckedAdapter(tuning, tuple(modules), _warnings(named, base))


def _header(store: ObjectStore, weights: StoredObject) -> bytes:
    start = store.get_range(weights.key, 0, min(_LENGTH_BYTES, weights.bytes))
    return store.get_range(weights.key, 0, header_end(start, weights.bytes))


def _warnings(named: str | None, base: str) -> tuple[str, ...]:
    """The name is a folder or hub name on somebody's machine, so it proves nothing."""
    if named is None or _last_part(named) == _last_part(base):
        return ()
    return (
        f"adapter_config.json says that the adapter was trained on {named!r}; its shapes fit "
        f"{base}, which it now runs on. Send base_digest to have the base proven.",
    )


def _last_part(name: str) -> str:
    return name.replace("\\", "/").rstrip("/").rpartition("/")[2].lower()
