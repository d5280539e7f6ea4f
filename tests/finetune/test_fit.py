import dataclasses

import numpy as np
import pytest
import torch

from qualityfm.errors import TaskError
from qualityfm.finetune.config import FinetuneConfig
from qualityfm.finetune.features import body_features
from qualityfm.finetune.fit import fit_task
from qualityfm.tasks.metrics import auc

QUICK = FinetuneConfig(how="probe", max_epochs=4, batch_size=16, learning_rate=3e-3)


def auc_of(fitted, unseen):
    return auc(unseen.truth[:, 0] > 0.5, fitted.scores(unseen)[:, 0])


@pytest.mark.parametrize("how", ["probe", "full", "adapter"])
def test_each_way_learns_what_can_be_learnt(how, pretrained, question, windows, unseen):
    fitted = fit_task(pretrained, question, windows, dataclasses.replace(QUICK, how=how))
    assert auc_of(fitted, unseen) > 0.9


def test_the_plain_resnet_learns_through_the_same_loop(resnet, question, windows, unseen):
    config = FinetuneConfig(max_epochs=15, batch_size=16).for_untrained()
    assert auc_of(fit_task(resnet, question, windows, config), unseen) > 0.9


def test_attention_may_pool_the_tokens(pretrained, question, windows, unseen):
    config = dataclasses.replace(QUICK, how="full", pooling="attention")
    assert auc_of(fit_task(pretrained, question, windows, config), unseen) > 0.9


def test_several_inner_folds_calibrate_on_every_patient(pretrained, question, windows):
    fitted = fit_task(
        pretrained, question, windows, dataclasses.replace(QUICK, how="full", inner_folds=3, max_epochs=2)
    )
    assert fitted.operating.num_fitted == len(windows)


def test_one_inner_fold_calibrates_on_the_patients_set_aside(pretrained, question, windows):
    fitted = fit_task(pretrained, question, windows, dataclasses.replace(QUICK, how="full", max_epochs=1))
    assert 0 < fitted.operating.num_fitted < len(windows) / 2


def test_a_seed_repeats_a_training_bit_for_bit(pretrained, question, windows, unseen):
    config = dataclasses.replace(QUICK, how="full", max_epochs=2, seed=5)
    first, second = (fit_task(pretrained, question, windows, config).scores(unseen) for _ in range(2))
    assert np.array_equal(first, second)


def test_an_adapter_leaves_the_tokeniser_and_the_shape_of_the_weights(pretrained, question, windows):
    fitted = fit_task(pretrained, question, windows, dataclasses.replace(QUICK, how="adapter"))
    after = fitted.network.encoder.state_dict()
    assert {n: w.shape for n, w in after.items()} == {n: w.shape for n, w in pretrained.weights.items()}
    assert torch.equal(after["tokeniser.slot"], pretrained.weights["tokeniser.slot"])


def test_a_probe_leaves_the_encoder_as_it_was(pretrained, question, windows):
    after = fit_task(pretrained, question, windows, QUICK).network.encoder.state_dict()
    assert all(torch.equal(after[name], weight) for name, weight in pretrained.weights.items())


def test_a_regression_speaks_in_the_units_of_its_labels(pretrained, question, windows, unseen):
    pressures = dataclasses.replace(windows, truth=np.hstack([120 + 40 * windows.truth, 70 + 20 * windows.truth]))
    asked = dataclasses.replace(question, answer="regression", outputs=("systolic", "diastolic"))
    found = fit_task(pretrained, asked, pressures, QUICK).scores(unseen)
    expected = np.hstack([120 + 40 * unseen.truth, 70 + 20 * unseen.truth])
    assert np.abs(found - expected).mean(axis=0) == pytest.approx([0, 0], abs=10)


def test_a_regression_learns_although_some_values_are_unknown(pretrained, question, windows, unseen):
    truth = np.hstack([120 + 40 * windows.truth, np.where(np.arange(48)[:, None] % 2, np.nan, 70 + 20 * windows.truth)])
    asked = dataclasses.replace(question, answer="regression", outputs=("systolic", "diastolic"))
    found = fit_task(pretrained, asked, dataclasses.replace(windows, truth=truth), QUICK).scores(unseen)
    assert np.isfinite(found).all()


def test_several_classes_get_probabilities_that_sum_to_one(pretrained, question, windows, unseen):
    truth = np.hstack([windows.truth, 1 - windows.truth])
    asked = dataclasses.replace(question, answer="multiclass", outputs=("fast", "slow"))
    found = fit_task(pretrained, asked, dataclasses.replace(windows, truth=truth), QUICK).scores(unseen)
    assert found.sum(axis=1) == pytest.approx(1)
    assert (found.argmax(axis=1) == 1 - unseen.truth[:, 0]).mean() > 0.8


def test_kinds_of_examples_may_mean_the_opposite(pretrained, question, windows, unseen):
    asked = dataclasses.replace(question, kinds=("a", "b"))
    which, which_unseen = np.arange(48) % 2, np.arange(40) % 2
    opposed = dataclasses.replace(windows, kind=which, truth=np.where(which[:, None], 1 - windows.truth, windows.truth))
    truth = np.where(which_unseen, 1 - unseen.truth[:, 0], unseen.truth[:, 0]) > 0.5
    found = fit_task(pretrained, asked, opposed, QUICK).scores(dataclasses.replace(unseen, kind=which_unseen))
    assert auc(truth, found[:, 0]) > 0.9


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("labels", {"truth": np.ones((48, 1))}),
        ("label", {"truth": np.full((48, 1), np.nan)}),
    ],
)
def test_labels_that_teach_nothing_are_refused(field, change, pretrained, question, windows):
    with pytest.raises(TaskError, match=f": {field}: found"):
        fit_task(pretrained, question, dataclasses.replace(windows, **change), QUICK)


def test_examples_without_a_patient_are_refused(pretrained, question, windows):
    nameless = tuple(dataclasses.replace(e, group=None) for e in windows.examples)
    with pytest.raises(TaskError, match="no group"):
        fit_task(pretrained, question, dataclasses.replace(windows, examples=nameless), QUICK)


def test_an_untrained_body_gets_no_adapter(resnet, question, windows):
    with pytest.raises(TaskError, match="no adapter"):
        fit_task(resnet, question, windows, dataclasses.replace(QUICK, how="adapter"))


def test_features_of_a_frozen_body_depend_on_each_window_alone(pretrained, windows):
    together = body_features(pretrained, windows)
    alone = body_features(pretrained, windows.at(np.array([7])))
    assert together.shape == (48, 3 * 16 + 6)
    assert alone[0] == pytest.approx(together[7], abs=1e-4)
