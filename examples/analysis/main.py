"""Fits exponential growth to optical densities from a plate reader, one rate for each strain."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

# Below the first value the reader sees noise, above the second the culture is no longer growing freely.
LOWEST_DENSITY, HIGHEST_DENSITY = 0.02, 0.2


def growth_rate(hours, density):
    """Slope of the logarithm of the density (1/h), and the fitted start (log density at 0 h)."""
    free = (density > LOWEST_DENSITY) & (density < HIGHEST_DENSITY)
    rate, start = np.polyfit(hours[free], np.log(density[free]), 1)
    return rate, start


plate = pd.read_csv("data/plate.csv")
blank = plate.loc[plate["strain"] == "blank", "density"].mean()
plate = plate[plate["strain"] != "blank"]
plate = plate.assign(density=plate["density"] - blank)
print(f"{len(plate)} wells read, blank {blank:.3f} subtracted")

fits = {
    strain: growth_rate(wells["hours"].to_numpy(), wells["density"].to_numpy())
    for strain, wells in plate.groupby("strain")
}
rates = pd.DataFrame(fits, index=["rate", "start"]).T.rename_axis("strain")
rates["doubling_minutes"] = 60 * np.log(2) / rates["rate"]
rates[["rate", "doubling_minutes"]].round(3).to_csv("growth_rates.csv")
print(rates[["rate", "doubling_minutes"]].round(2).to_string())

figure, axes = plt.subplots(figsize=(6, 4))
for strain, wells in plate.groupby("strain"):
    mean = wells.groupby("hours")["density"].mean()
    (points,) = axes.plot(mean.index, mean, "o", markersize=4, label=strain)
    fitted = np.exp(rates.loc[strain, "start"] + rates.loc[strain, "rate"] * mean.index)
    shown = fitted < HIGHEST_DENSITY
    axes.plot(mean.index[shown], fitted[shown], color=points.get_color(), linewidth=1)
axes.set(yscale="log", xlabel="hours", ylabel="optical density", title="Growth of three strains")
axes.legend(frameon=False)
axes.spines[["top", "right"]].set_visible(False)
