from __future__ import annotations

import subprocess
import sys
import time

from tests.benchmarks.processes import ProcessTree

BUSY = "import time\nwhile time.process_time() < 0.5: pass\ntime.sleep(60)"
CHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {BUSY!r}])"


def test_what_a_child_of_a_child_uses_is_counted() -> None:
    with subprocess.Popen([sys.executable, "-c", CHILD]) as process:
        tree = ProcessTree(process.pid)
        end = time.monotonic() + 60
        while tree.core_seconds < 0.5 and time.monotonic() < end:
            tree.look()
            time.sleep(0.05)
        grandchildren = tree._ticks.keys() - {process.pid}
        process.kill()
    for pid in grandchildren:
        subprocess.run(["kill", str(pid)], check=False)
    assert len(grandchildren) == 1
    assert 0.5 <= tree.core_seconds < 3
    assert tree.peak_mb > 1
