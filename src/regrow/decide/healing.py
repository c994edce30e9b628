"""When the healer may act by itself at all: pauses, quiet hours, budgets. None of it binds a person."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Annotated
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError
from msgspec import Meta, Struct
from msgspec.structs import replace

from regrow.decide.guards import changes
from regrow.decide.view import View
from regrow.model.actions import AnyAction
from regrow.model.verdicts import Withheld

HOUR = 3600.0


class HealingConfig(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[healing]`: what holds for every domain."""

    budget: Annotated[int, Meta(ge=0, le=10_000, description="remedies carried out within an hour, in total")] = 60
    quiet: Annotated[
        str, Meta(description="when quiet hours begin, as five cron fields (`0 23 * * *`); default: never")
    ] = ""
    quiet_for: Annotated[float, Meta(gt=0, le=24, description="hours they last")] = 8.0
    zone: Annotated[str, Meta(description="their time zone (`Europe/Berlin`); default: UTC")] = "UTC"
    proposal_hours: Annotated[float, Meta(gt=0, le=720, description="hours a proposal waits for a person")] = 24.0

    def problems(self) -> list[str]:
        """What cannot be a time, one line each."""
        found: list[str] = []
        try:
            ZoneInfo(self.zone)
        except (KeyError, ValueError, OSError):
            found.append(f"healing.zone: there is no time zone {self.zone!r}; a name is like Europe/Berlin")
        if self.quiet:
            try:
                CronSim(self.quiet, datetime(2026, 1, 1, tzinfo=UTC))
            except CronSimError as error:
                found.append(f"healing.quiet: {self.quiet!r} is no time ({error}); five fields are like 0 23 * * *")
        return found


class Spent(Struct, frozen=True):
    """When remedies were begun, by domain: what budgets count."""

    times: dict[str, tuple[float, ...]] = {}

    def book(self, domain: str, at: float) -> Spent:
        """One more. Booked when it is begun, whatever becomes of it."""
        kept = tuple(t for t in self.times.get(domain, ()) if at - t < HOUR)
        return Spent({**self.times, domain: (*kept, at)})

    def within(self, at: float, domain: str | None = None) -> list[float]:
        """Those of the last hour, oldest first: of one domain, or of all."""
        chosen = self.times.values() if domain is None else [self.times.get(domain, ())]
        return sorted(t for times in chosen for t in times if at - t < HOUR)


def withheld(
    action: AnyAction, view: View, config: HealingConfig, spent: Spent, *, domain_budget: int | None
) -> Withheld | None:
    """Why the healer leaves this for now, or None. A person's request is never withheld here.

    Args:
        action: What is due.
        view: What is believed.
        config: The rules for all domains.
        spent: What was done within the last hour.
        domain_budget: Of the domain that wishes it; None for supervision, which has limits of its own.
    """
    if action.human or not changes(action):
        return None
    if view.paused_until is not None and view.at < view.paused_until:
        until = view.paused_until if view.paused_until < FOREVER else None
        return Withheld(action.key, "pause", "healing is paused; `regrow resume` goes on", until, reason=action.reason)
    if domain_budget is None:
        return None
    end = quiet_until(config, view.at) if action.risk in ("disruptive", "destructive") else None
    if end is not None:
        text = "these are quiet hours; it goes on when they end, or `regrow approve` it"
        return Withheld(action.key, "quiet-hours", text, end, reason=action.reason)
    for name, limit in ((action.domain, domain_budget), (None, config.budget)):
        times = spent.within(view.at, name)
        if len(times) >= limit:
            whose = f"[heal.{name}] budget" if name else "[healing] budget"
            again = times[-limit] + HOUR if limit else None
            text = f"{limit} remedies within an hour are allowed ({whose}) and were used; a person should look"
            return Withheld(action.key, "budget", text, again, reason=action.reason)
    return None


FOREVER = 1e11  # a pause without an end


def quiet_until(config: HealingConfig, at: float) -> float | None:
    """When the quiet hours that hold at this time end; None if none do."""
    if not config.quiet:
        return None
    begun = _last_begin(config.quiet, config.zone, config.quiet_for, int(at // 60))
    end = None if begun is None else begun + config.quiet_for * HOUR
    return end if end is not None and at < end else None


@lru_cache(maxsize=256)
def _last_begin(cron: str, zone: str, hours: float, minute: int) -> float | None:
    """The last begin that may still last in this minute; the same question is asked with every fact."""
    try:
        now = datetime.fromtimestamp(minute * 60, ZoneInfo(zone))
        # the first begin after `since` that is not in the future; later ones of the same span only last longer
        times = CronSim(cron, now - timedelta(hours=hours))
    except (CronSimError, KeyError, ValueError, OSError):
        return None  # told when the settings were read
    last = None
    while (begin := next(times)) <= now:
        last = begin.timestamp()
    return last


def paused(view: View, *, at: float, lasts: float) -> View:
    """The view with healing paused for so long, or until somebody resumes."""
    return replace(view, paused_until=at + lasts if lasts else FOREVER)
