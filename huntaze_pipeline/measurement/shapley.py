"""Shapley values: a channel's mean contribution over all orders in which channels could join.

Exact up to ten channels; beyond, from sampled orders with the standard error stated. For the usual
game (a coalition is worth the conversions of the paths that need nobody else) a closed form is
exact for any number: each path's conversions are shared equally by its channels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import factorial

import numpy as np
from numpy.typing import NDArray

from huntaze_pipeline.measurement.moments import Array
from huntaze_pipeline.measurement.paths import Paths

EXACT = 10
ORDERS = 4_000
Game = Callable[[NDArray[np.bool_]], Array]
"""Worth of coalitions, given as rows of members (coalitions × channels)."""


@dataclass(frozen=True, slots=True)
class Values:
    """Values of the channels in their order, and how exact they are."""

    value: Array
    error: Array
    """Standard error from sampling; zeros when exact."""
    method: str


def values(game: Game, players: int, orders: int = ORDERS, seed: int = 1) -> Values:
    """Shapley values of any game: exact up to `EXACT` players, sampled beyond."""
    return exact(game, players) if players <= EXACT else sampled(game, players, orders, seed)


def exact(game: Game, players: int) -> Values:
    """All coalitions, each once."""
    masks = np.arange(2**players)
    members = (masks[:, None] >> np.arange(players)) & 1 == 1
    worth, size = game(members), members.sum(1)
    chance = np.array(
        [factorial(s) * factorial(players - s - 1) / factorial(players) for s in range(players)]
    )
    result = np.zeros(players)
    for player in range(players):
        without = masks[~members[:, player]]
        gain = worth[without | (1 << player)] - worth[without]
        result[player] = gain @ chance[size[without]]
    return Values(result, np.zeros(players), "exact")


def sampled(game: Game, players: int, orders: int = ORDERS, seed: int = 1) -> Values:
    """Random orders, each also backwards; the same seed gives the same values."""
    generator = np.random.default_rng(seed)
    half = max(orders // 2, 2)
    gains = np.empty((half, players))
    for place in range(half):
        order = generator.permutation(players)
        gains[place] = (_gains(game, order) + _gains(game, order[::-1])) / 2
    error = gains.std(0, ddof=1) / np.sqrt(half)
    return Values(gains.mean(0), error, f"sampled, {2 * half} orders")


def conversions(paths: Paths) -> Values:
    """Closed form for 'conversions of the paths whose channels are all in the coalition'."""
    channels = {name: place for place, name in enumerate(paths.channels)}
    result = np.zeros(len(channels))
    for path, count in zip(paths.steps, paths.conversions, strict=True):
        unique = set(path)
        for name in unique:
            result[channels[name]] += count / len(unique)
    return Values(result, np.zeros(len(channels)), "exact (closed form)")


def rate(paths: Paths) -> Game:
    """The game 'conversion rate of the paths whose channels are all in the coalition'."""
    channels = {name: place for place, name in enumerate(paths.channels)}
    needs: dict[frozenset[int], list[float]] = {}
    for path, won, lost in zip(paths.steps, paths.conversions, paths.nulls, strict=True):
        row = needs.setdefault(frozenset(channels[name] for name in path), [0.0, 0.0])
        row[0] += won
        row[1] += won + lost
    required = np.zeros((len(needs), len(channels)))
    for place, names in enumerate(needs):
        required[place, list(names)] = 1
    totals = np.array(list(needs.values()))

    def worth(members: NDArray[np.bool_]) -> Array:
        inside = ((~members).astype(float) @ required.T == 0).astype(float)
        won, all_of = (inside @ totals).T
        return np.where(all_of > 0, won / np.where(all_of > 0, all_of, 1), 0.0)

    return worth


def _gains(game: Game, order: NDArray[np.intp]) -> Array:
    """What each player adds when players join in this order."""
    players = len(order)
    joined = np.zeros((players + 1, players), dtype=bool)
    for place, player in enumerate(order):
        joined[place + 1 :, player] = True
    gains = np.empty(players)
    gains[order] = np.diff(game(joined))
    return gains
