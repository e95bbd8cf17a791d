"""Loads each key's shards into PostgreSQL: see docs/howto/airflow.md."""  # noqa: INP001

import json
import os
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from subprocess import PIPE, Popen
from tempfile import TemporaryDirectory
from threading import Timer

from airflow.sdk import Variable, dag, task

# The Airflow variable that holds a key -> the key's shards, each a list of locations.
SHARDS = json.loads(Path(__file__).with_name("shards.json").read_text())
MAX_WAIT = 3900  # seconds that the API may keep a shard waiting at one go
# On top, eight hours of reading. The tap is ended then, and the next run goes on.
TIMEOUT = timedelta(seconds=MAX_WAIT, hours=8)
GRACE = timedelta(minutes=15)  # for the target to store what it has, and its state


# No retries: by then, the tap has made its own.
@task(retries=0, execution_timeout=TIMEOUT + GRACE)
def load(key: str, locations: list[str]) -> None:
    """Run tap and target for one shard, and keep each state that the target prints."""
    # A schema for each key: two companies may have rows with the same id.
    schema = key.lower().replace("_api_key", "")
    shard = sha256("\n".join(sorted(locations)).encode()).hexdigest()[:12]
    name = f"{schema}_{shard}"
    env = os.environ | {
        "TAP_BETTERDATA_API_KEY": Variable.get(key),
        "TAP_BETTERDATA_LOCATION_IDS": json.dumps(locations),
        "TAP_BETTERDATA_RATE_LIMIT_MAX_WAIT": str(MAX_WAIT),
        "TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA": schema,
    }
    with TemporaryDirectory() as folder:
        Path(folder, "state.json").write_text(Variable.get(name, default="{}"))
        words = ["tap-betterdata", "--config=ENV", "--state=state.json"]
        tap = Popen(words, cwd=folder, env=env, stdout=PIPE)  # noqa: S603
        timer = Timer(TIMEOUT.total_seconds(), tap.terminate)
        timer.start()
        try:
            words = ["target-postgres", "--config=ENV"]
            pipe = {"stdin": tap.stdout, "stdout": PIPE, "text": True}
            target = Popen(words, cwd=folder, env=env, **pipe)  # noqa: S603
            tap.stdout.close()  # the target's alone, so that the tap notices its end
            for state in target.stdout:
                if state.endswith("\n"):  # else the target died while it wrote
                    Variable.set(name, state)
            codes = tap.wait(), target.wait()
        finally:
            timer.cancel()
            tap.terminate()  # it is there still if the target could not be started
    if any(codes):
        msg = "exit codes: tap {}, target {}; the lines above say why".format(*codes)
        raise RuntimeError(msg)


@dag(
    schedule="@daily",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    max_active_tasks=len(SHARDS),
)
def betterdata() -> None:
    """Run one shard of each key at a time: the key's pool has one slot."""
    for key, shards in SHARDS.items():
        one_key = load.override(task_id=key, pool=key)
        one_key.partial(key=key).expand(locations=shards)


betterdata()
