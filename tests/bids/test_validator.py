def errors(issues):
    return sorted(issue for issue in issues if issue[0] == "error")


def test_derivatives_are_valid_bids(derivative_dataset, validate):
    assert errors(validate(derivative_dataset)) == []


def test_derivatives_are_valid_bids_below_their_raw_dataset(raw_dataset, derivative_dataset, validate):
    (raw_dataset / "derivatives").mkdir()
    derivative_dataset.rename(raw_dataset / "derivatives" / "neuro-preprocess")

    assert errors(validate(raw_dataset)) == []
    # Going into `derivatives`, the validator does not read the .bidsignore there.
    inner = errors(validate(raw_dataset, "--recursive"))
    assert [issue for issue in inner if "/figures/" not in issue[3] and not issue[3].startswith("/errors/")] == []


def test_validator_sees_every_image(derivative_dataset, validate):
    """Without it the tests above could pass on files that nobody looked at."""
    for sidecar in derivative_dataset.rglob("*_desc-brain_T?w.json"):
        sidecar.unlink()

    found = {location for _, _, subcode, location in errors(validate(derivative_dataset)) if subcode == "SkullStripped"}

    images = derivative_dataset.rglob("*_desc-brain_T?w.nii.gz")
    assert found == {f"/{image.relative_to(derivative_dataset)}" for image in images}


def test_validator_sees_what_bidsignore_hides(derivative_dataset, validate):
    (derivative_dataset / ".bidsignore").unlink()

    locations = {location for _, code, _, location in errors(validate(derivative_dataset)) if code == "NOT_INCLUDED"}

    assert {"/errors/", "/sub-01/figures/"} <= locations
