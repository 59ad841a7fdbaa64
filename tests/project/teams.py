"""Three people who decide in a project, each with a key of their own."""

from __future__ import annotations

from typing import Any

import pytest

from scalekit.decide import DecisionRefusedError
from scalekit.signing import SIGNER, Signer

WHY = "the next delivery fills both gaps"
LABEL = [{"item_id": "T-1001", "annotator": "ana", "value": "returns"}]


class Team:
    """A project with a policy of three people; each acts with a key of their own."""

    def __init__(self, project: Any) -> None:
        self.project = project
        keys = {"ben": Signer.load("ben"), "dora": Signer.load("dora")}
        others = {name: signer.public.hex() for name, signer in keys.items()}
        self.ana = project.decide
        with pytest.raises(DecisionRefusedError, match="ana may not sign a policy"):
            self.ana.found("ana", others, team=["ana"], tpm=["ben"], director=["dora"])
        self.dora = self.ana.acting(keys["dora"])
        public = Signer.load(SIGNER).public.hex()
        others = {"ana": public, "ben": others["ben"]}
        self.dora.found("dora", others, team=["ana"], tpm=["ben"], director=["dora"])
        self.ben = self.ana.acting(keys["ben"])


def waived(team: Team, **facts: Any) -> Any:
    asked = team.ana.propose("waive_gate", "audit", reason=WHY, **facts)
    return team.ben.approve(asked.id)


def state(project: Any) -> str:
    return {s.stage: s.state for s in project.board().states}["audit"]
