"""The published client for Node, installed once a run."""

from tests.conformance.conftest import node_modules as node_modules
