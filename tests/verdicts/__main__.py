"""The planted-truth suite from the command line: ``python -m tests.verdicts --simulations 200``."""

import re
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from tests.verdicts.quality import Outcome, percent, written
from tests.verdicts.settings import Setting, all_settings
from tests.verdicts.simulate import simulate
from tests.verdicts.whole import in_memory, reported

COSTLY_SHARE = 8  # sweeps of a study that takes half a second each: an eighth of the others'
ROOT = Path(__file__).parents[2]
PAGE, NUMBERS = ROOT / "docs" / "verdict-quality.md", ROOT / "benchmarks" / "results" / "verdicts.json"


@click.command()
@click.option("--simulations", type=click.IntRange(1), default=200, show_default=True, help="Per setting.")
@click.option("--settings", multiple=True, help="Only settings whose name matches; writes nothing.")
@click.option("--reports", default=1, show_default=True, help="Whole reports, with pictures, per study.")
@click.option("--list", "only_list", is_flag=True, help="List the settings and stop.")
def run(simulations: int, settings: tuple[str, ...], reports: int, only_list: bool) -> None:
    """Simulate sweeps with known truth and write how often reports are wrong to docs/verdict-quality.md."""
    chosen = [s for s in all_settings() if not settings or any(re.search(name, s.id) for name in settings)]
    if only_list:
        click.echo("\n".join(setting.id for setting in chosen))
        return
    for study in dict.fromkeys(setting.study for setting in chosen):
        check_reports(next(setting for setting in chosen if setting.study == study), reports)
    outcomes = []
    for setting in chosen:
        n = max(1, simulations // COSTLY_SHARE) if setting.costly else simulations
        outcome = Outcome(setting, simulate(setting, n))
        outcomes.append(outcome)
        click.echo(
            f"{setting.id:60s} false {percent(outcome.false_rate):>6s}  misses {percent(outcome.miss_rate):>6s}  "
            f"alone {percent(outcome.coverage):>7s}  effects shown {percent(outcome.power):>7s}  {outcome.worst[0]}"
        )
        if not settings:
            written(outcomes, PAGE, NUMBERS)  # after each: what is there is there
    if not settings:
        click.echo(f"Written: {PAGE.relative_to(ROOT)}, {NUMBERS.relative_to(ROOT)}.")


def check_reports(setting: Setting, n: int) -> None:
    """Hold what `sweeps report --records` says against what the suite counts.

    Raises:
        click.ClickException: If they differ.
    """
    for seed in range(n):
        with TemporaryDirectory() as folder:
            if reported(setting, seed, Path(folder)) != in_memory(setting, seed):
                raise click.ClickException(f"{setting.id}, seed {seed}: the report says something else.")
    click.echo(f"{setting.study}: {n} whole reports say what is counted here.")


if __name__ == "__main__":
    run()
