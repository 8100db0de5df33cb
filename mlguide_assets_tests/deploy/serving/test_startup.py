"""How soon a server answers, and what it does not load for that."""

import json
import resource
import subprocess
import sys
from pathlib import Path

from mlguide_assets_tests.deploy.serving.serving import House, Server, eventually

START_SECONDS = 3.0
HEAVY = ("dagster", "mlflow", "shap", "evidently", "ibis", "duckdb", "pandas", "sklearn")

_SERVES = """
import asyncio, json, sys
from pathlib import Path
from mlguide_assets.define.loading import current_problem
from mlguide_assets.deploy.log.fault_log import FaultCounter
from mlguide_assets.deploy.serving.app import app_of
from mlguide_assets.deploy.serving.operations import Metrics
from mlguide_assets.deploy.serving.request import PredictionRequest
from mlguide_assets.deploy.serving.reach import AllowedHosts
from mlguide_assets.deploy.serving.worker_state import WorkerState
from mlguide_assets.settings import Home

home = Home(Path(sys.argv[1]))
app_of(home, hosts=AllowedHosts.of("127.0.0.1"))

async def serve():
    running = WorkerState(home, current_problem(home), None, FaultCounter(home.faults("sample")), Metrics("sample"))
    requests = [
        await running.batcher.answer(asked, "0" * 32)
        for asked in (
            PredictionRequest(units=[3, 1000], on_unknown="base_rate"),
            PredictionRequest(units=[3], candidates=[1], explain=True),
            PredictionRequest("recommend", units=[3], explain=True),
        )
    ]
    running.state()
    running.stop()
    return [bool(each.body) for each in requests]

print(json.dumps({"answered": asyncio.run(serve()), "modules": sorted(sys.modules)}))
"""


def seconds_to_the_first_answer(house: House) -> float:
    """Of computing, the stop included: those on the wall would be the other work's on this machine, too."""
    before = _seconds_of_children()
    server = Server(house.home, fresh=True)
    try:
        eventually(lambda: _answers(server), seconds=30)
    finally:
        server.stop()
    return _seconds_of_children() - before


def _seconds_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _answers(server: Server) -> bool:
    client = server.client()
    try:
        return client.post("/predict", {"user_ids": [3]}).status == 200
    except OSError:
        return False
    finally:
        client.close()


def test_a_server_answers_soon(house: House, server: Server) -> None:
    """The server that runs already has warmed what the disk holds. On a busy machine the same work costs more."""
    assert any(seconds_to_the_first_answer(house) <= START_SECONDS for _ in range(3))


def test_serving_loads_nothing_heavy(house: House, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _SERVES, str(house.home.root)], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    entry = json.loads(done.stdout)
    assert entry["answered"] == [True] * 3
    loaded = {module.partition(".")[0] for module in entry["modules"]}
    assert loaded & set(HEAVY) == set()
    assert "xgboost" in loaded
