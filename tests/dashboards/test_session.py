"""Messages a visitor sees, jobs that end with the visit, and the bar that shows them."""

import asyncio
import html

import pytest

from dashboards.jobs import JobStatus, WorkerLost
from dashboards.pages.job_bar import JobBar, status_text
from dashboards.session import MAX_MESSAGES, Superseded
from ldml.errors import Cancelled, InputError


def test_an_error_is_shown_until_the_action_is_tried_again(session, messages):
    with session.reporting("Fit"):
        raise InputError("cutoff 9 Å is too large; use at most 5 Å")
    assert messages() == ["Cutoff 9 Å is too large; use at most 5 Å."]
    assert session.messages.visible
    with session.reporting("Fit"):
        pass
    assert messages() == []
    assert not session.messages.visible


def test_each_action_has_its_own_message_and_the_oldest_goes(session, messages):
    for k in range(MAX_MESSAGES + 1):
        session.report_error(f"error {k}", source=f"action {k}")
    assert messages() == [f"error {k}" for k in range(MAX_MESSAGES, 0, -1)]


def test_a_message_can_be_dismissed(session, messages):
    session.report_info("one", "a")
    session.report_info("two", "b")
    session.messages.objects[0].closed = True
    assert messages() == ["one"]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (Superseded(), []),
        (Cancelled(), ["Fit cancelled."]),
        (RuntimeError("the worker process died"), ["The worker process died."]),
        (KeyError("x"), ["Fit failed unexpectedly (KeyError: 'x'); the server's log has the details."]),
    ],
)
def test_what_ends_an_action_is_told_in_words(session, messages, error, expected):
    with session.reporting("Fit"):
        raise error
    assert messages() == expected


def test_a_visitor_who_leaves_cancels_the_jobs(session):
    jobs = [session.submit(print) for _ in range(2)]
    session.close()
    assert all(job.cancelled for job in jobs)


class SlowJob:
    """A job that ends when the test says so."""

    def __init__(self):
        self.status, self.finish, self.stopped = JobStatus(0.5, "half way", 0), asyncio.Event(), False

    @property
    def done(self):
        return self.finish.is_set()

    def cancel(self):
        self.stopped = True
        self.finish.set()

    async def result(self, on_status=None):
        on_status(self.status)
        await self.finish.wait()
        if self.stopped:
            raise Cancelled
        return "result"


@pytest.fixture
def bar(session):
    session.runner.submit = lambda function, *args, owner: SlowJob()
    return JobBar(session)


def test_the_bar_shows_a_job_and_gives_its_result(bar):
    async def run():
        task = asyncio.create_task(bar.run(print, title="Splits"))
        await asyncio.sleep(0)
        assert bar.busy
        assert bar.view().visible
        bar._job.finish.set()
        return await task

    assert asyncio.run(run()) == "result"
    assert not bar.busy
    assert not bar.view().visible


def test_the_state_tells_whether_a_job_of_the_visitor_is_under_way(session, bar):
    async def run():
        tasks = [asyncio.create_task(JobBar(session).run(print, title=title)) for title in ("one", "two")]
        await asyncio.sleep(0)
        seen = [session.state.computing]
        for job in list(session._jobs):
            job.finish.set()
            await asyncio.sleep(0.01)
            seen.append(session.state.computing)
        await asyncio.gather(*tasks)
        return seen

    assert asyncio.run(run()) == [True, True, False]


def test_cancelling_is_not_superseding(bar):
    async def run():
        first = asyncio.create_task(bar.run(print, title="first"))
        await asyncio.sleep(0)
        second = asyncio.create_task(bar.run(print, title="second"))
        with pytest.raises(Superseded):
            await first
        assert bar.busy
        assert bar.view().visible
        bar.cancel()
        with pytest.raises(Cancelled) as caught:
            await second
        assert not isinstance(caught.value, Superseded)
        assert not bar.view().visible
        third = asyncio.create_task(bar.run(print, title="third"))
        await asyncio.sleep(0)
        bar.abandon()
        with pytest.raises(Superseded):
            await third

    asyncio.run(run())


class LostJob(SlowJob):
    """A job whose process has died."""

    async def result(self, on_status):
        raise WorkerLost("the worker process died and has been replaced")


def test_a_job_whose_worker_died_is_tried_again_or_given_up(session):
    jobs = [LostJob(), LostJob(), SlowJob()]
    jobs[-1].finish.set()
    session.runner.submit = lambda function, *args, owner: jobs.pop(0)
    bar = JobBar(session)

    async def run(answer):
        task = asyncio.create_task(bar.run(print, title="Splits"))
        while not bar._again.visible:
            await asyncio.sleep(0)
        assert bar.busy
        assert bar.view().visible
        assert "The worker process died" in bar._title.object
        answer()
        return await task

    with pytest.raises(WorkerLost):
        asyncio.run(run(bar.cancel))
    assert not bar.busy
    assert not bar.view().visible
    assert asyncio.run(run(lambda: setattr(bar._again, "clicks", 1))) == "result"
    assert not bar.view().visible
    jobs = [LostJob()]
    with pytest.raises(Superseded):
        asyncio.run(run(bar.abandon))


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (JobStatus(0.0, "", 0), "Splits · 3 s"),
        (JobStatus(0.25, "I2-00001", 0), "Splits: I2-00001 · 25 % · 3 s"),
        (JobStatus(0.0, "", 1), "Splits: waiting, 1 job ahead · 3 s"),
        (JobStatus(0.0, "", 2), "Splits: waiting, 2 jobs ahead · 3 s"),
    ],
)
def test_one_line_tells_how_a_job_goes(status, text):
    assert status_text("Splits", status, 3.2) == text


def test_what_others_wrote_is_shown_as_they_wrote_it(session):
    session.report_error("'<img src=x onerror=alert(1)>' *is* [not](javascript:alert(1)) a `file`")
    shown = session.messages.objects[0].object
    assert not set(shown) & set("<>*[]()`")
    assert html.unescape(shown) == "'<img src=x onerror=alert(1)>' *is* [not](javascript:alert(1)) a `file`"


def test_remarks_stay_on_their_page_and_errors_follow(session, messages):
    session.report_info("a remark", "a")
    session.report_error("an error", "b")
    session.state.page = "Model"
    assert messages() == ["an error"]
