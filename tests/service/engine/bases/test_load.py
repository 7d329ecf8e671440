"""A base in memory is whole, frozen and the one that the source names."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from service.core.errors import ConfigurationError
from service.core.settings import Settings
from service.core.storage import ObjectStore
from service.core.text import TextAssets
from service.engine.bases import load_base, prepare_base, publish_text_assets
from service.engine.bases.device import choose_device, choose_dtype
from tests.tiny_base import CONTEXT_LENGTH

_LOAD_WITHOUT_NETWORK = """
import sys

def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        print(event, arguments)
        sys.stdout.flush()
        raise SystemExit(3)

sys.addaudithook(refuse)
from service.core.settings import Settings
from service.engine.bases import load_base
load_base("tiny", sys.argv[1], Settings())
"""


def test_a_loaded_base_is_frozen_and_in_eval_mode(tiny_folder: Path) -> None:
    base = load_base("tiny", str(tiny_folder), Settings(engine_dtype="float32"))

    assert base.context_length == CONTEXT_LENGTH
    assert base.text_key == f"bases/{base.digest}/text.json"
    assert base.dtype == base.model.dtype == torch.float32
    assert not base.model.training
    assert not any(parameter.requires_grad for parameter in base.model.parameters())


def test_loading_opens_no_connection(tiny_folder: Path) -> None:
    command = [sys.executable, "-c", _LOAD_WITHOUT_NETWORK, str(tiny_folder)]

    done = subprocess.run(command, capture_output=True, text=True)

    assert done.returncode == 0, done.stdout + done.stderr


def test_a_folder_that_lacks_a_weight_is_refused(tiny_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "partial")
    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.self_attn.q_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})

    with pytest.raises(ConfigurationError, match="q_proj"):
        load_base("partial", str(folder), Settings())


def test_a_truncated_folder_is_named(tiny_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "truncated")
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[:1000])

    with pytest.raises(ConfigurationError, match="truncated"):
        load_base("truncated", str(folder), Settings())


def test_a_tokenizer_of_another_model_is_refused(tiny_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "foreign")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer["model"]["vocab"]["beyond"] = 5000
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))

    with pytest.raises(ConfigurationError, match="5000"):
        load_base("foreign", str(folder), Settings())


def test_the_published_text_is_that_of_the_folder(
    tiny_folder: Path, object_store: ObjectStore
) -> None:
    prepared = prepare_base(str(tiny_folder), Settings())

    publish_text_assets(prepared, object_store)

    published = object_store.get_bytes(f"bases/{prepared.digest}/text.json").decode()
    assert TextAssets.from_json(published) == TextAssets.from_pretrained_folder(tiny_folder)


def test_a_device_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigurationError, match="TUNERY_ENGINE_DEVICE=abacus"):
        choose_device("abacus")


def test_a_chosen_number_format_is_taken_and_auto_is_one_of_two() -> None:
    cpu = torch.device("cpu")

    assert choose_dtype("float16", cpu) == torch.float16
    assert choose_dtype("auto", cpu) in (torch.bfloat16, torch.float32)
