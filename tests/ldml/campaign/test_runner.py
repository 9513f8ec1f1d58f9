"""The runner: results in order, nothing twice, nothing finished lost."""

import numpy as np
import pytest
import small_stages

from ldml.campaign import Runner, Store, Task, TimeIsUp
from ldml.campaign import tasks as tasks_module
from ldml.campaign.executors import InProcess, Processes
from ldml.campaign.tasks import STAGES, Stage
from ldml.errors import Cancelled, InputError


@pytest.fixture(scope="module")
def pool():
    pool = Processes(2)
    yield pool
    pool.close(at_once=True)


def values(pairs):
    return [None if result is None else float(result["y"]) for _, result in pairs]


def squares(n, **more):
    return [Task("square", {"x": x, **more}) for x in range(n)]


def test_results_keep_the_order_of_the_tasks(tmp_path, pool):
    """The first ones take longest."""
    tasks = [Task("square", {"x": x, "seconds": 0.3 if x < 2 else 0.0}) for x in range(8)]
    assert values(Runner(Store(tmp_path), pool).map(tasks)) == [x**2 for x in range(8)]


def test_nothing_is_done_twice(tmp_path):
    log = tmp_path / "log"
    store, tasks = Store(tmp_path / "store"), squares(4, log=str(log))
    assert values(Runner(store).map([*tasks, tasks[0]])) == [0, 1, 4, 9, 0]
    assert values(Runner(store).map(squares(6, log=str(log)))) == [0, 1, 4, 9, 16, 25]
    assert log.read_text().split() == [*"012345"]


def test_tasks_may_grow_from_results(tmp_path, pool):
    """(x² + x)² for even squares only, the second task of each fed by the first."""
    runner = Runner(Store(tmp_path), pool)

    def second():
        for task, result in runner.map(squares(6)):
            if result["y"] % 2 == 0:
                yield Task("square", {"x": task.parameters["x"]}, (task,))

    assert values(runner.map(second())) == [(x**2 + x) ** 2 for x in (0, 2, 4)]


def test_a_source_may_wait_for_results(tmp_path, pool):
    runner, judged = Runner(Store(tmp_path), pool), []

    def one_by_one():
        for k, task in enumerate(squares(4)):
            while len(judged) < k:
                yield None
            yield task

    for _, result in runner.map(one_by_one()):
        judged.append(float(result["y"]))
    assert judged == [0, 1, 4, 9]


def test_failures_are_results(tmp_path):
    runner = Runner(Store(tmp_path))
    tasks = [Task("stubborn", {}), Task("buggy", {"x": 0}), Task("square", {"x": 2})]
    stubborn, buggy, fine = (result for _, result in runner.map(tasks))
    assert (str(stubborn["failure"]), bool(stubborn["is_final"])) == ("ConvergenceError", True)
    assert (str(buggy["failure"]), bool(buggy["is_final"])) == ("ZeroDivisionError", False)
    assert "small_stages.py" in str(buggy["message"])
    assert float(fine["y"]) == 4.0


def test_a_task_over_a_failure_is_a_mistake_of_the_plan(tmp_path):
    runner, failed = Runner(Store(tmp_path)), Task("stubborn", {})
    runner.one(failed)
    with pytest.raises(InputError, match="not in the store"):
        runner.one(Task("square", {"x": 1}, (failed,)))


def test_a_worker_that_dies_takes_only_its_task_along(tmp_path):
    """Six tasks under way when it happens; the culprit becomes a record, which is tried again only when asked for."""
    spared = tmp_path / "spared"
    store, deadly = Store(tmp_path / "store"), Task("deadly", {"spared": str(spared)})
    tasks = [*squares(3, seconds=0.1), deadly, *squares(6, seconds=0.1)[3:]]
    executor = Processes(2)
    try:
        results = [result for _, result in Runner(store, executor).map(tasks)]
        assert str(results[3].pop("failure")) == "WorkerDied"
        assert [float(result["y"]) for result in results[:3] + results[4:]] == [0, 1, 4, 9, 16, 25]
        spared.touch()
        assert "failure" in Runner(store, executor).one(deadly)
        assert float(Runner(store, executor, retry_failures=True).one(deadly)["y"]) == 1.0
    finally:
        executor.close(at_once=True)


def test_a_final_failure_is_not_tried_again(tmp_path, monkeypatch):
    store, task = Store(tmp_path), Task("stubborn", {})
    Runner(store).one(task)
    monkeypatch.setitem(STAGES, "stubborn", Stage("stubborn", 1, lambda parameters, inputs: {"y": np.array(0.0)}))
    assert "failure" in Runner(store, retry_failures=True).one(task)


def test_time_that_is_up_costs_nothing_under_way(tmp_path, pool):
    log = tmp_path / "log"
    store = Store(tmp_path / "store")
    tasks = [Task("square", {"x": x, "seconds": 0.25, "log": str(log)}) for x in range(12)]
    with pytest.raises(TimeIsUp, match="again to go on"):
        list(Runner(store, pool, seconds=0.4).map(tasks))
    done = log.read_text().split()
    assert 0 < len(done) < 12
    assert store.counts()["square"]["done"] == len(done)
    assert values(Runner(store, pool).map(tasks)) == [x**2 for x in range(12)]
    assert sorted(log.read_text().split(), key=int) == [str(x) for x in range(12)]


def test_cancelling_keeps_what_is_finished(tmp_path):
    class Impatient:
        n = 0

        def update(self, done, total, stage=""):
            pass

        def check(self):
            self.n += 1
            if self.n > 6:
                raise Cancelled

    store = Store(tmp_path)
    with pytest.raises(Cancelled):
        list(Runner(store, progress=Impatient()).map(squares(20)))
    assert 0 < store.counts()["square"]["done"] < 20


def test_shards_share_tasks_out_with_all_that_grows_from_them(tmp_path):
    store = Store(tmp_path)

    def chains(runner):
        first = [task for task, result in runner.map(squares(20)) if result is not None]
        return values(runner.map(Task("square", {"x": 1}, (task,)) for task in first))

    shares = []
    for i in (1, 2, 3):
        before = store.counts().get("square", {"done": 0})["done"]
        chains(Runner(store, shard=(i, 3)))
        shares.append(store.counts()["square"]["done"] - before)
    # each member does its squares and what grows from them, and nothing of the others
    assert sum(shares) == 40
    assert all(share > 0 and share % 2 == 0 for share in shares)
    assert None not in chains(Runner(store))


@pytest.mark.parametrize("shard", [(0, 2), (3, 2), (1, 0)])
def test_a_shard_that_does_not_exist_is_refused(tmp_path, shard):
    with pytest.raises(InputError, match="does not exist"):
        Runner(Store(tmp_path), InProcess(), shard)


def test_keys_know_everything_a_result_depends_on(monkeypatch):
    base = Task("square", {"x": 1, "y": {"fingerprint": "a"}})
    same = Task("square", {"y": {"fingerprint": "a"}, "x": 1})
    others = [
        Task("square", {"x": 1, "y": {"fingerprint": "b"}}),
        Task("buggy", {"x": 1, "y": {"fingerprint": "a"}}),
        Task("square", {"x": 1, "y": {"fingerprint": "a"}}, (same,)),
    ]
    assert base.key == same.key
    keys = {base.key, *(task.key for task in others)}
    monkeypatch.setitem(STAGES, "square", Stage("square", 2, small_stages.square))
    keys.add(Task("square", {"x": 1, "y": {"fingerprint": "a"}}).key)
    assert len(keys) == 5


def test_a_worker_of_another_version_stops_the_campaign(tmp_path, monkeypatch):
    task, store = Task("square", {"x": 1}), Store(tmp_path)
    planned = STAGES["square"]
    runner = Runner(store)
    monkeypatch.setitem(tasks_module.STAGES, "square", Stage("square", 2, planned.function))
    with pytest.raises(InputError, match="same version of ldml"):
        tasks_module.carry_out(planned, {"x": 1}, [])
    assert runner.store.get(task) is None
