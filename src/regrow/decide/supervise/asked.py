"""What a person's request does to the state: executed or queued with a visible time, never dropped."""

from __future__ import annotations

from msgspec.structs import replace

from regrow.decide.domains.base import Reply
from regrow.decide.supervise.governor import forgiven, woken
from regrow.decide.supervise.restarts import Change, Restart, Stopping, joined
from regrow.decide.supervise.state import Folded, Scene, Supervision, answer, waiting
from regrow.model.facts import Asked
from regrow.model.gateway import Mode

MOST_DELAY = 60.0


def request(s: Supervision, fact: Asked, scene: Scene) -> Folded:
    """The state after a request, with the immediate answer if there is one."""
    match fact.verb:
        case "start":
            return _start(s, fact, scene)
        case "stop":
            return _stop(s, fact, scene)
        case "restart":
            return _restart(s, fact, scene)
        case "reload":
            return _reload(s, fact, scene)
        case "adopt" if scene.view.owner == "healer":
            text = f"{scene.view.observed_only}; end that one first"
            return Folded(s, answer((fact.id,), "refused", text))
        case "adopt":
            if (scene.view.observed_only and scene.view.process is not None) or scene.view.owner == "remote":
                return Folded(s, answer((fact.id,), "refused", f"not yet: {scene.view.observed_only}"))
            woke = replace(s, governor=woken(s.governor, scene.at), owner_stale=True)
            return Folded(woke, answer((fact.id,), "done", "regrow may act on this gateway from now on"))
        case _:
            return Folded(s)  # other domains answer it


def _start(s: Supervision, fact: Asked, scene: Scene) -> Folded:
    view = scene.view
    if view.dry_run and view.want == "stopped":
        text = "dry run: nothing was done; it would end the stop and start it"
        return Folded(s, answer((fact.id,), "done", text))
    if view.process is not None and s.stopping is None:
        if view.ready:
            return Folded(s, answer((fact.id,), "done", f"it runs already (pid {view.process.pid})"))
        return Folded(
            replace(s, start_requests=(*s.start_requests, fact.id)),
            answer((fact.id,), "queued", "it is starting already"),
        )
    if view.owner == "healer":
        return Folded(s, answer((fact.id,), "refused", view.observed_only))
    if view.mode is Mode.ATTACH:
        text = f"regrow only attends this gateway; {view.owner_detail or 'its owner'} starts it"
        return Folded(s, answer((fact.id,), "refused", text))
    after = " after the stop under way has ended" if s.stopping is not None else ""
    stopping = s.stopping
    if stopping is not None and stopping.why == "stop":
        # the process still goes down in good order; what a person wants afterwards has changed
        overtaken = answer(stopping.requests, "failed", f"a start by {fact.by} came in between")
        stopping = replace(stopping, why="restart", requests=())
        s = replace(s, restart=_wish(fact, scene, full=True, stage_ending=True))
        queued = answer((fact.id,), "queued", f"it is started{after}")
        return Folded(replace(s, stopping=stopping), (*overtaken, *queued))
    return Folded(
        replace(
            s, governor=forgiven(s.governor), start_human=True, start_why=_why(fact), start_force=fact.force,
            refused=False, start_requests=(*s.start_requests, fact.id), owner_stale=True,
        ),
        answer((fact.id,), "queued", f"it is being started{after}"),
    )  # fmt: skip


def _why(fact: Asked) -> str:
    return f"asked for by {fact.by}" + (f": {fact.reason}" if fact.reason else "")


def _wish(fact: Asked, scene: Scene, *, full: bool = False, stage_ending: bool = False) -> Restart:
    change = Change(
        topics=fact.topics, reason=fact.reason, warnings=fact.warnings, channel_type=fact.channel_type,
        account_id=fact.account_id,
    )  # fmt: skip
    return Restart(
        reason=fact.reason or f"asked for by {fact.by}",
        asked_at=scene.at,
        due=scene.at + min(max(fact.delay, 0.0), MOST_DELAY),
        human=True,
        force=fact.force,
        requests=(fact.id,),
        full=full or fact.subject == "full",
        stage="ending" if stage_ending else "queued",
        since=scene.at,
        change=change,
    )


def _stop(s: Supervision, fact: Asked, scene: Scene) -> Folded:
    view = scene.view
    if not view.may_stop:
        who = view.owner_detail or "somebody else"
        hint = "" if view.mode is Mode.ATTACH or view.owner == "healer" else "; `regrow adopt` makes it regrow's"
        text = f"this gateway is not regrow's to stop: it belongs to {who}{hint}"
        return Folded(s, answer((fact.id,), "refused", text))
    overtaken = answer(waiting(s), "failed", f"a stop by {fact.by} came in between")
    s = replace(s, start_requests=(), start_human=False, restart=None, reload=None, refused=False, trouble="")
    if view.process is None:
        text = "it is stopped and stays so until `regrow start`"
        text = "dry run: nothing was done; it would stay stopped" if view.dry_run else text
        return Folded(s, (*overtaken, *answer((fact.id,), "done", text)))
    stopping = Stopping(
        process=view.process, why="stop", budget=scene.policy.stop_budget, reason=f"stopped by {fact.by}",
        human=True, requests=(fact.id,),
    )  # fmt: skip
    if s.stopping is not None and s.stopping.process == view.process:
        stopping = replace(
            s.stopping, why="stop", human=True, requests=(*s.stopping.requests, fact.id), reason=stopping.reason
        )
    text = f"it is finishing what it is at; that can take up to {stopping.budget:.0f} s"
    return Folded(
        replace(s, stopping=stopping),
        (*overtaken, *answer((fact.id,), "queued", text, scene.at + stopping.budget)),
    )


def _restart(s: Supervision, fact: Asked, scene: Scene) -> Folded:
    if scene.view.process is None and scene.view.owner != "remote" and s.stopping is None:
        return _start(s, fact, scene)
    wish = _wish(fact, scene)
    if s.stopping is not None:
        overtaken: tuple[Reply, ...] = ()
        if s.stopping.why == "stop":
            overtaken = answer(s.stopping.requests, "failed", f"a restart by {fact.by} came in between")
            s = replace(s, stopping=replace(s.stopping, why="restart", requests=()))
        restart = joined(s.restart, replace(wish, stage="ending"))
        queued = answer((fact.id,), "queued", "it is going down; it is started again right after")
        return Folded(replace(s, restart=replace(restart, stage="ending")), (*overtaken, *queued))
    restart = joined(s.restart, wish)
    if s.restart is not None and s.boot is not None and s.restart.stage in ("in-place", "starting"):
        restart = replace(restart, late=(*s.restart.late, fact.id))  # what boots now may have read the old settings
    text = "it is restarted as soon as the start under way has ended" if s.boot is not None else "it is restarted"
    return Folded(replace(s, restart=restart), answer((fact.id,), "queued", text, restart.due))


def _reload(s: Supervision, fact: Asked, scene: Scene) -> Folded:
    view = scene.view
    if view.want == "stopped":
        text = "it is stopped, so there is nothing to reload; the next start reads everything anew"
        return Folded(s, answer((fact.id,), "refused", text))
    mode = view.config.reload_mode if view.config is not None else "hybrid"
    if mode in ("off", "restart") or (view.process is None and view.owner != "remote"):
        return _restart(s, fact, scene)
    wish = joined(s.reload, _wish(fact, scene))
    if fact.delay > 0:  # debounced: each request starts the wait anew
        wish = replace(wish, due=scene.at + min(fact.delay, MOST_DELAY))
    text = "it is reloaded" if s.boot is None else "it is reloaded when its start has ended"
    at_once = s.boot is None and wish.due <= scene.at
    queued = () if at_once else answer((fact.id,), "queued", text, wish.due)
    return Folded(replace(s, reload=wish), queued)
