"""A real gateway whose provider refuses: the user's turn is answered by another model, and nothing else is touched."""

from __future__ import annotations

import json

import pytest

from regrow import GatewayClient
from rig.outfit import outfit
from rig.provider import Provider
from rig.tended import Tend
from rig.turns import Turn

KEY = "agent:main:x"
ADMIN = ("operator.admin", "operator.read", "operator.write")


@pytest.mark.real
async def test_a_turn_that_is_refused_is_answered_by_another_model_and_the_session_gets_its_own_back(
    tended: Tend, provider: Provider
) -> None:
    config = outfit(provider, {"main": ("fakea/m1", "fakeb/m1")})
    async with tended(config=config) as keeper:
        await keeper.run()
        await keeper.ready()
        async with GatewayClient(keeper.gateway.url, token=keeper.gateway.token, scopes=ADMIN) as link:
            async with Turn(link, KEY) as turn:  # a good one: nothing is done
                assert (await turn.ended()).state == "final"
            assert keeper.acts() == ["start"]
            provider.mode["fakea"] = "429"
            place = keeper.now
            async with Turn(link, KEY) as turn:
                answered = await turn.ended(60.0)
            assert answered.state == "final"
            assert "fakeb/m1" in answered.text
            assert answered.seconds < 60, "the gateway alone takes more than two minutes"
            await keeper.until("self-heal:session-patched", since=place, newModel="fakeb/m1")
            await keeper.until("action:done", since=place, action="undo")
            row = (await link.call("sessions.describe", {"key": KEY}))["session"]
            assert row.get("modelOverrideSource") != "user", "what was lent is taken back"
            assert keeper.acts(place) == ["switch-model", "undo"], "nothing else was done"
        code, out = await keeper.cli("actions", "--changes", "--json")
        assert code == 0, out
        (change,) = json.loads(out)
        assert (change["kind"], change["after"]) == ("session-pin", "fakeb/m1")
        assert change["undoneAt"] is not None
        assert KEY not in keeper.said, "session keys are nobody's business"
