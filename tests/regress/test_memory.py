"""Checks that keep results between edits find what checks from scratch find."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from engine.base.memory import GENERATIONS, Memory
from engine.cel import Environment
from engine.documents.buffers import open_buffers
from engine.regress.lint import Finding, check_paths

pytestmark = pytest.mark.slow

POLICIES = Path(__file__).parents[2] / "policies"

EDITS = [
    ("sharding/3.0.0/memory-fit.yaml", "context_part: {value: 0.9,", "context_part: {value: 9,"),
    ("sharding/3.0.0/memory-fit.yaml", "- name: dealt", "- name: dealt_layers"),
    ("library/llm-memory/1.0.0/reserves.yaml", "- name: room", "- name: rooms"),
    (
        "catalog/products/1.1.0.yaml",
        "memory_bandwidth_gbs: {type: double",
        "memory_bandwidth_gbs: {type: string",
    ),
]


def check(edited: dict[str, str], memory: Memory | None) -> tuple[Finding, ...]:
    buffers = {os.path.realpath(POLICIES / name): text.encode() for name, text in edited.items()}
    head = POLICIES / "sharding/3.0.0/policy.yaml"
    if memory is None:
        with open_buffers(buffers):
            return check_paths([head]).findings
    with open_buffers(buffers), memory.used():
        return check_paths([head]).findings


def test_edits_are_found_as_from_scratch() -> None:
    memory = Memory()
    assert check({}, memory) == ()
    for name, old, new in EDITS:
        text = (POLICIES / name).read_text()
        assert old in text
        edited = {name: text.replace(old, new, 1)}
        assert check(edited, memory) == check(edited, None) != ()
        assert check({}, memory) == ()


def test_all_of_an_environment_is_part_of_the_key() -> None:
    """A field that is added must be added to `engine.cel.recall._read_of` too."""
    assert list(Environment.__record__) == ["variables", "objects", "aliases", "records", "column_of"]


def test_results_that_are_not_asked_for_are_dropped() -> None:
    memory = Memory()
    with memory.used():
        memory.recall("kind", 1, list)
    for _ in range(2 * GENERATIONS):
        with memory.used():
            memory.recall("kind", 2, list)
    assert len(memory) == 1
