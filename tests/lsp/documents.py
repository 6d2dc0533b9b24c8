"""Small documents that the tests open: a policy in one file, its library, its catalog and its suite."""

from __future__ import annotations

from pathlib import Path

POLICY = """\
apiVersion: engine/v1
kind: Policy
name: quota
version: 1.0.0
inputs:
  - {name: asked, type: int, description: "Tokens 🚀 asked for."}
  - {name: plan, type: string}
catalogs: [plans@1]
libraries: [{name: usage@1, as: use}]
constants:
  most: {value: 600, unit: token, description: Most tokens of a request.}
  spare: {value: 0.5, unit: ratio, description: "What is kept back, 🚀 or not."}
rule:
  variables:
    - name: allowed
      unit: token
      description: Tokens that the plan allows.
      expression: >-
        catalogs.plans[plan].tokens
        + constants.most
    - {name: rest, expression: "variables.allowed - asked"}
  match:
    - id: within
      condition: asked <= variables.allowed && use.share < constants.spare
      output: '"🚀".size() + int(variables.rest)'
    - id: over
      output: "-1"
"""

LIBRARY = """\
apiVersion: engine/v1
kind: Library
name: usage
version: 1.0.0
description: How much is used.
inputs:
  - {name: asked, type: int}
constants:
  whole: {value: 1000.0, unit: token, description: All there is.}
variables:
  - name: share
    unit: ratio
    description: Part of the whole that is asked for.
    expression: double(asked) / constants.whole
"""

CATALOG = """\
apiVersion: engine/v1
kind: Catalog
name: plans
version: 1.0.0
description: What customers pay for.
columns:
  tokens: {type: int, unit: token, description: Tokens per request.}
  channels: {type: list(string), description: Where to ask.}
entries:
  small: {tokens: 100, channels: [email]}
  large: {tokens: 1000, channels: [email, phone]}
"""

SUITE = """\
apiVersion: engine/v1
kind: Suite
policy: quota@1
tests:
  - name: within
    inputs: {asked: 1, plan: small}
    expect: {match: within}
  - name: shares
    columns: [asked, plan, match]
    cases:
      - [100, small, within]
      - [400, large, within]
      - [900, large, over]
"""


def write(folder: Path) -> Path:
    """Write all of them into a folder of policies, and return the policy's path."""
    texts = {
        "quota/1.0.0.yaml": POLICY,
        "library/usage/1.0.0.yaml": LIBRARY,
        "catalog/plans/1.0.0.yaml": CATALOG,
        "quota/tests/quota_test.yaml": SUITE,
    }
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder / "quota/1.0.0.yaml"
