"""The names of a candidate's files, apart from the code that writes them: to name one must not load XGBoost or Ibis."""

MODEL, ENCODING, CALIBRATION = "model.ubj", "encoding.json", "calibration.json"
FACTS, RECIPE, PROBLEM = "facts.json", "recipe.json", "problem.yaml"
PROFILE = "profile.json"
JUDGED = "judged"
