"""Settings of runs on images and on clips that train in a moment."""

IMAGES = [
    "data.limit=300",
    "training.batch_size=8",
    "training.eval_every=5",
    "training.eval_limit=8",
    "training.log_every=5",
    "optimizer.warmup_steps=2",
]
CLIPS = [
    *("data.image_size=16", "data.frames=6", "data.clips=8", "data.eval_clips=4"),
    *("training.batch_size=2", "training.eval_every=2", "training.eval_limit=2"),
    *("training.log_every=2", "optimizer.warmup_steps=1"),
]
SIZES = ("num_layers=1", "num_heads=2", "hidden_dim=16")
_BODY = [f"predictor.body.transformer.{size}" for size in SIZES]
_PLAIN = [f"predictor.transformer.{size}" for size in SIZES]
ENERGY = [*_BODY, "predictor.space.patch=2"]
PLAIN = [*_PLAIN, "predictor.patch=2"]
_ONE = "data.scene.count=1"
_TURNING = [
    *("data.scene=turning", "data.scene.slowest=0.2", "data.scene.fastest=0.3"),
    "data.eval_clips=24",
]

#: Recipe and settings of every run that is trained, once.
IMAGE_RUNS = {
    "ebt": ("image_denoise_ebt", ENERGY),
    "dit": ("image_denoise_dit", [*PLAIN, "predictor.steps=3"]),
    "regression": ("image_denoise_regression", PLAIN),
    "inpaint": ("image_inpaint_regression", PLAIN),
    "inpaint_ebt": ("image_inpaint_ebt", ENERGY),
    "draws": ("image_generate_ebt", [*ENERGY, "thinking.steps=3"]),
    "draws_dit": ("image_generate_dit", [*PLAIN, "predictor.steps=3"]),
    "classifier": ("image_classifier", PLAIN),
}
CLIP_RUNS = {
    "ebt": ("video_ebt", [*_BODY, _ONE]),
    "field": ("video_field_ebt", [*_BODY, _ONE, "thinking.steps=3"]),
    "tpp": ("video_transformer_pp", [*_PLAIN, _ONE]),
    "diffusion": ("video_diffusion", [*_PLAIN, _ONE]),
    "turning": ("video_ebt", [*_BODY, *_TURNING]),
    "short": ("video_transformer_pp", [*_PLAIN, _ONE, "data.frames=4"]),
    "pusht": ("video_pusht_ebt", [*_BODY, "data.scene.hold=2"]),
}
