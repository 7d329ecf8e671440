"""The operator's: engines, and what they hold."""

from sqlalchemy import JSON, BigInteger, Column, Double, Integer, String, Table

from service.core.tables.schema import metadata

bases = Table(
    "bases",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("text_key", String(512), nullable=False),
    Column("context_length", Integer, nullable=False),
    Column("parameters", BigInteger, nullable=False),
    Column("position", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
)

embedding_models = Table(
    "embedding_models",
    metadata,
    Column("name", String(128), primary_key=True),
    Column("digest", String(64), nullable=False),
    Column("text_key", String(512), nullable=False),
    Column("context_length", Integer, nullable=False),
    Column("dimensions", Integer, nullable=False),
    Column("position", Integer, nullable=False),
    Column("created_at", Double, nullable=False),
)

engines = Table(
    "engines",
    metadata,
    Column("id", String(128), primary_key=True),
    Column("pool", String(64), nullable=False),
    Column("url", String(512), nullable=False),
    Column("state", JSON, nullable=False),
    Column("seen_at", Double, nullable=False),
)
