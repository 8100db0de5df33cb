import os

# Waiting threads sleep instead of spinning, which OpenMP reads when scikit-learn or XGBoost first load it: on two
# cores that other processes use as well, spinning made XGBoost four times as slow.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
