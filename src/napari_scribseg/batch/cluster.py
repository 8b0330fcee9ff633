"""Many images at once with dask: worker processes on this machine, or those of a scheduler elsewhere."""

from __future__ import annotations

import importlib.util
import logging
import multiprocessing
import os
import secrets
import signal
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from napari_scribseg.batch.batch_jobs import HIDDEN, BatchOutcome, BatchTask
from napari_scribseg.batch.worker import MOST_ATTEMPTS, give_up, segment_one
from napari_scribseg.core import InputError

Client = Any  # of distributed, which is not typed
Future = Any

__all__ = ["HOW_TO_GET", "SchedulerLost", "dask_setup", "has_dask", "local_client", "remote_client", "segment_all"]

HOW_TO_GET = "pip install 'napari-scribseg[cluster]'"
log = logging.getLogger("scribseg")

TIMEOUT = 15  # seconds for a scheduler to answer
_PATIENCE = 60  # seconds for a scheduler to get its first worker
_RESUBMITS = 5
_REFRESH = 5.0  # seconds after which the number of workers is asked for again


class SchedulerLost(RuntimeError):
    """The scheduler went away in the middle of the work."""


def dask_setup(worker: Any) -> None:
    """Called by dask in each worker process of this machine: Ctrl-C is left to the process that started the workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def has_dask() -> bool:
    """Whether the packages of the extra ``cluster`` are installed."""
    return all(importlib.util.find_spec(name) for name in ("dask", "distributed"))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without dask's own messages, unless those for debugging are wanted: the report names killed workers."""
    # dask gives tornado.application a level of its own; an interrupt at the wrong moment fails in dask's own callback
    names = ("distributed", "tornado", "tornado.application", "asyncio")
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    try:
        if not log.isEnabledFor(logging.DEBUG):
            for logger in loggers:
                logger.setLevel(logging.CRITICAL)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _try_a_process() -> None:
    """Start one process as dask does; dask itself would start one that fails again and again, for ever.

    Raises
    ------
    InputError
        If it fails, mostly because it reads a script again that starts processes itself.
    """
    process = multiprocessing.get_context("spawn").Process(target=os.getpid)
    try:
        process.start()
        process.join()
        failed = process.exitcode != 0
    except RuntimeError:  # this is such a process itself
        failed = True
    if failed:
        raise InputError(
            "no worker process starts; a script that starts some needs the line `if __name__ == '__main__':`, and "
            "0 workers compute in this process"
        )


@contextmanager
def local_client(workers: int, threads: int, failures: int = 10 * MOST_ATTEMPTS) -> Iterator[Client]:
    """Worker processes on this machine, each with its share of the memory and ``threads`` threads.

    A process that takes more memory than its share is killed before the system does it, and replaced; a task fails
    when it has taken more than ``failures`` of them along.

    Raises
    ------
    InputError
        If no process starts.
    """
    import dask
    import distributed
    from distributed.system import MEMORY_LIMIT

    names = ("SCRIBSEG_NUM_THREADS", "NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    config = {
        # segment_one itself counts how often an image took its worker along; dask counts the neighbours, too
        "distributed.scheduler.allowed-failures": failures,
        # images are not kept between tasks: a worker that waits for memory to become free would wait for ever
        "distributed.worker.memory.target": False,
        "distributed.worker.memory.spill": False,
        "distributed.worker.memory.pause": False,
        "distributed.worker.memory.terminate": 0.95,
        "distributed.nanny.pre-spawn-environ": dict.fromkeys(names, str(threads)),
    }
    _try_a_process()
    with ExitStack() as stack:
        stack.enter_context(_quiet())
        stack.enter_context(dask.config.set(config))
        stack.enter_context(_unchanged(names))
        cluster = stack.enter_context(
            distributed.LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                processes=True,
                dashboard_address="127.0.0.1:0",  # there is a small HTTP server in any case; not at a known port
                memory_limit=MEMORY_LIMIT // workers,
                preload=__name__,
                silence_logs=False if log.isEnabledFor(logging.DEBUG) else logging.CRITICAL,
                # without it, whoever else is on this machine could reach the scheduler, and run code as this user
                security=True if importlib.util.find_spec("cryptography") else None,
            )
        )
        yield stack.enter_context(distributed.Client(cluster, set_as_default=False))


@contextmanager
def _unchanged(names: Iterable[str]) -> Iterator[None]:
    """At the end, variables of the environment are what they were: dask sets for good what its processes inherit."""
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def remote_client(address: str, folder: Path) -> Iterator[Client]:
    """The workers of a scheduler that runs already.

    Parameters
    ----------
    address : str
        Such as ``tcp://10.0.0.1:8786`` or ``tls://...``.
    folder : Path
        The output folder, which all workers must see.

    Raises
    ------
    InputError
        If nothing answers there, no worker comes within a minute, or a worker has another version or does not see
        the folder.
    """
    import distributed

    with _quiet():
        try:
            client = distributed.Client(address, timeout=TIMEOUT, set_as_default=False)
        except (OSError, TimeoutError, ValueError, TypeError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"no scheduler answers at {address!r} ({reason}); an address such as tcp://10.0.0.1:8786 is expected"
            ) from error
        with client:
            _check_workers(client, address, folder)
            yield client


def probe(token: str) -> tuple[str, bool]:
    """Asked of a worker: its version, and whether it sees a file."""
    from napari_scribseg import __version__

    return __version__, Path(token).is_file()


def _check_workers(client: Client, address: str, folder: Path) -> None:
    from napari_scribseg import __version__

    if not client.nthreads():
        log.info("the scheduler at %s has no workers yet; waiting for the first one", address)
    try:
        client.wait_for_workers(1, timeout=_PATIENCE)
    except TimeoutError as error:
        raise InputError(f"the scheduler at {address} got no worker in {_PATIENCE} s; start `dask worker`s") from error
    token = folder / HIDDEN / f"seen-{secrets.token_hex(6)}"
    token.touch()
    try:
        found = client.run(probe, str(token), on_error="return")
    finally:
        token.unlink(missing_ok=True)
    for worker, result in found.items():
        if isinstance(result, BaseException):
            raise InputError(
                f"the worker {worker} cannot run napari-scribseg ({type(result).__name__}: {result}); version "
                f"{__version__} is expected there"
            )
        version, sees = result
        if version != __version__:
            raise InputError(f"the worker {worker} has napari-scribseg {version}; {__version__} is expected, as here")
        if not sees:
            raise InputError(f"the worker {worker} does not see {folder}; a folder that all machines share is expected")


def segment_all(tasks: Iterable[BatchTask], client: Client) -> Generator[BatchOutcome, None, None]:
    """Do the tasks on the workers, and yield each outcome as it comes.

    Twice as many tasks as threads are with the scheduler at any time. The image of a killed worker is done by another;
    an image that kills its worker again and again fails alone.

    Raises
    ------
    SchedulerLost
        If the scheduler goes away.
    """
    import distributed

    waiting = deque((task, 0) for task in tasks)
    flying: dict[Future, tuple[BatchTask, int]] = {}
    arrivals = distributed.as_completed(loop=client.loop)
    room, refreshed = 0, float("-inf")
    try:
        while waiting or flying:
            if time.monotonic() - refreshed > _REFRESH:
                room, refreshed = max(2 * sum(client.nthreads().values()), 4), time.monotonic()
            while waiting and len(flying) < room:
                task, again = waiting.popleft()
                future = client.submit(
                    segment_one, task, key=("segment_one", task.run, task.job.out, again), pure=False, retries=1
                )
                flying[future] = (task, again)
                arrivals.add(future)
            future = next(arrivals)
            task, again = flying.pop(future)
            outcome = _collect(future, task, again)
            future.release()
            if outcome is None:
                waiting.append((task, again + 1))
            else:
                yield outcome
    finally:
        if flying:
            client.cancel(list(flying), force=True)


def _collect(future: Future, task: BatchTask, again: int) -> BatchOutcome | None:
    """The outcome of a future; None where its worker died, perhaps of another image, and it is to be sent again."""
    import distributed

    try:
        result: Any = future.result()
    except distributed.KilledWorker:
        return give_up(task) if again >= _RESUBMITS else None
    except (CancelledError, OSError) as error:
        raise SchedulerLost(
            "the scheduler is gone; finished images are kept. Run the same command again to resume"
        ) from error
    except Exception as error:  # noqa: BLE001 - such as a worker without the engine's package: the image's failure
        return BatchOutcome.of(task, "failed", error=f"{type(error).__name__}: {' '.join(str(error).split())}")
    if not isinstance(result, BatchOutcome):
        return BatchOutcome.of(task, "failed", error="the worker answered in another version's way")
    return result
