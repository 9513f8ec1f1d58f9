"""Jobs: results, progress, cancelling, errors and dead workers."""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import job_functions
import pytest

from dashboards.jobs import GIVES_WAY, MAX_JOBS, STAGE_BYTES, JobRunner, SharedProgress
from ldml.errors import Cancelled, UnrelaxedError


@pytest.fixture(scope="module")
def runner():
    runner = JobRunner(1)
    yield runner
    runner.shutdown()


@pytest.fixture
def flag(tmp_path):
    """A file that lets `job_functions.wait_for` end, at the latest when the test is over."""
    flag = tmp_path / "flag"
    yield flag
    flag.touch()


def until(condition, seconds=20.0):
    """Wait for something that a worker process does."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def test_a_job_gives_its_result_and_tells_how_it_goes(runner):
    seen = []
    result = asyncio.run(runner.submit(job_functions.count, 8, 0.05).result(seen.append))
    assert result == sum(range(8))
    fractions = [status.fraction for status in seen]
    assert fractions == sorted(fractions)
    assert 0 < max(fractions) < 1
    assert any(status.stage.startswith("step ") for status in seen)


def test_the_page_lives_on_while_a_job_runs(runner):
    async def both():
        ticks = 0

        async def tick():
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.01)

        clock = asyncio.create_task(tick())
        await runner.submit(job_functions.count, 5, 0.1).result()
        clock.cancel()
        return ticks

    assert asyncio.run(both()) > 10


@pytest.mark.skipif(not hasattr(os, "nice"), reason="no niceness on this system")
def test_a_worker_gives_way_to_the_server(runner):
    assert asyncio.run(runner.submit(job_functions.niceness).result()) == min(os.nice(0) + GIVES_WAY, 19)


def test_cancelling_a_running_job_frees_the_worker(runner):
    job = runner.submit(job_functions.count, 3_000, 0.01)  # half a minute
    until(lambda: job.status.fraction > 0)
    job.cancel()
    assert job.done
    with pytest.raises(Cancelled):
        asyncio.run(job.result())
    assert asyncio.run(asyncio.wait_for(runner.submit(job_functions.count, 3).result(), 10)) == 3


def test_a_job_that_never_checks_is_over_at_once_for_the_page(runner, flag):
    job = runner.submit(job_functions.wait_for, str(flag))
    until(lambda: job.started)
    job.cancel()
    with pytest.raises(Cancelled):
        asyncio.run(job.result())
    flag.touch()
    assert asyncio.run(runner.submit(job_functions.count, 3).result()) == 3


def test_queued_jobs_know_their_place_and_can_be_cancelled(runner, flag):
    first = runner.submit(job_functions.wait_for, str(flag))
    until(lambda: first.started)
    others = [runner.submit(job_functions.count, 4) for _ in range(3)]
    assert [job.status.queue_position for job in (first, *others)] == [0, 1, 2, 3]
    others[1].cancel()
    with pytest.raises(Cancelled):
        asyncio.run(others[1].result())
    assert others[2].status.queue_position == 2
    flag.touch()
    assert asyncio.run(first.result()) == "seen"
    assert asyncio.run(others[2].result()) == 6


def test_a_cancelled_job_that_still_runs_stays_ahead_in_the_queue(runner, flag):
    first = runner.submit(job_functions.wait_for, str(flag))
    until(lambda: first.started)
    first.cancel()
    assert runner.submit(job_functions.count, 1).status.queue_position == 1


def test_an_error_arrives_whole(runner):
    with pytest.raises(UnrelaxedError, match="relax it") as caught:
        asyncio.run(runner.submit(job_functions.fail, "relax it").result())
    assert caught.value.max_force == 0.25


def test_owners_take_turns(runner, flag):
    first = runner.submit(job_functions.wait_for, str(flag), owner="busy")
    until(lambda: first.started)
    many = [runner.submit(job_functions.count, k, owner="busy") for k in range(3)]
    other = [runner.submit(job_functions.count, k, owner="late") for k in range(2)]
    in_turn = [many[0], other[0], many[1], other[1], many[2]]
    assert [job.status.queue_position for job in in_turn] == [1, 2, 3, 4, 5]
    many[0].cancel()
    assert [job.status.queue_position for job in (many[1], other[0], many[2], other[1])] == [1, 2, 3, 4]
    flag.touch()
    until(lambda: all(job.done for job in (*many, *other)))


def test_who_was_served_last_waits_for_all_others(runner, flag, tmp_path):
    """The order in which jobs of three owners end is that of their turns."""
    first = runner.submit(job_functions.wait_for, str(flag))
    until(lambda: first.started)
    log = tmp_path / "log"
    jobs = [
        runner.submit(job_functions.write, str(log), f"{owner}{k}", owner=owner)
        for owner, n in (("a", 3), ("b", 1), ("c", 2))
        for k in range(n)
    ]
    flag.touch()
    until(lambda: all(job.done for job in jobs))
    assert log.read_text().split() == ["a0", "b0", "c0", "a1", "c1", "a2"]


def test_a_dead_worker_is_said_and_replaced(runner):
    with pytest.raises(RuntimeError, match="worker process died"):
        asyncio.run(runner.submit(job_functions.die).result())
    assert asyncio.run(runner.submit(job_functions.count, 3).result()) == 3


def test_a_dead_worker_takes_no_other_job_along(flag):
    runner = JobRunner(2)
    try:
        running = runner.submit(job_functions.wait_for, str(flag), owner="one")
        dying = [runner.submit(job_functions.die, owner="two") for _ in range(2)]
        waiting = runner.submit(job_functions.count, 4, owner="two")
        for job in dying:
            with pytest.raises(RuntimeError, match="worker process died"):
                asyncio.run(job.result())
        assert asyncio.run(waiting.result()) == 6
        assert not running.done
        flag.touch()
        assert asyncio.run(running.result()) == "seen"
    finally:
        runner.shutdown()


def test_slots_are_given_back(runner):
    for _ in range(5):
        asyncio.run(runner.submit(job_functions.count, 1).result())
    until(lambda: len(runner._free) == MAX_JOBS)  # those of the tests before as well
    assert runner.n_jobs == 0


def test_too_many_waiting_jobs_are_refused():
    runner = JobRunner(1)
    runner._free.clear()
    with pytest.raises(RuntimeError, match="waiting already"):
        runner.submit(job_functions.count, 1)


def test_long_stage_names_stay_in_their_slot():
    numbers, stages = [0] * 8, bytearray(2 * STAGE_BYTES)
    SharedProgress(numbers, stages, 1).update(0, 1, "right")
    SharedProgress(numbers, stages, 0).update(0, 1, "Å" * 500)
    assert bytes(stages[STAGE_BYTES:]).split(b"\0")[0] == b"right"
    assert stages[STAGE_BYTES - 1] == 0


def test_workers_end_with_a_server_that_was_killed(tmp_path):
    log = tmp_path / "worker"
    script = (
        "import os, sys, time; import job_functions; from dashboards.jobs import JobRunner\n"
        "if __name__ == '__main__':\n"
        "    runner = JobRunner(1); job = runner.submit(job_functions.tell_process, sys.argv[1])\n"
        "    time.sleep(60)\n"
    )
    (tmp_path / "server.py").write_text(script)
    folder = Path(job_functions.__file__).parent
    environment = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{folder.parent.parent}"}
    server = subprocess.Popen([sys.executable, tmp_path / "server.py", log], env=environment)
    until(lambda: log.exists() and log.read_text())
    worker = int(log.read_text())
    server.kill()
    server.wait()
    until(lambda: not is_alive(worker))


def is_alive(process):
    try:
        return "Z" not in Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
