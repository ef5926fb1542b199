"""The planted-truth suite from the command line: ``python -m tests.verdicts --simulations 200``."""

import re
from pathlib import Path

import click

from tests.verdicts.quality import Outcome, percent, written
from tests.verdicts.settings import all_settings
from tests.verdicts.simulate import simulate

COSTLY_SHARE = 5  # sweeps of a study that takes a second each: a fifth of the others'
ROOT = Path(__file__).parents[2]
PAGE, NUMBERS = ROOT / "docs" / "verdict-quality.md", ROOT / "benchmarks" / "results" / "verdicts.json"


@click.command()
@click.option("--simulations", type=click.IntRange(1), default=200, show_default=True, help="Per setting.")
@click.option("--settings", multiple=True, help="Only settings whose name matches; writes nothing.")
@click.option("--list", "only_list", is_flag=True, help="List the settings and stop.")
def run(simulations: int, settings: tuple[str, ...], only_list: bool) -> None:
    """Simulate sweeps with known truth and write how often reports are wrong to docs/verdict-quality.md."""
    chosen = [s for s in all_settings() if not settings or any(re.search(name, s.id) for name in settings)]
    if only_list:
        click.echo("\n".join(setting.id for setting in chosen))
        return
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


if __name__ == "__main__":
    run()
