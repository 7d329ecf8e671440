"""Which installation an operator's command acts on."""

from service.core.errors import ConfigurationError
from service.core.settings import Settings
from service.supervisor.stack import resolve
from service.supervisor.state import load_state


def operator_settings() -> Settings:
    """The given database, or the one that `up` keeps in the data directory.

    Raises ConfigurationError when there is neither.
    """
    settings = Settings.from_environment()
    if settings.is_given("database_url"):
        return settings
    state = load_state(settings.data_dir)
    if state is None:
        raise ConfigurationError(
            f"No `tunery-server up` has run on {settings.data_dir}: set TUNERY_DATA_DIR to its "
            "directory, or TUNERY_DATABASE_URL and TUNERY_KEY_PEPPER to those of your servers."
        )
    return resolve(settings, state)
