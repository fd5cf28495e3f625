"""Commands that are killed at random times, with all of their processes, and given again until they end."""

import time
from collections.abc import Sequence

from tests.faults import jobs
from tests.faults.campaign import Try

PROMISE = "a killed run loses nothing: it ends as one never killed, bit for bit; nothing half-written has a final name"

_MOST_KILLS = 3


def attempt(one: Try) -> Sequence[str]:
    """Kills one job up to three times; an entry for each kill, and one for how it ended."""
    job = jobs.JOBS[one.number % len(jobs.JOBS)]
    undisturbed = jobs.whole(job)
    verdicts = []
    for _ in range(int(one.rng.integers(1, _MOST_KILLS + 1))):
        process = jobs.start(job, one.directory)
        # Later than the imports, most of the time.
        time.sleep(one.rng.uniform(0.2, 1.0) * undisturbed.seconds)
        jobs.kill(process)
        verdicts.append("; ".join(f"{job}, killed: {line}" for line in jobs.half_written(one.directory)))
    status, errors = jobs.finish(jobs.start(job, one.directory))
    return [*verdicts, _verdict(job, status, errors, jobs.results(one.directory), undisturbed.results)]


def _verdict(job: str, status: int | None, errors: str, found: dict[str, bytes], expected: dict[str, bytes]) -> str:
    if status != 0:
        return f"{job} ended with status {status} after kills: {errors[-1000:]}"
    differing = [name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)]
    return f"{job} has other results after kills: {', '.join(sorted(differing))}" if differing else ""
