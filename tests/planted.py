"""Files with a payload in them: whoever unpickles one leaves a marker behind."""

import base64
import io
import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import torch


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self):
        return (Path.touch, (self.marker,))


def _saved(save, content):
    buffer = io.BytesIO()
    save(content, buffer)
    return buffer.getvalue()


def _numpy(payload):
    buffer = io.BytesIO()
    np.savez(buffer, samples=np.array([payload], dtype=object))
    return buffer.getvalue()


def _archive(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name.replace("_", "."), content)
    return buffer.getvalue()


def _stable_baselines(payload):
    """Its zip, with the payload in the weights and, as it keeps objects, in the options."""
    text = base64.b64encode(pickle.dumps(payload)).decode()
    options = json.dumps({"policy_class": {":type:": "x", ":serialized:": text}, "learning_rate": 1})
    return _archive(data=options, policy_pth=_saved(torch.save, {"weights": payload}))


FORMS = {
    "pickle": pickle.dumps,
    "old pickle": lambda payload: pickle.dumps(payload, protocol=0),
    "torch": lambda payload: _saved(torch.save, payload),
    "torch, in a dictionary": lambda payload: _saved(torch.save, {"weight": torch.zeros(2), "more": [payload]}),
    "torch, before 1.6": lambda payload: _saved(
        lambda content, file: torch.save(content, file, _use_new_zipfile_serialization=False), {"weight": payload}
    ),
    "numpy": _numpy,
    "stable-baselines3": _stable_baselines,
    "zip with a pickle": lambda payload: _archive(policy_pth=pickle.dumps(payload), data=pickle.dumps(payload)),
}
"""By name: a payload to the bytes of a file."""
