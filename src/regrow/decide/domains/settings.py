"""A broken openclaw.json blocks restarts while the running gateway serves; a proven copy can come back."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

from regrow.decide.domains.base import (
    Context,
    DomainConfig,
    Note,
    Remedy,
    Reply,
    Setting,
    Step,
    Symptom,
    domain,
    effective,
)
from regrow.decide.view import View
from regrow.model.actions import AnyAction, Doctor, LookConfig, RestoreConfig
from regrow.model.facts import AnyFact, Asked, ConfigSeen, Ended, Intended
from regrow.model.gateway import Phase

COMPOSED = "is composed of several files ($include): regrow puts none of them back; `regrow config kept` shows them"
JUDGE_AGAIN = 60.0  # when the gateway's judge could not tell


class SettingsConfig(DomainConfig, frozen=True):
    """`[heal.settings]`."""

    restore: Annotated[
        Setting, Meta(description="putting back a configuration this version once served when the file is broken")
    ] = "ask"
    doctor: Annotated[
        Setting | None,
        Meta(
            description=(
                "`openclaw doctor --fix` on an invalid file, once per file content, gateway stopped; "
                "default: off, and auto in the classic profile"
            )
        ),
    ] = None
    keep: Annotated[int, Meta(ge=1, le=1000, description="proven configurations kept")] = 30


class PutBack(Struct, frozen=True):
    """A copy that was put back and has not been booted yet: its digest, when, and what lay aside by then."""

    digest: str
    at: float
    aside: tuple[str, ...] = ()


class Repairs(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was tried and who waits.

    Attributes:
        doctored: Digest the doctor was last let at: never twice for the same bytes.
        restored: Digest that was broken when a copy was last put back by ourselves.
        wanted: A person's request under way: verb, request id, digest.
        looked: What the judge was last shown while the gateway ran: digest and time.
        put_back: The copy to be compared after the next boot: a gateway may take its own backup instead.
        reverted: Digest that was found in its place, and where the copy is now.
    """

    doctored: str = ""
    restored: str = ""
    wanted: tuple[str, str, str] | None = None
    looked: tuple[str, float] = ("", 0.0)
    put_back: PutBack | None = None
    reverted: tuple[str, str] = ("", "")


def candidate(view: View) -> str:
    """Digest of the newest stored configuration that the installed version served, other than what lies there.

    One file of several is never put back: a part of what worked is not what worked.
    """
    now = view.config.digest if view.config is not None else ""
    if view.config is not None and view.config.composed:
        return ""
    for digest, version in reversed(view.kept):
        if version == view.installed and digest != now and digest not in view.composed:
            return digest
    return ""


@domain("settings", state=Repairs, config=SettingsConfig)
def step(s: Repairs, fact: AnyFact, cx: Context) -> Step:
    """Name what is wrong with the file; repair it where allowed or asked for."""
    view = cx.view
    replies: list[Reply] = []
    notes: tuple[Note, ...] = ()
    match fact:
        case Asked(verb="restore" | "doctor"):
            s, replies = _asked(s, fact, view)
        case Intended(action=Doctor()) if view.config is not None:
            s = replace(s, doctored=view.config.digest)
        case Intended(action=RestoreConfig()) if view.config is not None:
            s = replace(s, restored=view.config.digest)
        case Intended(action=LookConfig()) if view.config is not None:
            s = replace(s, looked=(view.config.digest, cx.at))
        case Ended(action=Doctor() | RestoreConfig()):
            s, replies = _ended(s, fact, view)
        case ConfigSeen():
            s = _seen(s, fact, cx)
        case Ended(action=LookConfig()):
            s, notes = _compared(s, view)
        case _:
            pass
    obstacle = _obstacle(s, view)
    if s.wanted is not None and obstacle:
        replies = [*replies, Reply(s.wanted[1], "refused", obstacle)]
        s = replace(s, wanted=None)
    wishes = (*_wishes(s, cx), *_look_again(s, cx))
    return Step(state=s, wishes=wishes, symptoms=tuple(_symptoms(s, cx)), replies=tuple(replies), notes=notes)


# ── what was put back, after the next boot ──


def _booted(s: Repairs, view: View) -> bool:
    """The gateway has become ready since a copy was put back."""
    return s.put_back is not None and view.ready and view.ready_at > s.put_back.at


def _seen(s: Repairs, fact: ConfigSeen, cx: Context) -> Repairs:
    """Whoever writes the file while nothing boots is a person: then there is nothing to compare any more."""
    before, view = cx.before.config, cx.view
    if fact.digest != s.reverted[0]:
        s = replace(s, reverted=("", ""))
    stood = s.put_back is not None and before is not None and before.digest == s.put_back.digest != fact.digest
    if stood and (view.process is None or (view.ready and not _booted(s, view))):
        return replace(s, put_back=None)
    return s


def _look_again(s: Repairs, cx: Context) -> list[AnyAction]:
    """A gateway may find its own backup better than what was put back, by size and `meta`, and say so to nobody."""
    view = cx.view
    if not _booted(s, view) or cx.config.mode == "off":
        return []
    fresh = s.looked[1] >= view.ready_at and cx.at - s.looked[1] < JUDGE_AGAIN
    return [] if fresh else [LookConfig(reason="is what was put back still there after the boot?")]


def _compared(s: Repairs, view: View) -> tuple[Repairs, tuple[Note, ...]]:
    config, copy = view.config, s.put_back
    if config is None or copy is None or not _booted(s, view) or s.looked[1] < view.ready_at:
        return s, ()
    s = replace(s, put_back=None)
    if config.digest == copy.digest:
        return s, ()
    aside = next((name for name in reversed(config.clobbered) if name not in copy.aside), "")
    note = Note("config:reverted", {"restored": copy.digest, "found": config.digest, "aside": aside})
    return replace(s, reverted=(config.digest, aside)), (note,)


def _ended(s: Repairs, fact: Ended, view: View) -> tuple[Repairs, list[Reply]]:
    verdict, digest = fact.verdict, view.config.digest if view.config is not None else ""
    if verdict.result in ("failed", "refused"):  # booked even if its intent could not be: nothing goes in a circle
        s = replace(s, doctored=digest) if isinstance(fact.action, Doctor) else replace(s, restored=digest)
    if verdict.result == "done" and isinstance(fact.action, RestoreConfig):
        aside = view.config.clobbered if view.config is not None else ()
        s = replace(s, put_back=PutBack(fact.action.digest, fact.at, aside), reverted=("", ""))
    if s.wanted is None:
        return s, []
    state = {"done": "done", "would": "done", "refused": "refused"}.get(verdict.result, "failed")
    return replace(s, wanted=None), [Reply(s.wanted[1], state, verdict.detail)]  # type: ignore[arg-type]


def _asked(s: Repairs, fact: Asked, view: View) -> tuple[Repairs, list[Reply]]:
    if s.wanted is not None:
        return s, [Reply(fact.id, "refused", f"a {s.wanted[0]} is under way already")]
    if fact.verb == "restore":
        digest = next((d for d, _ in reversed(view.kept) if fact.subject and d.startswith(fact.subject)), "")
        digest = digest or ("" if fact.subject else candidate(view))
        composed = view.config is not None and view.config.composed
        if composed or digest in view.composed:
            what = "openclaw.json" if composed else f"configuration {digest[:12]}"
            return s, [Reply(fact.id, "refused", f"{what} {COMPOSED}")]
        if not digest:
            text = "there is no stored configuration that this version served" if not fact.subject else (
                f"no stored configuration begins with {fact.subject}; `regrow config kept` lists them"
            )  # fmt: skip
            return s, [Reply(fact.id, "refused", text)]
        return replace(s, wanted=("restore", fact.id, digest)), []
    return replace(s, wanted=("doctor", fact.id, "")), []


def _obstacle(s: Repairs, view: View) -> str:
    """Why what a person wants cannot be done now, or ""."""
    if view.owner == "healer":
        return view.observed_only
    if s.wanted is not None and s.wanted[0] == "doctor" and view.process is not None:
        return "the doctor rewrites files under a running gateway: `regrow stop` first"
    return ""


def _symptoms(s: Repairs, cx: Context) -> list[Symptom]:
    view = cx.view
    if view.config is not None and view.config_ok is not False and view.config.digest == s.reverted[0]:
        text = "openclaw.json is not what was put back any more, since the gateway booted"
        if s.reverted[1]:
            text = f"the gateway replaced what was put back into openclaw.json at its boot; that is now {s.reverted[1]}"
        return [Symptom("config", f"{text}; `regrow doctor` shows what differs", human=True)]
    if view.config is None or view.config_ok is not False:
        return []
    problems = "; ".join(view.config.problems[:3])
    serves = " (the running gateway still serves the earlier one)" if view.ready else ""
    able = cx.config.mode == "auto" and cx.config.restore == "auto" and bool(candidate(view))
    alone = able and s.restored != view.config.digest
    parts = f"; it {COMPOSED}" if view.config.composed else ""
    return [Symptom("config", f"openclaw.json is not valid: {problems}{serves}{parts}", human=not alone)]


def _wishes(s: Repairs, cx: Context) -> list[AnyAction | Remedy]:
    view, config = cx.view, cx.config
    if s.wanted is not None:
        verb, request, digest = s.wanted
        if verb == "restore":
            return [RestoreConfig(digest=digest, reason="asked for", human=True, request=request)]
        return [Doctor(reason="asked for", human=True, request=request)]
    if view.config is not None and view.config_ok is None and view.ready:
        # somebody changed it under a running gateway: know it before a restart is wanted
        digest, at = s.looked
        due = digest != view.config.digest or cx.at - at >= JUDGE_AGAIN
        return [LookConfig(reason="openclaw.json was changed")] if due and config.mode != "off" else []
    if view.config is None or view.config_ok is not False or config.mode == "off" or view.want != "running":
        return []
    if view.phase is not Phase.HELD:  # it still serves: nothing is urgent, a person is editing perhaps
        return []
    broken = view.config.digest
    copy = candidate(view)
    why = "the file does not boot and the gateway is down"
    wishes: list[AnyAction | Remedy] = []
    if config.restore != "off" and copy and s.restored != broken:
        undo = "the broken file is kept beside it, and the answer names it"
        restore = RestoreConfig(digest=copy, reason=why, subject="config")
        wishes += [Remedy(action=restore, name="restore", setting=config.restore, evidence=_problems(view), undo=undo)]
        if effective(config.mode, config.restore) == "auto":
            return wishes
    doctor: Setting = config.doctor or ("auto" if cx.policy.doctor else "off")
    if doctor != "off" and view.process is None and s.doctored != broken:
        undo = "a snapshot is kept; it is put back by itself if something valid was removed"
        repair = Doctor(reason=why, subject="config")
        wishes += [Remedy(action=repair, name="doctor", setting=doctor, evidence=_problems(view), undo=undo)]
    return wishes


def _problems(view: View) -> str:
    return "; ".join(view.config.problems[:3]) if view.config is not None else ""
