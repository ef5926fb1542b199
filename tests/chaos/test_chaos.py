"""One sweep of the chaos suite: workers, nodes, driver and tracking server break; ``make chaos`` runs twenty."""

import pytest

from tests.chaos.chaos import storm

SEED = 2  # the driver twice, a node, a notice, a worker


@pytest.mark.slow
def test_nothing_is_lost_or_doubled_under_random_faults(tmp_path):
    said: list[str] = []
    (outcome,) = storm(1, SEED, tmp_path, said.append)
    assert not outcome.broken, "\n".join(said)
    assert len(outcome.faults) == 5, "each found the sweep under way"
