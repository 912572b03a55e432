"""Models, specifications, runs, artifacts, versions and aliases.

A run is started and finished here whatever becomes of it; `register` turns what was trained into a version, in one
transaction. A version is never changed, and its bytes are checked each time they are loaded.
"""

from mlops.registry.comparing import Compared, compare
from mlops.registry.promotion import promote, rollback
from mlops.registry.register import Registered, register
from mlops.registry.revision import code_revision
from mlops.registry.runs import abandon_dead_runs, finish_run, lock_name, start_run
from mlops.registry.versions import Version, list_versions, load_artifact, production, show

__all__ = [
    "Compared",
    "Registered",
    "Version",
    "abandon_dead_runs",
    "code_revision",
    "compare",
    "finish_run",
    "list_versions",
    "load_artifact",
    "lock_name",
    "production",
    "promote",
    "register",
    "rollback",
    "show",
    "start_run",
]
