"""What the parent builds before it forks needs no store afterwards."""

import pytest

from jobs.runner.codecs import Codecs
from service.core.domain.models import Base
from service.core.repositories.registry import RegistryRepository
from service.core.storage import ObjectNotFound
from tests.fakes.engine import FAKE_BASE
from tests.jobs.shop import Shop

pytestmark = pytest.mark.usefixtures("engine")


def base_of(shop: Shop) -> Base:
    with shop.database.snapshot() as connection:
        base = RegistryRepository(connection).find_base(FAKE_BASE.name)
    assert base is not None
    return base


def test_a_base_seen_before_is_built_from_disk_and_broken_files_are_passed_over(
    shop: Shop,
) -> None:
    base, cache_dir = base_of(shop), shop.resources.settings.cache_dir
    Codecs(shop.resources.store, cache_dir).of(base)
    (cache_dir / "text" / "broken.json").write_text("{")
    later = Codecs(shop.resources.store, cache_dir)
    later.preload()
    inherited = later.of(base)
    (cache_dir / "text" / f"{base.digest}.json").unlink()
    shop.resources.store.delete(base.text_key)

    assert later.of(base) is inherited
    with pytest.raises(ObjectNotFound):
        Codecs(shop.resources.store, cache_dir).of(base)
