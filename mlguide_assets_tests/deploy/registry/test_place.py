"""Addresses of artifacts follow the store that hosts share to another place; on a real PostgreSQL."""

import pytest

from mlguide_assets.deploy.registry.place import follow_move_of_hosts
from mlguide_assets.prepare.hosts.database import connected, prepare_database

OLD, NEW = "s3://bucket/old/_shared/artifacts", "s3://other/new/_shared/artifacts"
ADDRESSES = {
    "experiments": [f"{OLD}/sample", f"{OLD}/sample_tuning", "mlflow-artifacts:/9"],
    "runs": [f"{OLD}/sample/r1/artifacts", f"{OLD}/sample_tuning/r2/artifacts", "mlflow-artifacts:/9/r3"],
    "model_versions": [f"{OLD}/sample/r1/artifacts/candidate", None],
}
COLUMNS = {"experiments": "artifact_location", "runs": "artifact_uri", "model_versions": "source"}


@pytest.fixture
def registry(database: str) -> None:
    """What MLflow has of each address. Of an older one, so it has no models that were logged."""
    prepare_database()
    with connected() as connection, connection.cursor() as cursor:
        for table, column in COLUMNS.items():
            cursor.execute(f"CREATE TABLE mlflow.{table} (id bigserial, name text, {column} text)")
            for address in ADDRESSES[table]:
                name = (address or "").rpartition("/")[2]
                cursor.execute(f"INSERT INTO mlflow.{table} (name, {column}) VALUES (%s, %s)", [name, address])


def addresses() -> dict[str, list[str | None]]:
    with connected() as connection, connection.cursor() as cursor:
        found = {}
        for table, column in COLUMNS.items():
            cursor.execute(f"SELECT {column} FROM mlflow.{table} ORDER BY id")
            found[table] = [address for (address,) in cursor.fetchall()]
    return found


def place(experiment: str) -> str:
    return f"{NEW}/{experiment}"


@pytest.mark.usefixtures("registry")
def test_what_is_in_the_new_place_is_looked_for_there_and_nothing_else() -> None:
    for _ in range(2):
        follow_move_of_hosts(place, lambda experiment: experiment == "sample")
        assert addresses() == {
            "experiments": [f"{NEW}/sample", *ADDRESSES["experiments"][1:]],
            "runs": [f"{NEW}/sample/r1/artifacts", *ADDRESSES["runs"][1:]],
            "model_versions": [f"{NEW}/sample/r1/artifacts/candidate", None],
        }


@pytest.mark.usefixtures("registry")
def test_a_host_that_names_an_empty_place_moves_nothing() -> None:
    follow_move_of_hosts(place, lambda _: False)
    assert addresses() == ADDRESSES


def test_a_database_without_a_registry_has_nothing_to_move(database: str) -> None:
    prepare_database()
    follow_move_of_hosts(place, lambda _: True)
