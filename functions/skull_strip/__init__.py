"""`conform/<run id>.nii.gz` -> `skull_strip/<run id>_mask.nii.gz`: where the brain is."""
