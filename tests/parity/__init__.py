"""Parity: our networks against the stored runs of the published code.

    python -m tests.parity ../shared/golden

A folder holds *cases* (`S00-….safetensors`: input, weights, internals and outputs of one run; the description is JSON
under the metadata key `case`) and *key files* (`S00-keys-….json`: names and shapes of a released configuration).
A system is added by one file, `s<number>_<name>.py`, beside this one; see `tests.parity.adapters`.
"""
