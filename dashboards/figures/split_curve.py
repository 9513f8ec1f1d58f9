"""Train and test error against the proportion of structures held out (paper, Sec. V.C)."""

from __future__ import annotations

from bokeh.models import ColumnDataSource, HoverTool, NumeralTickFormatter, Range1d
from bokeh.plotting import figure

from dashboards.figures.style import TEST, TRAIN, styled_figure
from ldml.evaluation.splits import SplitCurve


def split_plot(curve: SplitCurve, error: str = "rmse", *, height: int = 340) -> figure:
    """Mean error over the repeats with a band of one standard deviation.

    Parameters
    ----------
    curve : SplitCurve
    error : {"rmse", "mae"}
    height : int
        Pixels.

    Returns
    -------
    bokeh.plotting.figure
    """
    plot = styled_figure(x_label="proportion held out for testing", y_label=f"{error.upper()} (k_B)", height=height)
    lines, highest = [], 0.0
    for part, colour, marker in (("train", TRAIN, "circle"), ("test", TEST, "diamond")):
        mean, spread = curve.mean(f"{error}_{part}"), curve.std(f"{error}_{part}")
        highest = max(highest, (mean + spread).max())
        source = ColumnDataSource(
            {
                "proportion": curve.proportions,
                "mean": mean,
                "std": spread,
                "low": mean - spread,
                "high": mean + spread,
                "part": [part] * len(mean),
            }
        )
        plot.varea("proportion", "low", "high", source=source, fill_color=colour, fill_alpha=0.22, legend_label=part)
        plot.line("proportion", "mean", source=source, line_color=colour, line_width=2.5, legend_label=part)
        lines.append(
            plot.scatter("proportion", "mean", source=source, marker=marker, size=9, color=colour, legend_label=part)
        )
    plot.add_tools(
        HoverTool(renderers=lines, tooltips=[("", "@part, @proportion{0 %} held out: @mean{0.000} ± @std{0.000} k_B")])
    )
    plot.y_range = Range1d(0, 1.05 * highest)
    plot.xaxis.ticker = list(curve.proportions)
    plot.xaxis.formatter = NumeralTickFormatter(format="0 %")
    plot.legend.location = "top_left"
    plot.legend.click_policy = "hide"
    plot.legend.background_fill_alpha = 0.7
    return plot
