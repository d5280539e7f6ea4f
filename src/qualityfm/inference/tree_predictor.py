"""Trees that answer a task, as a model like any other: they score by the classical quality and have no embedding."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from qualityfm.errors import ConfigError, problem
from qualityfm.inference.scoring import Answers, Scorer
from qualityfm.models.question import Question
from qualityfm.records import Recording
from qualityfm.segments import SegmentConfig
from qualityfm.tasks.answers import TaskPrediction
from qualityfm.tasks.tree_model import TreeModel, load_tree_model


class TreePredictor(Scorer):
    """A loaded tree model.

    Args:
        trees: The model.
    """

    def __init__(self, trees: TreeModel) -> None:
        super().__init__(trees.card, SegmentConfig(), has_quality=False)
        self.trees = trees

    @property
    def question(self) -> Question:
        """What it was taught to answer."""
        return self.trees.question

    def predict_task(
        self, recording: Recording, *, starts_s: Sequence[float] | None = None, kind: str = ""
    ) -> TaskPrediction:
        """Return the answers for windows of a recording, see `TreeModel.predict_task`.

        Raises:
            SignalError: `starts_s` lies outside the recording.
        """
        return self.trees.predict_task(recording, starts_s=starts_s, kind=kind)

    def answer(
        self,
        values: Float32[np.ndarray, "segment channel time"],
        findings: Float32[np.ndarray, "segment channel second finding"] | None = None,
    ) -> Answers:
        """Refuse: there is no network to embed with.

        Raises:
            ConfigError: Always.
        """
        expected = "a model with an encoder, such as qualityfm-tiny"
        raise ConfigError(problem("no embedding", where=self.name, field="made_of", found="trees", expected=expected))

    def __repr__(self) -> str:
        return repr(self.trees)


def load_tree_predictor(folder: Path) -> TreePredictor:
    """Return the tree model in a folder.

    Raises:
        FormatError: It is damaged, or of another version.
    """
    return TreePredictor(load_tree_model(folder))
