import numpy as np

from verifier.plots import MOST_CONFUSIONS, plot_confusions, plot_reliability, plot_risk_coverage

RIGHT = np.array([True, True, False, True])
SURE = np.array([0.5, 0.4, 0.1, 0.3])


def test_the_risk_curve_ends_in_the_share_of_wrong_answers():
    (axes,) = plot_risk_coverage(RIGHT, SURE, {"another rule": 0.5}).axes
    curve, control = axes.lines
    assert (curve.get_xdata()[-1], curve.get_ydata()[-1]) == (1.0, 0.25)
    assert control.get_ydata() == [0.5]


def test_the_reliability_diagram_counts_every_claim():
    upper, lower = plot_reliability(RIGHT, SURE, threshold=0.3).axes
    assert lower.patches
    assert sum(bar.get_height() for bar in lower.patches) == len(SURE)
    assert upper.get_xlim() == (0, 1)


def test_confusions_show_the_most_frequent():
    (axes,) = plot_confusions([(f"kind {i}", "cat", 99 - i) for i in range(50)]).axes
    assert len(axes.patches) == MOST_CONFUSIONS
    assert axes.get_yticklabels()[0].get_text() == "kind 0 taken for cat"


def test_without_confusions_there_is_still_a_figure():
    plot_confusions([]).canvas.draw()
