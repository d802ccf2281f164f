"""Search, retrain, predict: `python -m search.run --model early_fusion --trials 20`.

Exit codes: 0 done, 1 nothing came of it, 2 the input is wrong, 130 interrupted, 143 by SIGTERM.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from analysis.program import fail, make_console, work_and_exit
from search import interrupts
from search.config.default_folder import own_folder
from search.config.settings import ALL, parse
from search.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from analysis.run_folder.folder import RunFolder
    from search.config.plan import Plan
    from search.config.settings import SearchSettings
    from search.console.summary import Outcome

DONE, NOTHING = 0, 1
_LIST = "--list-backbones"  # read ahead of the rest: it needs no model


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    if _LIST in (sys.argv[1:] if arguments is None else arguments):
        return _list_backbones()
    with interrupts.handled():
        try:
            with own_folder(parse(arguments)) as settings:
                return _run_all(settings) if settings.model == ALL else _run(settings)
        except SettingsError as error:
            return fail([str(error)])
        except KeyboardInterrupt:
            return fail([interrupts.words()], interrupts.exit_code())


def _list_backbones() -> int:
    from search.console.backbones import backbones_table  # noqa: PLC0415  # as below

    make_console().print(backbones_table())
    return DONE


def _run_all(settings: SearchSettings) -> int:
    from search.pipeline import multi_model as all_models  # noqa: PLC0415  # as below

    searches = all_models.settings_by_model(settings)
    one = all_models.numbered(searches, _run)
    if settings.show_space:
        return max(all_models.search_all(searches, one).values())
    if settings.dry_run:
        from search.cluster.connection import kept  # noqa: PLC0415  # what is wrong shows first

        with kept():
            return max(all_models.search_all(searches, one).values())
    deadline = all_models.deadline_of(searches)
    codes: dict[str, int] = {}
    with all_models.in_one_folder(settings, searches) as folder:
        try:
            codes = all_models.search_all(searches, one, deadline)
            if not all_models.interrupted(codes):
                codes[ALL] = _answer(folder, searches, deadline)
        except KeyboardInterrupt:  # between two searches, or amid the answer
            codes[ALL] = fail([interrupts.words()], interrupts.exit_code())
    left = list(all_models.left_over(searches, codes))
    return max([*codes.values(), *[fail(left, NOTHING)] * bool(left)])


def _answer(folder: RunFolder, searches: Mapping[str, SearchSettings], deadline: float) -> int:
    from analysis.run_folder.io import ResultsError  # noqa: PLC0415  # as below
    from search.pipeline.one_answer import give_one_answer  # noqa: PLC0415
    from search.selection.joined_runs import JoiningError  # noqa: PLC0415

    try:
        found = give_one_answer(folder, searches, deadline, make_console())
    except (ResultsError, JoiningError) as error:
        return fail([str(error)], NOTHING)
    except OSError as error:
        return fail([_spelt(error)], NOTHING)
    return NOTHING if found is None else DONE


def _run(settings: SearchSettings) -> int:
    # Here, so that --help does not wait for Ray and pandas.
    from analysis.run_folder.io import ResultsError  # noqa: PLC0415
    from search.config.plan import make_plan  # noqa: PLC0415
    from trainables.data.corpus import CorpusError  # noqa: PLC0415
    from trainables.data.splits import SplitError  # noqa: PLC0415

    try:
        plan = make_plan(settings)
        return _show_space(plan) if settings.show_space else _search(plan)
    except (CorpusError, SplitError, ResultsError) as error:
        return fail([str(error)])


def _show_space(plan: Plan) -> int:
    from search.console.live import space_table  # noqa: PLC0415  # as above
    from search.pipeline.data import with_listed_classes  # noqa: PLC0415  # as above

    plan = with_listed_classes(plan)
    console = make_console()
    console.print(f"[bold]{plan.variant.name}[/]")
    console.print(space_table(plan.space, plan.hand_tuned))
    return DONE


def _search(plan: Plan) -> int:
    from optuna.exceptions import StorageInternalError  # noqa: PLC0415  # as above

    from search.errors import ClusterError, WorkError  # noqa: PLC0415

    interrupts.say_at_once(lambda: _goes_on(plan).replace(";", "; what has ended is kept:", 1))
    try:
        return _searched(plan)
    except ClusterError as error:
        return fail([str(error)])
    except KeyboardInterrupt:
        return fail([f"{interrupts.words()}{_goes_on(plan)}"], interrupts.exit_code())
    except (OSError, StorageInternalError) as error:
        return fail([f"{_spelt(error)}{_goes_on(plan)}"], NOTHING)
    except WorkError as error:
        return fail([f"{error}{_goes_on(plan)}"], NOTHING)


def _searched(plan: Plan) -> int:
    from search.pipeline import workflow  # noqa: PLC0415
    from search.pipeline.dry_run import dry_run  # noqa: PLC0415

    console = make_console()
    if plan.settings.dry_run:
        dry_run(plan, workflow.begin(plan, console), console)
        return DONE
    return _verdict(plan, workflow.carry_out(plan, console))


def _verdict(plan: Plan, outcome: Outcome) -> int:
    from search.console.summary import why_all_failed  # noqa: PLC0415  # as above
    from search.tune.stopper import INTERRUPTED as BY_THE_USER  # noqa: PLC0415  # as above

    if outcome.stop_reason == BY_THE_USER:
        words = f"{interrupts.words()}; what ended is in {plan.folder.path}{_goes_on(plan)}"
        return fail([words], interrupts.exit_code())
    if outcome.hopeless:
        return fail([f"stopped: {outcome.stop_reason}{_goes_on(plan)}"], NOTHING)
    if outcome.best is None:
        return fail([why_all_failed(outcome.records)], NOTHING)
    return DONE


def _goes_on(plan: Plan) -> str:
    return f"; --resume {plan.folder.path} goes on with it" if plan.folder.holds_search() else ""


def _spelt(error: Exception) -> str:
    from search.errors import is_disk_full, one_line  # noqa: PLC0415  # as above

    if not isinstance(error, OSError):
        return f"the study: {error.__cause__}"  # Optuna's own message names no cause
    if is_disk_full(error):
        return f"the disk is full, free some space: {error.filename or error}"
    return one_line(error)


if __name__ == "__main__":
    work_and_exit(main)
