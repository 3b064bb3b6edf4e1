"""`python -m neuro_cli` is the `neuro-preprocess` command."""

from neuro_cli.main import main

main(prog_name="neuro-preprocess")
