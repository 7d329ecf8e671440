"""The audit log in an installation's database."""

from collections.abc import Iterator

from service.core.database import Database, require_newest_schema
from service.core.domain.audit import BrokenChain, ChainHead, first_break
from service.core.repositories.audit import ChainRepository
from service.core.settings import Settings


def verify_chains(settings: Settings) -> Iterator[tuple[str, ChainHead, BrokenChain | None]]:
    """Every project with the head of its chain and where the chain is broken, if it is."""
    database = Database(settings.database_url)
    try:
        require_newest_schema(database)
        with database.snapshot() as connection:
            heads = ChainRepository(connection).heads()
        for project_id in heads:
            with database.snapshot() as connection:  # the head and the entries of one moment
                chains = ChainRepository(connection)
                head = chains.heads()[project_id]
                yield project_id, head, first_break(chains.entries(project_id), head)
    finally:
        database.dispose()
