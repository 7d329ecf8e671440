"""ArtefactClient: models on their way in and out, as a worker asks for them."""

from urllib.parse import quote

from service.core.engine_client.calls import EngineCalls
from service.core.engine_protocol import (
    BaseShapes,
    ExportRequest,
    ExportState,
    Probed,
    ProbeRequest,
)


class ArtefactClient(EngineCalls):
    """A probe computes the same whenever it is repeated; the id makes an export idempotent."""

    def shapes(self, base: str) -> BaseShapes:
        """Raises ModelNotFound."""
        return self._call("GET", f"/bases/{quote(base, safe='')}/shapes", BaseShapes)

    def probe(self, request: ProbeRequest) -> Probed:
        """Raises ModelNotFound, AdapterCorrupt, UnsupportedParameter, StorageUnavailable."""
        return self._call("POST", "/probe", Probed, body=request)

    def start_export(self, request: ExportRequest) -> ExportState:
        """Raises ModelNotFound, ExportRefused, EngineOverloaded."""
        return self._call("POST", "/exports", ExportState, body=request)

    def export(self, export_id: str) -> ExportState:
        """Raises ExportLost when the engine does not know it, as after a restart."""
        return self._call("GET", f"/exports/{export_id}", ExportState)

    def cancel_export(self, export_id: str) -> None:
        """One that has ended, or that the engine does not know, is no error."""
        self._answer("DELETE", f"/exports/{export_id}")
