"""Views that cannot read the data are off, and that is said."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from search.config.plan import Plan, make_plan
from search.config.settings import parse
from search.pipeline.views import unfit_notes, without_unfit_views
from search.study.overrides import Overrides
from search.study.space import distributions
from spaces.space import Space
from trainables.data.sample import Corpus, Sample
from trainables.hyperparameter import Choices, Hyperparameter

if TYPE_CHECKING:
    from pathlib import Path

WHY = "its words are English, and 100% of the texts' letters are of other scripts"
ENGLISH, OTHER = "what a day", "\u4eca\u65e5\u306f"


SPACE = Space([Hyperparameter("lexicon", False, Choices(False, True))])


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    words = f"--model early_fusion --data demo --out {tmp_path / 'run'}"
    plan = make_plan(parse(words.split()))
    return replace(plan, space=SPACE, hand_tuned={"lexicon": True})


def corpus_of(text: str) -> Corpus:
    return Corpus("few", (Sample("1", text, None, ""),))


def choices(plan: Plan) -> Any:
    return distributions(plan.space)["lexicon"].choices  # type: ignore[attr-defined]


def test_a_view_that_can_read_the_data_stays(plan: Plan) -> None:
    assert unfit_notes(plan, corpus_of(ENGLISH)) == []
    assert without_unfit_views(plan, corpus_of(ENGLISH)) is plan


def test_a_view_that_cannot_is_off_and_said_to_be(plan: Plan) -> None:
    assert unfit_notes(plan, corpus_of(OTHER)) == [f"lexicon is off: {WHY}"]
    after = without_unfit_views(plan, corpus_of(OTHER))
    assert choices(after) == (False,)
    assert after.hand_tuned == {"lexicon": False}


def test_one_that_is_held_on_stays_and_is_doubted(plan: Plan) -> None:
    held = replace(
        plan, space=SPACE.fix({"lexicon": True}), overrides=Overrides({"lexicon": True})
    )
    assert unfit_notes(held, corpus_of(OTHER)) == [f"lexicon is held on, though {WHY}"]
    assert without_unfit_views(held, corpus_of(OTHER)) is held


def test_nothing_is_said_of_a_view_that_no_trial_reads(plan: Plan) -> None:
    for off in (SPACE.fix({"lexicon": False}), SPACE.without({"lexicon"})):
        assert unfit_notes(replace(plan, space=off), corpus_of(OTHER)) == []
