"""A source of the operator's allow-list becomes a base model on its device."""

from service.engine.bases.load import load_base, load_prepared
from service.engine.bases.prepare import PreparedBase, prepare_base
from service.engine.bases.publish import publish_text_assets

__all__ = [
    "PreparedBase",
    "load_base",
    "load_prepared",
    "prepare_base",
    "publish_text_assets",
]
