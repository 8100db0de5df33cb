"""Retrain: everything from the sources to the champion, the search for a better recipe included."""

import dagster as dg

SCORING = ("user_feature_store", "batch_predictions", "best_email_per_user", "send_plan")

retraining_job = dg.define_asset_job(
    "retraining_job",
    selection=dg.AssetSelection.all() - dg.AssetSelection.assets(*SCORING, "data_drift"),
    description="Read, judge, join, search for the best recipe, train, evaluate, decide. Takes minutes.",
)
