"""Search, retrain, predict: `python -m search.run --model early_fusion --trials 20`.

Exit codes: 0 done, 1 nothing came of it, 2 the input is wrong, 130 interrupted.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from search.settings import ALL, parse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from search.plan import Plan
    from search.settings import SearchSettings

DONE, NOTHING, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: The words after the program's name; None takes this process's own.

    Returns:
        The exit code.
    """
    settings = parse(arguments)
    try:
        return _run_all(settings) if settings.model == ALL else _run(settings)
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)


def _run_all(settings: SearchSettings) -> int:
    from rich.console import Console  # noqa: PLC0415  # as below

    from search.all_models import print_comparison, search_all, settings_by_model  # noqa: PLC0415
    from search.plan import SettingsError, make_plan  # noqa: PLC0415

    try:
        searches = settings_by_model(settings)
    except SettingsError as error:
        return _fail(str(error), BAD_INPUT)
    is_demo = make_plan(next(iter(searches.values()))).source is None
    codes = search_all(searches, _run, {INTERRUPTED})
    done = [searches[name] for name, code in codes.items() if code == DONE]
    if not settings.show_space:
        print_comparison(Console(), done, reference=not is_demo)
    return max(codes.values())


def _run(settings: SearchSettings) -> int:
    # Here, so that --help does not wait for Ray and pandas.
    from search.plan import SettingsError, make_plan  # noqa: PLC0415
    from trainables.data.corpus import CorpusError  # noqa: PLC0415
    from trainables.data.splits import SplitError  # noqa: PLC0415

    try:
        plan = make_plan(settings)
    except SettingsError as error:
        return _fail(str(error), BAD_INPUT)
    if settings.show_space:
        return _show_space(plan)
    try:
        return _search(plan)
    except (CorpusError, SplitError) as error:
        return _fail(str(error), BAD_INPUT)


def _show_space(plan: Plan) -> int:
    from rich.console import Console  # noqa: PLC0415  # as above

    from search.view import space_table  # noqa: PLC0415

    Console().print(f"[bold]{plan.variant.name}[/]")
    Console().print(space_table(plan.space, plan.hand_tuned))
    return DONE


def _search(plan: Plan) -> int:
    from rich.console import Console  # noqa: PLC0415  # as above
    from rich.text import Text  # noqa: PLC0415

    from search import workflow  # noqa: PLC0415
    from search.cluster import ClusterError, WorkError  # noqa: PLC0415
    from search.summary import print_summary, why_all_failed  # noqa: PLC0415

    console = Console()
    experiment = workflow.prepare(plan)
    warning = workflow.warning(plan, experiment.corpus)
    title = workflow.title(plan, experiment.corpus)
    piped = not console.is_terminal  # then a line stays a line
    console.print(Text(title, style="bold"), soft_wrap=piped)
    if warning:
        console.print(Text(warning, style="yellow"), soft_wrap=piped)
    try:
        outcome = workflow.run_search(plan, experiment, console)
    except ClusterError as error:
        return _fail(str(error), BAD_INPUT)
    except (WorkError, OSError) as error:
        return _fail(str(error), NOTHING)
    if outcome.best is not None:
        print_summary(console, outcome, plan.folder, warning)
    if outcome.cut_off == "interrupted":
        return _fail(f"interrupted; what ended is in {plan.folder.path}", INTERRUPTED)
    if outcome.best is None:
        return _fail(why_all_failed(outcome.records), NOTHING)
    return DONE


def _fail(message: str, code: int) -> int:
    for line in message.splitlines():
        sys.stderr.write(f"error: {line}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
