"""Draws of whole clusters, the same whatever the order of the rows and however many are asked for."""

import numpy as np
import pytest

from mlguide_assets.statistics.bootstrap import ClusterBootstrap


def test_draws_are_whole_clusters_with_replacement() -> None:
    bootstrap = ClusterBootstrap(np.array(["b", "a", "b", "c"]), repeats=500)
    counts = np.hstack(list(bootstrap.draws()))
    assert counts.shape == (3, 500)
    assert (counts.sum(axis=0) == 3).all()
    assert counts.mean(axis=1) == pytest.approx(np.ones(3), abs=0.15)
    weights = bootstrap.row_weights(counts)
    np.testing.assert_array_equal(weights[0], weights[2])


def test_more_repeats_begin_with_the_same_and_order_of_rows_is_irrelevant() -> None:
    clusters = np.random.default_rng(0).integers(30, size=200)
    few = np.hstack(list(ClusterBootstrap(clusters, repeats=10, seed=4).draws()))
    many = np.hstack(list(ClusterBootstrap(clusters[::-1], repeats=90, seed=4).draws(at_once=13)))
    other = np.hstack(list(ClusterBootstrap(clusters, repeats=10, seed=5).draws()))
    np.testing.assert_array_equal(many[:, :10], few)
    assert (other != few).any()
