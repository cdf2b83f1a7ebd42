"""Does the window survive three hundred random actions, the same ones and fresh ones?"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ACTIONS = 300


@pytest.mark.parametrize("seed", [1, None], ids=["fixed", "fresh"])
def test_the_window_survives_random_hands(seed: int | None, tmp_path: Path) -> None:
    number = random.SystemRandom().randrange(1_000_000) if seed is None else seed
    command = [sys.executable, "-X", "faulthandler", "-m", "tests.monkey"]
    limits = ["--actions", str(ACTIONS)]
    environment = os.environ | {
        "PYTHONPATH": str(ROOT), "QT_QPA_PLATFORM": "offscreen", "XDG_STATE_HOME": str(tmp_path / "state"),
    }  # fmt: skip
    # In a process of its own: a signal ends the game, not the tests.
    for attempt in range(2):
        done = subprocess.run(
            [*command, *limits, "--seed", str(number), "--keep", str(tmp_path)],
            cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        # What a fresh seed finds has to come again to be somebody's fault; it is printed in any case.
        if done.returncode == 0 or seed is not None or attempt:
            break
        print(f"seed {number} failed once\n{done.stdout}\n{done.stderr}")
    script = tmp_path / f"monkey-{number}.script"
    lines = script.read_text().splitlines() if script.exists() else []
    assert done.returncode == 0, f"seed {number}\n{done.stdout}\n{done.stderr}\nthe script:\n" + "\n".join(lines)
    assert "nothing broke" in done.stdout
    assert len(lines) == ACTIONS + 1
