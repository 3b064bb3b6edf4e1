"""What a person sees: results on stdout, progress and errors on stderr."""
