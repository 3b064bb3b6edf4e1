"""What the functions share: the only code that knows AWS. S3 in, one call of the science, S3 out."""
