"""What every engine answers about models on their way in and out, over the wire."""

from collections.abc import Iterator

import pytest

from service.core.engine_client import ArtefactClient
from service.core.engine_protocol import ModelRef, ProbeRequest
from service.core.errors import ExportLost, ModelNotFound
from tests.service.engine.conftest import EngineUnderTest


@pytest.fixture
def artefacts(engine: EngineUnderTest) -> Iterator[ArtefactClient]:
    with ArtefactClient(engine.url, internal_token=engine.token) as client:
        yield client


def test_a_base_tells_its_linear_layers(engine: EngineUnderTest, artefacts: ArtefactClient) -> None:
    shapes = artefacts.shapes(engine.base)

    assert len(shapes.digest) == 64
    assert all(name.endswith("_proj") for name in shapes.linears)
    assert all(rows > 0 and columns > 0 for rows, columns in shapes.linears.values())


def test_a_base_that_is_not_there_is_not_found(artefacts: ArtefactClient) -> None:
    with pytest.raises(ModelNotFound):
        artefacts.shapes("some/other-base")
    with pytest.raises(ModelNotFound):
        artefacts.probe(ProbeRequest(model=ModelRef(base="other"), rows=((1, 2),)))


def test_an_unknown_export_is_lost_and_cancelling_it_is_no_error(
    artefacts: ArtefactClient,
) -> None:
    with pytest.raises(ExportLost):
        artefacts.export("nothing")
    artefacts.cancel_export("nothing")
