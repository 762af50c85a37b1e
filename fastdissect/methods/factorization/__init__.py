"""Coupled factorisation: what a network has learned, without any labels (Saini & Papalexakis 2021; METHODS section 4).

Inputs, neurons of several layers and pixels are clustered together: each example is a mixture of `rank` latent factors, and
each factor has an image (its pixels) and neurons (its loadings) of its own.

    red    [examples, pixels]   ~  F^T P_red^T        F: mixtures, shared by all the matrices
    layer  [examples, neurons]  ~  F^T O_layer^T

matrices.py        what is factorised: non-negative features of all examples, read in blocks of examples
settings.py        rank, penalties, rule, convergence
result.py          Factorization: mixtures, loadings, history
gathering.py gathering_*.py perturbation*.py    one forward pass -> matrices in files; perturbed copies
problem.py row_reading.py                       blocks of examples on a device, read without touching maps
sweeping.py objective.py                        one reading an iteration; the objective from its sums
updates.py group_sparse.py faithful.py convex_mixtures.py    the mixtures' and loadings' updates
initial.py streamed_svd.py solving.py restarts.py            starts, one fit, `factorize_matrices`
projection.py alignment.py rank_curve.py estimator.py saving.py
factorizing*.py                                 `factorize`: all of it for a network and a data set
*_profiles.py factor_overlap.py neuron_view.py spectrum.py impurity.py latent_images.py baselines.py    what factors mean
reading.py                                      `read_factorization`: all of these in one
"""

from __future__ import annotations
