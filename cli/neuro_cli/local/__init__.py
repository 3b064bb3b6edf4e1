"""The deployed pipeline on this machine: what `local` and `demo` run and watch."""
