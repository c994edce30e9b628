"""An issue's words: what a person needs, nothing that mentions or links by accident."""

from regrow.decide.reports import report


def test_it_names_the_thing_and_how_often_it_failed():
    wish = report("cron", "daily\n report", "job-1", failures=3, error=" boom ", done="It was disabled.", label="bug")
    assert (wish.subject, wish.key) == ("job-1", "file-issue:job-1")
    assert wish.title == "cron 'daily report' keeps failing"
    assert wish.reason == "the cron 'daily report' failed 3 times in a row"
    assert wish.label == "bug"
    assert wish.body == (
        "The cron `daily report` of an OpenClaw gateway failed 3 times in a row.\n\n"
        "- name: `daily report`\n- id: `job-1`\n- consecutive failures: `3`\n\n"
        "Last error:\n\n```text\nboom\n```\n\n"
        "It was disabled."
    )


def test_its_subject_is_that_of_the_symptom():
    assert report("plugin", "w", "weather", failures=1, error="", subject="p:weather").key == "file-issue:p:weather"


def test_what_is_not_known_is_left_out():
    wish = report("plugin", "", "weather", failures=0, error="")
    assert wish.body == "The plugin `weather` of an OpenClaw gateway failed.\n\n- name: `weather`\n- id: `weather`"


def test_an_error_is_cut_and_cannot_leave_its_block():
    wish = report("cron", "a `b` @c", "``", failures=1, error="```\n@everyone\n````" + "x" * 2000)
    assert "`` a `b` @c ``" in wish.body
    assert "``` `` ```" in wish.body
    assert "`````text\n```\n@everyone" in wish.body
    assert "x" * 1182 in wish.body
    assert "x" * 1183 not in wish.body
