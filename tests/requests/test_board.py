"""The board of requests: order, bounds, cancelling, and that none is lost among threads."""

import threading

import pytest

from m2iv_robot.errors import RequestError
from m2iv_robot.requests.board import CANCELLED, CANCELLING, DONE, FAILED, REMEMBERED, RUNNING, WAITING, RequestBoard


def test_requests_run_one_at_a_time_in_the_order_of_arrival():
    board = RequestBoard(limit=2)
    assert [board.submit(name) for name in "ab"] == [1, 2]
    first = board.take()
    assert (first.request, first.state) == ("a", RUNNING)
    assert board.take() is None
    board.end(first.id, DONE, "")
    assert board.take().request == "b"


def test_a_full_queue_refuses_and_says_who_is_in_the_way():
    board = RequestBoard(limit=1)
    board.submit("a")
    board.take()
    board.submit("b")
    with pytest.raises(RequestError, match=r"request 1 is running, 1 wait \(queue_limit 1\)"):
        board.submit("c")
    board.cancel(2)
    assert board.submit("c") == 3


def test_without_a_queue_one_request_is_allowed():
    board = RequestBoard(limit=0)
    board.submit("a")
    with pytest.raises(RequestError, match="the queue is full"):
        board.submit("b")


def test_a_waiting_request_is_cancelled_at_once_and_a_running_one_when_its_worker_stops():
    board = RequestBoard(limit=3)
    for name in "abc":
        board.submit(name)
    board.take()
    assert board.cancel() == [1, 2, 3]
    assert [entry.state for entry in board.entries] == [CANCELLING, CANCELLED, CANCELLED]
    assert board.take() is None  # the first has not stopped yet
    board.end(1, CANCELLED, "")
    with pytest.raises(RequestError, match="request 1 has ended: cancelled"):
        board.cancel(1)
    with pytest.raises(RequestError, match="no request 9"):
        board.cancel(9)


def test_progress_and_outcome_are_told():
    board = RequestBoard(limit=1)
    board.submit("a")
    board.take()
    board.progress(1, 0.4, "rendering")
    board.count(1, True)
    board.count(1, False)
    entry = board.get(1)
    assert (entry.share, entry.message, entry.written, entry.rejected) == (0.4, "rendering", 1, 1)
    assert board.end(1, FAILED, "no weights").message == "no weights"
    assert board.end(1, DONE, "").state == FAILED  # the first word counts


def test_old_outcomes_are_forgotten_but_no_request_that_is_under_way():
    board = RequestBoard(limit=0)
    for _ in range(REMEMBERED + 5):
        ident = board.submit("a")
        board.take()
        board.end(ident, DONE, "")
    ident = board.submit("b")
    assert board.get(ident).state == WAITING
    assert len(board.entries) == REMEMBERED + 1
    with pytest.raises(RequestError, match="no request 1 is known"):
        board.get(1)


def test_no_request_is_lost_or_run_twice_among_threads():
    board, taken, given = RequestBoard(limit=10_000), [], []

    def submit():
        given.extend(board.submit(None) for _ in range(50))

    def work():
        while len(taken) < 400:
            entry = board.take()
            if entry is not None:
                taken.append(entry.id)
                board.end(entry.id, DONE, "")

    threads = [threading.Thread(target=submit) for _ in range(8)] + [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(given) == sorted(taken)
    assert len(set(taken)) == 400
