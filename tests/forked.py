"""Command lines in a process of their own that need not import the large libraries, which takes ten seconds each time.

They are imported once, by a process that is forked for each run (the fork server of multiprocessing). Nothing of ours
is imported before the fork: a copy of the code runs as it stands there.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from subprocess import CompletedProcess

LIBRARIES = ["dbt.cli.main", "dbt.adapters.postgres", "great_expectations", "onnxruntime", "pandas", "sklearn.ensemble"]
_FORK_SERVER = multiprocessing.get_context("forkserver")
_FORK_SERVER.set_forkserver_preload(LIBRARIES)


def run(
    entry: str, commands: Sequence[Sequence[str]], folder: Path, environment: Mapping[str, str], timeout: float = 600
) -> CompletedProcess[str]:
    """Call `entry`, as `module:function`, with each of `commands` in `sys.argv`; the first that fails ends the process.

    It is in `folder`, and what lies there is imported before anything else.
    """
    with tempfile.TemporaryDirectory() as place:
        outputs = [str(Path(place, name)) for name in ("stdout", "stderr")]
        process = _FORK_SERVER.Process(target=_call, args=(entry, commands, str(folder), dict(environment), outputs))
        process.start()
        process.join(timeout)
        if process.is_alive():
            process.kill()
            process.join()
        said, errors = (Path(each).read_text(encoding="utf-8") for each in outputs)
        code = process.exitcode
        assert code is not None
    return CompletedProcess([entry, *map(str, commands)], code, said, errors)


def _call(
    entry: str, commands: Sequence[Sequence[str]], folder: str, environment: dict[str, str], outputs: Sequence[str]
) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.path.insert(0, folder)
    for descriptor, file in enumerate(outputs, start=1):
        os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644), descriptor)
    module, _, name = entry.partition(":")
    for command in commands:
        sys.argv = list(command)
        try:
            getattr(import_module(module), name)()
        except SystemExit as ended:
            if ended.code:
                print(command, file=sys.stderr)
                raise
