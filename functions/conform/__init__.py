"""Any upload -> `conform/<run id>.nii.gz`: the head in RAS, isotropic, float32."""
