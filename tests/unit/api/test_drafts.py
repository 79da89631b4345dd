from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from huntaze_pipeline.api.drafts import CampaignRequest
from huntaze_pipeline.campaigns.draft import Arm, Draft, Known, Trial, faults

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
KNOWN = Known({"flash_sale": ["onlyfans", "email"], "teaser": ["onlyfans"]}, ["vip", "engaged"])
GOOD = Draft(name="Spring", platforms=("onlyfans", "email"), template_id="flash_sale")


def said(draft: Draft) -> dict[str, str]:
    return {problem.where: problem.what for problem in faults(draft, KNOWN, NOW)}


def test_a_plain_campaign_has_no_faults() -> None:
    assert said(GOOD) == {}


def test_every_fault_is_told_at_once_with_its_field() -> None:
    draft = Draft(
        name=" ",
        platforms=("onlyfan", "email", "email"),
        template_id="flash_sal",
        start_at=NOW + timedelta(days=2),
        end_at=NOW + timedelta(days=1),
        recurring="hourly",
        segments=("vp",),
        excluded=("nobody",),
        cap=0,
    )

    found = said(draft)

    assert set(found) == {
        "name",
        "platforms.0",
        "platforms.2",
        "templateId",
        "schedule.endDate",
        "schedule.recurring",
        "targeting.segmentIds.0",
        "targeting.excludeSegmentIds.0",
        "targeting.cap",
    }
    assert "did you mean 'vip'?" in found["targeting.segmentIds.0"]
    assert "did you mean 'flash_sale'?" in found["templateId"]
    assert "did you mean 'onlyfans'?" in found["platforms.0"]


def test_a_template_must_have_content_for_every_platform() -> None:
    assert said(replace(GOOD, template_id="teaser")) == {
        "templateId": "template teaser has no content for email"
    }


@pytest.mark.parametrize("recurring", ["daily", "weekly", "monthly", "0 18 * * 5"])
def test_known_recurrences_are_taken(recurring: str) -> None:
    assert said(replace(GOOD, recurring=recurring)) == {}


@pytest.mark.parametrize("recurring", ["", "hourly", "0 18 * *", "61 0 * * *", "@daily"])
def test_other_recurrences_are_not(recurring: str) -> None:
    assert "schedule.recurring" in said(replace(GOOD, recurring=recurring))


def test_a_repetition_that_never_comes_is_a_fault() -> None:
    found = said(replace(GOOD, recurring="0 0 30 2 *"))

    assert "never comes" in found["schedule.recurring"]


def test_an_end_in_the_past_is_a_fault() -> None:
    found = said(replace(GOOD, end_at=NOW - timedelta(seconds=1)))

    assert found == {"schedule.endDate": "is in the past"}


def test_an_experiment_is_checked_arm_by_arm() -> None:
    trial = Trial(
        arms=(Arm("a", 0), Arm("a", 0, "nothing")), metric="liked", window_s=1, fallback="c"
    )

    found = said(replace(GOOD, trial=trial))

    assert set(found) == {
        "abTests.0.variants",
        "abTests.0.metric",
        "abTests.0.window",
        "abTests.0.fallback",
        "abTests.0.variants.1.id",
        "abTests.0.variants.1.templateId",
    }


def test_the_same_request_has_the_same_hash_and_another_one_has_not() -> None:
    assert GOOD.content_hash == replace(GOOD).content_hash
    assert GOOD.content_hash != replace(GOOD, name="Summer").content_hash


def test_texts_that_say_nothing_are_told_together_with_the_other_faults() -> None:
    body = CampaignRequest.model_validate(
        {
            "name": "x",
            "platforms": ["email"],
            "templateId": "flash_sale",
            "schedule": {"startDate": "2026-03-20T10:00", "endDate": "soon"},
            "settings": {"expiresAfter": "24"},
            "abTests": [{"variants": [{"id": "a"}, {"id": "b"}], "window": "9999999999999999w"}],
        }
    )

    draft, found = body.draft()

    assert [problem.where for problem in found] == [
        "schedule.startDate",
        "schedule.endDate",
        "abTests.0.window",
        "settings.expiresAfter",
    ]
    assert draft.start_at is None
