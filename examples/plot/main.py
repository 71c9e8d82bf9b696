"""Reads the staged table, prints what it finds, and draws a plot."""

import csv
import time

import matplotlib.pyplot as plt
import numpy as np
from rich.table import Table
from rich.console import Console

print(open("about.txt").read().strip())
with open("data/temperatures.csv") as file:
    rows = list(csv.DictReader(file))
days = np.array([int(row["day"]) for row in rows])
celsius = np.array([float(row["celsius"]) for row in rows])

table = Table("day", "celsius")
for day, degrees in zip(days, celsius):
    table.add_row(str(day), f"{degrees:.1f}")
Console(width=40).print(table)

for step in range(3):
    print(f"fitting, step {step + 1} of 3", flush=True)
    time.sleep(0.1)
slope, start = np.polyfit(days, celsius, 1)
print(f"It gets {slope:.2f} degrees warmer each day.")

plt.plot(days, celsius, "o", label="measured")
plt.plot(days, start + slope * days, label="fitted")
plt.xlabel("day")
plt.ylabel("°C")
plt.legend()
