"""Hypergraphs: networks in which patches exchange messages through hyperedges that join any number of them."""
