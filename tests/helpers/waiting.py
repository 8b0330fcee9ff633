"""Waiting for what is to happen: on a busy machine, a fixed time is too short, or too long."""

import time

_LONG = 120.0  # seconds, by which a thing that has not happened never will, on a busy machine too


def wait_for(condition, what="the condition", *, meanwhile=lambda: None, seconds=_LONG):
    """Wait until a condition holds, and return what it gave.

    Parameters
    ----------
    condition : callable
        Asked again and again.
    what : str
        For the message.
    meanwhile : callable
        Called between two questions: what lets the thing happen (an inbox, Qt's events).
    seconds : float
        After which it is given up.

    Raises
    ------
    TimeoutError
        If it does not hold in time.
    """
    end = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds:.0f} s for {what}")
        meanwhile()
        time.sleep(0.005)
    return found
