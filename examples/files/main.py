"""Finds the peaks of spectra: files in (data/, settings.json), files out (results/). Standard library only."""

import csv
import json
from pathlib import Path

RESULTS = Path("results")
WIDTH, HEIGHT = 480, 160


def read_spectrum(path):
    """Wavelengths (nm) and absorbances of one file; lines that begin with # are comments."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    rows = csv.DictReader(lines, delimiter="\t")
    return zip(*((float(row["wavelength"]), float(row["absorbance"])) for row in rows))


def smooth(values, width):
    """Running mean over `width` points, fewer at both ends."""
    half = width // 2
    windows = (values[max(0, at - half) : at + half + 1] for at in range(len(values)))
    return [sum(window) / len(window) for window in windows]


def find_peaks(wavelengths, values, least_height):
    """Local maxima at least so high, as (wavelength, height)."""
    return [
        (wavelengths[at], values[at])
        for at in range(1, len(values) - 1)
        if values[at - 1] < values[at] >= values[at + 1] and values[at] >= least_height
    ]


def draw(path, values):
    """A small picture of one spectrum."""
    top = max(values)
    points = " ".join(
        f"{WIDTH * at / (len(values) - 1):.1f},{HEIGHT * (1 - value / top):.1f}"
        for at, value in enumerate(values)
    )
    path.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}">'
        f'<polyline points="{points}" fill="none" stroke="teal" stroke-width="2"/></svg>\n'
    )


settings = json.loads(Path("settings.json").read_text())
RESULTS.mkdir(exist_ok=True)
with open(RESULTS / "peaks.csv", "w", newline="") as file:
    table = csv.writer(file)
    table.writerow(["sample", "wavelength", "height"])
    for path in sorted(Path("data").glob("*.txt")):
        wavelengths, absorbances = read_spectrum(path)
        smoothed = smooth(absorbances, settings["smoothing"])
        peaks = find_peaks(wavelengths, smoothed, settings["least_height"])
        for wavelength, height in peaks:
            table.writerow([path.stem, f"{wavelength:.0f}", f"{height:.2f}"])
        draw(RESULTS / f"{path.stem}.svg", smoothed)
        where = ", ".join(f"{wavelength:.0f} nm" for wavelength, _ in peaks)
        print(f"{path.stem}: {len(peaks)} peaks at {where}")
