"""nnU-Net's prediction of a folder, in an environment of its own: started by `beside_nnunet.py`.

python nnunet_side.py <folder with images/> <output> : CPU seconds a case, as JSON on the last line.
"""

import json
import os
import sys
import time
from pathlib import Path

NORM, KERNEL = "torch.nn.modules.instancenorm.InstanceNorm3d", [3, 3, 3]
ARCHITECTURE = {
    "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
    "arch_kwargs": {
        "n_stages": 4, "features_per_stage": [32, 64, 128, 256],
        "conv_op": "torch.nn.modules.conv.Conv3d", "kernel_sizes": [KERNEL] * 4,
        "strides": [[1] * 3, [2] * 3, [2] * 3, [2] * 3], "n_conv_per_stage": [2] * 4,
        "n_conv_per_stage_decoder": [2] * 3, "conv_bias": True, "norm_op": NORM,
        "norm_op_kwargs": {"eps": 1e-05, "affine": True}, "dropout_op": None,
        "dropout_op_kwargs": None, "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    },
    "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
}  # fmt: skip
RESAMPLING = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
PLANS = {
    "dataset_name": "Dataset004_Hippocampus", "plans_name": "nnUNetPlans",
    "image_reader_writer": "SimpleITKIO", "label_manager": "LabelManager",
    "transpose_forward": [0, 1, 2], "transpose_backward": [0, 1, 2],
    "foreground_intensity_properties_per_channel": {"0": {}},
    "configurations": {"3d_fullres": {
        "data_identifier": "nnUNetPlans_3d_fullres", "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 9, "patch_size": [40, 56, 40], "spacing": [1.0, 1.0, 1.0],
        "normalization_schemes": ["ZScoreNormalization"], "use_mask_for_norm": [False],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": RESAMPLING,
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_seg_kwargs": {**RESAMPLING, "is_seg": True, "order": 1},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": {**RESAMPLING, "order": 1},
        "architecture": ARCHITECTURE, "batch_dice": False,
    }},
}  # fmt: skip
DATASET = {
    "channel_names": {"0": "MRI"}, "labels": {"background": 0, "Anterior": 1, "Posterior": 2},
    "numTraining": 1, "file_ending": ".nii.gz",
}  # fmt: skip


def main() -> None:
    for key in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        os.environ.setdefault(key, sys.argv[2])
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    torch.set_num_threads(1)
    torch.manual_seed(0)
    kwargs, imported = ARCHITECTURE["arch_kwargs"], ARCHITECTURE["_kw_requires_import"]
    net = get_network_from_plans(
        ARCHITECTURE["network_class_name"], kwargs, imported, 1, 3, deep_supervision=False
    )
    plans = PlansManager(PLANS)
    images = sorted(Path(sys.argv[1]).glob("*.nii.gz"))
    found = {"parameters": sum(p.numel() for p in net.parameters())}
    for mirror in (False, True):
        predictor = nnUNetPredictor(
            use_mirroring=mirror, device=torch.device("cpu"), allow_tqdm=False,
            perform_everything_on_device=False,
        )  # fmt: skip
        predictor.manual_initialization(
            net, plans, plans.get_configuration("3d_fullres"), [net.state_dict()], DATASET,
            "nnUNetTrainer", (0, 1, 2),
        )  # fmt: skip

        def predict(some: list[Path], which: nnUNetPredictor = predictor) -> None:
            names = [str(Path(sys.argv[2]) / path.name.split(".")[0]) for path in some]
            which.predict_from_files_sequential([[str(path)] for path in some], names)

        predict(images[:1])
        start = time.process_time()
        predict(images)
        key = "8 reflections" if mirror else "as it is"
        found[key] = (time.process_time() - start) / len(images)
    print(json.dumps(found))


if __name__ == "__main__" and len(sys.argv) > 2:
    main()
