"""What every table is built from."""

from sqlalchemy import BigInteger, Column, ForeignKey, Integer, MetaData, String

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

OPERATOR_TABLES = frozenset(
    {"organizations", "projects", "bases", "base_aliases", "embedding_models", "engines"}
)

Id = String(64)
# SQLite gives autoincrement only to a column whose type is exactly INTEGER
Number = BigInteger().with_variant(Integer, "sqlite")


def project_column() -> Column[str]:
    """The tenant that a row belongs to."""
    return Column("project_id", Id, ForeignKey("projects.id"), nullable=False)
