"""`bias_correct/<run id>.nii.gz` -> the scan's derivatives, then `normalize/<run id>.json`."""
