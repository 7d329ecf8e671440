"""What a row points at in the object store must be known to whoever deletes there."""

from sqlalchemy import String

from service.core.tables import metadata

LOOKED_AT = {
    "bases.text_key",
    "batch_blocks.key",
    "checkpoints.key",
    "checkpoints.state_key",
    "embedding_models.text_key",
    "files.key",
    "models.key",
    "training_states.key",
    "upload_parts.key",
}


def test_every_column_that_holds_a_key_of_the_object_store_is_a_root() -> None:
    """A new one is entered in `RootRepository` first and here then: what only it names would be
    deleted, and be in no backup."""
    columns = {
        f"{table.name}.{column.name}"
        for table in metadata.tables.values()
        for column in table.columns
        if column.name.endswith("key")
        and isinstance(column.type, String)
        and column.type.length == 512
    }
    assert columns == LOOKED_AT
