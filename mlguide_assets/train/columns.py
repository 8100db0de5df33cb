"""What the columns of this stage's tables mean, table by table."""

from mlguide_assets.define.decision import id_column, plural
from mlguide_assets.define.problem import Problem


def columns_of(problem: Problem) -> dict[str, dict[str, str]]:
    """Table → column → meaning, for every table of this stage."""
    decision, many = problem.decision, problem.decision.plural
    interval = {
        "low": f"Lower end of the 95 % interval, from a bootstrap of {plural(decision.unit)}.",
        "high": "Upper end of the 95 % interval.",
    }

    return {
        "candidate_model": {
            "candidate": "The candidate's id: a hash of its data, problem, recipe and code.",
            "trained_at": "When it was trained, UTC.",
            "facts": "Rows, windows, threshold and lineage, as JSON.",
        },
        "test_predictions": {
            **dict.fromkeys(decision.keys, f"Part of the key of a {decision.noun}."),
            **{id_column(noun): f"The {noun}." for noun in decision.nouns},
            decision.time: f"The instant of the {decision.noun}, UTC.",
            "label": "The matured outcome: 1 where it is positive, else 0.",
            "base_rate": "Probability by the base rate of the training window.",
            "logistic_regression": "Probability by the logistic regression.",
            "linear_svm": "Probability by the linear support vector machine.",
            "xgboost": "Probability by XGBoost.",
        },
        "model_evaluation": {
            "model": "The model: the candidate, a baseline, or the oracle, which is the simulator's own probability.",
            "metric": "The metric.",
            "value": "The metric on the test window.",
            **interval,
        },
        "slice_metrics": {
            "column": f"The column by which the {many} are sliced; (all) is all of them.",
            "slice": "The value of the column, or the band of its values.",
            "rows": "Rows of the test window in the slice.",
            "positives": "Rows among them with the positive outcome.",
            "metric": "The metric; *gap* is the slice's ROC AUC minus that of all rows.",
            "value": "The metric on the slice.",
            "low": "Lower end of the 95 % interval; for gaps, of all slices together.",
            "high": "Upper end of that interval.",
            "supported": "Whether the slice has enough rows of both outcomes to be compared.",
        },
        "group_metrics": {
            "column": "The sensitive column; (all) is all rows.",
            "slice": "The group: a value of the column, or the largest difference between two groups.",
            "rows": "Rows of the test window in the group.",
            "positives": "Rows among them with the positive outcome.",
            "metric": f"The metric, such as the share of rows that are {decision.above_done} (withheld_share).",
            "value": "The metric in the group, or its largest difference between groups.",
            **interval,
            "supported": "Whether the group has enough rows of both outcomes to be compared.",
        },
        "model_explanations": {
            "feature": "The feature.",
            "mean_abs_contribution": "Mean absolute SHAP contribution to the log-odds, over the rows explained.",
            "share": "Its share of the sum over all features.",
            "rank": "1 is the feature that moves the risk most.",
        },
        "behaviour_results": {
            "name": "The test: a fact that should hold of the model.",
            "kind": "What kind of test: invariance, direction or minimum functionality.",
            "passed": "Whether the fact holds.",
            "value": "What was measured.",
            "limit": "What the value may reach.",
            "rows": "Rows that were scored for the test.",
            "message": "What was changed, what should have followed, and what did.",
            "example": "The row on which the fact fails most, as JSON; null where there is none.",
        },
        "backtest_windows": {
            "window": "The training window: all history, its last days, or weights that halve with age.",
            "fold": "The fold, in the order of time, or the mean over folds.",
            "train_rows": "Rows that were learned from.",
            "roc_auc": "ROC AUC on the rows of the fold.",
            "log_loss": "Log-loss on the rows of the fold, in nats.",
            "gain": "Gain in the primary metric over training on all history.",
            "low": "Lower end of the interval of the gain, which allows for the number of windows compared.",
            "high": "Upper end of that interval.",
            "chosen": "Whether this window was chosen.",
        },
        "staleness_curve": {
            "age_days_low": "Age of the model at the start of the period, in days.",
            "age_days_high": "Its age at the end.",
            "rows": "Rows of the period.",
            "positives": "Rows among them with the positive outcome.",
            "roc_auc": "ROC AUC of the model that ages.",
            **interval,
            "retrained_roc_auc": "ROC AUC of a model that was trained just before the period.",
            "loss": "How much ROC AUC the ageing model lacks against it.",
            "loss_low": "Lower end of the 95 % interval of the loss.",
            "loss_high": "Upper end of that interval.",
        },
        "tuning_trials": {
            "trial": "The number of the trial; 0 has the default parameters.",
            "state": "How it ended: finished, pruned, or out of time.",
            "seconds": "How long it took.",
            "log_loss": "Mean log-loss over the folds that choose, in nats; null unless it finished.",
            "learning_rate": "Share of each tree that is added.",
            "max_depth": "Most splits from the root of a tree to a leaf.",
            "min_child_weight": "Least weight (sum of second derivatives) in a leaf.",
            "subsample": "Share of the rows that a tree sees.",
            "colsample_bytree": "Share of the features that a tree sees.",
            "reg_lambda": "L2 penalty on the values of the leaves.",
            "pruned_at_fold": "The fold after which the trial was given up.",
            "chosen": "Whether these parameters were chosen.",
        },
        "training_recipe": {
            "recipe": "Parameters and training window that every training uses, as JSON.",
            "reasons": "Why they were chosen.",
        },
    }
