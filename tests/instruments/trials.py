"""A small run of every instrument: the options that make it one. A new instrument needs an entry to inherit the tests."""

EVALUATOR = {"network": "mlp(width=16)", "epochs": 1}

TRIALS = {
    "diffroar": {"levels": (0.1, 0.4), "seeds": 2, "controls": ("random",), "evaluator": EVALUATOR, "gap": 0},
    "counterfactual_differences": {
        "method": "apgd(steps=2)",
        "levels": (0.4,),
        "seeds": 2,
        "controls": (),
        "evaluator": EVALUATOR,
        "gap": 0,
    },
    "contrast": {"neighbours": 3, "controls": ("random",)},
    "fidelity": {
        "levels": (0.1, 0.4),
        "fill": ["mean", "imputation"],
        "patches": 2,
        "finetuned": "evaluators/fine-tune(epochs=1)",
    },
    "trust_radius": {"sigma": (0.02, 0.2), "copies": 8, "pairs": 1},
    "leakage": {"controls": ("random",)},
    "robustness": {"eps": (0.0, 0.1), "steps": 2},
    "alignment": {"sigma": (0.25,)},
    "manifold_robustness": {"tangents": "neighbours(neighbours=20, dimensions=4)", "samples": 2},
    "counterfactual": {"method": ["apgd(steps=3)"]},
    "region_flips": {"method": "apgd(steps=2)", "levels": (0.2, 0.4), "controls": ("random", "untrained")},
    "mask_recovery": {"fills": ["zero"], "learner": "linear", "epochs": 1, "levels": (0.4,), "sides": ["top"]},
    "sweep": {
        "families": {"noise": (0.1,)},
        "tangents": "neighbours(neighbours=20, dimensions=4)",
        "samples": 2,
        "eps": (0.5,),
        "recipe": None,
        "epochs": 1,
    },
}
