"""Trains a small classifier and serves it as a Hypha service."""

import csv
import os

import numpy as np
from hypha_rpc import connect_to_server

FEATURES = ["area", "roundness"]
STEPS, RATE = 2000, 0.5


def read_cells(path):
    """Features (one row for each cell) and labels."""
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    features = np.array([[float(row[name]) for name in FEATURES] for row in rows])
    return features, [row["label"] for row in rows]


class Classifier:
    """Logistic regression for several classes, trained by gradient descent."""

    def __init__(self, features, labels):
        self.classes = sorted(set(labels))
        self.mean, self.scale = features.mean(axis=0), features.std(axis=0)
        wanted = np.array([[label == one for one in self.classes] for label in labels], float)
        inputs = self._inputs(features)
        self.weights = np.zeros((inputs.shape[1], len(self.classes)))
        for _ in range(STEPS):
            self.weights -= RATE * inputs.T @ (self._softmax(inputs) - wanted) / len(inputs)
        self.accuracy = float(np.mean(self._softmax(inputs).argmax(axis=1) == wanted.argmax(axis=1)))

    def probabilities(self, features):
        """One row for each cell, one column for each class."""
        return self._softmax(self._inputs(np.asarray(features, float)))

    def _inputs(self, features):
        standard = (features - self.mean) / self.scale
        return np.hstack([standard, np.ones((len(standard), 1))])

    def _softmax(self, inputs):
        scores = inputs @ self.weights
        powers = np.exp(scores - scores.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)


classifier = Classifier(*read_cells("cells.csv"))
print(f"Trained on {', '.join(classifier.classes)}: {classifier.accuracy:.0%} of the training set is right")


def predict(cells):
    """Classifies cells.

    ``cells`` is a list of ``{"area": square micrometres, "roundness": 0 to 1}``. Returns a list of
    ``{"label": ..., "probability": ...}`` in the same order.
    """
    try:
        features = [[float(cell[name]) for name in FEATURES] for cell in cells]
    except (KeyError, TypeError, ValueError) as error:
        expected = " and ".join(FEATURES)
        raise ValueError(f"every cell needs the numbers {expected}: {error!r}") from error
    if not features:
        return []
    return [
        {"label": classifier.classes[int(row.argmax())], "probability": round(float(row.max()), 3)}
        for row in classifier.probabilities(features)
    ]


def describe():
    """What the model knows."""
    return {"classes": classifier.classes, "features": FEATURES, "training_accuracy": classifier.accuracy}


# The worker sets these when the app runs on a server; without one, as in a local run, there is nobody to serve.
if os.environ.get("HYPHA_SERVER_URL"):
    server = await connect_to_server(
        {
            "server_url": os.environ["HYPHA_SERVER_URL"],
            "workspace": os.environ["HYPHA_WORKSPACE"],
            "client_id": os.environ["HYPHA_CLIENT_ID"],
            "token": os.environ["HYPHA_TOKEN"],
        }
    )
    await server.register_service(
        {
            "id": "default",
            "name": "Cell classifier",
            "config": {"visibility": "protected"},
            "predict": predict,
            "describe": describe,
        }
    )
    print("The service is registered")
else:
    example = [{"area": 60, "roundness": 0.95}]
    print(f"No server to serve: {example} is {predict(example)}")
