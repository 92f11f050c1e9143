"""The headline results of this wing and how our counterpart of each is measured."""

from __future__ import annotations

from explorer.exhibit import Claim

VIG: tuple[Claim, ...] = ()
MOBILEVIG: tuple[Claim, ...] = ()
GREEDYVIG: tuple[Claim, ...] = ()
CONSTRUCTORS: tuple[Claim, ...] = ()
