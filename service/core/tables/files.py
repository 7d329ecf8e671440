"""Files, and uploads in parts."""

from sqlalchemy import BigInteger, Column, Double, ForeignKey, Index, Integer, String, Table

from service.core.tables.schema import Id, metadata, project_column

files = Table(
    "files",
    metadata,
    Column("id", Id, primary_key=True),
    project_column(),
    Column("filename", String(512), nullable=False),
    Column("purpose", String(32), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("key", String(512), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    Index(None, "project_id", "created_at", "id"),
    Index(None, "expires_at"),
)

uploads = Table(
    "uploads",
    metadata,
    Column("id", Id, primary_key=True),
    project_column(),
    Column("filename", String(512), nullable=False),
    Column("purpose", String(32), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("file_seconds", Integer),
    Column("status", String(32), nullable=False),
    Column("file_id", Id),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("swept_at", Double),
    Index(None, "swept_at", "expires_at"),
)

upload_parts = Table(
    "upload_parts",
    metadata,
    Column("id", Id, primary_key=True),
    project_column(),
    Column("upload_id", Id, ForeignKey("uploads.id"), nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("key", String(512), nullable=False),
    Column("created_at", Double, nullable=False),
    Index(None, "upload_id"),
)
