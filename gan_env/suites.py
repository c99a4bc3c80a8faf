"""The suites that come with the project."""

from __future__ import annotations

import dataclasses

from gan_env.instances import Suite, Task, register_suite

_POINTS = Task(
    data="ring",
    resolution=None,
    backbone="mlp",
    backbone_options=(("latent_size", 8), ("width", 64)),
    batch_size=64,
    updates_per_step=20,
    decisions=25,
    metric="squared sliced W2, n=2048",
    worst_grade=10.0,
    worst_proxy=10.0,
    proxy_samples=512,
    grade_samples=2048,
)
_IMAGES = Task(
    data="faces",
    resolution=16,
    backbone="dcgan",
    backbone_options=(("latent_size", 32), ("width", 8)),
    batch_size=16,
    updates_per_step=10,
    decisions=30,
    metric="FD efficientnet-lite0@64/6, n=256",
    worst_grade=4000.0,
    worst_proxy=10.0,
    proxy_samples=128,
    grade_samples=256,
)
_FEWER = {"validation": 32, "test": 32}

# Each noop_grade and noop_tenth are of 64 training instances: scripts/noop_grades.py, docs/results/noop-grades.json.
RING = dataclasses.replace(_POINTS, noop_grade=1.196, noop_tenth=0.0709)
GRID = dataclasses.replace(_POINTS, data="grid", noop_grade=1.8, noop_tenth=0.0346)
FAST_GRID = dataclasses.replace(GRID, updates_per_step=5, decisions=100)
FACES = dataclasses.replace(_IMAGES, noop_grade=1690.4, noop_tenth=0.611)
DIGITS = dataclasses.replace(_IMAGES, data="digits", noop_grade=1166.6, noop_tenth=0.362)
RGB_DIGITS = dataclasses.replace(_IMAGES, data="digits-rgb", noop_grade=2424.9, noop_tenth=0.438)
GLYPHS = dataclasses.replace(_IMAGES, data="glyphs", noop_grade=1974.7, noop_tenth=0.822)
PHOTOS = dataclasses.replace(_IMAGES, data="photos", noop_grade=1424.4, noop_tenth=0.676)
# Longer, under other losses, with more decisions or with more updates between them, and without what keeps a
# discriminator in check.
LONG_RING = dataclasses.replace(
    _POINTS, updates_per_step=10, decisions=200, loss="hinge", noop_grade=1.268, noop_tenth=0.0288
)
SQUARE_RING = dataclasses.replace(
    _POINTS,
    updates_per_step=5,
    decisions=100,
    loss="least_squares",
    betas=(0.0, 0.9),
    noop_grade=1.119,
    noop_tenth=0.0655,
)
_PLAIN = (*_IMAGES.backbone_options, ("spectral_norm", False))
LONG_FACES = dataclasses.replace(_IMAGES, decisions=120, loss="hinge", noop_grade=1242.1, noop_tenth=0.659)
PLAIN_FACES = dataclasses.replace(
    _IMAGES, updates_per_step=5, decisions=120, backbone_options=_PLAIN, noop_grade=1459.8, noop_tenth=0.664
)
PLAIN_DIGITS = dataclasses.replace(
    RGB_DIGITS, loss="least_squares", backbone_options=_PLAIN, betas=(0.5, 0.99), noop_grade=2322.3, noop_tenth=0.537
)
PLAIN_GLYPHS = dataclasses.replace(GLYPHS, loss="hinge", backbone_options=_PLAIN, noop_grade=1983.1, noop_tenth=0.784)
# WGAN-GP (arXiv 1704.00028, algorithm 1): its penalty, its betas, and for points its five steps of the critic.
PENALISED_RING = dataclasses.replace(
    _POINTS,
    updates_per_step=5,
    decisions=60,
    loss="wasserstein",
    betas=(0.0, 0.9),
    constants=(("gp_weight", 10.0), ("update_ratio", 5.0)),
    noop_grade=1.029,
    noop_tenth=0.717,
)
PENALISED_PHOTOS = dataclasses.replace(
    PHOTOS,
    backbone_options=_PLAIN,
    loss="wasserstein",
    betas=(0.0, 0.9),
    constants=(("gp_weight", 10.0),),
    noop_grade=1547.0,
    noop_tenth=0.492,
)
# Wider, and so violent: at a rate of 1e-2 such a discriminator's logits pass 20 within ten updates.
WIDE_DIGITS = dataclasses.replace(
    RGB_DIGITS,
    updates_per_step=5,
    decisions=60,
    backbone_options=(("latent_size", 32), ("width", 24), _PLAIN[-1]),
    noop_grade=1830.1,
    noop_tenth=0.543,
)
WIDE_PHOTOS = dataclasses.replace(
    PHOTOS,
    decisions=40,
    loss="hinge",
    backbone_options=(("latent_size", 32), ("width", 32), _PLAIN[-1]),
    noop_grade=1294.6,
    noop_tenth=0.602,
)
LONG_PHOTOS = dataclasses.replace(
    _IMAGES, data="photos", updates_per_step=40, loss="hinge", noop_grade=1139.3, noop_tenth=0.613
)
_FIVE = {"mixtures": RING, "digits": RGB_DIGITS, "faces": FACES, "glyphs": GLYPHS, "photos": PHOTOS}

for _suite in (
    Suite("ring", "8 Gaussians on a ring, small perceptrons; an episode takes seconds", (RING,)),
    Suite("grid", "25 Gaussians on a grid, small perceptrons", (GRID,)),
    Suite("faces", "cartoon faces at 16 pixels, a small DCGAN", (FACES,), held_out=_FEWER),
    Suite("digits", "handwritten digits at 16 pixels, a small DCGAN", (DIGITS,), held_out=_FEWER),
    Suite("glyphs", "coloured letters at 16 pixels, a small DCGAN", (GLYPHS,), held_out=_FEWER),
    Suite("photos", "patches of photographs at 16 pixels, a small DCGAN", (PHOTOS,), held_out=_FEWER),
    Suite("mixed", "all five kinds of data, points and images side by side", tuple(_FIVE.values())),
    Suite(
        "varied",
        "points and images, 25 to 200 decisions, 5 to 40 updates apart, four losses: for use elsewhere",
        (
            RING,
            FAST_GRID,
            LONG_RING,
            SQUARE_RING,
            PENALISED_RING,
            LONG_FACES,
            PLAIN_FACES,
            PLAIN_DIGITS,
            PLAIN_GLYPHS,
            PHOTOS,
            LONG_PHOTOS,
            PENALISED_PHOTOS,
            WIDE_DIGITS,
            WIDE_PHOTOS,
        ),
    ),
    *(
        Suite(
            f"transfer-{name}",
            f"trained on the four other kinds of data, tested on {task.data}",
            tuple(other for other in _FIVE.values() if other is not task),
            test_tasks=(task,),
        )
        for name, task in _FIVE.items()
    ),
):
    register_suite(_suite)
