"""What `serve` was told, and the state directory that it holds.

Touches the environment and the file system; knows no other room of this package.
"""

from bertscape_service.configuration.private_folders import (
    PRIVATE_UMASK,
    SAFE_PATH,
    folder_for_private_ones,
    is_private,
    new_private_folder,
)
from bertscape_service.configuration.settings import (
    ALLOWED_ROOTS_VARIABLE,
    DEFAULT_HOST,
    DEFAULT_PORT,
    DEFAULT_STATE_DIRECTORY,
    STATE_DIRECTORY_VARIABLE,
    Settings,
)
from bertscape_service.configuration.state_directory import StateDirectory

__all__ = [
    "ALLOWED_ROOTS_VARIABLE",
    "DEFAULT_HOST",
    "DEFAULT_PORT",
    "DEFAULT_STATE_DIRECTORY",
    "PRIVATE_UMASK",
    "SAFE_PATH",
    "STATE_DIRECTORY_VARIABLE",
    "Settings",
    "StateDirectory",
    "folder_for_private_ones",
    "is_private",
    "new_private_folder",
]
