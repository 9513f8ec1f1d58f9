"""What the browser tests run in worker processes, which import it by name."""

import os
import time


def wait_for(progress, path):
    """Keep a worker busy until a file appears or the job is cancelled."""
    while not os.path.exists(path):
        progress.check()
        time.sleep(0.01)
