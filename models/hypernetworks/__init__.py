"""Hypernetworks: networks that generate the weights of other networks, and the manifolds that those weights lie on."""
