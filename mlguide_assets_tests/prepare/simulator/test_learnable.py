"""The world is worth learning from: a plain model on what can be observed comes close to the oracle."""

import numpy as np
import pytest
import xgboost as xgb
from sklearn.metrics import roc_auc_score

from mlguide_assets.prepare.simulator.world import World
from mlguide_assets.statistics.arrays import Flags, Floats
from mlguide_assets_tests.prepare.simulator.worlds import content, history, per_send, profiles

NUMBERS = ("age", "words_in_description", "purchases")
PARTS = ("number_of_buttons", "number_of_sections", "number_of_items")
PARAMETERS = {
    "objective": "binary:logistic",
    "eta": 0.12,
    "max_depth": 4,
    "min_child_weight": 20,
    "subsample": 0.8,
    "colsample_bytree": 0.8,
    "reg_lambda": 5,
    "nthread": 1,  # more of them wait for each other where tests share the cores
    "seed": 1,
}


@pytest.mark.slow
def test_a_plain_model_comes_within_5_percent_of_the_oracle() -> None:
    world = World()
    sent = history(world)
    features, categorical = _features(world)
    label = sent["unsubscribed"].to_numpy() == "yes"
    day = (sent["delivered_at"].to_numpy() - np.datetime64(world.start, "us")) / np.timedelta64(1, "D")
    cut = np.quantile(day, 0.75)
    train, test = day < cut - 7, (day >= cut) & (day < world.days - 7)

    def matrix(rows: Flags) -> xgb.DMatrix:
        types = ["c" if column else "q" for column in categorical]
        return xgb.DMatrix(features[rows], label[rows], feature_types=types, enable_categorical=True)

    model = xgb.train(PARAMETERS, matrix(train), 120)
    reached = roc_auc_score(label[test], model.predict(matrix(test)))
    possible = roc_auc_score(label[test], sent["probability"].to_numpy()[test])
    assert reached - 0.5 >= 0.95 * (possible - 0.5)


def _features(world: World) -> tuple[Floats, list[bool]]:
    """One row per send, and which columns are codes of a category."""
    sent, users, emails = history(world), profiles(world), content(world)
    day = np.timedelta64(1, "D")
    user, when = sent["user_id"].to_numpy(), sent["delivered_at"].to_numpy()
    second = when.astype("datetime64[s]").astype(np.int64)
    clock, place = user * 10**10 + second, np.arange(len(user))
    gap = np.append(np.nan, np.where(np.diff(user) == 0, np.diff(second), np.nan))
    columns = [
        *(per_send(users, sent, "user_id", name) for name in NUMBERS),
        *(per_send(emails, sent, "email_id", name) for name in PARTS),
        (when - per_send(users, sent, "user_id", "date_joined")) / day,
        (when - per_send(emails, sent, "email_id", "created_at")) / day,
        place - np.searchsorted(clock, clock - 7 * 86_400),
        place - np.searchsorted(clock, clock - 30 * 86_400),
        place - np.searchsorted(user, user),
        gap,
        (when.astype("datetime64[D]").astype(np.int64) + 3) % 7,
    ]
    codes = [
        np.unique(per_send(users, sent, "user_id", name).astype(str), return_inverse=True)[1]
        for name in ("gender", "country")
    ] + [
        np.unique(per_send(emails, sent, "email_id", name).astype(str), return_inverse=True)[1]
        for name in ("theme", "category")
    ]
    return np.column_stack([*columns, *codes]).astype(float), [False] * len(columns) + [True] * len(codes)
