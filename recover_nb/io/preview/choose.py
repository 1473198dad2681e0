"""The one call that an import makes of a file whose format nobody named."""

from pathlib import Path

from recover_nb.core.errors import InputError
from recover_nb.core.files import is_folder
from recover_nb.io.preview.folders import arms_of, logs_in
from recover_nb.io.preview.readings import OTHER_MODEL, Call, calls_for
from recover_nb.io.preview.recognise import READABLE, is_store, recognise


def call_for(path: Path) -> Call:
    """Return the call that reads a file or a folder of logs as a study.

    Raises
    ------
    InputError
        Nothing there, nothing that is read, a study or problems already, or one file of two.
    """
    if is_folder(path) and not is_store(path):
        found, paths = logs_in(path)
        arms = arms_of(paths)
        if arms:
            return Call(found.format, arms)
    else:
        found, _ = recognise(path)
    if not found.format:
        raise InputError(f"{path} looks like {found.what}; what can be read: {READABLE}")
    if found.format == "study":
        raise InputError(f"{path} is a stored study already: see recover-nb info {path}")
    if found.format == "problems":
        raise InputError(
            f"{path} has problems and no rollouts, so there is nothing to import; answer them with"
            " rnb.generate, or give a log"
        )
    call = calls_for(found, path, {})[0]
    if found.format == "vllm_logits":
        raise InputError(
            f"{path} is {found.what}, which goes with a file of rollouts: {call.command()}"
        )
    if OTHER_MODEL in call.options.values():
        raise InputError(
            f"{path} is {found.what} of one model; signals need both: {call.command()}"
        )
    return call
