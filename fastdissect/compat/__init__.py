"""Drop-in modules under the peers' names: a script goes on with its import line changed.

netdissect_lite   NetDissect-Lite
netdissect        davidbau/dissect: tally and runningstats
baukit            davidbau/baukit: its running statistics
"""

from __future__ import annotations
