"""The part of GitHub's API that issues need, behind a real loopback server, with a memory of its own."""

from __future__ import annotations

import contextlib
import re
from collections.abc import AsyncIterator
from typing import Any

from rig.web import Answer, Seen, Web, web

TOKEN = "ghp_" + "a1B2" * 9
REPO = "owner/things"


class Hub:
    """Issues and comments of one repository. `fail` is answered once instead of what would have been."""

    def __init__(self) -> None:
        self.issues: list[dict[str, Any]] = []
        self.comments: list[tuple[int, str]] = []
        self.fails: list[tuple[str, Answer]] = []
        self.labelled = True  # without push access GitHub drops labels in silence
        self.web: Web

    def fail(self, method: str, answer: Answer) -> None:
        self.fails.append((method, answer))

    def play(self, seen: Seen) -> Answer:
        if seen.headers.get("authorization") != f"Bearer {TOKEN}":
            return Answer(401, {"message": "Bad credentials"})
        for number, (method, answer) in enumerate(self.fails):
            if method == seen.method:
                del self.fails[number]
                if answer.status == 201 and answer.cut:  # it was made, and nobody heard of it
                    self._answer(seen)
                return answer
        return self._answer(seen)

    def _answer(self, seen: Seen) -> Answer:
        match seen.method, re.fullmatch(rf"/api/repos/{REPO}/issues(?:/(\d+)(/comments)?)?", seen.path):
            case "GET", re.Match() as found if found[1]:
                one = next((i for i in self.issues if i["number"] == int(found[1])), None)
                return Answer(200, one) if one else Answer(404, {"message": "Not Found"})
            case "GET", re.Match():
                page, size = int(seen.query["page"]), int(seen.query["per_page"])
                label = seen.query.get("labels")
                open_ = [i for i in self.issues[::-1] if i["state"] == "open" and (not label or label in i["labels"])]
                return Answer(200, open_[(page - 1) * size : page * size])
            case "POST", re.Match() as found if found[2]:
                self.comments.append((int(found[1]), seen.json["body"]))
                return Answer(201, {"id": len(self.comments)})
            case "POST", re.Match():
                return Answer(201, self.add(**seen.json))
            case _:
                return Answer(404, {"message": "Not Found"})

    def add(self, title: str, body: str, labels: list[str], **more: Any) -> dict[str, Any]:
        number = len(self.issues) + 1
        made = {
            "number": number, "state": "open", "title": title, "body": body,
            "labels": labels if self.labelled else [],
            "html_url": f"https://example.test/{REPO}/issues/{number}", **more,
        }  # fmt: skip
        self.issues.append(made)
        return made

    @property
    def writes(self) -> list[Seen]:
        return [seen for seen in self.web.seen if seen.method == "POST"]


@contextlib.asynccontextmanager
async def hub() -> AsyncIterator[Hub]:
    """The API for as long as the block lasts, at `hub.web.url + "/api"`."""
    made = Hub()
    async with web(made.play) as made.web:
        yield made
