"""What the end of a gateway process means, by exit code, version and last words."""

from __future__ import annotations

from enum import StrEnum

from regrow.model.facts import ChildExited


class Ending(StrEnum):
    """Classes of endings that call for different answers."""

    CLEAN = "clean"  # 0: somebody stopped it, or it expects to be started again
    REFUSED = "refused"  # 78: configuration, lock or schema; only asking tells which
    CRASHED = "crashed"  # 1 and other codes: it fell over, or the port was taken
    ABORTED = "aborted"  # 134, SIGABRT: V8 ran out of heap
    KILLED = "killed"  # 137, SIGKILL: the kernel's OOM killer, or a person
    SIGNALLED = "signalled"  # another signal
    UNKNOWN = "unknown"  # not our child: nobody told us


WORDS = {
    Ending.CLEAN: "it ended in good order without being asked",
    Ending.REFUSED: "it refused to start (exit 78)",
    Ending.CRASHED: "it crashed",
    Ending.ABORTED: "it ran out of heap memory (abort)",
    Ending.KILLED: "it was killed: by the kernel for lack of memory, or by hand",
    Ending.SIGNALLED: "a signal ended it",
    Ending.UNKNOWN: "it ended; it was not our child, so the cause is unknown",
}

UNCLEAN = frozenset({Ending.CRASHED, Ending.ABORTED, Ending.KILLED, Ending.SIGNALLED})


def classify(exit_: ChildExited) -> Ending:
    """Which class an exit belongs to. Negative codes are signals, as are codes above 128."""
    code = exit_.code
    if code is None:
        return Ending.UNKNOWN
    if code > 128:
        code = -(code - 128)
    match code:
        case 0:
            return Ending.CLEAN
        case 78:
            return Ending.REFUSED
        case -6:
            return Ending.ABORTED
        case -9:
            return Ending.KILLED
        case _ if code < 0:
            return Ending.SIGNALLED
        case _:
            return Ending.CRASHED


def explain(exit_: ChildExited) -> str:
    """One clause for people: what happened, with the code and the culprit if known."""
    words = WORDS[classify(exit_)]
    code = "" if exit_.code in (None, 0, 78) else f" (code {exit_.code})"
    blame = f"; its last words name the plugin {exit_.culprit}" if exit_.culprit else ""
    return f"{words}{code}{blame}"
