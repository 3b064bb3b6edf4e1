"""`skull_strip/<run id>_mask.nii.gz` -> `bias_correct/<run id>.nii.gz`: the head without its bias field."""
